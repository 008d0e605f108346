//! What the gateway logs, for tests that look for what must not be in it, and for people when a test fails.

use std::{
    io,
    sync::{LazyLock, Mutex, PoisonError},
};

use tracing_subscriber::EnvFilter;

/// Most bytes that are kept; a test makes far fewer.
const MOST: usize = 256 * 1024 * 1024;
/// Bytes that are shown of a test that failed.
const SHOWN: usize = 32 * 1024;

static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static STARTED: LazyLock<()> = LazyLock::new(|| {
    let filter = EnvFilter::new("debug,prism_server_core=trace");
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| Log).init();
});

/// Keeps all that is logged from now on.
pub(crate) fn keep() {
    LazyLock::force(&STARTED);
}

/// Everything so far, of all tests in this process.
pub(crate) fn all() -> Vec<u8> {
    WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Shows the gateway's end of the log.
pub(crate) fn show() {
    let all = all();
    let text = String::from_utf8_lossy(&all);
    let ours: Vec<_> = text.lines().filter(|line| line.contains(" prism_")).collect();
    let text = ours.join("\n");
    let start = text.ceil_char_boundary(text.len().saturating_sub(SHOWN));
    eprintln!("==== the end of the log\n{}", &text[start..]);
}

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(written.len() < MOST, "the log is longer than a test of it can keep");
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
