//! `prism serve`: the control plane with a socket, a database and signals.

mod connections;
mod first_start;
mod logging;
mod metrics;
pub(crate) mod sandboxes;
mod signals;
#[cfg(feature = "otel")]
mod traces;

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use prism_server_core::{
    ControlPlane, Settings,
    adapters::{
        egress::HttpEgress,
        secret_box::SealedBox,
        skill_fetcher::{BuildError, GuardedFetcher},
        staging::DiskStaging,
    },
    ports::Store,
};
use tokio::{net::TcpListener, runtime, time::timeout};

use self::{connections::Connections, signals::Signals};
use crate::{
    config::{Config, Flags, Limits},
    data_dir::DataDir,
    failure::Failure,
    output,
};

/// Most threads that handle requests. Requests are short and wait for the disk, which one thread writes; more
/// threads would cost memory and win nothing.
const WORKERS: usize = 4;
/// Most threads for what blocks: long reads of the database, and names that are looked up. They end when they
/// have nothing to do for 10 s.
const BLOCKING_THREADS: usize = 32;
/// How long open requests are waited for after the first signal.
const DRAIN: Duration = Duration::from_secs(10);
/// Open connections, unless the configuration says otherwise.
const CONNECTIONS: usize = 20_000;

/// Open connections to the metrics.
const METRICS_CONNECTIONS: usize = 16;

/// What a configuration file can say, for the help text.
const FILE: &str = r#"The configuration file, with every key there is and its default:
  listen = "127.0.0.1:8080"
  data_dir = "./prism-data"            # a relative one starts from the working directory
  public_url = "https://…"             # default: the `Host` of each request
  edge_domain = "edge.example.com"     # its names are services; default: services are below /edge/
  default_model = "anthropic/claude-sonnet-4.5"
  sandboxes = ["docker"]               # default: docker where an engine is reachable, else process
  log = "info"
  log_format = "text"
  metrics_listen = "127.0.0.1:9464"    # Prometheus metrics at /metrics there, without a key; default: nowhere

  [limits]                             # all at least 1
  requests_per_second = 50             # of one API key; default: no limit
  streams_per_deployment = 10000
  concurrent_runs = 1000               # more wait
  concurrent_provisioning = 64         # more wait
  approval_timeout = 86400             # seconds until a question that nobody answers is denied; default: never
  dream_after = 1800                   # seconds that a deployment is quiet before it dreams
  automation_grace = 3600              # seconds that an automation may run late
  connections = 20000                  # more wait
  concurrent_programs = 1000           # jobs, services, builds and removals; more wait
  job_timeout = 3600                   # seconds, of jobs whose version does not say so; at most 2592000
  program_log = 64                     # MiB of the log of a job or a service that are kept; at most 65536
  program_disk = 10240                 # MiB of the disk that a job, a service, a build or a sandbox may have
  bundle_bytes = 8589934592            # of the files of a bundle together; at most this
  bundle_files = 100000                # and links; at most this
  connections_per_service = 512        # requests and streams under way
  edge_token_life = 900                # seconds that a public URL is good; at most 86400

  [docker]                             # containers of agents and commands
  image = "prism-hermes:0.19.0"
  base_image = "prism-base:bookworm"   # of commands of users
  network = "prism-out"                # the engine's, for commands that ask for one; default: they have none
  memory = 1024                        # MiB, without swap
  cpus = 2
  processes = 512                      # and threads

  [providers.anthropic]                # serves the models anthropic/...; "*" serves all others; default: none
  base_url = "https://…/v1"            # an API like OpenAI's
  api_key_env = "ANTHROPIC_API_KEY"    # or api_key_file
  input_price = 1000000                # credits for a million tokens
  output_price = 1000000

  [fetch.development_origins]          # reach skills and MCP servers of an origin elsewhere; default: none
  "https://example.com" = "http://127.0.0.1:9000""#;

/// Run a server.
///
/// When it takes requests it prints `prism listening on http://ADDRESS:PORT` on standard output, and then where metrics
/// are, if they are. The first start
/// on a data directory creates the tenant `default` and an API key, which is printed once; PRISM_BOOTSTRAP_API_KEY
/// gives a key of your own instead (24 to 512 visible ASCII characters). Secrets are sealed with the master key in
/// PRISM_MASTER_KEY (32 bytes in base64), or else with the one in the data directory's `master.key`.
///
/// SIGTERM and SIGINT stop it: open streams end, requests have 10 s to end, and runs go on after the next start.
/// A second signal ends it at once.
#[derive(Debug, clap::Args)]
#[command(after_long_help = FILE)]
pub(crate) struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

