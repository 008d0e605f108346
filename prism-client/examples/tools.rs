//! Tools: see what an agent has, and switch some of it off.

use prism_client::{
    Client, Error,
    types::{CreateDeployment, Runtime, UpdateTool},
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;

    // From the next run on the model is not told of it. For a tool of an MCP server, say whose: `.origin("ads")`.
    let shell = agent.tools().update("shell", UpdateTool::new(false)).await?;
    println!("{} of {} is on: {}", shell.name, shell.origin, shell.enabled);

    // MCP servers are asked for each list. One that does not answer is named beside the tools of the others.
    let list = agent.tools().list().await?;
    for tool in &list.data {
        println!("{} {}", if tool.enabled { "on " } else { "off" }, tool.name);
    }
    for error in &list.errors {
        println!("{}: {}", error.origin, error.message);
    }

    agent.delete().await?;
    Ok(())
}
