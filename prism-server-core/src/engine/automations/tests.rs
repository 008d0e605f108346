//! Automations by a clock that is told the time. Where time is paused, nothing waits.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use prism_types::{
    AutomationId, CreateAutomation, CreateDeployment, DeploymentId, MessageRole, Runtime, ThreadId,
    Timestamp, UpdateAutomation,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::Automations;
use crate::{
    ControlPlane,
    adapters::{
        secret_box::{MasterKey, SealedBox},
        store::MemoryStore,
    },
    domain::{
        automation::{Automation, AutomationRun, Outcome},
        deployment::{Deployment, DeploymentState},
        run::RunState,
        tenant::Tenant,
        thread::Thread,
    },
    engine::tests::{call, until},
    ids::NewId,
    ports::{Commit, ListQuery, Store, Write},
    testkit::clock::TestClock,
};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// How much later than its instant an automation may be when nothing else is to be done, in milliseconds.
const AT_ONCE: i64 = 5;

/// A control plane with a clock, and a ready deployment.
struct Trial {
    plane: ControlPlane,
    store: Arc<dyn Store>,
    clock: TestClock,
    tenant: Tenant,
    deployment: DeploymentId,
    engine: tokio::task::JoinHandle<()>,
}

impl Trial {
    /// At half past eight, on the first of June, a Monday; the agent answers at once.
    async fn start() -> Self {
        Self::with_script("say Done").await
    }

    async fn with_script(script: &str) -> Self {
        let clock = TestClock::at(at("2026-06-01T08:30:00Z"));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let plane = plane(&store, &clock).await;
        let tenant = plane.admin().create_tenant("acme").await.unwrap();
        let engine = tokio::spawn(plane.run());
        let prompt = format!("Do it.\n\n```script\n{script}\n```\n");
        let request = CreateDeployment::new("cus_1", "Agent", prompt).runtime(Runtime::Scripted);
        let created = call(&plane, &tenant, "POST", "/v1/deployments", request).await;
        let deployment: DeploymentId = created["deployment_id"].as_str().unwrap().parse().unwrap();
        let ready = |found: &Deployment| found.state == DeploymentState::Ready;
        until(async || store.deployment(&deployment).await.unwrap().filter(ready)).await;
        Self { plane, store, clock, tenant, deployment, engine }
    }

    /// Stops the server, puts the clock forward, and starts another server on what the first one left.
    async fn stopped_for(mut self, millis: i64) -> Self {
        self.plane.shutdown();
        self.engine.await.unwrap();
        self.clock.put(millis);
        self.plane = plane(&self.store, &self.clock).await;
        self.engine = tokio::spawn(self.plane.run());
        self
    }

    async fn call(&self, method: &str, path: &str, body: impl serde::Serialize) -> Value {
        let path = format!("/v1/deployments/{}{path}", self.deployment);
        call(&self.plane, &self.tenant, method, &path, body).await
    }

    async fn automate(&self, schedule: &str) -> AutomationId {
        self.automate_with(CreateAutomation::new("Digest", schedule, "Sum up.")).await
    }

    async fn automate_with(&self, request: CreateAutomation) -> AutomationId {
        let created = self.call("POST", "/automations", request).await;
        created["automation_id"].as_str().unwrap_or_else(|| panic!("{created}")).parse().unwrap()
    }

    async fn get(&self, id: &AutomationId) -> Value {
        self.call("GET", &format!("/automations/{id}"), ()).await
    }

    async fn history(&self, id: &AutomationId) -> Vec<AutomationRun> {
        self.store.automation_runs(id, ListQuery { before: None, limit: 9999 }).await.unwrap()
    }

    /// The history once it has so many entries, newest first.
    async fn history_of(&self, id: &AutomationId, entries: usize) -> Vec<AutomationRun> {
        for _ in 0..2 * DAY / 1000 {
            if self.history(id).await.len() >= entries {
                break;
            }
            pass(1000).await;
        }
        let history = self.history(id).await;
        assert_eq!(history.len(), entries, "{history:?}");
        history
    }

