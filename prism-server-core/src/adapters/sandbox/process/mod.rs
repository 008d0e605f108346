//! The sandbox `process`: a child process in a directory of its own. For development and trusted use.
//!
//! The program is run by an interpreter of this machine, as the user of the gateway, in a session of its own,
//! with an environment of its own and with limits on a few resources. It outlives the gateway: the next one on
//! the same directory finds it again. Everything of a sandbox lies in one folder with the name of its instance:
//!
//! | in the folder | what it is |
//! |---|---|
//! | `workspace/` | `PRISM_WORKSPACE`, the working directory |
//! | `home/` | `PRISM_HOME` and `HOME`, kept until the sandbox is removed |
//! | `tmp/` | `TMPDIR`, emptied at every start |
//! | `output`, `output.old` | the standard output and error |
//! | `program.json` | which process it is, and the token of a command |
//! | `command.out`, `command.error`, `command.json` | what a command writes, and what of it was taken away |
//! | `exit` | the status of the last command |
//! | `.aside-...` | what is on its way into the workspace or out of it |
//!
//! # What it does not isolate
//!
//! | of the machine | what the program can do |
//! |---|---|
//! | files | read and write all that the gateway's user can: other sandboxes, the gateway's data directory, and `PRISM_FILES`, which is read-only by agreement alone |
//! | network | everything |
//! | processes | see all, and signal those of the same user, the gateway's among them |
//! | CPU, memory, disk | take all there is: [`ProcessLimits`] are per process or per file, never for a sandbox as a whole |
//! | being ended | escape it: a process that clears its environment, leaves its session and loses its parent is not found by `remove`; nor can a gateway that is not root end a program that became another user's (`sudo`) |
//! | its own record | write it, and so be taken for dead, or have another process of the user taken for it |
//!
//! The files of users are served safely all the same: the program cannot make the gateway read, write or delete
//! outside of the workspace, nor wait.
//!
//! # What it needs
//!
//! Linux 5.6, `/proc`, the commands `setsid` and `prlimit` of util-linux, `cp`, `chmod` and `sync` of coreutils, and a tokio runtime with I/O and time.
//! A service manager that ends all processes of the gateway's service ends the agents too (systemd does not with
//! `KillMode=process`). Agents that end so, or with the machine, are started again by `ensure`.
//!
//! # Output
//!
//! The program writes to a file, for a pipe would break with the gateway. While a gateway watches the program,
//! it looks, once a second while something is written, and keeps the last 512 KiB of a longer file in `output.old`:
//! there is at most 1 MiB, and what is written within that second. The kernel's inotify tells that something is
//! written; where there is none left, it is looked at every second. While no gateway runs, only the limit of a file's
//! size holds. What is written in the moment of that change can be lost.
//!
//! # Commands of users
//!
//! They run beside programs, as [`Hosting`](crate::ports::Hosting) has it and with the same limits. A shell runs the line as
//! its child and writes its status down, so that the next gateway knows it.
//!
//! | of a command | here |
//! |---|---|
//! | `HOME` | `.home` in the workspace |
//! | template | the machine's files, whatever its name is |
//! | network | the machine's, whether it asks for one or not |
//! | processors, memory | not limited |
//! | ports | the machine's: of two commands with one port the second fails, and `connect` reaches whoever listens on the loopback |
//! | output | the last 2 MiB of each stream, at most 4 MiB of disk and what is written within a second; while no gateway runs, only the limit of a file's size holds |
//! | environment | readable for the user's other processes, in `/proc` |
//!
//! What a command forges of its own records (its output, its status, its token) is taken for true.

mod copy;
mod environment;
mod execution;
mod files;
mod folder;
mod hosting;
mod inotify;
mod instance;
mod launch;
mod limits;
mod output;
mod processes;
mod removal;
mod streams;
mod unpack;
mod watch;
mod workspace;

use std::os::unix::process::ExitStatusExt;
use std::{
    collections::HashMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::PathBuf,
    sync::Arc,
};

use futures::FutureExt;
use prism_types::{InstanceId, Runtime, SandboxType};
use tokio::sync::OwnedMutexGuard;

use crate::ports::{
    BoxFuture, Sandbox, SandboxError, SandboxInstance, SandboxListener, SandboxRequest, Workspace,
};
use folder::{Folder, Record};
use instance::ProcessInstance;
use launch::Launch;
use watch::Watches;
use workspace::ProcessWorkspace;

pub use limits::ProcessLimits;

/// How many sandboxes can be changed at a time; those with the same remainder wait for each other.
const LOCKS: usize = 64;

