//! MCP servers: give an agent the tools of others while it lives.

use prism_client::{
    Client, Error,
    types::{CreateDeployment, McpServer, Runtime, UpdateMcpServer},
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;

    // A credential goes into a secret of the deployment, and its name into the header: `Bearer ${ADS_TOKEN}`.
    let servers = agent.mcp_servers();
    let ads = McpServer::new("ads", "https://mcp.example.com/ads").tools(["list_campaigns"]);
    let ads = servers.add(ads.header("X-Team", "creative")).await?;
    println!("{} may use {:?}, with the headers {:?}", ads.name, ads.tools, ads.headers);

    // Whatever is not named stays as it is.
    let wider = UpdateMcpServer::new().tools(["list_campaigns", "pause_campaign"]).remove_header("X-Team");
    let ads = servers.update("ads", wider).await?;
    println!("{} may use {:?}, with the headers {:?}", ads.name, ads.tools, ads.headers);

    servers.remove("ads").await?;
    println!("{} servers are left", servers.list().await?.data.len());

    agent.delete().await?;
    Ok(())
}
