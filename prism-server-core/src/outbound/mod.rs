//! What an agent reaches outside its sandbox: its model and its MCP servers.
//!
//! The credentials stay here. An agent asks the gateway, in a sandbox that has no other way out; the gateway adds
//! the credential, keeps the limits, counts what is used, and takes every secret out of the answer. So an agent
//! that was talked into telling all it knows has nothing to tell.
//!
//! | file | what it has |
//! |---|---|
//! | `provider` | who serves models, and what they cost |
//! | `model` | the route of the model |
//! | `relay` | its answers on their way |
//! | `usage` | reading what was used out of them |
//! | `metering` | writing it down |
//! | `memory` | how much of it a deployment may hold |
//! | `mcp` | the route of MCP servers, and asking them for their tools |
//! | `secrets` | opened secrets, and what is scrubbed |
//! | `sse` | cutting streams into events |
//!
//! An [`Outbounds`] gives out one outside per start of an agent or run. What lasts, such as the limits, is kept
//! per deployment and shared by all of them.

mod mcp;
mod memory;
mod metering;
mod model;
mod provider;
mod relay;
mod secrets;
mod sse;
#[cfg(test)]
mod tests;
mod usage;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    routing::{get, post},
};
use prism_types::{DeploymentId, Failure, TenantId};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

pub(crate) use self::mcp::{ListedServer, ListedTool};
pub use self::provider::{InvalidProvider, Prices, Provider};
use self::{mcp::AllowedCalls, memory::Memory, secrets::KnownSecrets};
use crate::{
    domain::{
        deployment::{AgentSpec, Deployment},
        limits,
        scrubber::Scrubber,
    },
    error::failure,
    ports::{Egress, Outbound, SecretBox, Store, ToolCall},
};

/// What all outsides work with.
pub(crate) struct Gateway {
    store: Arc<dyn Store>,
    secret_box: Arc<dyn SecretBox>,
    egress: Arc<dyn Egress>,
    /// By the prefix of the models that they serve; `*`: all others.
    providers: BTreeMap<String, Provider>,
    /// Where what was used is written down, also when the caller is gone.
    tasks: TaskTracker,
    /// Takes the keys of providers out. Only answers of providers can have them.
    keys: Scrubber,
}

impl Gateway {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        secret_box: Arc<dyn SecretBox>,
        egress: Arc<dyn Egress>,
        providers: BTreeMap<String, Provider>,
        tasks: TaskTracker,
    ) -> Self {
        let keys = providers.values().filter_map(Provider::api_key);
        let keys = Scrubber::new(keys.map(|key| key.expose().to_owned()));
        Self { store, secret_box, egress, providers, tasks, keys }
    }
}

/// The outsides of all deployments.
pub(crate) struct Outbounds {
    gateway: Arc<Gateway>,
    shared: Mutex<HashMap<DeploymentId, Arc<Shared>>>,
}

/// What all outsides of one deployment share.
struct Shared {
    refusal: Mutex<Option<Failure>>,
    model_calls: Arc<Semaphore>,
    mcp_calls: Arc<Semaphore>,
    mcp_listings: Semaphore,
    allowed_calls: AllowedCalls,
    memory: Memory,
    secrets: KnownSecrets,
}

/// An agent, seen from the outside.
struct Agent {
    gateway: Arc<Gateway>,
    shared: Arc<Shared>,
    tenant_id: TenantId,
    customer_id: String,
    spec: Arc<AgentSpec>,
    /// The resolved model, such as `anthropic/claude-sonnet-4.5`.
    model: String,
}

/// The outside of one agent.
struct AgentOutbound(Arc<Agent>);

impl Outbounds {
    pub(crate) fn new(gateway: Gateway) -> Self {
        Self { gateway: Arc::new(gateway), shared: Mutex::default() }
    }

    /// The outside of an agent.
    ///
    /// # Errors
    /// When its secrets cannot be read.
    pub(crate) async fn make(
        &self,
        deployment: &Deployment,
        spec: &Arc<AgentSpec>,
        model: String,
    ) -> Result<Arc<dyn Outbound>, Failure> {
        let agent = self.agent(deployment, spec.clone(), model);
        agent.secrets().await.map_err(|error| {
            tracing::error!(deployment = %deployment.id, %error, "the secrets of a deployment cannot be read");
            failure("internal", "the secrets of the deployment could not be read; try again")
        })?;
        Ok(Arc::new(AgentOutbound(Arc::new(agent))))
    }

    /// Asks the MCP servers of a deployment for their tools, those that are switched off too. `None`: that is being
    /// done too often already.
    pub(crate) async fn list_tools(
        &self,
        deployment: &Deployment,
        mut spec: AgentSpec,
    ) -> Option<Vec<ListedServer>> {
        spec.disabled_tools.clear();
        let agent = Arc::new(self.agent(deployment, Arc::new(spec), String::new()));
        let shared = agent.shared.clone();
        let _permit = shared.mcp_listings.try_acquire().ok()?;
        Some(mcp::list(agent).await)
    }

    fn agent(&self, deployment: &Deployment, spec: Arc<AgentSpec>, model: String) -> Agent {
        Agent {
            gateway: self.gateway.clone(),
            shared: self.shared_by(&deployment.id),
            tenant_id: deployment.tenant_id.clone(),
            customer_id: deployment.customer_id.clone(),
            spec,
            model,
        }
    }

    /// Forgets what is kept of a deployment. Outsides that were given out go on.
    pub(crate) fn forget(&self, id: &DeploymentId) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn shared_by(&self, id: &DeploymentId) -> Arc<Shared> {
        let mut all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            Arc::new(Shared {
                refusal: Mutex::default(),
                model_calls: Arc::new(Semaphore::new(limits::MODEL_CALLS)),
                mcp_calls: Arc::new(Semaphore::new(limits::MCP_CALLS)),
                mcp_listings: Semaphore::new(limits::MCP_LISTINGS),
                allowed_calls: AllowedCalls::default(),
                memory: Memory::new(),
                secrets: KnownSecrets::default(),
            })
        };
        all.entry(id.clone()).or_insert_with(make).clone()
    }
}

impl Agent {
    /// Sets why the model was refused; `None`: it answered.
    fn set_refusal(&self, refusal: Option<Failure>) {
        *self.shared.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }
}

impl Outbound for AgentOutbound {
    fn router(&self) -> Router {
        Router::new()
            .route("/model/v1/chat/completions", post(model::chat_completions))
            .route("/model/v1/models", get(model::models))
            .route("/mcp/{name}", get(mcp::get).post(mcp::post).delete(mcp::delete))
            .with_state(self.0.clone())
    }

    fn refusal(&self) -> Option<Failure> {
        self.0.shared.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn scrubber(&self) -> Arc<Scrubber> {
        self.0.shared.secrets.scrubber()
    }

    fn allow_call(&self, call: ToolCall) {
        self.0.shared.allowed_calls.allow(call);
    }

    fn withdraw_call(&self, call: &ToolCall) {
        self.0.shared.allowed_calls.take(call);
    }
}
