//! The sandbox `docker`: a container of a Docker Engine for each instance.
//!
//! # What is isolated
//!
//! | of the machine | in the container |
//! |---|---|
//! | network | none but a loopback of its own; the only ways out are sockets among the program's files |
//! | files | the image, read-only; `/workspace` and `/home/agent`, volumes; temporary files, in memory |
//! | the program's files | `/prism`, read-only |
//! | users | user and group 10001, no capability, and no way to get one (`no-new-privileges`) |
//! | system calls | those of the engine's default seccomp profile |
//! | processes, IPC, host name, cgroups | name spaces of its own |
//! | memory, processors, processes, open files | [`DockerLimits`]; no swap, no core dumps |
//! | environment | the program's and the sandbox's, `HOSTNAME`, and `PATH` and `LANG` of the image |
//! | output | at most 2 MB of it are kept |
//!
//! # What an agent can still do
//!
//! * Fill the disk of the engine through its workspace and its home: volumes have no quota. Put them on a file
//!   system that has one, or watch it.
//! * Use up what its limits allow, all the time.
//! * Attack the kernel, which it shares with the machine. Where that matters, give the engine a runtime with a
//!   kernel of its own.
//! * Say whatever it likes to the sockets that it is given.
//!
//! Whoever may use the engine can read a program's environment, and is root on the machine: the gateway is one
//! of them.
//!
//! # Life
//!
//! The container is named `prism-<instance>`; its volumes end in `-home` and `-workspace`. Labels tell the
//! gateways of one engine apart. A container whose program has ended is made again from the image, with its
//! home, and with its workspace when that is persistent. They all outlive the gateway. While a container is dead,
//! another one, whose name ends in `-files`, can stand for it: users of the agent reach the workspace through it. One whose
//! name ends in `-copy` copies a workspace.
//!
//! The engine has to be on the gateway's machine: it mounts the directory of the program's files, which must
//! stay the same directory for as long as the container lives, and what is in it must be readable, and its
//! sockets writable, for user 10001.
//!
//! # Commands of users
//!
//! They run as [`Hosting`](crate::ports::Hosting) has it, each in a container of its own from the image of its
//! [template](DockerSandbox::template), confined as a program is.
//!
//! | of a command | here |
//! |---|---|
//! | `HOME` | `/workspace/.home`; there is no volume besides the workspace, and no `/prism` |
//! | network | none, unless it asks for one and the operator has [named one](DockerSandbox::network) |
//! | processors, memory | [`DockerLimits`], or less where the command says so; at least 6 MiB and a hundredth of a processor |
//! | output | the last 2 to 4 MB, by the engine's log driver `local`; of one line without end that is longer than that, a part can be left out where it is resumed |
//! | status, token | the engine's, with the container, until the next command is started, something is unpacked, or the sandbox is removed; of a command that went down with the engine or the machine it is 255 |
//! | environment | in the engine's configuration of the container, on its disk, for as long |
//!
//! The gateway reaches a port by entering the container's network, where nothing else can: it has to run as root, or with
//! `CAP_SYS_ADMIN` and `CAP_SYS_PTRACE`, on the engine's machine. An operator who wants secrets off the disk early has
//! the sandbox removed, or another command started in it, once the last one has ended.

mod archive;
mod command;
mod container;
mod engine;
mod execution;
mod files;
mod hosting;
mod limits;
mod output;
mod port;
#[cfg(test)]
mod tests;
mod volumes;
mod watcher;
mod workspace;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use futures::FutureExt;
use prism_types::{InstanceId, Runtime, SandboxType};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use self::{
    engine::{Engine, Failure},
    volumes::Volumes,
    watcher::Removals,
    workspace::DockerWorkspace,
};
use crate::{
    domain::workspace::WorkspacePath,
    ports::{
        BoxFuture, FileWrite, Sandbox, SandboxError, SandboxInstance, SandboxListener, SandboxRequest,
        Workspace,
    },
};

pub use self::limits::DockerLimits;

/// The image of the runtime `hermes`, unless another is set.
const HERMES_IMAGE: &str = "prism-hermes:0.19.0";
/// The image of the template `base`, unless another is set.
const BASE_IMAGE: &str = "prism-base:bookworm";
/// Most bytes of a program's output that are given out.
const OUTPUT: usize = 64 * 1024;

/// Sandboxes in containers: see the module's documentation.
pub struct DockerSandbox {
    engine: Arc<Engine>,
    owner: String,
    images: BTreeMap<String, String>,
    /// The images of commands, by the names of templates.
    templates: BTreeMap<String, String>,
    /// The network of the engine for commands that may have one.
    network: Option<String>,
    networks: port::Networks,
    volumes: Volumes,
    limits: DockerLimits,
    turns: Arc<Turns>,
    removals: Arc<Removals>,
    listener: OnceLock<Arc<dyn SandboxListener>>,
    watch: OnceLock<AbortOnDropHandle<()>>,
}

