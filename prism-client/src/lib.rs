//! An async client of the Prism agent platform.
//!
//! # A first conversation
//!
//! ```no_run
//! use prism_client::{Client, chat::Part, types::CreateDeployment};
//!
//! # async fn example() -> Result<(), prism_client::Error> {
//! let client = Client::from_env()?; // PRISM_API_KEY and PRISM_BASE_URL
//!
//! let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
//! let created = client.deployments().create(request).await?;
//! let agent = client.deployment(&created.deployment_id);
//! agent.wait_until_ready().await?;
//!
//! let mut turn = agent.chat("Plan our summer campaign.").await?;
//! while let Some(part) = turn.next().await.transpose()? {
//!     if let Part::Text(piece) = part {
//!         print!("{piece}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The [guide] goes on from here, chapter by chapter. Whole programs, one for each resource, are in
//! `prism-client/examples`.
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
//! let list = client.deployments().list().customer_id("cus_123").limit(50);
//! let page = list.timeout(Duration::from_secs(5)).send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! * A call that reads one thing can [`wait`] until a condition is met: `.wait_until(..)`. A call that lists is a stream:
//!   `.items()` or `.pages()`.
//! * A [`chat`] is a message and what the agent does about it, as a stream of text, tool calls and questions, or as one
//!   [`Reply`](chat::Reply).
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
//! **A call is tried again** when it failed in a way that may pass: no connection, one that broke, a time limit of an
//! attempt, and the statuses 408, 425, 429, 500 and from 502 on. By default it is sent three times at most; see
//! [`RetryPolicy`]. That is safe, because a call is sent again only if, sent twice, it is carried out once:
//!
//! | call | why it can be sent again |
//! |---|---|
//! | reads | they change nothing |
//! | `POST` | it has an idempotency key, the same for all attempts: yours, or a random one |
//! | changes and deletes | they say what is to be, not what is to be done |
//! | changes with `if_match` or `only_if_new`, files from a stream | they cannot: only after 429, or if there was no connection |
//!
//! A delete whose first answer was lost can find that there is nothing any more, and fails with
//! [`Error::is_not_found`]; [`Error::attempts`] tells.
//!
//! Pauses between attempts grow, and differ at random. A pause that the server asks for (`retry-after`) is kept. The time
//! limit of the call holds for all of it: a pause that would end after it is not begun, and the error tells what the
//! server asked for. All calls of a client have one budget: when more than a fifth of them have to be tried again, they
//! fail at once, until the server is better.
//!
//! **A stream resumes by itself**, without a gap and without repeats; see [`EventStream`]. What happens to its connection
//! meanwhile, its [`signals`](EventStream::signals) tell.
//!
//! **A download goes on** with the same version of the file where its connection broke; see
//! [`FileContent`](resources::FileContent).
//!
//! **Waiting tolerates what passes** until its time limit; see [`wait`].
//!
//! # Time limits
//!
//! | what | default | set by |
//! |---|---|---|
//! | opening a connection | 10 s | [`ClientBuilder::connect_timeout`] |
//! | a whole call, with all attempts | 60 s | [`ClientBuilder::timeout`], or `timeout` of the call |
//! | one attempt | none | [`ClientBuilder::attempt_timeout`], or `attempt_timeout` of the call |
//! | a pause within an answer | none | [`ClientBuilder::read_timeout`] |
//! | opening a stream, with all attempts | 60 s | [`OpenEventStream::timeout`](events::OpenEventStream::timeout) |
//! | silence on a stream | 30 s | [`OpenEventStream::idle_timeout`](events::OpenEventStream::idle_timeout) |
//! | waiting for something | 5 min | [`Wait::timeout`](wait::Wait::timeout) |
//!
//! These are the defaults of a [`BehaviorVersion`], which can be pinned. Each request says in the header
//! `x-prism-timeout-ms` for how much longer it is waited for, and in `x-prism-attempt` which attempt it is.
//!
//! # Secrets
//!
//! The API key is kept as a header that no `Debug` shows, it is sent to the base URL only, and redirects are
//! not followed. Errors show of an answer only what the server put in its error body. Spans have the fields of a short
//! list, none of which is private: see the feature `tracing`.
//!
//! # Middleware, tests, and other ways to connect
//!
//! Everything goes through one service, which layers of tower can be put around, and which other services can take the
//! place of: see [`transport`]. Proxies, root certificates or a whole `reqwest::Client` of your own are settings of the
//! [`ClientBuilder`].
//!
//! # Cargo features
//!
//! * `rustls` (default): TLS by rustls, with the platform's certificates.
//! * `native-tls`: TLS by the platform's own library.
//! * `tracing` (default): a span `prism_client.call` for each call, and an event for each attempt that is followed by
//!   another one and for each connection that a stream lost. Their fields are `otel.name` (the operation, with names in
//!   place of ids), `otel.kind`, `otel.status_code`, `http.request.method`, `url.template`, `http.response.status_code`,
//!   `http.request.resend_count`, `error.type`, `prism.request_id`, `attempt`, `failures` and `pause_ms`, and no others.
//! * `nullspace`: the module `nullspace`, a client of the API of agent deployments.
//! * `webhooks`: the module `webhooks`, which verifies what a webhook is sent.
//! * `mock`: the module `mock`, servers in memory for the tests of your own code.
//! * `blocking`: the module `blocking`, for programs without `async`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod backoff;
#[cfg(feature = "blocking")]
pub mod blocking;
mod call;
pub mod chat;
mod client;
mod error;
pub mod events;
// Its samples run against the server of `mock`, so without that feature they are not collected.
#[cfg(any(not(doctest), feature = "mock"))]
pub mod guide;
#[cfg(feature = "mock")]
pub mod mock;
#[cfg(feature = "nullspace")]
pub mod nullspace;
mod pages;
mod rate_limit;
pub mod resources;
mod response;
mod retry;
pub mod sse;
mod telemetry;
pub mod transport;
pub mod wait;
#[cfg(feature = "webhooks")]
pub mod webhooks;

pub use backoff::Backoff;
pub use client::{BehaviorVersion, Client, ClientBuilder};
pub use error::Error;
pub use events::EventStream;
pub use pages::{Items, Pages};
#[doc(inline)]
pub use prism_types as types;
pub use rate_limit::RateLimit;
pub use response::Response;
pub use retry::RetryPolicy;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
