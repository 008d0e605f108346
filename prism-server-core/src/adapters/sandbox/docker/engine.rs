//! The Docker Engine: its calls as far as sandboxes need them, each with a limit of time, and with errors that
//! say what to do.

use std::{collections::HashMap, env, error::Error as _, io, time::Duration};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error,
    models::{ContainerCreateBody, ContainerStateStatusEnum, EventMessage, SystemInfo, VolumeCreateRequest},
    query_parameters::{
        CreateContainerOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder,
        ListVolumesOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
        WaitContainerOptions,
    },
};
use futures::{Stream, StreamExt};
use tokio::{sync::OnceCell, time};

use super::container;
use crate::{domain::limits, ports::SandboxError};
use bollard::{container::LogOutput, query_parameters::KillContainerOptionsBuilder};
use futures::stream::BoxStream;

/// How long a call may take.
pub(super) const CALL: Duration = Duration::from_secs(30);
/// How often it is looked whether a removal that somebody else began has ended.
const REMOVAL: Duration = Duration::from_millis(100);
/// Most of what a container that failed has written that is told, in bytes.
const ERRORS: usize = 1024;
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// A client of the engine.
pub(super) struct Engine {
    docker: Docker,
    host: String,
    negotiated: OnceCell<()>,
}

/// A container, as far as it matters.
pub(super) struct Container {
    /// The engine's id of it: another one for each that is made.
    pub(super) id: String,
    pub(super) owner: Option<String>,
    pub(super) running: bool,
    /// Whether it is held: it runs, and nothing in it does.
    pub(super) paused: bool,
    /// Of the container of a command.
    pub(super) token: Option<String>,
    /// Whether it was started.
    pub(super) started: bool,
    /// Its status, once it has ended.
    pub(super) exit: Option<i64>,
    /// The number of its first process on the engine's machine.
    pub(super) pid: Option<i64>,
}

/// Why a call failed.
pub(super) enum Failure {
    /// What it is about is not there.
    Missing(String),
    /// It cannot be now, as things are.
    Conflict(String),
    /// Anything else.
    Other(SandboxError),
}

impl From<Failure> for SandboxError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Missing(text) | Failure::Conflict(text) => Self::Failed(text),
            Failure::Other(error) => error,
        }
    }
}

impl Engine {
    /// A client of the engine that `DOCKER_HOST` names, or else of the one at the usual socket.
    pub(super) fn connect() -> Result<Self, SandboxError> {
        let host = env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        Self::connect_to(host.as_deref().unwrap_or(DEFAULT_HOST))
    }

    pub(super) fn connect_to(host: &str) -> Result<Self, SandboxError> {
        let seconds = CALL.as_secs();
        let docker = if host.starts_with("unix://") {
            Docker::connect_with_unix(host, seconds, API_DEFAULT_VERSION)
        } else if host.starts_with("tcp://") || host.starts_with("http://") {
            Docker::connect_with_http(host, seconds, API_DEFAULT_VERSION)
        } else {
            return Err(SandboxError::Unavailable(format!(
                "DOCKER_HOST is {host:?}: it has to begin with unix:// or tcp://"
            )));
        };
        let docker = docker.map_err(|error| unreachable_engine(host, &error))?;
        Ok(Self { docker, host: host.to_owned(), negotiated: OnceCell::new() })
    }

