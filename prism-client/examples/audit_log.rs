//! The audit log: who changed what.

use prism_client::{
    Client, Error,
    types::{CreateDeployment, Runtime, UpdateDeployment},
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;
    agent.update(UpdateDeployment::new().name("Acme Video Agent")).await?;
    agent.delete().await?;

    // Entries outlive what they tell of. The newest come first; needs the scope `audit:read`.
    let mut entries = client.audit_log().list().deployment_id(created.deployment_id.clone()).items();
    while let Some(entry) = entries.next().await.transpose()? {
        println!("{} {} {}", entry.created_at, entry.actor, entry.operation);
        if !entry.fields.is_empty() {
            println!("  of it: {}", entry.fields.join(", "));
        }
    }
    Ok(())
}
