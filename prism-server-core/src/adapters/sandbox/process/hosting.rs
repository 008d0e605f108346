//! Commands of users, in the same folders as programs. The documentation of the module above has what lies there.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream, stream::BoxStream};
use prism_types::{DeploymentId, InstanceId};
use rustix::process::{PidfdFlags, Signal, pidfd_open};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{bundle, usage},
    ProcessSandbox, blocking,
    execution::Prepared,
    failed,
    folder::{Folder, Record},
    inotify,
    launch::Launch,
    processes,
    processes::Identity,
    streams, unpack, watch,
    watch::Watches,
};
use crate::ports::{
    BoxFuture, Command, CommandStatus, Connection, Executed, Execution, Exit, Hosting, OutputLine,
    Sandbox as _, SandboxError,
};

/// How often the output is looked at while somebody follows it and it grows, at most.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is looked at whether it has grown, where nobody has told so.
const GLANCE: Duration = Duration::from_secs(5);
/// How long a command may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How often a workspace is copied in which files come and go.
const COPIES: usize = 4;
/// What a shell adds to the number of the signal that ended a command.
const SIGNALLED: i32 = 128;

impl Hosting for ProcessSandbox {
    fn unpack<'a>(
        &'a self,
        _deployment: &'a DeploymentId,
        id: &'a InstanceId,
        archive: File,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        let folder = self.folder(id);
        let key = id.clone();
        let prepared = self.exclusively(id, move |sandbox| {
            let folder = sandbox.folder(&key);
            let runs = folder.living()?.is_some_and(|record| record.program.is_some());
            if runs {
                return Err(in_use());
            }
            folder.prepare(true)
        });
        let key = id.clone();
        async move {
            prepared.await?;
            // It takes long, and others would wait for it that have the same lock.
            let unpacked = blocking(move || {
                let (name, directory) = folder.make_aside()?;
                let unpacked = unpack::unpack(&archive, &directory);
                if unpacked.is_err() {
                    folder.remove_aside(&name)?;
                }
                unpacked.map(|()| name)
            });
            let name = unpacked.await?;
            let placed = self.exclusively(&key.clone(), move |sandbox| {
                let folder = sandbox.folder(&key);
                if folder.record()?.is_some() {
                    folder.remove_aside(&name)?;
                    return Err(in_use());
                }
                folder.place_workspace(&name)
            });
            placed.await
        }
        .boxed()
    }

    fn start(&self, command: Command) -> BoxFuture<'_, Result<(), SandboxError>> {
        let id = command.instance_id.clone();
        self.exclusively(&id, move |sandbox| sandbox.start_now(&command))
    }

    fn status<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<CommandStatus>, SandboxError>> {
        let key = id.clone();
        self.exclusively(id, move |sandbox| sandbox.status_now(&key))
    }

    fn output<'a>(
        &'a self,
        id: &'a InstanceId,
        token: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<OutputLine, SandboxError>>, SandboxError>> {
        let reader = streams::Reader::new(self.folder(id), token.to_owned(), after);
        let (folder, watches, id) = (self.folder(id), self.watches.clone(), id.clone());
        async move {
            let (reader, writes) = (reader?, watches.writes.listen(&folder));
            let (looked, lengths) = (Instant::now(), [0; 2]);
            Ok(follow(Follower { reader, folder, watches, id, end: None, writes, looked, lengths }))
        }
        .boxed()
    }

    fn stop<'a>(&'a self, id: &'a InstanceId, grace: Duration) -> BoxFuture<'a, Result<(), SandboxError>> {
        let (first, then) = (id.clone(), id.clone());
        async move {
            let asked = self.exclusively(id, move |sandbox| sandbox.ask_to_end(&first)).await?;
            if let Some(program) = asked.as_ref().and_then(|record| record.program.as_ref()) {
                wait(program, grace).await?;
            }
            self.exclusively(id, move |sandbox| sandbox.end_command(&then, asked.as_ref())).await
        }
        .boxed()
    }

    fn execute<'a>(
        &'a self,
        id: &'a InstanceId,
        execution: Execution,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Executed, SandboxError>>, SandboxError>> {
        let key = id.clone();
        // Nobody starts or ends its command in between, so that it is ended with that.
        let executed = self.exclusively(id, move |sandbox| {
            Prepared::new(&sandbox.settings, &sandbox.folder(&key), execution)?.start()
        });
        executed.boxed()
    }

    fn copy_running<'a>(
        &'a self,
        from: &'a InstanceId,
        to: &'a InstanceId,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        async move {
            for _ in 1..COPIES {
                match self.copy_workspace(from, to).await {
                    // Perhaps a file was removed while it was copied.
                    Err(SandboxError::Failed(text)) => tracing::debug!(text, "a workspace is copied again"),
                    other => return other,
                }
            }
            self.copy_workspace(from, to).await
        }
        .boxed()
    }

    fn disk_usage<'a>(&'a self, id: &'a InstanceId, most: u64) -> BoxFuture<'a, Result<u64, SandboxError>> {
        let folder = self.folder(id);
        let measured = blocking(move || match folder.open()? {
            Some(top) => usage::of(top, most).map_err(|error| failed(folder.path().display(), error)),
            None => Ok(0),
        });
        measured.boxed()
    }

    fn connect<'a>(
        &'a self,
        id: &'a InstanceId,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, SandboxError>> {
        let folder = self.folder(id);
        async move {
            let living = blocking(move || folder.living()).await?;
            if living.is_none_or(|record| record.program.is_none()) {
                return Err(SandboxError::Gone);
            }
            let connection = timeout(CONNECT, connect(port)).await;
            match connection.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(connection) => Ok(Box::new(connection) as Box<dyn Connection>),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    Err(SandboxError::Refused(port))
                }
                Err(error) => Err(failed(format_args!("port {port} does not answer"), error)),
            }
        }
        .boxed()
    }
}

