//! Automations: made, changed and triggered. None fires by time.

use prism_types::{
    Automation, AutomationId, AutomationRun, AutomationRunId, AutomationRunStatus, AutomationSummary,
    AutomationTrigger, CreateAutomation, DeletedAutomation, DeploymentId, ListPage, Page, RunKind, RunStatus,
    Thread, ThreadId, ThreadStatus, TriggeredAutomation, UpdateAutomation,
};

use super::{
    check,
    collection::{Collection, Item},
    state::{Agent, State},
};
use crate::mock::{Answer, Refusal, Request};

/// An automation and its history.
pub(super) struct Timetable {
    summary: AutomationSummary,
    instructions: String,
    history: Collection<AutomationRun>,
}

impl Item for Timetable {
    const NOUN: &'static str = "Automation";

    fn id(&self) -> &str {
        self.summary.automation_id.as_str()
    }
}

impl State {
    pub(super) fn create_automation(
        &mut self,
        _: &Request,
        id: DeploymentId,
        request: CreateAutomation,
    ) -> Answer<Automation> {
        let agent = self.agents.get_mut(&id)?;
        let CreateAutomation { name, schedule, instructions, timezone, thread_id, enabled, .. } = request;
        for (path, text) in [("$.name", &name), ("$.schedule", &schedule), ("$.instructions", &instructions)]
        {
            check::not_empty(path, text)?;
        }
        let now = self.fresh.now();
        let thread = match thread_id {
            Some(thread) => agent.threads.get(&thread)?.thread_id.clone(),
            None => {
                let thread: ThreadId = self.fresh.id(ThreadId::PREFIX);
                let title = Some(name.clone());
                agent.threads.add(Thread::new(thread.clone(), id.clone(), title, ThreadStatus::Idle, now));
                thread
            }
        };
        let automation: AutomationId = self.fresh.id(AutomationId::PREFIX);
        let summary =
            AutomationSummary::new(automation.clone(), id, thread, name, schedule.clone(), schedule, now)
                .timezone(timezone.as_deref().unwrap_or("UTC"))
                .enabled(enabled.unwrap_or(true));
        agent.automations.add(Timetable { summary, instructions, history: Collection::default() });
        Ok(agent.automation(&automation)?.into())
    }

    pub(super) fn list_automations(
        &mut self,
        _: &Request,
        id: DeploymentId,
        query: ListPage,
    ) -> Answer<Page<AutomationSummary>> {
        let agent = self.agents.get(&id)?;
        let summary = |timetable: &Timetable| agent.summary(timetable);
        Ok(agent.automations.page(query.limit, query.cursor.as_ref(), |_| true, summary)?.into())
    }

    pub(super) fn get_automation(
        &mut self,
        _: &Request,
        id: DeploymentId,
        automation: AutomationId,
    ) -> Answer<Automation> {
        Ok(self.agents.get(&id)?.automation(&automation)?.into())
    }

    pub(super) fn update_automation(
        &mut self,
        _: &Request,
        id: DeploymentId,
        automation: AutomationId,
        request: UpdateAutomation,
    ) -> Answer<Automation> {
        let agent = self.agents.get_mut(&id)?;
        let UpdateAutomation { name, schedule, instructions, timezone, thread_id, enabled, .. } = request;
        for (path, text) in [("$.name", &name), ("$.schedule", &schedule), ("$.instructions", &instructions)]
        {
            check::not_empty(path, text.as_deref().unwrap_or("kept"))?;
        }
        if let Some(thread) = &thread_id {
            agent.threads.get(thread)?;
        }
        let Timetable { summary, instructions: told, .. } = agent.automations.get_mut(&automation)?;
        summary.name = name.unwrap_or_else(|| std::mem::take(&mut summary.name));
        if let Some(schedule) = schedule {
            summary.cron.clone_from(&schedule);
            summary.schedule = schedule;
        }
        summary.timezone = timezone.unwrap_or_else(|| std::mem::take(&mut summary.timezone));
        summary.thread_id = thread_id.unwrap_or_else(|| summary.thread_id.clone());
        summary.enabled = enabled.unwrap_or(summary.enabled);
        *told = instructions.unwrap_or_else(|| std::mem::take(told));
        Ok(agent.automation(&automation)?.into())
    }

    pub(super) fn delete_automation(
        &mut self,
        _: &Request,
        id: DeploymentId,
        automation: AutomationId,
    ) -> Answer<DeletedAutomation> {
        self.agents.get_mut(&id)?.automations.remove(&automation)?;
        Ok(DeletedAutomation::new(automation).into())
    }

    pub(super) fn trigger_automation(
        &mut self,
        _: &Request,
        id: DeploymentId,
        automation: AutomationId,
    ) -> Answer<TriggeredAutomation> {
        let agent = self.agents.get(&id)?;
        let timetable = agent.automations.get(&automation)?;
        let (thread, instructions) = (timetable.summary.thread_id.clone(), timetable.instructions.clone());
        agent.is_ready()?;
        if !agent.spec.features.automations {
            return Err(Refusal::conflict("The deployment's feature `automations` is off"));
        }
        agent.threads.get(&thread)?;
        if agent.unfinished(&thread).is_some() {
            return Err(Refusal::conflict("The thread of the automation has an unfinished run"));
        }
        let script = self.script(&instructions);
        let agent = self.agents.get_mut(&id)?;
        let run = agent.start_run(&thread, RunKind::Message, &instructions, script, &mut self.fresh).run_id;
        let entry: AutomationRunId = self.fresh.id(AutomationRunId::PREFIX);
        let (trigger, status) = (AutomationTrigger::Manual, AutomationRunStatus::Running);
        let told =
            AutomationRun::new(entry.clone(), trigger, status, self.fresh.now()).run_id(Some(run.clone()));
        agent.automations.get_mut(&automation)?.history.add(told);
        Ok(TriggeredAutomation::new(automation, entry, run, id, thread, RunStatus::Running).into())
    }

    pub(super) fn list_automation_runs(
        &mut self,
        _: &Request,
        id: DeploymentId,
        automation: AutomationId,
        query: ListPage,
    ) -> Answer<Page<AutomationRun>> {
        let agent = self.agents.get(&id)?;
        let history = &agent.automations.get(&automation)?.history;
        let entry = |entry: &AutomationRun| agent.entry(entry);
        Ok(history.page(query.limit, query.cursor.as_ref(), |_| true, entry)?.into())
    }
}

impl Agent {
    fn automation(&self, id: &AutomationId) -> Result<Automation, Refusal> {
        let timetable = self.automations.get(id)?;
        let newest = timetable.history.iter().rev().take(10).map(|entry| self.entry(entry));
        Ok(Automation::new(self.summary(timetable), timetable.instructions.clone()).recent_runs(newest))
    }

    fn summary(&self, timetable: &Timetable) -> AutomationSummary {
        let last = timetable.history.iter().next_back().map(|entry| self.entry(entry));
        let (at, status) = last.map(|entry| (entry.created_at, entry.status)).unzip();
        timetable.summary.clone().last_run_at(at).last_run_status(status)
    }

    /// An entry of a history with what became of its run.
    fn entry(&self, entry: &AutomationRun) -> AutomationRun {
        let mut entry = entry.clone();
        if let Some(work) = entry.run_id.as_ref().and_then(|run| self.runs.get(run).ok()) {
            entry.status = work.run.status.as_str().into();
            entry.error.clone_from(&work.run.error);
        }
        entry
    }
}