    async fn runs(&self) -> usize {
        let all = ListQuery { before: None, limit: 9999 };
        self.store.runs(&self.deployment, all).await.unwrap().len()
    }

    /// The instants that are in a history, oldest first.
    async fn instants(&self, id: &AutomationId) -> Vec<String> {
        let history = self.history(id).await;
        history.iter().rev().map(|entry| entry.scheduled_at.unwrap().to_string()).collect()
    }
}

async fn plane(store: &Arc<dyn Store>, clock: &TestClock) -> ControlPlane {
    let builder = ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([7; 32])));
    builder.store(store.clone()).clock(clock.clone()).build().await.unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Lets time go on.
async fn pass(millis: i64) {
    tokio::time::sleep(Duration::from_millis(u64::try_from(millis).unwrap())).await;
}

/// How late an entry was made, in milliseconds.
fn lateness(entry: &AutomationRun) -> i64 {
    entry.created_at.as_millis() - entry.scheduled_at.unwrap().as_millis()
}

fn reason(entry: &AutomationRun) -> (&str, &str) {
    (entry.outcome.kind().as_str(), entry.outcome.reason().map_or("-", |reason| reason.code.as_str()))
}

#[tokio::test(start_paused = true)]
async fn it_fires_at_its_instant_and_its_run_works_on_the_instructions() {
    let trial = Trial::start().await;
    let id = trial.automate("every weekday at 9am").await;
    let before = trial.get(&id).await;
    assert_eq!(before["next_run_at"], "2026-06-01T09:00:00.000Z");
    assert_eq!((&before["last_run_at"], &before["last_run_status"]), (&Value::Null, &Value::Null));

    let entry = trial.history_of(&id, 1).await.remove(0);
    assert_eq!(entry.scheduled_at, Some(at("2026-06-01T09:00:00Z")));
    assert!((0..=AT_ONCE).contains(&lateness(&entry)), "{} ms late", lateness(&entry));
    let run = entry.outcome.run_id().unwrap().clone();
    let run =
        until(async || trial.store.run(&run).await.unwrap().filter(|run| run.state.is_terminal())).await;
    assert_eq!(run.state, RunState::Completed);
    let said = trial.store.messages(&run.thread_id, 0, 9).await.unwrap();
    let said: Vec<_> = said.iter().map(|message| (message.role.clone(), message.content.as_str())).collect();
    assert_eq!(said, [(MessageRole::User, "Sum up."), (MessageRole::Agent, "Done")]);

    let after = trial.get(&id).await;
    assert_eq!(after["next_run_at"], "2026-06-02T09:00:00.000Z");
    assert_eq!(
        (&after["last_run_status"], &after["last_run_at"]),
        (&json!("completed"), &json!(entry.created_at))
    );
    assert_eq!(after["recent_runs"][0]["run_id"], run.id.as_str());
    assert_eq!(after["recent_runs"][0]["trigger"], "schedule");
}

#[tokio::test(start_paused = true)]
async fn what_is_made_or_changed_while_the_engine_waits_fires_in_time() {
    let trial = Trial::start().await;
    // A second before the instant, when the engine has just begun to wait for the next sweep.
    trial.clock.put(30 * MINUTE - 6000);
    pass(5000).await;
    let made = trial.automate("0 9 * * *").await;
    let changed = trial.automate("0 0 1 1 *").await;
    let change = UpdateAutomation::new().schedule("1 9 * * *");
    trial.call("PATCH", &format!("/automations/{changed}"), change).await;
    for id in [made, changed] {
        let entry = trial.history_of(&id, 1).await.remove(0);
        assert!(lateness(&entry) <= AT_ONCE, "{} ms late", lateness(&entry));
    }
}

