//! The client: settings and connections, shared by every handle and call.

mod behavior;
mod builder;
mod connections;

use std::{fmt, sync::Arc, time::Duration};

use prism_types::DeploymentId;
use reqwest::{
    Url,
    header::{HeaderMap, HeaderValue},
};

use crate::{
    RetryPolicy,
    resources::{AuditLog, DeploymentHandle, Deployments, Snapshots, Webhooks},
    retry::Budget,
    transport::Transport,
    wait::{Condition, Subject, Wait, WaitState},
};

pub use behavior::BehaviorVersion;
pub use builder::ClientBuilder;

/// A client of one Prism server with one API key.
///
/// Cloning is cheap, and clones share their connections; a program needs one. It must be used within a Tokio
/// runtime with timers and I/O enabled. `Debug` does not show the key.
///
/// ```no_run
/// use prism_client::{Client, types::CreateDeployment};
///
/// # async fn example() -> Result<(), prism_client::Error> {
/// let client = Client::builder().base_url("http://127.0.0.1:8080").api_key("prism_…").build()?;
/// let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
/// let deployment = client.deployments().create(request).await?;
/// println!("{}", deployment.deployment_id);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: Transport,
    base_url: Url,
    authorization: HeaderValue,
    headers: HeaderMap,
    timeout: Duration,
    attempt_timeout: Option<Duration>,
    retry_policy: RetryPolicy,
    budget: Budget,
}

impl Client {
    /// A builder with every setting at its default.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// A client from the environment: `PRISM_API_KEY`, and `PRISM_BASE_URL` if it is set.
    ///
    /// # Errors
    /// As [`ClientBuilder::build`].
    pub fn from_env() -> Result<Self, crate::Error> {
        Self::builder().build()
    }

    /// Creates, lists and changes deployments.
    pub fn deployments(&self) -> Deployments {
        Deployments::new(self.clone())
    }

    /// A handle on one deployment: its messages, events, threads, runs, files and skills. Nothing is sent.
    pub fn deployment(&self, id: &DeploymentId) -> DeploymentHandle {
        DeploymentHandle::new(self.clone(), id.clone())
    }

    /// Reads who changed what.
    pub fn audit_log(&self) -> AuditLog {
        AuditLog::new(self.clone())
    }

    /// Lists and deletes the workspaces that were kept of deleted deployments.
    pub fn snapshots(&self) -> Snapshots {
        Snapshots::new(self.clone())
    }

    /// Creates, lists and changes webhooks, and reads what became of their deliveries.
    pub fn webhooks(&self) -> Webhooks {
        Webhooks::new(self.clone())
    }

    /// The API of agent deployments: bundles of code that run as jobs or as services. See [`nullspace`](crate::nullspace).
    #[cfg(feature = "nullspace")]
    pub fn nullspace(&self) -> crate::nullspace::Nullspace {
        crate::nullspace::Nullspace::new(self.clone())
    }

    /// Goes on with a wait that was begun in another process; see [`wait`](crate::wait).
    ///
    /// ```no_run
    /// use prism_client::{
    ///     types::Run,
    ///     wait::{Over, Wait, WaitState},
    /// };
    ///
    /// # async fn example(client: prism_client::Client, stored: &str) -> Result<(), prism_client::Error> {
    /// let state: WaitState = serde_json::from_str(stored).expect("it was stored");
    /// let run = client.resume_wait::<Run>(state, Over).await?;
    /// println!("{}", run.status);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The wait is [`Error::is_configuration`](crate::Error::is_configuration) when the state is of a wait for another sort
    /// of thing.
    pub fn resume_wait<T: Subject>(
        &self,
        state: WaitState,
        condition: impl Condition<T> + Send + Sync + 'static,
    ) -> Wait<T> {
        Wait::resume(self, state, condition)
    }

    /// The base URL, without a slash at its end unless it has no path.
    pub fn base_url(&self) -> &str {
        self.0.base_url.as_str()
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.0.transport
    }

    pub(crate) fn authorization(&self) -> &HeaderValue {
        &self.0.authorization
    }

    /// What is sent with every request.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    pub(crate) fn attempt_timeout(&self) -> Option<Duration> {
        self.0.attempt_timeout
    }

    pub(crate) fn retry_policy(&self) -> RetryPolicy {
        self.0.retry_policy
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    /// The URL of a path below the base URL, such as `/v1/snapshots/{snapshot_id}`, with these values, escaped, in place of
    /// the names in braces.
    pub(crate) fn url(&self, path: &'static str, values: &[&str]) -> Url {
        let mut url = self.0.base_url.clone();
        let mut values = values.iter();
        let segments = path.split('/').skip(1).map(|segment| match segment.starts_with('{') {
            true => values.next().copied().unwrap_or_default(),
            false => segment,
        });
        // The builder refuses a base URL that cannot have a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.base_url())
            .field("timeout", &self.0.timeout)
            .field("attempt_timeout", &self.0.attempt_timeout)
            .field("retry_policy", &self.0.retry_policy)
            .finish_non_exhaustive()
    }
}
