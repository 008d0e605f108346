//! What an agent may reach outside its sandbox, and what may leave it.
//!
//! No credential is in a sandbox. What an agent asks of the outside it asks of the gateway, which adds the
//! credential, keeps the limits, and takes every secret out of the answer. How the two are connected is the
//! harness's business: it serves the [`Outbound::router`] of a deployment to its agent and to nobody else.

use std::sync::Arc;

use axum::Router;
use prism_types::Failure;

use crate::domain::{scrubber::Scrubber, tool::ToolName};

/// The outside of one deployment.
pub trait Outbound: Send + Sync + 'static {
    /// A service with these routes. Whoever serves it has made sure that the caller is the agent of the
    /// deployment.
    ///
    /// | route | what it is |
    /// |---|---|
    /// | `POST /model/v1/chat/completions` | the deployment's model, in the form of the OpenAI API, streamed or not; the model that a request names is replaced |
    /// | `GET /model/v1/models` | the one model there is |
    /// | `POST`, `GET`, `DELETE /mcp/{name}` | an MCP server of the deployment over streamable HTTP |
    fn router(&self) -> Router;

    /// Why the model was refused the last time it was asked; `None` when it answered, or was not asked yet. A
    /// run that the agent gives up for this reason fails with it.
    fn refusal(&self) -> Option<Failure>;

    /// Takes the secrets of the deployment out of what leaves the sandbox.
    fn scrubber(&self) -> Arc<Scrubber>;

    /// A human has allowed this one call of a tool of an MCP server. Calls that need an approval pass when they were
    /// allowed, each once, and are refused otherwise. Default: nothing, for outsides without MCP servers.
    fn allow_call(&self, call: ToolCall) {
        drop(call);
    }

    /// The call that was allowed will not be made. Default: nothing.
    fn withdraw_call(&self, call: &ToolCall) {
        let _ = call;
    }
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "harnesses of embedders build it")]
pub struct ToolCall {
    /// The tool.
    pub tool: ToolName,
    /// The arguments, as JSON.
    pub arguments: serde_json::Value,
}

/// An outside where there is nothing.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct NoOutbound;

impl Outbound for NoOutbound {
    fn router(&self) -> Router {
        Router::new()
    }

    fn refusal(&self) -> Option<Failure> {
        None
    }

    fn scrubber(&self) -> Arc<Scrubber> {
        Arc::new(Scrubber::default())
    }
}
