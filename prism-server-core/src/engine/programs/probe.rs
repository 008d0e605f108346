//! Looks at services: whether they are ready, and whether they still are.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::service::since;
use crate::{
    domain::program::{
        config::{ProgramConfig, Readiness, ReadinessKind, ServiceSpec},
        service::{Service, ServiceState},
    },
    ports::{Clock, Hosting, SandboxError},
    service::programs::reach,
};

/// How long a look may take.
const LOOK: Duration = Duration::from_secs(5);
/// The time until a port is tried again that nobody listens at yet: at first, and doubled each time up to the interval of the
/// configuration. That is for looks at the program, of which it learns nothing then.
const SOON: Duration = Duration::from_millis(10);
/// The time between two looks at a service that was ready, at least.
const WATCH: Duration = Duration::from_secs(5);

/// Looks at one service, one look after the other.
pub(super) struct Probe {
    service: Service,
    readiness: Readiness,
    next: Instant,
    soon: Duration,
    /// When a service that has not been ready fails; of the kind `timeout`, when it is ready.
    deadline: Option<Instant>,
    is_ready: bool,
    failures: u32,
}

/// What came of some looks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It answers.
    Ready(String),
    /// It has not answered several times in a row.
    Silent(String),
    /// It has never answered, and the time for that is over.
    TooLate(String),
}

impl Probe {
    pub(super) fn new(clock: &dyn Clock, service: &Service, config: &ProgramConfig) -> Self {
        let readiness = config.service.as_ref().map(ServiceSpec::readiness);
        let readiness = readiness.unwrap_or_else(|| Readiness::of(ReadinessKind::Tcp));
        let (lasted, now) = (since(service.started_at, clock.now()), Instant::now());
        let is_new = service.state == ServiceState::Starting;
        let begins = readiness.initial_delay().saturating_sub(lasted);
        Self {
            service: service.clone(),
            deadline: is_new.then(|| now + readiness.timeout().saturating_sub(lasted)),
            next: now + begins,
            soon: SOON,
            is_ready: service.state == ServiceState::Ready,
            failures: 0,
            readiness,
        }
    }

    /// Looks until there is something to tell. It can be dropped while it looks.
    pub(super) async fn next(&mut self, hosting: &dyn Hosting) -> Finding {
        if self.readiness.kind == ReadinessKind::Timeout {
            return self.wait().await;
        }
        loop {
            if let Some(deadline) = self.deadline {
                tokio::select! {
                    () = sleep_until(self.next) => {}
                    () = sleep_until(deadline) => return self.too_late(),
                }
            } else {
                sleep_until(self.next).await;
            }
            let look = timeout(LOOK, self.look(hosting)).await;
            let found = look.unwrap_or_else(|_| Err(format!("no answer within {} s", LOOK.as_secs()).into()));
            let interval = self.readiness.interval();
            self.next = Instant::now() + if self.is_ready { interval.max(WATCH) } else { interval };
            match found {
                Ok(message) => {
                    self.failures = 0;
                    self.deadline = None;
                    if !self.is_ready {
                        self.is_ready = true;
                        return Finding::Ready(message);
                    }
                }
                Err(Silence { message, is_deserted }) => {
                    self.failures = self.failures.saturating_add(1);
                    // Another look soon, when it may be no more than a moment.
                    self.next = Instant::now() + interval;
                    if is_deserted && self.deadline.is_some() {
                        self.next = Instant::now() + self.soon.min(interval);
                        self.soon = self.soon.saturating_mul(2);
                    }
                    if self.deadline.is_none() && self.is_ready && self.failures >= self.readiness.failures()
                    {
                        self.is_ready = false;
                        return Finding::Silent(message);
                    }
                }
            }
        }
    }

    /// For a service that is ready once it has lived for a time.
    async fn wait(&mut self) -> Finding {
        match self.deadline.take() {
            Some(deadline) => {
                // Taken only once it is over, so that a look that is dropped is repeated.
                self.deadline = Some(deadline);
                sleep_until(deadline).await;
                self.deadline = None;
                Finding::Ready(format!("it has lived for {} s", self.readiness.timeout().as_secs()))
            }
            None => std::future::pending().await,
        }
    }

    fn too_late(&self) -> Finding {
        let seconds = self.readiness.timeout().as_secs();
        let Service { port, .. } = self.service;
        let what = match self.readiness.kind {
            ReadinessKind::Http => format!("it did not answer GET {} with success", self.readiness.path()),
            _ => "it did not take a connection".to_owned(),
        };
        Finding::TooLate(format!(
            "{what} at port {port} within {seconds} s; a service has to listen at 127.0.0.1 or at 0.0.0.0"
        ))
    }

    async fn look(&self, hosting: &dyn Hosting) -> Result<String, Silence> {
        let port = self.service.port;
        let connection = hosting.connect(self.service.id(), port).await.map_err(|error| Silence {
            message: error.to_string(),
            is_deserted: matches!(error, SandboxError::Refused(_)),
        })?;
        match self.readiness.kind {
            ReadinessKind::Http => {
                let path = self.readiness.path();
                let status = reach::status(connection, port, path).await?;
                match status.is_success() || status.is_redirection() {
                    true => Ok(format!("GET {path} was answered with {status}")),
                    false => Err(format!("GET {path} was answered with {status}").into()),
                }
            }
            _ => Ok(format!("it takes connections at port {port}")),
        }
    }
}

