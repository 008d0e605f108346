//! End-to-end tests: a real control plane on a real database and real sockets, driven by the real client, by
//! plain HTTP, and as the real `prism` process.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod access;
mod automations;
mod bad_input;
mod changes;
mod chat;
mod client;
mod comparison;
mod crash;
mod dreams;
mod errors;
mod examples;
mod fake;
mod files;
mod health;
mod mcp_servers;
mod memories;
mod programs;
mod published_request;
mod readme;
mod runs;
mod skills;
mod snapshots;
mod steering;
mod streams;
mod tools;
mod webhooks;
