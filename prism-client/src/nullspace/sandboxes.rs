//! Sandboxes that are made by themselves, and their snapshots.

use prism_types::{
    SnapshotId,
    nullspace::{
        CreateSandbox, DestroyedSandbox, ExecuteProgram, PortReadiness, PortUrl, ProbePort, ProgramResult,
        Sandbox, SandboxId, SandboxProcess, SandboxProcessLogs, SandboxSnapshot, SetSandboxTimeout,
    },
};
use reqwest::Method;
use serde_json::json;

use super::{keyed, sandbox_files::SandboxFiles, sandbox_uploads::SandboxUploads};
use crate::{
    Client,
    call::{Call, calls, query_setters, waited},
    wait::{Ready, Wait},
};

/// The sandboxes that the API key owns; from [`Nullspace::sandboxes`](super::Nullspace::sandboxes).
///
/// Cheap to clone; it sends nothing by itself.
#[derive(Debug, Clone)]
pub struct Sandboxes {
    client: Client,
}

impl Sandboxes {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Creates a sandbox. It is `creating` when this answers; what is asked of it waits until it runs.
    pub fn create(&self, request: CreateSandbox) -> CreateSandboxCall {
        CreateSandboxCall { call: Call::new(&self.client, Method::POST, "/v1/sandboxes", &[]).body(&request) }
    }

    /// Lists all sandboxes that are not destroyed, newest first.
    pub fn list(&self) -> ListSandboxesCall {
        ListSandboxesCall { call: Call::new(&self.client, Method::GET, "/v1/sandboxes", &[]) }
    }

    /// Reads a sandbox: also one of a run or of a service.
    pub fn get(&self, id: &SandboxId) -> GetSandboxCall {
        GetSandboxCall { call: self.one(Method::GET, "/v1/sandboxes/{sandbox_id}", id) }
    }

    /// Destroys a sandbox, with all that is in it.
    pub fn destroy(&self, id: &SandboxId) -> DestroySandboxCall {
        DestroySandboxCall { call: self.one(Method::DELETE, "/v1/sandboxes/{sandbox_id}", id) }
    }

    /// Sets how long a sandbox lives from now on.
    pub fn set_timeout(&self, id: &SandboxId, request: SetSandboxTimeout) -> SetSandboxTimeoutCall {
        let call = self.one(Method::POST, "/v1/sandboxes/{sandbox_id}/timeout", id).takes_key(false);
        SetSandboxTimeoutCall { call: call.body(&request) }
    }

    /// Executes a program, and waits for its end; or starts it in the background. Give the call more time than the
    /// program: its own timeouts count as well.
    pub fn execute(&self, id: &SandboxId, request: ExecuteProgram) -> ExecuteProgramCall {
        let call = self.one(Method::POST, "/v1/sandboxes/{sandbox_id}/exec", id).takes_key(false);
        ExecuteProgramCall { call: call.body(&request) }
    }

    /// Lists the processes that were started in the background.
    pub fn processes(&self, id: &SandboxId) -> ListProcessesCall {
        ListProcessesCall { call: self.one(Method::GET, "/v1/sandboxes/{sandbox_id}/processes", id) }
    }

    /// Kills a process that was started in the background, with its process group.
    pub fn kill_process(&self, id: &SandboxId, pid: u32) -> KillProcessCall {
        let call = self
            .process(Method::POST, "/v1/sandboxes/{sandbox_id}/processes/{pid}/kill", id, pid)
            .takes_key(false);
        KillProcessCall { call }
    }

    /// Reads what a process in the background wrote last, and how it ended.
    pub fn process_logs(&self, id: &SandboxId, pid: u32) -> GetProcessLogsCall {
        GetProcessLogsCall {
            call: self.process(Method::GET, "/v1/sandboxes/{sandbox_id}/processes/{pid}/logs", id, pid),
        }
    }

    /// The files of a sandbox. Nothing is sent.
    pub fn files(&self, id: &SandboxId) -> SandboxFiles {
        SandboxFiles::new(self.client.clone(), id.clone())
    }

    /// Uploads in parts to a sandbox. Nothing is sent.
    pub fn uploads(&self, id: &SandboxId) -> SandboxUploads {
        SandboxUploads::new(self.client.clone(), id.clone())
    }

    /// Makes another sandbox with a copy of the files of a sandbox, and with its environment.
    pub fn fork(&self, id: &SandboxId) -> ForkSandboxCall {
        ForkSandboxCall { call: self.one(Method::POST, "/v1/sandboxes/{sandbox_id}/fork", id) }
    }

    /// Makes a snapshot of the files of a sandbox, which runs on.
    pub fn create_snapshot(&self, id: &SandboxId) -> CreateSandboxSnapshotCall {
        let call = self.one(Method::POST, "/v1/sandboxes/{sandbox_id}/snapshots", id);
        CreateSandboxSnapshotCall { call }
    }

    /// Reads where a port of a sandbox is reached. The URLs have a token that holds for a short time: ask again for each use.
    pub fn port_url(&self, id: &SandboxId, port: u16) -> GetPortUrlCall {
        let call = self.one(Method::POST, "/v1/sandboxes/{sandbox_id}/host", id).takes_key(false);
        GetPortUrlCall { call: call.body(&json!({ "port": port })) }
    }

