//! `prism events`.

use prism_client::types::{DeploymentId, Event, EventId, RunId, ThreadId};

use super::{Server, transcript::summary};
use crate::{
    failure::Failure,
    output::{self, Output, harmless},
};

/// Follow the events of a deployment, an event a line.
///
/// It starts with what happens from now on, resumes by itself when the connection breaks, and goes on until it is
/// interrupted. With --run it ends when the run does.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The deployment, such as dep_7xK9s2.
    deployment: DeploymentId,
    /// Only events of this thread.
    #[arg(long, value_name = "THREAD_ID")]
    thread: Option<ThreadId>,
    /// Only events of this run; end when it ends. Of a run that may be over already, say --after, too.
    #[arg(long, value_name = "RUN_ID")]
    run: Option<RunId>,
    /// Start with what happened after this event.
    #[arg(long, value_name = "EVENT_ID")]
    after: Option<EventId>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    output: Output,
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { deployment, thread, run, after, server, output } = arguments;
    server.with(async |client| {
        let mut stream = client.deployment(&deployment).events().stream();
        if let Some(thread) = thread {
            stream = stream.thread(thread);
        }
        if let Some(run) = run {
            stream = stream.run(run);
        }
        if let Some(after) = after {
            stream = stream.after(after);
        }
        let mut events = stream.open().await?;
        while let Some(event) = events.next().await.transpose()? {
            output::line(&if output.is_json() { output::json(&event)? } else { text(&event) })?;
        }
        Ok(())
    })
}

fn text(event: &Event) -> String {
    let run = event.payload.run_id().map_or("-", RunId::as_str);
    let summary = summary(&event.payload).unwrap_or_default().replace('\n', "\u{21b5}");
    harmless(&format!("{}  {run}  {:<16}  {summary}", event.id, event.payload.name())).trim_end().to_owned()
}
