//! The control plane as a value: a tower service and a future. It owns no socket.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use axum::Router;
use prism_types::{ApiKeyId, Runtime, Secret, SecretRef, TenantId, WebhookId};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    adapters::{
        egress::HttpEgress,
        harness::{ScriptedHarness, UnavailableHarness},
        sandbox::MemorySandbox,
        skill_fetcher::GuardedFetcher,
        staging::DiskStaging,
        store::MemoryStore,
    },
    core::{Core, Settings},
    dialects,
    domain::{
        event::LoggedEvent,
        limits,
        secret::SealedSecret,
        tenant::{ApiKey, Scopes, Tenant},
    },
    edge::Urls,
    engine::{Engine, Nudges},
    error::{Error, Result},
    event_log::EventLog,
    http::{
        ApiKeys, Authenticator,
        health::{self, Pulse},
    },
    outbound::{Gateway, Outbounds, Provider},
    ports::{
        AppendListener, Clock, Egress, Harness, ListQuery, Sandbox, SecretBox, SkillFetcher, Staging, Store,
        SystemClock,
    },
    service::{
        api_keys, files::FileDesks, known_keys::KnownKeys, machines::Machines,
        programs::environments::Environments, secrets, tenants,
    },
};

/// Everything that deploys and runs agents, ready to be served.
///
/// [`ControlPlane::router`] answers requests, [`ControlPlane::run`] does the work behind them, and
/// [`ControlPlane::shutdown`] ends both: open streams are closed, runs in flight stop at their last
/// checkpoint and are taken up by the next control plane on the same store.
///
/// ```
/// use prism_server_core::{ControlPlane, adapters::secret_box::{MasterKey, SealedBox}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let plane = ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([7; 32]))).build().await?;
/// let tenant = plane.admin().create_tenant("acme").await?;
/// let router = plane.router();
/// let engine = tokio::spawn(plane.run());
/// // … serve `router` with axum, or nest it in a router of your own …
/// # drop(router);
/// plane.shutdown();
/// engine.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ControlPlane {
    core: Arc<Core>,
    authenticator: Arc<dyn Authenticator>,
    engine: Arc<std::sync::Mutex<Option<Engine>>>,
}

impl ControlPlane {
    /// A control plane that seals secrets with `secret_box`, with everything else at its default: records in
    /// memory, API keys of the store, the runtime `scripted`.
    pub fn builder(secret_box: impl SecretBox) -> Builder {
        Builder {
            store: None,
            clock: Arc::new(SystemClock),
            secret_box: Arc::new(secret_box),
            skill_fetcher: None,
            egress: None,
            providers: BTreeMap::new(),
            authenticator: None,
            harnesses: BTreeMap::new(),
            sandboxes: BTreeMap::new(),
            staging: None,
            settings: Settings::default(),
        }
    }

    /// The native API under `/v1`, as a tower service.
    pub fn router(&self) -> Router {
        dialects::prism::router(self.core.clone(), &self.authenticator)
    }

    /// The API of agent deployments and the services that it runs, as a tower service that gives everything else to `inner`.
    /// Where the services have a domain of their own it has to be the outermost router, for it looks at names.
    #[cfg(feature = "nullspace")]
    pub fn with_agent_deployments(&self, inner: Router) -> Router {
        let core = &self.core;
        let directory = Arc::new(crate::service::programs::reach::Services::new(core.clone()));
        let (shutdown, tasks) = (core.shutdown.clone(), core.tasks.clone());
        let edge = crate::edge::Edge::new(core.urls.clone(), directory, &core.settings, shutdown, tasks);
        let deployments = dialects::nullspace::router(core.clone(), &self.authenticator);
        let services = crate::edge::router(edge.clone());
        crate::edge::by_host(edge, dialects::nullspace::beside(inner, deployments, services))
    }

    /// `/healthz` and `/readyz` for load balancers and supervisors, as a tower service. They need no key: serve them where
    /// only those can reach them, if that matters to you.
    ///
    /// `/healthz` is 200 as long as the process answers. `/readyz` is 200 when the store answers, the engine runs and no
    /// shutdown has begun; else 503 with a list of problems.
    pub fn health_router(&self) -> Router {
        health::router(self.core.clone())
    }

