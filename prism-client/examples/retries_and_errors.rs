//! Retries and errors: what is tried again by itself, what to do about the rest, and how not to do a thing twice.

use std::time::Duration;

use prism_client::{
    Backoff, Client, Error, RetryPolicy,
    types::{CreateDeployment, Runtime},
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;

    // A key that was stored before the request was sent: a program that was killed sends the same request again, and it
    // is carried out once.
    let key = format!("example-{}", std::process::id());
    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    let request = request.runtime(Runtime::Scripted);
    let first = client.deployments().create(request.clone()).idempotency_key(&key).await?;
    let again = client.deployments().create(request.clone()).idempotency_key(&key).await?;
    println!("the same deployment: {}", first.deployment_id == again.deployment_id && again.is_replay());

    // An error is asked what it is; each question's documentation says what to do then.
    let agent = client.deployment(&first.deployment_id);
    match client.deployments().create(CreateDeployment::new("", "", "You are Acme's agent.")).await {
        Ok(created) => println!("{}", created.deployment_id),
        Err(error) if error.is_validation() => {
            for problem in error.body().map(|body| &body.problems[..]).unwrap_or_default() {
                println!("{} {}", problem.path, problem.message);
            }
        }
        Err(error) if error.is_insufficient_credits() => println!("add credits first"),
        Err(error) => return Err(error),
    }
    agent.delete().await?;
    if let Err(error) = agent.get().await {
        println!("not found: {}. For the logs: {error}", error.is_not_found());
    }

    // Nobody listens there. Each attempt is refused at once, and the pauses are short here.
    let quick =
        RetryPolicy::new().backoff(Backoff::new(Duration::from_millis(10), Duration::from_millis(50)));
    let nobody =
        Client::builder().base_url("http://127.0.0.1:1").api_key("any").no_proxy().retries(quick).build()?;
    if let Err(error) = nobody.deployments().list().await {
        println!("no connection: {}, after {} attempts", error.is_connect(), error.attempts());
    }
    // The same for one call.
    if let Err(error) = nobody.deployments().list().retries(RetryPolicy::none()).await {
        println!("no connection: {}, after {} attempt", error.is_connect(), error.attempts());
    }
    Ok(())
}
