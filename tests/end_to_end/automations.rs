//! Automations over the API, and across `kill -9`.

use std::{collections::BTreeSet, path::Path, time::Duration};

use prism_client::resources::DeploymentHandle;
use prism_tests::{PrismServe, TestServer, scripted};
use prism_types::{
    AutomationRunStatus, AutomationTrigger, CreateAutomation, CreateDeployment, CreateThread, RunId,
    RunStatus, Runtime, Timestamp, UpdateAutomation,
};
use serde_json::json;

/// Waits until a run is over.
async fn completed(handle: &DeploymentHandle, run: &RunId) {
    let over = async {
        while handle.runs().get(run).await.unwrap().status != RunStatus::Completed {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), over).await.expect("the run ends");
}

#[tokio::test]
async fn an_automation_lives_from_its_creation_to_its_end() {
    let server = TestServer::start().await;
    let deployment = server.deploy("say Done").await;
    let handle = server.client().deployment(&deployment);
    let automations = handle.automations();
    let request = CreateAutomation::new("Digest", "every Monday at 9am", "Sum up.").timezone("europe/berlin");
    let created = automations.create(request).await.unwrap();
    assert_eq!(created.status(), 201);
    let created = created.into_inner();
    assert_eq!(created.deployment_id, deployment);
    assert_eq!((created.schedule.as_str(), created.cron.as_str()), ("every Monday at 9am", "0 9 * * 1"));
    assert_eq!((created.timezone.as_str(), created.enabled), ("Europe/Berlin", true));
    assert_eq!((created.last_run_at, &created.last_run_status), (None, &None));
    let next = created.next_run_at.unwrap();
    assert!(next > created.created_at && next.as_millis() % 3_600_000 == 0, "{next}");
    // Its thread was made with it, has its name, and nothing on it.
    let thread = handle.threads().get(&created.thread_id).await.unwrap();
    assert_eq!((thread.title.as_deref(), thread.messages.len()), (Some("Digest"), 0));

    let triggered = automations.trigger(&created.automation_id).await.unwrap().into_inner();
    assert_eq!(triggered.thread_id, created.thread_id);
    completed(&handle, &triggered.run_id).await;
    let read = automations.get(&created.automation_id).await.unwrap().into_inner();
    assert_eq!((&read.instructions, read.next_run_at), (&"Sum up.".to_owned(), Some(next)));
    assert_eq!(read.last_run_status, Some(AutomationRunStatus::Completed));
    let [run] = read.recent_runs.as_slice() else { panic!("{read:?}") };
    assert_eq!(
        (&run.automation_run_id, run.run_id.as_ref()),
        (&triggered.automation_run_id, Some(&triggered.run_id))
    );
    assert_eq!((&run.trigger, run.scheduled_at), (&AutomationTrigger::Manual, None));
    assert_eq!(read.last_run_at, Some(run.created_at));

    let thread = handle.threads().create(CreateThread::default()).await.unwrap();
    let change = UpdateAutomation::new()
        .name("Report")
        .schedule("0 9 * * SUN")
        .instructions("Report.")
        .timezone("UTC")
        .thread_id(thread.thread_id.clone())
        .enabled(false);
    let changed = automations.update(&created.automation_id, change).await.unwrap().into_inner();
    assert_eq!((changed.name.as_str(), changed.instructions.as_str()), ("Report", "Report."));
    assert_eq!((changed.schedule.as_str(), changed.cron.as_str()), ("0 9 * * SUN", "0 9 * * 0"));
    assert_eq!((changed.enabled, changed.next_run_at, &changed.thread_id), (false, None, &thread.thread_id));
    let listed = automations.list().await.unwrap().into_inner();
    assert_eq!(listed.data, std::slice::from_ref(&changed.summary));

    let deleted = automations.delete(&created.automation_id).await.unwrap();
    assert_eq!(deleted.automation_id, created.automation_id);
    assert!(automations.get(&created.automation_id).await.unwrap_err().is_not_found());
    assert!(automations.delete(&created.automation_id).await.unwrap_err().is_not_found());
    let kept = handle.threads().get(&created.thread_id).await.unwrap();
    assert_eq!(kept.messages.len(), 2, "what was said stays");
}