    /// The OpenAPI 3.1 documents, as a tower service: `/openapi.json` of the native API, and with the feature `nullspace`
    /// `/openapi/nullspace.json` of agent deployments. They need no key, and tell nothing of what is stored.
    #[cfg(feature = "schema")]
    pub fn openapi_router(&self) -> Router {
        dialects::documents::router()
    }

    /// Does the work behind the API until the shutdown; ends when everything under way has ended. A second
    /// call, on whatever clone, ends at once.
    pub fn run(&self) -> impl Future<Output = ()> + Send + 'static {
        let engine = self.engine.lock().ok().and_then(|mut engine| engine.take());
        async move {
            if let Some(engine) = engine {
                engine.run().await;
            }
        }
    }

    /// Ends streams and work. Requests that are being answered go on.
    pub fn shutdown(&self) {
        self.core.shutdown.cancel();
    }

    /// A token that is cancelled by [`ControlPlane::shutdown`].
    pub fn shutdown_token(&self) -> CancellationToken {
        self.core.shutdown.clone()
    }

    #[cfg(test)]
    pub(crate) fn core(&self) -> Arc<Core> {
        self.core.clone()
    }

    /// What an operator does: tenants, keys, secrets.
    pub fn admin(&self) -> Admin {
        Admin {
            store: self.core.store.clone(),
            secret_box: self.core.secret_box.clone(),
            clock: self.core.clock.clone(),
            known_keys: self.core.known_keys.clone(),
        }
    }
}

/// Collects the parts of a [`ControlPlane`].
#[must_use]
pub struct Builder {
    store: Option<Arc<dyn Store>>,
    clock: Arc<dyn Clock>,
    secret_box: Arc<dyn SecretBox>,
    skill_fetcher: Option<Arc<dyn SkillFetcher>>,
    egress: Option<Arc<dyn Egress>>,
    providers: BTreeMap<String, Provider>,
    authenticator: Option<Arc<dyn Authenticator>>,
    harnesses: BTreeMap<String, Arc<dyn Harness>>,
    sandboxes: BTreeMap<String, Arc<dyn Sandbox>>,
    staging: Option<Arc<dyn Staging>>,
    settings: Settings,
}

impl Builder {
    /// Keeps records in this store. Default: memory, which forgets them.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Tells the time by this clock. Default: the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Fetches skills with this. Default: [`GuardedFetcher`] without development origins.
    pub fn skill_fetcher(mut self, fetcher: impl SkillFetcher) -> Self {
        self.skill_fetcher = Some(Arc::new(fetcher));
        self
    }

    /// Sends the requests of agents, and those to webhooks, with this. Default: [`HttpEgress`] without development origins.
    pub fn egress(mut self, egress: impl Egress) -> Self {
        self.egress = Some(Arc::new(egress));
        self
    }

    /// Adds a provider of models, or replaces the one of the same name. It gets the calls of deployments whose
    /// model starts with `name/`; the provider `*` gets those of all other deployments. Default: none, so that
    /// every call of a model is refused.
    ///
    /// ```
    /// use prism_server_core::{Builder, InvalidProvider, Prices, Provider};
    ///
    /// fn with_provider(builder: Builder, key: &str) -> Result<Builder, InvalidProvider> {
    ///     let provider = Provider::new("https://api.example.com/v1", Some(key.into()))?;
    ///     // Credits for 1,000,000 tokens.
    ///     Ok(builder.provider("anthropic", provider.prices(Prices { input: 3_000_000, output: 15_000_000 })))
    /// }
    /// ```
    pub fn provider(mut self, name: impl Into<String>, provider: Provider) -> Self {
        self.providers.insert(name.into(), provider);
        self
    }

