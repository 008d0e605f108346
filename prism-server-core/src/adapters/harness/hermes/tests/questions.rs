//! Questions of the agent's, and what humans answer.

use prism_types::Usage;
use serde_json::json;

use super::*;
use crate::{
    domain::approval::Decision,
    ports::{Outbound, ToolCall},
};

fn asks() -> [(&'static str, Value); 1] {
    [("approval.request", json!({"question": "q1", "description": "delete", "command": "rm -rf x"}))]
}

#[tokio::test(start_paused = true)]
async fn a_question_is_answered_in_another_stream_from_its_checkpoint() {
    let stage = Stage::new(Features::default()).await;
    let mut bridge = stage.bridge("a").await;
    let (mut steps, _inbox) = stage.run(None, message(1, "clean up"));
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        bridge.take().await;
        bridge.tell(asks()).await;
    };
    let ((asked, checkpoint), ()) = tokio::join!(rest(&mut steps), agent);
    let [HarnessEvent::Asked { summary }] = &asked[..] else { panic!("{asked:?}") };
    assert!(summary.contains("rm -rf x"), "{summary}");
    drop(steps);

    let (mut steps, _inbox) = stage.run(checkpoint, message(2, "yes"));
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        let answer = bridge.answer("prism.answer", json!({"resolved": 1})).await;
        bridge.tell(turn("gone")).await;
        answer
    };
    let ((told, _), answer) = tokio::join!(rest(&mut steps), agent);
    assert_eq!(answer, json!({"session_id": "s", "question": "q1", "choice": "once", "text": null}));
    let used = Usage::default().input_tokens(10_u64).output_tokens(2_u64);
    let expected =
        [HarnessEvent::Token("gone".to_owned()), HarnessEvent::Used(used), HarnessEvent::Completed];
    assert_eq!(told, expected);
}

/// The agent goes on with other threads meanwhile, and a tool that was started beside the question ends.
#[tokio::test(start_paused = true)]
async fn a_question_can_wait_for_days() {
    let stage = Stage::new(Features::default()).await;
    let mut bridge = stage.bridge("a").await;
    let (mut steps, _inbox) = stage.run(None, message(1, "clean up"));
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        bridge.take().await;
        bridge.tell(asks()).await;
    };
    let ((_, checkpoint), ()) = tokio::join!(rest(&mut steps), agent);
    drop(steps);
    bridge.tell([("prism.result", json!({"tool_id": "t", "name": "terminal", "result": "beside"}))]).await;
    let other = json!({"type": "message.delta", "session_id": "other", "payload": {"text": "x"}});
    let other = json!({"method": "event", "params": other}).to_string();
    for _ in 0..3 {
        tokio::time::advance(std::time::Duration::from_secs(24 * 60 * 60)).await;
        for _ in 0..100 {
            bridge.line(&other).await;
        }
    }
    // What it may forget is everything but what the waiting session says.
    assert!(bridge.command("ack").await.ends_with(" s"));

    let (mut steps, _inbox) = stage.run(checkpoint, message(2, "yes"));
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        bridge.answer("prism.answer", json!({"resolved": 1})).await;
        bridge.tell(turn("gone")).await;
    };
    let ((told, _), ()) = tokio::join!(rest(&mut steps), agent);
    let HarnessEvent::ToolResult { result, .. } = &told[0] else { panic!("{told:?}") };
    assert_eq!(result, "beside");
    assert_eq!(told.last(), Some(&HarnessEvent::Completed));
}

#[tokio::test(start_paused = true)]
async fn a_yes_with_a_condition_is_asked_about() {
    let stage = Stage::new(Features::default()).await;
    let mut bridge = stage.bridge("a").await;
    let (mut steps, _inbox) = stage.run(None, message(1, "clean up"));
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        bridge.take().await;
        bridge.tell(asks()).await;
    };
    let ((_, checkpoint), ()) = tokio::join!(rest(&mut steps), agent);

    let (mut steps, _inbox) = stage.run(checkpoint, message(2, "yes, but only the old ones"));
    let agent = bridge.answer("prism.open", opened(&[]));
    let ((asked, checkpoint), _) = tokio::join!(rest(&mut steps), agent);
    let [HarnessEvent::Asked { summary }] = &asked[..] else { panic!("{asked:?}") };
    assert!(summary.contains("`yes`, `always` or `no`") && summary.contains("rm -rf x"), "{summary}");

    let (mut steps, _inbox) = stage.run(checkpoint, message(3, "only the old ones"));
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        let answer = bridge.answer("prism.answer", json!({"resolved": 1})).await;
        bridge.tell(turn("I see.")).await;
        answer
    };
    let (_, answer) = tokio::join!(rest(&mut steps), agent);
    let expected =
        json!({"session_id": "s", "question": "q1", "choice": "deny", "text": "only the old ones"});
    assert_eq!(answer, expected);
}

