//! Questions that are decided, runs that are cancelled, threads that are renamed.

use std::time::Duration;

use prism_client::{EventStream, resources::DeploymentHandle};
use prism_tests::TestServer;
use prism_types::{
    AnswerApproval, Approval, ApprovalStatus, EventPayload, MessageReceipt, Patch, RunStatus, SendMessage,
    UpdateThread,
};
use serde_json::json;

const ASKS: &str = "say Plan.\nask Publish?\nsay You said {{answer}}";
const WORKS: &str = "repeat 1000000 every 1ms token \".\"";

/// Waits until a run has a status.
async fn until(events: &mut EventStream, sent: &MessageReceipt, status: RunStatus) {
    loop {
        let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await.unwrap();
        if let EventPayload::RunStatus(changed) = event.unwrap().unwrap().payload
            && changed.run_id == sent.run_id
            && changed.status == status
        {
            return;
        }
    }
}

/// Sends a message on a thread of its own and waits until its run asks.
async fn asked(deployment: &DeploymentHandle) -> (EventStream, MessageReceipt, Approval) {
    let mut events = deployment.events().stream().open().await.unwrap();
    let sent = deployment.messages().send(SendMessage::new("go").new_thread()).await.unwrap().into_inner();
    until(&mut events, &sent, RunStatus::WaitingOnHuman).await;
    let pending = deployment.approvals().list().pending(true).await.unwrap().into_inner();
    let asked = pending.data.into_iter().find(|approval| approval.run_id == sent.run_id).unwrap();
    (events, sent, asked)
}

#[tokio::test]
async fn a_question_is_allowed_or_denied_and_kept() {
    let server = TestServer::start().await;
    let id = server.deploy(ASKS).await;
    let deployment = server.client().deployment(&id);
    for (request, status, answer) in [
        (AnswerApproval::allow(), ApprovalStatus::Allowed, "Yes."),
        (AnswerApproval::deny(), ApprovalStatus::Denied, "No."),
        (AnswerApproval::deny().reason("Not before May"), ApprovalStatus::Denied, "Not before May"),
    ] {
        let (mut events, sent, asked) = asked(&deployment).await;
        assert_eq!((asked.summary.as_str(), &asked.status), ("Publish?", &ApprovalStatus::Pending));
        assert_eq!((&asked.deployment_id, &asked.thread_id), (&id, &sent.thread_id));
        assert_eq!((asked.answer, asked.resolved_at), (None, None));
        let decided = deployment.approvals().answer(&asked.approval_id, request).await.unwrap().into_inner();
        assert_eq!((&decided.status, decided.answer.as_deref()), (&status, Some(answer)));
        assert!(decided.resolved_at.is_some());
        until(&mut events, &sent, RunStatus::Completed).await;
        let thread = deployment.threads().get(&sent.thread_id).await.unwrap();
        let said: Vec<_> = thread.messages.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(said, ["go", "Plan.", answer, &format!("You said {answer}")]);
        let read = deployment.approvals().get(&asked.approval_id).await.unwrap().into_inner();
        assert_eq!(read, decided);
        assert!(deployment.approvals().list().pending(true).await.unwrap().data.is_empty());
    }
    assert_eq!(deployment.approvals().list().await.unwrap().data.len(), 3);
}

#[tokio::test]
async fn a_question_is_answered_once() {
    let server = TestServer::start().await;
    let id = server.deploy(ASKS).await;
    let deployment = server.client().deployment(&id);
    let (mut events, sent, asked) = asked(&deployment).await;
    let answer = SendMessage::new("go ahead").thread_id(sent.thread_id.clone());
    deployment.messages().send(answer).await.unwrap();
    let refused =
        deployment.approvals().answer(&asked.approval_id, AnswerApproval::deny()).await.unwrap_err();
    assert_eq!(refused.status(), Some(409), "{refused}");
    assert!(refused.to_string().contains("answered already"), "{refused}");
    until(&mut events, &sent, RunStatus::Completed).await;
    let kept = deployment.approvals().get(&asked.approval_id).await.unwrap().into_inner();
    assert_eq!((&kept.status, kept.answer.as_deref()), (&ApprovalStatus::Answered, Some("go ahead")));
}

/// Of many that decide at once, one does, and the run goes on once.
#[tokio::test]
async fn of_many_decisions_at_once_one_counts() {
    let server = TestServer::start().await;
    let id = server.deploy(ASKS).await;
    let deployment = server.client().deployment(&id);
    let (mut events, sent, asked) = asked(&deployment).await;
    let decide = |number: usize| {
        let request = if number.is_multiple_of(2) { AnswerApproval::allow() } else { AnswerApproval::deny() };
        deployment.approvals().answer(&asked.approval_id, request).into_future()
    };
    let answers = futures::future::join_all((0..8).map(decide)).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    until(&mut events, &sent, RunStatus::Completed).await;
    let thread = deployment.threads().get(&sent.thread_id).await.unwrap();
    assert_eq!(thread.messages.len(), 4, "{thread:?}");
}