impl DockerSandbox {
    /// Sandboxes of the engine that `DOCKER_HOST` names (`unix://` or `tcp://`), or else of the one at
    /// `/var/run/docker.sock`.
    ///
    /// The owner is the identity of this gateway. It labels what is made; what has another label is left
    /// alone. It has to be the same after a restart, and another for another gateway.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`], when there can be no engine: `DOCKER_HOST` is not understood, or there is
    /// no such socket. Whether the engine answers is found out by [`check`](Self::check), or by the first use.
    pub fn connect(owner: impl Into<String>) -> Result<Self, SandboxError> {
        Ok(Self::on(Engine::connect()?, owner.into()))
    }

    fn on(engine: Engine, owner: String) -> Self {
        Self {
            engine: Arc::new(engine),
            owner,
            images: [(Runtime::Hermes.as_str().to_owned(), HERMES_IMAGE.to_owned())].into(),
            templates: [("base".to_owned(), BASE_IMAGE.to_owned())].into(),
            network: None,
            networks: port::Networks::default(),
            volumes: Volumes::default(),
            limits: DockerLimits::default(),
            turns: Arc::default(),
            removals: Arc::default(),
            listener: OnceLock::new(),
            watch: OnceLock::new(),
        }
    }

    /// Sets the image of a runtime: its entry point runs the interpreter, and it has a user 10001 with empty
    /// directories `/workspace` and `/home/agent`. Default: `prism-hermes:0.19.0` for `hermes`, none for others.
    #[must_use]
    pub fn image(mut self, runtime: Runtime, image: impl Into<String>) -> Self {
        self.images.insert(runtime.as_str().to_owned(), image.into());
        self
    }

    /// Sets the image of a template of commands: it has `/bin/sh`, `/usr/bin/tini`, the usual commands of a Unix in
    /// `/bin`, and a user 10001 with an empty directory `/workspace`. Default: `prism-base:bookworm` for `base`.
    #[must_use]
    pub fn template(mut self, name: impl Into<String>, image: impl Into<String>) -> Self {
        self.templates.insert(name.into(), image.into());
        self
    }

    /// Sets the network of the engine that commands get which ask for one, such as `bridge` or one that is made for them. What it
    /// reaches they reach: the machine itself, and each other, unless the network or a firewall forbids it. Default:
    /// none, and commands run without a network whatever they ask for.
    #[must_use]
    pub fn network(mut self, name: impl Into<String>) -> Self {
        self.network = Some(name.into());
        self
    }

