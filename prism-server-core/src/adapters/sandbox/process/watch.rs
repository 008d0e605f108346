//! Telling when programs end, the gateway's children and those of an earlier gateway alike.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsRawFd, OwnedFd},
    process::{Child, ExitStatus},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prism_types::InstanceId;
use rustix::{
    io::Errno,
    process::{PidfdFlags, pidfd_open},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::streams;
use super::{failed, folder::Folder, inotify, inotify::Inotify, output, processes::Identity};
use crate::ports::{BoxFuture, SandboxError, SandboxListener};

/// How often the length of the output is looked at while it grows, at most.
const OUTPUT_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked at where nobody has told that it grows.
const OUTPUT_SILENCE: Duration = Duration::from_secs(10);

/// The programs that are watched: those that live, and were made or found.
#[derive(Default)]
pub(super) struct Watches {
    listener: OnceLock<Arc<dyn SandboxListener>>,
    watched: Mutex<HashMap<InstanceId, Arc<Watched>>>,
    /// Tells when they write.
    pub(super) writes: Inotify,
}

/// A program that is watched.
pub(super) struct Watched {
    identity: Identity,
    /// Whether somebody ended it.
    is_stopped: AtomicBool,
    /// Whether somebody asked it to end.
    is_asked: AtomicBool,
    /// For a program that this gateway started, and has to wait for.
    child: Mutex<Option<Child>>,
    /// Cancelled when it has ended, and all of that was done.
    end: CancellationToken,
}

impl Watched {
    /// Takes note that the child has ended, so that nothing of it is left; how it did.
    pub(super) fn reap(&self) -> Option<ExitStatus> {
        let waited = lock(&self.child).as_mut()?.try_wait();
        waited.unwrap_or_else(|error| {
            tracing::warn!(%error, "a program cannot be waited for");
            None
        })
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }
}

impl Watches {
    pub(super) fn set_listener(&self, listener: Arc<dyn SandboxListener>) {
        if self.listener.set(listener).is_err() {
            tracing::warn!("the listener of the sandboxes was set before; the first one stays");
        }
    }

    /// Watches a program, once. When it has ended, and nobody asked for it, `clear` is run, and then the listener
    /// is told. `false` when it has ended already and is no child.
    pub(super) fn add(
        self: &Arc<Self>,
        id: &InstanceId,
        identity: &Identity,
        child: Option<Child>,
        folder: Folder,
        clear: impl FnOnce(Option<ExitStatus>) -> Option<BoxFuture<'static, Result<(), SandboxError>>>
        + Send
        + 'static,
    ) -> Result<bool, SandboxError> {
        let is_child = child.is_some();
        let mut all = lock(&self.watched);
        if all.get(id).is_some_and(|watched| watched.identity == *identity) {
            return Ok(true);
        }
        let watched = Arc::new(Watched {
            identity: identity.clone(),
            is_stopped: AtomicBool::new(false),
            is_asked: AtomicBool::new(false),
            child: Mutex::new(child),
            end: CancellationToken::new(),
        });
        let cannot_watch = |error: &dyn std::fmt::Display| failed("its program cannot be watched", error);
        let Some(pid) = identity.pid() else {
            return Ok(false);
        };
        let file = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(file) => file,
            Err(Errno::SRCH) => return Ok(false),
            Err(error) => return Err(cannot_watch(&error)),
        };
        // The number may have become another's before it was opened.
        if !is_child && !identity.is_alive().map_err(|error| cannot_watch(&error))? {
            return Ok(false);
        }
        let end = readiness(file).map_err(|error| cannot_watch(&error))?;
        all.insert(id.clone(), Arc::clone(&watched));
        let watches = Arc::downgrade(self);
        let id = id.clone();
        tokio::spawn(async move {
            let _told = watched.end.clone().drop_guard();
            let writes = watches.upgrade().and_then(|watches| watches.writes.listen(&folder));
            ended(end, &folder, writes).await;
            let status = watched.reap();
            tell(watches, &id, &watched, move || clear(status)).await;
        });
        Ok(true)
    }

    /// Forgets a program that is about to be ended: nobody is told.
    pub(super) fn stop(&self, id: &InstanceId) -> Option<Arc<Watched>> {
        let watched = lock(&self.watched).remove(id)?;
        watched.is_stopped.store(true, Ordering::Release);
        Some(watched)
    }

    /// Has nobody told when a program ends that is asked to.
    pub(super) fn ask(&self, id: &InstanceId) {
        if let Some(watched) = lock(&self.watched).get(id) {
            watched.is_asked.store(true, Ordering::Release);
        }
    }

    /// What is cancelled when the program of a sandbox has ended, if it is watched.
    pub(super) fn end_of(&self, id: &InstanceId) -> Option<CancellationToken> {
        lock(&self.watched).get(id).map(|watched| watched.end.clone())
    }

    /// Whether a program is watched, also when it has ended and that was not seen through yet.
    pub(super) fn has(&self, id: &InstanceId, identity: &Identity) -> bool {
        lock(&self.watched).get(id).is_some_and(|watched| watched.identity == *identity)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.watched).is_empty()
    }

    fn forget(&self, id: &InstanceId, ended: &Arc<Watched>) {
        let mut all = lock(&self.watched);
        if all.get(id).is_some_and(|watched| Arc::ptr_eq(watched, ended)) {
            all.remove(id);
        }
    }
}

/// Waits until a file can be read, which for that of a process is when it has ended.
#[allow(
    deprecated,
    reason = "what replaces it is unsafe, for types that may close or change their file; this one owns its file"
)]
pub(super) fn readiness<T: AsRawFd>(file: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(file, Interest::READABLE)
}

/// Waits for the end of a program; meanwhile its output is kept short.
async fn ended(end: AsyncFd<OwnedFd>, folder: &Folder, mut writes: Option<inotify::Listener>) {
    loop {
        tokio::select! {
            _ = end.readable() => break,
            () = written(&mut writes) => {
                if output::is_long(folder) {
                    let folder = folder.clone();
                    // It tells its failures itself.
                    drop(tokio::task::spawn_blocking(move || output::trim(&folder)).await);
                }
                if streams::are_long(folder) {
                    let folder = folder.clone();
                    drop(tokio::task::spawn_blocking(move || streams::trim(&folder)).await);
                }
            }
        }
    }
}

/// Waits for a while, and then until something may have been written since.
async fn written(writes: &mut Option<inotify::Listener>) {
    sleep(OUTPUT_INTERVAL).await;
    if let Some(listener) = writes
        && let Ok(false) = timeout(OUTPUT_SILENCE, listener.heard()).await
    {
        *writes = None;
    }
}

async fn tell(
    watches: Weak<Watches>,
    id: &InstanceId,
    watched: &Arc<Watched>,
    clear: impl FnOnce() -> Option<BoxFuture<'static, Result<(), SandboxError>>>,
) {
    if watched.is_stopped() {
        return;
    }
    if let Some(cleared) = clear()
        && let Err(error) = cleared.await
    {
        tracing::warn!(%id, %error, "what a program left behind cannot be ended");
    }
    let Some(watches) = watches.upgrade() else {
        return;
    };
    // A removal may have been under way when the program ended.
    let is_stopped = watched.is_stopped() || watched.is_asked.load(Ordering::Acquire);
    watches.forget(id, watched);
    if !is_stopped && let Some(listener) = watches.listener.get() {
        tracing::debug!(%id, "the program of a sandbox has ended");
        listener.died(id);
    }
}

/// No operation leaves the map half changed, so a panic elsewhere is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
