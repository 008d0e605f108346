//! What a command writes, from the log that the engine keeps of its container.
//!
//! The engine keeps each line with its time; a line that is longer than 16 KiB comes in several entries with one time. The
//! entries of one stream are in the order in which they were written, and those of the two are not always in the order
//! of their times. So a place is, for each stream, a time and how many entries of that time were told.

use std::{sync::Arc, time::Duration};

use bollard::{container::LogOutput, errors::Error};
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use prism_types::Timestamp;
use tokio::time::sleep;

use super::engine::{Engine, Failure};
use crate::ports::{OutputLine, OutputStream, SandboxError};

/// The pause before a log is followed again that ended while the command runs.
const PAUSE: Duration = Duration::from_millis(500);

/// Up to where output was told, for the standard output and the standard error.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Places([Place; 2]);

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Place {
    /// In nanoseconds of Unix time.
    at: u64,
    /// How many entries of this time.
    count: u64,
}

impl Places {
    /// Those of a line, or those before the first.
    pub(super) fn after(place: Option<&str>) -> Result<Self, SandboxError> {
        let Some(text) = place else { return Ok(Self::default()) };
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let place = |text: &str| {
            let (at, count) = text.split_once('-')?;
            Some(Place { at: number(at)?, count: number(count)? })
        };
        let places = text.split_once('.').and_then(|(out, error)| Some([place(out)?, place(error)?]));
        places.map(Self).ok_or_else(|| SandboxError::Failed(format!("{text:?} is no place of an output")))
    }

    /// The second of Unix time from which entries are missing.
    fn since(&self) -> i32 {
        let first = self.0.iter().map(|place| place.at).min().unwrap_or_default();
        i32::try_from(first / 1_000_000_000).unwrap_or_default()
    }
}

impl std::fmt::Display for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [out, error] = &self.0;
        write!(f, "{:x}-{:x}.{:x}-{:x}", out.at, out.count, error.at, error.count)
    }
}

/// Tells what a container writes after some places, until it has ended.
pub(super) fn follow(
    engine: Arc<Engine>,
    container: String,
    places: Places,
) -> BoxStream<'static, Result<OutputLine, SandboxError>> {
    let follower = Follower { engine, container, entries: Entries::new(places), log: None };
    stream::try_unfold(follower, |mut follower| async {
        Ok(follower.next().await?.map(|line| (line, follower)))
    })
    .boxed()
}

struct Follower {
    engine: Arc<Engine>,
    /// The engine's id of it.
    container: String,
    entries: Entries,
    log: Option<Log>,
}

