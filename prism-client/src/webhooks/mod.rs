//! Receiving webhooks: finding out whether a request is one that the server signed.
//!
//! Anybody can send a request to a public URL. A [`Verifier`] takes the headers and the body as they came, checks the
//! signature and the time, and answers what the message says. It sends nothing and needs no [`Client`](crate::Client).
//!
//! # A receiver
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use prism_client::{types::{EventPayload, WebhookContent}, webhooks::Verifier};
//!
//! /// Answers a request to the webhook's URL, in whatever framework: it needs the headers, and the body byte for byte.
//! fn receive(verifier: &Verifier, headers: &HeaderMap, body: &[u8]) -> StatusCode {
//!     let received = match verifier.verify(headers, body) {
//!         Ok(received) => received,
//!         Err(error) => {
//!             eprintln!("not from the server, or not for us: {error}");
//!             return StatusCode::UNAUTHORIZED;
//!         }
//!     };
//!     // The same id can come again: a message is delivered at least once.
//!     if is_known(&received.id) {
//!         return StatusCode::OK;
//!     }
//!     if let WebhookContent::Event(told) = &received.message.content {
//!         if let EventPayload::RunStatus(changed) = &told.event.payload {
//!             println!("{}: {} is {}", told.deployment_id, changed.run_id, changed.status);
//!         }
//!     }
//!     // Work that takes longer than some seconds goes into a queue of your own first.
//!     StatusCode::OK
//! }
//! # fn is_known(_: &str) -> bool { false }
//! #
//! # let verifier = Verifier::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
//! # assert_eq!(receive(&verifier, &HeaderMap::new(), b"{}"), StatusCode::UNAUTHORIZED);
//! ```
//!
//! # The rules
//!
//! The scheme is that of the [Standard Webhooks](https://www.standardwebhooks.com) specification, version 1.0.0:
//! `webhook-signature` has one signature or several, with spaces between; a `v1` signature is the HMAC-SHA256 of
//! `webhook-id`, `webhook-timestamp` and the body, with dots between, in base64. Signatures of other versions are passed
//! over.

mod error;
mod verifier;

pub use error::{InvalidSecret, VerifyError};
pub use verifier::{Received, Verifier};
