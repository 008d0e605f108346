//! `kill -9` of the real server while programs run: they run on, and nothing that they say is lost or told twice.

use std::time::Duration;

use futures::TryStreamExt;
use prism_tests::PrismServe;
use prism_types::nullspace::{
    AgentConfig, AgentRunStatus, CreateRun, CreateService, LogSource, ServiceStatus,
};
use serde_json::json;

use super::{deploy, deploy_job, until};

#[tokio::test(flavor = "multi_thread")]
async fn programs_outlive_the_server_and_every_line_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut prism = PrismServe::start(directory.path()).await;
    let client = prism.client();
    let line = "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); sleep 0.01; done";
    let job = deploy_job(&client, "job", line).await;
    let run = job.runs().create(CreateRun::new().env("TOKEN", "x")).await.unwrap();
    let mut config = serde_json::to_value(AgentConfig::service("web", "exec sleep 600", 8000)).unwrap();
    config["service"]["readiness"] = json!({ "type": "timeout", "timeout_seconds": 1 });
    let web = deploy(&client, "web", config).await;
    let service = web.services().create(CreateService::new().env("TOKEN", "x")).await.unwrap();
    let (job_id, web_id) = (job.id().clone(), web.id().clone());
    until("both run", async || {
        let run = job.runs().get(&run.id).await.unwrap().into_inner();
        let service = web.services().get(&service.id).await.unwrap().into_inner();
        (run.status == AgentRunStatus::Running && service.started_at.is_some()).then_some(())
    })
    .await;
    let mut client = client;
    for _ in 0..3 {
        prism.kill().await;
        prism = PrismServe::start(directory.path()).await;
        client = prism.client();
        // Some lines are taken by each server.
        let job = client.nullspace().deployment(&job_id);
        let seen = job.runs().logs(&run.id).limit(1000).send().await.unwrap().events.len();
        until("another line is told", async || {
            let now = job.runs().logs(&run.id).limit(1000).send().await.unwrap().events.len();
            let has_ended = job.runs().get(&run.id).await.unwrap().status.is_terminal();
            (now > seen || has_ended).then_some(())
        })
        .await;
    }
    let job = client.nullspace().deployment(&job_id);
    let ended = until("the job ends", async || {
        let run = job.runs().get(&run.id).await.unwrap().into_inner();
        run.status.is_terminal().then_some(run)
    })
    .await;
    assert_eq!((ended.status, ended.exit_code), (AgentRunStatus::Succeeded, Some(0)));
    let lines: Vec<_> = job.runs().logs(&run.id).lines().into_stream().try_collect().await.unwrap();
    let said = lines.iter().filter(|line| line.source == Some(LogSource::Stdout)).map(|line| &*line.message);
    let expected: Vec<_> = (0..400).map(|number| format!("line {number}")).collect();
    assert_eq!(said.collect::<Vec<_>>(), expected);

    let web = client.nullspace().deployment(&web_id);
    let found = web.services().get(&service.id).await.unwrap();
    assert_eq!((&found.status, &found.started_at.is_some()), (&ServiceStatus::Ready, &true));
    web.delete().await.unwrap();
    job.delete().await.unwrap();
    let sandboxes = directory.path().join("processes");
    let left = async || std::fs::read_dir(&sandboxes).map_or(0, Iterator::count) == 0;
    until("nothing is left", async || left().await.then_some(())).await;
    tokio::time::timeout(Duration::from_secs(10), prism.kill()).await.unwrap();
}
