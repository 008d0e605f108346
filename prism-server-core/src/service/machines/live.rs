//! Programs that are watched while they run: what they write is told as they write it.
//!
//! A program that is started to be watched is a [process in the background](super::processes) all the same: it is listed, is
//! killed and takes input as those do, and goes on, until its time is over, when nobody watches it any more, also when that
//! is because the server has ended. Whoever watches it from its start slows it down by reading slowly. Whoever comes later
//! is told what is kept of what it has written, and then what it writes; it does not wait for those.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use prism_types::{InstanceId, TenantId};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{
    executions::{NewExecution, admitted, in_time, lost, prepared},
    get, hosting,
    processes::{MISSING, failed, script, session},
    refused, running, sandboxes,
};
use crate::{
    core::Core,
    domain::{
        limits,
        machine::{Machine, MachineState},
        tenant::Principal,
    },
    error::{Error, ErrorKind, Result},
    ports::{Executed, Execution, Exit, OutputStream, SandboxError},
    service::{author::Author, files::Transfer},
};

/// Starts a session and tells of it.
const LIVE: &str = include_str!("scripts/live.sh");
/// Tells of a session that somebody has started.
const FOLLOW: &str = include_str!("scripts/follow.sh");
/// How long it may take until a program has begun.
const BEGIN: Duration = Duration::from_secs(30);
/// How much longer than its program a session may be told of, where that is told slowly.
const REST: Duration = Duration::from_secs(600);
/// The longest first line, which tells a number, and the longest last one, which tells a status, in bytes.
const LINE: usize = 16;
/// The most of an error that is looked at when nothing has begun, in bytes.
const ERRORS: usize = 4096;

/// A program that is watched. Dropped, it goes on.
pub(crate) struct Live {
    core: Arc<Core>,
    machine: InstanceId,
    /// Its number.
    pub(crate) pid: u32,
    events: BoxStream<'static, Result<Executed, SandboxError>>,
    /// What was read with its number.
    early: Vec<(OutputStream, Bytes)>,
    out: Marked,
    errors: Marked,
    /// Since when it runs and how long it may, when it was started to be watched.
    time: Option<(Instant, Duration)>,
    _turn: Transfer,
}

/// What is told of a program that is watched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It has written something.
    Wrote(OutputStream, Bytes),
    /// It has ended with this status: nothing follows.
    Ended(i32),
}

/// Starts a program that is watched.
pub(crate) async fn start(
    core: &Arc<Core>,
    author: &Author,
    id: &InstanceId,
    mut new: NewExecution,
) -> Result<Live> {
    let machine = admitted(core, author, id).await?;
    let (mark, time) = (mark(), new.time);
    let program = std::mem::take(&mut new.arguments);
    new.arguments = script(LIVE, &[&mark]);
    new.arguments.extend(session(time.as_secs().max(1), program));
    let mut execution = prepared(&machine, new);
    execution.time = time + REST;
    let begun = Instant::now();
    let mut live = Live::begin(core, &machine, execution, &mark).await?;
    live.time = Some((begun, time));
    Ok(live)
}

/// Watches a program that runs in the background, or has.
pub(crate) async fn follow(
    core: &Arc<Core>,
    principal: &Principal,
    id: &InstanceId,
    pid: u32,
) -> Result<Live> {
    let machine = running(core, principal, id).await?;
    let (mark, part) = (mark(), limits::BACKGROUND_OUTPUT.to_string());
    let time = Duration::from_millis(limits::MACHINE_LIFE.0.into());
    let execution = Execution::new(script(FOLLOW, &[&mark, &pid.to_string(), &part]), time);
    Live::begin(core, &machine, execution, &mark).await
}

impl Live {
    /// Executes what tells of a program, and waits until that has begun.
    async fn begin(
        core: &Arc<Core>,
        machine: &Machine,
        mut execution: Execution,
        mark: &str,
    ) -> Result<Self> {
        let turn = core.file_desks.transfer_in(machine)?;
        let id = &machine.id;
        // It is over when nobody watches any more.
        execution.input = Some(stream::pending().boxed());
        let sandboxes = sandboxes(core, &machine.model)?;
        let begun = async {
            let mut events = hosting(sandboxes.as_ref())?
                .execute(id, execution)
                .await
                .map_err(|error| refused(core, id, error))?;
            let (pid, early) = first_line(core, id, &mut events).await?;
            Ok::<_, Error>((events, pid, early))
        };
        let too_slow =
            || Error::new(ErrorKind::Unavailable, "The sandbox takes too long to start a program.");
        let begun = timeout(BEGIN, core.shutdown.run_until_cancelled(begun)).await.map_err(|_| too_slow())?;
        let (events, pid, early) = begun.ok_or_else(stopping)??;
        Ok(Self {
            core: core.clone(),
            machine: id.clone(),
            pid,
            events,
            early,
            out: Marked::new(mark),
            errors: Marked::new(mark),
            time: None,
            _turn: turn,
        })
    }

