//! How much of each service is under way, and connections that wait for the next request.
//!
//! A connection is used again by requests that could as well be sent twice and have no body (`GET`, `HEAD`, `OPTIONS`),
//! because an app may close it at the moment at which it is used. It waits less long than the servers of apps usually do.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use prism_types::InstanceId;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{Limits, admission::Target, body::Sent, refusal::Refusal, token::Service};
use crate::ports::SandboxError;

/// A port of an instance in an epoch: what connections are for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    instance: InstanceId,
    port: u16,
    epoch: u64,
}

/// The services that have something under way.
pub(super) struct Services {
    per_service: usize,
    spares: usize,
    spare: Duration,
    connect: Duration,
    http: Builder,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    known: Mutex<HashMap<Key, Known>>,
}

#[derive(Default)]
struct Known {
    under_way: usize,
    /// Oldest first.
    spares: Vec<Spare>,
    /// Whether a task closes the spares that nobody uses.
    is_swept: bool,
}

struct Spare {
    connection: Connection,
    since: Instant,
}

/// A connection to a service. It ends when this is dropped.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Sent>,
    /// Whether it has served a request before.
    pub(super) is_used: bool,
    _life: DropGuard,
}

impl Services {
    pub(super) fn new(limits: &Limits, shutdown: CancellationToken, tasks: TaskTracker) -> Arc<Self> {
        let mut http = Builder::new();
        http.max_buf_size(limits.answer_head).max_headers(limits.answer_headers);
        Arc::new(Self {
            per_service: limits.per_service,
            spares: limits.spares,
            spare: limits.spare,
            connect: limits.connect,
            http,
            shutdown,
            tasks,
            known: Mutex::default(),
        })
    }

    /// Begins something.
    ///
    /// # Errors
    /// [`Refusal::TooMany`].
    pub(super) fn begin(self: &Arc<Self>, service: &Service) -> Result<UnderWay, Refusal> {
        let key = Key { instance: service.instance.clone(), port: service.port, epoch: service.epoch };
        let mut known = self.lock();
        let entry = known.entry(key.clone()).or_default();
        if entry.under_way >= self.per_service {
            forget(&mut known, &key);
            return Err(Refusal::TooMany);
        }
        entry.under_way += 1;
        drop(known);
        Ok(UnderWay { services: self.clone(), key })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes spares of a service when their time has come, until there are none.
    async fn sweep(self: Arc<Self>, key: Key) {
        loop {
            let due = {
                let mut known = self.lock();
                let Some(entry) = known.get_mut(&key) else { return };
                let is_over =
                    |spare: &Spare| spare.since.elapsed() >= self.spare || self.shutdown.is_cancelled();
                entry.spares.retain(|spare| !is_over(spare) && !spare.connection.sender.is_closed());
                match entry.spares.first() {
                    Some(oldest) => oldest.since + self.spare,
                    None => {
                        entry.is_swept = false;
                        forget(&mut known, &key);
                        return;
                    }
                }
            };
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.shutdown.cancelled() => {}
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

/// Forgets a service of which nothing is left.
fn forget(known: &mut HashMap<Key, Known>, key: &Key) {
    if known.get(key).is_some_and(|entry| entry.under_way == 0 && entry.spares.is_empty() && !entry.is_swept)
    {
        known.remove(key);
    }
}

/// A request, with its answer, or a tunnel. It counts until it is dropped.
pub(super) struct UnderWay {
    services: Arc<Services>,
    key: Key,
}

impl UnderWay {
    pub(super) fn instance(&self) -> &InstanceId {
        &self.key.instance
    }

    pub(super) fn port(&self) -> u16 {
        self.key.port
    }

    /// A connection that waits, if there is one.
    pub(super) fn spare(&self) -> Option<Connection> {
        let mut known = self.services.lock();
        let entry = known.get_mut(&self.key)?;
        while let Some(Spare { connection, since }) = entry.spares.pop() {
            if connection.sender.is_ready() && since.elapsed() < self.services.spare {
                return Some(connection);
            }
        }
        None
    }

    /// A new connection.
    ///
    /// # Errors
    /// When there is none to be had in time.
    pub(super) async fn connect(&self, target: &Target) -> Result<Connection, Refusal> {
        let services = &self.services;
        let Key { instance, port, .. } = &self.key;
        let hosting = target.sandbox.hosting().ok_or(Refusal::Unsupported)?;
        let connected = timeout(services.connect, hosting.connect(instance, *port)).await;
        let io = connected.map_err(|_| Refusal::TooSlow)?.map_err(|error| match error {
            SandboxError::Gone => Refusal::NotReady,
            SandboxError::Refused(_) => Refusal::Unreachable,
            SandboxError::Unavailable(_) => Refusal::Unsupported,
            error => {
                tracing::warn!(%instance, port, %error, "a service cannot be reached");
                Refusal::Unreachable
            }
        })?;
        // It only makes the two halves, and waits for nothing.
        let (sender, connection) =
            services.http.handshake(TokioIo::new(io)).await.map_err(|_| Refusal::BadAnswer)?;
        let life = CancellationToken::new();
        let ended = life.clone().cancelled_owned();
        services.tasks.spawn(async move {
            tokio::select! {
                // What goes wrong is told to whoever uses it.
                _ = connection.with_upgrades() => {}
                () = ended => {}
            }
        });
        Ok(Connection { sender, is_used: false, _life: life.drop_guard() })
    }

    /// Keeps a connection that has served a request to its end.
    pub(super) fn keep(&self, mut connection: Connection) {
        let services = &self.services;
        if connection.sender.is_closed() || services.shutdown.is_cancelled() || services.spares == 0 {
            return;
        }
        connection.is_used = true;
        let mut known = services.lock();
        // It is there for as long as something of it is under way.
        let Some(entry) = known.get_mut(&self.key) else { return };
        if entry.spares.len() >= services.spares {
            entry.spares.remove(0);
        }
        entry.spares.push(Spare { connection, since: Instant::now() });
        if !std::mem::replace(&mut entry.is_swept, true) {
            drop(known);
            services.tasks.spawn(services.clone().sweep(self.key.clone()));
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut known = self.services.lock();
        if let Some(entry) = known.get_mut(&self.key) {
            entry.under_way -= 1;
        }
        forget(&mut known, &self.key);
    }
}
