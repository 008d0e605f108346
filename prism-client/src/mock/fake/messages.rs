//! Messages: what starts runs, steers them, and answers their questions.

use prism_types::{
    ApprovalStatus, DeploymentId, MessageReceipt, MessageRole, RunKind, RunStatus, SendMessage, Thread,
    ThreadId, ThreadStatus, ThreadTarget,
};

use super::{check, state::State};
use crate::mock::{Answer, Request};

impl State {
    pub(super) fn send_message(
        &mut self,
        _: &Request,
        id: DeploymentId,
        request: SendMessage,
    ) -> Answer<MessageReceipt> {
        check::not_empty("$.content", &request.content)?;
        let agent = self.agents.get_mut(&id)?;
        agent.is_ready()?;
        let thread = match request.thread_id {
            None => agent.deployment.thread_id.clone(),
            Some(ThreadTarget::Existing(thread)) => agent.threads.get(&thread)?.thread_id.clone(),
            Some(ThreadTarget::New) => {
                let thread: ThreadId = self.fresh.id(ThreadId::PREFIX);
                let now = self.fresh.now();
                agent.threads.add(Thread::new(thread.clone(), id.clone(), None, ThreadStatus::Idle, now));
                thread
            }
        };
        let taking = agent.unfinished(&thread).map(|work| (work.run.run_id.clone(), work.run.status.clone()));
        let run = match taking {
            None => {
                let script = self.script(&request.content);
                let agent = self.agents.get_mut(&id)?;
                agent.start_run(&thread, RunKind::Message, &request.content, script, &mut self.fresh).run_id
            }
            Some((run, RunStatus::WaitingOnHuman)) => {
                agent.resume(&run, &request.content, ApprovalStatus::Answered, &mut self.fresh);
                run
            }
            Some((run, _)) => {
                agent.say_on(&thread, MessageRole::User, &request.content, &run, self.fresh.now());
                run
            }
        };
        Ok(MessageReceipt::new(run, id, thread, RunStatus::Running).into())
    }
}
