//! Runs: every event, every status, steering, and updates that apply from the next run on.

use std::time::Duration;

use prism_client::EventStream;
use prism_server_core::Settings;
use prism_tests::{ServerOptions, TestServer, scripted, scripted_body};
use prism_types::{
    CreateDeployment, DeploymentId, Event, EventPayload, Features, FeaturesUpdate, RunStatus, ThreadStatus,
    UpdateDeployment,
};

/// Events up to a status of a run, in a compact form.
async fn told_until(events: &mut EventStream, status: RunStatus) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await.unwrap();
        let event = event.unwrap().unwrap();
        told.push(compact(&event));
        if matches!(&event.payload, EventPayload::RunStatus(changed) if changed.status == status) {
            return told;
        }
    }
}

fn compact(event: &Event) -> String {
    match &event.payload {
        EventPayload::Token(token) => format!("token {}", token.delta),
        EventPayload::ToolCall(call) => format!("call {} {}", call.tool, call.arguments.get()),
        EventPayload::ToolResult(result) => format!("result {} {}", result.tool, result.result.get()),
        EventPayload::SteeringRequest(asked) => format!("ask {}", asked.summary),
        EventPayload::RunStatus(changed) => match &changed.error {
            Some(failure) => format!("{} {}: {}", changed.status, failure.code, failure.message),
            None => changed.status.to_string(),
        },
        EventPayload::Filesystem(changed) => format!("file {} {}", changed.change, changed.path),
        other => format!("{other:?}"),
    }
}

async fn with_file_events(server: &TestServer, script: &str) -> DeploymentId {
    let features = Features::default().filesystem_webhooks(true);
    let request = CreateDeployment::new("cus_1", "Agent", scripted(script)).features(features);
    server.deploy_request(request).await
}

#[tokio::test]
async fn every_event_and_status_of_a_run() {
    let server = TestServer::start().await;
    let script = "token \"Hel\"\ntoken \"lo\"\ntool search {\"q\": \"{{message}}\"} => [1]\n\
        write a.md \"x\"\nwrite a.md \"y\"\ndelete a.md\nask Publish?\ntoken \"{{answer}}\"\n\
        fail model_unavailable The model did not answer.";
    let id = with_file_events(&server, script).await;
    let deployment = server.client().deployment(&id);
    let mut events = deployment.events().stream().open().await.unwrap();
    let sent = deployment.messages().send("shoes").await.unwrap();
    assert_eq!(sent.status, RunStatus::Running);
    let told = told_until(&mut events, RunStatus::WaitingOnHuman).await;
    assert_eq!(
        told,
        [
            "running",
            "token Hel",
            "token lo",
            "call search {\"q\":\"shoes\"}",
            "result search [1]",
            "file created a.md",
            "file modified a.md",
            "file deleted a.md",
            "ask Publish?",
            "waiting_on_human",
        ]
    );
    let thread = deployment.threads().get(&sent.thread_id).await.unwrap();
    assert_eq!(thread.status, ThreadStatus::WaitingOnHuman);

    let answered = deployment.messages().send("yes").await.unwrap();
    assert_eq!((&answered.run_id, &answered.status), (&sent.run_id, &RunStatus::Running));
    let told = told_until(&mut events, RunStatus::Error).await;
    assert_eq!(told, ["running", "token yes", "error model_unavailable: The model did not answer."]);

    let run = deployment.runs().get(&sent.run_id).await.unwrap();
    assert_eq!((&run.status, run.attempts), (&RunStatus::Error, 1));
    assert_eq!(run.error.as_ref().unwrap().code, "model_unavailable");
    assert!(run.ended_at.is_some());
    let thread = deployment.threads().get(&sent.thread_id).await.unwrap();
    let said: Vec<_> = thread.messages.iter().map(|m| format!("{} {}", m.role, m.content)).collect();
    assert_eq!(said, ["user shoes", "agent Hello", "user yes", "agent yes"]);
    assert_eq!((thread.title.as_deref(), &thread.status), (Some("Default"), &ThreadStatus::Idle));
}

#[tokio::test]
async fn file_events_are_told_only_when_the_feature_is_on() {
    let server = TestServer::start().await;
    let id = server.deploy("write a.md x").await;
    let deployment = server.client().deployment(&id);
    let mut events = deployment.events().stream().open().await.unwrap();
    deployment.messages().send("go").await.unwrap();
    assert_eq!(told_until(&mut events, RunStatus::Completed).await, ["running", "completed"]);
}

#[tokio::test]
async fn without_steering_a_run_never_pauses() {
    let server = TestServer::start().await;
    let request = CreateDeployment::new("cus_1", "Agent", scripted("ask Publish?\nsay done"));
    let id = server.deploy_request(request.features(Features::default().steering(false))).await;
    let deployment = server.client().deployment(&id);
    let mut events = deployment.events().stream().open().await.unwrap();
    deployment.messages().send("go").await.unwrap();
    assert_eq!(told_until(&mut events, RunStatus::Completed).await, ["running", "token done", "completed"]);
}

