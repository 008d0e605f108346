//! Automations: create, read, list, change, delete, trigger; and [`firing`], which carries out what is due.

mod firing;

use prism_types::{AutomationId, AutomationRunId, DeploymentId, Problem, ThreadId, Timestamp};

use super::{Attempt, Listed, Tell, author::Author, deployments, with_retries};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        automation::{Automation, AutomationRun},
        deployment::Deployment,
        idempotency::Reply,
        limits,
        run::Run,
        schedule::{Cron, Zone},
        tenant::Principal,
        thread::Thread,
    },
    error::{Error, Result},
    ids::NewId,
    ports::{Commit, ListQuery, Write},
};

pub(crate) use firing::{Triggered, fire, trigger};

/// A schedule as somebody gave it, and what it was understood as.
#[derive(Debug, Clone)]
pub(crate) struct GivenSchedule {
    pub(crate) text: String,
    pub(crate) cron: Cron,
}

/// An automation to make; every part was checked by itself.
#[derive(Debug, Clone)]
pub(crate) struct NewAutomation {
    pub(crate) name: String,
    pub(crate) schedule: GivenSchedule,
    pub(crate) zone: Zone,
    pub(crate) instructions: String,
    /// `None`: a thread of its own.
    pub(crate) thread: Option<ThreadId>,
    pub(crate) enabled: bool,
}

/// What is to change of an automation; `None`: nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct AutomationChange {
    pub(crate) name: Option<String>,
    pub(crate) schedule: Option<GivenSchedule>,
    pub(crate) zone: Option<Zone>,
    pub(crate) instructions: Option<String>,
    pub(crate) thread: Option<ThreadId>,
    pub(crate) enabled: Option<bool>,
}

/// An automation with its newest entries.
pub(crate) struct AutomationView {
    pub(crate) automation: Automation,
    /// Newest first; in a list only the newest.
    pub(crate) recent: Vec<AutomationRunView>,
    /// Whether the deployment's automations are on.
    pub(crate) is_on: bool,
}

/// An entry of a history, and the run that it started.
pub(crate) struct AutomationRunView {
    pub(crate) entry: AutomationRun,
    pub(crate) run: Option<Run>,
}

/// Makes an automation, with a thread of its own unless one is named.
pub(crate) async fn create(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    new: NewAutomation,
    tell: impl Tell<AutomationView>,
) -> Result<Reply> {
    let deployment = deployments::get(core, &author.principal, deployment_id).await?;
    let now = core.clock.now();
    let mut commit = Commit::new();
    let thread_id = match new.thread {
        Some(id) => {
            require_thread(core, deployment_id, &id).await?;
            id
        }
        None => {
            let id = ThreadId::generate();
            let title = Some(new.name.clone());
            let thread = Thread::new(id.clone(), deployment_id.clone(), title, now);
            commit = commit.with(Write::InsertThread(thread));
            id
        }
    };
    let mut automation = Automation {
        id: AutomationId::generate(),
        deployment_id: deployment_id.clone(),
        name: new.name,
        schedule: new.schedule.text,
        cron: new.schedule.cron.to_string(),
        timezone: new.zone.name().to_owned(),
        instructions: new.instructions,
        thread_id,
        enabled: new.enabled,
        next_run_at: None,
        created_at: now,
        revision: 0,
    };
    automation.next_run_at = next_run(&automation, now)?;
    let is_on = is_on(core, &deployment).await?;
    let reply = tell(AutomationView { automation: automation.clone(), recent: Vec::new(), is_on })?;
    let commit = commit
        .with(author.entry(core, Subject::in_deployment(deployment_id, &automation.id)))
        .with(Write::InsertAutomation(automation, limits::AUTOMATIONS))
        .with_all(author.kept(core, &reply)?);
    core.store.commit(commit).await?;
    core.nudges.automations();
    Ok(reply)
}

/// An automation with its newest entries.
pub(crate) async fn get(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    id: &AutomationId,
) -> Result<AutomationView> {
    let (deployment, automation) = find(core, principal, deployment_id, id).await?;
    let query = ListQuery { before: None, limit: limits::RECENT_RUNS };
    let recent = run_views(core, core.store.automation_runs(id, query).await?).await?;
    Ok(AutomationView { automation, recent, is_on: is_on(core, &deployment).await? })
}

/// The automations of a deployment, newest first.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    query: ListQuery<AutomationId>,
) -> Result<Listed<AutomationView, AutomationId>> {
    let deployment = deployments::get(core, principal, deployment_id).await?;
    let is_on = is_on(core, &deployment).await?;
    let limit = query.limit;
    let mut views = Vec::new();
    for automation in core.store.automations(deployment_id, ListQuery { limit: limit + 1, ..query }).await? {
        let last = core.store.last_automation_run(&automation.id).await?;
        views.push(AutomationView { automation, recent: run_views(core, last).await?, is_on });
    }
    Ok(Listed::from_one_more(views, limit, |view| view.automation.id.clone()))
}