/// Sandboxes that are child processes: see the module's documentation.
#[derive(Clone)]
pub struct ProcessSandbox {
    settings: Arc<Settings>,
    watches: Arc<Watches>,
    /// One change at a time for each sandbox: a fixed number of locks, so that they need no upkeep.
    locks: Arc<Vec<Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Clone)]
struct Settings {
    directory: PathBuf,
    interpreters: HashMap<Runtime, PathBuf>,
    limits: ProcessLimits,
}

impl ProcessSandbox {
    /// Sandboxes in this directory, which is made when it is missing. One gateway at a time works on it.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let settings = Settings {
            directory: absolute(directory.into()),
            interpreters: HashMap::new(),
            limits: ProcessLimits::default(),
        };
        Self {
            settings: Arc::new(settings),
            watches: Arc::default(),
            locks: Arc::new((0..LOCKS).map(|_| Arc::default()).collect()),
        }
    }

    /// The interpreter of a runtime's programs, such as the `python` of a virtual environment: a path, which is
    /// not looked up. Default: none, and programs of the runtime are refused.
    #[must_use]
    pub fn interpreter(mut self, runtime: Runtime, path: impl Into<PathBuf>) -> Self {
        Arc::make_mut(&mut self.settings).interpreters.insert(runtime, absolute(path.into()));
        self
    }

    /// The limits of programs that are started from now on.
    #[must_use]
    pub fn limits(mut self, limits: ProcessLimits) -> Self {
        Arc::make_mut(&mut self.settings).limits = limits;
        self
    }

    fn folder(&self, id: &InstanceId) -> Folder {
        Folder::new(&self.settings.directory, id)
    }

    /// Does blocking work while nobody else changes the sandbox. The lock belongs to the work, which goes on
    /// when nobody waits for it any more.
    fn exclusively<T: Send + 'static>(
        &self,
        id: &InstanceId,
        work: impl FnOnce(&Self) -> Result<T, SandboxError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, SandboxError>> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let lock = Arc::clone(&self.locks[hasher.finish() as usize % LOCKS]);
        let sandbox = self.clone();
        async move {
            let guard: OwnedMutexGuard<()> = lock.lock_owned().await;
            blocking(move || {
                let _guard = guard;
                work(&sandbox)
            })
            .await
        }
        .boxed()
    }

    fn make(&self, request: &SandboxRequest) -> Result<ProcessInstance, SandboxError> {
        let id = &request.instance_id;
        if let Some(living) = self.living(id)? {
            return Ok(living);
        }
        let folder = self.folder(id);
        let program = request.program.as_ref();
        let launch = program.map(|program| Launch::new(&self.settings, id, &folder, program)).transpose()?;
        processes::end_all(id, folder.record()?.and_then(|record| record.program).as_ref())?;
        folder.prepare(request.persistent)?;
        let Some(launch) = launch else {
            let record = Record::new(None);
            folder.keep(&record)?;
            return Ok(ProcessInstance::new(self.clone(), id.clone(), folder, record));
        };
        let output = || {
            let output = folder.output_file()?;
            Ok([output.try_clone()?, output])
        };
        let (identity, child) = launch.start(output)?;
        let record = Record::new(Some(identity));
        self.take_up(id, &folder, &record, child)?;
        Ok(ProcessInstance::new(self.clone(), id.clone(), folder, record))
    }

    /// Records a program that was started, and watches it. When that fails it is ended.
    fn take_up(
        &self,
        id: &InstanceId,
        folder: &Folder,
        record: &Record,
        child: std::process::Child,
    ) -> Result<(), SandboxError> {
        let watched = folder.keep(record).and_then(|()| self.watch(id, folder, record, Some(child)));
        if let Err(error) = watched {
            self.watches.stop(id);
            processes::end_all(id, record.program.as_ref())?;
            if let Some(identity) = &record.program {
                identity.reap();
            }
            return Err(error);
        }
        Ok(())
    }

    fn living(&self, id: &InstanceId) -> Result<Option<ProcessInstance>, SandboxError> {
        let folder = self.folder(id);
        match folder.living()? {
            // It may have ended since.
            Some(record) if self.watch(id, &folder, &record, None)? => {
                Ok(Some(ProcessInstance::new(self.clone(), id.clone(), folder, record)))
            }
            _ => Ok(None),
        }
    }

    /// Has it told when the program ends; `false` when it has ended already.
    fn watch(
        &self,
        id: &InstanceId,
        folder: &Folder,
        record: &Record,
        child: Option<std::process::Child>,
    ) -> Result<bool, SandboxError> {
        let Some(identity) = &record.program else {
            return Ok(true);
        };
        let (locked, id_of_leftovers) = (Arc::downgrade(&self.locks), id.clone());
        let (settings, watches) = (Arc::downgrade(&self.settings), Arc::downgrade(&self.watches));
        let dead = record.clone();
        // Whoever watches must not keep alive what nobody uses any more.
        let clear = move |status: Option<std::process::ExitStatus>| {
            let (settings, watches) = (settings.upgrade()?, watches.upgrade()?);
            let sandbox = Self { settings, watches, locks: locked.upgrade()? };
            Some(sandbox.exclusively(&id_of_leftovers.clone(), move |sandbox| {
                sandbox.see_off(&id_of_leftovers, &dead, status)
            }))
        };
        self.watches.add(id, identity, child, folder.clone(), clear)
    }

    /// Ends all processes of a sandbox, unless it was made again or removed since.
    fn end_if(&self, id: &InstanceId, record: &Record) -> Result<(), SandboxError> {
        if self.folder(id).record()?.as_ref() == Some(record) {
            processes::end_all(id, record.program.as_ref())?;
        }
        Ok(())
    }

    /// Ends what a program left behind, and notes how it ended where that matters.
    fn see_off(
        &self,
        id: &InstanceId,
        record: &Record,
        status: Option<std::process::ExitStatus>,
    ) -> Result<(), SandboxError> {
        self.end_if(id, record)?;
        if record.command.is_some() {
            self.note_end(id, record, status.and_then(|status| status.signal()))?;
            streams::trim(&self.folder(id));
        }
        Ok(())
    }

    fn remove_now(&self, id: &InstanceId) -> Result<(), SandboxError> {
        let folder = self.folder(id);
        let watched = self.watches.stop(id);
        processes::end_all(id, folder.record()?.and_then(|record| record.program).as_ref())?;
        if let Some(watched) = watched {
            watched.reap();
        }
        folder.remove()
    }

    fn ids(&self) -> Result<Vec<InstanceId>, SandboxError> {
        let directory = &self.settings.directory;
        let listed = match fs::read_dir(directory) {
            Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        let names =
            listed.map_err(|error| failed(format_args!("{} cannot be read", directory.display()), error))?;
        Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
    }
}

