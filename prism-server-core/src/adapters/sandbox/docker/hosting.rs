//! Commands of users, each in a container of its own on the workspace of its sandbox.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io::{self, BufWriter, Read, Write},
    os::unix::ffi::OsStrExt,
    time::{Duration, UNIX_EPOCH},
};

use bollard::{body_try_stream, query_parameters::UploadToContainerOptionsBuilder};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream, stream::BoxStream};
use prism_types::{DeploymentId, InstanceId};
use tar::{Builder, EntryType, Header};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    super::bundle::{self, Content, Member},
    DockerSandbox, container,
    engine::{CALL, Container},
    execution, output, port,
};
use crate::ports::{
    BoxFuture, Command, CommandStatus, Connection, Executed, Execution, Exit, Hosting, OutputLine,
    Sandbox as _, SandboxError,
};

/// How much of an archive is on its way at a time: so many parts of so many bytes.
const PARTS: usize = 4;
const PART: usize = 256 << 10;

impl Hosting for DockerSandbox {
    fn unpack<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        id: &'a InstanceId,
        archive: File,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        async move {
            let turn = self.turns.of(id);
            let _turn = turn.lock().await;
            if let Some(found) = self.command(id).await? {
                if found.running {
                    return Err(SandboxError::Failed("nothing is unpacked where something runs".to_owned()));
                }
                self.engine.remove_container(&found.id).await?;
            }
            self.remove_keeper(id).await?;
            self.engine.remove_container(&container::copier(id)).await?;
            let volume = container::workspace_volume(id);
            self.engine.remove_volume(&self.owner, &volume).await?;
            self.make_workspace(deployment, id).await?;
            let image = self.any_image().await?;
            let specification = container::unpacker_specification(&self.owner, image, id);
            let unpacker = self.engine.create(&container::copier(id), specification).await?;
            let unpacked = self.upload(&unpacker, archive).await;
            let removed = self.engine.remove_container(&unpacker).await;
            unpacked.and(removed)
        }
        .boxed()
    }

    fn start(&self, command: Command) -> BoxFuture<'_, Result<(), SandboxError>> {
        async move {
            self.start_watching();
            bundle::check(&command)?;
            let image = self.template_image(&command.template)?;
            let id = &command.instance_id;
            let turn = self.turns.of(id);
            let _turn = turn.lock().await;
            if let Some(found) = self.command(id).await? {
                // One that was not started is what a gateway left that was killed.
                if found.started && found.token.as_ref() == Some(&command.token) {
                    return Ok(());
                }
                self.removals.note(found.id.clone());
                self.networks.forget(id);
                self.engine.remove_container(&found.id).await?;
            }
            self.remove_keeper(id).await?;
            self.make_workspace(&command.deployment_id, id).await?;
            let network = self.network.as_deref();
            let specification =
                container::command_specification(&self.owner, image, &self.limits, network, &command);
            self.engine.start(&container::name(id), specification).await?;
            Ok(())
        }
        .boxed()
    }

    fn status<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<CommandStatus>, SandboxError>> {
        async move {
            self.start_watching();
            let found = self.engine.container(&container::name(id)).await?;
            let ours = found.filter(|found| found.started && found.owner.as_ref() == Some(&self.owner));
            let Some((found, token)) = ours.and_then(|mut found| Some((found.token.take()?, found))) else {
                return Ok(None);
            };
            if token.paused
                && let Ok(_turn) = self.turns.of(id).try_lock()
            {
                // A gateway that was killed held it.
                self.engine.unpause(&token.id).await?;
            }
            Ok(Some(CommandStatus { exit: exit(&token), token: found }))
        }
        .boxed()
    }

    fn output<'a>(
        &'a self,
        id: &'a InstanceId,
        token: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<OutputLine, SandboxError>>, SandboxError>> {
        async move {
            let places = output::Places::after(after)?;
            let found = self.engine.container(&container::name(id)).await?;
            let found = found.filter(|found| found.owner.as_ref() == Some(&self.owner));
            Ok(match found.filter(|found| found.token.as_deref() == Some(token)) {
                Some(found) => output::follow(self.engine.clone(), found.id, places),
                None => stream::empty().boxed(),
            })
        }
        .boxed()
    }

    fn stop<'a>(&'a self, id: &'a InstanceId, grace: Duration) -> BoxFuture<'a, Result<(), SandboxError>> {
        async move {
            let found = self.engine.container(&container::name(id)).await?;
            let ours = found.filter(|found| found.running && found.owner.as_ref() == Some(&self.owner));
            let Some(found) = ours else { return Ok(()) };
            self.removals.note(found.id.clone());
            self.networks.forget(id);
            self.engine.ask_to_end(&found.id).await?;
            self.engine.wait(&found.id, grace).await;
            if self.runs(&found.id).await? {
                self.engine.kill(&found.id).await?;
                self.engine.wait(&found.id, CALL).await;
                if self.runs(&found.id).await? {
                    return Err(SandboxError::Failed("the container was killed and runs on".to_owned()));
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn execute<'a>(
        &'a self,
        id: &'a InstanceId,
        mut execution: Execution,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Executed, SandboxError>>, SandboxError>> {
        async move {
            let container = self.living_command(id).await?;
            if let Some(executed) = execution::execute(&self.engine, &container.id, &mut execution).await? {
                return Ok(executed);
            }
            // Whoever holds it is waited for; a gateway that was killed meanwhile let nothing go on.
            let turn = self.turns.of(id);
            let _turn = turn.lock().await;
            self.engine.unpause(&container.id).await?;
            let executed = execution::execute(&self.engine, &container.id, &mut execution).await?;
            executed.ok_or_else(|| SandboxError::Failed("the container is held by another".to_owned()))
        }
        .boxed()
    }

    fn copy_running<'a>(
        &'a self,
        from: &'a InstanceId,
        to: &'a InstanceId,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        async move {
            let turn = self.turns.of(from);
            let _turn = turn.lock().await;
            let held = self.command(from).await?.filter(|found| found.running);
            if let Some(found) = &held {
                self.engine.pause(&found.id).await?;
            }
            let copied = self.copy_workspace(from, to).await;
            if let Some(found) = &held {
                self.engine.unpause(&found.id).await?;
            }
            copied
        }
        .boxed()
    }

    fn disk_usage<'a>(&'a self, id: &'a InstanceId, most: u64) -> BoxFuture<'a, Result<u64, SandboxError>> {
        let volume = container::workspace_volume(id);
        async move { self.volumes.usage(&self.engine, volume, most).await }.boxed()
    }

    fn connect<'a>(
        &'a self,
        id: &'a InstanceId,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, SandboxError>> {
        async move {
            if let Some(connection) = port::connect_again(&self.networks, id, port).await {
                return Ok(connection);
            }
            let container = self.living_command(id).await?;
            port::connect(&self.networks, &self.engine, (id, &container), port).await
        }
        .boxed()
    }
}

