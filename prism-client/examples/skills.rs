//! Skills: teach an agent something while it lives, and change your mind.

use prism_client::{
    Client, Error,
    types::{CreateDeployment, Runtime, Skill, UpdateSkill},
};

const STORYBOARDING: &str = "---
name: storyboarding
description: Create shot-by-shot storyboards
---
# Storyboarding
One line for each shot.
";

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let request =
        CreateDeployment::new("cus_123", "Acme Creative Agent", "```script\nsay I know {{skills}}.\n```");
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;

    // The text itself, a URL that the server fetches, or a file of the workspace.
    let skills = agent.skills();
    let storyboarding = skills.add(Skill::inline("storyboarding", STORYBOARDING)).await?.into_inner();
    skills.add(Skill::file("house-style", "skills/house-style/SKILL.md")).await?;
    println!("{}", agent.chat("What do you know?").text().await?);

    // A file that is not there yet is `pending`; runs go on without it.
    for skill in &skills.list().await?.data {
        println!("{} is {}", skill.name, skill.state);
    }

    // The next run has the new text.
    let changed = UpdateSkill::inline(STORYBOARDING.replace("One line", "Two lines"));
    let changed = skills.update(&storyboarding.skill_id, changed).await?;
    println!("changed: {}", changed.content.as_deref().is_some_and(|text| text.contains("Two lines")));

    // A name is taken once.
    match skills.add(Skill::inline("storyboarding", STORYBOARDING)).await {
        Err(error) if error.is_conflict() => println!("there is one of this name"),
        other => println!("{other:?}"),
    }

    skills.remove(&storyboarding.skill_id).await?;
    agent.delete().await?;
    Ok(())
}
