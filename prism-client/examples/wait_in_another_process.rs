//! A wait that goes on in another process: this one starts the work, and one that it starts sees the end of it.

use std::{error::Error, fs, path::PathBuf, process::Command};

use prism_client::{
    Client,
    types::{CreateDeployment, Run, Runtime},
    wait::{Over, WaitState},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::from_env()?;
    match std::env::args().nth(1) {
        None => begin(client).await,
        Some(file) => go_on(client, file.into()).await,
    }
}

async fn begin(client: Client) -> Result<(), Box<dyn Error>> {
    let prompt = "```script\ndelay 200ms\nsay Done.\n```";
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", prompt);
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;

    // The wait is not sent: its state is. It has ids and an instant, and no secret.
    let sent = agent.messages().send("Plan the spring campaign.").await?;
    let state = agent.runs().get(&sent.run_id).wait_until(Over).state();
    let file = std::env::temp_dir().join(format!("prism-example-{}.json", sent.run_id));
    fs::write(&file, serde_json::to_string(&state)?)?;
    println!("process {} does not wait", std::process::id());

    let status = Command::new(std::env::current_exe()?).arg(&file).status()?;
    fs::remove_file(&file)?;
    agent.delete().await?;
    if status.success() { Ok(()) } else { Err("the other process failed".into()) }
}

/// In the other process: the condition is told again, the rest is in the file.
async fn go_on(client: Client, file: PathBuf) -> Result<(), Box<dyn Error>> {
    let state: WaitState = serde_json::from_str(&fs::read_to_string(file)?)?;
    let run = client.resume_wait::<Run>(state, Over).await?;
    println!("process {} sees that the run is {}", std::process::id(), run.status);
    Ok(())
}