impl DockerSandbox {
    /// The container of a sandbox, which another must not have made.
    async fn command(&self, id: &InstanceId) -> Result<Option<Container>, SandboxError> {
        let name = container::name(id);
        let found = self.engine.container(&name).await?;
        if let Some(found) = &found {
            self.check_owner(&format!("the container {name}"), found.owner.as_deref())?;
        }
        Ok(found)
    }

    /// The container of a sandbox in which a command runs.
    async fn living_command(&self, id: &InstanceId) -> Result<Container, SandboxError> {
        let found = self.engine.container(&container::name(id)).await?;
        let ours = found.filter(|found| found.running && found.owner.as_ref() == Some(&self.owner));
        ours.ok_or(SandboxError::Gone)
    }

    async fn runs(&self, container: &str) -> Result<bool, SandboxError> {
        Ok(self.engine.container(container).await?.is_some_and(|found| found.running))
    }

    async fn make_workspace(&self, deployment: &DeploymentId, id: &InstanceId) -> Result<(), SandboxError> {
        let name = container::workspace_volume(id);
        let labels = container::command_labels(&self.owner, id, deployment);
        let owner = self.engine.make_volume(&name, labels).await?;
        self.check_owner(&name, owner.as_deref())
    }

    fn template_image(&self, template: &str) -> Result<&str, SandboxError> {
        self.templates.get(template).map(String::as_str).ok_or_else(|| {
            let known: Vec<_> = self.templates.keys().map(|name| format!("`{name}`")).collect();
            SandboxError::Unavailable(format!(
                "no image is configured for the template `{template}` in sandboxes of type `docker`; there is {}",
                known.join(", ")
            ))
        })
    }

