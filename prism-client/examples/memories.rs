//! Memories: what an agent knows on every thread.

use prism_client::{
    Client, Error,
    types::{CreateDeployment, Runtime},
};

/// An agent that tells what it remembers.
const PROMPT: &str = "```script\nsay I know: {{memories}}.\n```";

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", PROMPT);
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;
    let memories = agent.memories();

    let days = memories.create("They publish on Tuesdays").await?.into_inner();
    let drinks = memories.create("They like tea").await?.into_inner();
    println!("{}", agent.chat("What do you know?").text().await?);

    // What is changed is there in the next run, also on a thread that is old.
    memories.update(&days.memory_id, "They publish on Fridays").await?;
    memories.delete(&drinks.memory_id).await?;
    println!("{}", agent.chat("And now?").text().await?);

    let mut found = memories.list().q("fridays").items();
    while let Some(memory) = found.next().await.transpose()? {
        println!("{} (from the {})", memory.content, memory.source);
    }

    agent.delete().await?;
    Ok(())
}
