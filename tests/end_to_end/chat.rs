//! Conversations, turn by turn, by the client.

use std::time::Duration;

use prism_client::{
    Error,
    chat::{Outcome, Part, Turn},
    wait::Asking,
};
use prism_tests::{TestServer, scripted};
use prism_types::{CreateDeployment, Features, SendMessage, UpdateDeployment};

/// What comes longer than this has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// Reads a turn to its end.
async fn read(turn: &mut Turn) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    let reading = async {
        while let Some(part) = turn.next().await.transpose()? {
            parts.push(part);
        }
        Ok(())
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("a turn ends")?;
    Ok(parts)
}

fn text(parts: &[Part]) -> String {
    let pieces = parts.iter().filter_map(|part| match part {
        Part::Text(piece) => Some(piece.as_str()),
        _ => None,
    });
    pieces.collect()
}

#[tokio::test]
async fn a_turn_is_all_that_the_agent_does_and_ends() {
    let server = TestServer::start().await;
    let script =
        "say Let me see.\ntool search {\"q\": \"x\"} => {\"found\": 3}\nwrite plan.md Plan\nsay {{message}}!";
    let features = Features::default().filesystem_webhooks(true);
    let request = CreateDeployment::new("cus_1", "Agent", scripted(script)).features(features);
    let id = server.deploy_request(request).await;
    let agent = server.client().deployment(&id);
    let mut turn = agent.chat("Hello there").await.unwrap();
    assert_eq!(turn.outcome(), None);
    let parts = read(&mut turn).await.unwrap();
    assert_eq!(text(&parts), "Let me see.Hello there!");
    let others: Vec<_> = parts.iter().filter(|part| !matches!(part, Part::Text(_))).collect();
    let [Part::ToolCall(call), Part::ToolResult(result), Part::File(file)] = others[..] else {
        panic!("{others:?}")
    };
    assert_eq!((call.tool.as_str(), call.arguments.get()), ("search", r#"{"q":"x"}"#));
    assert_eq!((result.result.get(), file.path.as_str()), (r#"{"found":3}"#, "plan.md"));
    assert_eq!(turn.outcome(), Some(&Outcome::Completed));
    assert!(turn.next().await.is_none());
    let run = agent.runs().get(turn.run_id()).await.unwrap();
    assert_eq!(run.thread_id, *turn.thread_id());

    assert_eq!(agent.chat("Once more").text().await.unwrap(), "Let me see.Once more!");
}

#[tokio::test]
async fn a_question_ends_a_turn_and_the_answer_begins_the_next() {
    let server = TestServer::start().await;
    let id = server.deploy("say One moment.\nask Publish?\nsay You said {{answer}}.").await;
    let agent = server.client().deployment(&id);
    let mut turn = agent.chat(SendMessage::new("go").new_thread()).await.unwrap();
    let parts = read(&mut turn).await.unwrap();
    assert_eq!(text(&parts), "One moment.");
    assert!(matches!(parts.last(), Some(Part::Question(question)) if question.summary == "Publish?"));
    let Some(Outcome::Asks(question)) = turn.outcome() else { panic!("{:?}", turn.outcome()) };
    assert_eq!(question.summary, "Publish?");

    let mut answered = turn.answer("yes").await.unwrap();
    assert_eq!(answered.run_id(), turn.run_id(), "the run goes on");
    assert_eq!(text(&read(&mut answered).await.unwrap()), "You said yes.");
    assert_eq!(answered.outcome(), Some(&Outcome::Completed));
}

#[tokio::test]
async fn a_run_that_fails_says_why() {
    let server = TestServer::start().await;
    let id = server.deploy("say Oh\nfail boom It broke.").await;
    let agent = server.client().deployment(&id);
    let mut turn = agent.chat("go").await.unwrap();
    assert_eq!(text(&read(&mut turn).await.unwrap()), "Oh");
    let Some(Outcome::Failed(failure)) = turn.outcome() else { panic!("{:?}", turn.outcome()) };
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("boom", "It broke."));
    let error = agent.chat("go").text().await.unwrap_err();
    assert!(error.is_run_failed() && error.to_string().contains("it failed: boom: It broke."), "{error}");
    assert_eq!(error.failure().unwrap().code, "boom");
}

#[tokio::test]
async fn turns_on_several_threads_are_apart() {
    let server = TestServer::start().await;
    let id = server.deploy("say You\nsay said\nsay {{message}}").await;
    let agent = server.client().deployment(&id);
    let chats = (0..10).map(|number| {
        let message = SendMessage::new(format!("message {number}")).new_thread();
        agent.chat(message).text()
    });
    let texts = tokio::time::timeout(DEADLINE, futures::future::join_all(chats)).await.unwrap();
    for (number, text) in texts.into_iter().enumerate() {
        assert_eq!(text.unwrap(), format!("Yousaidmessage {number}"));
    }
}

#[tokio::test]
async fn what_ends_a_run_ends_its_turn() {
    let server = TestServer::start().await;
    let id = server.deploy("repeat 1000000 every 1ms token .").await;
    let agent = server.client().deployment(&id);
    let mut turn = agent.chat("go").await.unwrap();
    turn.next().await.unwrap().unwrap();
    agent.runs().cancel(turn.run_id()).await.unwrap();
    read(&mut turn).await.unwrap();
    assert!(matches!(turn.outcome(), Some(Outcome::Failed(failure)) if failure.code == "cancelled"));

    // A message that comes meanwhile joins the work.
    let mut turn = agent.chat("go").await.unwrap();
    let mut joined = agent.chat("on").await.unwrap();
    assert_eq!(turn.run_id(), joined.run_id());
    agent.delete().await.unwrap();
    for turn in [&mut turn, &mut joined] {
        let over = read(turn).await;
        assert!(over.is_err() || matches!(turn.outcome(), Some(Outcome::Failed(_))), "{over:?}");
        assert!(turn.next().await.is_none());
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_told() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let agent = server.client().deployment(&id);
    assert!(agent.chat("").await.unwrap_err().is_validation());
    let broken = UpdateDeployment::new().system_prompt(scripted("nonsense"));
    agent.update(broken).await.unwrap();
    assert!(agent.chat("Hi").text().await.unwrap_err().is_run_failed());
    agent.delete().await.unwrap();
    assert!(agent.chat("Hi").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_reply_is_all_of_a_turn_put_together() {
    let server = TestServer::start().await;
    let script = "say Let me see.\ntool search {\"q\": \"x\"} => {\"found\": 3}\nwrite plan.md Plan\nask Publish?\nsay Done.";
    let features = Features::default().filesystem_webhooks(true);
    let request = CreateDeployment::new("cus_1", "Agent", scripted(script)).features(features);
    let agent = server.client().deployment(&server.deploy_request(request).await);
    let reply = tokio::time::timeout(DEADLINE, agent.chat("go").reply()).await.unwrap().unwrap();
    assert_eq!(reply.text, "Let me see.");
    let [tool] = &reply.tools[..] else { panic!("{:?}", reply.tools) };
    assert_eq!(tool.call.tool, "search");
    assert_eq!(tool.result.as_ref().unwrap().result.get(), r#"{"found":3}"#);
    assert_eq!(reply.files[0].path, "plan.md");
    assert_eq!(reply.questions[0].summary, "Publish?");
    assert!(matches!(reply.outcome, Some(Outcome::Asks(question)) if question.summary == "Publish?"));
    let reply = tokio::time::timeout(DEADLINE, agent.chat("yes").reply()).await.unwrap().unwrap();
    assert_eq!((reply.text.as_str(), reply.outcome), ("Done.", Some(Outcome::Completed)));
}

#[tokio::test]
async fn a_run_that_was_begun_elsewhere_is_followed() {
    let server = TestServer::start().await;
    let agent = server.client().deployment(&server.deploy("say One\nask Go on?\nsay Two").await);
    let place = agent.events().stream().open().await.unwrap();
    let receipt = agent.messages().send("go").await.unwrap();
    let begin = place.last_event_id().unwrap().clone();
    agent.runs().get(&receipt.run_id).wait_until(Asking).timeout(DEADLINE).await.unwrap();

    let mut replayed = agent.follow(&receipt.run_id).after(begin.clone()).await.unwrap();
    assert_eq!(text(&read(&mut replayed).await.unwrap()), "One");
    assert!(matches!(replayed.outcome(), Some(Outcome::Asks(_))));
    let mut live = agent.follow(&receipt.run_id).await.unwrap();
    agent.messages().send("yes").await.unwrap();
    assert_eq!(text(&read(&mut live).await.unwrap()), "Two");
    assert_eq!(live.outcome(), Some(&Outcome::Completed));

    let mut over = agent.follow(&receipt.run_id).await.unwrap();
    assert_eq!(over.outcome(), Some(&Outcome::Completed));
    assert!(over.next().await.is_none());
    let nobody = "run_nobody".parse().unwrap();
    assert!(agent.follow(&nobody).await.unwrap_err().is_not_found());
}
