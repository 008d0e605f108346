//! The log: to standard error, so that standard output stays for what the command prints. With the feature `otel` the spans
//! go to a collector as well, when there is one.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{
    EnvFilter, Layer as _, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{config::LogFormat, failure::Failure};

/// Starts the log, and the export of traces.
///
/// # Errors
/// When the filter is none, or the collector's address is not fit.
pub(super) fn start(filter: &str, format: LogFormat) -> Result<Log, Failure> {
    // An MCP server that cannot be asked is told to whoever lists tools; the SDK would call each an error of this server.
    let own = if filter.contains("rmcp") { filter.to_owned() } else { format!("{filter},rmcp=off") };
    let filter = EnvFilter::try_new(own).map_err(|error| {
        let advice = "Mend --log, PRISM_LOG or `log` in the configuration file; `info` is an example.";
        Failure::usage(format!("`{filter}` is no log filter: {error}")).advice(advice)
    })?;
    let lines = fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let log = tracing_subscriber::registry().with(filter).with(lines);
    #[cfg(feature = "otel")]
    {
        let traces = super::traces::start()?;
        log.with(traces.as_ref().map(super::traces::Traces::layer)).init();
        Ok(Log { traces })
    }
    #[cfg(not(feature = "otel"))]
    {
        log.init();
        Ok(Log {})
    }
}

/// The log, and what is still to be exported: that goes out when this is dropped.
pub(super) struct Log {
    #[cfg(feature = "otel")]
    #[expect(dead_code, reason = "it is dropped at the end")]
    traces: Option<super::traces::Traces>,
}
