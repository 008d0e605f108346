//! Files: write and read the workspace, with progress, in pieces, and without overwriting what others wrote.

use futures::stream;
use prism_client::{
    Client,
    resources::FileBody,
    types::{CreateDeployment, Runtime},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;
    let files = agent.files();

    // What is in memory. Progress is told for each piece that the connection takes.
    let film = vec![7_u8; 300_000];
    let upload = files.write("media/film.mp4", film).only_if_new();
    upload.on_progress(|at| println!("sent {} of {} bytes", at.bytes, at.total.unwrap_or_default())).await?;

    // What comes piece by piece, and never is in memory as a whole.
    let lines = stream::iter((1..=3).map(|shot| Ok::<_, std::io::Error>(format!("Shot {shot}\n"))));
    let written = files.write("media/shots.txt", FileBody::stream(lines)).await?;
    println!("wrote {} bytes to {}", written.size, written.path);
    let tag = written.header("etag").ok_or("a file has a tag")?.to_owned();

    // Large files are read in pieces. When the connection breaks, it goes on with the same version of the file.
    let mut download = files.read("media/film.mp4").range(100_000..).await?;
    let mut bytes = 0;
    while let Some(piece) = download.next().await.transpose()? {
        bytes += piece.len();
    }
    println!("read {bytes} bytes");
    print!("{}", files.read("media/shots.txt").await?.text().await?);

    // In place of what was read, or not at all.
    files.write("media/shots.txt", "Shot 1\n").if_match(&tag).await?;
    match files.write("media/shots.txt", "Shot 2\n").if_match(&tag).await {
        Err(error) if error.is_precondition_failed() => println!("not written: it was changed since"),
        other => println!("{other:?}"),
    }

    let mut entries = files.list("media").items();
    while let Some(entry) = entries.next().await.transpose()? {
        println!("{} {} ({} bytes)", entry.kind, entry.name, entry.size.unwrap_or_default());
    }
    files.delete("media").await?;
    agent.delete().await?;
    Ok(())
}
