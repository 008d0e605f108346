//! Commands of programs: what is told to the sandbox, and what they write.

use std::{pin::pin, time::Duration};

use futures::StreamExt;
use prism_types::RunId;
use tokio::time::sleep;

use super::{Programs, disk::too_much};
use crate::{
    domain::program::{
        Mode,
        config::ProgramConfig,
        hosted::Hosted,
        job::Job,
        log::{Bound, Level, Line, Source},
        service::Service,
        version::Version,
    },
    error::{Error, Result},
    ports::{Command, Commit, Exit, Hosting, LogPlace, OutputLine, OutputStream, Sandbox, Write},
    service::programs::environments::Environment,
};

/// Most lines of one commit, and how long the first of them waits for others.
const LINES: (usize, Duration) = (64, Duration::from_millis(25));
/// How far back it is looked for the last line that was taken.
const LOOK_BACK: [u32; 3] = [64, 4096, u32::MAX];
/// How often, and with which pauses, it is looked whether a command has ended whose output has.
const END_LOOKS: u32 = 100;
const END: Duration = Duration::from_millis(50);

/// Whom the output of a command is written down for.
#[derive(Clone)]
pub(super) struct Writer {
    pub(super) hosted: Hosted,
    pub(super) run: Option<RunId>,
}

impl Writer {
    /// For a service.
    pub(super) fn of_service(service: &Service) -> Self {
        Self { hosted: service.hosted.clone(), run: None }
    }

    /// For a job.
    pub(super) fn of_job(job: &Job) -> Self {
        Self { hosted: job.hosted.clone(), run: Some(job.id.clone()) }
    }
}

/// How a command ended, or why nobody waits for it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It has ended.
    Exit(Exit),
    /// There is no such command in the sandbox: nobody knows how it ended.
    Vanished,
    /// It runs, and has more than so many bytes on the disk.
    Overflown(u64),
}

impl Programs {
    /// The sandboxes of a version.
    pub(super) fn sandboxes(&self, version: &Version) -> Result<&dyn Sandbox> {
        let sandboxes = self.core.sandbox(&version.sandbox).map(AsRef::as_ref);
        sandboxes.ok_or_else(|| {
            Error::internal(format_args!("this server has no sandboxes of type {}", version.sandbox))
        })
    }

    /// What runs commands in the sandboxes of a version.
    pub(super) fn hosting(&self, version: &Version) -> Result<&dyn Hosting> {
        self.sandboxes(version)?.hosting().ok_or_else(|| {
            Error::internal(format_args!("sandboxes of type {} run no programs", version.sandbox))
        })
    }

    /// The environment of a start; `None` when it is lost.
    pub(super) fn environment(&self, hosted: &Hosted) -> Option<Environment> {
        let kept = self.core.environments.of(&hosted.instance_id, hosted.starts);
        if hosted.has_environment { kept } else { Some(kept.unwrap_or_default()) }
    }

    /// Waits until a command has ended, and takes all that it writes to the log.
    pub(super) async fn follow(&self, writer: &Writer, hosting: &dyn Hosting, token: &str) -> Result<Ended> {
        let id = &writer.hosted.instance_id;
        let after = self.last_place(writer, token).await?;
        let held = self.core.store.instance_event_bytes(id).await?;
        let mut bound = Bound { most: self.core.settings.program_log, held };
        let output = hosting.output(id, token, after.as_deref()).await.map_err(Error::internal)?;
        let mut batches = pin!(output.ready_chunks(LINES.0));
        while let Some(mut lines) = batches.next().await {
            if lines.len() < LINES.0 {
                // What is written soon after goes into the same commit.
                let more = tokio::time::timeout(LINES.1, batches.next()).await;
                lines.extend(more.ok().flatten().into_iter().flatten());
            }
            let lines = lines.into_iter().collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
            let events = lines.into_iter().map(|line| {
                let at = line.at;
                told(&writer.hosted, token, line).event(&writer.hosted, writer.run.as_ref(), at)
            });
            let events: Vec<_> = events.collect();
            let excess = bound.append(events.iter().map(|event| event.data.len() as u64).sum());
            let trim = excess.map(|bytes| Write::TrimInstanceEvents(id.clone(), bytes));
            let append = events.into_iter().map(Write::Append);
            // Trimmed last, so that the place of the newest line is never gone.
            self.core.store.commit(Commit::new().with_all(append.chain(trim))).await?;
        }
        // The end of what it writes can be seen before its own.
        for _ in 0..END_LOOKS {
            match hosting.status(id).await.map_err(Error::internal)? {
                Some(status) if status.token == token => match status.exit {
                    Some(exit) => return Ok(Ended::Exit(exit)),
                    None => sleep(END).await,
                },
                _ => return Ok(Ended::Vanished),
            }
        }
        Err(Error::internal("the output of a program ended before the program"))
    }