    /// Sets what a container may take of the machine.
    #[must_use]
    pub fn limits(mut self, limits: DockerLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Asks the engine whether it is there and has what is needed.
    ///
    /// # Errors
    /// When the engine does not answer; the text says what to do.
    pub async fn check(&self) -> Result<DockerCheck, SandboxError> {
        let version = self.engine.version().await?;
        let info = self.engine.info().await?;
        let limits = [
            ("memory", info.memory_limit),
            ("swap", info.swap_limit),
            ("processors", info.cpu_cfs_quota),
            ("processes", info.pids_limit),
        ];
        // The engine does not tell those that a newer one took for granted.
        let missing_limits = limits.into_iter().filter(|(_, has)| *has == Some(false)).map(|(name, _)| name);
        let mut images = Vec::new();
        for (runtime, image) in &self.images {
            images.push(DockerImage {
                runtime: Runtime::from(runtime.as_str()),
                image: image.clone(),
                present: self.engine.has_image(image).await?,
            });
        }
        Ok(DockerCheck { version, images, missing_limits: missing_limits.collect() })
    }

    /// The image for a request. Where nothing runs, any will do.
    fn image_of(&self, request: &SandboxRequest) -> Result<&str, SandboxError> {
        let runtime = request.program.as_ref().map_or(&Runtime::Hermes, |program| &program.runtime);
        self.images.get(runtime.as_str()).map(String::as_str).ok_or_else(|| {
            SandboxError::Unavailable(format!(
                "no image is configured for the runtime `{}` in sandboxes of type `docker`",
                runtime.as_str()
            ))
        })
    }

    fn living(&self, id: &InstanceId, container: String) -> Arc<dyn SandboxInstance> {
        Arc::new(DockerInstance { id: id.clone(), container, engine: self.engine.clone() })
    }

    /// Refuses what another made under a name of ours.
    fn check_owner(&self, name: &str, owner: Option<&str>) -> Result<(), SandboxError> {
        if owner == Some(&self.owner) {
            return Ok(());
        }
        Err(SandboxError::Failed(format!(
            "{name} is in the way, which this gateway did not make: remove it, or give each gateway its own data"
        )))
    }

    /// Makes the volumes. A workspace that is not kept is made anew.
    async fn make_volumes(&self, request: &SandboxRequest) -> Result<(), SandboxError> {
        let id = &request.instance_id;
        let workspace = container::workspace_volume(id);
        if !request.persistent {
            self.engine.remove_volume(&self.owner, &workspace).await?;
        }
        for name in [container::home_volume(id), workspace] {
            let owner = self.engine.make_volume(&name, container::labels(&self.owner, request)).await?;
            self.check_owner(&name, owner.as_deref())?;
        }
        Ok(())
    }

    async fn make(&self, request: &SandboxRequest) -> Result<String, SandboxError> {
        let image = self.image_of(request)?;
        self.remove_keeper(&request.instance_id).await?;
        self.make_volumes(request).await?;
        let specification = container::specification(&self.owner, image, &self.limits, request);
        Ok(self.engine.start(&container::name(&request.instance_id), specification).await?)
    }

    /// The image of containers in which no agent runs, for which any will do: the first that the engine has.
    async fn any_image(&self) -> Result<&str, SandboxError> {
        let images = self.images.values();
        let images = images.chain(self.templates.values());
        let mut first = None;
        for image in images {
            if self.engine.has_image(image).await? {
                return Ok(image);
            }
            first.get_or_insert(image.as_str());
        }
        // The engine says that it has none.
        Ok(first.unwrap_or_default())
    }

    /// Removes the container that stands for a dead one.
    async fn remove_keeper(&self, id: &InstanceId) -> Result<(), SandboxError> {
        match self.engine.container(&container::keeper(id)).await? {
            Some(keeper) if keeper.owner.as_ref() == Some(&self.owner) => {
                self.engine.remove_container(&keeper.id).await
            }
            _ => Ok(()),
        }
    }

    /// Follows the engine's events once there is a listener and a runtime to do it in.
    fn start_watching(&self) {
        if let (Some(listener), Ok(runtime)) = (self.listener.get(), Handle::try_current()) {
            self.watch.get_or_init(|| {
                let (engine, removals) = (self.engine.clone(), self.removals.clone());
                let watch = watcher::watch(engine, self.owner.clone(), removals, listener.clone());
                AbortOnDropHandle::new(runtime.spawn(watch))
            });
        }
    }
}

impl Sandbox for DockerSandbox {
    fn kind(&self) -> SandboxType {
        SandboxType::Docker
    }

    fn ensure(
        &self,
        request: SandboxRequest,
    ) -> BoxFuture<'_, Result<Arc<dyn SandboxInstance>, SandboxError>> {
        async move {
            self.start_watching();
            let id = &request.instance_id;
            let turn = self.turns.of(id);
            let _turn = turn.lock().await;
            let name = container::name(id);
            if let Some(found) = self.engine.container(&name).await? {
                self.check_owner(&format!("the container {name}"), found.owner.as_deref())?;
                if found.running {
                    return Ok(self.living(id, found.id));
                }
                self.engine.remove_container(&found.id).await?;
            }
            let container = self.make(&request).await?;
            Ok(self.living(id, container))
        }
        .boxed()
    }

    fn find<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn SandboxInstance>>, SandboxError>> {
        async move {
            self.start_watching();
            let found = self.engine.container(&container::name(id)).await?;
            let ours = found.filter(|found| found.running && found.owner.as_ref() == Some(&self.owner));
            Ok(ours.map(|found| self.living(id, found.id)))
        }
        .boxed()
    }

    fn workspace<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Workspace>>, SandboxError>> {
        async move {
            let image = self.any_image().await?.to_owned();
            let (engine, turns, owner) = (self.engine.clone(), self.turns.clone(), self.owner.clone());
            let workspace = DockerWorkspace { engine, turns, owner, image, id: id.clone() };
            let is_there = workspace.is_there().await?;
            Ok(is_there.then(|| Arc::new(workspace) as Arc<dyn Workspace>))
        }
        .boxed()
    }