    /// Unpacks an archive in a container that is not started, with the owner that commands have.
    async fn upload(&self, container: &str, archive: File) -> Result<(), SandboxError> {
        let (sender, receiver) = mpsc::channel(PARTS);
        let packing = spawn_blocking(move || {
            let packed = pack(&archive, Parts(sender.clone()));
            if packed.is_err() {
                // The engine must not take what has come for all.
                drop(sender.blocking_send(Err(io::Error::other("the archive was broken off"))));
            }
            packed
        });
        let parts = stream::unfold(receiver, |mut parts| async { Some((parts.recv().await?, parts)) });
        let options = UploadToContainerOptionsBuilder::new().path(container::WORKSPACE).build();
        let body = body_try_stream(parts);
        let uploaded = self.engine.transfers().upload_to_container(container, Some(options), body).await;
        let uploaded =
            uploaded.map_err(|error| match self.engine.failure("unpack the archive", error).into() {
                SandboxError::Failed(text) if text.contains("no space left on device") => {
                    SandboxError::NoRoom
                }
                other => other,
            });
        let packed = packing.await.map_err(|error| failed(&error))?;
        match packed {
            // That nobody takes it any more says the other.
            Err(Unpacked::Refused) => uploaded.and(Err(failed(&"the engine stopped"))),
            Err(Unpacked::Failed(error)) => Err(error),
            Ok(()) => uploaded,
        }
    }
}

fn exit(found: &Container) -> Option<Exit> {
    if found.running {
        return None;
    }
    let code = found.exit.and_then(|code| i32::try_from(code).ok());
    Some(code.map_or(Exit::Unknown, Exit::Code))
}

/// Why an archive did not get to the engine.
#[derive(Debug)]
enum Unpacked {
    /// The engine takes no more.
    Refused,
    Failed(SandboxError),
}

/// Writes the archive that the engine gets: what is in the other, with owners and directories as they have to be.
fn pack(archive: &File, parts: Parts) -> Result<(), Unpacked> {
    let mut packed = Builder::new(BufWriter::with_capacity(PART, parts));
    let mut directories = BTreeSet::new();
    let mut refused = false;
    let read = bundle::members(archive, |member| {
        add(&mut packed, &mut directories, member).map_err(|error| {
            refused = error.kind() == io::ErrorKind::BrokenPipe;
            failed(&error)
        })
    });
    let finish = |packed: Builder<BufWriter<Parts>>| packed.into_inner()?.flush();
    match read {
        Err(_) if refused => Err(Unpacked::Refused),
        Err(error) => Err(Unpacked::Failed(error)),
        Ok(()) => finish(packed).map_err(|_| Unpacked::Refused),
    }
}

fn add(
    packed: &mut Builder<impl Write>,
    directories: &mut BTreeSet<String>,
    member: Member<'_>,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_uid(container::USER);
    header.set_gid(container::USER);
    header.set_size(0);
    header.set_mtime(member.modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    // Those that are not packed would be root's.
    for (end, _) in member.path.match_indices('/') {
        let directory = &member.path[..end];
        if directories.insert(directory.to_owned()) {
            let mut header = header.clone();
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            packed.append_data(&mut header, directory, io::empty())?;
        }
    }
    match member.content {
        Content::Directory { mode } => {
            directories.insert(member.path.to_owned());
            header.set_entry_type(EntryType::Directory);
            header.set_mode(mode);
            packed.append_data(&mut header, member.path, io::empty())
        }
        Content::File { mode, size, bytes } => {
            header.set_mode(mode);
            header.set_size(size);
            let mut bytes = bytes.take(size);
            packed.append_data(&mut header, member.path, &mut bytes)?;
            if bytes.limit() > 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
        }
        Content::Link { target } => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            packed.append_link(&mut header, member.path, OsStr::from_bytes(target))
        }
    }
}

/// Hands parts of an archive to whoever sends them.
struct Parts(mpsc::Sender<io::Result<Bytes>>);

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(error: &impl std::fmt::Display) -> SandboxError {
    SandboxError::Failed(format!("unpack the archive: {error}"))
}