#[tokio::test]
async fn lists_and_histories_come_in_pages() {
    let server = TestServer::start().await;
    let deployment = server.deploy("say Done").await;
    let handle = server.client().deployment(&deployment);
    let automations = handle.automations();
    let mut made = Vec::new();
    for number in 0..3 {
        let request = CreateAutomation::new(format!("Number {number}"), "@daily", "Go.");
        made.push(automations.create(request).await.unwrap().automation_id.clone());
    }
    let first = automations.list().limit(2).await.unwrap().into_inner();
    let rest = automations.list().cursor(first.next_cursor.unwrap()).await.unwrap().into_inner();
    assert_eq!(rest.next_cursor, None);
    let listed: Vec<_> =
        first.data.into_iter().chain(rest.data).map(|summary| summary.automation_id).collect();
    assert!(listed.iter().eq(made.iter().rev()));

    let mut runs = Vec::new();
    for _ in 0..3 {
        let run = automations.trigger(&made[0]).await.unwrap().run_id.clone();
        completed(&handle, &run).await;
        runs.push(run);
    }
    let first = automations.runs(&made[0]).limit(2).await.unwrap().into_inner();
    let cursor = first.next_cursor.unwrap();
    let rest = automations.runs(&made[0]).cursor(cursor.clone()).await.unwrap().into_inner();
    let told: Vec<_> = first.data.into_iter().chain(rest.data).map(|run| run.run_id.unwrap()).collect();
    assert!(told.iter().eq(runs.iter().rev()));
    let of_another_list = automations.list().cursor(cursor).await.unwrap_err();
    assert!(of_another_list.to_string().contains("next_cursor"), "{of_another_list}");
}

