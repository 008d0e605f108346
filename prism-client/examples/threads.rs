//! Threads: conversations side by side, with their histories.

use prism_client::{
    Client, Error,
    types::{CreateDeployment, CreateThread, Runtime, SendMessage, UpdateThread},
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let request =
        CreateDeployment::new("cus_123", "Acme Creative Agent", "```script\nsay I hear {{message}}.\n```");
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;

    // Every deployment has a default thread, which a message without a thread goes to. Others are made by name, or with
    // the first message on them.
    let spring = agent.threads().create(CreateThread::default().title("Spring campaign")).await?.into_inner();
    let message = SendMessage::new("the first idea").thread_id(spring.thread_id.clone());
    println!("{}", agent.chat(message).text().await?);
    let other = agent.chat(SendMessage::new("something else").new_thread()).await?;
    let other_id = other.thread_id().clone();
    println!("{}", other.text().await?);

    // The history is kept by the server.
    let read = agent.threads().get(&spring.thread_id).await?;
    for message in &read.messages {
        println!("{}: {}", message.role, message.content);
    }

    agent.threads().update(&spring.thread_id, UpdateThread::default().title("Spring".to_owned())).await?;
    let mut threads = agent.threads().list().items();
    while let Some(thread) = threads.next().await.transpose()? {
        let title = thread.title.as_deref().unwrap_or("(no title)");
        println!("{title} has {} messages", thread.message_count);
    }

    // With a thread go its messages and runs, and the agent forgets it.
    agent.threads().delete(&other_id).await?;
    println!("deleted: {}", agent.threads().get(&other_id).await.is_err_and(|error| error.is_not_found()));

    agent.delete().await?;
    Ok(())
}