struct Log {
    parts: BoxStream<'static, Result<LogOutput, Error>>,
    /// Whether it has all that will be written.
    is_whole: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Option<OutputLine>, SandboxError> {
        loop {
            let mut log = match self.log.take() {
                Some(log) => log,
                None => match self.open().await? {
                    Some(log) => log,
                    None => return Ok(None),
                },
            };
            match log.parts.next().await {
                Some(Ok(part)) => {
                    self.log = Some(log);
                    if let Some(line) = self.entries.take(part) {
                        return Ok(Some(line));
                    }
                }
                Some(Err(error)) => match self.engine.failure("read the output", error) {
                    Failure::Missing(_) => return Ok(None),
                    failure => return Err(failure.into()),
                },
                None if log.is_whole => return Ok(None),
                // The command has ended, and what came last may be missing; or the log alone has.
                None => {
                    if self.engine.container(&self.container).await?.is_some_and(|found| found.running) {
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    async fn open(&mut self) -> Result<Option<Log>, SandboxError> {
        let Some(found) = self.engine.container(&self.container).await? else {
            return Ok(None);
        };
        self.entries.begin();
        let parts = self.engine.logs(&self.container, self.entries.places.since(), found.running);
        Ok(Some(Log { parts, is_whole: !found.running }))
    }
}

/// The entries of a log, without those that were told.
struct Entries {
    places: Places,
    /// How many entries of the time of the place have come, of each stream; `None`: the place was passed.
    passed: [Option<u64>; 2],
}

impl Entries {
    fn new(places: Places) -> Self {
        Self { places, passed: [None; 2] }
    }

    /// The log comes from its start, or from the second of the places.
    fn begin(&mut self) {
        self.passed = [Some(0); 2];
    }

    fn take(&mut self, part: LogOutput) -> Option<OutputLine> {
        let (index, stream) = match part {
            LogOutput::StdErr { .. } => (1, OutputStream::Error),
            LogOutput::StdOut { .. } | LogOutput::Console { .. } => (0, OutputStream::Out),
            LogOutput::StdIn { .. } => return None,
        };
        let part = part.into_bytes();
        let (at, text) = split(&part)?;
        let place = &mut self.places.0[index];
        if let Some(passed) = &mut self.passed[index] {
            if at < place.at {
                return None;
            }
            *passed += u64::from(at == place.at);
            if at == place.at && *passed <= place.count {
                return None;
            }
            self.passed[index] = None;
        }
        *place = if at == place.at { Place { at, count: place.count + 1 } } else { Place { at, count: 1 } };
        let line = match text.strip_suffix(b"\n") {
            Some(line) => line,
            // The end of a line that had no more than its first part.
            None if text.is_empty() => return None,
            None => text,
        };
        let millis = i64::try_from(at / 1_000_000).unwrap_or(i64::MAX);
        Some(OutputLine {
            stream,
            text: part.slice_ref(line),
            at: Timestamp::from_millis(millis),
            place: self.places.to_string(),
        })
    }
}

/// The time of an entry, and what was written.
fn split(part: &Bytes) -> Option<(u64, &[u8])> {
    let end = part.iter().position(|byte| *byte == b' ')?;
    let at: jiff::Timestamp = std::str::from_utf8(&part[..end]).ok()?.parse().ok()?;
    Some((u64::try_from(at.as_nanosecond()).ok()?, &part[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(nanoseconds: u32, text: &str) -> LogOutput {
        let message = format!("2026-01-02T03:04:05.{nanoseconds:09}Z {text}").into();
        LogOutput::StdOut { message }
    }

    fn error(nanoseconds: u32, text: &str) -> LogOutput {
        LogOutput::StdErr { message: out(nanoseconds, text).into_bytes() }
    }

    /// Entries as the engine has them, and not in the order of their times.
    fn log() -> Vec<LogOutput> {
        vec![
            out(5, "a\n"),
            error(9, "e\n"),
            out(7, "b\n"),
            out(7, "b\n"),
            error(9, "\n"),
            out(8, "long"),
            out(8, "end\n"),
            out(20, "whole"),
            out(20, ""),
            error(8, "late\n"),
            out(21, "no end"),
        ]
    }

    fn told(entries: &mut Entries, log: Vec<LogOutput>) -> Vec<(String, String)> {
        entries.begin();
        let lines = log.into_iter().filter_map(|part| entries.take(part));
        lines.map(|line| (String::from_utf8(line.text.to_vec()).unwrap(), line.place)).collect()
    }

    #[test]
    fn each_entry_is_told_once_wherever_it_is_resumed() {
        let texts = |told: &[(String, String)]| told.iter().map(|line| line.0.clone()).collect::<Vec<_>>();
        // One stream goes back in time when the clock is set; that is told, as long as it is followed.
        let mut log = log();
        let all = told(&mut Entries::new(Places::default()), log.clone());
        assert_eq!(texts(&all), ["a", "e", "b", "b", "", "long", "end", "whole", "late", "no end"]);
        log.remove(9);
        let all = told(&mut Entries::new(Places::default()), log.clone());
        for (index, line) in all.iter().enumerate() {
            let mut entries = Entries::new(Places::after(Some(&line.1)).unwrap());
            assert_eq!(texts(&told(&mut entries, log.clone())), texts(&all[index + 1..]), "after {line:?}");
            assert_eq!(told(&mut entries, log.clone()), [], "nothing is told twice");
        }
    }

    #[test]
    fn what_is_no_entry_or_no_place_does_no_harm() {
        let mut entries = Entries::new(Places::default());
        for text in ["", "x", " ", "x y", "1900-01-01T00:00:00Z old\n", "2026-01-02T03:04:05.5Z"] {
            assert_eq!(entries.take(LogOutput::StdOut { message: text.to_owned().into() }), None, "{text:?}");
        }
        for text in ["", ".", "1-1", "1-1.", "1.1", "1-1.1-x", "-1-1.1-1", "1-1.1-11111111111111111"] {
            assert!(Places::after(Some(text)).is_err(), "{text:?}");
        }
        let last = Places::after(Some("ffffffffffffffff-1.ffffffffffffffff-1")).unwrap();
        assert_eq!(last.since(), 0);
    }
}
