//! `kill -9` of the real process under load: what was acknowledged is there, and no run is stuck.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prism_client::Client;
use prism_tests::{PrismServe, scripted};
use prism_types::{CreateDeployment, DeploymentId, RunId, RunStatus, Runtime, SendMessage};
use tokio::sync::Mutex;

/// What the server acknowledged before it was killed.
#[derive(Default)]
struct Acknowledged {
    deployments: Vec<DeploymentId>,
    messages: Vec<(DeploymentId, RunId, String)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_everything_acknowledged_is_there_and_every_run_ends() {
    let directory = tempfile::tempdir().unwrap();
    let prism = PrismServe::start(directory.path()).await;
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    let deployment = ready_deployment(&prism.client()).await;
    let writers: Vec<_> = (0..200)
        .map(|writer| {
            let (client, deployment) = (prism.client(), deployment.clone());
            tokio::spawn(write(client, deployment, writer, acknowledged.clone()))
        })
        .collect();
    // Well into the load: the server is killed when it has acknowledged a good part of it.
    loop {
        let seen = acknowledged.lock().await;
        if seen.deployments.len() > 150 && seen.messages.len() > 150 {
            break;
        }
        drop(seen);
        tokio::task::yield_now().await;
    }
    prism.kill().await;
    for writer in writers {
        writer.await.unwrap();
    }

    let prism = PrismServe::start(directory.path()).await;
    let client = prism.client();
    let acknowledged = acknowledged.lock().await;
    for id in &acknowledged.deployments {
        let found = client.deployments().wait_until_ready(id).timeout(Duration::from_secs(30)).await;
        assert_eq!(found.unwrap().customer_id, "cus_crash");
    }
    let mut attempts = BTreeMap::new();
    for (id, run, content) in &acknowledged.messages {
        let ended = ended(&client, id, run).await;
        assert_eq!(ended.status, RunStatus::Completed, "{ended:?}");
        *attempts.entry(ended.attempts).or_insert(0) += 1;
        let thread = client.deployment(id).threads().get(&ended.thread_id).await.unwrap();
        let said: Vec<_> = thread.messages.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect();
        // Nothing half-written, nothing said twice: the agent's whole answer, once.
        let answer = "0123456789".repeat(3);
        assert_eq!(said, [("user", content.as_str()), ("agent", answer.as_str())]);
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
async fn write(client: Client, deployment: DeploymentId, writer: usize, seen: Arc<Mutex<Acknowledged>>) {
    for number in 0.. {
        let content = format!("message {writer} {number}");
        let message = SendMessage::new(content.clone()).new_thread();
        let Ok(sent) = client.deployment(&deployment).messages().send(message).await else { return };
        seen.lock().await.messages.push((deployment.clone(), sent.run_id.clone(), content));
        let request = CreateDeployment::new("cus_crash", "Agent", scripted("say Hi"));
        let request = request.runtime(Runtime::Scripted);
        let Ok(created) = client.deployments().create(request).await else { return };
        seen.lock().await.deployments.push(created.deployment_id.clone());
    }
}

/// The run when it has ended.
async fn ended(client: &Client, id: &DeploymentId, run: &RunId) -> prism_types::Run {
    let start = format!("evt_{}_0", id.suffix()).parse().unwrap();
    let stream = client.deployment(id).events().stream().after(start).run(run.clone());
    let mut stream = stream.open().await.unwrap();
    let all = async {
        while let Some(event) = stream.next().await {
            event.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
    client.deployment(id).runs().get(run).await.unwrap().into_inner()
}
