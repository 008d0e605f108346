//! An edge with a service that is played.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};
use http_body_util::BodyExt as _;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use prism_types::{DeploymentId, InstanceId, SandboxType, Timestamp};
use serde_json::Value;
use tokio::{io::DuplexStream, net::TcpStream, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{
    adapters::{
        sandbox::MemorySandbox,
        secret_box::{MasterKey, SealedBox},
    },
    core::Settings,
    edge::{Directory, Edge, Limits, Service, Target, Urls, by_host, router},
    error::{Error, ErrorKind, Result},
    ports::{
        Command, CommandStatus, Connection, Executed, Execution, Hosting, OutputLine, Sandbox, SandboxError,
        SandboxInstance, SandboxRequest, Workspace,
    },
    testkit::clock::TestClock,
};

/// How long something may take that is waited for.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);
/// Buffer of a connection in memory, in each direction.
pub(super) const PIPE: usize = 16 << 10;
pub(super) const LABEL: &str = "8000-s-abc";

/// What a service does with a connection.
pub(super) type Script = Arc<dyn Fn(DuplexStream) -> BoxFuture<'static, ()> + Send + Sync>;

/// What answers at the port.
#[derive(Clone)]
pub(super) enum App {
    /// A server.
    Router(Router),
    /// Whatever it is.
    Script(Script),
    /// A server on the loopback interface.
    At(SocketAddr),
    /// Nothing.
    Error(SandboxError),
    /// Nothing, ever.
    Silence,
}

impl App {
    pub(super) fn script<F: Future<Output = ()> + Send + 'static>(
        script: impl Fn(DuplexStream) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::Script(Arc::new(move |io| Box::pin(script(io))))
    }

    /// A service that answers whatever it is asked with these bytes, and closes the connection.
    pub(super) fn answers(bytes: impl Into<Vec<u8>>) -> Self {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let bytes = Arc::new(bytes.into());
        Self::script(move |mut io| {
            let bytes = bytes.clone();
            async move {
                let (mut head, end) = (Vec::new(), b"\r\n\r\n");
                while !head.windows(end.len()).any(|window| window == end) {
                    if !io.read_buf(&mut head).await.is_ok_and(|count| count > 0) {
                        return;
                    }
                }
                let _ = io.write_all(&bytes).await;
            }
        })
    }
}

/// Options of a world.
pub(super) struct Options {
    pub(super) settings: Settings,
    pub(super) limits: Limits,
}

/// The edge, and all that it needs.
pub(super) struct World {
    pub(super) edge: Arc<Edge>,
    pub(super) urls: Arc<Urls>,
    pub(super) directory: Arc<PlayedDirectory>,
    pub(super) sandbox: Arc<PlayedSandbox>,
    pub(super) clock: TestClock,
    pub(super) shutdown: CancellationToken,
    pub(super) tasks: TaskTracker,
}

pub(super) fn service() -> Service {
    Service {
        tenant: "ten_1".parse().unwrap(),
        deployment: "dep_1".parse().unwrap(),
        instance: "ins_abc".parse().unwrap(),
        port: 8000,
        epoch: 1,
    }
}

impl World {
    pub(super) fn new(app: App) -> Self {
        Self::with(app, |_| ())
    }

    pub(super) fn with(app: App, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options { settings: Settings::default(), limits: Limits::default() };
        change(&mut options);
        let clock = TestClock::at(Timestamp::from_millis(1_800_000_000_000));
        let secret_box = SealedBox::new(MasterKey::from_bytes([5; 32]));
        let urls = Urls::new(&secret_box, Arc::new(clock.clone()), &options.settings).unwrap();
        let urls = Arc::new(urls);
        let sandbox = Arc::new(PlayedSandbox::new(app));
        let target = Target {
            service: service(),
            sandbox: sandbox.clone(),
            is_public: true,
            allows_public_traffic: true,
            is_ready: true,
        };
        let directory = Arc::new(PlayedDirectory::default());
        directory.set(target);
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let edge = Edge::with_limits(
            urls.clone(),
            directory.clone(),
            options.limits,
            shutdown.clone(),
            tasks.clone(),
        );
        Self { edge, urls, directory, sandbox, clock, shutdown, tasks }
    }

