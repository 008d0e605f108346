//! Deploys an agent on a running server and talks to it: see the README.

use prism_client::{Client, chat::Part};
use prism_types::{CreateDeployment, Runtime};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?; // PRISM_BASE_URL and PRISM_API_KEY
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;

    let mut turn = agent.chat("Plan a launch video").await?;
    while let Some(part) = turn.next().await.transpose()? {
        match part {
            Part::Text(piece) => print!("{piece}"),
            Part::ToolCall(call) => println!("[{}]", call.tool),
            _ => {}
        }
    }
    Ok(())
}
