//! What only the client does: waiting, signals of streams, and a control plane in the place of connections.

use std::time::Duration;

use prism_client::{
    Client,
    events::Signal,
    wait::{Answered, Asking, Completed, Over, any},
};
use prism_tests::TestServer;
use prism_types::{ApprovalStatus, CreateDeployment, Run, RunStatus, Runtime};

/// What comes longer than this has failed.
const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn conditions_of_runs_and_questions_are_waited_for() {
    let server = TestServer::start().await;
    let agent = server.client().deployment(&server.deploy("say One\nask Go on?\nsay Two").await);
    let run = agent.messages().send("go").await.unwrap().run_id.clone();
    let asking = agent.runs().get(&run).wait_until(any(Over, Asking)).timeout(DEADLINE).await.unwrap();
    assert_eq!(asking.status, RunStatus::WaitingOnHuman);
    let question = agent.approvals().list().items().next().await.unwrap().unwrap().approval_id;

    let state = serde_json::to_string(&agent.runs().get(&run).wait_until(Over).state()).unwrap();
    let elsewhere = server.client().resume_wait::<Run>(serde_json::from_str(&state).unwrap(), Completed);
    let answered = agent.approvals().get(&question).wait_until(Answered).timeout(DEADLINE);
    let answer = async {
        agent.messages().send("yes").await.unwrap();
    };
    let (ended, answered, ()) = tokio::join!(elsewhere.wait(), answered.wait(), answer);
    assert_eq!(ended.unwrap().status, RunStatus::Completed);
    assert_eq!(answered.unwrap().status, ApprovalStatus::Answered);
    let error = agent.runs().get(&run).wait_until(Asking).timeout(DEADLINE).await.unwrap_err();
    assert!(error.is_hopeless(), "{error}");
}

#[tokio::test]
async fn a_control_plane_can_take_the_place_of_connections() {
    let server = TestServer::start().await;
    let builder = Client::builder().base_url("http://in.process").api_key(server.account.key.clone());
    let client = builder.transport(server.plane.router()).build().unwrap();
    let request = CreateDeployment::new("cus_1", "Agent", prism_tests::scripted("say You said {{message}}."))
        .runtime(Runtime::Scripted);
    let agent = client.deployment(&client.deployments().create(request).await.unwrap().deployment_id);
    agent.wait_until_ready().timeout(DEADLINE).await.unwrap();
    let said = tokio::time::timeout(DEADLINE, agent.chat("Hi").text()).await.unwrap().unwrap();
    assert_eq!(said, "You said Hi.");
    agent.files().write("notes/a.txt", "kept").await.unwrap();
    assert_eq!(agent.files().read("notes/a.txt").await.unwrap().text().await.unwrap(), "kept");
    assert_eq!(client.deployments().list().items().next().await.unwrap().unwrap().name, "Agent");
}

#[tokio::test]
async fn a_stream_of_the_server_has_no_gap() {
    let server = TestServer::start().await;
    let agent = server.client().deployment(&server.deploy("repeat 300 every 0ms token x").await);
    let mut signals = agent.events().stream().open().await.unwrap().signals();
    let run = agent.messages().send("go").await.unwrap().run_id.clone();
    agent.runs().get(&run).wait_until(Over).timeout(DEADLINE).await.unwrap();
    assert!(matches!(signals.next().await, Some(Ok(Signal::Connected))));
    let mut count = 0;
    let reading = async {
        loop {
            match signals.next().await.unwrap().unwrap() {
                Signal::Event(event) if event.payload.name() == "run_status" && count >= 300 => break,
                Signal::Event(event) => count += usize::from(event.payload.name() == "token"),
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.unwrap();
    assert_eq!(count, 300);
}
