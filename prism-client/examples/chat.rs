//! A chat: what the agent says and does as it does it, its questions, and how it ended.

use prism_client::{
    Client, Error,
    chat::{Outcome, Part, Turn},
    types::{CreateDeployment, Runtime, SendMessage},
};

/// What the agent does here. A real agent has a prompt, and decides by itself.
const PROMPT: &str = r#"
```script
say Let me look that up.
tool search {"query": "{{message}}"} => {"found": 3}
ask Shall I publish the result?
say You said {{answer}}, so it is done.
```
"#;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", PROMPT);
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;

    let mut turn = agent.chat("a launch video").await?;
    show(&mut turn).await?;

    // A question ends the turn. Whatever is said next on the thread is the answer.
    while let Some(Outcome::Asks(question)) = turn.outcome() {
        println!("the agent asks: {}", question.summary);
        let answer = SendMessage::new("yes").thread_id(turn.thread_id().clone());
        turn = agent.chat(answer).await?;
        show(&mut turn).await?;
    }
    match turn.outcome() {
        Some(Outcome::Completed) => println!("it is through"),
        Some(Outcome::Failed(failure)) => println!("it failed: {}", failure.message),
        other => println!("{other:?}"),
    }

    // All at once, when nobody watches. A question ends this as well.
    let reply = agent.chat(SendMessage::new("a poster").new_thread()).reply().await?;
    println!("on another thread it said {:?} and used {} tool", reply.text, reply.tools.len());

    agent.delete().await?;
    Ok(())
}

/// Shows what comes until the turn ends.
async fn show(turn: &mut Turn) -> Result<(), Error> {
    while let Some(part) = turn.next().await.transpose()? {
        match part {
            Part::Text(piece) => print!("{piece}"),
            Part::ToolCall(call) => println!("\n[{} with {}]", call.tool, call.arguments.get()),
            Part::ToolResult(result) => println!("[{} answers {}]", result.tool, result.result.get()),
            _ => {}
        }
    }
    println!();
    Ok(())
}
