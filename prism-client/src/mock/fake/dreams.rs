//! Dreams: runs whose reports tell what became of the memories.

use prism_types::{
    DeploymentId, Dream, DreamId, DreamReport, DreamStatus, DreamTrigger, DreamedMemory, ListPage, Memory,
    MessageRole, Page, RunKind, RunStatus, Thread, ThreadId, ThreadStatus,
};

use super::{
    collection::Item,
    state::{Agent, Fresh, State},
};
use crate::mock::{Answer, Refusal, Request};

/// What an agent is told to do in a dream.
const MESSAGE: &str = "Put your memories in order.";

/// A dream, and the memories before it.
pub(super) struct Dreaming {
    dream: Dream,
    before: Vec<Memory>,
}

impl Item for Dreaming {
    const NOUN: &'static str = "Dream";

    fn id(&self) -> &str {
        self.dream.dream_id.as_str()
    }
}

impl State {
    pub(super) fn start_dream(&mut self, _: &Request, id: DeploymentId) -> Answer<Dream> {
        let agent = self.agents.get(&id)?;
        agent.is_ready()?;
        if !agent.spec.features.memory {
            return Err(Refusal::conflict("The deployment's feature `memory` is off"));
        }
        if agent.dreams.iter().any(|dreaming| dreaming.dream.status == DreamStatus::Running) {
            return Err(Refusal::conflict("A dream is under way"));
        }
        let (script, now) = (self.script(MESSAGE), self.fresh.now());
        let (agent, fresh) = (self.agents.get_mut(&id)?, &mut self.fresh);
        let (thread, dream): (ThreadId, DreamId) = (fresh.id(ThreadId::PREFIX), fresh.id(DreamId::PREFIX));
        let title = Some("Dream".to_owned());
        agent.threads.add(Thread::new(thread.clone(), id.clone(), title, ThreadStatus::Idle, now));
        let run = agent.start_run(&thread, RunKind::Dreaming, MESSAGE, script, fresh);
        let dream = Dream::new(dream, id, thread, run.run_id, DreamTrigger::Api, now);
        let before = agent.memories.iter().cloned().collect();
        Ok(agent.dreams.add(Dreaming { dream, before }).dream.clone().into())
    }

    pub(super) fn list_dreams(
        &mut self,
        _: &Request,
        id: DeploymentId,
        query: ListPage,
    ) -> Answer<Page<Dream>> {
        let without_report = |dreaming: &Dreaming| dreaming.dream.clone().report(None);
        let dreams = &self.agents.get(&id)?.dreams;
        Ok(dreams.page(query.limit, query.cursor.as_ref(), |_| true, without_report)?.into())
    }

    pub(super) fn get_dream(&mut self, _: &Request, id: DeploymentId, dream: DreamId) -> Answer<Dream> {
        Ok(self.agents.get(&id)?.dreams.get(&dream)?.dream.clone().into())
    }

    pub(super) fn revert_dream(&mut self, _: &Request, id: DeploymentId, dream: DreamId) -> Answer<Dream> {
        let agent = self.agents.get_mut(&id)?;
        let Dreaming { dream, before } = agent.dreams.get_mut(&dream)?;
        if dream.status == DreamStatus::Running || dream.reverted_at.is_some() {
            return Err(Refusal::conflict("The dream is not over, or was taken back"));
        }
        dream.reverted_at = Some(self.fresh.now());
        let DreamReport { added, removed, .. } = dream.report.clone().unwrap_or_default();
        let is_added = |memory: &Memory| added.contains(&dreamed(memory));
        agent.memories.retain(|memory| !is_added(memory));
        for memory in before.iter().filter(|memory| removed.contains(&dreamed(memory))) {
            agent.memories.add(memory.clone());
        }
        Ok(dream.clone().into())
    }
}

impl Agent {
    /// Ends the dreams whose runs are over. One that asks is cancelled: a dream asks nobody.
    pub(super) fn settle_dreams(&mut self, fresh: &mut Fresh) {
        let running = self.dreams.iter().filter(|dreaming| dreaming.dream.status == DreamStatus::Running);
        let runs: Vec<_> = running.map(|dreaming| dreaming.dream.run_id.clone()).collect();
        for run in runs {
            if self.status_of_run(&run) == Some(RunStatus::WaitingOnHuman) {
                self.cancel(&run, fresh);
            }
        }
        let now = fresh.now();
        for Dreaming { dream, before } in self.dreams.iter_mut() {
            let Ok(work) = self.runs.get(&dream.run_id) else { continue };
            if dream.status != DreamStatus::Running || !work.run.status.is_terminal() {
                continue;
            }
            let said = self.threads.get(&dream.thread_id).ok().and_then(|thread| thread.messages.last());
            let said = said.filter(|message| message.role == MessageRole::Agent);
            let is_new = |memory: &&Memory| !before.contains(memory);
            let is_gone = |memory: &&Memory| !self.memories.iter().any(|other| other == *memory);
            let report = DreamReport::default()
                .summary(said.map(|message| message.content.as_str()).unwrap_or_default())
                .added(self.memories.iter().filter(is_new).map(dreamed).collect::<Vec<_>>())
                .removed(before.iter().filter(is_gone).map(dreamed).collect::<Vec<_>>());
            let has_failed = work.run.status == RunStatus::Error;
            dream.status = if has_failed { DreamStatus::Error } else { DreamStatus::Completed };
            dream.error.clone_from(&work.run.error);
            dream.report = Some(report);
            dream.ended_at = Some(now);
        }
    }
}

fn dreamed(memory: &Memory) -> DreamedMemory {
    DreamedMemory::new(memory.memory_id.clone(), memory.content.clone(), memory.source.clone())
}
