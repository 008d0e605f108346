//! Agents that are lost, hang or lie.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::*;

fn lost(events: &[HarnessEvent]) -> &str {
    match events {
        [.., HarnessEvent::Lost { message }] => message,
        other => panic!("the agent is not lost: {other:?}"),
    }
}

/// What came before has harmed nobody.
async fn a_run_goes_well(stage: &Stage, mut bridge: Bridge) {
    let (mut steps, _inbox) = stage.run(None, message(1, "hello"));
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        bridge.take().await;
        bridge.tell(turn("fine")).await;
    };
    let ((events, _), ()) = tokio::join!(rest(&mut steps), agent);
    assert_eq!(events.last(), Some(&HarnessEvent::Completed));
}

/// Goes on until this text comes; its checkpoint.
async fn until_token(steps: &mut StepStream, text: &str) -> Option<String> {
    loop {
        let step = steps.next().await.expect("the text comes");
        if step.event == HarnessEvent::Token(text.to_owned()) {
            return step.checkpoint;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer_is_ended() {
    let stage = Stage::new(Features::default()).await;
    let mut bridge = stage.bridge("a").await;
    let (mut steps, _inbox) = stage.run(None, message(1, "hello"));
    let ((events, _), _) = tokio::join!(rest(&mut steps), bridge.called("prism.open"));
    assert!(lost(&events).contains("did not answer in time to `prism.open`"), "{events:?}");
    assert_eq!(stage.ended(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_waits_for_no_answer() {
    let stage = Stage::new(Features::default()).await;
    let mut bridge = stage.bridge("a").await;
    let connection = stage.harness.agents.lock().unwrap()[&stage.sandbox.id].connection.clone();
    let (mut steps, _inbox) = stage.run(None, message(1, "hello"));
    tokio::select! {
        step = steps.next() => panic!("nobody answers: {step:?}"),
        _ = bridge.called("prism.open") => {}
    }
    assert_eq!(connection.waiting(), 1);
    drop(steps);
    assert_eq!(connection.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_says_nothing_is_ended_only_when_it_does_not_answer() {
    let stage = Stage::new(Features::default()).await;
    let mut bridge = stage.bridge("a").await;
    let (mut steps, _inbox) = stage.run(None, message(1, "work for hours"));
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        bridge.take().await;
        for _ in 0..300 {
            bridge.answer("prism.status", json!({"busy": 1, "worked": true})).await;
        }
        assert_eq!(stage.ended(), 0, "an agent may work for five hours");
        bridge.called("prism.status").await;
    };
    let ((events, _), ()) = tokio::join!(rest(&mut steps), agent);
    assert!(lost(&events).contains("prism.status"), "{events:?}");
    assert_eq!(stage.ended(), 1);
}

/// A turn that crashed in the agent never ends, though the agent answers.
#[tokio::test(start_paused = true)]
async fn an_agent_that_stopped_working_is_ended_unless_it_said_so() {
    for said_so in [false, true] {
        let stage = Stage::new(Features::default()).await;
        let mut bridge = stage.bridge("a").await;
        let (mut steps, _inbox) = stage.run(None, message(1, "work"));
        let agent = async {
            bridge.answer("prism.open", opened(&[])).await;
            bridge.take().await;
            let call = bridge.called("prism.status").await;
            assert_eq!(call.params["session_id"], "s");
            if said_so {
                bridge.tell(turn("done")).await;
            }
            let idle = json!({"id": call.id, "result": {"busy": 0, "worked": true, "works": false}});
            bridge.line(&idle.to_string()).await;
        };
        let ((events, _), ()) = tokio::join!(rest(&mut steps), agent);
        if said_so {
            assert_eq!((events.last(), stage.ended()), (Some(&HarnessEvent::Completed), 0));
        } else {
            assert!(lost(&events).contains("without a word"), "{events:?}");
            assert_eq!(stage.ended(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_refuses_fails_the_run_and_is_left_alone() {
    let stage = Stage::new(Features::default()).await;
    let mut bridge = stage.bridge("a").await;
    let (mut steps, _inbox) = stage.run(None, message(1, "hello"));
    let agent = async {
        let call = bridge.called("prism.open").await;
        bridge.line(&json!({"id": call.id, "error": {"message": "no such thing"}}).to_string()).await;
    };
    let ((events, _), ()) = tokio::join!(rest(&mut steps), agent);
    let [HarnessEvent::Failed { code, message }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(code, "agent_failed");
    assert!(message.contains("no such thing"), "{message}");
    assert_eq!(stage.ended(), 0);
}

#[tokio::test(start_paused = true)]
async fn work_that_was_lost_is_handed_over_once_more_and_only_once() {
    let stage = Stage::new(Features::default()).await;
    let mut bridge = stage.bridge("a").await;
    let (mut steps, _inbox) = stage.run(None, message(1, "make a plan"));
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        bridge.take().await;
        bridge.tell([("message.delta", json!({"text": "First"}))]).await;
    };
    let (checkpoint, ()) = tokio::join!(until_token(&mut steps, "First"), agent);
    let ((events, _), mut bridge) = tokio::join!(rest(&mut steps), stage.bridge("b"));
    assert!(lost(&events).contains("started again"), "{events:?}");

    // The engine gives no message again that was taken.
    let (sender, inbox) = mpsc::channel(8);
    let (run, thread) = ("run_stage".parse().unwrap(), "thr_stage".parse().unwrap());
    let mut input = RunInput::new(run, thread, stage.agent.clone(), inbox);
    input.checkpoint = checkpoint;
    let mut steps = stage.harness.run(input);
    let agent = async {
        bridge.answer("prism.open", opened(&["make a plan"])).await;
        let again = bridge.take().await;
        bridge.tell([("message.delta", json!({"text": "Second"}))]).await;
        again
    };
    let (checkpoint, again) = tokio::join!(until_token(&mut steps, "\n\nSecond"), agent);
    let text = again["text"].as_str().unwrap();
    assert!(text.contains("interrupted") && text.ends_with("make a plan"), "{text}");
    drop(bridge);
    assert!(lost(&rest(&mut steps).await.0).contains("gone"));
    drop(sender);

    let mut bridge = stage.bridge("c").await;
    let (mut steps, _inbox) = stage.run(checkpoint, message(2, "still there?"));
    let agent = bridge.answer("prism.open", opened(&["make a plan"]));
    let ((events, _), _) = tokio::join!(rest(&mut steps), agent);
    let [HarnessEvent::Failed { code, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(code, "agent_lost");
}

#[tokio::test(start_paused = true)]
async fn a_bridge_that_comes_back_goes_on_where_it_was() {
    let stage = Stage::new(Features::default()).await;
    let mut bridge = stage.bridge("a").await;
    let (mut steps, _inbox) = stage.run(None, message(1, "hello"));
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        bridge.take().await;
        let [delta, complete, idle] = turn("whole");
        bridge.tell([delta]).await;
        let folder = stage.directory.path().join("agents/ins_stage");
        let mut again = Bridge::connect(&folder, "a", 1, 4).await;
        // Lines that were received are not asked for; those that come all the same are told once.
        assert!((2..=5).contains(&again.from), "{}", again.from);
        bridge.hung_up().await;
        if again.from == 4 {
            again.tell([turn("whole")[0].clone()]).await;
        }
        again.tell([complete, idle]).await;
        again
    };
    let ((events, _), _bridge) = tokio::join!(rest(&mut steps), agent);
    let tokens: Vec<_> = events.iter().filter(|event| matches!(event, HarnessEvent::Token(_))).collect();
    assert_eq!(tokens, [&HarnessEvent::Token("whole".to_owned())]);
    assert_eq!(events.last(), Some(&HarnessEvent::Completed));
}

/// A run keeps the lines of its last steps, until they are surely committed; they must not fill the log by themselves.
#[tokio::test(start_paused = true)]
async fn large_results_one_after_the_other_do_not_hold_the_agent_up() {
    const RESULTS: usize = 100;
    let stage = Stage::new(Features::default()).await;
    let mut bridge = stage.bridge("a").await;
    let (mut steps, _inbox) = stage.run(None, message(1, "read everything"));
    let agent = async {
        bridge.answer("prism.open", opened(&[])).await;
        bridge.take().await;
        let large = "x".repeat(255 * 1024);
        for _ in 0..RESULTS {
            bridge
                .tell([("prism.result", json!({"tool_id": "t", "name": "read_file", "result": large}))])
                .await;
        }
        bridge.tell(turn("done")).await;
    };
    let ((events, _), ()) = tokio::join!(rest(&mut steps), agent);
    let results = events.iter().filter(|event| matches!(event, HarnessEvent::ToolResult { .. })).count();
    assert_eq!((results, events.last()), (RESULTS, Some(&HarnessEvent::Completed)));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_long_ends_the_connection_and_not_the_gateway() {
    let stage = Stage::new(Features::default()).await;
    let mut bridge = stage.bridge("a").await;
    let endless = async {
        let block = vec![b'x'; 1 << 20];
        // The gateway hangs up in the middle.
        while bridge.try_write(&block).await.is_ok() {}
    };
    tokio::time::timeout(Duration::from_secs(60), endless).await.unwrap();
    a_run_goes_well(&stage, stage.bridge("b").await).await;
}

#[tokio::test(start_paused = true)]
async fn numbers_that_jump_to_the_end_harm_only_the_agent() {
    let stage = Stage::new(Features::default()).await;
    let mut bridge = stage.bridge("a").await;
    let last = u64::MAX;
    bridge.write(format!("{last} {{\"params\": null}}\n").as_bytes()).await;
    let mut bridge = stage.bridge("a").await;
    assert!([1, last].contains(&bridge.from), "{}", bridge.from);
    bridge.write(format!("{last} x\n").as_bytes()).await;
    a_run_goes_well(&stage, stage.bridge("b").await).await;
}

#[tokio::test(start_paused = true)]
async fn names_that_would_fill_checkpoints_are_refused() {
    let stage = Stage::new(Features::default()).await;
    let folder = stage.directory.path().join("agents/ins_stage");
    Bridge::refused(&folder, &"b".repeat(65)).await;
    Bridge::refused(&folder, "").await;
    let mut bridge = Bridge::connect(&folder, &"b".repeat(64), 1, 1).await;
    let (mut steps, _inbox) = stage.run(None, message(1, "hello"));
    let named = bridge.answer("prism.open", json!({"session_id": "s".repeat(65)}));
    let ((events, _), _) = tokio::join!(rest(&mut steps), named);
    let [HarnessEvent::Failed { code, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(code, "agent_failed");
}

#[tokio::test]
async fn the_outside_opens_only_with_the_token() {
    let stage = Stage::new(Features::default()).await;
    let folder = stage.directory.path().join("agents/ins_stage");
    let token = std::fs::read_to_string(folder.join("token")).unwrap();
    let wrong = format!("{}0", &token[1..]);
    for (authorization, status) in [
        (format!("Bearer {token}"), "404"),
        (format!("Bearer {wrong}"), "401"),
        (format!("Bearer {}", &token[..63]), "401"),
        ("Bearer ".to_owned(), "401"),
        (token.clone(), "401"),
    ] {
        let mut stream = UnixStream::connect(folder.join("gateway.sock")).await.unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: {authorization}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{authorization}: {answer}");
    }
}

#[tokio::test]
async fn the_folder_is_gone_with_the_agent() {
    let stage = Stage::new(Features::default()).await;
    let folder = stage.directory.path().join("agents/ins_stage");
    assert!(folder.join("agent.sock").exists());
    stage.harness.remove(stage.sandbox.id()).await.unwrap();
    assert!(!folder.exists());
    stage.harness.remove(stage.sandbox.id()).await.unwrap();
}

/// What a hostile program can send between two lines of the agent's.
fn junk() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()].prop_map(|n| n.to_string());
    let body = prop_oneof![
        Just("null".to_owned()),
        Just("{\"method\":\"event\"}".to_owned()),
        Just("{\"id\":\"x\",\"result\":{}}".to_owned()),
        Just("{\"method\":\"event\",\"params\":{\"type\":7,\"session_id\":\"s\"}}".to_owned()),
        Just(
            "{\"method\":\"event\",\"params\":{\"type\":\"prism.idle\",\"session_id\":\"other\"}}".to_owned()
        ),
        "\\PC{0,40}",
    ];
    let line = (number, body).prop_map(|(number, body)| format!("{number} {body}").into_bytes());
    // Numbers that jump ahead make the gateway skip what follows: that is the agent's own loss, so here they are
    // only numbers of lines that were received.
    let plain = prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        line.prop_filter("jumps ahead", |line| !jumps(line)),
        plain.prop_filter("jumps", |l| !jumps(l))
    ]
    .prop_map(|mut line| {
        line.retain(|byte| *byte != b'\n');
        line.push(b'\n');
        line
    })
}

fn jumps(line: &[u8]) -> bool {
    let number = line.split(|byte| *byte == b' ').next().and_then(|number| std::str::from_utf8(number).ok());
    number.and_then(|number| number.parse::<u64>().ok()).is_some_and(|number| number > 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_comes_between_the_lines_of_a_turn_it_is_told(junk in prop::collection::vec(junk(), 3)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let stage = Stage::new(Features::default()).await;
            let mut bridge = stage.bridge("a").await;
            let (mut steps, _inbox) = stage.run(None, message(1, "hello"));
            let agent = async {
                bridge.answer("prism.open", opened(&[])).await;
                bridge.take().await;
                for (junk, event) in junk.iter().zip(turn("fine")) {
                    bridge.write(junk).await;
                    bridge.tell([event]).await;
                }
            };
            let ((events, _), ()) = tokio::join!(rest(&mut steps), agent);
            prop_assert_eq!(&events[0], &HarnessEvent::Token("fine".to_owned()));
            prop_assert_eq!(events.last(), Some(&HarnessEvent::Completed));
            Ok(())
        })?;
    }
}
