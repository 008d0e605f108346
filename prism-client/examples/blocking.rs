//! The client without `async`: the same calls, with `block` in place of `.await`.
//!
//! Needs the feature `blocking`.

use prism_client::{
    Client, Error,
    blocking::{Block as _, BlockStream as _},
    chat::{Outcome, Part},
    types::{CreateDeployment, Runtime},
};

fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    let created = client.deployments().create(request.runtime(Runtime::Scripted)).block()?;
    let agent = client.deployment(&created.deployment_id);
    agent.wait_until_ready().block()?;

    // Whatever is a stream is an iterator.
    let mut turn = agent.chat("Plan our summer campaign.").block()?.block_iter();
    for part in &mut turn {
        match part? {
            Part::Text(piece) => print!("{piece}"),
            Part::ToolCall(call) => println!("\n[{}]", call.tool),
            _ => {}
        }
    }
    println!("\ncompleted: {}", turn.get_ref().outcome() == Some(&Outcome::Completed));
    for run in agent.runs().list().items().block_iter() {
        println!("a run is {}", run?.status);
    }

    agent.delete().block()?;
    Ok(())
}
