//! What tests are made of: conformance suites that any implementation of a port can run, ours and an
//! embedder's, and servers that stand for what an agent talks to.

pub mod clock;
pub mod harness;
pub mod hosting;
mod local_server;
pub mod mcp;
pub mod model;
pub mod sandbox;
pub mod staging;
pub mod store;
pub mod workspace;

pub use local_server::RecordedRequest;
