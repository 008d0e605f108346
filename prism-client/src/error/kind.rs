//! The kinds of errors and what each of them says.

use std::{fmt, time::Duration};

use prism_types::{ErrorBody, Failure};

#[derive(Debug)]
pub(crate) enum Kind {
    Configuration(String),
    Timeout,
    /// Nothing was heard on a stream for this long.
    Silence(Duration),
    Connect,
    Disconnected,
    /// A layer, a transport or a body that is not ours.
    Middleware,
    /// The server answered with a status other than 2xx.
    Refused(Option<ErrorBody>),
    Decode(Misfit),
    TooLarge(usize),
    DeploymentFailed(Option<Failure>),
    RunFailed(Failure),
    /// What is waited for cannot come any more, and why, if it says so.
    Hopeless {
        noun: &'static str,
        status: String,
        failure: Option<Failure>,
    },
    /// What is waited for did not come.
    NotInTime {
        noun: &'static str,
        limit: Duration,
        /// The status that was read last.
        last: Option<String>,
    },
}

/// The reason of a run that failed without one.
pub(crate) fn unnamed() -> Failure {
    Failure::new("internal", "the server does not say why the run failed")
}

impl Kind {
    /// One word for it.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Configuration(_) => "configuration",
            Self::Timeout | Self::Silence(_) | Self::NotInTime { .. } => "timeout",
            Self::Connect => "connect",
            Self::Disconnected => "disconnected",
            Self::Middleware => "middleware",
            Self::Refused(_) => "refused",
            Self::Decode(_) => "decode",
            Self::TooLarge(_) => "too_large",
            Self::DeploymentFailed(_) => "deployment_failed",
            Self::RunFailed(_) => "run_failed",
            Self::Hopeless { .. } => "hopeless",
        }
    }
}

/// Where and how JSON does not have its form, told without a word of the JSON itself.
#[derive(Debug)]
pub(crate) struct Misfit {
    what: String,
    path: Option<String>,
    reason: String,
}

impl Misfit {
    /// Something that is not about JSON.
    pub(crate) fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { what: what.into(), path: None, reason: reason.into() }
    }

    /// The JSON of `what` does not fit at `path`, in the notation of `serde_path_to_error`.
    pub(crate) fn json(what: impl Into<String>, path: Option<&str>, error: &serde_json::Error) -> Self {
        let path = path.map(|path| match path {
            "." => "$".to_owned(),
            path if path.starts_with('[') => format!("${path}"),
            path => format!("$.{path}"),
        });
        Self { what: what.into(), path, reason: reason(error) }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not have its form", self.what)?;
        if let Some(path) = &self.path {
            write!(f, " at {path}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(text) => f.write_str(text),
            Self::Timeout => f.write_str("timed out"),
            Self::Silence(time) => write!(f, "nothing was heard for {time:?}"),
            Self::Connect => f.write_str("no connection to the server"),
            Self::Disconnected => f.write_str("the connection broke"),
            Self::Middleware => {
                f.write_str("it failed on its way, by a layer, a transport or a body of its own")
            }
            Self::Refused(Some(body)) => body.fmt(f),
            Self::Refused(None) => f.write_str("refused without an error body of Prism"),
            Self::Decode(misfit) => misfit.fmt(f),
            Self::TooLarge(limit) => write!(f, "larger than the limit of {limit} bytes"),
            Self::DeploymentFailed(Some(failure)) => {
                write!(f, "the deployment failed: {}: {}", failure.code, failure.message)
            }
            Self::DeploymentFailed(None) => f.write_str("the deployment failed and does not say why"),
            Self::RunFailed(failure) => write!(f, "it failed: {}: {}", failure.code, failure.message),
            Self::Hopeless { noun, status, failure } => {
                write!(f, "{noun} is `{status}`, and what was waited for cannot come any more")?;
                failure.as_ref().map_or(Ok(()), |failure| write!(f, ": {}", failure.message))
            }
            Self::NotInTime { noun, limit, last: Some(status) } => {
                write!(f, "{noun} was still `{status}` after {limit:?}")
            }
            Self::NotInTime { noun, limit, last: None } => {
                write!(f, "the status of {noun} could not be read in {limit:?}")
            }
        }
    }
}

/// What `serde_json` says, as far as it is sure not to quote the text: most of its messages contain values.
fn reason(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Syntax => "it is not JSON",
        // The name is one of the fields of our own types.
        _ if message.starts_with("missing field `") => message.split(" at line ").next().unwrap_or_default(),
        _ => "the value has another type or form",
    };
    format!("{what} (line {line}, column {column})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_types::Token;

    fn misfit(json: &str) -> String {
        Misfit::json("x", None, &serde_json::from_str::<Token>(json).unwrap_err()).to_string()
    }

    #[test]
    fn a_reason_never_quotes_the_json() {
        for json in
            [r#"{"run_id":"canary"}"#, r#"{"delta":{"canary":1}}"#, r#"canary"#, r#"{"run_id":"canary"#]
        {
            assert!(!misfit(json).contains("canary"), "{}", misfit(json));
        }
    }

    #[test]
    fn a_missing_field_is_named() {
        assert_eq!(
            misfit(r#"{"delta":"x"}"#),
            "x does not have its form: missing field `run_id` (line 1, column 13)"
        );
    }
}
