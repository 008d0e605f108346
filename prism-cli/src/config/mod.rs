//! What a server is told: by flags, by the environment, by a file, or by default, in this order.

mod file;
mod number;
mod provider;

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use prism_server_core::{EdgeDomain, InvalidEdgeDomain, domain::limits};
use serde::Deserialize;
use url::Url;

use crate::failure::Failure;
use file::File;
use number::UpTo;
pub(crate) use provider::Provider;

const LISTEN: &str = "127.0.0.1:8080";
const DATA_DIR: &str = "./prism-data";
const LOG: &str = "info";
/// Longest life of an edge token, in seconds: whoever has one is let in, and there is no way to take it back.
const EDGE_TOKEN_LIFE: u64 = 24 * 60 * 60;
/// The most of a log that can be kept, in MiB.
const PROGRAM_LOG: u64 = 64 * 1024;

/// Where the data directory is; what `serve` and the commands of operators share.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Place {
    /// The directory of the database and the master key. `serve` creates it. [default: ./prism-data]
    #[arg(long, value_name = "DIRECTORY", env = "PRISM_DATA_DIR", hide_env_values = true)]
    pub(crate) data_dir: Option<PathBuf>,

    /// A TOML file with settings; what flags and environment variables say goes before what it says.
    #[arg(long, value_name = "FILE", env = "PRISM_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
}

impl Place {
    /// The data directory.
    ///
    /// # Errors
    /// When the configuration file cannot be used.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, Failure> {
        let file = self.file()?;
        Ok(self.data_dir.clone().or(file.data_dir).unwrap_or_else(|| DATA_DIR.into()))
    }

    fn file(&self) -> Result<File, Failure> {
        self.config.as_deref().map(File::read).transpose().map(Option::unwrap_or_default)
    }
}

/// Settings of a server that flags and environment variables can give. A doc comment that names a default does
/// it because a file can give it, too.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Flags {
    /// The address and port to listen on; port 0 takes a free one. [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "PRISM_LISTEN", hide_env_values = true)]
    pub(crate) listen: Option<String>,

    #[command(flatten)]
    pub(crate) place: Place,

    /// Where clients reach the server, such as `https://agents.example.com`; it stands in the `events.url` of
    /// deployments. [default: the `Host` of each request, with http]
    #[arg(long, value_name = "URL", env = "PRISM_PUBLIC_URL", hide_env_values = true)]
    pub(crate) public_url: Option<String>,

    /// The domain whose names are services, such as `edge.example.com`, with `:PORT` where clients need one. [default:
    /// services are below /edge/ and share the origin of the API]
    #[arg(long, value_name = "DOMAIN", env = "PRISM_EDGE_DOMAIN", hide_env_values = true)]
    pub(crate) edge_domain: Option<String>,

    /// The model of deployments that name none. [default: anthropic/claude-sonnet-4.5]
    #[arg(long, value_name = "MODEL", env = "PRISM_DEFAULT_MODEL", hide_env_values = true)]
    pub(crate) default_model: Option<String>,

    /// The kinds of sandboxes that deployments can have, the default first: docker, process, or both with a comma.
    /// What runs as a process is not isolated from this machine. [default: docker where a Docker Engine is
    /// reachable, else process]
    #[arg(long, value_name = "KINDS", env = "PRISM_SANDBOXES", hide_env_values = true, value_enum)]
    #[arg(value_delimiter = ',')]
    pub(crate) sandboxes: Option<Vec<SandboxKind>>,

    /// What to log: off, error, warn, info, debug or trace, or directives such as
    /// `info,prism_server_core=debug`. [default: info]
    #[arg(long, value_name = "FILTER", env = "PRISM_LOG", hide_env_values = true)]
    pub(crate) log: Option<String>,

    /// How to write the log, which goes to standard error. [default: text]
    #[arg(long, value_name = "FORMAT", env = "PRISM_LOG_FORMAT", hide_env_values = true, value_enum)]
    pub(crate) log_format: Option<LogFormat>,

    /// An address and port of their own for metrics in Prometheus' form, at /metrics, without a key; port 0 takes a
    /// free one. [default: nowhere]
    #[arg(long, value_name = "ADDRESS", env = "PRISM_METRICS_LISTEN", hide_env_values = true)]
    pub(crate) metrics_listen: Option<String>,
}

/// A kind of sandbox for agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SandboxKind {
    /// A container of a Docker Engine.
    Docker,
    /// A process of this machine.
    Process,
}

