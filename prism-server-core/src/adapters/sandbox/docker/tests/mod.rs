//! Tests with the engine of this machine and the image of the runtime `hermes`, whose Python runs the programs.

mod bounds;
mod hosting;
mod inside;
mod life;
mod watching;
mod workspace;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, thread, time::Duration};

use prism_types::{InstanceId, Runtime};
use tempfile::TempDir;
use tokio::time;
use uuid::Uuid;

use super::*;
use crate::ports::Program;

/// How long anything may take on a slow machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Sandboxes of a gateway of its own, which are removed at the end, whatever happened.
struct Gateway {
    sandbox: Arc<DockerSandbox>,
    owner: String,
    files: TempDir,
}

impl Gateway {
    fn new() -> Self {
        Self::with(|sandbox| sandbox)
    }

    fn with(configure: impl FnOnce(DockerSandbox) -> DockerSandbox) -> Self {
        let owner = format!("test-{}", Uuid::now_v7().simple());
        let sandbox = DockerSandbox::connect(owner.clone()).expect("these tests need a Docker Engine");
        let files = TempDir::new().unwrap();
        open_to_all(files.path());
        Self { sandbox: Arc::new(configure(sandbox)), owner, files }
    }

    /// A program of Python, which starts with `import os, sys, json, time` and sleeps after its end.
    fn program(&self, script: &str) -> Program {
        let name = format!("{}.py", Uuid::now_v7().simple());
        let prelude = "import os, sys, json, time, subprocess\n";
        let file = self.files.path().join(&name);
        fs::write(&file, format!("{prelude}{script}\nwhile True: time.sleep(3600)\n")).unwrap();
        open_to_all(&file);
        Program::new(Runtime::Hermes, self.files.path().to_owned(), name)
    }

    async fn run(&self, request: &SandboxRequest) -> Arc<dyn SandboxInstance> {
        self.sandbox.ensure(request.clone()).await.expect("a sandbox is made")
    }

    /// What a program writes into `out`, as JSON.
    async fn result_of(&self, script: &str) -> serde_json::Value {
        let save =
            "json.dump(out, open('/workspace/.out', 'w')); os.rename('/workspace/.out', '/workspace/out')";
        let instance = self.run(&request(self.program(&format!("{script}\n{save}")))).await;
        serde_json::from_slice(&file(&instance, "out").await).unwrap()
    }

    async fn container_of(&self, id: &InstanceId) -> engine::Container {
        self.sandbox.engine.container(&container::name(id)).await.unwrap().expect("there is a container")
    }

    async fn kill(&self, id: &InstanceId) {
        let name = container::name(id);
        let killed = self.sandbox.engine.call("kill", |docker| docker.kill_container(&name, None)).await;
        assert!(killed.is_ok(), "the container is killed");
        let ended = || async { !self.container_of(id).await.running };
        until("the container has ended", ended).await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let owner = self.owner.clone();
        // A runtime of its own: the test's may be ending with a panic.
        let cleaning = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let sandbox = DockerSandbox::connect(owner).unwrap();
                for id in sandbox.list().await.unwrap() {
                    sandbox.remove(&id).await.unwrap();
                }
            });
        });
        let cleaned = cleaning.join();
        assert!(thread::panicking() || cleaned.is_ok(), "the sandboxes are removed");
    }
}

fn new_id() -> InstanceId {
    InstanceId::from_suffix(&format!("test-{}", Uuid::now_v7().simple())).unwrap()
}

fn request(program: Program) -> SandboxRequest {
    SandboxRequest::new(new_id(), "dep_test".parse().unwrap(), false).program(Some(program))
}

fn path(text: &str) -> WorkspacePath {
    text.parse().unwrap()
}

fn open_to_all(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A file, once it is there.
async fn file(instance: &Arc<dyn SandboxInstance>, name: &str) -> Vec<u8> {
    let name = path(name);
    let reading = async {
        loop {
            match instance.read_file(&name).await {
                Ok(Some(content)) => return content,
                Ok(None) => time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}: {:?}", instance.output().await),
            }
        }
    };
    match time::timeout(DEADLINE, reading).await {
        Ok(content) => content,
        Err(_) => panic!("there is no {name} in time: {:?}", instance.output().await),
    }
}

async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let waiting = async {
        while !condition().await {
            time::sleep(Duration::from_millis(50)).await;
        }
    };
    time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("in time: {what}"));
}