    /// What is told next.
    ///
    /// # Errors
    /// When it took longer than it may, or nobody knows how it ended. Nothing follows.
    pub(crate) async fn next(&mut self) -> Result<Told> {
        loop {
            if let (Some(code), Some(_)) = (self.out.code(), self.errors.code()) {
                let code = code?;
                if let Some((begun, time)) = self.time {
                    in_time(begun, time, code)?;
                }
                return Ok(Told::Ended(code));
            }
            let (stream, bytes) = match self.early.pop() {
                Some(early) => early,
                None => match self.events.next().await {
                    Some(Ok(Executed::Wrote(stream, bytes))) => (stream, bytes),
                    Some(Err(error)) => return Err(refused(&self.core, &self.machine, error)),
                    Some(Ok(Executed::Ended(_))) | None => return Err(gone(&self.core, &self.machine).await),
                },
            };
            let marked = match stream {
                OutputStream::Out => &mut self.out,
                OutputStream::Error => &mut self.errors,
            };
            let bytes = marked.take(&bytes);
            if !bytes.is_empty() {
                return Ok(Told::Wrote(stream, bytes));
            }
        }
    }
}

/// Why it is not known any more how a program of a machine has ended.
async fn gone(core: &Core, id: &InstanceId) -> Error {
    // What ends a sandbox ends all that is told of it.
    match core.store.machine(id).await {
        Ok(Some(machine)) if machine.state != MachineState::Destroyed => lost(),
        Ok(_) => Error::not_found("Sandbox"),
        Err(error) => error.into(),
    }
}

/// What stands between what a program has written and how it ended.
fn mark() -> String {
    format!("\u{1e}{}:", Uuid::now_v7().simple())
}

/// The number in the first line, and what came with it, the last first.
async fn first_line(
    core: &Core,
    id: &InstanceId,
    events: &mut BoxStream<'static, Result<Executed, SandboxError>>,
) -> Result<(u32, Vec<(OutputStream, Bytes)>)> {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    loop {
        match events.next().await {
            Some(Ok(Executed::Wrote(OutputStream::Out, bytes))) => out.extend_from_slice(&bytes),
            Some(Ok(Executed::Wrote(OutputStream::Error, bytes))) => errors.extend_from_slice(&bytes),
            Some(Err(error)) => return Err(refused(core, id, error)),
            Some(Ok(Executed::Ended(Exit::Code(MISSING)))) => return Err(Error::not_found("Process")),
            Some(Ok(Executed::Ended(Exit::Code(code)))) => {
                errors.truncate(ERRORS);
                let finished = super::executions::Finished::of(code, errors);
                return Err(failed("watch a program", &finished));
            }
            Some(Ok(Executed::Ended(Exit::Unknown))) | None => return Err(lost()),
        }
        if let Some(end) = out.iter().position(|byte| *byte == b'\n') {
            let pid = std::str::from_utf8(&out[..end]).ok().and_then(|line| line.parse().ok());
            let pid = pid.ok_or_else(|| Error::internal("what watches a program tells no number"))?;
            let rest = Bytes::from(out).slice(end + 1..);
            let early = vec![(OutputStream::Error, errors.into()), (OutputStream::Out, rest)];
            return Ok((pid, early));
        }
        if out.len() > LINE || errors.len() > ERRORS {
            return Err(Error::internal("what watches a program tells something else"));
        }
    }
}

fn stopping() -> Error {
    Error::new(ErrorKind::Unavailable, "The server is stopping.")
}

/// A stream that ends with a mark and a status.
struct Marked {
    mark: Vec<u8>,
    /// What may be a part of the mark, or what follows it.
    held: Vec<u8>,
    is_over: bool,
}

impl Marked {
    fn new(mark: &str) -> Self {
        Self { mark: mark.as_bytes().to_vec(), held: Vec::new(), is_over: false }
    }

