//! Threads.

use prism_types::{
    CreateThread, DeletedThread, DeploymentId, ListPage, Page, RunStatus, Thread, ThreadId, ThreadStatus,
    ThreadSummary, UpdateThread,
};

use super::state::{Agent, State};
use crate::mock::{Answer, Refusal, Request};

impl State {
    pub(super) fn create_thread(
        &mut self,
        _: &Request,
        id: DeploymentId,
        request: CreateThread,
    ) -> Answer<Thread> {
        let agent = self.agents.get_mut(&id)?;
        let (thread, now): (ThreadId, _) = (self.fresh.id(ThreadId::PREFIX), self.fresh.now());
        let thread = Thread::new(thread, id, request.title, ThreadStatus::Idle, now);
        Ok(agent.threads.add(thread).clone().into())
    }

    pub(super) fn list_threads(
        &mut self,
        _: &Request,
        id: DeploymentId,
        query: ListPage,
    ) -> Answer<Page<ThreadSummary>> {
        let agent = self.agents.get(&id)?;
        let summary = |thread: &Thread| {
            let last = thread.messages.last().map_or(thread.created_at, |message| message.created_at);
            let (id, count) = (thread.thread_id.clone(), thread.messages.len() as u64);
            ThreadSummary::new(id, thread.title.clone(), agent.status_of(&thread.thread_id), count, last)
        };
        Ok(agent.threads.page(query.limit, query.cursor.as_ref(), |_| true, summary)?.into())
    }

    pub(super) fn get_thread(&mut self, _: &Request, id: DeploymentId, thread: ThreadId) -> Answer<Thread> {
        Ok(self.agents.get(&id)?.thread(&thread)?.into())
    }

    pub(super) fn update_thread(
        &mut self,
        _: &Request,
        id: DeploymentId,
        thread: ThreadId,
        request: UpdateThread,
    ) -> Answer<Thread> {
        let agent = self.agents.get_mut(&id)?;
        let changed = agent.threads.get_mut(&thread)?;
        changed.title = request.title.apply(changed.title.take());
        Ok(agent.thread(&thread)?.into())
    }

    pub(super) fn delete_thread(
        &mut self,
        _: &Request,
        id: DeploymentId,
        thread: ThreadId,
    ) -> Answer<DeletedThread> {
        let agent = self.agents.get_mut(&id)?;
        agent.threads.get(&thread)?;
        if thread == agent.deployment.thread_id {
            return Err(Refusal::bad("The default thread cannot be deleted"));
        }
        if let Some(run) = agent.unfinished(&thread).map(|work| work.run.run_id.clone()) {
            agent.cancel(&run, &mut self.fresh);
        }
        agent.threads.remove(&thread)?;
        agent.runs.retain(|work| work.run.thread_id != thread);
        agent.approvals.retain(|approval| approval.thread_id != thread);
        Ok(DeletedThread::new(thread).into())
    }
}

impl Agent {
    fn thread(&self, id: &ThreadId) -> Result<Thread, Refusal> {
        let mut thread = self.threads.get(id)?.clone();
        thread.status = self.status_of(id);
        Ok(thread)
    }

    /// What happens on a thread.
    fn status_of(&self, thread: &ThreadId) -> ThreadStatus {
        match self.unfinished(thread).map(|work| &work.run.status) {
            None => ThreadStatus::Idle,
            Some(RunStatus::WaitingOnHuman) => ThreadStatus::WaitingOnHuman,
            Some(_) => ThreadStatus::Running,
        }
    }
}