    /// Finds out by this who makes a request. Default: API keys of the store,
    /// sent as bearer tokens.
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Some(Arc::new(authenticator));
        self
    }

    /// Adds a harness, or replaces the one of the same runtime.
    pub fn harness(mut self, harness: impl Harness) -> Self {
        self.harnesses.insert(harness.runtime().to_string(), Arc::new(harness));
        self
    }

    /// Adds sandboxes of a kind, or replaces those of the same kind.
    pub fn sandbox(self, sandbox: impl Sandbox) -> Self {
        self.shared_sandbox(Arc::new(sandbox))
    }

    /// As [`Builder::sandbox`], with sandboxes that others use as well.
    pub fn shared_sandbox(mut self, sandbox: Arc<dyn Sandbox>) -> Self {
        self.sandboxes.insert(sandbox.kind().to_string(), sandbox);
        self
    }

    /// Keeps parts of uploads there until all have come. Default: a folder among the temporary files of the machine, which is
    /// removed with the control plane, so that no upload outlives it.
    pub fn staging(mut self, staging: impl Staging) -> Self {
        self.staging = Some(Arc::new(staging));
        self
    }

    /// Replaces the settings.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Puts the parts together and finds out what an earlier control plane on the store left in flight.
    ///
    /// # Errors
    /// When the store cannot be read, or the fetcher of skills, the egress or the folder for uploads cannot be made.
    pub async fn build(mut self) -> Result<ControlPlane> {
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::new()));
        let skill_fetcher = match self.skill_fetcher {
            Some(fetcher) => fetcher,
            None => Arc::new(GuardedFetcher::builder().build().map_err(Error::internal)?),
        };
        let egress = match self.egress {
            Some(egress) => egress,
            None => Arc::new(HttpEgress::builder().build().map_err(Error::internal)?),
        };
        let staging = match self.staging {
            Some(staging) => staging,
            None => Arc::new(DiskStaging::temporary().map_err(Error::internal)?),
        };
        let tasks = TaskTracker::new();
        let secret_box = self.secret_box.clone();
        let gateway = Gateway::new(store.clone(), secret_box, egress.clone(), self.providers, tasks.clone());
        let outbounds = Outbounds::new(gateway);
        default_part(&mut self.harnesses, Runtime::Scripted.as_str(), || Arc::new(ScriptedHarness::new()));
        default_part(&mut self.harnesses, Runtime::Hermes.as_str(), || {
            let reason = "this server has no Hermes agent; use the runtime `scripted`";
            Arc::new(UnavailableHarness::new(Runtime::Hermes, "runtime_unavailable", reason))
        });
        default_part(&mut self.sandboxes, "memory", || Arc::new(MemorySandbox::new()));
        let event_log = Arc::new(EventLog::default());
        let (nudges, receivers) = Nudges::new();
        store.set_append_listener(Arc::new(Told { event_log: event_log.clone(), nudges: nudges.clone() }));
        for sandboxes in self.sandboxes.values() {
            sandboxes.set_listener(Arc::new(nudges.clone()));
        }
        let urls = Urls::new(self.secret_box.as_ref(), self.clock.clone(), &self.settings);
        let core = Arc::new(Core {
            urls: Arc::new(urls.map_err(Error::internal)?),
            store: store.clone(),
            clock: self.clock,
            secret_box: self.secret_box,
            skill_fetcher,
            harnesses: self.harnesses,
            sandboxes: self.sandboxes,
            settings: self.settings,
            event_log,
            nudges,
            cancellations: Arc::default(),
            shutdown: CancellationToken::new(),
            tasks,
            known_keys: Arc::default(),
            outbounds,
            turns: Arc::default(),
            egress,
            file_desks: FileDesks::default(),
            environments: Environments::default(),
            machines: Machines::default(),
            staging,
            uploads: Mutex::default(),
            large_bodies: Semaphore::new(limits::LARGE_BODIES),
            pulse: Pulse::default(),
        });
        let engine = Engine::new(core.clone(), receivers).await?;
        let authenticator =
            self.authenticator.unwrap_or_else(|| Arc::new(ApiKeys::new(store, core.known_keys.clone())));
        Ok(ControlPlane { core, authenticator, engine: Arc::new(std::sync::Mutex::new(Some(engine))) })
    }
}

/// Who is told of commits: the streams of the events, the engine of what is to be sent to webhooks.
struct Told {
    event_log: Arc<EventLog>,
    nudges: Nudges,
}

