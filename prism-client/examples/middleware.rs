//! Middleware: layers of tower around everything that the client sends, to count, measure, sign or limit it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use http::{HeaderValue, Request};
use prism_client::{
    Client, Error,
    transport::{Attempt, Body, Operation, Transport},
};
use tower::{Service, ServiceBuilder, layer::layer_fn, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    // What tower has already: a header on every request, and at most eight requests at once.
    let ready_made = ServiceBuilder::new()
        .map_request(|mut request: Request<Body>| {
            request.headers_mut().insert("x-team", HeaderValue::from_static("creative"));
            request
        })
        .concurrency_limit(8);

    // One of your own. It sees each attempt, so retries are counted as well.
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let measured = layer_fn(move |inner: Transport| {
        let count = Arc::clone(&counted);
        service_fn(move |request: Request<Body>| {
            count.fetch_add(1, Ordering::Relaxed);
            measure(inner.clone(), request)
        })
    });

    // The layer that is added first sees a request first.
    let client = Client::builder().layer(measured).layer(ready_made).build()?;
    client.deployments().list().limit(1).await?;
    client.webhooks().list().limit(1).await?;
    println!("{} requests", count.load(Ordering::Relaxed));
    Ok(())
}

/// Sends a request, and tells how long its answer took.
async fn measure(mut inner: Transport, request: Request<Body>) -> Result<http::Response<Body>, Error> {
    // An operation has names in place of ids: good for metrics.
    let operation = request.extensions().get::<Operation>().map(Operation::to_string).unwrap_or_default();
    let attempt = request.extensions().get::<Attempt>().map_or(1, |attempt| attempt.number());
    let begun = Instant::now();
    let answer = inner.call(request).await?;
    println!("{operation}, attempt {attempt}: {} after {:?}", answer.status(), begun.elapsed());
    Ok(answer)
}