/// Serves until a signal comes.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config::resolve(arguments.flags)?;
    let _log = logging::start(&config.log, config.log_format)?;
    let data = DataDir::create(&config.data_dir)?;
    let _lock = data.lock()?;
    let secret_box = data.secret_box()?;
    let store = data.store()?;
    connections::allow_many();
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(WORKERS))
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the server's threads cannot be started: {error}")))?;
    let served = runtime.block_on(serve(&config, &data, store, secret_box));
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn serve(
    config: &Config,
    data: &DataDir,
    store: Arc<dyn Store>,
    secret_box: SealedBox,
) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let listener = listen(&config.listen).await?;
    let address = listener.local_addr().map_err(|error| cannot_listen(&config.listen, &error))?;
    let metrics = match &config.metrics_listen {
        Some(address) => Some((listen(address).await?, metrics::start()?)),
        None => None,
    };
    let plane = control_plane(config, data, store, secret_box).await?;
    let new_key = first_start::prepare(&plane.admin()).await?;

    let limit = config.limits.connections.map_or(CONNECTIONS, NonZeroUsize::get);
    let router = api(&plane);
    #[cfg(feature = "otel")]
    let router = traces::continued(router);
    let connections = Connections::accept(listener, router, limit);
    let metrics_address = metrics.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
    let metrics =
        metrics.map(|(listener, router)| Connections::accept(listener, router, METRICS_CONNECTIONS));
    let mut engine = tokio::spawn(plane.run());
    announce(
        address,
        metrics_address,
        new_key.as_ref().map(|key| first_start::welcome(&reachable(address), key)),
    );

    tokio::select! {
        signal = signals.next() => tracing::info!(signal, "stopping"),
        _ = &mut engine => return Err(Failure::new("the engine stopped; the log says why")),
    }
    plane.shutdown();
    let drained = timeout(DRAIN, async {
        connections.close().await;
        if let Some(metrics) = metrics {
            metrics.close().await;
        }
        // A panic of the engine was logged by whoever panicked.
        let _ = engine.await;
    });
    tokio::select! {
        drained = drained => match drained {
            Ok(()) => tracing::info!("stopped"),
            Err(_) => tracing::warn!("stopped, though requests were still open after {} s", DRAIN.as_secs()),
        },
        signal = signals.next() => {
            tracing::warn!(signal, "stopped at once");
            std::process::exit(1);
        }
    }
    Ok(())
}

/// Every API that this program was compiled with, their documents, and what load balancers ask.
fn api(plane: &ControlPlane) -> Router {
    let native = plane.router().merge(plane.health_router()).merge(plane.openapi_router());
    #[cfg(feature = "nullspace")]
    let native = plane.with_agent_deployments(native);
    native
}

async fn control_plane(
    config: &Config,
    data: &DataDir,
    store: Arc<dyn Store>,
    secret_box: SealedBox,
) -> Result<ControlPlane, Failure> {
    let (mut fetcher, mut egress) = (GuardedFetcher::builder(), HttpEgress::builder());
    for (origin, target) in &config.development_origins {
        fetcher = fetcher.development_origin(origin, target);
        egress = egress.development_origin(origin, target);
    }
    let fetcher = fetcher.build().map_err(not_built)?;
    let egress = egress.build().map_err(not_built)?;
    let staging = DiskStaging::new(data.uploads())
        .map_err(|error| Failure::new(format!("{} cannot be made: {error}", data.uploads().display())))?;
    let mut builder = ControlPlane::builder(secret_box).store(store).skill_fetcher(fetcher).egress(egress);
    builder = builder.staging(staging);
    for (name, provider) in &config.providers {
        builder = builder.provider(name, provider.resolve(name)?);
    }
    let (builder, default_sandbox) = sandboxes::equip(builder, config, data).await?;
    let mut settings = settings(config);
    settings.default_sandbox = default_sandbox;
    Ok(builder.settings(settings).build().await?)
}

fn not_built(error: BuildError) -> Failure {
    match error {
        BuildError::Origin(error) => {
            Failure::usage(format!("`fetch.development_origins` in the configuration file: {error}"))
        }
        error => Failure::new(error.to_string()),
    }
}

