//! Messages and events: everything that an agent does, in order, and what becomes of the connection meanwhile.
//!
//! Most programs want a chat instead, which is made of these.

use prism_client::{
    Client,
    events::Signal,
    types::{CreateDeployment, Event, EventPayload, Runtime},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().await?;

    // The stream first, then the message: so nothing is missed of what comes of it.
    let mut signals = agent.events().stream().open().await?.signals();
    let beginning = signals.last_event_id().cloned().ok_or("the server names the place of a stream")?;
    let sent = agent.messages().send("Hello").await?;

    while let Some(signal) = signals.next().await.transpose()? {
        match signal {
            Signal::Connected => println!("connected"),
            // The stream mends itself; this is for showing it to somebody.
            Signal::Interrupted { error, pause } => println!("offline ({error}), again in {pause:?}"),
            Signal::Resumed { tries, .. } => println!("online again after {tries} tries"),
            // Rare, and the one thing to react to: read the thread or the run anew.
            Signal::Gap { .. } => {
                println!("events are missing: {}", agent.runs().get(&sent.run_id).await?.status)
            }
            Signal::Event(event) => {
                println!("{}", line(&event));
                if matches!(&event.payload, EventPayload::RunStatus(changed) if changed.status.is_terminal())
                {
                    break;
                }
            }
            _ => {}
        }
    }

    // The log is kept. From a place in it everything comes again, also in another process; the events of one run end
    // with it.
    let mut again = agent.events().stream().after(beginning).run(sent.run_id.clone()).open().await?;
    let mut count = 0;
    while again.next().await.transpose()?.is_some() {
        count += 1;
    }
    println!("the run had {count} events");

    agent.delete().await?;
    Ok(())
}

fn line(event: &Event) -> String {
    match &event.payload {
        EventPayload::Token(token) => format!("token {:?}", token.delta),
        EventPayload::ToolCall(call) => format!("tool_call {}", call.tool),
        EventPayload::RunStatus(changed) => format!("run_status {}", changed.status),
        other => other.name().to_owned(),
    }
}
