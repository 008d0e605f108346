//! What a scenario stands on: a gateway that can be stopped and started again, a scripted model, and an account.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use prism_client::Client;
use prism_server_core::{
    ControlPlane, Provider, Settings,
    adapters::{
        egress::HttpEgress,
        secret_box::{MasterKey, SealedBox},
        store::SqliteStore,
    },
    domain::tenant::{Scopes, Tenant},
    ports::Store,
    testkit::{
        mcp::{McpForm, McpTool, ScriptedMcp},
        model::ScriptedModel,
    },
};
use prism_types::{CreateDeployment, Features, InstanceId, Runtime, Sandbox, Secret, SecretRef};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{agent::Agent, kind::Kind, logs};

/// How long a condition may take to hold.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);
/// Where agents find the MCP server.
pub(crate) const MCP_URL: &str = "https://mcp.example.com/mcp";
/// The key of the model's provider, which no agent may see.
pub(crate) const PROVIDER_KEY: &str = "provider-key-5f2c9a71e0";

/// The ground of a scenario; everything of it is gone when it is stopped.
pub(crate) struct Ground {
    pub(crate) kind: Kind,
    pub(crate) model: ScriptedModel,
    /// The MCP server that agents find at [`MCP_URL`].
    pub(crate) mcp: ScriptedMcp,
    pub(crate) tenant: Tenant,
    key: Secret,
    gateway: Gateway,
    directory: TempDir,
}

struct Gateway {
    plane: ControlPlane,
    store: Arc<SqliteStore>,
    base_url: String,
    engine: JoinHandle<()>,
    server: JoinHandle<()>,
}

impl Ground {
    /// A gateway whose agents have a model that does what the script says.
    pub(crate) async fn start(kind: Kind, script: &str) -> Self {
        Self::with_tools(kind, script, McpForm::Json, []).await
    }

    /// The same, with an MCP server that has these tools.
    pub(crate) async fn with_tools(
        kind: Kind,
        script: &str,
        form: McpForm,
        tools: impl IntoIterator<Item = McpTool>,
    ) -> Self {
        logs::keep();
        let model = ScriptedModel::start(script).await.unwrap();
        let mcp = ScriptedMcp::start(form, tools).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let gateway = Gateway::start(kind, directory.path(), &model, &mcp).await;
        let admin = gateway.plane.admin();
        let tenant = admin.create_tenant("first").await.unwrap();
        let (_, key) = admin.create_key(&tenant.id, "all", Scopes::all(), None).await.unwrap();
        Self { kind, model, mcp, tenant, key, gateway, directory }
    }

    /// Stops the gateway and starts another one on the same data. What happens in between happens while none runs.
    pub(crate) async fn restart(&mut self, between: impl AsyncFnOnce(&ScriptedModel)) {
        self.gateway.stop().await;
        between(&self.model).await;
        self.gateway = Gateway::start(self.kind, self.directory.path(), &self.model, &self.mcp).await;
    }

    /// Removes what agents left, and ends.
    pub(crate) async fn stop(mut self) {
        let client = self.client();
        let listed = client.deployments().list().await.unwrap().into_inner();
        for deployment in listed.data {
            Agent::new(&self, deployment.deployment_id).delete().await;
        }
        self.gateway.stop().await;
    }

    pub(crate) fn client(&self) -> Client {
        Client::builder().base_url(&self.gateway.base_url).api_key(self.key.clone()).build().unwrap()
    }

    /// The port that the gateway listens on.
    pub(crate) fn port(&self) -> u16 {
        self.gateway.base_url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Where the gateway keeps its data.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        database(self.directory.path())
    }

    /// A request for an agent in the sandbox of this ground.
    pub(crate) fn request(&self) -> CreateDeployment {
        CreateDeployment::new("cus_ground", "Agent", "You are a test agent.")
            .runtime(Runtime::Hermes)
            .sandbox(Sandbox::default().kind(self.kind.sandbox_type()))
    }

    /// A ready agent with every feature at its default.
    pub(crate) async fn deploy(&self) -> Agent<'_> {
        self.deploy_request(self.request()).await
    }

    /// A ready agent with these features.
    pub(crate) async fn deploy_with(&self, features: Features) -> Agent<'_> {
        self.deploy_request(self.request().features(features)).await
    }

    /// A ready agent.
    pub(crate) async fn deploy_request(&self, request: CreateDeployment) -> Agent<'_> {
        let client = self.client();
        let created = client.deployments().create(request).await.unwrap();
        let agent = Agent::new(self, created.deployment_id.clone());
        agent.ready().await;
        agent
    }

    pub(crate) async fn set_secret(&self, reference: &SecretRef, value: &str) {
        let value = Secret::new(value);
        self.gateway.plane.admin().set_secret(&self.tenant.id, reference, &value).await.unwrap();
    }

    pub(crate) async fn set_credits(&self, credits: u64) {
        self.gateway.plane.admin().set_credits(&self.tenant.name, Some(credits)).await.unwrap();
    }

    pub(crate) async fn credits(&self) -> u64 {
        self.gateway.plane.admin().tenant(&self.tenant.name).await.unwrap().credits.unwrap()
    }

    /// The sandbox of a deployment, which the API does not show.
    pub(crate) async fn instance(&self, id: &prism_types::DeploymentId) -> InstanceId {
        self.gateway.store.deployment(id).await.unwrap().unwrap().instance_id
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if std::thread::panicking() {
            logs::show();
            self.kind.abandon(self.directory.path());
        }
    }
}

impl Gateway {
    async fn start(kind: Kind, directory: &Path, model: &ScriptedModel, mcp: &ScriptedMcp) -> Self {
        let store = Arc::new(SqliteStore::open(database(directory)).unwrap());
        let mut settings = Settings::default();
        settings.default_model = "scripted/model-1".to_owned();
        let origin = |url: &str| url.rsplit_once('/').unwrap().0.to_owned();
        let egress = HttpEgress::builder().development_origin(origin(MCP_URL), origin(&mcp.url()));
        let builder = ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([7; 32])))
            .store(store.clone())
            .egress(egress.build().unwrap())
            .provider("scripted", Provider::new(&model.base_url(), Some(Secret::new(PROVIDER_KEY))).unwrap())
            .settings(settings);
        let plane = kind.parts(builder, directory).build().await.unwrap();
        let engine = tokio::spawn(plane.run());
        let (base_url, server) = serve(plane.router()).await;
        Self { plane, store, base_url, engine, server }
    }

    async fn stop(&mut self) {
        self.plane.shutdown();
        (&mut self.engine).await.unwrap();
        self.server.abort();
    }
}

fn database(directory: &Path) -> PathBuf {
    directory.join("prism.db")
}

async fn serve(router: Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}