fn settings(config: &Config) -> Settings {
    // Of the limits this program keeps `connections` itself.
    let Limits {
        requests_per_second,
        streams_per_deployment,
        concurrent_runs,
        concurrent_provisioning,
        approval_timeout,
        automation_grace,
        dream_after,
        connections: _,
        concurrent_programs,
        job_timeout,
        program_log,
        program_disk,
        bundle_bytes,
        bundle_files,
        connections_per_service,
        edge_token_life,
    } = config.limits;
    let mut settings = Settings::default();
    let or = |value: Option<NonZeroUsize>, default| value.map_or(default, NonZeroUsize::get);
    settings.public_url = config.public_url.clone();
    settings.edge_domain = config.edge_domain.clone();
    let seconds = |seconds: NonZeroU32| Duration::from_secs(seconds.get().into());
    settings.approval_timeout = approval_timeout.map(seconds);
    settings.automation_grace = automation_grace.map_or(settings.automation_grace, seconds);
    settings.dream_after = dream_after.map_or(settings.dream_after, seconds);
    settings.requests_per_second = requests_per_second.map(NonZeroU32::get);
    settings.streams_per_deployment = or(streams_per_deployment, settings.streams_per_deployment);
    settings.concurrent_runs = or(concurrent_runs, settings.concurrent_runs);
    settings.concurrent_provisioning = or(concurrent_provisioning, settings.concurrent_provisioning);
    settings.concurrent_programs = or(concurrent_programs, settings.concurrent_programs);
    settings.connections_per_service = or(connections_per_service, settings.connections_per_service);
    if let Some(seconds) = job_timeout {
        settings.job_timeout = Duration::from_secs(seconds.get());
    }
    if let Some(mebibytes) = program_log {
        settings.program_log = mebibytes.get() << 20;
    }
    if let Some(mebibytes) = program_disk {
        settings.program_disk = mebibytes.get() << 20;
    }
    if let Some(seconds) = edge_token_life {
        settings.edge_token_life = Duration::from_secs(seconds.get());
    }
    if let Some(bytes) = bundle_bytes {
        settings.bundle_limits.bytes = bytes.get();
    }
    if let Some(files) = bundle_files {
        settings.bundle_limits.files = files.get();
    }
    if let Some(model) = &config.default_model {
        settings.default_model.clone_from(model);
    }
    settings
}

async fn listen(address: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| cannot_listen(address, &error))
}

fn cannot_listen(address: &str, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot listen on {address}: {error}"))
        .advice("Choose another address by --listen (PRISM_LISTEN); port 0 takes a free one.")
}

/// Where the server can be reached from this machine.
fn reachable(address: SocketAddr) -> String {
    let ip = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => address.ip(),
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// Tells whoever started the server. That nobody listens is no reason to stop.
fn announce(address: SocketAddr, metrics: Option<SocketAddr>, welcome: Option<String>) {
    let metrics = metrics.map(|address| format!("prism metrics on http://{address}/metrics"));
    let lines = [Some(format!("prism listening on http://{address}")), metrics, welcome];
    for text in lines.into_iter().flatten() {
        if output::line(&text).is_err() {
            tracing::warn!("standard output is closed; the address is {address}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_for_programs_reaches_the_control_plane() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("prism.toml");
        let text = "edge_domain = 'edge.example:8443'\n[limits]\nconcurrent_programs = 1\njob_timeout = 2\nprogram_log = 7\nprogram_disk = 8\n\
                    bundle_bytes = 3\nbundle_files = 4\nconnections_per_service = 5\nedge_token_life = 6\n";
        std::fs::write(&file, text).unwrap();
        let mut flags = Flags::default();
        flags.place.config = Some(file);
        let set = settings(&Config::resolve(flags).unwrap());
        assert_eq!(set.edge_domain, "edge.example:8443".parse().ok());
        assert_eq!((set.concurrent_programs, set.connections_per_service), (1, 5));
        assert_eq!((set.job_timeout.as_secs(), set.edge_token_life.as_secs()), (2, 6));
        assert_eq!((set.bundle_limits.bytes, set.bundle_limits.files), (3, 4));
        assert_eq!((set.program_log, set.program_disk), (7 * 1024 * 1024, 8 * 1024 * 1024));
    }

    #[test]
    fn the_file_in_the_help_can_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("prism.toml");
        let (_, text) = FILE.split_once('\n').unwrap();
        std::fs::write(&file, text).unwrap();
        let mut flags = Flags { public_url: Some("https://api.example.com".to_owned()), ..Flags::default() };
        flags.place.config = Some(file);
        let defaults = Settings::default();
        let set = settings(&Config::resolve(flags).unwrap());
        assert_eq!(set.bundle_limits, defaults.bundle_limits);
        assert_eq!((set.job_timeout, set.edge_token_life), (defaults.job_timeout, defaults.edge_token_life));
        assert_eq!((set.program_log, set.program_disk), (defaults.program_log, defaults.program_disk));
        let of_programs =
            |settings: &Settings| (settings.concurrent_programs, settings.connections_per_service);
        assert_eq!(of_programs(&set), of_programs(&defaults));
    }
}
