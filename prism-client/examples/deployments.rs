//! Deployments: create one, wait for it, change it only if nobody else did, list, delete.

use prism_client::{
    Client,
    types::{CreateDeployment, Runtime, UpdateDeployment},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;

    // The runtime `scripted` needs no model. Leave it out, and the agent is a real one.
    let request = CreateDeployment::new("cus_deployments", "Acme Creative Agent", "You are Acme's agent.");
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    println!("created {}, which is {}", created.deployment_id, created.status);

    // From here on a handle names it.
    let agent = client.deployment(&created.deployment_id);
    println!("now it is {}", agent.wait_until_ready().await?.status);

    // The tag says which version was read: a change with it is made to that version or not at all.
    let read = agent.get().await?;
    let tag = read.etag().ok_or("a deployment has a tag")?;
    let renamed = agent.update(UpdateDeployment::new().name("Acme Video Agent")).if_match(tag).await?;
    println!("renamed to {}", renamed.name);
    match agent.update(UpdateDeployment::new().name("Acme Audio Agent")).if_match(tag).await {
        Err(error) if error.is_precondition_failed() => println!("not renamed again: it was changed since"),
        other => println!("{other:?}"),
    }

    let mut deployments = client.deployments().list().customer_id("cus_deployments").items();
    while let Some(deployment) = deployments.next().await.transpose()? {
        println!("the customer has {}", deployment.name);
    }

    agent.delete().await?;
    let gone = agent.get().await.err().ok_or("it is deleted")?;
    println!("deleted: {}", gone.is_not_found());
    Ok(())
}
