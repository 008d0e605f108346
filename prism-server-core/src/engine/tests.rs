//! Agents that die, by a sandbox and a harness that do so when they are told to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream};
use prism_types::{
    CreateDeployment, InstanceId, RunId, Runtime, Sandbox as SandboxChoice, SandboxType, SnapshotId,
    ThreadId, UpdateDeployment,
};
use tower::ServiceExt;

use crate::{
    ControlPlane, Settings,
    adapters::{
        sandbox::MemorySandbox,
        secret_box::{MasterKey, SealedBox},
        store::MemoryStore,
    },
    domain::{
        approval::ApprovalState,
        deployment::{Deployment, DeploymentState},
        run::{Run, RunState},
        tenant::{Scopes, Tenant},
    },
    ports::{
        BoxFuture, Commit, Harness, HarnessError, HarnessEvent, HarnessStep, ListQuery, Preparation,
        RunInput, Sandbox, SandboxError, SandboxInstance, SandboxListener, SandboxRequest, StepStream, Store,
        Workspace, Write,
    },
};

/// Sandboxes that die when they are told to, and refuse to start when they are told to.
#[derive(Clone, Default)]
struct Fragile(Arc<FragileState>);

#[derive(Default)]
struct FragileState {
    memory: MemorySandbox,
    alive: Mutex<BTreeSet<InstanceId>>,
    all: Mutex<BTreeSet<InstanceId>>,
    refusals: Mutex<u32>,
    /// How many copies of workspaces fail.
    failing_copies: Mutex<u32>,
    starts: Mutex<u32>,
    listener: OnceLock<Arc<dyn SandboxListener>>,
}

impl Fragile {
    fn kill(&self, id: &InstanceId) {
        self.0.alive.lock().unwrap().remove(id);
        self.0.listener.get().unwrap().died(id);
    }

    fn refuse(&self, starts: u32) {
        *self.0.refusals.lock().unwrap() = starts;
    }

    fn starts(&self) -> u32 {
        *self.0.starts.lock().unwrap()
    }
}

impl Sandbox for Fragile {
    fn kind(&self) -> SandboxType {
        SandboxType::Process
    }

    fn ensure(
        &self,
        request: SandboxRequest,
    ) -> BoxFuture<'_, Result<Arc<dyn SandboxInstance>, SandboxError>> {
        async move {
            let id = request.instance_id.clone();
            if self.0.alive.lock().unwrap().insert(id.clone()) {
                *self.0.starts.lock().unwrap() += 1;
                let mut refusals = self.0.refusals.lock().unwrap();
                if *refusals > 0 {
                    *refusals -= 1;
                    self.0.alive.lock().unwrap().remove(&id);
                    return Err(SandboxError::Failed("no more memory".to_owned()));
                }
            }
            self.0.all.lock().unwrap().insert(id);
            self.0.memory.ensure(request).await
        }
        .boxed()
    }

    fn find<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn SandboxInstance>>, SandboxError>> {
        async move {
            if !self.0.alive.lock().unwrap().contains(id) {
                return Ok(None);
            }
            self.0.memory.find(id).await
        }
        .boxed()
    }

    fn workspace<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Workspace>>, SandboxError>> {
        self.0.memory.workspace(id)
    }

    fn copy_workspace<'a>(
        &'a self,
        from: &'a InstanceId,
        to: &'a InstanceId,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        let mut failing = self.0.failing_copies.lock().unwrap();
        if *failing > 0 {
            *failing -= 1;
            return async { Err(SandboxError::NoRoom) }.boxed();
        }
        self.0.memory.copy_workspace(from, to)
    }

    fn remove<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.0.alive.lock().unwrap().remove(id);
        self.0.all.lock().unwrap().remove(id);
        self.0.memory.remove(id)
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<InstanceId>, SandboxError>> {
        async { Ok(self.0.all.lock().unwrap().iter().cloned().collect()) }.boxed()
    }

    fn set_listener(&self, listener: Arc<dyn SandboxListener>) {
        let _ = self.0.listener.set(listener);
    }
}

/// A harness whose agents are lost so many times in a run, and then complete it.
#[derive(Clone, Default)]
struct Losing(Arc<LosingState>);

#[derive(Default)]
struct LosingState {
    losses: Mutex<u32>,
    /// Whether runs say one thing and then work for ever.
    endless: Mutex<bool>,
    /// Whether runs ask once.
    asks: Mutex<bool>,
    interrupted: Mutex<Vec<RunId>>,
    prompts: Mutex<Vec<String>>,
    removed: Mutex<Vec<InstanceId>>,
}

