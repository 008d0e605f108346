//! The configuration file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Docker, Limits, LogFormat, Provider, SandboxKind};
use crate::failure::Failure;

/// A configuration file: TOML, every key optional, others refused. A relative `data_dir` starts from the
/// working directory, as on the command line.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<String>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) public_url: Option<String>,
    pub(super) edge_domain: Option<String>,
    pub(super) default_model: Option<String>,
    pub(super) log: Option<String>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) metrics_listen: Option<String>,
    pub(super) sandboxes: Option<Vec<SandboxKind>>,
    pub(super) limits: Limits,
    pub(super) docker: Docker,
    pub(super) providers: BTreeMap<String, Provider>,
    pub(super) fetch: Fetch,
}

/// How skills are fetched.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Fetch {
    pub(super) development_origins: BTreeMap<String, String>,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let message = format!("the configuration file {} cannot be read: {error}", path.display());
            Failure::usage(message).advice("Mend --config or PRISM_CONFIG.")
        })?;
        Self::parse(&text, path)
    }

    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        let syntax = |error: toml::de::Error| refused(text, path, None, &error);
        let document = toml::Deserializer::parse(text).map_err(syntax)?;
        serde_path_to_error::deserialize(document)
            .map_err(|error| refused(text, path, Some(&error.path().to_string()), error.inner()))
    }
}

/// Names the file, the line and the key.
fn refused(text: &str, path: &Path, key: Option<&str>, error: &toml::de::Error) -> Failure {
    let mut place = path.display().to_string();
    if let Some(before) = error.span().and_then(|span| text.get(..span.start)) {
        place = format!("{place}, line {}", before.matches('\n').count() + 1);
    }
    let key = key.filter(|key| *key != ".").map(|key| format!("`{key}`: ")).unwrap_or_default();
    Failure::usage(format!("{place}: {key}{}", error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        File::parse(text, "etc/prism.toml".as_ref()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_refused_is_named_with_its_file_and_line() {
        let unknown = message("listen = \"127.0.0.1:1\"\nlissten = 1\n");
        assert!(unknown.starts_with("etc/prism.toml, line 2: "), "{unknown}");
        assert!(unknown.contains("`lissten`") && unknown.contains("`listen`"), "{unknown}");

        let nested = message("[limits]\nconcurent_runs = 1\n");
        assert!(nested.contains("line 2") && nested.contains("`concurent_runs`"), "{nested}");

        let zero = message("[limits]\nconcurrent_runs = 0\n");
        assert!(zero.contains("`limits.concurrent_runs`"), "{zero}");

        let syntax = message("listen = \n");
        assert!(syntax.contains("line 1"), "{syntax}");
    }
}
