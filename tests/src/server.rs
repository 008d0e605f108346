//! A control plane in this process, on SQLite in a temporary directory, behind a socket. What goes through it is held
//! against the OpenAPI documents.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use prism_client::Client;
use prism_server_core::{
    Admin, ControlPlane, Settings,
    adapters::{
        egress::HttpEgress,
        sandbox::ProcessSandbox,
        secret_box::{MasterKey, SealedBox},
        skill_fetcher::GuardedFetcher,
        staging::DiskStaging,
        store::SqliteStore,
    },
    domain::tenant::{Scopes, Tenant},
    testkit::clock::TestClock,
};
use prism_types::{ApiKeyId, CreateDeployment, DeploymentId, Runtime, Secret};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{Http, contract, on_disk::OnDisk, scripted};

/// A running control plane; everything of it is gone when it is dropped.
pub struct TestServer {
    /// The control plane.
    pub plane: ControlPlane,
    /// Where it is served.
    pub base_url: String,
    /// A tenant with a key of all scopes.
    pub account: Account,
    engine: JoinHandle<()>,
    directory: TempDir,
}

/// A tenant with an API key.
#[derive(Debug, Clone)]
pub struct Account {
    /// The tenant.
    pub tenant: Tenant,
    /// The key.
    pub key: Secret,
    /// The key's id.
    pub key_id: ApiKeyId,
}

/// How a [`TestServer`] differs from the default.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// The settings.
    pub settings: Settings,
    /// Origins of skills and MCP servers that are reached at another place.
    pub development_origins: Vec<(String, String)>,
    /// Whether the workspaces of scripted agents are on the disk.
    pub on_disk: bool,
    /// The clock, if it is not the machine's.
    pub clock: Option<TestClock>,
}

impl TestServer {
    /// A server with default settings.
    pub async fn start() -> Self {
        Self::with(ServerOptions::default()).await
    }

    /// A server with these options.
    pub async fn with(options: ServerOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("prism.db");
        Self::begin(&database, directory, options, None).await
    }

    /// A server on this database, which an earlier one may have left with this account.
    pub async fn on(database: &Path, account: Option<Account>) -> Self {
        Self::begin(database, tempfile::tempdir().unwrap(), ServerOptions::default(), account).await
    }

    async fn begin(
        database: &Path,
        directory: TempDir,
        options: ServerOptions,
        left: Option<Account>,
    ) -> Self {
        let store = SqliteStore::open(database).unwrap();
        let (mut fetcher, mut egress) = (GuardedFetcher::builder(), HttpEgress::builder());
        for (from, to) in &options.development_origins {
            fetcher = fetcher.development_origin(from, to);
            egress = egress.development_origin(from, to);
        }
        let mut builder = ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([7; 32])))
            .store(Arc::new(store))
            .skill_fetcher(fetcher.build().unwrap())
            .egress(egress.build().unwrap())
            .settings(options.settings);
        if options.on_disk {
            let sandboxes = ProcessSandbox::new(directory.path().join("sandboxes"));
            let staging = DiskStaging::new(directory.path().join("uploads")).unwrap();
            builder = builder.harness(OnDisk::default()).sandbox(sandboxes).staging(staging);
        }
        if let Some(clock) = options.clock {
            builder = builder.clock(clock);
        }
        let plane = builder.build().await.unwrap();
        let engine = tokio::spawn(plane.run());
        let router = plane.with_agent_deployments(plane.router());
        let base_url = serve(contract::checked(router)).await;
        let account = match left {
            Some(account) => account,
            None => account(&plane.admin(), "first").await,
        };
        Self { plane, base_url, account, engine, directory }
    }

    /// The database's file.
    pub fn database(&self) -> PathBuf {
        self.directory.path().join("prism.db")
    }

    /// The folder of all sandboxes on the disk.
    pub fn sandboxes(&self) -> PathBuf {
        self.directory.path().join("sandboxes")
    }

    /// The folder of parts of uploads.
    pub fn uploads(&self) -> PathBuf {
        self.directory.path().join("uploads")
    }

    /// The folder of the only sandbox on the disk; its workspace is in it.
    pub fn sandbox(&self) -> PathBuf {
        let mut folders = std::fs::read_dir(self.directory.path().join("sandboxes")).unwrap();
        let folder = folders.next().unwrap().unwrap().path();
        assert!(folders.next().is_none(), "there is one sandbox");
        folder
    }

    /// Another tenant with a key of all scopes.
    pub async fn another_account(&self) -> Account {
        account(&self.plane.admin(), "second").await
    }

    /// A key of the first tenant with these scopes.
    pub async fn key(&self, scopes: &str) -> (ApiKeyId, Secret) {
        let scopes = Scopes::parse(scopes).unwrap();
        let admin = self.plane.admin();
        let (key, secret) = admin.create_key(&self.account.tenant.id, "narrow", scopes, None).await.unwrap();
        (key.id, secret)
    }

    /// Plain HTTP with the first tenant's key.
    pub fn http(&self) -> Http {
        Http::new(&self.base_url, Some(self.account.key.expose()))
    }

    /// Plain HTTP with this key, or none.
    pub fn http_with(&self, key: Option<&str>) -> Http {
        Http::new(&self.base_url, key)
    }

    /// The client with the first tenant's key.
    pub fn client(&self) -> Client {
        self.client_at(&self.base_url)
    }

    /// The client with the first tenant's key, going through another address.
    pub fn client_at(&self, base_url: &str) -> Client {
        Client::builder().base_url(base_url).api_key(self.account.key.clone()).build().unwrap()
    }

    /// A ready deployment whose agent does what the script says.
    pub async fn deploy(&self, script: &str) -> DeploymentId {
        self.deploy_request(CreateDeployment::new("cus_1", "Test agent", scripted(script))).await
    }

    /// A ready deployment of this request, with the runtime `scripted`.
    pub async fn deploy_request(&self, request: CreateDeployment) -> DeploymentId {
        let client = self.client();
        let created = client.deployments().create(request.runtime(Runtime::Scripted)).await.unwrap();
        let id = created.deployment_id.clone();
        client.deployments().wait_until_ready(&id).timeout(Duration::from_secs(30)).await.unwrap();
        id
    }

    /// Shuts down and waits until all work has ended.
    pub async fn stop(self) {
        self.plane.shutdown();
        self.engine.await.unwrap();
    }
}

/// Serves a router on a free port of the loopback interface and answers its URL.
pub async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Serves the text files of a folder of the project and answers the URL.
pub async fn serve_directory(folder: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let files = |uri: axum::http::Uri| async move {
        std::fs::read_to_string(root.join(uri.path().trim_start_matches('/')))
            .map_err(|_| axum::http::StatusCode::NOT_FOUND)
    };
    serve(Router::new().fallback(files)).await
}

async fn account(admin: &Admin, name: &str) -> Account {
    let tenant = admin.create_tenant(name).await.unwrap();
    let (key, secret) = admin.create_key(&tenant.id, "all", Scopes::all(), None).await.unwrap();
    Account { tenant, key: secret, key_id: key.id }
}