    /// Makes a call: `doing` names it in an error.
    pub(super) async fn call<'a, T, F>(
        &'a self,
        doing: &str,
        call: impl FnOnce(&'a Docker) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let negotiated_call = async {
            self.negotiated
                .get_or_try_init(|| async { self.docker.clone().negotiate_version().await.map(drop) })
                .await?;
            call(&self.docker).await
        };
        match time::timeout(CALL, negotiated_call).await {
            Ok(result) => result.map_err(|error| self.failure(doing, error)),
            Err(_) => Err(too_long(doing)),
        }
    }

    /// A client for what takes long.
    pub(super) fn transfers(&self) -> Docker {
        self.docker.clone().with_timeout(limits::FILE_TIME)
    }

    /// What an error of a call is.
    pub(super) fn failure(&self, doing: &str, error: Error) -> Failure {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                let text = format!("{doing}: {message}");
                match status_code {
                    404 => Failure::Missing(text),
                    409 => Failure::Conflict(text),
                    _ => Failure::Other(SandboxError::Failed(text)),
                }
            }
            Error::RequestTimeoutError => too_long(doing),
            Error::HyperLegacyError { .. } | Error::SocketNotFoundError(_) => {
                Failure::Other(unreachable_engine(&self.host, &error))
            }
            other => Failure::Other(SandboxError::Failed(format!("{doing}: {other}"))),
        }
    }

    /// The engine's version.
    pub(super) async fn version(&self) -> Result<String, SandboxError> {
        let version = self.call("ask for the version", |docker| docker.version()).await?;
        Ok(version.version.unwrap_or_default())
    }

    /// What the engine says of itself.
    pub(super) async fn info(&self) -> Result<SystemInfo, SandboxError> {
        Ok(self.call("ask the engine about itself", |docker| docker.info()).await?)
    }

    pub(super) async fn has_image(&self, image: &str) -> Result<bool, SandboxError> {
        Ok(found(self.call("look for the image", |docker| docker.inspect_image(image)).await)?.is_some())
    }

    /// The container of this name or id.
    pub(super) async fn container(&self, name: &str) -> Result<Option<Container>, SandboxError> {
        let inspected =
            self.call("inspect the container", |docker| docker.inspect_container(name, None)).await;
        Ok(found(inspected)?.map(|container| {
            let labels = container.config.and_then(|config| config.labels).unwrap_or_default();
            let state = container.state.unwrap_or_default();
            Container {
                id: container.id.unwrap_or_default(),
                owner: labels.get(container::OWNER).or_else(|| labels.get(container::KEEPER)).cloned(),
                running: state.running.unwrap_or(false),
                paused: state.paused.unwrap_or(false),
                token: labels.get(container::TOKEN).cloned(),
                started: state.status != Some(ContainerStateStatusEnum::CREATED),
                exit: state.exit_code,
                pid: state.pid.filter(|pid| *pid > 0),
            }
        }))
    }

    /// Makes a container and starts it; its id.
    pub(super) async fn start(
        &self,
        name: &str,
        specification: ContainerCreateBody,
    ) -> Result<String, Failure> {
        let created = self.create(name, specification).await?;
        let started = self.call("start the container", |docker| docker.start_container(&created, None)).await;
        if let Err(failure) = started {
            // What is left of it says nothing that the failure does not.
            self.remove_container(&created).await.ok();
            return Err(failure);
        }
        Ok(created)
    }

    /// Holds all that runs in a container; one that does not run, or is held already, is no error.
    pub(super) async fn pause(&self, container: &str) -> Result<(), SandboxError> {
        match self.call("hold the container", |docker| docker.pause_container(container)).await {
            Err(Failure::Conflict(_)) => Ok(()),
            other => found(other).map(drop),
        }
    }

    /// Lets go on what was held in a container; one in which nothing is held is no error.
    pub(super) async fn unpause(&self, container: &str) -> Result<(), SandboxError> {
        match self.call("let the container go on", |docker| docker.unpause_container(container)).await {
            Err(Failure::Conflict(_)) => Ok(()),
            other => found(other).map(drop),
        }
    }

    /// Makes a container; its id.
    pub(super) async fn create(
        &self,
        name: &str,
        specification: ContainerCreateBody,
    ) -> Result<String, Failure> {
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        let image = specification.image.clone().unwrap_or_default();
        let created = self
            .call("create the container", |docker| docker.create_container(Some(options), specification))
            .await
            .map_err(|failure| match failure {
                Failure::Missing(text) if text.contains("No such image") => {
                    Failure::Other(missing_image(&image))
                }
                other => other,
            })?;
        for warning in created.warnings {
            tracing::warn!(container = name, warning, "the engine does not do all that it was told");
        }
        Ok(created.id)
    }

    /// Makes a container, starts it, waits until it has ended, and removes it.
    ///
    /// # Errors
    /// When it cannot be run, or fails: with the last that it wrote.
    pub(super) async fn run(
        &self,
        doing: &str,
        name: &str,
        specification: ContainerCreateBody,
    ) -> Result<(), SandboxError> {
        self.remove_container(name).await?;
        let container = self.start(name, specification).await?;
        let transfers = self.transfers();
        let mut ends = transfers.wait_container(&container, None::<WaitContainerOptions>);
        let ended = match ends.next().await {
            Some(Ok(_)) => Ok(()),
            // Then nobody knows.
            None => Err(SandboxError::Failed(format!("{doing}: the engine did not say how it ended"))),
            Some(Err(Error::DockerContainerWaitError { .. })) => {
                let output = self.output(&container, ERRORS).await?;
                Err(failed_command(doing, &String::from_utf8_lossy(&output)))
            }
            Some(Err(error)) => Err(self.failure(doing, error).into()),
        };
        self.remove_container(&container).await?;
        ended
    }

    /// Asks the first process of a container to end; one that does not run, or is not there, is no error.
    pub(super) async fn ask_to_end(&self, container: &str) -> Result<(), SandboxError> {
        let options = KillContainerOptionsBuilder::new().signal("SIGTERM").build();
        let asked = self.call("stop the container", |docker| docker.kill_container(container, Some(options)));
        match asked.await {
            Err(Failure::Conflict(_)) => Ok(()),
            other => found(other).map(drop),
        }
    }

    /// Waits until a container does not run, at most this long. Whether it does is for the caller to look at.
    pub(super) async fn wait(&self, container: &str, most: Duration) {
        let docker = self.docker.clone().with_timeout(most);
        let mut ends = std::pin::pin!(docker.wait_container(container, None::<WaitContainerOptions>));
        drop(time::timeout(most, ends.next()).await);
    }

    /// What a container has written, each line with its time: from a second of Unix time on, and perhaps as it comes.
    pub(super) fn logs(
        &self,
        container: &str,
        since: i32,
        follow: bool,
    ) -> BoxStream<'static, Result<LogOutput, Error>> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true);
        self.docker.logs(container, Some(options.since(since).follow(follow).build())).boxed()
    }

    /// Kills a container and waits for its end; one that does not run, or is not there, is no error.
    pub(super) async fn kill(&self, name: &str) -> Result<(), SandboxError> {
        match self.call("kill the container", |docker| docker.kill_container(name, None)).await {
            Err(Failure::Conflict(_)) => Ok(()),
            other => found(other).map(drop),
        }
    }

    /// Kills and removes a container, and waits until it is gone; one that is not there is no error.
    pub(super) async fn remove_container(&self, name: &str) -> Result<(), SandboxError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        let removed =
            self.call("remove the container", |docker| docker.remove_container(name, Some(options))).await;
        match removed {
            // Somebody removes it already.
            Err(Failure::Conflict(_)) => {
                let gone = async {
                    while self.container(name).await?.is_some() {
                        time::sleep(REMOVAL).await;
                    }
                    Ok(())
                };
                time::timeout(CALL, gone).await.map_err(|_| too_long("remove the container"))?
            }
            other => found(other).map(drop),
        }
    }

    /// Makes a volume, or finds it: the owner that its label names.
    pub(super) async fn make_volume(
        &self,
        name: &str,
        labels: HashMap<String, String>,
    ) -> Result<Option<String>, SandboxError> {
        let request =
            VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(labels), ..Default::default() };
        let mut volume = self.call("create the volume", |docker| docker.create_volume(request)).await?;
        Ok(volume.labels.remove(container::OWNER))
    }

    /// Whether there is a volume of this owner.
    pub(super) async fn has_volume(&self, owner: &str, name: &str) -> Result<bool, SandboxError> {
        let inspected = self.call("inspect the volume", |docker| docker.inspect_volume(name)).await;
        let label = |labels: &HashMap<String, String>| labels.get(container::OWNER).cloned();
        Ok(found(inspected)?.and_then(|volume| label(&volume.labels)).is_some_and(|label| label == owner))
    }

    /// Removes a volume of this owner; one that is not there is no error, and another's is left alone.
    pub(super) async fn remove_volume(&self, owner: &str, name: &str) -> Result<(), SandboxError> {
        if self.has_volume(owner, name).await? {
            let options = None::<RemoveVolumeOptions>;
            found(self.call("remove the volume", |docker| docker.remove_volume(name, options)).await)?;
        }
        Ok(())
    }

    /// The labels of all containers of this owner, or of those alone that have ended.
    pub(super) async fn containers(
        &self,
        owner: &str,
        ended: bool,
    ) -> Result<Vec<HashMap<String, String>>, SandboxError> {
        let mut filters = owned(owner);
        if ended {
            filters.insert("status", vec!["exited".to_owned(), "dead".to_owned()]);
        }
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let containers =
            self.call("list the containers", |docker| docker.list_containers(Some(options))).await?;
        Ok(containers.into_iter().filter_map(|container| container.labels).collect())
    }

    /// The labels of all volumes of this owner.
    pub(super) async fn volumes(&self, owner: &str) -> Result<Vec<HashMap<String, String>>, SandboxError> {
        let options = ListVolumesOptionsBuilder::new().filters(&owned(owner)).build();
        let volumes = self.call("list the volumes", |docker| docker.list_volumes(Some(options))).await?;
        Ok(volumes.volumes.unwrap_or_default().into_iter().map(|volume| volume.labels).collect())
    }

    /// The deaths of this owner's containers since then, in seconds of Unix time, and from now on.
    pub(super) fn deaths(&self, owner: &str, since: u64) -> impl Stream<Item = Result<EventMessage, Error>> {
        let mut filters = owned(owner);
        filters.insert("type", vec!["container".to_owned()]);
        filters.insert("event", vec!["die".to_owned()]);
        let options = EventsOptionsBuilder::new().since(&since.to_string()).filters(&filters).build();
        self.docker.events(Some(options))
    }

    /// The last of what a container wrote, at most so many bytes.
    pub(super) async fn output(&self, container: &str, most: usize) -> Result<Vec<u8>, Failure> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
        self.call("read the output", |docker| async move {
            let mut output = Vec::new();
            let mut logs = docker.logs(container, Some(options));
            while let Some(part) = logs.next().await {
                output.extend_from_slice(&part?.into_bytes());
                // At twice the size, so that a byte is not moved for each that comes.
                if output.len() > 2 * most {
                    output.drain(..output.len() - most);
                }
            }
            output.drain(..output.len().saturating_sub(most));
            Ok(output)
        })
        .await
    }
}

