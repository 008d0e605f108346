//! Jobs: a bundle of files that is run to its end, with its log and what it leaves.

use prism_client::{
    Client,
    nullspace::Bundle,
    types::nullspace::{AgentConfig, AgentMode, CreateAgentDeployment, CreateRun, CreateVersion, Outputs},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let nullspace = Client::from_env()?.nullspace();
    let request = CreateAgentDeployment::new("report", AgentMode::Job);
    let created = nullspace.deployments().create(request).await?;
    let report = nullspace.deployment(&created.id);

    // A version is what is run: how, and the files that it is run with. Once uploaded, it is the active one.
    let config = AgentConfig::job("report", "sh report.sh")
        .requires(["CUSTOMER"])
        .outputs(Outputs::default().path("report.txt"));
    let script = "echo \"a report for $CUSTOMER\"\nwc -w < words.txt > report.txt\n";
    let bundle =
        Bundle::builder().file("report.sh", script).file("words.txt", "one two three").build(&config)?;
    let version = report.versions().create(CreateVersion::new(bundle.manifest(), &config)).await?;
    report.versions().upload(&version.id, &bundle).await?;
    report.versions().wait_until_ready(&version.id).await?;

    // What is in `env` reaches the process, and is kept nowhere.
    let run = report.runs().create(CreateRun::new().env("CUSTOMER", "cus_123")).await?;
    let done = report.runs().wait_until_completed(&run.id).await?;
    println!("the run has {} with {:?}", done.status, done.exit_code);
    let mut log = report.runs().logs(&run.id).lines();
    while let Some(line) = log.next().await.transpose()? {
        println!("{}: {}", line.source.as_ref().map_or("?", |source| source.as_str()), line.message);
    }

    // It is read from the run's sandbox, which is kept for that.
    for output in &report.runs().outputs(&run.id).await?.outputs {
        if let Some(access) = &output.access {
            let files = nullspace.sandboxes().files(&access.sandbox_id);
            let text = files.read(&access.path).await?.text().await?;
            println!("{} has {} words", output.configured_path, text.trim());
        }
    }
    report.delete().await?;
    Ok(())
}