    /// Takes what was read; what of it the program has written for sure.
    fn take(&mut self, bytes: &[u8]) -> Bytes {
        if self.is_over {
            self.held.extend_from_slice(&bytes[..bytes.len().min(LINE)]);
            return Bytes::new();
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(at) = all[from..].iter().position(|byte| Some(byte) == self.mark.first()) {
            let at = from + at;
            let rest = &all[at..];
            if rest.starts_with(&self.mark) {
                self.held = rest[self.mark.len()..].iter().copied().take(LINE).collect();
                self.is_over = true;
            } else if self.mark.starts_with(rest) {
                self.held = rest.to_vec();
            } else {
                from = at + 1;
                continue;
            }
            all.truncate(at);
            break;
        }
        all.into()
    }

    /// The status, once it was read.
    fn code(&self) -> Option<Result<i32>> {
        let end = self.is_over.then(|| self.held.iter().position(|byte| *byte == b'\n'))?;
        let line = &self.held[..end.or_else(|| (self.held.len() >= LINE).then_some(LINE))?];
        Some(std::str::from_utf8(line).ok().and_then(|line| line.parse().ok()).ok_or_else(lost))
    }
}

/// How many channels there are, by tenant and by machine.
#[derive(Default)]
pub(crate) struct Channels(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    machines: HashMap<InstanceId, usize>,
    tenants: HashMap<TenantId, usize>,
}

/// The right to a channel to a machine, until it is dropped.
pub(crate) struct Channel {
    channels: Arc<Channels>,
    machine: InstanceId,
    tenant: TenantId,
}

/// Opens a channel to a machine of the caller's tenant.
pub(crate) async fn open(core: &Core, principal: &Principal, id: &InstanceId) -> Result<Channel> {
    let machine = get(core, principal, id).await?;
    Channels::open(&core.machines.channels, machine.id, machine.tenant_id)
}

impl Channels {
    fn open(this: &Arc<Self>, machine: InstanceId, tenant: TenantId) -> Result<Channel> {
        let mut counts = this.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of_machine, of_tenant) = limits::CHANNELS;
        let found = |count: Option<&usize>| count.copied().unwrap_or_default();
        let full = [
            (found(counts.machines.get(&machine)) >= of_machine, of_machine, "this sandbox"),
            (found(counts.tenants.get(&tenant)) >= of_tenant, of_tenant, "the sandboxes of this tenant"),
        ];
        if let Some((_, most, whose)) = full.into_iter().find(|(is_full, ..)| *is_full) {
            let message = format!(
                "{most} connections to {whose} are open, which is the most. Close one, then try again."
            );
            return Err(Error::new(ErrorKind::RateLimited, message).retry_after(Duration::from_secs(1)));
        }
        *counts.machines.entry(machine.clone()).or_default() += 1;
        *counts.tenants.entry(tenant.clone()).or_default() += 1;
        drop(counts);
        Ok(Channel { channels: this.clone(), machine, tenant })
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        fn less<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
            if let Some(count) = counts.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(key);
                }
            }
        }
        let mut counts = self.channels.0.lock().unwrap_or_else(PoisonError::into_inner);
        less(&mut counts.machines, &self.machine);
        less(&mut counts.tenants, &self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_wherever_what_is_read_is_cut() {
        let whole = b"out\x1e\x1ema\x1emark:12\n later";
        for size in 1..=whole.len() {
            let mut marked = Marked::new("\u{1e}mark:");
            let mut told = Vec::new();
            for bytes in whole.chunks(size) {
                told.extend_from_slice(&marked.take(bytes));
            }
            assert_eq!(told, b"out\x1e\x1ema", "by {size}");
            assert_eq!(marked.code().unwrap().unwrap(), 12, "by {size}");
        }
    }

    #[test]
    fn what_may_be_a_mark_is_told_when_it_is_none_and_no_status_is_made_up() {
        let mut marked = Marked::new("\u{1e}mark:");
        assert_eq!(marked.take(b"a\x1emar"), "a");
        assert_eq!(marked.take(b"ble"), "\u{1e}marble");
        assert!(marked.code().is_none());
        assert_eq!(marked.take(b"\x1emark:"), "");
        assert!(marked.code().is_none(), "the status is still to come");
        assert_eq!(marked.take(&[b'x'; 1000]), "");
        assert!(marked.code().unwrap().is_err(), "and is no status");
    }

    #[test]
    fn as_many_channels_are_open_as_the_limits_and_not_one_more() {
        let channels = Arc::<Channels>::default();
        let open = |machine: usize, tenant: &str| {
            Channels::open(&channels, format!("ins_{machine}").parse().unwrap(), tenant.parse().unwrap())
        };
        let (of_machine, of_tenant) = limits::CHANNELS;
        let mut all: Vec<_> = (0..of_machine).map(|_| open(0, "ten_a").unwrap()).collect();
        assert_eq!(open(0, "ten_a").err().unwrap().kind(), ErrorKind::RateLimited);
        all.extend((of_machine..of_tenant).map(|index| open(1 + index / of_machine, "ten_a").unwrap()));
        assert_eq!(open(1000, "ten_a").err().unwrap().kind(), ErrorKind::RateLimited);
        assert!(open(1000, "ten_b").is_ok(), "another tenant has its own");
        all.pop();
        assert!(open(1000, "ten_a").is_ok());
        drop(all);
        assert!(channels.0.lock().unwrap().tenants.is_empty(), "nothing is kept of what is closed");
    }
}
