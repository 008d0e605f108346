//! `prism approvals`.

use clap::Subcommand;
use prism_client::types::{AnswerApproval, Approval, ApprovalId, DeploymentId};

use super::{Listing, Server};
use crate::{
    failure::Failure,
    output::{Output, or_dash, record, table},
};

/// List what an agent asked humans, and allow or deny it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List questions, newest first.
    List {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// Only those that wait for an answer.
        #[arg(long)]
        pending: bool,
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Show a question, and what was answered.
    Get {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// The question, such as apr_Zz9.
        approval: ApprovalId,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Let the agent go on.
    Allow(Answer),
    /// Forbid what the agent asked for.
    Deny(Answer),
}

#[derive(Debug, clap::Args)]
struct Answer {
    /// The deployment, such as dep_7xK9s2.
    deployment: DeploymentId,
    /// The question, such as apr_Zz9.
    approval: ApprovalId,
    /// Why, for the agent and for the thread.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    output: Output,
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List { deployment, pending, listing, server, output } => {
            let approvals = server.with(async |client| {
                let mut call = client.deployment(&deployment).approvals().list().limit(listing.page());
                if pending {
                    call = call.pending(true);
                }
                listing.read(call.items()).await
            })?;
            output.print(&approvals, |approvals| many(approvals))
        }
        Command::Get { deployment, approval, server, output } => {
            let approval = server.with(async |client| {
                Ok(client.deployment(&deployment).approvals().get(&approval).await?.into_inner())
            })?;
            output.print(&approval, one)
        }
        Command::Allow(answer) => answer.send(AnswerApproval::allow()),
        Command::Deny(answer) => answer.send(AnswerApproval::deny()),
    }
}

impl Answer {
    fn send(self, mut request: AnswerApproval) -> Result<(), Failure> {
        request.reason = self.reason;
        let approval = self.server.with(async |client| {
            let approvals = client.deployment(&self.deployment).approvals();
            Ok(approvals.answer(&self.approval, request).await?.into_inner())
        })?;
        self.output.print(&approval, one)
    }
}

fn one(approval: &Approval) -> String {
    record([
        ("approval", approval.approval_id.to_string()),
        ("run", approval.run_id.to_string()),
        ("thread", approval.thread_id.to_string()),
        ("status", approval.status.to_string()),
        ("question", approval.summary.clone()),
        ("answer", or_dash(approval.answer.as_ref())),
        ("created", approval.created_at.to_string()),
        ("resolved", or_dash(approval.resolved_at.as_ref())),
    ])
}

fn many(approvals: &[Approval]) -> String {
    let cells = |approval: &Approval| {
        [
            approval.approval_id.to_string(),
            approval.run_id.to_string(),
            approval.status.to_string(),
            approval.summary.clone(),
            approval.created_at.to_string(),
        ]
    };
    table(["approval", "run", "status", "question", "created"], approvals.iter().map(cells))
}
