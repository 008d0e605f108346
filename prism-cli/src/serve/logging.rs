//! The log: to standard error, so that standard output stays for what the command prints.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, fmt};

use crate::{config::LogFormat, failure::Failure};

/// Starts the log.
///
/// # Errors
/// When the filter is none.
pub(super) fn start(filter: &str, format: LogFormat) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        let advice = "Mend --log, PRISM_LOG or `log` in the configuration file; `info` is an example.";
        Failure::usage(format!("`{filter}` is no log filter: {error}")).advice(advice)
    })?;
    let log = fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