#[tokio::test]
async fn a_deployment_has_a_hundred_automations_and_not_one_more() {
    let server = TestServer::start().await;
    let deployment = server.deploy("say Done").await;
    let automations = server.client().deployment(&deployment).automations();
    let thread =
        automations.create(CreateAutomation::new("1", "@daily", "Go.")).await.unwrap().thread_id.clone();
    let request = || CreateAutomation::new("More", "@daily", "Go.").thread_id(thread.clone());
    for _ in 1..100 {
        automations.create(request()).await.unwrap();
    }
    let path = format!("/v1/deployments/{deployment}/automations");
    let refused = server.http().post(&path, &serde_json::to_value(request()).unwrap()).await;
    assert_eq!((refused.status, refused.code()), (409, "conflict"));
    assert!(refused.message().contains("Delete one first"), "{}", refused.message());
    let one = automations.list().limit(1).await.unwrap().data[0].automation_id.clone();
    automations.delete(&one).await.unwrap();
    automations.create(request()).await.unwrap();
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_every_problem() {
    let server = TestServer::start().await;
    let deployment = server.deploy("say Done").await;
    let http = server.http();
    let path = format!("/v1/deployments/{deployment}/automations");
    let good = json!({"name": "n", "schedule": "@daily", "instructions": "i"});
    let with = |field: &str, value: serde_json::Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (body, told) in [
        (json!({}), "3 problems"),
        (with("schedule", json!("0 0 30 2 *")), "can never fire"),
        (with("schedule", json!("twice a day")), "every day at 9:00"),
        (with("schedule", json!("0 0 L * *")), "`L` is not supported"),
        (with("timezone", json!("Local")), "IANA"),
        (with("thread_id", json!("new")), "$.thread_id"),
        (with("every", json!("day")), "is not a known field"),
    ] {
        let refused = http.post(&path, &body).await;
        assert_eq!((refused.status, refused.code()), (400, "validation_error"), "{body}");
        assert!(refused.message().contains(told), "{body}: {}", refused.message());
    }
    let lost = http.post(&path, &with("thread_id", json!("thr_nowhere"))).await;
    assert_eq!((lost.status, lost.message()), (404, "Thread not found"));
    for id in ["auto_nowhere", "nonsense"] {
        let missing = http.get(&format!("{path}/{id}")).await;
        assert_eq!((missing.status, missing.message()), (404, "Automation not found"), "{id}");
    }
    assert_eq!(http.get(&path).await.body["data"], json!([]));
}

#[tokio::test]
async fn an_automation_of_another_deployment_is_not_found() {
    let server = TestServer::start().await;
    let [mine, other] = [server.deploy("say Hi").await, server.deploy("say Hi").await];
    let client = server.client();
    let made = client.deployment(&mine).automations().create(CreateAutomation::new("n", "@daily", "i"));
    let id = made.await.unwrap().automation_id.clone();
    let others = client.deployment(&other).automations();
    assert!(others.get(&id).await.unwrap_err().is_not_found());
    assert!(others.update(&id, UpdateAutomation::new().enabled(false)).await.unwrap_err().is_not_found());
    assert!(others.trigger(&id).await.unwrap_err().is_not_found());
    assert!(others.runs(&id).await.unwrap_err().is_not_found());
    assert!(others.delete(&id).await.unwrap_err().is_not_found());
    assert!(client.deployment(&mine).automations().get(&id).await.unwrap().enabled);
}

/// The server is killed again and again, each time as soon as it has fired some. However far it came, every automation
/// fires its instant once, and every run ends.
#[tokio::test(flavor = "multi_thread")]
async fn across_kill_9_every_instant_fires_once() {
    const DEPLOYMENTS: usize = 2;
    const AUTOMATIONS: usize = DEPLOYMENTS * 100;
    let directory = tempfile::tempdir().unwrap();
    let prism = PrismServe::start(directory.path()).await;
    let client = prism.client();
    let mut ids = Vec::new();
    for _ in 0..DEPLOYMENTS {
        let request = CreateDeployment::new("cus_1", "Agent", scripted("repeat 2 every 20ms token \"x\""));
        let created = client.deployments().create(request.runtime(Runtime::Scripted)).await.unwrap();
        let deployment = created.deployment_id.clone();
        client.deployments().wait_until_ready(&deployment).await.unwrap();
        for _ in 0..AUTOMATIONS / DEPLOYMENTS {
            let request = CreateAutomation::new("Once", "0 0 1 1 *", "Go.");
            let made = client.deployment(&deployment).automations().create(request).await.unwrap();
            ids.push((deployment.clone(), made.automation_id.clone()));
        }
    }
    prism.kill().await;

    let due = make_due(directory.path());
    let mut deaths = vec![0];
    while deaths.last() != Some(&AUTOMATIONS) {
        let prism = PrismServe::start(directory.path()).await;
        let fired = wait_for_entries(directory.path(), deaths.last().unwrap() + 1).await;
        prism.kill().await;
        // What was on its way when it was killed has come to an end by now.
        deaths.push(fired.max(count(directory.path(), ENTRIES)));
    }
    println!("entries at each death: {deaths:?}");
    assert!(deaths.len() > 2, "it was killed while it fired: {deaths:?}");

    let prism = PrismServe::start(directory.path()).await;
    let mut runs = BTreeSet::new();
    for (deployment, id) in &ids {
        let handle = prism.client().deployment(deployment);
        let history = handle.automations().runs(id).await.unwrap().into_inner().data;
        let [entry] = history.as_slice() else { panic!("{id}: {history:?}") };
        assert_eq!(entry.scheduled_at, Some(due));
        let run = entry.run_id.clone().unwrap();
        completed(&handle, &run).await;
        let thread = handle.automations().get(id).await.unwrap().thread_id.clone();
        let said = handle.threads().get(&thread).await.unwrap().messages.len();
        assert_eq!(said, 2, "the instructions once, and one answer");
        assert!(runs.insert(run));
    }
    let all = count(directory.path(), "SELECT count(*) FROM runs");
    assert_eq!(all, AUTOMATIONS, "no run without an entry");
}

const ENTRIES: &str = "SELECT count(*) FROM automation_runs";

/// Makes every automation due in the minute that has just begun, while nobody serves the file.
fn make_due(data: &Path) -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let minute = i64::try_from(now.as_secs() / 60).unwrap() * 60_000;
    let due = Timestamp::from_millis(minute);
    // Once a year, in this very minute.
    let text = due.to_string();
    let part = |range: std::ops::Range<usize>| text[range].parse::<u32>().unwrap();
    let cron = format!("{} {} {} {} *", part(14..16), part(11..13), part(8..10), part(5..7));
    let database = rusqlite::Connection::open(data.join("prism.db")).unwrap();
    let sql = "UPDATE automations SET next_run_at = ?1, cron = ?2";
    assert!(database.execute(sql, rusqlite::params![minute, cron]).unwrap() > 0);
    due
}

/// Waits until there are so many entries, and answers how many there are.
async fn wait_for_entries(data: &Path, wanted: usize) -> usize {
    let there = async {
        loop {
            let entries = count(data, ENTRIES);
            if entries >= wanted {
                return entries;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), there).await.expect("they fire")
}

fn count(data: &Path, sql: &str) -> usize {
    let database = rusqlite::Connection::open(data.join("prism.db")).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    let count: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
    usize::try_from(count).unwrap()
}
