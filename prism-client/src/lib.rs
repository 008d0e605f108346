//! An async client of the Prism agent platform.
//!
//! # A first conversation
//!
//! ```no_run
//! use prism_client::{Client, types::{CreateDeployment, EventPayload}};
//!
//! # async fn example() -> Result<(), prism_client::Error> {
//! let client = Client::from_env()?; // PRISM_API_KEY and PRISM_BASE_URL
//!
//! let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
//! let created = client.deployments().create(request).await?;
//! let agent = client.deployment(&created.deployment_id);
//! agent.wait_until_ready().await?;
//!
//! // Open the stream before the message is sent, so that nothing is missed.
//! let mut events = agent.events().stream().open().await?;
//! let receipt = agent.messages().send("Plan our summer campaign.").await?;
//! while let Some(event) = events.next().await.transpose()? {
//!     match event.payload {
//!         EventPayload::Token(token) => print!("{}", token.delta),
//!         EventPayload::RunStatus(change) if change.run_id == receipt.run_id => {
//!             println!("[{}]", change.status);
//!             if change.status.is_terminal() {
//!                 break;
//!             }
//!         }
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # How it is laid out
//!
//! * [`Client`] holds the settings and the connections. Clone it freely; one is enough.
//! * A **handle**, such as `client.deployment(&id).threads()`, names a thing and sends nothing.
//! * A **call**, such as `threads().list()`, is the builder of one request. Nothing is sent before `.send()`,
//!   or `.await` on the call itself. Options of one call have the names of the client's:
//!
//! ```no_run
//! # async fn example(client: prism_client::Client) -> Result<(), prism_client::Error> {
//! use std::time::Duration;
//!
//! let list = client.deployments().list().customer_id("cus_123").limit(50_u32);
//! let page = list.timeout(Duration::from_secs(5)).send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! * A [`Response`] is the value that was answered, with the status, the headers and the request id beside
//!   it.
//! * [`types`] has everything that travels: requests, answers, events, ids.
//!
//! # Errors
//!
//! Every failure is an [`Error`]. Ask it what it is; each question's documentation says what to do then:
//!
//! ```no_run
//! # async fn example(client: prism_client::Client, request: prism_client::types::CreateDeployment) {
//! match client.deployments().create(request).await {
//!     Ok(deployment) => println!("{} is {}", deployment.deployment_id, deployment.status),
//!     Err(error) if error.is_validation() => {
//!         for problem in error.body().map(|body| &body.problems[..]).unwrap_or_default() {
//!             println!("{}: {}", problem.path, problem.message);
//!         }
//!     }
//!     Err(error) if error.is_insufficient_credits() => println!("add credits first"),
//!     Err(error) => println!("{error}"),
//! }
//! # }
//! ```
//!
//! # What is tried again, and what is not
//!
//! **A call is sent once.** The client does not retry calls: whether it is right to send a message twice is
//! not for a library to guess. [`Error::is_retryable`] and [`Error::retry_after`] help to decide.
//!
//! **A stream resumes by itself**, without a gap and without repeats; see [`EventStream`]. Only its opening
//! is tried once, like a call.
//!
//! **Waiting tolerates what passes** until its time limit; see
//! [`WaitUntilReady`](resources::WaitUntilReady).
//!
//! # Time limits
//!
//! | what | default | set by |
//! |---|---|---|
//! | opening a connection | 10 s | [`ClientBuilder::connect_timeout`] |
//! | a whole call | 60 s | [`ClientBuilder::timeout`], or `timeout` of the call |
//! | silence on a stream | 30 s | [`OpenEventStream::idle_timeout`](events::OpenEventStream::idle_timeout) |
//! | waiting for a deployment | 5 min | [`WaitUntilReady::timeout`](resources::WaitUntilReady::timeout) |
//!
//! # Secrets
//!
//! The API key is kept as a header that no `Debug` shows, it is sent to the base URL only, and redirects are
//! not followed. Errors show of an answer only what the server put in its error body.
//!
//! # Cargo features
//!
//! * `rustls` (default): TLS by rustls, with the platform's certificates.
//! * `native-tls`: TLS by the platform's own library.
//! * `webhooks` (default): the module `webhooks`, which verifies what a webhook is sent.

mod backoff;
mod call;
mod client;
mod error;
pub mod events;
pub mod resources;
mod response;
pub mod sse;
#[cfg(feature = "webhooks")]
pub mod webhooks;

pub use backoff::Backoff;
pub use client::{Client, ClientBuilder};
pub use error::Error;
pub use events::EventStream;
#[doc(inline)]
pub use prism_types as types;
pub use response::Response;