fn owned(owner: &str) -> HashMap<&'static str, Vec<String>> {
    [("label", vec![format!("{}={owner}", container::OWNER)])].into()
}

/// What is not there is no error.
fn found<T>(result: Result<T, Failure>) -> Result<Option<T>, SandboxError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Missing(_)) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

/// What a command that failed has written says.
pub(super) fn failed_command(doing: &str, errors: &str) -> SandboxError {
    if errors.contains("No space left on device") || errors.contains("Disk quota exceeded") {
        return SandboxError::NoRoom;
    }
    SandboxError::Failed(format!("{doing}: {}", errors.trim_end()))
}

fn too_long(doing: &str) -> Failure {
    let text = format!("{doing}: the engine did not answer within {} s", CALL.as_secs());
    Failure::Other(SandboxError::Failed(text))
}

fn missing_image(image: &str) -> SandboxError {
    SandboxError::Unavailable(format!(
        "the Docker Engine has no image {image}: build it with `just image`, or configure one that it has"
    ))
}

fn unreachable_engine(host: &str, error: &Error) -> SandboxError {
    let mut cause = error.source();
    let mut denied = false;
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        denied |= kind == Some(io::ErrorKind::PermissionDenied);
        cause = error.source();
    }
    SandboxError::Unavailable(if denied {
        format!("this user may not use the Docker Engine at {host}: add it to the group `docker`")
    } else {
        format!("no Docker Engine answers at {host}: start it, or set DOCKER_HOST")
    })
}