/// Messages to a run in flight are folded into it, each exactly once, even when they come as it ends.
#[tokio::test]
async fn messages_to_a_run_in_flight_are_folded_into_it() {
    let server = TestServer::start().await;
    let id = server.deploy("repeat 40 every 2ms token \".\"").await;
    let deployment = server.client().deployment(&id);
    let mut events = deployment.events().stream().open().await.unwrap();
    let first = deployment.messages().send("start").await.unwrap();
    let mut runs = vec![first.run_id.clone()];
    for number in 0..30 {
        runs.push(deployment.messages().send(format!("more {number}")).await.unwrap().run_id.clone());
    }
    let distinct: std::collections::BTreeSet<_> = runs.iter().cloned().collect();
    let mut told = Vec::new();
    for _ in &distinct {
        told.extend(told_until(&mut events, RunStatus::Completed).await);
    }
    // What came after a run's end started another run, whose first message is not steering.
    let steered = told.iter().filter(|event| event.contains("[steered: more")).count();
    assert_eq!(steered, 30 - (distinct.len() - 1), "{told:?}");
    let thread = deployment.threads().get(&first.thread_id).await.unwrap();
    assert_eq!(thread.messages.iter().filter(|m| m.role.as_str() == "user").count(), 31);
}

#[tokio::test]
async fn threads_are_apart_and_their_runs_go_on_at_the_same_time() {
    let server = TestServer::start().await;
    let id = server.deploy("ask Which?\nsay {{answer}}").await;
    let deployment = server.client().deployment(&id);
    let default = deployment.messages().send("a").await.unwrap();
    let fresh = deployment.messages().send(prism_types::SendMessage::new("b").new_thread()).await.unwrap();
    assert_ne!(default.thread_id, fresh.thread_id);
    assert_ne!(default.run_id, fresh.run_id);
    let mut events = deployment.events().stream().thread(fresh.thread_id.clone());
    events = events.after(format!("evt_{}_0", id.suffix()).parse().unwrap());
    let mut events = events.open().await.unwrap();
    let told = told_until(&mut events, RunStatus::WaitingOnHuman).await;
    assert_eq!(told, ["running", "ask Which?", "waiting_on_human"]);
    let answer = prism_types::SendMessage::new("this").thread_id(fresh.thread_id.clone());
    deployment.messages().send(answer).await.unwrap();
    assert_eq!(told_until(&mut events, RunStatus::Completed).await, ["running", "token this", "completed"]);
    let threads = deployment.threads().list().await.unwrap();
    assert_eq!(threads.data.len(), 2);
    assert_eq!(threads.data[0].thread_id, fresh.thread_id);
}

#[tokio::test]
async fn an_update_applies_from_the_next_run_on_and_leaves_the_rest() {
    let server = TestServer::start().await;
    let id = server.deploy("ask Go?\nsay old {{model}}").await;
    let deployment = server.client().deployment(&id);
    let mut events = deployment.events().stream().open().await.unwrap();
    deployment.messages().send("a").await.unwrap();
    told_until(&mut events, RunStatus::WaitingOnHuman).await;
    let update = UpdateDeployment::new().system_prompt(scripted("say new {{model}}")).name("Renamed");
    let updated = deployment.update(update.model("openai/gpt-9".to_owned())).await.unwrap();
    assert_eq!((updated.name.as_str(), updated.model.as_str()), ("Renamed", "openai/gpt-9"));
    deployment.messages().send("yes").await.unwrap();
    let told = told_until(&mut events, RunStatus::Completed).await.concat();
    assert!(told.contains("old") && told.contains("claude-sonnet-4.5"), "{told}");
    deployment.messages().send("b").await.unwrap();
    let told = told_until(&mut events, RunStatus::Completed).await.concat();
    assert!(told.contains("new") && told.contains("openai/gpt-9"), "{told}");
    let cleared = UpdateDeployment::new().model(prism_types::Patch::Clear);
    assert_eq!(deployment.update(cleared).await.unwrap().model, "anthropic/claude-sonnet-4.5");
    let quiet = UpdateDeployment::new().features(FeaturesUpdate::default().steering(false));
    assert_eq!(deployment.update(quiet).await.unwrap().name, "Renamed");
}