#[tokio::test]
async fn approvals_of_others_and_bodies_that_do_not_fit_are_refused() {
    let server = TestServer::start().await;
    let id = server.deploy(ASKS).await;
    let (_events, _sent, asked) = asked(&server.client().deployment(&id)).await;
    let other = server.deploy(ASKS).await;
    let http = server.http();
    let path = format!("/v1/deployments/{other}/approvals/{}", asked.approval_id);
    assert_eq!(http.get(&path).await.status, 404);
    assert_eq!(http.post(&path, &json!({"decision": "allow"})).await.status, 404);
    let path = format!("/v1/deployments/{id}/approvals/{}", asked.approval_id);
    for (body, told) in [
        (json!({}), "$.decision: is required"),
        (json!({"decision": "maybe"}), "$.decision: must be `allow` or `deny`"),
        (json!({"decision": "deny", "reason": ""}), "$.reason: "),
        (json!({"decision": "deny", "reason": "x".repeat(4097)}), "$.reason: "),
        (json!({"decision": "deny", "why": "x"}), "$.why: is not a known field"),
    ] {
        let answer = http.post(&path, &body).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.message().contains(told), "{answer:?}");
    }
    let listed = http.get(&format!("/v1/deployments/{id}/approvals?pending=yes")).await;
    assert!(listed.message().contains("query.pending: must be `true` or `false`"), "{listed:?}");
    let longest = json!({"decision": "deny", "reason": "x".repeat(4096)});
    assert_eq!(http.post(&path, &longest).await.status, 200);
}

#[tokio::test]
async fn a_run_that_works_is_cancelled_and_its_text_is_kept() {
    let server = TestServer::start().await;
    let id = server.deploy(WORKS).await;
    let deployment = server.client().deployment(&id);
    let mut events = deployment.events().stream().open().await.unwrap();
    let sent = deployment.messages().send("go").await.unwrap().into_inner();
    let mut told = 0;
    while told < 20 {
        let event = events.next().await.unwrap().unwrap();
        told += usize::from(matches!(event.payload, EventPayload::Token(_)));
    }
    let run = deployment.runs().cancel(&sent.run_id).await.unwrap().into_inner();
    assert_eq!(run.error.as_ref().unwrap().code, "cancelled");
    until(&mut events, &sent, RunStatus::Error).await;
    assert!(run.ended_at.is_some());
    let thread = deployment.threads().get(&sent.thread_id).await.unwrap();
    assert_eq!(thread.status.as_str(), "idle");
    let [_, said] = &thread.messages[..] else { panic!("{thread:?}") };
    assert!(said.content.len() >= 20 && said.content.chars().all(|letter| letter == '.'), "{said:?}");
    // Once more changes nothing, and the thread takes new work.
    let again = deployment.runs().cancel(&sent.run_id).await.unwrap().into_inner();
    assert_eq!(again, run);
    let next = deployment.messages().send("go on").await.unwrap().into_inner();
    assert_ne!(next.run_id, sent.run_id);
    deployment.runs().cancel(&next.run_id).await.unwrap();
    until(&mut events, &next, RunStatus::Error).await;
}

#[tokio::test]
async fn runs_that_wait_are_cancelled_at_once() {
    let server = TestServer::start().await;
    let id = server.deploy(ASKS).await;
    let deployment = server.client().deployment(&id);
    let (_events, sent, asked) = asked(&deployment).await;
    let run = deployment.runs().cancel(&sent.run_id).await.unwrap().into_inner();
    assert_eq!((&run.status, run.error.unwrap().code.as_str()), (&RunStatus::Error, "cancelled"));
    let closed = deployment.approvals().get(&asked.approval_id).await.unwrap().into_inner();
    assert_eq!((&closed.status, closed.answer), (&ApprovalStatus::Closed, None));
    let refused =
        deployment.approvals().answer(&asked.approval_id, AnswerApproval::allow()).await.unwrap_err();
    assert_eq!(refused.status(), Some(409), "{refused}");

    // One that waits for a clock, and one that is over.
    for (script, code) in [("delay 3600s", Some("cancelled")), ("say done", None)] {
        let id = server.deploy(script).await;
        let deployment = server.client().deployment(&id);
        let mut events = deployment.events().stream().open().await.unwrap();
        let sent = deployment.messages().send("go").await.unwrap().into_inner();
        if code.is_none() {
            until(&mut events, &sent, RunStatus::Completed).await;
        }
        deployment.runs().cancel(&sent.run_id).await.unwrap();
        if code.is_some() {
            until(&mut events, &sent, RunStatus::Error).await;
        }
        let run = deployment.runs().get(&sent.run_id).await.unwrap().into_inner();
        assert_eq!(run.error.as_ref().map(|error| error.code.as_str()), code, "{run:?}");
    }
}

#[tokio::test]
async fn threads_are_renamed() {
    let server = TestServer::start().await;
    let id = server.deploy("say done").await;
    let deployment = server.client().deployment(&id);
    let thread = server.client().deployments().get(&id).await.unwrap().into_inner().thread_id;
    let rename = async |title: Patch<String>| {
        let renamed = deployment.threads().update(&thread, UpdateThread::default().title(title)).await;
        renamed.map(|thread| thread.into_inner().title)
    };
    assert_eq!(rename(Patch::Set("Campaign".to_owned())).await.unwrap().as_deref(), Some("Campaign"));
    assert_eq!(rename(Patch::Keep).await.unwrap().as_deref(), Some("Campaign"));
    assert_eq!(rename(Patch::Clear).await.unwrap(), None);
    let longest = "é".repeat(255);
    assert_eq!(rename(Patch::Set(longest.clone())).await.unwrap(), Some(longest.clone()));
    let refused = rename(Patch::Set(longest + "x")).await.unwrap_err();
    assert_eq!(refused.status(), Some(400), "{refused}");
    let other = server.deploy("").await;
    let path = format!("/v1/deployments/{other}/threads/{thread}");
    assert_eq!(server.http().patch(&path, &json!({"title": "x"})).await.status, 404);
}