    /// The way in: services by path and by name, and something else besides.
    pub(super) fn router(&self) -> Router {
        let inner = router(self.edge.clone()).fallback(async || "inner");
        by_host(self.edge.clone(), inner)
    }

    pub(super) fn token(&self) -> String {
        self.token_for(&service())
    }

    pub(super) fn token_for(&self, service: &Service) -> String {
        let url = self.urls.public_url(service, None).unwrap();
        url.expose().split_once('=').unwrap().1.to_owned()
    }

    /// A path of the service, as it is, with a token. It may have a query.
    pub(super) fn path(&self, path: &str) -> String {
        let separator = if path.contains('?') { '&' } else { '?' };
        format!("/edge/{LABEL}{path}{separator}edge_token={}", self.token())
    }

    pub(super) async fn send(&self, request: Request) -> Response {
        timeout(DEADLINE * 100, self.router().oneshot(request)).await.unwrap().unwrap()
    }

    /// Gets a path of the service, with a token.
    pub(super) async fn get(&self, path: &str) -> Response {
        self.send(Request::get(self.path(path)).body(Body::empty()).unwrap()).await
    }

    /// A connection to a server with the router.
    pub(super) fn connect(&self) -> DuplexStream {
        serve(self.router())
    }

    /// Changes what the directory tells.
    pub(super) fn change(&self, change: impl FnOnce(&mut Target)) {
        let mut targets = self.directory.targets.lock().unwrap();
        change(targets.get_mut(&service().instance).unwrap());
    }

    /// Waits until nothing is under way.
    pub(super) async fn idle(&self) {
        self.tasks.close();
        timeout(DEADLINE * 100, self.tasks.wait()).await.expect("something is under way");
        assert!(self.edge.services.is_empty());
    }
}

/// A connection in memory to a server.
pub(super) fn serve(router: Router) -> DuplexStream {
    let (client, server) = tokio::io::duplex(PIPE);
    tokio::spawn(async move {
        let service = TowerToHyperService::new(router);
        let mut http = hyper::server::conn::http1::Builder::new();
        let _ = http.max_buf_size(PIPE).serve_connection(TokioIo::new(server), service).with_upgrades().await;
    });
    client
}

/// The status and the code of a refusal.
pub(super) async fn refused(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
    let request_id = response.headers()["x-request-id"].clone();
    let body: Value = serde_json::from_slice(&bytes(response).await.unwrap()).unwrap();
    assert_eq!(body["request_id"], request_id.to_str().unwrap());
    assert!(body["error"].is_string(), "{body}");
    (status, body["code"].as_str().unwrap().to_owned())
}

/// The body.
pub(super) async fn bytes(response: Response) -> Result<Bytes, axum::Error> {
    Ok(response.into_body().collect().await?.to_bytes())
}

pub(super) async fn text(response: Response) -> String {
    String::from_utf8(bytes(response).await.unwrap().to_vec()).unwrap()
}

#[derive(Default)]
pub(super) struct PlayedDirectory {
    targets: Mutex<HashMap<InstanceId, Target>>,
    pub(super) asked: AtomicUsize,
    pub(super) fails: AtomicBool,
}

impl PlayedDirectory {
    fn set(&self, target: Target) {
        self.targets.lock().unwrap().insert(target.service.instance.clone(), target);
    }

    pub(super) fn clear(&self) {
        self.targets.lock().unwrap().clear();
    }
}

impl Directory for PlayedDirectory {
    fn target<'a>(&'a self, instance: &'a InstanceId, _: u16) -> BoxFuture<'a, Result<Option<Target>>> {
        self.asked.fetch_add(1, Relaxed);
        let found = self.targets.lock().unwrap().get(instance).cloned();
        let fails = self.fails.load(Relaxed);
        let error = || Error::new(ErrorKind::Internal, "the disk is on fire");
        Box::pin(std::future::ready(if fails { Err(error()) } else { Ok(found) }))
    }
}

/// A sandbox in which an app is played.
pub(super) struct PlayedSandbox {
    app: Mutex<App>,
    memory: MemorySandbox,
    pub(super) connected: AtomicUsize,
    pub(super) can_host: AtomicBool,
}