#[tokio::test]
async fn a_deployment_that_failed_is_started_again_by_an_update() {
    let server = TestServer::start().await;
    let body = scripted_body("provision fail no_licence The licence has run out.");
    let created = server.http().post("/v1/deployments", &body).await;
    let id = created.body["deployment_id"].as_str().unwrap().parse().unwrap();
    let client = server.client();
    let error = client.deployments().wait_until_ready(&id).await.unwrap_err();
    assert_eq!(error.failure().unwrap().code, "no_licence");
    let mended = UpdateDeployment::new().system_prompt(scripted("say Hi"));
    assert_eq!(client.deployment(&id).update(mended).await.unwrap().status.as_str(), "provisioning");
    client.deployments().wait_until_ready(&id).await.unwrap();
    let broken = server.http().post("/v1/deployments", &scripted_body("sing a song")).await;
    let id = broken.body["deployment_id"].as_str().unwrap().parse().unwrap();
    let error = client.deployments().wait_until_ready(&id).await.unwrap_err();
    assert_eq!(error.failure().unwrap().code, "invalid_script");
    assert!(error.failure().unwrap().message.contains("line 1"), "{error}");
}

/// The only place for a run is taken by one that would wait for an hour; deleting its deployment frees it.
#[tokio::test]
async fn deleting_a_deployment_ends_its_runs() {
    let mut settings = Settings::default();
    settings.concurrent_runs = 1;
    let server = TestServer::with(ServerOptions { settings, ..Default::default() }).await;
    let (slow, quick) = (server.deploy("delay 3600s").await, server.deploy("say Hi").await);
    let slow = server.client().deployment(&slow);
    slow.messages().send("go").await.unwrap();
    let quick = server.client().deployment(&quick);
    let mut events = quick.events().stream().open().await.unwrap();
    quick.messages().send("go").await.unwrap();
    slow.delete().await.unwrap();
    assert_eq!(told_until(&mut events, RunStatus::Completed).await, ["running", "token Hi", "completed"]);
}

#[tokio::test]
async fn lists_are_newest_first_whole_and_filtered() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut made = Vec::new();
    for number in 0..25 {
        let customer = format!("cus_{}", number % 2);
        let request = CreateDeployment::new(customer, format!("Agent {number}"), scripted("say Hi"));
        made.push(server.deploy_request(request).await);
    }
    made.reverse();
    let mut listed = Vec::new();
    let mut page = client.deployments().list().limit(10).await.unwrap().into_inner();
    loop {
        listed.extend(page.data.iter().map(|deployment| deployment.deployment_id.clone()));
        let Some(cursor) = page.next_cursor else { break };
        page = client.deployments().list().limit(10).cursor(cursor).await.unwrap().into_inner();
    }
    assert_eq!(listed, made);
    let odd = client.deployments().list().customer_id("cus_1").limit(100).await.unwrap();
    assert_eq!(odd.data.len(), 12);
    let ready = server.http().get("/v1/deployments?status=ready&limit=100").await;
    assert_eq!(ready.body["data"].as_array().unwrap().len(), 25);
    client.deployment(&made[0]).delete().await.unwrap();
    assert!(client.deployment(&made[0]).get().await.unwrap_err().is_not_found());
    assert!(client.deployment(&made[0]).delete().await.unwrap_err().is_not_found());
    let left = server.http().get("/v1/deployments?limit=100").await;
    assert_eq!(left.body["data"].as_array().unwrap().len(), 24);
}

/// A message that was there before the question is steering, never the answer, however close they come.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_the_first_message_after_the_question() {
    let server = TestServer::start().await;
    for round in 0..20 {
        let id = server.deploy("repeat 5 every 1ms token \".\"\nask Go?\ntoken \"<{{answer}}>\"").await;
        let deployment = server.client().deployment(&id);
        let first = deployment.messages().send("start").await.unwrap();
        let stream = deployment.events().stream().after(format!("evt_{}_0", id.suffix()).parse().unwrap());
        let mut events = stream.run(first.run_id.clone()).open().await.unwrap();
        let mut sent = 0;
        while deployment.runs().get(&first.run_id).await.unwrap().status == RunStatus::Running && sent < 60 {
            sent += 1;
            let message = format!("m{round}-{sent}");
            let receipt = deployment.messages().send(message).await.unwrap();
            if receipt.run_id != first.run_id {
                break;
            }
        }
        if deployment.runs().get(&first.run_id).await.unwrap().status == RunStatus::WaitingOnHuman {
            deployment.messages().send("last").await.unwrap();
        }
        let told = told_until(&mut events, RunStatus::Completed).await.concat();
        let thread = deployment.threads().get(&first.thread_id).await.unwrap();
        let question = thread.messages.iter().position(|message| message.role.as_str() == "agent").unwrap();
        let answer = &thread.messages[question + 1].content;
        assert!(told.contains(&format!("<{answer}>")), "{told} {:?}", thread.messages);
        for message in &thread.messages[1..question] {
            let steered = format!("[steered: {}]", message.content);
            assert_eq!(told.matches(&steered).count(), 1, "{told}");
        }
    }
}
