//! What the operator has configured for programs: the domain of services, the size of bundles, the time and the logs of jobs.

use prism_client::nullspace::Bundle;
use prism_tests::PrismServe;
use prism_types::nullspace::{
    AgentConfig, AgentRunStatus, CreateAgentDeployment, CreateRun, CreateSandbox, CreateService,
    CreateVersion, ExecuteProgram, LogSource, SandboxStatus,
};
use reqwest::{Url, header::HOST};
use serde_json::json;

use super::{deploy, deploy_job, until};

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_held_to_what_the_operator_has_configured() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("prism.toml");
    let text = "edge_domain = 'edge.example:8443'\n[limits]\nbundle_files = 1\njob_timeout = 1\nprogram_log = 1\nedge_token_life = 60\n";
    std::fs::write(&file, text).unwrap();
    let data = directory.path().join("data");
    let prism = PrismServe::start_with(&data, &["--config", file.to_str().unwrap()]).await;
    let client = prism.client();

    // A job that says nothing of its time has that of the operator.
    let job = deploy_job(&client, "job", "exec sleep 600").await;
    let run = job.runs().create(CreateRun::new()).await.unwrap();
    let ended = until("the job ends", async || {
        let run = job.runs().get(&run.id).await.unwrap().into_inner();
        run.status.is_terminal().then_some(run)
    })
    .await;
    assert_eq!(ended.status, AgentRunStatus::TimedOut);

    // Of a log that is too long the newest mebibyte is kept, and it is read from wherever it begins.
    let line = "seq 4000 | sed \"s/$/ $(printf %01000d 0)/\"";
    let mut config = serde_json::to_value(AgentConfig::job("chatty", line)).unwrap();
    config["resources"] = json!({ "timeout_seconds": 600 });
    let chatty = deploy(&client, "chatty", config).await;
    let run = chatty.runs().create(CreateRun::new()).await.unwrap();
    let ended = chatty.runs().wait_until_completed(&run.id).await.unwrap();
    assert_eq!(ended.status, AgentRunStatus::Succeeded);
    let mut lines = chatty.runs().logs(&run.id).limit(1000).lines();
    let mut numbers = Vec::new();
    while let Some(line) = lines.next().await {
        let line = line.unwrap();
        if line.source == Some(LogSource::Stdout) {
            numbers.push(line.message.split(' ').next().unwrap().parse::<u32>().unwrap());
        }
    }
    assert!(numbers.is_sorted() && numbers.last() == Some(&4000), "{numbers:?}");
    let most = 1024 * 1024 / 1000;
    assert!((most / 2..=most + most / 16).contains(&numbers.len()), "{}", numbers.len());

    // The bundle of that has one file; another of two is refused.
    let config = AgentConfig::job("large", "true");
    let large =
        client.nullspace().deployments().create(CreateAgentDeployment::new("large", config.mode.clone()));
    let large = client.nullspace().deployment(&large.await.unwrap().id);
    let bundle = Bundle::builder().file("a", "a").file("b", "b").build(&config).unwrap();
    let refused = large.versions().create(CreateVersion::new(bundle.manifest(), &config)).await.unwrap_err();
    assert!(refused.to_string().contains("at most 1, but the bundle has 2 files"), "{refused}");

    // A service has a name below the domain, and is reached by it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let line = "exec python3 -m http.server --bind 127.0.0.1 $PORT";
    let mut config = serde_json::to_value(AgentConfig::service("web", line, port)).unwrap();
    config["permissions"] = json!({ "public_url": true });
    let web = deploy(&client, "web", config).await;
    let service = web.services().create(CreateService::new()).await.unwrap();
    let url = until("the service is ready", async || {
        web.services().get(&service.id).await.unwrap().public_url.clone()
    })
    .await;
    let url: Url = url.expose().parse().unwrap();
    let name = format!("{port}-s-{}.edge.example", service.id.suffix());
    assert_eq!((url.scheme(), url.host_str(), url.port()), ("http", Some(&*name), Some(8443)));
    let here = format!("{}/data.txt?{}", prism.base_url, url.query().unwrap());
    let answer = reqwest::Client::new().get(here).header(HOST, format!("{name}:8443")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &*answer.text().await.unwrap()), (200, "some data"));

    web.delete().await.unwrap();
    job.delete().await.unwrap();
    chatty.delete().await.unwrap();
    let sandboxes = data.join("processes");
    let left = async || std::fs::read_dir(&sandboxes).map_or(0, Iterator::count) == 0;
    until("nothing is left", async || left().await.then_some(())).await;
    prism.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_much_of_the_disk_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("prism.toml");
    std::fs::write(&file, "[limits]\nprogram_disk = 600\n").unwrap();
    let data = directory.path().join("data");
    let prism = PrismServe::start_with(&data, &["--config", file.to_str().unwrap()]).await;
    let client = prism.client();
    let sandboxes = client.nullspace().sandboxes();

    // A job may have less than the operator lets it have; one that keeps to that goes on.
    let fill = |mebibytes: u32| format!("head -c {mebibytes}M /dev/zero > a; touch filled; exec sleep 1000");
    let mut config = serde_json::to_value(AgentConfig::job("greedy", fill(64))).unwrap();
    config["resources"] = json!({ "disk_mb": 32 });
    let greedy = deploy(&client, "greedy", config).await;
    let too_much = greedy.runs().create(CreateRun::new()).await.unwrap();
    let modest = deploy_job(&client, "modest", &fill(16)).await;
    let enough = modest.runs().create(CreateRun::new()).await.unwrap();

    // A sandbox as well, whoever writes in it.
    let refused = sandboxes.create(CreateSandbox::new().disk_mb(601)).await.unwrap_err();
    assert!(refused.to_string().contains("must be at most 600 on this server, and is 601"), "{refused}");
    let sandbox = sandboxes.create(CreateSandbox::new().disk_mb(512)).await.unwrap();
    let line = "(head -c 560M /dev/zero > a; touch filled; exec sleep 1000) >&- 2>&- &";
    sandboxes.execute(&sandbox.id, ExecuteProgram::shell(line)).await.unwrap();
    let failed = until("the sandbox has too much", async || {
        let now = sandboxes.get(&sandbox.id).await.unwrap().into_inner();
        (now.status == SandboxStatus::Error).then_some(now)
    })
    .await;
    assert!(failed.failure_reason.unwrap().contains("more than 512 MiB of the disk"));
    let gone = sandboxes.execute(&sandbox.id, ExecuteProgram::shell("true")).await.unwrap_err();
    assert_eq!(gone.status(), Some(409), "{gone}");

    let ended = greedy.runs().wait_until_completed(&too_much.id).await.unwrap_err();
    assert!(ended.to_string().contains("its files took more than 32 MiB of the disk, its limit"), "{ended}");
    let goes_on = modest.runs().get(&enough.id).await.unwrap();
    assert_eq!(goes_on.status, AgentRunStatus::Running);

    sandboxes.destroy(&sandbox.id).await.unwrap();
    for deployment in [greedy, modest] {
        deployment.delete().await.unwrap();
    }
    let left = async || std::fs::read_dir(data.join("processes")).map_or(0, Iterator::count) == 0;
    until("nothing is left", async || left().await.then_some(())).await;
    prism.kill().await;
}
