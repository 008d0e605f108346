//! What all dialects share: authentication, decoding, limits, request ids, streams, files.

pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod change;
pub(crate) mod conditions;
pub(crate) mod cursor;
pub(crate) mod decode;
pub(crate) mod detach;
pub(crate) mod endpoints;
pub(crate) mod gate;
pub(crate) mod health;
pub(crate) mod idempotency;
pub(crate) mod linger;
pub(crate) mod media_type;
pub(crate) mod multipart;
#[cfg(feature = "schema")]
pub(crate) mod openapi;
pub(crate) mod query;
pub(crate) mod range;
pub(crate) mod rate_limit;
pub(crate) mod reply;
pub(crate) mod request_id;
pub(crate) mod sse;
pub(crate) mod stream;
pub(crate) mod upload;

pub(crate) use auth::ApiKeys;
pub use auth::{Authenticator, TrustedPrincipal};
