//! Webhooks: create one, and find out whether what comes to its URL is from the server.
//!
//! A webhook needs a public URL. For this example, a server that was started with `--config examples/prism.toml` sends
//! what is for `https://example.com` to port 9000 of this machine; `PRISM_WEBHOOK_LISTEN` names another address.

use std::net::TcpListener;

use http::{HeaderMap, StatusCode};
use prism_client::{
    Client,
    types::{CreateDeployment, CreateWebhook, EventPayload, Runtime, WebhookContent, WebhookEventType},
    webhooks::Verifier,
};
use tokio::sync::mpsc;
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::method};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    let address = std::env::var("PRISM_WEBHOOK_LISTEN").unwrap_or("127.0.0.1:9000".to_owned());
    let endpoint = MockServer::builder().listener(TcpListener::bind(address)?).start().await;

    let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
    let deployment = client.deployments().create(request.runtime(Runtime::Scripted)).await?;
    let agent = client.deployment(&deployment.deployment_id);
    agent.wait_until_ready().await?;

    // Of this deployment; without that it is told of all, also of those that are yet to come.
    let events = [WebhookEventType::RunStatus, WebhookEventType::SteeringRequest];
    let request = CreateWebhook::new("https://example.com/prism", events).deployment_id(agent.id().clone());
    let created = client.webhooks().create(request).await?.into_inner();
    let id = created.webhook.webhook_id;
    println!("created {id}");

    // The secret is told once: keep it where the receiver finds it.
    let verifier = Verifier::new(created.secret.expose())?;
    let (tell, mut told) = mpsc::channel(16);
    let receiver = move |request: &Request| {
        let (status, line) = receive(&verifier, &request.headers, &request.body);
        // Once the example is over nobody listens any more.
        let _ = tell.try_send(line);
        ResponseTemplate::new(status.as_u16())
    };
    Mock::given(method("POST")).respond_with(receiver).mount(&endpoint).await;

    // A message of no agent, to see whether it arrives; then what one does.
    client.webhooks().test(&id).await?;
    println!("{}", told.recv().await.ok_or("the receiver is there")?);
    agent.messages().send("Hello").await?;
    for _begin_and_end in 0..2 {
        println!("{}", told.recv().await.ok_or("the receiver is there")?);
    }

    // Somebody else who knows the URL is not believed.
    let verifier = Verifier::new(client.webhooks().rotate_secret(&id).await?.secret.expose())?;
    println!("{}", receive(&verifier, &HeaderMap::new(), b"{}").1);

    client.webhooks().delete(&id).await?;
    agent.delete().await?;
    Ok(())
}

/// The receiver, in whatever framework: it needs the headers, and the body byte for byte.
fn receive(verifier: &Verifier, headers: &HeaderMap, body: &[u8]) -> (StatusCode, String) {
    let received = match verifier.verify(headers, body) {
        Ok(received) => received,
        Err(error) => return (StatusCode::UNAUTHORIZED, format!("refused: {error}")),
    };
    // A message comes at least once. Remember `received.id`, and pass over one that is known.
    let line = match &received.message.content {
        WebhookContent::Ping(ping) => format!("{} was tried out", ping.webhook_id),
        WebhookContent::Event(told) => match &told.event.payload {
            EventPayload::RunStatus(changed) => format!("{} is {}", changed.run_id, changed.status),
            EventPayload::SteeringRequest(question) => format!("an agent asks: {}", question.summary),
            other => other.name().to_owned(),
        },
        _ => "something new".to_owned(),
    };
    (StatusCode::NO_CONTENT, line)
}