/// Why a look is no success.
struct Silence {
    message: String,
    /// Whether nobody listens at the port.
    is_deserted: bool,
}

impl From<String> for Silence {
    fn from(message: String) -> Self {
        Self { message, is_deserted: false }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        sync::atomic::{AtomicU32, Ordering},
    };

    use futures::stream::BoxStream;
    use prism_types::{DeploymentId, InstanceId, Timestamp};
    use serde_json::json;

    use super::*;
    use crate::{
        domain::program::hosted::Hosted,
        ports::{BoxFuture, Command, CommandStatus, Connection, Executed, Execution, OutputLine},
        testkit::clock::TestClock,
    };

    /// A port at which somebody listens after so many tries.
    struct Late {
        after: u32,
        tries: AtomicU32,
    }

    impl Late {
        fn new(after: u32) -> Self {
            Self { after, tries: AtomicU32::new(0) }
        }

        fn tries(&self) -> u32 {
            self.tries.load(Ordering::Relaxed)
        }
    }

    impl Hosting for Late {
        fn connect<'a>(
            &'a self,
            _: &'a InstanceId,
            port: u16,
        ) -> BoxFuture<'a, Result<Box<dyn Connection>, SandboxError>> {
            let is_there = self.tries.fetch_add(1, Ordering::Relaxed) >= self.after;
            Box::pin(async move {
                // What it says is no HTTP.
                let (near, _) = tokio::io::duplex(64);
                if is_there {
                    Ok(Box::new(near) as Box<dyn Connection>)
                } else {
                    Err(SandboxError::Refused(port))
                }
            })
        }

        fn disk_usage<'a>(&'a self, _: &'a InstanceId, _: u64) -> BoxFuture<'a, Result<u64, SandboxError>> {
            unreachable!("a look does nothing but connect")
        }

        fn unpack<'a>(
            &'a self,
            _: &'a DeploymentId,
            _: &'a InstanceId,
            _: File,
        ) -> BoxFuture<'a, Result<(), SandboxError>> {
            unreachable!("a look does nothing but connect")
        }

        fn start(&self, _: Command) -> BoxFuture<'_, Result<(), SandboxError>> {
            unreachable!("a look does nothing but connect")
        }

        fn status<'a>(
            &'a self,
            _: &'a InstanceId,
        ) -> BoxFuture<'a, Result<Option<CommandStatus>, SandboxError>> {
            unreachable!("a look does nothing but connect")
        }

        fn output<'a>(
            &'a self,
            _: &'a InstanceId,
            _: &'a str,
            _: Option<&'a str>,
        ) -> BoxFuture<'a, Result<BoxStream<'static, Result<OutputLine, SandboxError>>, SandboxError>>
        {
            unreachable!("a look does nothing but connect")
        }

        fn stop<'a>(&'a self, _: &'a InstanceId, _: Duration) -> BoxFuture<'a, Result<(), SandboxError>> {
            unreachable!("a look does nothing but connect")
        }

        fn execute<'a>(
            &'a self,
            _: &'a InstanceId,
            _: Execution,
        ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Executed, SandboxError>>, SandboxError>> {
            unreachable!("a look does nothing but connect")
        }

        fn copy_running<'a>(
            &'a self,
            _: &'a InstanceId,
            _: &'a InstanceId,
        ) -> BoxFuture<'a, Result<(), SandboxError>> {
            unreachable!("a look does nothing but connect")
        }
    }

    fn probe(readiness: serde_json::Value) -> Probe {
        let now = Timestamp::from_millis(0);
        let config = json!({
            "mode": "service", "entrypoint": "app", "service": { "port": 80, "readiness": readiness },
        });
        let service = Service {
            hosted: Hosted::new("ins_1".parse().unwrap(), "dep_1".parse().unwrap(), "ver_1".parse().unwrap()),
            state: ServiceState::Starting,
            port: 80,
            readiness: None,
            idempotency_key: "key".to_owned(),
            keeps_sandbox: false,
            started_at: Some(now),
            stopped_at: None,
            created_at: now,
            updated_at: now,
            revision: 0,
        };
        Probe::new(&TestClock::at(now), &service, &ProgramConfig::parse(&config).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_is_found_soon_after_it_listens() {
        let (began, port) = (Instant::now(), Late::new(4));
        let found = probe(json!({ "type": "tcp" })).next(&port).await;
        assert_eq!(found, Finding::Ready("it takes connections at port 80".to_owned()));
        // 10, 20, 40 and 80 ms after each other.
        assert_eq!((port.tries(), began.elapsed().as_millis()), (5, 150));
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_of_nobody_is_tried_less_and_less_often_until_the_time_is_over() {
        let (began, port) = (Instant::now(), Late::new(u32::MAX));
        let found = probe(json!({ "type": "tcp", "timeout_seconds": 60 })).next(&port).await;
        assert!(matches!(found, Finding::TooLate(_)));
        // Seven pauses of 1.27 s together, and then the interval.
        assert_eq!((port.tries(), began.elapsed().as_secs()), (8 + 58, 60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_listens_is_asked_no_more_often_than_it_wants() {
        let (began, port) = (Instant::now(), Late::new(0));
        let readiness = json!({ "type": "http", "path": "/", "timeout_seconds": 60, "interval_seconds": 7 });
        let found = probe(readiness).next(&port).await;
        assert!(matches!(found, Finding::TooLate(_)));
        assert_eq!((port.tries(), began.elapsed().as_secs()), (9, 60));
    }
}
