//! Deploys an agent on a running server and talks to it: see the README.

use prism_client::Client;
use prism_types::{CreateDeployment, EventPayload, Runtime};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?; // PRISM_BASE_URL and PRISM_API_KEY
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;

    let mut events = agent.events().stream().open().await?;
    agent.messages().send("Plan a launch video").await?;
    while let Some(event) = events.next().await {
        match event?.payload {
            EventPayload::Token(token) => print!("{}", token.delta),
            EventPayload::RunStatus(run) if run.status.is_terminal() => break,
            _ => {}
        }
    }
    Ok(())
}
