//! Snapshots: keep the workspace of a deployment that goes, and begin another one with it.

use prism_client::{
    Client,
    types::{CreateDeployment, Runtime},
    wait::Ready,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    let request = request.runtime(Runtime::Scripted);
    let created = client.deployments().create(request.clone()).await?;
    let first = client.deployment(&created.deployment_id);
    first.wait_until_ready().await?;
    first.files().write("plan.md", "# The plan\n").await?;

    // The deployment is gone at once; its workspace is copied in the background.
    let deleted = first.delete().retain_filesystem(true).await?.into_inner();
    let snapshot = deleted.snapshot_id.ok_or("the workspace is kept")?;
    let kept = client.snapshots().get(&snapshot).wait_until(Ready).await?;
    println!("the workspace of {:?} is kept until {}", kept.name, kept.expires_at);

    // Any number of deployments of the same customer can begin with it.
    let created = client.deployments().create(request.snapshot_id(snapshot.clone())).await?;
    let second = client.deployment(&created.deployment_id);
    second.wait_until_ready().await?;
    print!("{}", second.files().read("plan.md").await?.text().await?);

    second.delete().await?;
    client.snapshots().delete(&snapshot).await?;
    println!("deleted: {}", client.snapshots().get(&snapshot).await.is_err_and(|error| error.is_not_found()));
    Ok(())
}
