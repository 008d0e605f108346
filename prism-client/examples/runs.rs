//! Runs: wait until one is over or asks, see what it used, cancel it.

use prism_client::{
    Client, Error,
    types::{CreateDeployment, Run, RunStatus, Runtime, SendMessage},
    wait::{Asking, Completed, Over, any},
};

/// An agent that asks before it goes on.
const PROMPT: &str = "
```script
usage 1200 80
ask Shall I go on?
usage 300 20
say Done.
```
";

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", PROMPT);
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;
    let runs = agent.runs();

    // A message starts a run. Whoever does not want to watch it waits for what matters.
    let sent = agent.messages().send("Plan the spring campaign.").await?;
    let run = runs.get(&sent.run_id).wait_until(any(Over, Asking)).await?;
    println!("the run is {}", run.status);
    if run.status == RunStatus::WaitingOnHuman {
        agent.messages().send(SendMessage::new("yes").thread_id(run.thread_id.clone())).await?;
    }
    let run = runs.get(&sent.run_id).wait_until(Completed).await?;
    println!("the run is {}, and read {} tokens", run.status, run.usage.input_tokens);

    // A closure is a condition as well.
    let sent = agent.messages().send("Plan the summer campaign.").await?;
    runs.get(&sent.run_id).wait_until(|run: &Run| run.usage.output_tokens >= 80).await?;
    let cancelled = runs.cancel(&sent.run_id).await?;
    println!("cancelled: the run is {}", cancelled.status);

    // What cannot come any more is not waited for.
    match runs.get(&sent.run_id).wait_until(Completed).await {
        Err(error) if error.is_run_failed() => {
            println!("it will not be completed: {}", error.failure().map_or("", |failure| &failure.code));
        }
        other => println!("{other:?}"),
    }

    println!("{} runs in all", runs.list().items().all().await?.len());
    agent.delete().await?;
    Ok(())
}
