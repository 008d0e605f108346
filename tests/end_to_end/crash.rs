//! `kill -9` of the real process under load: what was acknowledged is there, and no run is stuck.

use std::{collections::BTreeMap, time::Duration};

use prism_client::Client;
use prism_tests::{PrismServe, scripted};
use prism_types::{
    CreateDeployment, DeploymentId, EventPayload, RunId, RunStatus, Runtime, SendMessage, ThreadId,
};
use tokio::sync::mpsc;

/// What the server acknowledged.
enum Acknowledged {
    Deployment(DeploymentId),
    Message { run: RunId, thread: ThreadId, content: String },
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_everything_acknowledged_is_there_and_every_run_ends() {
    let directory = tempfile::tempdir().unwrap();
    let prism = PrismServe::start(directory.path()).await;
    let deployment = ready_deployment(&prism.client()).await;
    let (sender, mut receiver) = mpsc::channel(16);
    for writer in 0..200 {
        tokio::spawn(write(prism.client(), deployment.clone(), writer, sender.clone()));
    }
    drop(sender);
    let mut acknowledged = Vec::new();
    // Well into the load the server is killed; what it had acknowledged by then is still coming in.
    let mut prism = Some(prism);
    while let Some(one) = receiver.recv().await {
        acknowledged.push(one);
        if acknowledged.len() == 500 {
            prism.take().unwrap().kill().await;
        }
    }

    let prism = PrismServe::start(directory.path()).await;
    let client = prism.client();
    let ended = all_ended(&client, &deployment, &acknowledged).await;
    let mut attempts = BTreeMap::new();
    for one in &acknowledged {
        match one {
            Acknowledged::Deployment(id) => {
                let found = client.deployments().wait_until_ready(id).timeout(Duration::from_secs(30));
                assert_eq!(found.await.unwrap().customer_id, "cus_crash");
            }
            Acknowledged::Message { run, thread, content } => {
                assert_eq!(ended[run], RunStatus::Completed);
                let run = client.deployment(&deployment).runs().get(run).await.unwrap();
                *attempts.entry(run.attempts).or_insert(0) += 1;
                let thread = client.deployment(&deployment).threads().get(thread).await.unwrap();
                let said = thread.messages.iter().map(|m| (m.role.as_str(), m.content.as_str()));
                // Nothing half-written, nothing said twice: the agent's whole answer, once.
                let answer = "0123456789".repeat(3);
                assert_eq!(
                    said.collect::<Vec<_>>(),
                    [("user", content.as_str()), ("agent", answer.as_str())]
                );
            }
        }
    }
    println!("runs by attempts: {attempts:?}");
    assert!(attempts.keys().any(|attempts| *attempts > 1), "no run was in flight at the kill: {attempts:?}");
}

async fn ready_deployment(client: &Client) -> DeploymentId {
    let script = "repeat 3 every 60ms token \"0123456789\"";
    let request = CreateDeployment::new("cus_crash", "Agent", scripted(script)).runtime(Runtime::Scripted);
    let created = client.deployments().create(request).await.unwrap();
    client.deployments().wait_until_ready(&created.deployment_id).await.unwrap();
    created.deployment_id.clone()
}

/// Creates deployments and sends messages until the server is gone.
async fn write(client: Client, deployment: DeploymentId, writer: usize, seen: mpsc::Sender<Acknowledged>) {
    for number in 0.. {
        let content = format!("message {writer} {number}");
        let message = SendMessage::new(content.clone()).new_thread();
        let Ok(sent) = client.deployment(&deployment).messages().send(message).await else { return };
        let (run, thread) = (sent.run_id.clone(), sent.thread_id.clone());
        seen.send(Acknowledged::Message { run, thread, content }).await.unwrap();
        let request = CreateDeployment::new("cus_crash", "Agent", scripted("say Hi"));
        let request = request.runtime(Runtime::Scripted);
        let Ok(created) = client.deployments().create(request).await else { return };
        seen.send(Acknowledged::Deployment(created.deployment_id.clone())).await.unwrap();
    }
}

/// How every run ended, read from the log as it is and as it goes on, until all acknowledged ones have.
async fn all_ended(
    client: &Client,
    deployment: &DeploymentId,
    acknowledged: &[Acknowledged],
) -> BTreeMap<RunId, RunStatus> {
    let runs: Vec<_> = acknowledged
        .iter()
        .filter_map(|one| match one {
            Acknowledged::Message { run, .. } => Some(run),
            Acknowledged::Deployment(_) => None,
        })
        .collect();
    let start = format!("evt_{}_0", deployment.suffix()).parse().unwrap();
    let mut stream = client.deployment(deployment).events().stream().after(start).open().await.unwrap();
    let mut ended = BTreeMap::new();
    let all = async {
        while !runs.iter().all(|run| ended.contains_key(*run)) {
            let EventPayload::RunStatus(changed) = stream.next().await.unwrap().unwrap().payload else {
                continue;
            };
            if changed.status.is_terminal() {
                assert_eq!(ended.insert(changed.run_id.clone(), changed.status), None, "ended twice");
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("a run is stuck");
    ended
}