/// How to write the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// The settings of a server.
#[derive(Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) listen: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) public_url: Option<String>,
    /// `None`: services have no names.
    pub(crate) edge_domain: Option<EdgeDomain>,
    pub(crate) default_model: Option<String>,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    /// `None`: no metrics.
    pub(crate) metrics_listen: Option<String>,
    /// `None`: as the machine has it.
    pub(crate) sandboxes: Option<Vec<SandboxKind>>,
    pub(crate) limits: Limits,
    pub(crate) docker: Docker,
    /// By the prefix of the models that they serve; `*` serves all others.
    pub(crate) providers: BTreeMap<String, Provider>,
    /// Origins whose skills are fetched from elsewhere: what URLs say, and what is asked instead.
    pub(crate) development_origins: BTreeMap<String, String>,
}

/// Limits of a server; `None`: the default of the part that keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// Most requests a second of one API key. Default: no limit.
    pub(crate) requests_per_second: Option<NonZeroU32>,
    /// Most open event streams of one deployment. Default: 10,000.
    pub(crate) streams_per_deployment: Option<NonZeroUsize>,
    /// Most runs that work at the same time. Default: 1,000.
    pub(crate) concurrent_runs: Option<NonZeroUsize>,
    /// Most agents that are made ready at the same time. Default: 64.
    pub(crate) concurrent_provisioning: Option<NonZeroUsize>,
    /// How long a question may wait for an answer before it is denied, in seconds. Default: for ever.
    pub(crate) approval_timeout: Option<NonZeroU32>,
    /// How long a deployment is quiet before it dreams, in seconds. Default: 1,800.
    pub(crate) dream_after: Option<NonZeroU32>,
    /// How late an automation may run, in seconds; later than that it is passed over. Default: 3,600.
    pub(crate) automation_grace: Option<NonZeroU32>,
    /// Most open connections; more wait to be accepted. Default: 20,000.
    pub(crate) connections: Option<NonZeroUsize>,
    /// Most jobs, services, builds and removals of programs that are minded at the same time. Default: 1,000.
    pub(crate) concurrent_programs: Option<NonZeroUsize>,
    /// How long a job may take whose version does not say so, in seconds. Default: 3,600.
    pub(crate) job_timeout: Option<UpTo<{ limits::PROGRAM_SECONDS as u64 }>>,
    /// How much of the log of a job or a service is kept, in MiB. Default: 64.
    pub(crate) program_log: Option<UpTo<PROGRAM_LOG>>,
    /// Most of the disk that a job, a service, a build or a sandbox may have, in MiB. Default: 10,240.
    pub(crate) program_disk: Option<UpTo<{ limits::PROGRAM_DISK as u64 }>>,
    /// Most bytes of the files of a bundle together. Default: 8,589,934,592 (8 GiB).
    pub(crate) bundle_bytes: Option<UpTo<{ limits::BUNDLE }>>,
    /// Most files and links of a bundle. Default: 100,000.
    pub(crate) bundle_files: Option<UpTo<{ limits::BUNDLE_FILES }>>,
    /// Most requests and open streams of one service at a time. Default: 512.
    pub(crate) connections_per_service: Option<NonZeroUsize>,
    /// How long the token of a public URL is good, in seconds. Default: 900.
    pub(crate) edge_token_life: Option<UpTo<EDGE_TOKEN_LIFE>>,
}

/// Containers of agents; `None`: the default of the part that makes them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Docker {
    /// The image of the Hermes agent. Default: `prism-hermes` of the release that this server speaks with.
    pub(crate) image: Option<String>,
    /// The image of commands of users. Default: `prism-base:bookworm`.
    pub(crate) base_image: Option<String>,
    /// The network of the engine for commands that ask for one. Default: they have none.
    pub(crate) network: Option<String>,
    /// Most memory of a container, in MiB. Default: 1,024.
    pub(crate) memory: Option<NonZeroU32>,
    /// Most processors of a container. Default: 2.
    pub(crate) cpus: Option<NonZeroU32>,
    /// Most processes and threads of a container. Default: 512.
    pub(crate) processes: Option<NonZeroU32>,
}

impl Config {
    /// Reads the file, if there is one, and puts what the flags say before it.
    ///
    /// # Errors
    /// When the file cannot be used or a setting is not fit.
    pub(crate) fn resolve(flags: Flags) -> Result<Self, Failure> {
        let file = flags.place.file()?;
        Self::merge(flags, file)
    }