impl ProcessSandbox {
    fn start_now(&self, command: &Command) -> Result<(), SandboxError> {
        bundle::check(command)?;
        let id = &command.instance_id;
        let folder = self.folder(id);
        let last = folder.record()?;
        if let Some(last) = &last
            && last.command.as_ref().is_some_and(|last| last.token == command.token)
        {
            self.watch(id, &folder, last, None)?;
            return Ok(());
        }
        let watched = self.watches.stop(id);
        processes::end_all(id, last.and_then(|last| last.program).as_ref())?;
        if let Some(watched) = watched {
            watched.reap();
        }
        folder.prepare(true)?;
        let launch = Launch::of_command(&self.settings, &folder, command)?;
        let output = folder.prepare_command(self.settings.limits.longest_file())?;
        let (identity, child) = launch.start(|| Ok(output))?;
        self.take_up(id, &folder, &Record::of_command(identity, command.token.clone()), child)
    }

    fn status_now(&self, id: &InstanceId) -> Result<Option<CommandStatus>, SandboxError> {
        let folder = self.folder(id);
        let Some(record) = folder.record()? else {
            return Ok(None);
        };
        let (Some(command), Some(program)) = (&record.command, &record.program) else {
            return Ok(None);
        };
        // Somebody may wait to be told that it ends.
        let runs = self.watch(id, &folder, &record, None)? || self.watches.has(id, program);
        let exit = if runs {
            None
        } else {
            let status = command.exit.map_or_else(|| folder.exit_status(), |status| Ok(Some(status)))?;
            Some(status.map_or(Exit::Unknown, Exit::Code))
        };
        Ok(Some(CommandStatus { token: command.token.clone(), exit }))
    }

    /// Asks the command to end; what is recorded of it.
    fn ask_to_end(&self, id: &InstanceId) -> Result<Option<Record>, SandboxError> {
        let folder = self.folder(id);
        let Some(record) = folder.record()? else {
            return Ok(None);
        };
        if let Some(program) = &record.program {
            // Whoever asks for its status meanwhile must not have it watched anew.
            self.watch(id, &folder, &record, None)?;
            self.watches.ask(id);
            program.ask_to_end().map_err(|error| failed("it cannot be asked to end", error))?;
        }
        Ok(Some(record))
    }

    /// Ends the command that was asked to, unless another was started meanwhile.
    fn end_command(&self, id: &InstanceId, asked: Option<&Record>) -> Result<(), SandboxError> {
        let now = self.folder(id).record()?;
        if now.as_ref().map(Record::made) != asked.map(Record::made) {
            return Ok(());
        }
        let program = now.as_ref().and_then(|record| record.program.as_ref());
        let killed = program.map_or(Ok(false), Identity::is_alive);
        let killed = killed.map_err(|error| failed("its program cannot be looked for", error))?;
        let watched = self.watches.stop(id);
        processes::end_all(id, program)?;
        let status = watched.and_then(|watched| watched.reap());
        let signal = status.and_then(|status| std::os::unix::process::ExitStatusExt::signal(&status));
        match now {
            Some(record) => {
                let kill = killed.then_some(Signal::KILL.as_raw());
                self.note_end(id, &record, signal.or(kill))
            }
            None => Ok(()),
        }
    }

