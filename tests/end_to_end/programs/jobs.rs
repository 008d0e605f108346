//! Jobs: how they end, what they leave, and what nobody is told.

use std::time::Duration;

use futures::TryStreamExt;
use prism_types::nullspace::{
    AgentConfig, AgentRun, AgentRunStatus, AgentVersionStatus, BuildStatus, CachePolicy, CreateRun,
    LogSource, UpdateAgentDeployment,
};
use serde_json::json;

use super::{add_version, deploy, deploy_job, remove, server, until};
use prism_client::nullspace::AgentDeploymentHandle;

/// Runs a job to its end.
async fn run(deployment: &AgentDeploymentHandle, request: CreateRun) -> AgentRun {
    let run = deployment.runs().create(request).await.unwrap();
    until("the run ends", async || {
        let run = deployment.runs().get(&run.id).await.unwrap().into_inner();
        run.status.is_terminal().then_some(run)
    })
    .await
}

async fn messages(deployment: &AgentDeploymentHandle, run: &AgentRun, source: LogSource) -> Vec<String> {
    let lines: Vec<_> = deployment.runs().logs(&run.id).lines().into_stream().try_collect().await.unwrap();
    let of_source = lines.into_iter().filter(|line| line.source.as_ref() == Some(&source));
    of_source.map(|line| line.message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_as_its_process_does() {
    let server = server().await;
    let client = server.client();
    let line = r#"echo "$PRISM_INPUT"; kill -9 $$"#;
    let killed = deploy_job(&client, "killed", line).await;
    let input: prism_types::nullspace::JsonObject = serde_json::from_str(r#"{"a":[1,"é"]}"#).unwrap();
    let ended = run(&killed, CreateRun::new().input(input)).await;
    assert_eq!((&ended.status, ended.exit_code), (&AgentRunStatus::Failed, Some(137)));
    assert!(ended.failure_reason.as_ref().unwrap().contains("by signal 9"), "{ended:?}");
    assert_eq!(messages(&killed, &ended, LogSource::Stdout).await, [r#"{"a":[1,"é"]}"#]);
    until("its sandbox goes, for nobody asked to keep it", async || {
        killed.runs().get(&ended.id).await.unwrap().sandbox_id.is_none().then_some(())
    })
    .await;

    let mut config = serde_json::to_value(AgentConfig::job("slow", "echo begun; exec sleep 600")).unwrap();
    config["resources"] = json!({ "timeout_seconds": 2 });
    config["debug"] = json!({ "retain_on_failure": true, "retain_seconds": 1 });
    let slow = deploy(&client, "slow", config).await;
    let ended = run(&slow, CreateRun::new()).await;
    assert_eq!(ended.status, AgentRunStatus::TimedOut);
    assert!(ended.sandbox_id.is_some());
    until("its sandbox goes when its time has come", async || {
        slow.runs().get(&ended.id).await.unwrap().sandbox_id.is_none().then_some(())
    })
    .await;
    slow.delete().await.unwrap();
    remove(&client, killed, &server.sandboxes()).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_installed_is_built_once_or_by_each_job() {
    let server = server().await;
    let client = server.client();
    let install = "echo x >> ../installs; printf '%s' \"$(wc -l < ../installs)\" > count";
    let config = AgentConfig::job("job", "cat count").install(install);
    let job = deploy(&client, "job", serde_json::to_value(&config).unwrap()).await;
    let ended = run(&job, CreateRun::new()).await;
    let lifecycle = messages(&job, &ended, LogSource::Lifecycle).await;
    assert!(lifecycle.iter().any(|line| line == "the program is installed"), "{lifecycle:?}");

    let version = add_version(&job, &config, CachePolicy::Rebuild).await;
    assert_eq!(version.status, AgentVersionStatus::Ready);
    until("it is built", async || {
        let version = job.versions().get(&version.id).await.unwrap();
        (version.build_summary.as_ref()?.status == BuildStatus::Ready).then_some(())
    })
    .await;
    let ended = run(&job, CreateRun::new()).await;
    let lifecycle = messages(&job, &ended, LogSource::Lifecycle).await;
    assert!(!lifecycle.iter().any(|line| line == "the program is installed"), "{lifecycle:?}");
    assert_eq!(messages(&job, &ended, LogSource::Stdout).await, ["1"]);

    // The same files again find the build; without the cache nobody looks for it.
    let same = add_version(&job, &config, CachePolicy::Auto).await;
    assert!(same.cache_summary.unwrap().artifact_ready);
    let without = add_version(&job, &config, CachePolicy::NoCache).await;
    assert!(without.build_summary.is_none());
    let ended = run(&job, CreateRun::new()).await;
    let lifecycle = messages(&job, &ended, LogSource::Lifecycle).await;
    assert!(lifecycle.iter().any(|line| line == "the program is installed"), "{lifecycle:?}");

    let broken = AgentConfig::job("job", "true").install("echo no such package >&2; exit 3");
    let version = add_version(&job, &broken, CachePolicy::Rebuild).await;
    let version = until("the build has failed", async || {
        let version = job.versions().get(&version.id).await.unwrap().into_inner();
        (version.build_summary.as_ref()?.status == BuildStatus::Failed).then_some(version)
    })
    .await;
    assert!(version.build_summary.unwrap().failure_reason.unwrap().contains("status 3"));
    let ended = run(&job, CreateRun::new()).await;
    assert_eq!(ended.status, AgentRunStatus::Failed);
    assert!(ended.failure_reason.as_ref().unwrap().contains("the installation ended with status 3"));
    assert_eq!(messages(&job, &ended, LogSource::Stderr).await, ["no such package"]);
    remove(&client, job, &server.sandboxes()).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_is_told_to_the_process_alone() {
    const CANARY: &str = "canary-4be1d07c93";
    let server = server().await;
    let client = server.client();
    let job = deploy_job(&client, "job", "printf '%s' \"${#TOKEN}\"; exec sleep 600").await;
    let created = job.runs().create(CreateRun::new().env("TOKEN", CANARY)).await.unwrap();
    until("the process has it", async || {
        let run = job.runs().get(&created.id).await.unwrap().into_inner();
        (run.status == AgentRunStatus::Running).then_some(())
    })
    .await;
    let cancelled = server
        .http()
        .request("POST", &format!("/v1/agent-deployments/{}/runs/{}/cancel", job.id(), created.id));
    let cancelled = prism_tests::answer(cancelled.json(&json!({}))).await;
    assert_eq!(cancelled.status, 200);
    let length = CANARY.len().to_string();
    until("its last line, which has no end, is there", async || {
        let run = job.runs().get(&created.id).await.unwrap().into_inner();
        messages(&job, &run, LogSource::Stdout).await.contains(&length).then_some(())
    })
    .await;
    let path = format!("/v1/agent-deployments/{}", job.id());
    for path in ["", "/versions", "/runs", &format!("/runs/{}/logs", created.id)] {
        let answer = server.http().get(&format!("/v1/agent-deployments/{}{path}", job.id())).await;
        assert_eq!(answer.status, 200);
        assert!(!String::from_utf8_lossy(&answer.bytes).contains(CANARY), "{path}");
    }
    let audit = server.http().get("/v1/audit-log").await;
    assert!(!String::from_utf8_lossy(&audit.bytes).contains(CANARY));
    for file in std::fs::read_dir(server.database().parent().unwrap()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let content = std::fs::read(&path).unwrap();
            assert!(memchr::memmem::find(&content, CANARY.as_bytes()).is_none(), "{}", path.display());
        }
    }
    // A refusal does not tell a value either.
    let body = json!({ "envs": { "TOKEN": CANARY, "PATH": CANARY, "A=B": CANARY, "N": 1 } });
    let request = server.http().request("POST", &format!("{path}/runs")).header("idempotency-key", "k");
    let refused = prism_tests::answer(request.json(&body)).await;
    assert_eq!(refused.status, 400);
    assert!(!String::from_utf8_lossy(&refused.bytes).contains(CANARY), "{}", refused.body);
    remove(&client, job, &server.sandboxes()).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_refused_with_the_way_out() {
    let server = server().await;
    let client = server.client();
    let job = deploy_job(&client, "job", "true").await;
    job.update(UpdateAgentDeployment::new().status("paused")).await.unwrap();
    let paused = job.runs().create(CreateRun::new()).await.unwrap_err();
    assert!(paused.to_string().contains("Set its status to `active` first"), "{paused}");
    job.update(UpdateAgentDeployment::new().status("active")).await.unwrap();
    let config = AgentConfig::job("job", "true");
    let service = AgentConfig::service("job", "true", 8000);
    let bundle = prism_client::nullspace::Bundle::builder().file("a", "b").build(&config).unwrap();
    let request = prism_types::nullspace::CreateVersion::new(bundle.manifest(), &service);
    let refused = job.versions().create(request).await.unwrap_err();
    assert!(refused.to_string().contains("$.config.mode"), "{refused}");
    let request = prism_types::nullspace::CreateVersion::new(bundle.manifest(), &config);
    let created = job.versions().create(request).await.unwrap();
    let early = job.runs().create(CreateRun::new().version_id(created.id.clone())).await.unwrap_err();
    assert!(early.is_conflict() || early.to_string().contains("only one that is ready"), "{early}");
    // An archive that ends too early is no bundle.
    let half = bundle.archive().slice(..1024);
    let digest = bundle.manifest().bundle_digest.clone();
    let refused = job.versions().upload_archive(&created.id, &digest, half).await.unwrap_err();
    assert!(refused.to_string().contains("cut off"), "{refused}");
    assert_eq!(job.versions().get(&created.id).await.unwrap().status, AgentVersionStatus::Failed);
    tokio::time::timeout(Duration::from_secs(30), remove(&client, job, &server.sandboxes())).await.unwrap();
    server.stop().await;
}
