//! Questions of agents, and their answers.

use prism_types::{
    AnswerApproval, Approval, ApprovalId, ApprovalStatus, Decision, DeploymentId, Page, RunId, Timestamp,
};

use super::state::{Agent, Fresh, State};
use crate::mock::{Answer, Refusal, Request, query::ListApprovals};

impl State {
    pub(super) fn list_approvals(
        &mut self,
        _: &Request,
        id: DeploymentId,
        query: ListApprovals,
    ) -> Answer<Page<Approval>> {
        let only_pending = query.pending.unwrap_or_default();
        let matches = |approval: &Approval| !only_pending || approval.status == ApprovalStatus::Pending;
        let approvals = &self.agents.get(&id)?.approvals;
        Ok(approvals.page(query.limit, query.cursor.as_ref(), matches, Approval::clone)?.into())
    }

    pub(super) fn get_approval(
        &mut self,
        _: &Request,
        id: DeploymentId,
        approval: ApprovalId,
    ) -> Answer<Approval> {
        Ok(self.agents.get(&id)?.approvals.get(&approval)?.clone().into())
    }

    pub(super) fn answer_approval(
        &mut self,
        _: &Request,
        id: DeploymentId,
        approval: ApprovalId,
        request: AnswerApproval,
    ) -> Answer<Approval> {
        let agent = self.agents.get_mut(&id)?;
        let (status, words) = match request.decision {
            Decision::Allow => (ApprovalStatus::Allowed, "Yes."),
            Decision::Deny => (ApprovalStatus::Denied, "No."),
            _ => return Err(Refusal::invalid("$.decision", "must be `allow` or `deny`")),
        };
        let asked = agent.approvals.get(&approval)?;
        if asked.status != ApprovalStatus::Pending {
            return Err(Refusal::conflict("The question was answered already, or its run has ended"));
        }
        agent.is_ready()?;
        let run = agent.approvals.get(&approval)?.run_id.clone();
        agent.resume(&run, request.reason.as_deref().unwrap_or(words), status, &mut self.fresh);
        Ok(agent.approvals.get(&approval)?.clone().into())
    }
}

impl Agent {
    /// Gives the question that a run waits for its answer.
    pub(super) fn resolve_questions(
        &mut self,
        run: &RunId,
        status: ApprovalStatus,
        answer: Option<&str>,
        now: Timestamp,
    ) {
        let pending =
            |approval: &&mut Approval| approval.run_id == *run && approval.status == ApprovalStatus::Pending;
        for approval in self.approvals.iter_mut().filter(pending) {
            approval.status = status.clone();
            approval.answer = answer.map(str::to_owned);
            approval.resolved_at = Some(now);
        }
    }

    /// Denies what nobody answered in time.
    pub(super) fn close_expired(&mut self, fresh: &mut Fresh) {
        let now = fresh.now();
        let waiting = self.approvals.iter().filter(|approval| approval.status == ApprovalStatus::Pending);
        let expired = waiting.filter(|approval| approval.expires_at.is_some_and(|time| time <= now));
        let runs: Vec<_> = expired.map(|approval| approval.run_id.clone()).collect();
        for run in runs {
            self.resume(&run, "Nobody answered in time.", ApprovalStatus::Denied, fresh);
            self.play(fresh);
        }
    }
}