    /// Records how a command ended, where its shell was ended by a signal before it could.
    pub(super) fn note_end(
        &self,
        id: &InstanceId,
        record: &Record,
        signal: Option<i32>,
    ) -> Result<(), SandboxError> {
        let folder = self.folder(id);
        let Some(signal) = signal else {
            return Ok(());
        };
        if folder.record()?.as_ref() != Some(record) || folder.exit_status()?.is_some() {
            return Ok(());
        }
        let mut record = record.clone();
        let Some(command) = record.command.as_mut().filter(|command| command.exit.is_none()) else {
            return Ok(());
        };
        command.exit = Some(SIGNALLED + signal);
        folder.keep(&record)
    }
}

fn in_use() -> SandboxError {
    SandboxError::Failed("nothing is unpacked where something runs".to_owned())
}

/// Waits until a program has ended, at most this long.
async fn wait(program: &Identity, most: Duration) -> Result<(), SandboxError> {
    let cannot = |error: &dyn std::fmt::Display| failed("its program cannot be waited for", error);
    let Some(pid) = program.pid() else {
        return Ok(());
    };
    let Ok(file) = pidfd_open(pid, PidfdFlags::empty()) else {
        return Ok(());
    };
    // The number may have become another's before it was opened.
    if !program.is_alive().map_err(|error| cannot(&error))? {
        return Ok(());
    }
    let end = watch::readiness(file).map_err(|error| cannot(&error))?;
    // Whether it has ended is looked for afterwards.
    drop(timeout(most, end.readable()).await);
    Ok(())
}

/// What is written, as it is asked for.
fn follow(follower: Follower) -> BoxStream<'static, Result<OutputLine, SandboxError>> {
    let looks = stream::try_unfold(Some(follower), |follower| async {
        let Some(mut follower) = follower else { return Ok(None) };
        loop {
            let look;
            (look, follower) = follower.look().await?;
            if look.is_last {
                return Ok(Some((look.lines, None)));
            }
            if !look.lines.is_empty() {
                return Ok(Some((look.lines, Some(follower))));
            }
            follower.pause(look.is_whole).await;
        }
    });
    looks
        .flat_map(|looked| match looked {
            Ok(lines) => stream::iter(lines.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        })
        .boxed()
}

/// Follows an output. Most commands are silent most of the time, so that waiting for them has to be cheap.
struct Follower {
    reader: streams::Reader,
    folder: Folder,
    watches: Arc<Watches>,
    id: InstanceId,
    /// Cancelled when the command has ended, if it is watched.
    end: Option<CancellationToken>,
    /// Tells when something is written, if the kernel does.
    writes: Option<inotify::Listener>,
    /// When the last look began, and how long the files were before it.
    looked: Instant,
    lengths: [u64; 2],
}

impl Follower {
    async fn look(mut self) -> Result<(streams::Look, Self), SandboxError> {
        // Before it looks, so that nothing is missed in between.
        if self.end.as_ref().is_none_or(CancellationToken::is_cancelled) {
            self.end = self.watches.end_of(&self.id);
        }
        if let Some(writes) = &mut self.writes {
            writes.forget();
        }
        self.looked = Instant::now();
        self.lengths = streams::lengths(&self.folder);
        blocking(move || Ok((self.reader.look()?, self))).await
    }

    /// Waits until there may be something to see.
    async fn pause(&mut self, has_seen_all: bool) {
        match self.end.clone() {
            Some(end) if has_seen_all => drop(end.run_until_cancelled(self.growth()).await),
            _ => sleep(LOOK).await,
        }
    }

    /// Waits until the files have another length than before the last look, and that was a while ago.
    async fn growth(&mut self) {
        loop {
            match &mut self.writes {
                // Whether it was told or the time is over, it is looked at.
                Some(writes) => match timeout(GLANCE, writes.heard()).await {
                    Ok(false) => self.writes = None,
                    Ok(true) | Err(_) => sleep_until(self.looked + LOOK).await,
                },
                None => sleep(LOOK).await,
            }
            if streams::lengths(&self.folder) != self.lengths {
                return;
            }
            self.looked = Instant::now();
        }
    }
}

async fn connect(port: u16) -> io::Result<TcpStream> {
    let loopback = |address: std::net::IpAddr| TcpStream::connect(SocketAddr::new(address, port));
    let connection = match loopback(Ipv4Addr::LOCALHOST.into()).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            // Some listen by the newer protocol alone.
            loopback(Ipv6Addr::LOCALHOST.into()).await.map_err(|_| error)?
        }
        connected => connected?,
    };
    connection.set_nodelay(true)?;
    Ok(connection)
}