impl Losing {
    fn prompts(&self) -> Vec<String> {
        self.0.prompts.lock().unwrap().clone()
    }
}

impl Harness for Losing {
    fn runtime(&self) -> Runtime {
        Runtime::Hermes
    }

    fn sandbox_for(&self, _requested: &SandboxChoice) -> SandboxType {
        SandboxType::Process
    }

    fn is_resident(&self) -> bool {
        true
    }

    fn prepare(&self, preparation: Preparation) -> BoxFuture<'_, Result<(), HarnessError>> {
        self.0.prompts.lock().unwrap().push(preparation.setup.spec.system_prompt.clone());
        async { Ok(()) }.boxed()
    }

    fn run(&self, input: RunInput) -> StepStream {
        if *self.0.endless.lock().unwrap() {
            let token = HarnessStep { read: Some(1), ..HarnessEvent::Token("so far".to_owned()).into() };
            return stream::iter([token]).chain(stream::pending()).boxed();
        }
        if *self.0.asks.lock().unwrap() {
            let event = if input.checkpoint.is_none() {
                HarnessEvent::Asked { summary: "May I?".to_owned() }
            } else {
                HarnessEvent::Completed
            };
            // Whatever was said is read.
            let step = HarnessStep { checkpoint: Some("asked".to_owned()), read: Some(9), event };
            return stream::iter([step]).boxed();
        }
        let mut losses = self.0.losses.lock().unwrap();
        let place = input.checkpoint.map_or(0, |checkpoint| checkpoint.parse::<u32>().unwrap()) + 1;
        let token = HarnessEvent::Token(format!("{place} "));
        let token = HarnessStep { checkpoint: Some(place.to_string()), read: Some(1), ..token.into() };
        let end = if *losses > 0 {
            *losses -= 1;
            HarnessEvent::Lost { message: "the agent was killed".to_owned() }
        } else {
            HarnessEvent::Completed
        };
        stream::iter([token, end.into()]).boxed()
    }

    fn interrupt(&self, _agent: Preparation, run: RunId, _thread: ThreadId) -> BoxFuture<'_, ()> {
        self.0.interrupted.lock().unwrap().push(run);
        async {}.boxed()
    }

    fn remove<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Result<(), HarnessError>> {
        self.0.removed.lock().unwrap().push(instance.clone());
        async { Ok(()) }.boxed()
    }
}

/// A control plane whose agents are fragile, and a tenant of it.
struct Trial {
    plane: ControlPlane,
    store: Arc<MemoryStore>,
    sandbox: Fragile,
    harness: Losing,
    tenant: Tenant,
    engine: tokio::task::JoinHandle<()>,
}

impl Trial {
    async fn start() -> Self {
        Self::on(Arc::default(), Fragile::default(), None).await
    }

    async fn on(store: Arc<MemoryStore>, sandbox: Fragile, tenant: Option<Tenant>) -> Self {
        Self::with(store, sandbox, tenant, Losing::default(), None).await
    }

    async fn with(
        store: Arc<MemoryStore>,
        sandbox: Fragile,
        tenant: Option<Tenant>,
        harness: Losing,
        approval_timeout: Option<Duration>,
    ) -> Self {
        let settings =
            Settings { default_sandbox: SandboxType::Process, approval_timeout, ..Settings::default() };
        let plane = ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([7; 32])))
            .store(store.clone())
            .harness(harness.clone())
            .sandbox(sandbox.clone())
            .settings(settings)
            .build()
            .await
            .unwrap();
        let tenant = match tenant {
            Some(tenant) => tenant,
            None => plane.admin().create_tenant("acme").await.unwrap(),
        };
        let engine = tokio::spawn(plane.run());
        Self { plane, store, sandbox, harness, tenant, engine }
    }

    /// Stops the control plane and starts another on what it left.
    async fn restart(self) -> Self {
        self.plane.shutdown();
        self.engine.await.unwrap();
        Self::on(self.store, self.sandbox, Some(self.tenant)).await
    }

    async fn call(&self, method: &str, path: &str, body: impl serde::Serialize) -> serde_json::Value {
        call(&self.plane, &self.tenant, method, path, body).await
    }

    async fn deploy(&self) -> Deployment {
        let created =
            self.call("POST", "/v1/deployments", CreateDeployment::new("cus_1", "Agent", "Be kind.")).await;
        let id = created["deployment_id"].as_str().unwrap().to_owned();
        self.deployment_when(&id, |deployment| deployment.state == DeploymentState::Ready).await
    }

    async fn deployment_when(&self, id: &str, fits: impl Fn(&Deployment) -> bool) -> Deployment {
        let id = id.parse().unwrap();
        until(async || self.store.deployment(&id).await.unwrap().filter(&fits)).await
    }

    /// Sends a message and answers the run once it is over.
    async fn finished_run(&self, deployment: &Deployment) -> Run {
        let path = format!("/v1/deployments/{}/messages", deployment.id);
        self.call("POST", &path, BTreeMap::from([("content", "Hello")])).await;
        let newest = || ListQuery { before: None, limit: 1 };
        until(async || {
            let run = self.store.runs(&deployment.id, newest()).await.unwrap().pop();
            run.filter(|run| run.state != RunState::Running)
        })
        .await
    }
}

