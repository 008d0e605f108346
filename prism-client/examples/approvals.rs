//! Approvals: a tool that waits for a human before each call, and the human's decisions.

use prism_client::{
    Client, Error,
    types::{AnswerApproval, ApprovalPolicy, CreateDeployment, Runtime, SendMessage},
    wait::{Asking, Over},
};

/// An agent that uses the shell, and tells what it got.
const PROMPT: &str = r#"
```script
tool shell {"command": "rm -rf {{message}}"} => {"removed": true}
say I am through.
```
"#;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    // Nobody in an hour is a no.
    let policy = ApprovalPolicy::new(["shell"]).timeout_seconds(3600_u32);
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", PROMPT).approvals(policy);
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;

    for (folder, decision) in [
        ("drafts", AnswerApproval::allow()),
        ("contracts", AnswerApproval::deny().reason("We have to keep those.")),
    ] {
        let sent = agent.messages().send(SendMessage::new(folder).new_thread()).await?;
        agent.runs().get(&sent.run_id).wait_until(Asking).await?;

        // This is what a page for humans would show. It could be told of by a webhook.
        let mut waiting = agent.approvals().list().pending(true).items();
        while let Some(question) = waiting.next().await.transpose()? {
            println!("{}", question.summary);
            let answered = agent.approvals().answer(&question.approval_id, decision.clone()).await?;
            println!("it is {}", answered.status);
        }
        let run = agent.runs().get(&sent.run_id).wait_until(Over).await?;
        println!("the run is {}", run.status);
    }

    agent.delete().await?;
    Ok(())
}