    fn copy_workspace<'a>(
        &'a self,
        from: &'a InstanceId,
        to: &'a InstanceId,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        async move {
            let turn = self.turns.of(to);
            let _turn = turn.lock().await;
            let (source, copy) = (container::workspace_volume(from), container::workspace_volume(to));
            self.engine.remove_container(&container::copier(to)).await?;
            self.remove_keeper(to).await?;
            self.engine.remove_volume(&self.owner, &copy).await?;
            let owner = self.engine.make_volume(&copy, container::volume_labels(&self.owner, to)).await?;
            self.check_owner(&copy, owner.as_deref())?;
            if !self.engine.has_volume(&self.owner, &source).await? {
                return Ok(());
            }
            let image = self.any_image().await?;
            let specification = container::copier_specification(&self.owner, image, from, to);
            self.engine.run("copy the workspace", &container::copier(to), specification).await
        }
        .boxed()
    }

    fn remove<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), SandboxError>> {
        async move {
            let turn = self.turns.of(id);
            let _turn = turn.lock().await;
            self.networks.forget(id);
            self.remove_keeper(id).await?;
            self.engine.remove_container(&container::copier(id)).await?;
            let found = self.engine.container(&container::name(id)).await?;
            if let Some(found) = found.filter(|found| found.owner.as_ref() == Some(&self.owner)) {
                self.removals.note(found.id.clone());
                self.engine.remove_container(&found.id).await?;
            }
            for volume in [container::home_volume(id), container::workspace_volume(id)] {
                self.engine.remove_volume(&self.owner, &volume).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<InstanceId>, SandboxError>> {
        async move {
            let mut all = self.engine.containers(&self.owner, false).await?;
            all.extend(self.engine.volumes(&self.owner).await?);
            let ids = all.iter().filter_map(|labels| labels.get(container::INSTANCE)?.parse().ok());
            Ok(ids.collect::<BTreeSet<_>>().into_iter().collect())
        }
        .boxed()
    }

    fn hosting(&self) -> Option<&dyn crate::ports::Hosting> {
        Some(self)
    }

    fn set_listener(&self, listener: Arc<dyn SandboxListener>) {
        self.listener.get_or_init(|| listener);
        self.start_watching();
    }
}

/// What [`DockerSandbox::check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DockerCheck {
    /// The version of the engine.
    pub version: String,
    /// The configured images.
    pub images: Vec<DockerImage>,
    /// What the engine cannot limit on this machine: `memory`, `swap`, `processors` or `processes`. It starts
    /// containers without such a limit.
    pub missing_limits: Vec<&'static str>,
}

/// A configured image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DockerImage {
    /// The runtime that it is for.
    pub runtime: Runtime,
    /// Its name.
    pub image: String,
    /// Whether the engine has it.
    pub present: bool,
}

struct DockerInstance {
    id: InstanceId,
    /// The engine's id: one that is made again is another sandbox to those who have a handle of this one.
    container: String,
    engine: Arc<Engine>,
}

impl DockerInstance {
    async fn check_alive(&self) -> Result<(), SandboxError> {
        let found = self.engine.container(&self.container).await?;
        if found.is_some_and(|found| found.running) { Ok(()) } else { Err(SandboxError::Gone) }
    }
}

impl SandboxInstance for DockerInstance {
    fn id(&self) -> &InstanceId {
        &self.id
    }

    fn read_file<'a>(
        &'a self,
        path: &'a WorkspacePath,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, SandboxError>> {
        async move {
            self.check_alive().await?;
            files::read(&self.engine, &self.container, path).await
        }
        .boxed()
    }

    fn write_file<'a>(
        &'a self,
        path: &'a WorkspacePath,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<FileWrite, SandboxError>> {
        async move {
            self.check_alive().await?;
            files::write(&self.engine, &self.container, path, content).await
        }
        .boxed()
    }

    fn delete_file<'a>(&'a self, path: &'a WorkspacePath) -> BoxFuture<'a, Result<bool, SandboxError>> {
        async move {
            self.check_alive().await?;
            files::delete(&self.engine, &self.container, path).await
        }
        .boxed()
    }

    fn end(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        self.engine.kill(&self.container).boxed()
    }

    fn output(&self) -> BoxFuture<'_, Result<String, SandboxError>> {
        async move {
            match self.engine.output(&self.container, OUTPUT).await {
                Ok(output) => Ok(text(&output)),
                Err(Failure::Missing(_)) => Err(SandboxError::Gone),
                Err(failure) => Err(failure.into()),
            }
        }
        .boxed()
    }
}

/// The output as text of no more bytes than a limit: what is no UTF-8 is replaced, by signs that are longer.
fn text(output: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(output).into_owned();
    let mut start = text.len().saturating_sub(OUTPUT);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.drain(..start);
    text
}

/// One at a time makes or removes the container of an instance.
#[derive(Default)]
struct Turns(Mutex<HashMap<InstanceId, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    fn of(&self, id: &InstanceId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(id).and_then(Weak::upgrade) {
            return turn;
        }
        // Those that nobody waits for any more.
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(id.clone(), Arc::downgrade(&turn));
        turn
    }
}