/// The history of an automation, newest first.
pub(crate) async fn history(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    id: &AutomationId,
    query: ListQuery<AutomationRunId>,
) -> Result<Listed<AutomationRunView, AutomationRunId>> {
    find(core, principal, deployment_id, id).await?;
    let limit = query.limit;
    let entries = core.store.automation_runs(id, ListQuery { limit: limit + 1, ..query }).await?;
    Ok(Listed::from_one_more(run_views(core, entries).await?, limit, |view| view.entry.id.clone()))
}

/// Changes an automation. When it is due is found anew when that changes, and else stays as it is, so that a new
/// name takes nothing away that is due just now.
pub(crate) async fn update(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    id: &AutomationId,
    change: AutomationChange,
) -> Result<AutomationView> {
    with_retries(|| async {
        let (_, before) = find(core, &author.principal, deployment_id, id).await?;
        if let Some(thread) = &change.thread {
            require_thread(core, deployment_id, thread).await?;
        }
        let mut after = changed(before.clone(), &change);
        if (&after.cron, &after.timezone, after.enabled) != (&before.cron, &before.timezone, before.enabled) {
            after.next_run_at = next_run(&after, core.clock.now())?;
        }
        let entry = author.entry(core, Subject::in_deployment(deployment_id, id));
        core.store.commit(Commit::new().with(Write::UpdateAutomation(after)).with(entry)).await?;
        Ok::<_, Attempt>(())
    })
    .await?;
    core.nudges.automations();
    get(core, &author.principal, deployment_id, id).await
}

/// Removes an automation with its history. Its thread and its runs stay.
pub(crate) async fn delete(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    id: &AutomationId,
) -> Result<()> {
    find(core, &author.principal, deployment_id, id).await?;
    let entry = author.entry(core, Subject::in_deployment(deployment_id, id));
    Ok(core.store.commit(Commit::new().with(Write::DeleteAutomation(id.clone())).with(entry)).await?)
}

/// An automation of a deployment of the caller's tenant.
pub(crate) async fn find(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    id: &AutomationId,
) -> Result<(Deployment, Automation)> {
    let deployment = deployments::get(core, principal, deployment_id).await?;
    let automation = core.store.automation(id).await?.filter(|found| found.deployment_id == *deployment_id);
    Ok((deployment, automation.ok_or_else(|| Error::not_found("Automation"))?))
}

/// Whether the automations of a deployment are on.
async fn is_on(core: &Core, deployment: &Deployment) -> Result<bool> {
    let spec = core.store.spec(&deployment.id, deployment.spec_version).await?;
    let spec = spec.ok_or_else(|| Error::internal("a deployment has no specification"))?;
    Ok(spec.features.automations)
}

fn changed(automation: Automation, change: &AutomationChange) -> Automation {
    let AutomationChange { name, schedule, zone, instructions, thread, enabled } = change.clone();
    let (schedule, cron) = match schedule {
        Some(given) => (given.text, given.cron.to_string()),
        None => (automation.schedule, automation.cron),
    };
    Automation {
        name: name.unwrap_or(automation.name),
        schedule,
        cron,
        timezone: zone.map_or(automation.timezone, |zone| zone.name().to_owned()),
        instructions: instructions.unwrap_or(automation.instructions),
        thread_id: thread.unwrap_or(automation.thread_id),
        enabled: enabled.unwrap_or(automation.enabled),
        ..automation
    }
}

/// When an automation is due next: a paused one is not.
fn next_run(automation: &Automation, now: Timestamp) -> Result<Option<Timestamp>> {
    if !automation.enabled {
        return Ok(None);
    }
    let refuse = |message: String| Error::invalid(vec![Problem::new("$.schedule", message)]);
    let timetable = automation.timetable().map_err(|error| refuse(error.to_string()))?;
    match timetable.next_after(now) {
        Some(next) => Ok(Some(next)),
        None => Err(refuse("is not due within 50 years in this time zone".to_owned())),
    }
}

async fn require_thread(core: &Core, deployment_id: &DeploymentId, id: &ThreadId) -> Result<()> {
    let thread = core.store.thread(id).await?.filter(|thread| thread.deployment_id == *deployment_id);
    thread.map(|_| ()).ok_or_else(|| Error::not_found("Thread"))
}

async fn run_views(
    core: &Core,
    entries: impl IntoIterator<Item = AutomationRun>,
) -> Result<Vec<AutomationRunView>> {
    let mut views = Vec::new();
    for entry in entries {
        let run = match entry.outcome.run_id() {
            Some(id) => core.store.run(id).await?,
            None => None,
        };
        views.push(AutomationRunView { entry, run });
    }
    Ok(views)
}