    /// Waits until a port of a sandbox answers, or the time of the probe is over. Give the call more time than the probe.
    pub fn probe_port(&self, id: &SandboxId, port: u16, request: ProbePort) -> ProbePortCall {
        let (path, ids) =
            ("/v1/sandboxes/{sandbox_id}/ports/{port}/readiness", [id.as_ref(), &port.to_string()]);
        let call = Call::new(&self.client, Method::POST, path, &ids).takes_key(false);
        ProbePortCall { call: call.body(&request) }
    }

    /// Lists all snapshots, newest first.
    pub fn snapshots(&self) -> ListSandboxSnapshotsCall {
        let call = Call::new(&self.client, Method::GET, "/nullspace/v1/snapshots", &[]);
        ListSandboxSnapshotsCall { call }
    }

    /// Reads a snapshot.
    pub fn snapshot(&self, id: &SnapshotId) -> GetSandboxSnapshotCall {
        GetSandboxSnapshotCall { call: self.one(Method::GET, "/nullspace/v1/snapshots/{snapshot_id}", id) }
    }

    /// Deletes a snapshot. Sandboxes that were made of it have what they have.
    pub fn delete_snapshot(&self, id: &SnapshotId) -> DeleteSandboxSnapshotCall {
        let call = self.one(Method::DELETE, "/nullspace/v1/snapshots/{snapshot_id}", id);
        DeleteSandboxSnapshotCall { call }
    }

    /// Waits until a sandbox is `running`, which is [`Ready`]. One that failed is
    /// [`is_hopeless`](crate::Error::is_hopeless).
    pub fn wait_until_ready(&self, id: &SandboxId) -> Wait<Sandbox> {
        self.get(id).wait_until(Ready)
    }

    fn process(&self, method: Method, path: &'static str, id: &SandboxId, pid: u32) -> Call {
        Call::new(&self.client, method, path, &[id.as_ref(), &pid.to_string()])
    }

    fn one(&self, method: Method, path: &'static str, id: &impl AsRef<str>) -> Call {
        Call::new(&self.client, method, path, &[id.as_ref()])
    }
}

calls! {
    /// `POST /v1/sandboxes`, from [`Sandboxes::create`]. Where there is no room, it is
    /// [`is_quota_exceeded`](crate::Error::is_quota_exceeded).
    CreateSandboxCall -> Sandbox;
    /// `GET /v1/sandboxes`, from [`Sandboxes::list`].
    ListSandboxesCall -> Vec<Sandbox>;
    /// `GET /v1/sandboxes/{sandbox_id}`, from [`Sandboxes::get`].
    GetSandboxCall -> Sandbox;
    /// `DELETE /v1/sandboxes/{sandbox_id}`, from [`Sandboxes::destroy`].
    DestroySandboxCall -> DestroyedSandbox;
    /// `POST /v1/sandboxes/{sandbox_id}/timeout`, from [`Sandboxes::set_timeout`]. It has no key, and is sent again only
    /// after a 429, or if there was no connection.
    SetSandboxTimeoutCall -> Sandbox;
    /// `POST /v1/sandboxes/{sandbox_id}/exec`, from [`Sandboxes::execute`]. It has no key, and is sent again only after a
    /// 429, or if there was no connection.
    ExecuteProgramCall -> ProgramResult;
    /// `GET /v1/sandboxes/{sandbox_id}/processes`, from [`Sandboxes::processes`].
    ListProcessesCall -> Vec<SandboxProcess>;
    /// `POST /v1/sandboxes/{sandbox_id}/processes/{pid}/kill`, from [`Sandboxes::kill_process`]. It has no key, and is sent
    /// again only after a 429, or if there was no connection.
    KillProcessCall -> ();
    /// `GET /v1/sandboxes/{sandbox_id}/processes/{pid}/logs`, from [`Sandboxes::process_logs`].
    GetProcessLogsCall -> SandboxProcessLogs;
    /// `POST /v1/sandboxes/{sandbox_id}/ports/{port}/readiness`, from [`Sandboxes::probe_port`]. It has no key, and is sent
    /// again only after a 429, or if there was no connection.
    ProbePortCall -> PortReadiness;
    /// `POST /v1/sandboxes/{sandbox_id}/fork`, from [`Sandboxes::fork`].
    ForkSandboxCall -> Sandbox;
    /// `POST /v1/sandboxes/{sandbox_id}/snapshots`, from [`Sandboxes::create_snapshot`].
    CreateSandboxSnapshotCall -> SandboxSnapshot;
    /// `POST /v1/sandboxes/{sandbox_id}/host`, from [`Sandboxes::port_url`].
    GetPortUrlCall -> PortUrl;
    /// `GET /nullspace/v1/snapshots`, from [`Sandboxes::snapshots`].
    ListSandboxSnapshotsCall -> Vec<SandboxSnapshot>;
    /// `GET /nullspace/v1/snapshots/{snapshot_id}`, from [`Sandboxes::snapshot`].
    GetSandboxSnapshotCall -> SandboxSnapshot;
    /// `DELETE /nullspace/v1/snapshots/{snapshot_id}`, from [`Sandboxes::delete_snapshot`].
    DeleteSandboxSnapshotCall -> ();
}

waited!(GetSandboxCall -> Sandbox);

keyed!(CreateSandboxCall, ForkSandboxCall, CreateSandboxSnapshotCall);

query_setters!(ListSandboxSnapshotsCall {
    /// Lists only those of this sandbox.
    sandbox_id: SandboxId,
});
