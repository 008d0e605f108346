//! What a server is told: by flags, by the environment, by a file, or by default, in this order.

mod file;
mod provider;

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use serde::Deserialize;
use url::Url;

use crate::failure::Failure;
use file::File;
pub(crate) use provider::Provider;

const LISTEN: &str = "127.0.0.1:8080";
const DATA_DIR: &str = "./prism-data";
const LOG: &str = "info";

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
}

/// Containers of agents; `None`: the default of the part that makes them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Docker {
    /// The image of the Hermes agent. Default: `prism-hermes` of the release that this server speaks with.
    pub(crate) image: Option<String>,
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
        let public_url = flags.public_url.or(file.public_url);
        Ok(Self {
            listen: flags.listen.or(file.listen).unwrap_or_else(|| LISTEN.to_owned()),
            data_dir: flags.place.data_dir.or(file.data_dir).unwrap_or_else(|| DATA_DIR.into()),
            public_url: public_url.map(checked_url).transpose()?,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> File {
        File::parse(
            r#"
            listen = "127.0.0.1:1"
            data_dir = "/file"
            public_url = "https://file.example"
            default_model = "file/model"
            log = "debug"
            log_format = "json"
            sandboxes = ["docker", "process"]
            [limits]
            concurrent_runs = 7
            [docker]
            memory = 512
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
        assert_eq!((config.public_url, config.default_model), (None, None));
        assert_eq!(config.limits, Limits::default());
        assert_eq!((config.sandboxes, config.docker), (None, Docker::default()));
    }

    #[test]
    fn the_file_goes_before_defaults() {
        let config = Config::merge(Flags::default(), file()).unwrap();
        assert_eq!(config.listen, "127.0.0.1:1");
        assert_eq!(config.data_dir, PathBuf::from("/file"));
        assert_eq!(config.public_url.as_deref(), Some("https://file.example"));
        assert_eq!(config.default_model.as_deref(), Some("file/model"));
        assert_eq!((config.log.as_str(), config.log_format), ("debug", LogFormat::Json));
        assert_eq!(config.limits.concurrent_runs, NonZeroUsize::new(7));
        assert_eq!(config.development_origins["https://example.com"], "http://127.0.0.1:9000");
        assert_eq!(config.sandboxes, Some(vec![SandboxKind::Docker, SandboxKind::Process]));
        assert_eq!(config.docker.memory, NonZeroU32::new(512));
        assert!(config.providers.contains_key("anthropic"));
    }

    #[test]
    fn flags_go_before_the_file() {
        let flags = Flags {
            listen: Some("127.0.0.1:2".into()),
            place: Place { data_dir: Some("/flag".into()), config: None },
            public_url: Some("https://flag.example/api".into()),
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
    fn a_public_url_that_cannot_be_one_is_refused() {
        for url in ["agents.example.com", "ftp://example.com", "https://u:p@example.com", "https://e.com/?a"]
        {
            let flags = Flags { public_url: Some(url.into()), ..Flags::default() };
            assert!(Config::merge(flags, File::default()).is_err(), "{url}");
        }
    }
}
