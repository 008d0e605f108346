//! Dreams: an agent puts its memories in order, and what it changed can be taken back.

use prism_client::{
    Client, Error,
    types::{CreateDeployment, Runtime},
    wait::Completed,
};

/// What the agent does when it dreams. A real agent finds out by itself what belongs together.
const PROMPT: &str = "
```script
forget tea
forget coffee
remember They like hot drinks
say I merged two notes.
```
";

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", PROMPT);
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;
    agent.memories().create("They like tea").await?;
    agent.memories().create("They like coffee").await?;

    // With `features.dreaming` it happens by itself in quiet hours; this is now.
    let started = agent.dreams().start().await?;
    let dream = agent.dreams().get(&started.dream_id).wait_until(Completed).await?;
    if let Some(report) = &dream.report {
        println!("{}", report.summary);
        for memory in &report.removed {
            println!("- {}", memory.content);
        }
        for memory in &report.added {
            println!("+ {}", memory.content);
        }
    }

    agent.dreams().revert(&dream.dream_id).await?;
    println!("taken back: {} memories", agent.memories().list().items().all().await?.len());

    agent.delete().await?;
    Ok(())
}
