//! The wire dialects: ways to say the core's nouns over HTTP.
//!
//! A dialect decodes requests, names things its way, calls the use cases and encodes what comes of them. It
//! keeps no state of its own.

pub mod prism;