    /// The place behind the last line of a command that is in the log.
    async fn last_place(&self, writer: &Writer, token: &str) -> Result<Option<String>> {
        let id = &writer.hosted.instance_id;
        for count in LOOK_BACK {
            let (mut from, mut found) = (LogPlace::Tail(count), None);
            loop {
                // A page of long lines ends early.
                let events = self.core.store.instance_events(id, from, count).await?;
                let Some(last) = events.last() else { break };
                from = LogPlace::After(last.sequence);
                let mut places = events.iter().filter_map(|event| Line::of(&event.event)?.place);
                found = places.rfind(|place| place.token == token).or(found);
            }
            if let Some(place) = found {
                return Ok(Some(place.after));
            }
        }
        Ok(None)
    }
}

/// The installation of a version, in a sandbox.
pub(super) fn install_command(
    hosted: &Hosted,
    config: &ProgramConfig,
    line: &str,
    environment: &Environment,
) -> Command {
    let token = hosted.install_token();
    let mut command = Command::new(hosted.instance_id.clone(), hosted.deployment_id.clone(), token, line);
    command.environment = environment.expose();
    equipped(command, config)
}

/// The program itself.
pub(super) fn run_command(
    hosted: &Hosted,
    config: &ProgramConfig,
    job: Option<&Job>,
    environment: &Environment,
) -> Command {
    let (id, token) = (hosted.instance_id.clone(), hosted.run_token());
    let mut command = Command::new(id, hosted.deployment_id.clone(), token, &config.entrypoint);
    command.environment = environment.expose();
    let mut set = |name: &str, value: String| command.environment.insert(name.to_owned(), value);
    match (config.mode, job) {
        (Mode::Job, Some(job)) => {
            set("PRISM_RUN_ID", job.id.to_string());
            set("PRISM_INPUT", job.input.clone());
        }
        _ => {
            set("PRISM_SERVICE_ID", hosted.instance_id.to_string());
            if let Some(service) = &config.service {
                set("PORT", service.port.to_string());
            }
        }
    }
    equipped(command, config)
}

fn equipped(mut command: Command, config: &ProgramConfig) -> Command {
    command.environment.insert("PRISM_DEPLOYMENT_ID".to_owned(), command.deployment_id.to_string());
    // The root of the workspace is what it is without a directory.
    command.directory = config.workdir.in_workspace().parse().ok();
    command.template = config.template.clone();
    command.network = config.permissions.internet_access.unwrap_or(true);
    let (asked, most) = (&config.resources, &config.permissions);
    command.cpus = asked.vcpus.or(most.max_vcpus).map(f64::from);
    command.memory = asked.memory_mb.or(most.max_memory_mb).map(|mebibytes| u64::from(mebibytes) << 20);
    command
}

fn told(hosted: &Hosted, token: &str, line: OutputLine) -> Line {
    let (source, level, kind) = match line.stream {
        OutputStream::Out => (Source::Stdout, Level::Info, "stdout"),
        OutputStream::Error => (Source::Stderr, Level::Warn, "stderr"),
    };
    let message = String::from_utf8_lossy(&line.text).into_owned();
    let plain = Line { source, level, ..Line::lifecycle(hosted, kind, message) };
    plain.at_place(token, line.place)
}

/// What an exit is to people.
pub(super) fn described(ended: Ended) -> String {
    match ended {
        Ended::Exit(Exit::Code(code)) if code > 128 => {
            format!("ended with status {code}, by signal {}", code - 128)
        }
        Ended::Exit(Exit::Code(code)) => format!("ended with status {code}"),
        Ended::Overflown(most) => format!("was ended: {}", too_much(most)),
        Ended::Exit(Exit::Unknown) | Ended::Vanished => {
            "ended, and how is not known: the machine went down, or somebody removed it".to_owned()
        }
    }
}
