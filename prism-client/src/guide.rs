//! A guide, chapter by chapter. It has no code: its samples are compiled and run with the tests of this crate.
//!
//! | chapter | read it when |
//! |---|---|
//! | [A first conversation](first_conversation) | you begin |
//! | [Deployments and waiting](deployments) | you create agents, and wait for them or for what they do |
//! | [Chat](chat) | people talk with agents |
//! | [Events that never get lost](events) | a program follows what agents do |
//! | [Lists](lists) | there is more than a page of something |
//! | [Errors, retries and idempotency](errors) | something fails, or must not be done twice |
//! | [Time limits](time_limits) | somebody waits |
//! | [Files](files) | you give agents files, or take theirs |
//! | [Webhooks](webhooks) | you want to be told |
//! | [Middleware and transports](middleware) | requests are to be signed, measured, limited, or go elsewhere |
//! | [Tracing](tracing) | you want to see what happens |
//! | [Testing your program](testing) | you write tests |
//! | [Without async](blocking) | your program has no runtime |
//! | [Going to production](production) | before the first release |
//!
//! Whole programs, one for each resource, are in `prism-client/examples`.

// A chapter is there whatever the features; the samples of some are not run without the one that they are about. For that
// reason chapters do not link into the modules of features.

#[doc = include_str!("../guide/first_conversation.md")]
pub mod first_conversation {}

#[doc = include_str!("../guide/deployments.md")]
pub mod deployments {}

#[doc = include_str!("../guide/chat.md")]
pub mod chat {}

#[doc = include_str!("../guide/events.md")]
pub mod events {}

#[doc = include_str!("../guide/lists.md")]
pub mod lists {}

#[doc = include_str!("../guide/errors.md")]
pub mod errors {}

#[doc = include_str!("../guide/time_limits.md")]
pub mod time_limits {}

#[doc = include_str!("../guide/files.md")]
pub mod files {}

#[cfg(any(not(doctest), feature = "webhooks"))]
#[doc = include_str!("../guide/webhooks.md")]
pub mod webhooks {}

#[doc = include_str!("../guide/middleware.md")]
pub mod middleware {}

#[cfg(any(not(doctest), feature = "tracing"))]
#[doc = include_str!("../guide/tracing.md")]
pub mod tracing {}

#[doc = include_str!("../guide/testing.md")]
pub mod testing {}

#[cfg(any(not(doctest), feature = "blocking"))]
#[doc = include_str!("../guide/blocking.md")]
pub mod blocking {}

#[doc = include_str!("../guide/production.md")]
pub mod production {}
