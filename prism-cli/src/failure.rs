//! How a command fails: one line on standard error, and an exit code.

use std::{fmt, io, process::ExitCode};

/// Why a command was not carried out, and what to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    advice: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Exit code 1.
    Failed,
    /// Exit code 2: the command line, the environment or the configuration is wrong.
    Usage,
    /// Whoever reads the output has read enough: no message, exit code 0.
    NobodyListens,
}

impl Failure {
    /// Something went wrong while the command was carried out.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, message: message.into(), advice: None }
    }

    /// The command cannot be carried out as it was given.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, ..Self::new(message) }
    }

    /// The output could not be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { kind: Kind::NobodyListens, ..Self::new("") };
        }
        Self::new(format!("the output cannot be written: {error}"))
    }

    /// Adds what to do next: whole sentences.
    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Tells the person at the terminal, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if self.kind != Kind::NobodyListens {
            // When standard error is closed there is nobody to tell.
            let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("error: {self}\n"));
        }
        match self.kind {
            Kind::Failed => ExitCode::from(1),
            Kind::Usage => ExitCode::from(2),
            Kind::NobodyListens => ExitCode::SUCCESS,
        }
    }
}

/// One line, whatever the message came from.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let message = lines.join(" ");
        f.write_str(&message)?;
        match &self.advice {
            Some(advice) if message.ends_with('.') => write!(f, " {advice}"),
            Some(advice) => write!(f, ". {advice}"),
            None => Ok(()),
        }
    }
}

impl From<prism_server_core::Error> for Failure {
    fn from(error: prism_server_core::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<prism_client::Error> for Failure {
    fn from(error: prism_client::Error) -> Self {
        let mut message = error.to_string();
        if error.status().is_none()
            && let Some(cause) = root_cause(&error)
        {
            message = format!("{message}: {cause}");
        }
        let failure = Self::new(message);
        match advice(&error) {
            Some(advice) => failure.advice(advice),
            None => failure,
        }
    }
}

fn root_cause(error: &dyn std::error::Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause.to_string())
}

fn advice(error: &prism_client::Error) -> Option<String> {
    let advice = if error.is_connect() {
        "Start a server with `prism serve`, or say by --base-url (PRISM_BASE_URL) where it is."
    } else if error.is_unauthorized() {
        "Set PRISM_API_KEY to a valid key; `prism keys create --name NAME` makes one."
    } else if error.is_forbidden() {
        "Use a key with that scope; `prism keys create --scopes` makes one."
    } else if error.is_insufficient_credits() {
        "`prism tenants credits NAME unlimited` gives the tenant credits."
    } else if error.is_invalid_secret_ref() {
        "`prism secrets set REFERENCE` stores a secret."
    } else if error.is_not_ready() {
        "Look at it with `prism deployments get ID`."
    } else if error.is_precondition_failed() {
        "Choose another path, or leave --new out to replace the file."
    } else if error.is_not_found() {
        "Check the id and which tenant the API key belongs to."
    } else if error.is_decode() {
        "Check that --base-url (PRISM_BASE_URL) is a Prism server of this version."
    } else if let Some(wait) = error.retry_after() {
        return Some(format!("Try again in {} s.", wait.as_secs().max(1)));
    } else if error.is_retryable() {
        "Try again."
    } else {
        return None;
    };
    Some(advice.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        let failure = Failure::new("it broke:\n  here\n").advice("Mend it.");
        assert_eq!(failure.to_string(), "it broke: here. Mend it.");
        assert_eq!(Failure::new("It broke.").advice("Mend it.").to_string(), "It broke. Mend it.");
    }

    #[test]
    fn a_broken_pipe_is_no_failure() {
        let failure = Failure::output(&io::ErrorKind::BrokenPipe.into());
        assert_eq!(failure.kind, Kind::NobodyListens);
        assert_eq!(Failure::output(&io::ErrorKind::StorageFull.into()).kind, Kind::Failed);
    }
}