impl Sandbox for ProcessSandbox {
    fn kind(&self) -> SandboxType {
        SandboxType::Process
    }

    fn ensure(
        &self,
        request: SandboxRequest,
    ) -> BoxFuture<'_, Result<Arc<dyn SandboxInstance>, SandboxError>> {
        let id = request.instance_id.clone();
        self.exclusively(
            &id,
            move |sandbox| Ok(Arc::new(sandbox.make(&request)?) as Arc<dyn SandboxInstance>),
        )
    }

    fn find<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn SandboxInstance>>, SandboxError>> {
        let key = id.clone();
        self.exclusively(id, move |sandbox| {
            let living = sandbox.living(&key)?;
            Ok(living.map(|instance| Arc::new(instance) as Arc<dyn SandboxInstance>))
        })
    }

    fn workspace<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Workspace>>, SandboxError>> {
        let folder = self.folder(id);
        blocking(move || {
            let is_there = folder.open_workspace()?.is_some();
            Ok(is_there.then(|| Arc::new(ProcessWorkspace(folder)) as Arc<dyn Workspace>))
        })
        .boxed()
    }

    fn copy_workspace<'a>(
        &'a self,
        from: &'a InstanceId,
        to: &'a InstanceId,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        let (from, to_folder, copy) = (self.folder(from), self.folder(to), to.clone());
        let prepared = self.exclusively(to, move |sandbox| sandbox.folder(&copy).prepare(false));
        async move {
            prepared.await?;
            // A copy takes long, and others would wait for it that have the same lock.
            blocking(move || match from.open_workspace()? {
                Some(workspace) => copy::copy(workspace, &to_folder),
                None => Ok(()),
            })
            .await
        }
        .boxed()
    }

    fn remove<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), SandboxError>> {
        let key = id.clone();
        self.exclusively(id, move |sandbox| sandbox.remove_now(&key))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<InstanceId>, SandboxError>> {
        let sandbox = self.clone();
        blocking(move || sandbox.ids()).boxed()
    }

    fn hosting(&self) -> Option<&dyn crate::ports::Hosting> {
        Some(self)
    }

    fn set_listener(&self, listener: Arc<dyn SandboxListener>) {
        self.watches.set_listener(listener);
    }
}

/// Runs work that waits for files and processes on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(SandboxError::Failed(format!("its work was broken off: {error}"))))
}

fn failed(what: impl std::fmt::Display, error: impl std::fmt::Display) -> SandboxError {
    SandboxError::Failed(format!("{what}: {error}"))
}

/// Programs have another working directory than the gateway.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests;