    fn merge(flags: Flags, file: File) -> Result<Self, Failure> {
        let public_url = flags.public_url.or(file.public_url).map(checked_url).transpose()?;
        let edge_domain = flags.edge_domain.or(file.edge_domain);
        Ok(Self {
            listen: flags.listen.or(file.listen).unwrap_or_else(|| LISTEN.to_owned()),
            data_dir: flags.place.data_dir.or(file.data_dir).unwrap_or_else(|| DATA_DIR.into()),
            edge_domain: edge_domain.map(|text| checked_domain(&text, public_url.as_deref())).transpose()?,
            public_url,
            default_model: flags.default_model.or(file.default_model),
            log: flags.log.or(file.log).unwrap_or_else(|| LOG.to_owned()),
            log_format: flags.log_format.or(file.log_format).unwrap_or_default(),
            metrics_listen: flags.metrics_listen.or(file.metrics_listen),
            sandboxes: flags.sandboxes.or(file.sandboxes).map(checked_sandboxes).transpose()?,
            limits: file.limits,
            docker: file.docker,
            providers: with_environment(file.providers)?,
            development_origins: file.fetch.development_origins,
        })
    }
}

fn checked_sandboxes(kinds: Vec<SandboxKind>) -> Result<Vec<SandboxKind>, Failure> {
    let twice = kinds.iter().enumerate().any(|(place, kind)| kinds[..place].contains(kind));
    if kinds.is_empty() || twice {
        return Err(Failure::usage("the kinds of sandboxes must be `docker`, `process` or both, each once")
            .advice("Mend --sandboxes, PRISM_SANDBOXES or `sandboxes` in the configuration file."));
    }
    Ok(kinds)
}

/// The providers of the file, and the one that the environment gives for all models that they do not serve.
fn with_environment(
    mut providers: BTreeMap<String, Provider>,
) -> Result<BTreeMap<String, Provider>, Failure> {
    if let Some(provider) = Provider::of_environment()? {
        providers.entry(provider::EVERY_MODEL.to_owned()).or_insert(provider);
    }
    Ok(providers)
}

