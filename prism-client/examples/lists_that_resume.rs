//! A list that is read over several days: its place is kept in a file, and any process goes on there.

use std::{error::Error, fs, path::Path};

use prism_client::{
    Client,
    resources::Memories,
    types::{CreateDeployment, Cursor, Runtime},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::from_env()?;
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;
    for number in 1..=5 {
        agent.memories().create(format!("Note {number}")).await?;
    }

    // As if the program was started anew each time.
    let place = std::env::temp_dir().join(format!("prism-example-{}.json", created.deployment_id));
    while read_a_page(&agent.memories(), &place).await? {
        println!("-- stopped here");
    }

    fs::remove_file(&place)?;
    agent.delete().await?;
    Ok(())
}

/// Reads one page, from where the file says. Returns whether there is more.
async fn read_a_page(memories: &Memories, place: &Path) -> Result<bool, Box<dyn Error>> {
    let mut list = memories.list().limit(2);
    if let Ok(kept) = fs::read_to_string(place) {
        list = list.cursor(serde_json::from_str::<Cursor>(&kept)?);
    }
    let mut pages = list.pages();
    let Some(page) = pages.next().await.transpose()? else { return Ok(false) };
    for memory in &page.data {
        println!("{}", memory.content);
    }
    // After the work: a page that was worked on in part comes again.
    fs::write(place, serde_json::to_string(&pages.cursor())?)?;
    Ok(pages.cursor().is_some())
}