/// What a control plane answers to a request of a tenant.
pub(super) async fn call(
    plane: &ControlPlane,
    tenant: &Tenant,
    method: &str,
    path: &str,
    body: impl serde::Serialize,
) -> serde_json::Value {
    let (_, key) = plane.admin().create_key(&tenant.id, "test", Scopes::all(), None).await.unwrap();
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {}", key.expose()))
        .header("content-type", "application/json")
        .body(axum::body::Body::from(serde_json::to_vec(&body).unwrap()))
        .unwrap();
    let answer = plane.router().oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// Waits until something is there. Time is paused: this takes none.
pub(super) async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), found).await.expect("what is waited for comes")
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_dies_is_started_again() {
    let trial = Trial::start().await;
    let deployment = trial.deploy().await;
    for restarts in 1..=2 {
        trial.sandbox.kill(&deployment.instance_id);
        let instance = until(async || {
            let instance = trial.store.instance(&deployment.instance_id).await.unwrap().unwrap();
            (instance.restarts == restarts && instance.state.as_str() == "running").then_some(instance)
        });
        instance.await;
    }
    assert_eq!(trial.sandbox.starts(), 3);
    assert_eq!(trial.finished_run(&deployment).await.state, RunState::Completed);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_start_any_more_fails_its_deployment() {
    let trial = Trial::start().await;
    let deployment = trial.deploy().await;
    trial.sandbox.refuse(u32::MAX);
    trial.sandbox.kill(&deployment.instance_id);
    let id = deployment.id.to_string();
    let failed = trial.deployment_when(&id, |deployment| deployment.state == DeploymentState::Error).await;
    assert_eq!(failed.error.unwrap().message, "the sandbox failed: no more memory");
    assert_eq!(trial.sandbox.starts(), 6, "one start, and five that fail");
}

#[tokio::test(start_paused = true)]
async fn a_few_starts_that_fail_are_survived() {
    let trial = Trial::start().await;
    let deployment = trial.deploy().await;
    trial.sandbox.refuse(3);
    trial.sandbox.kill(&deployment.instance_id);
    until(async || (trial.sandbox.starts() == 5).then_some(())).await;
    assert_eq!(trial.finished_run(&deployment).await.state, RunState::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_loses_its_agent_goes_on_at_its_checkpoint_as_one_attempt_more() {
    let trial = Trial::start().await;
    let deployment = trial.deploy().await;
    *trial.harness.0.losses.lock().unwrap() = 2;
    let run = trial.finished_run(&deployment).await;
    assert_eq!((run.state, run.attempts), (RunState::Completed, 3));
    let messages = trial.store.messages(&run.thread_id, 1, 10).await.unwrap();
    assert_eq!(messages[0].content, "1 2 3 ", "every piece once");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_loses_its_agent_too_often_fails() {
    let trial = Trial::start().await;
    let deployment = trial.deploy().await;
    *trial.harness.0.losses.lock().unwrap() = u32::MAX;
    let run = trial.finished_run(&deployment).await;
    assert_eq!(run.error.unwrap().code, "agent_lost");
}

impl Trial {
    /// A run that works until it is cancelled, and has said something.
    async fn endless_run(&self, deployment: &Deployment) -> Run {
        *self.harness.0.endless.lock().unwrap() = true;
        let path = format!("/v1/deployments/{}/messages", deployment.id);
        let sent = self.call("POST", &path, BTreeMap::from([("content", "Hello")])).await;
        let id = sent["run_id"].as_str().unwrap().parse().unwrap();
        until(async || self.store.run(&id).await.unwrap().filter(|run| run.read_position == 1)).await
    }

    async fn cancelled(&self, run: &Run) -> Run {
        let over =
            until(async || self.store.run(&run.id).await.unwrap().filter(|run| run.state == RunState::Error));
        let over = over.await;
        assert_eq!(over.error.as_ref().unwrap().code, "cancelled");
        let said = self.store.messages(&run.thread_id, 1, 10).await.unwrap();
        assert_eq!(said[0].content, "so far");
        over
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_ends_and_its_agent_is_interrupted() {
    let trial = Trial::start().await;
    let deployment = trial.deploy().await;
    let run = trial.endless_run(&deployment).await;
    let path = format!("/v1/deployments/{}/runs/{}/cancel", deployment.id, run.id);
    trial.call("POST", &path, ()).await;
    trial.cancelled(&run).await;
    until(async || (trial.harness.0.interrupted.lock().unwrap().first() == Some(&run.id)).then_some(()))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_answers_in_time_is_denied() {
    let mut trial = Trial::start().await;
    *trial.harness.0.asks.lock().unwrap() = true;
    let deployment = trial.deploy().await;
    let path = format!("/v1/deployments/{}/messages", deployment.id);
    let sent = trial.call("POST", &path, BTreeMap::from([("content", "Hello")])).await;
    let run: RunId = sent["run_id"].as_str().unwrap().parse().unwrap();
    let store = trial.store.clone();
    let run_is =
        async |state| until(async || store.run(&run).await.unwrap().filter(|run| run.state == state)).await;
    run_is(RunState::WaitingOnHuman).await;
    let asked = store.open_approval(&run).await.unwrap().unwrap();

    // The limit is one of the real clock, for which a test does not wait: an hour has not passed, no time has.
    for (limit, state) in [(3600, RunState::WaitingOnHuman), (0, RunState::Completed)] {
        trial.plane.shutdown();
        trial.engine.await.unwrap();
        let Trial { sandbox, harness, tenant, .. } = trial;
        let limit = Some(Duration::from_secs(limit));
        trial = Trial::with(store.clone(), sandbox, Some(tenant), harness, limit).await;
        // Several sweeps.
        tokio::time::sleep(Duration::from_secs(60)).await;
        run_is(state).await;
    }
    let denied = store.approval(&asked.id).await.unwrap().unwrap();
    assert_eq!(
        (denied.state, denied.answer.as_deref()),
        (ApprovalState::Denied, Some("Nobody answered in time."))
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_to_end_when_the_control_plane_stopped_is_ended_by_the_next() {
    let trial = Trial::start().await;
    let deployment = trial.deploy().await;
    let run = trial.endless_run(&deployment).await;
    trial.plane.shutdown();
    trial.engine.await.unwrap();
    trial.store.commit(Commit::new().with(Write::CancelRun(run.id.clone()))).await.unwrap();
    let harness = Losing::default();
    *harness.0.endless.lock().unwrap() = true;
    let next = Trial::with(trial.store, trial.sandbox, Some(trial.tenant), harness, None).await;
    next.cancelled(&run).await;
}

#[tokio::test(start_paused = true)]
async fn the_next_control_plane_takes_living_agents_up_and_removes_what_nobody_knows() {
    let trial = Trial::start().await;
    let deployment = trial.deploy().await;
    let unknown: InstanceId = "ins_unknown".parse().unwrap();
    trial.sandbox.0.all.lock().unwrap().insert(unknown.clone());
    let trial = trial.restart().await;
    until(async || (!trial.harness.prompts().is_empty()).then_some(())).await;
    assert_eq!(trial.sandbox.starts(), 1, "a living agent is not started again");
    let all = trial.sandbox.0.all.lock().unwrap().clone();
    assert_eq!(all, BTreeSet::from([deployment.instance_id]));
}

#[tokio::test(start_paused = true)]
async fn an_update_reaches_the_agent_before_the_next_run() {
    let trial = Trial::start().await;
    let deployment = trial.deploy().await;
    let update = UpdateDeployment::default().system_prompt("Be brief.");
    trial.call("PATCH", &format!("/v1/deployments/{}", deployment.id), update).await;
    until(async || (trial.harness.prompts() == ["Be kind.", "Be brief."]).then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_leaves_nothing_with_the_sandbox_and_the_harness() {
    let trial = Trial::start().await;
    let deployment = trial.deploy().await;
    trial.call("DELETE", &format!("/v1/deployments/{}", deployment.id), ()).await;
    until(async || trial.store.deployment(&deployment.id).await.unwrap().is_none().then_some(())).await;
    assert!(trial.sandbox.0.all.lock().unwrap().is_empty());
    assert!(trial.harness.0.removed.lock().unwrap().contains(&deployment.instance_id));
}

/// Nothing of a deployment goes before its workspace is kept.
#[tokio::test(start_paused = true)]
async fn a_workspace_is_kept_however_often_that_fails_and_across_a_restart() {
    let trial = Trial::start().await;
    let deployment = trial.deploy().await;
    let path = "plan.md".parse().unwrap();
    let sandbox = trial.sandbox.find(&deployment.instance_id).await.unwrap().unwrap();
    sandbox.write_file(&path, b"the plan".to_vec()).await.unwrap();
    *trial.sandbox.0.failing_copies.lock().unwrap() = 3;
    let retained = format!("/v1/deployments/{}?retain_filesystem=true", deployment.id);
    let deleted = trial.call("DELETE", &retained, ()).await;
    let snapshot = deleted["snapshot_id"].as_str().unwrap_or_else(|| panic!("{deleted}")).to_owned();
    let path_of_snapshot = format!("/v1/snapshots/{snapshot}");
    assert_eq!(trial.call("GET", &path_of_snapshot, ()).await["status"], "creating");
    until(async || (*trial.sandbox.0.failing_copies.lock().unwrap() < 2).then_some(())).await;
    assert!(trial.store.deployment(&deployment.id).await.unwrap().is_some());

    let trial = trial.restart().await;
    until(async || (trial.call("GET", &path_of_snapshot, ()).await["status"] == "ready").then_some(())).await;
    until(async || trial.store.deployment(&deployment.id).await.unwrap().is_none().then_some(())).await;
    assert!(trial.sandbox.find(&deployment.instance_id).await.unwrap().is_none());
    let kept = trial.store.snapshot(&snapshot.parse().unwrap()).await.unwrap().unwrap();
    let workspace = trial.sandbox.0.memory.find(&kept.instance_id).await.unwrap().unwrap();
    assert_eq!(workspace.read_file(&path).await.unwrap().as_deref(), Some(b"the plan".as_slice()));

    // Another restart does not take it for a sandbox that nobody knows.
    let trial = trial.restart().await;
    trial.call("DELETE", &path_of_snapshot, ()).await;
    until(async || trial.sandbox.0.memory.find(&kept.instance_id).await.unwrap().is_none().then_some(()))
        .await;
    until(async || trial.store.snapshot(&kept.id).await.unwrap().is_none().then_some(())).await;
}

/// One that is deleted while it is made leaves nothing; a deployment that was to begin with it says so.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_deleted_in_between_is_not_passed_over() {
    let trial = Trial::start().await;
    let first = trial.deploy().await;
    let deleted =
        trial.call("DELETE", &format!("/v1/deployments/{}?retain_filesystem=true", first.id), ()).await;
    let snapshot = deleted["snapshot_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/snapshots/{snapshot}");
    until(async || (trial.call("GET", &path, ()).await["status"] == "ready").then_some(())).await;
    *trial.sandbox.0.failing_copies.lock().unwrap() = 1;
    let request = CreateDeployment::new("cus_1", "Agent", "Be brief.")
        .snapshot_id(snapshot.parse::<SnapshotId>().unwrap());
    let created = trial.call("POST", "/v1/deployments", request).await;
    let id = created["deployment_id"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
    let path_of_deployment = format!("/v1/deployments/{id}");
    let failed = async |code: &str| {
        until(async || {
            let found = trial.call("GET", &path_of_deployment, ()).await;
            (found["error"]["code"] == code).then_some(())
        })
        .await;
    };
    failed("sandbox_failed").await;
    trial.call("DELETE", &path, ()).await;
    trial.call("PATCH", &path_of_deployment, UpdateDeployment::new().name("Once more")).await;
    failed("snapshot_gone").await;
}

/// An empty workspace would pass for what was kept.
#[tokio::test(start_paused = true)]
async fn a_snapshot_whose_files_are_lost_is_not_passed_over() {
    let trial = Trial::start().await;
    let first = trial.deploy().await;
    let deleted =
        trial.call("DELETE", &format!("/v1/deployments/{}?retain_filesystem=true", first.id), ()).await;
    let snapshot: SnapshotId = deleted["snapshot_id"].as_str().unwrap().parse().unwrap();
    let path = format!("/v1/snapshots/{snapshot}");
    until(async || (trial.call("GET", &path, ()).await["status"] == "ready").then_some(())).await;
    let kept = trial.store.snapshot(&snapshot).await.unwrap().unwrap();
    trial.sandbox.remove(&kept.instance_id).await.unwrap();
    let request = CreateDeployment::new("cus_1", "Agent", "Be brief.").snapshot_id(snapshot);
    let created = trial.call("POST", "/v1/deployments", request).await;
    let path = format!("/v1/deployments/{}", created["deployment_id"].as_str().unwrap());
    until(async || {
        let found = trial.call("GET", &path, ()).await;
        (found["error"]["code"] == "snapshot_gone").then_some(())
    })
    .await;
}
