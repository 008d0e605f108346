//! Sandboxes: places where whatever you like is executed, which can be copied and kept.

use prism_client::{
    Client,
    types::nullspace::{CreateSandbox, ExecuteProgram},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandboxes = Client::from_env()?.nullspace().sandboxes();
    let request = CreateSandbox::new().env("CUSTOMER", "cus_123").timeout_ms(600_000_u32);
    let sandbox = sandboxes.create(request).await?;

    // Programs: to their end, or in the background.
    let told = sandboxes.execute(&sandbox.id, ExecuteProgram::shell("echo \"for $CUSTOMER\"")).await?;
    print!("{}", told.stdout);
    let works = ExecuteProgram::shell("echo begun; exec sleep 600").background(true);
    let pid = sandboxes.execute(&sandbox.id, works).await?.pid.ok_or("it runs in the background")?;
    for process in sandboxes.processes(&sandbox.id).await?.iter() {
        println!("running: {}", process.running);
    }
    sandboxes.kill_process(&sandbox.id, pid).await?;

    // Files, below `/workspace`.
    let files = sandboxes.files(&sandbox.id);
    files.write("/workspace/notes/plan.md", "# Plan\n").await?;
    for file in files.list("/workspace/notes").await?.iter() {
        println!("{} has {} bytes", file.path, file.size);
    }

    // A fork is another sandbox with the same files; a snapshot is kept without one.
    let fork = sandboxes.fork(&sandbox.id).await?;
    sandboxes.files(&fork.id).write("/workspace/notes/plan.md", "# Another plan\n").await?;
    let snapshot = sandboxes.create_snapshot(&sandbox.id).await?;
    for id in [&sandbox.id, &fork.id] {
        sandboxes.destroy(id).await?;
    }
    let restored = sandboxes.create(CreateSandbox::of_snapshot(snapshot.id.clone())).await?;
    let plan = sandboxes.files(&restored.id).read("/workspace/notes/plan.md").await?.text().await?;
    print!("{plan}");
    sandboxes.destroy(&restored.id).await?;
    sandboxes.delete_snapshot(&snapshot.id).await?;
    Ok(())
}
