//! The control plane of Prism, to be embedded: deploy an agent for each customer, talk to it, follow what it
//! does.
//!
//! [`ControlPlane`] is a value: [`ControlPlane::router`] is a tower service to serve or to nest in a gateway of
//! your own, and [`ControlPlane::run`] is the future that does the work behind it. What it needs of the
//! outside are the traits of [`ports`], for which [`adapters`] has implementations.
//!
//! From the ground up:
//!
//! | module | what lives there |
//! |---|---|
//! | [`domain`] | the nouns, their rules and state machines; pure |
//! | [`ports`] | the traits: store, sandbox, hosting, harness, secret box, skill fetcher, egress, clock |
//! | `service` | the use cases, one file per noun |
//! | `engine` | the reconcilers that make what is wanted so |
//! | `outbound` | what agents reach outside: models, MCP servers; metering |
//! | `edge` | what reaches hosted services from outside |
//! | `event_log` | following a deployment's log, replayed and live |
//! | [`adapters`] | implementations of the ports |
//! | `http` | what all dialects share |
//! | [`dialects`] | the wire forms; that of agent deployments with the feature `nullspace` |
//! | [`bundle`] | archives of programs, checked before anything unpacks them |
//! | `telemetry` | what operators see of all this |
//!
//! What is written is written before it is told: a stream is only ever a reader of the log, so a lost
//! connection, a slow reader or a restart costs a delay and never an event.

// The core is one, and dialects behind features are doors to it.
#![cfg_attr(
    not(feature = "nullspace"),
    allow(dead_code, reason = "only a dialect that was left out uses it")
)]

pub mod adapters;
pub mod bundle;
mod control_plane;
mod core;
pub mod dialects;
pub mod domain;
mod edge;
mod engine;
mod error;
mod event_log;
mod http;
mod ids;
mod outbound;
pub mod ports;
mod service;
mod telemetry;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;

pub use control_plane::{Admin, Builder, ControlPlane};
pub use core::Settings;
pub use edge::{EdgeDomain, InvalidEdgeDomain};
pub use error::{Error, ErrorKind, Result};
pub use http::{Authenticator, TrustedPrincipal};
pub use outbound::{InvalidProvider, Prices, Provider};
pub use telemetry::describe_metrics;
