//! `prism send`.

use std::io::stdout;

use prism_client::{
    Client,
    types::{DeploymentId, EventPayload, MessageReceipt, RunStatus, SendMessage, ThreadTarget},
};

use super::{Server, text, transcript::Transcript};
use crate::{
    failure::Failure,
    output::{self, Output, record},
};

/// Send a message to an agent.
///
/// With --follow it prints what the agent does until the run ends or waits for a human, and fails when the run
/// ends in an error. An agent's question is answered by another message to its thread.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The deployment, such as dep_7xK9s2.
    deployment: DeploymentId,
    /// The message, 1 to 131,072 bytes; `-` is standard input.
    text: String,
    /// The thread to send it to, or `new` for a fresh one. [default: the deployment's default thread]
    #[arg(long, value_name = "THREAD")]
    thread: Option<ThreadTarget>,
    /// Print what the agent does, as it does it; as JSON, an event a line.
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    output: Output,
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut message = SendMessage::new(text(&arguments.text)?);
    if let Some(thread) = arguments.thread.clone() {
        message = message.thread_id(thread);
    }
    arguments.server.with(async |client| {
        if arguments.follow {
            return follow(&client, &arguments, message).await;
        }
        let receipt = client.deployment(&arguments.deployment).messages().send(message).await?;
        arguments.output.print(&receipt.into_inner(), receipt_text)
    })
}

/// Sends the message and prints the events of its run.
async fn follow(client: &Client, arguments: &Arguments, message: SendMessage) -> Result<(), Failure> {
    let agent = client.deployment(&arguments.deployment);
    let mut stream = agent.events().stream();
    if let Some(ThreadTarget::Existing(thread)) = &arguments.thread {
        stream = stream.thread(thread.clone());
    }
    // Opened before the message is sent, so that nothing is missed.
    let mut events = stream.open().await?;
    let receipt = agent.messages().send(message).await?.into_inner();
    let mut transcript = Transcript::new(stdout().lock());
    while let Some(event) = events.next().await.transpose()? {
        if event.payload.run_id() != Some(&receipt.run_id) {
            continue;
        }
        if arguments.output.is_json() {
            output::line(&output::json(&event)?)?;
        } else {
            transcript.show(&event.payload).map_err(|error| Failure::output(&error))?;
        }
        let EventPayload::RunStatus(change) = &event.payload else { continue };
        match change.status {
            RunStatus::Completed => return Ok(()),
            RunStatus::Error => return Err(failed(&receipt, change.error.as_ref())),
            RunStatus::WaitingOnHuman => {
                let MessageReceipt { deployment_id, thread_id, .. } = &receipt;
                let answer = format!("prism send {deployment_id} --thread {thread_id} --follow \"ANSWER\"");
                output::note(&format!("the agent waits for a human; answer with: {answer}"));
                output::note(&format!("or allow or deny it: prism approvals list {deployment_id} --pending"));
                return Ok(());
            }
            _ => {}
        }
    }
    Err(Failure::new(format!("the stream ended before run {} did", receipt.run_id))
        .advice("The deployment may have been deleted; `prism deployments get` tells."))
}

fn failed(receipt: &MessageReceipt, failure: Option<&prism_client::types::Failure>) -> Failure {
    let reason =
        failure.map(|failure| format!(": {}: {}", failure.code, failure.message)).unwrap_or_default();
    Failure::new(format!("run {} ended in an error{}", receipt.run_id, output::harmless(&reason)))
}

fn receipt_text(receipt: &MessageReceipt) -> String {
    record([
        ("run", receipt.run_id.to_string()),
        ("thread", receipt.thread_id.to_string()),
        ("status", receipt.status.to_string()),
    ])
}