impl AppendListener for Told {
    fn appended(&self, events: &[LoggedEvent]) {
        self.event_log.appended(events);
    }

    fn queued(&self, webhooks: &[WebhookId]) {
        for webhook in webhooks {
            self.nudges.webhook(webhook.clone());
        }
    }
}

fn default_part<T: ?Sized>(parts: &mut BTreeMap<String, Arc<T>>, name: &str, make: impl FnOnce() -> Arc<T>) {
    if !parts.contains_key(name) {
        parts.insert(name.to_owned(), make());
    }
}

/// What an operator does, on a store that may be served at the same time by another process.
#[derive(Clone)]
pub struct Admin {
    store: Arc<dyn Store>,
    secret_box: Arc<dyn SecretBox>,
    clock: Arc<dyn Clock>,
    known_keys: Arc<KnownKeys>,
}

impl Admin {
    /// Works on a store directly, without a control plane.
    pub fn new(store: Arc<dyn Store>, secret_box: impl SecretBox) -> Self {
        Self {
            store,
            secret_box: Arc::new(secret_box),
            clock: Arc::new(SystemClock),
            known_keys: Arc::default(),
        }
    }

    /// Creates a tenant with unlimited credits.
    ///
    /// # Errors
    /// When the name is empty, longer than 255 characters or taken, or the store fails.
    pub async fn create_tenant(&self, name: &str) -> Result<Tenant> {
        tenants::create(self.store.as_ref(), self.clock.as_ref(), name).await
    }

    /// A tenant by its name.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn tenant(&self, name: &str) -> Result<Tenant> {
        tenants::find(self.store.as_ref(), name).await
    }

    /// Tenants, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tenants(&self, query: ListQuery<TenantId>) -> Result<Vec<Tenant>> {
        tenants::list(self.store.as_ref(), query).await
    }

    /// Sets the credits of a tenant; `None`: unlimited.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn set_credits(&self, tenant: &str, credits: Option<u64>) -> Result<Tenant> {
        tenants::set_credits(self.store.as_ref(), self.clock.as_ref(), tenant, credits).await
    }

    /// Creates an API key. The key is returned once and cannot be had again. `own` is a key that the operator
    /// brings, 24 to 512 visible ASCII characters.
    ///
    /// # Errors
    /// When the name or the key is not fit, or the store fails.
    pub async fn create_key(
        &self,
        tenant: &TenantId,
        name: &str,
        scopes: Scopes,
        own: Option<&Secret>,
    ) -> Result<(ApiKey, Secret)> {
        api_keys::create(self.store.as_ref(), self.clock.as_ref(), tenant, name, scopes, own).await
    }

    /// The keys of a tenant, revoked ones too, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keys(&self, tenant: &TenantId) -> Result<Vec<ApiKey>> {
        api_keys::list(self.store.as_ref(), tenant).await
    }

    /// Revokes a key: at once for the control plane that this comes from, within a second for another process
    /// on the same store.
    ///
    /// # Errors
    /// When the tenant has no such key, or the store fails.
    pub async fn revoke_key(&self, tenant: &TenantId, id: &ApiKeyId) -> Result<()> {
        api_keys::revoke(self.store.as_ref(), &self.known_keys, self.clock.as_ref(), tenant, id).await
    }

    /// Sets the value of a secret, new or replaced.
    ///
    /// # Errors
    /// When the value is empty or longer than 65,536 bytes, or the store fails.
    pub async fn set_secret(&self, tenant: &TenantId, reference: &SecretRef, value: &Secret) -> Result<()> {
        let (store, secret_box, clock) = (self.store.as_ref(), self.secret_box.as_ref(), self.clock.as_ref());
        secrets::set(store, secret_box, clock, tenant, reference, value).await
    }

    /// The secrets of a tenant, sealed, by reference.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn secrets(&self, tenant: &TenantId) -> Result<Vec<SealedSecret>> {
        secrets::list(self.store.as_ref(), tenant).await
    }

    /// Removes a secret.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn delete_secret(&self, tenant: &TenantId, reference: &SecretRef) -> Result<()> {
        secrets::delete(self.store.as_ref(), self.clock.as_ref(), tenant, reference).await
    }
}
