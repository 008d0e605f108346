//! The wire dialects: ways to say the core's nouns over HTTP.
//!
//! A dialect decodes requests, names things its way, calls the use cases and encodes what comes of them. It
//! keeps no state of its own.

#[cfg(feature = "schema")]
pub(crate) mod documents;
#[cfg(feature = "nullspace")]
pub mod nullspace;
pub mod prism;