fn checked_url(text: String) -> Result<String, Failure> {
    let fits = Url::parse(&text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    if fits {
        return Ok(text);
    }
    Err(Failure::usage("the public URL must be an http or https URL without user, query and fragment")
        .advice("Mend --public-url, PRISM_PUBLIC_URL or `public_url` in the configuration file."))
}

/// The domain of services, none of whose names is the one of the API.
fn checked_domain(text: &str, public_url: Option<&str>) -> Result<EdgeDomain, Failure> {
    let advice = "Mend --edge-domain, PRISM_EDGE_DOMAIN or `edge_domain` in the configuration file.";
    let domain: EdgeDomain =
        text.parse().map_err(|error: InvalidEdgeDomain| Failure::usage(error.to_string()).advice(advice))?;
    let below = format!(".{}", domain.host());
    let api = public_url.and_then(|url| Url::parse(url).ok());
    if api.as_ref().and_then(Url::host_str).is_some_and(|host| host.ends_with(&below)) {
        let message =
            "the public URL must not be below the domain of the edge, where every name is a service";
        return Err(Failure::usage(message).advice(advice));
    }
    Ok(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> File {
        File::parse(
            r#"
            listen = "127.0.0.1:1"
            data_dir = "/file"
            public_url = "https://file.example"
            edge_domain = "edge.file.example"
            default_model = "file/model"
            log = "debug"
            log_format = "json"
            sandboxes = ["docker", "process"]
            [limits]
            concurrent_runs = 7
            concurrent_programs = 8
            job_timeout = 2592000
            program_log = 65536
            program_disk = 16777216
            bundle_bytes = 8589934592
            bundle_files = 100000
            connections_per_service = 9
            edge_token_life = 86400
            [docker]
            memory = 512
            base_image = "prism-base:own"
            network = "prism-out"
            [providers.anthropic]
            base_url = "https://api.example.com/v1"
            [fetch.development_origins]
            "https://example.com" = "http://127.0.0.1:9000"
            "#,
            "prism.toml".as_ref(),
        )
        .unwrap()
    }

    #[test]
    fn nothing_said_is_every_default() {
        let config = Config::merge(Flags::default(), File::default()).unwrap();
        assert_eq!(config.listen, "127.0.0.1:8080");
        assert_eq!(config.data_dir, PathBuf::from("./prism-data"));
        assert_eq!((config.log.as_str(), config.log_format), ("info", LogFormat::Text));
        assert_eq!((config.public_url, config.edge_domain, config.default_model), (None, None, None));
        assert_eq!(config.limits, Limits::default());
        assert_eq!((config.sandboxes, config.docker), (None, Docker::default()));
    }

    #[test]
    fn the_file_goes_before_defaults() {
        let config = Config::merge(Flags::default(), file()).unwrap();
        assert_eq!(config.listen, "127.0.0.1:1");
        assert_eq!(config.data_dir, PathBuf::from("/file"));
        assert_eq!(config.public_url.as_deref(), Some("https://file.example"));
        assert_eq!(config.edge_domain, "edge.file.example".parse().ok());
        assert_eq!(config.default_model.as_deref(), Some("file/model"));
        assert_eq!((config.log.as_str(), config.log_format), ("debug", LogFormat::Json));
        assert_eq!(config.limits.concurrent_runs, NonZeroUsize::new(7));
        assert_eq!(config.development_origins["https://example.com"], "http://127.0.0.1:9000");
        assert_eq!(config.sandboxes, Some(vec![SandboxKind::Docker, SandboxKind::Process]));
        assert_eq!(config.docker.memory, NonZeroU32::new(512));
        assert_eq!(config.docker.base_image.as_deref(), Some("prism-base:own"));
        assert_eq!(config.docker.network.as_deref(), Some("prism-out"));
        assert!(config.providers.contains_key("anthropic"));
    }

    #[test]
    fn flags_go_before_the_file() {
        let flags = Flags {
            listen: Some("127.0.0.1:2".into()),
            place: Place { data_dir: Some("/flag".into()), config: None },
            public_url: Some("https://flag.example/api".into()),
            edge_domain: Some("edge.flag.example:8443".into()),
            default_model: Some("flag/model".into()),
            sandboxes: Some(vec![SandboxKind::Process]),
            log: Some("warn".into()),
            log_format: Some(LogFormat::Text),
            metrics_listen: Some("127.0.0.1:3".into()),
        };
        let config = Config::merge(flags, file()).unwrap();
        assert_eq!(config.listen, "127.0.0.1:2");
        assert_eq!(config.data_dir, PathBuf::from("/flag"));
        assert_eq!(config.public_url.as_deref(), Some("https://flag.example/api"));
        assert_eq!(config.edge_domain, "edge.flag.example:8443".parse().ok());
        assert_eq!(config.default_model.as_deref(), Some("flag/model"));
        assert_eq!((config.log.as_str(), config.log_format), ("warn", LogFormat::Text));
        assert_eq!(config.metrics_listen.as_deref(), Some("127.0.0.1:3"));
        assert_eq!(config.sandboxes, Some(vec![SandboxKind::Process]));
    }

    #[test]
    fn a_kind_of_sandbox_is_named_once() {
        for kinds in [vec![], vec![SandboxKind::Docker, SandboxKind::Docker]] {
            let flags = Flags { sandboxes: Some(kinds), ..Flags::default() };
            let error = Config::merge(flags, File::default()).unwrap_err().to_string();
            assert!(error.contains("each once") && error.contains("--sandboxes"), "{error}");
        }
    }

    #[test]
    fn the_domain_of_services_is_a_name_and_none_of_its_names_is_the_api() {
        let merge = |domain: &str, public_url: Option<&str>| {
            let (edge_domain, public_url) = (Some(domain.to_owned()), public_url.map(str::to_owned));
            let flags = Flags { edge_domain, public_url, ..Flags::default() };
            Config::merge(flags, File::default()).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(merge("edge.example", Some("https://xedge.example")), Ok(()));
        assert_eq!(merge("edge.example", Some("https://edge.example")), Ok(()));
        for (domain, public_url, rule) in [
            ("https://edge.example", None, "is a name"),
            ("127.0.0.1", None, "is a name"),
            ("edge.example:8443", Some("https://API.edge.example/x"), "not be below"),
        ] {
            let error = merge(domain, public_url).unwrap_err();
            assert!(error.contains(rule) && error.contains("--edge-domain"), "{error}");
        }
    }

    #[test]
    fn a_limit_of_programs_is_a_number_up_to_its_most() {
        for (key, most) in [
            ("job_timeout", 2_592_000),
            ("program_log", 65_536),
            ("program_disk", 16_777_216),
            ("bundle_bytes", 8_589_934_592_u64),
            ("bundle_files", 100_000),
            ("edge_token_life", 86_400),
        ] {
            let read = |value: &str| {
                let text = format!("[limits]\n{key} = {value}\n");
                File::parse(&text, "prism.toml".as_ref()).map(drop).map_err(|error| error.to_string())
            };
            assert_eq!(read(&most.to_string()), Ok(()));
            assert_eq!(read("1"), Ok(()));
            for value in [&(most + 1).to_string(), "0", "-1"] {
                let error = read(value).unwrap_err();
                let place =
                    format!("prism.toml, line 2: `limits.{key}`: must be a whole number from 1 to {most}");
                assert!(error.starts_with(&place) && error.contains("leave it out"), "{error}");
            }
            assert!(read("1.5").unwrap_err().contains(key));
        }
    }

    #[test]
    fn a_public_url_that_cannot_be_one_is_refused() {
        for url in ["agents.example.com", "ftp://example.com", "https://u:p@example.com", "https://e.com/?a"]
        {
            let flags = Flags { public_url: Some(url.into()), ..Flags::default() };
            assert!(Config::merge(flags, File::default()).is_err(), "{url}");
        }
    }
}
