//! Automations: the same instructions on a timetable, now and then by hand.

use prism_client::{
    Client, Error,
    chat::Outcome,
    types::{CreateAutomation, CreateDeployment, Runtime, UpdateAutomation},
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;
    let automations = agent.automations();

    // Plain words, macros such as `@daily`, or the five fields of cron.
    let digest = CreateAutomation::new("Digest", "every weekday at 9am", "Sum up what is new.");
    let digest = automations.create(digest.timezone("Europe/Berlin")).await?.into_inner();
    println!("{:?} is {:?}", digest.schedule, digest.cron);
    if let Some(next) = digest.next_run_at {
        println!("next at {next}");
    }

    // Nobody has to wait for the time to try it. A run that was begun elsewhere is followed like a chat, from now on.
    let started = automations.trigger(&digest.automation_id).await?;
    let reply = agent.follow(&started.run_id).await?.reply().await?;
    println!("completed: {}", reply.outcome == Some(Outcome::Completed));
    let mut history = automations.runs(&digest.automation_id).items();
    while let Some(entry) = history.next().await.transpose()? {
        println!("by {}: {}", entry.trigger, entry.status);
    }

    // Paused, it is due at no time.
    let paused = automations.update(&digest.automation_id, UpdateAutomation::new().enabled(false)).await?;
    println!("paused: {:?}", paused.next_run_at);

    automations.delete(&digest.automation_id).await?;
    agent.delete().await?;
    Ok(())
}