impl PlayedSandbox {
    fn new(app: App) -> Self {
        Self {
            app: Mutex::new(app),
            memory: MemorySandbox::new(),
            connected: AtomicUsize::new(0),
            can_host: AtomicBool::new(true),
        }
    }

    pub(super) fn set(&self, app: App) {
        *self.app.lock().unwrap() = app;
    }

    pub(super) fn connections(&self) -> usize {
        self.connected.load(Relaxed)
    }
}

impl Hosting for PlayedSandbox {
    fn connect<'a>(
        &'a self,
        id: &'a InstanceId,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, SandboxError>> {
        assert_eq!((id, port), (&service().instance, 8000));
        self.connected.fetch_add(1, Relaxed);
        let app = self.app.lock().unwrap().clone();
        Box::pin(async move {
            let connection: Box<dyn Connection> = match app {
                App::Router(router) => Box::new(serve(router)),
                App::Script(script) => {
                    let (client, server) = tokio::io::duplex(PIPE);
                    tokio::spawn(script(server));
                    Box::new(client)
                }
                App::At(address) => {
                    let connected = TcpStream::connect(address).await;
                    Box::new(connected.map_err(|_| SandboxError::Refused(port))?)
                }
                App::Error(error) => return Err(error),
                App::Silence => std::future::pending().await,
            };
            Ok(connection)
        })
    }

    fn disk_usage<'a>(&'a self, _: &'a InstanceId, _: u64) -> BoxFuture<'a, Result<u64, SandboxError>> {
        unreachable!("the edge only connects")
    }

    fn unpack<'a>(
        &'a self,
        _: &'a DeploymentId,
        _: &'a InstanceId,
        _: File,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        unreachable!("the edge only connects")
    }

    fn start(&self, _: Command) -> BoxFuture<'_, Result<(), SandboxError>> {
        unreachable!("the edge only connects")
    }

    fn status<'a>(&'a self, _: &'a InstanceId) -> BoxFuture<'a, Result<Option<CommandStatus>, SandboxError>> {
        unreachable!("the edge only connects")
    }

    fn output<'a>(
        &'a self,
        _: &'a InstanceId,
        _: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<OutputLine, SandboxError>>, SandboxError>> {
        unreachable!("the edge only connects")
    }

    fn stop<'a>(&'a self, _: &'a InstanceId, _: Duration) -> BoxFuture<'a, Result<(), SandboxError>> {
        unreachable!("the edge only connects")
    }

    fn execute<'a>(
        &'a self,
        _: &'a InstanceId,
        _: Execution,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Executed, SandboxError>>, SandboxError>> {
        unreachable!("the edge only connects")
    }

    fn copy_running<'a>(
        &'a self,
        _: &'a InstanceId,
        _: &'a InstanceId,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        unreachable!("the edge only connects")
    }
}

impl Sandbox for PlayedSandbox {
    fn kind(&self) -> SandboxType {
        self.memory.kind()
    }

    fn ensure(
        &self,
        request: SandboxRequest,
    ) -> BoxFuture<'_, Result<Arc<dyn SandboxInstance>, SandboxError>> {
        self.memory.ensure(request)
    }

    fn find<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn SandboxInstance>>, SandboxError>> {
        self.memory.find(id)
    }

    fn workspace<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Workspace>>, SandboxError>> {
        self.memory.workspace(id)
    }

    fn copy_workspace<'a>(
        &'a self,
        from: &'a InstanceId,
        to: &'a InstanceId,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.memory.copy_workspace(from, to)
    }

    fn remove<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.memory.remove(id)
    }

    fn hosting(&self) -> Option<&dyn Hosting> {
        self.can_host.load(Relaxed).then_some(self)
    }
}

/// The headers of a request as an app has seen them, as JSON.
pub(super) async fn mirror(request: Request) -> axum::Json<Value> {
    let (parts, body) = request.into_parts();
    let mut headers = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in &parts.headers {
        headers
            .entry(name.to_string())
            .or_default()
            .push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    let body = body.collect().await.unwrap().to_bytes();
    axum::Json(serde_json::json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    }))
}