#[tokio::test(start_paused = true)]
async fn without_steering_nobody_is_asked() {
    let stage = Stage::new(Features::default().steering(false)).await;
    let mut bridge = stage.bridge("a").await;
    let (mut steps, _inbox) = stage.run(None, message(1, "clean up"));
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        bridge.take().await;
        bridge.tell(asks()).await;
        let denied = bridge.answer("prism.answer", json!({"resolved": 1})).await;
        bridge.tell([("clarify.request", json!({"request_id": "q2", "question": "Which?"}))]).await;
        let told = bridge.answer("prism.answer", json!({"resolved": 1})).await;
        bridge.tell(turn("done")).await;
        (denied, told)
    };
    let ((events, _), (denied, told)) = tokio::join!(rest(&mut steps), agent);
    assert_eq!(denied["choice"], "deny");
    assert!(denied["text"].as_str().unwrap().contains("decide yourself"), "{denied}");
    assert_eq!(told["clarify"], true);
    assert!(told["text"].as_str().unwrap().contains("decide yourself"), "{told}");
    assert_eq!(events.last(), Some(&HarnessEvent::Completed));
}

/// What the agent asks of a call that needs an approval.
fn asks_for_call() -> [(&'static str, Value); 1] {
    let call = json!({"server": "acme", "tool": "publish", "arguments": {"title": "Hi"}});
    [("approval.request", json!({"question": "q1", "description": "", "call": call}))]
}

/// Runs until the agent asks for a call, answers, and gives what the agent was told.
async fn answered(stage: &Stage, bridge: &mut Bridge, answer: UserMessage, resolved: u64) -> Value {
    let (mut steps, _inbox) = stage.run(None, message(1, "publish"));
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        bridge.take().await;
        bridge.tell(asks_for_call()).await;
    };
    let ((asked, checkpoint), ()) = tokio::join!(rest(&mut steps), agent);
    let [HarnessEvent::Asked { summary }] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(summary, r#"The agent wants to use acme/publish: {"title":"Hi"}"#);
    drop(steps);
    let (mut steps, _inbox) = stage.run(checkpoint, answer);
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        let answer = bridge.answer("prism.answer", json!({"resolved": resolved})).await;
        bridge.tell(turn("done")).await;
        answer
    };
    tokio::join!(rest(&mut steps), agent).1
}

#[tokio::test(start_paused = true)]
async fn a_call_passes_the_gateway_when_a_human_allowed_it() {
    let decided = |decision| UserMessage { decision: Some(decision), ..message(2, "because") };
    for (answer, resolved, choice, allowed) in [
        (decided(Decision::Allow), 1, "once", true),
        (decided(Decision::Deny), 1, "deny", false),
        (message(2, "yes"), 1, "once", true),
        // Each call needs an approval of its own.
        (message(2, "always"), 1, "once", true),
        (message(2, "not now"), 1, "deny", false),
        // The question was answered before a restart: the call was made, or not.
        (decided(Decision::Allow), 0, "once", false),
    ] {
        let outbound = Arc::new(Allowing::default());
        let mut stage = Stage::new(Features::default()).await;
        stage.agent.setup.outbound = outbound.clone();
        let mut bridge = stage.bridge("a").await;
        let told = answered(&stage, &mut bridge, answer.clone(), resolved).await;
        assert_eq!(told["choice"], choice, "{answer:?}");
        let calls = outbound.0.lock().unwrap();
        let names: Vec<_> = calls.iter().map(|call| call.tool.to_string()).collect();
        assert_eq!(names, if allowed { &["acme/publish"][..] } else { &[] }, "{answer:?}");
    }
}

/// An outside that keeps what was allowed.
#[derive(Default)]
struct Allowing(std::sync::Mutex<Vec<ToolCall>>);

impl Outbound for Allowing {
    fn router(&self) -> axum::Router {
        axum::Router::new()
    }

    fn refusal(&self) -> Option<prism_types::Failure> {
        None
    }

    fn scrubber(&self) -> Arc<crate::domain::scrubber::Scrubber> {
        Arc::default()
    }

    fn allow_call(&self, call: ToolCall) {
        self.0.lock().unwrap().push(call);
    }

    fn withdraw_call(&self, call: &ToolCall) {
        self.0.lock().unwrap().retain(|allowed| allowed != call);
    }
}
