//! `prism automations`.

use clap::Subcommand;
use prism_client::types::{
    Automation, AutomationId, AutomationRun, AutomationSummary, CreateAutomation, DeploymentId, ThreadId,
    TriggeredAutomation, UpdateAutomation,
};

use super::{Listing, Server, text};
use crate::{
    failure::Failure,
    output::{Output, or_dash, record, table},
};

/// Let an agent work on a timetable.
///
/// A schedule is cron of five fields (`0 9 * * 1-5`), a macro (`@daily`), or a phrase: `every 15 minutes`,
/// `every weekday at 17:30`, `on the 1st of every month at 8:00`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create an automation.
    Create {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// A label.
        #[arg(long)]
        name: String,
        /// When it is due, such as `every weekday at 9am`.
        #[arg(long)]
        schedule: String,
        /// What the agent is to do each time; `-` is standard input.
        #[arg(long, value_name = "TEXT")]
        instructions: String,
        /// The time zone by whose clock it is due, such as Europe/Berlin. [default: UTC]
        #[arg(long, value_name = "ZONE")]
        timezone: Option<String>,
        /// The thread to work on. [default: a thread of its own]
        #[arg(long)]
        thread: Option<ThreadId>,
        /// Create it paused.
        #[arg(long)]
        disabled: bool,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// List automations, newest first.
    List {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Show an automation with its newest runs.
    Get(One),
    /// Change an automation; what is not named stays.
    Update {
        #[command(flatten)]
        one: One,
        /// Another label.
        #[arg(long)]
        name: Option<String>,
        /// Another schedule.
        #[arg(long)]
        schedule: Option<String>,
        /// Other instructions; `-` is standard input.
        #[arg(long, value_name = "TEXT")]
        instructions: Option<String>,
        /// Another time zone.
        #[arg(long, value_name = "ZONE")]
        timezone: Option<String>,
        /// Another thread.
        #[arg(long)]
        thread: Option<ThreadId>,
    },
    /// Let a paused automation go on, from its next time.
    Enable(One),
    /// Pause an automation.
    Disable(One),
    /// Run an automation now.
    Trigger(One),
    /// List what became of the times of an automation, newest first.
    Runs {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        listing: Listing,
    },
    /// Delete an automation with its history. Its thread and its runs stay.
    Delete(One),
}

#[derive(Debug, clap::Args)]
struct One {
    /// The deployment, such as dep_7xK9s2.
    deployment: DeploymentId,
    /// The automation, such as auto_Zz9.
    automation: AutomationId,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    output: Output,
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Create {
            deployment,
            name,
            schedule,
            instructions,
            timezone,
            thread,
            disabled,
            server,
            output,
        } => {
            let mut request = CreateAutomation::new(name, schedule, text(&instructions)?);
            request.timezone = timezone;
            request.thread_id = thread;
            request.enabled = disabled.then_some(false);
            let created = server.with(async |client| {
                Ok(client.deployment(&deployment).automations().create(request).await?.into_inner())
            })?;
            output.print(&created, shown)
        }
        Command::List { deployment, listing, server, output } => {
            let automations = server.with(async |client| {
                listing
                    .read(client.deployment(&deployment).automations().list().limit(listing.page()).items())
                    .await
            })?;
            output.print(&automations, |automations| many(automations))
        }
        Command::Get(one) => {
            let automation = one.server.with(async |client| {
                let automations = client.deployment(&one.deployment).automations();
                Ok(automations.get(&one.automation).await?.into_inner())
            })?;
            one.output.print(&automation, shown)
        }
        Command::Update { one, name, schedule, instructions, timezone, thread } => {
            let mut request = UpdateAutomation::new();
            request.name = name;
            request.schedule = schedule;
            request.instructions = instructions.as_deref().map(text).transpose()?;
            request.timezone = timezone;
            request.thread_id = thread;
            one.update(request)
        }
        Command::Enable(one) => one.update(UpdateAutomation::new().enabled(true)),
        Command::Disable(one) => one.update(UpdateAutomation::new().enabled(false)),
        Command::Trigger(one) => {
            let triggered = one.server.with(async |client| {
                let automations = client.deployment(&one.deployment).automations();
                Ok(automations.trigger(&one.automation).await?.into_inner())
            })?;
            one.output.print(&triggered, receipt)
        }
        Command::Runs { one, listing } => {
            let runs = one.server.with(async |client| {
                let automations = client.deployment(&one.deployment).automations();
                listing.read(automations.runs(&one.automation).limit(listing.page()).items()).await
            })?;
            one.output.print(&runs, |runs| history(runs))
        }
        Command::Delete(one) => {
            let deleted = one.server.with(async |client| {
                let automations = client.deployment(&one.deployment).automations();
                Ok(automations.delete(&one.automation).await?.into_inner())
            })?;
            one.output.print(&deleted, |deleted| format!("deleted {}", deleted.automation_id))
        }
    }
}

impl One {
    fn update(self, request: UpdateAutomation) -> Result<(), Failure> {
        let automation = self.server.with(async |client| {
            let automations = client.deployment(&self.deployment).automations();
            Ok(automations.update(&self.automation, request).await?.into_inner())
        })?;
        self.output.print(&automation, shown)
    }
}

fn shown(automation: &Automation) -> String {
    let about = record([
        ("automation", automation.automation_id.to_string()),
        ("name", automation.name.clone()),
        ("schedule", automation.schedule.clone()),
        ("cron", automation.cron.clone()),
        ("timezone", automation.timezone.clone()),
        ("thread", automation.thread_id.to_string()),
        ("enabled", automation.enabled.to_string()),
        ("last run", or_dash(automation.last_run_at.as_ref())),
        ("last status", or_dash(automation.last_run_status.as_ref())),
        ("next run", or_dash(automation.next_run_at.as_ref())),
        ("created", automation.created_at.to_string()),
        ("instructions", automation.instructions.clone()),
    ]);
    if automation.recent_runs.is_empty() {
        return about;
    }
    format!("{about}\n\n{}", history(&automation.recent_runs))
}

fn many(automations: &[AutomationSummary]) -> String {
    let cells = |automation: &AutomationSummary| {
        [
            automation.automation_id.to_string(),
            automation.name.clone(),
            automation.schedule.clone(),
            automation.timezone.clone(),
            automation.enabled.to_string(),
            or_dash(automation.last_run_status.as_ref()),
            or_dash(automation.next_run_at.as_ref()),
        ]
    };
    let head = ["automation", "name", "schedule", "timezone", "enabled", "last status", "next run"];
    table(head, automations.iter().map(cells))
}

fn history(runs: &[AutomationRun]) -> String {
    let cells = |run: &AutomationRun| {
        [
            or_dash(run.scheduled_at.as_ref()),
            run.created_at.to_string(),
            run.status.to_string(),
            or_dash(run.run_id.as_ref()),
            or_dash(run.error.as_ref().map(|error| format!("{}: {}", error.code, error.message)).as_ref()),
        ]
    };
    table(["scheduled", "at", "status", "run", "reason"], runs.iter().map(cells))
}

fn receipt(triggered: &TriggeredAutomation) -> String {
    record([
        ("run", triggered.run_id.to_string()),
        ("thread", triggered.thread_id.to_string()),
        ("status", triggered.status.to_string()),
    ])
}
