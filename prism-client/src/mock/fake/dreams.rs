//! Dreams: each is over with the next thing that happens, and changes nothing.

use prism_types::{
    DeploymentId, Dream, DreamId, DreamReport, DreamStatus, DreamTrigger, ListPage, Page, RunKind, RunStatus,
    Thread, ThreadId, ThreadStatus,
};

use super::state::{Agent, Fresh, State};
use crate::mock::{Answer, Refusal, Request};

/// What an agent says in a dream.
const SAID: &str = "The memories are in order.";

impl State {
    pub(super) fn start_dream(&mut self, _: &Request, id: DeploymentId) -> Answer<Dream> {
        let agent = self.agents.get_mut(&id)?;
        agent.is_ready()?;
        if !agent.spec.features.memory {
            return Err(Refusal::conflict("The deployment's feature `memory` is off"));
        }
        if agent.dreams.iter().any(|dream| dream.status == DreamStatus::Running) {
            return Err(Refusal::conflict("A dream is under way"));
        }
        let now = self.fresh.now();
        let fresh = &mut self.fresh;
        let (thread, dream): (ThreadId, DreamId) = (fresh.id(ThreadId::PREFIX), fresh.id(DreamId::PREFIX));
        let title = Some("Dream".to_owned());
        agent.threads.add(Thread::new(thread.clone(), id.clone(), title, ThreadStatus::Idle, now));
        let run =
            agent.start_run(&thread, RunKind::Dreaming, "Put your memories in order.", SAID.into(), fresh);
        let dream = Dream::new(dream, id, thread, run.run_id, DreamTrigger::Api, now);
        Ok(agent.dreams.add(dream).clone().into())
    }

    pub(super) fn list_dreams(
        &mut self,
        _: &Request,
        id: DeploymentId,
        query: ListPage,
    ) -> Answer<Page<Dream>> {
        let without_report = |dream: &Dream| dream.clone().report(None);
        let dreams = &self.agents.get(&id)?.dreams;
        Ok(dreams.page(query.limit, query.cursor.as_ref(), |_| true, without_report)?.into())
    }

    pub(super) fn get_dream(&mut self, _: &Request, id: DeploymentId, dream: DreamId) -> Answer<Dream> {
        Ok(self.agents.get(&id)?.dreams.get(&dream)?.clone().into())
    }

    pub(super) fn revert_dream(&mut self, _: &Request, id: DeploymentId, dream: DreamId) -> Answer<Dream> {
        let dream = self.agents.get_mut(&id)?.dreams.get_mut(&dream)?;
        if dream.status == DreamStatus::Running || dream.reverted_at.is_some() {
            return Err(Refusal::conflict("The dream is not over, or was taken back"));
        }
        dream.reverted_at = Some(self.fresh.now());
        Ok(dream.clone().into())
    }
}

impl Agent {
    /// Ends the dreams whose runs are over.
    pub(super) fn settle_dreams(&mut self, fresh: &Fresh) {
        let now = fresh.now();
        for dream in self.dreams.iter_mut().filter(|dream| dream.status == DreamStatus::Running) {
            let Ok(work) = self.runs.get(&dream.run_id) else { continue };
            dream.status = match work.run.status {
                RunStatus::Completed => DreamStatus::Completed,
                RunStatus::Error => DreamStatus::Error,
                _ => continue,
            };
            dream.report = Some(DreamReport::default().summary(SAID));
            dream.error.clone_from(&work.run.error);
            dream.ended_at = Some(now);
        }
    }
}