#[tokio::test(start_paused = true)]
async fn after_downtime_the_latest_instant_fires_once() {
    let trial = Trial::start().await;
    let id = trial.automate("*/10 * * * *").await;
    let trial = trial.stopped_for(10 * HOUR + 5 * MINUTE).await;
    trial.history_of(&id, 1).await;
    pass(8 * MINUTE).await;
    assert_eq!(trial.instants(&id).await, ["2026-06-01T18:30:00.000Z", "2026-06-01T18:40:00.000Z"]);
    assert_eq!(trial.runs().await, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_later_than_the_grace_is_passed_over_and_said_so() {
    let trial = Trial::start().await;
    let id = trial.automate("0 9 * * *").await;
    // 45 minutes late, then an hour and a minute.
    let trial = trial.stopped_for(75 * MINUTE).await;
    let first = trial.history_of(&id, 1).await.remove(0);
    assert_eq!(reason(&first), ("started", "-"));
    let trial = trial.stopped_for(DAY + 16 * MINUTE).await;
    let second = trial.history_of(&id, 2).await.remove(0);
    assert_eq!(reason(&second), ("skipped", "missed"));
    assert_eq!(second.scheduled_at, Some(at("2026-06-02T09:00:00Z")));
    assert_eq!(trial.runs().await, 1);
    let told = trial.get(&id).await;
    assert_eq!(
        (&told["last_run_status"], &told["next_run_at"]),
        (&json!("skipped"), &json!("2026-06-03T09:00:00.000Z"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_put_back_fires_nothing_again() {
    let trial = Trial::start().await;
    let id = trial.automate("0,30 9 * * *").await;
    pass(65 * MINUTE).await;
    let fired = ["2026-06-01T09:00:00.000Z", "2026-06-01T09:30:00.000Z"];
    assert_eq!(trial.instants(&id).await, fired);
    trial.clock.put(-HOUR);
    pass(2 * HOUR).await;
    assert_eq!(trial.instants(&id).await, fired);
    // And neither does a server that is started by such a clock.
    let trial = trial.stopped_for(-2 * HOUR).await;
    pass(2 * HOUR).await;
    assert_eq!(trial.instants(&id).await, fired);
    assert_eq!(trial.runs().await, 2);
    trial.clock.put(DAY);
    pass(HOUR).await;
    assert_eq!(trial.history(&id).await.len(), 3, "the next day it goes on");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_put_forward_fires_once() {
    let trial = Trial::start().await;
    let id = trial.automate("*/5 * * * *").await;
    trial.clock.put(3 * HOUR + MINUTE);
    // Nothing tells of the jump, so it is found by the sweep.
    pass(6000).await;
    assert_eq!(trial.instants(&id).await, ["2026-06-01T11:30:00.000Z"]);
    pass(4 * MINUTE).await;
    assert_eq!(trial.instants(&id).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_went_ahead_for_a_while_leaves_no_gap() {
    let trial = Trial::start().await;
    let id = trial.automate("0 9 * * *").await;
    trial.clock.put(5 * 365 * DAY);
    pass(10_000).await;
    assert!(trial.get(&id).await["next_run_at"].as_str().unwrap() > "2031");
    trial.clock.put(-5 * 365 * DAY);
    pass(10_000).await;
    assert_eq!(trial.get(&id).await["next_run_at"], "2026-06-01T09:00:00.000Z");
    pass(HOUR).await;
    assert!(trial.instants(&id).await.contains(&"2026-06-01T09:00:00.000Z".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_night_when_the_clock_on_the_wall_goes_back_fires_twice() {
    let trial = Trial::start().await;
    trial.clock.put(at("2026-10-24T23:00:00Z").as_millis() - at("2026-06-01T08:30:00Z").as_millis());
    let at_night = CreateAutomation::new("Night", "30 2 * * *", "Look.").timezone("Europe/Berlin");
    let id = trial.automate_with(at_night).await;
    pass(4 * HOUR).await;
    assert_eq!(trial.instants(&id).await, ["2026-10-25T00:30:00.000Z", "2026-10-25T01:30:00.000Z"]);
}

#[tokio::test(start_paused = true)]
async fn a_busy_thread_is_left_alone_and_the_instant_is_skipped() {
    let trial = Trial::with_script("ask May I?").await;
    let id = trial.automate("0 9,10 * * *").await;
    let first = trial.history_of(&id, 1).await.remove(0);
    let second = trial.history_of(&id, 2).await.remove(0);
    assert_eq!((reason(&first), reason(&second)), (("started", "-"), ("skipped", "thread_busy")));
    let thread = trial.store.automation(&id).await.unwrap().unwrap().thread_id;
    assert_eq!(trial.store.messages(&thread, 0, 9).await.unwrap().len(), 1, "nothing was added");
    assert_eq!(trial.get(&id).await["last_run_status"], "skipped");
    let refused = trial.call("POST", &format!("/automations/{id}/trigger"), ()).await;
    assert_eq!(refused["error"], "conflict", "{refused}");
    let run = first.outcome.run_id().unwrap();
    assert!(refused["message"].as_str().unwrap().contains(run.as_str()), "{refused}");
    assert_eq!(trial.get(&id).await["recent_runs"][1]["status"], "waiting_on_human");
}

#[tokio::test(start_paused = true)]
async fn without_credits_no_run_is_started_and_the_history_says_why() {
    let trial = Trial::start().await;
    let id = trial.automate("0 9,10 * * *").await;
    trial.plane.admin().set_credits("acme", Some(0)).await.unwrap();
    let entry = trial.history_of(&id, 1).await.remove(0);
    assert_eq!(reason(&entry), ("failed", "insufficient_credits"));
    assert_eq!(trial.runs().await, 0);
    let told = trial.get(&id).await;
    assert_eq!(
        (&told["last_run_status"], &told["recent_runs"][0]["run_id"]),
        (&json!("failed"), &Value::Null)
    );
    let refused = trial.call("POST", &format!("/automations/{id}/trigger"), ()).await;
    assert_eq!(refused["error"], "insufficient_credits");
    trial.plane.admin().set_credits("acme", None).await.unwrap();
    let entry = trial.history_of(&id, 2).await.remove(0);
    assert_eq!(reason(&entry), ("started", "-"));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_not_ready_starts_no_run_and_the_history_says_why() {
    let trial = Trial::start().await;
    let id = trial.automate("0 9 * * *").await;
    let deployment = trial.store.deployment(&trial.deployment).await.unwrap().unwrap();
    let failed = Deployment {
        state: DeploymentState::Error,
        error: Some(crate::error::failure("sandbox_failed", "no more memory")),
        ..deployment
    };
    trial.store.commit(Commit::new().with(Write::UpdateDeployment(failed))).await.unwrap();
    let entry = trial.history_of(&id, 1).await.remove(0);
    assert_eq!(reason(&entry), ("failed", "deployment_not_ready"));
    assert!(entry.outcome.reason().unwrap().message.contains("no more memory"));
    assert_eq!(trial.runs().await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_paused_does_not_fire_and_goes_on_with_its_next_time() {
    let trial = Trial::start().await;
    let id = trial.automate("0 * * * *").await;
    let path = format!("/automations/{id}");
    let paused = trial.call("PATCH", &path, UpdateAutomation::new().enabled(false)).await;
    assert_eq!((&paused["enabled"], &paused["next_run_at"]), (&json!(false), &Value::Null));
    pass(3 * HOUR).await;
    assert_eq!(trial.history(&id).await, []);
    let triggered = trial.call("POST", &format!("{path}/trigger"), ()).await;
    assert_eq!(triggered["status"], "running", "{triggered}");
    let resumed = trial.call("PATCH", &path, UpdateAutomation::new().enabled(true)).await;
    assert_eq!(resumed["next_run_at"], "2026-06-01T12:00:00.000Z");
    let entry = trial.history_of(&id, 2).await.remove(0);
    assert_eq!(entry.scheduled_at, Some(at("2026-06-01T12:00:00Z")));
}

#[tokio::test(start_paused = true)]
async fn while_the_feature_is_off_nothing_fires_and_nothing_is_told() {
    let trial = Trial::start().await;
    let id = trial.automate("0 * * * *").await;
    trial.call("PATCH", "", json!({"features": {"automations": false}})).await;
    pass(3 * HOUR).await;
    assert_eq!(trial.history(&id).await, []);
    assert_eq!(trial.get(&id).await["next_run_at"], Value::Null);
    let refused = trial.call("POST", &format!("/automations/{id}/trigger"), ()).await;
    assert_eq!(refused["error"], "conflict");
    assert!(refused["message"].as_str().unwrap().contains("feature `automations`"), "{refused}");
    trial.call("PATCH", "", json!({"features": {"automations": true}})).await;
    let entry = trial.history_of(&id, 1).await.remove(0);
    assert_eq!(entry.scheduled_at, Some(at("2026-06-01T12:00:00Z")));
}

#[tokio::test(start_paused = true)]
async fn a_new_name_takes_nothing_away_that_is_due() {
    let trial = Trial::start().await;
    let id = trial.automate("0 9 * * *").await;
    trial.plane.shutdown();
    trial.engine.await.unwrap();
    trial.clock.put(31 * MINUTE);
    let path = format!("/v1/deployments/{}/automations/{id}", trial.deployment);
    let renamed = UpdateAutomation::new().name("Morning").schedule("every day at 9:00");
    let renamed = call(&trial.plane, &trial.tenant, "PATCH", &path, renamed).await;
    assert_eq!(renamed["next_run_at"], "2026-06-01T09:00:00.000Z");
    let rescheduled = UpdateAutomation::new().timezone("Europe/Berlin");
    let rescheduled = call(&trial.plane, &trial.tenant, "PATCH", &path, rescheduled).await;
    assert_eq!(rescheduled["next_run_at"], "2026-06-02T07:00:00.000Z");
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_is_not_understood_any_more_ends_and_says_so() {
    let trial = Trial::start().await;
    let id = trial.automate("0 9 * * *").await;
    let automation = trial.store.automation(&id).await.unwrap().unwrap();
    let gone = Automation { timezone: "Mars/Base".to_owned(), ..automation };
    trial.store.commit(Commit::new().with(Write::UpdateAutomation(gone))).await.unwrap();
    let entry = trial.history_of(&id, 1).await.remove(0);
    assert_eq!(reason(&entry), ("failed", "invalid_schedule"));
    assert_eq!(trial.get(&id).await["next_run_at"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_history_keeps_its_newest_thousand_entries() {
    let trial = Trial::start().await;
    let id = trial.automate("* * * * *").await;
    trial.plane.admin().set_credits("acme", Some(0)).await.unwrap();
    pass(1003 * MINUTE).await;
    let history = trial.history(&id).await;
    assert_eq!(history.len(), 1000);
    let instants: BTreeSet<_> = history.iter().map(|entry| entry.scheduled_at.unwrap().as_millis()).collect();
    assert_eq!(instants.last().unwrap() - instants.first().unwrap(), 999 * MINUTE, "every minute, once");
    assert!(history.iter().all(|entry| lateness(entry) <= AT_ONCE));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_deployment_takes_its_automations_with_it() {
    let trial = Trial::start().await;
    let id = trial.automate("0 9 * * *").await;
    trial.call("DELETE", "", ()).await;
    until(async || trial.store.automation(&id).await.unwrap().is_none().then_some(())).await;
    assert_eq!(trial.history(&id).await, []);
}

/// Stores of both kinds, and a ready deployment with so many automations that are due at nine.
#[cfg(feature = "sqlite")]
mod many {
    use super::*;
    use crate::{adapters::store::SqliteStore, testkit::store::records};

    const PER_DEPLOYMENT: u32 = 100;

    async fn fill(store: &dyn Store, tenant: &Tenant, count: u32) -> Vec<AutomationId> {
        let mut ids = Vec::new();
        for number in 0..count.div_ceil(PER_DEPLOYMENT) {
            let deployment = Deployment { tenant_id: tenant.id.clone(), ..records::deployment(0, number) };
            let mut writes = vec![
                Write::InsertDeployment(deployment.clone()),
                Write::InsertSpec(deployment.id.clone(), 1, records::spec()),
                Write::InsertInstance(records::instance(number, number)),
            ];
            for _ in 0..PER_DEPLOYMENT.min(count - number * PER_DEPLOYMENT) {
                let thread = Thread::new(
                    ThreadId::generate(),
                    deployment.id.clone(),
                    None,
                    at("2026-06-01T08:00:00Z"),
                );
                let automation = Automation {
                    id: AutomationId::generate(),
                    thread_id: thread.id.clone(),
                    next_run_at: Some(at("2026-06-01T09:00:00Z")),
                    cron: "0 9 * * *".to_owned(),
                    ..records::automation(number, 0, 0)
                };
                ids.push(automation.id.clone());
                writes.push(Write::InsertThread(thread));
                writes.push(Write::InsertAutomation(automation, PER_DEPLOYMENT));
            }
            store.commit(Commit::new().with_all(writes)).await.unwrap();
        }
        ids
    }

    /// Every one has one entry, for nine o'clock, and started a run that no other did.
    async fn all_fired_once(store: &dyn Store, ids: &[AutomationId]) {
        let mut runs = BTreeSet::new();
        for id in ids {
            let history = store.automation_runs(id, ListQuery { before: None, limit: 9 }).await.unwrap();
            let [AutomationRun { scheduled_at, outcome: Outcome::Started(run), .. }] = history.as_slice()
            else {
                panic!("{history:?}")
            };
            assert_eq!(*scheduled_at, Some(at("2026-06-01T09:00:00Z")));
            assert!(runs.insert(run.clone()));
        }
        let mut stored = 0;
        for number in 0..u32::try_from(ids.len()).unwrap().div_ceil(PER_DEPLOYMENT) {
            let all = ListQuery { before: None, limit: 9999 };
            stored += store.runs(&records::id("dep_", number), all).await.unwrap().len();
        }
        assert_eq!(stored, ids.len(), "no run without an entry");
    }

    async fn fired(store: &dyn Store) -> bool {
        let due = store.due_automations(at("2026-06-01T09:00:00Z"), None, 1).await.unwrap();
        due.is_empty()
    }

    /// Waits for what real stores do on threads of their own.
    async fn all_fire(store: &dyn Store) {
        let fired = async {
            while !fired(store).await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), fired).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn five_hundred_that_are_due_at_once_all_fire_once_and_their_runs_end() {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(directory.path().join("prism.db")).unwrap());
        let clock = TestClock::at(at("2026-06-01T09:00:30Z"));
        let plane = plane(&store, &clock).await;
        let tenant = plane.admin().create_tenant("acme").await.unwrap();
        let ids = fill(store.as_ref(), &tenant, 500).await;
        let engine = tokio::spawn(plane.run());
        all_fire(store.as_ref()).await;
        all_fired_once(store.as_ref(), &ids).await;
        let ended = async {
            while !store.running_runs(None, 1).await.unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
        plane.shutdown();
        engine.await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn two_that_race_on_one_store_fire_each_instant_once() {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(directory.path().join("prism.db")).unwrap());
        let clock = TestClock::at(at("2026-06-01T09:00:30Z"));
        let planes = [plane(&store, &clock).await, plane(&store, &clock).await];
        let tenant = planes[0].admin().create_tenant("acme").await.unwrap();
        let ids = fill(store.as_ref(), &tenant, 200).await;
        let racing: Vec<_> = planes
            .iter()
            .map(|plane| tokio::spawn(Automations::new(plane.core(), Arc::new(Notify::new())).run()))
            .collect();
        all_fire(store.as_ref()).await;
        for plane in &planes {
            plane.shutdown();
        }
        for one in racing {
            one.await.unwrap();
        }
        all_fired_once(store.as_ref(), &ids).await;
    }
}
