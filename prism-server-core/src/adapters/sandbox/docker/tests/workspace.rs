//! The workspace, as users see it, against programs that do what they like in it.

use bytes::Bytes;
use futures::TryStreamExt;

use super::*;
use crate::testkit::{
    self,
    workspace::{read, write},
};

async fn workspace_of(gateway: &Gateway, id: &InstanceId) -> Arc<dyn Workspace> {
    gateway.sandbox.workspace(id).await.unwrap().expect("there is a workspace")
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_workspaces_pass_the_conformance_suite() {
    let gateway = Gateway::new();
    testkit::workspace::conforms(gateway.sandbox.as_ref()).await;
    assert_eq!(gateway.sandbox.list().await, Ok(Vec::new()), "the suite removes what it made");
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_users_stay_in_the_workspace_whatever_links_are_in_it() {
    let gateway = Gateway::new();
    let engine = gateway.sandbox.engine.clone();
    let shell = |id: InstanceId, script: String| {
        let engine = engine.clone();
        async move {
            let script = format!("cd {}; {script}", container::WORKSPACE);
            let shell = ["/bin/sh", "-euc", &script];
            command::run(&engine, &container::name(&id), "plant", &shell, |_| true).await.unwrap();
        }
        .boxed()
    };
    testkit::workspace::is_confined(gateway.sandbox.as_ref(), &shell).await;
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_workspaces_outlive_their_programs() {
    let gateway = Gateway::new();
    let request = request(
        gateway.program("open('/workspace/a', 'w').write('agents'); open('/workspace/started', 'w').close()"),
    );
    let instance = gateway.run(&request).await;
    file(&instance, "started").await;
    gateway.kill(instance.id()).await;
    let workspace = workspace_of(&gateway, instance.id()).await;
    assert_eq!(read(&workspace, "a").await, Ok(Some(b"agents".to_vec())));
    write(&workspace, "dir/b", b"users").await.unwrap();
    assert_eq!(read(&workspace, "dir/b").await, Ok(Some(b"users".to_vec())));
    let listed = workspace.list(None, None, 10).await.unwrap().unwrap();
    let names: Vec<_> = listed.entries.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "dir", "started"]);
    assert_eq!(workspace.delete(&path("a")).await, Ok(true));
    assert_eq!(
        gateway.sandbox.find(instance.id()).await.unwrap().map(|_| ()),
        None,
        "nobody takes it for the agent"
    );
    // What stands for the dead container is not in the way of the next one, nor of a removal.
    let again = gateway.run(&request).await;
    file(&again, "started").await;
    assert_eq!(read(&workspace, "a").await, Ok(Some(b"agents".to_vec())), "the old handle works on");
    gateway.kill(again.id()).await;
    assert_eq!(read(&workspace, "dir/b").await, Ok(None), "the workspace was not persistent");
    gateway.sandbox.remove(again.id()).await.unwrap();
    assert_eq!(read(&workspace, "a").await, Err(SandboxError::Gone));
    assert_eq!(gateway.sandbox.list().await, Ok(Vec::new()));
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_files_that_users_write_belong_to_the_agent() {
    let gateway = Gateway::new();
    let program = gateway.program(
        "while not os.path.exists('a/b/c'): time.sleep(0.05)
def tell(path):
    found = os.stat(path)
    return [found.st_uid, found.st_gid, oct(found.st_mode & 0o7777)]
json.dump([tell(path) for path in ['a', 'a/b', 'a/b/c']] + [os.listdir('a/b')], open('.out', 'w'))
os.rename('.out', 'out')",
    );
    let instance = gateway.run(&request(program)).await;
    write(&workspace_of(&gateway, instance.id()).await, "a/b/c", b"1").await.unwrap();
    let out: serde_json::Value = serde_json::from_slice(&file(&instance, "out").await).unwrap();
    let (directory, written) = (serde_json::json!([10001, 10001, "0o755"]), [10001, 10001]);
    assert_eq!(out, serde_json::json!([directory, directory, [written[0], written[1], "0o644"], ["c"]]));
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_users_reach_files_beside_a_program_that_takes_all_processes() {
    let gateway = Gateway::with(|sandbox| sandbox.limits(DockerLimits::default().processes(20)));
    let program = gateway.program(
        "open('/workspace/a', 'w').write('agents')
try:
    while True:
        if os.fork() == 0: time.sleep(3600)
except BlockingIOError: pass
open('/workspace/started', 'w').close()",
    );
    let instance = gateway.run(&request(program)).await;
    file(&instance, "started").await;
    let workspace = workspace_of(&gateway, instance.id()).await;
    // Whether the engine can start a command there is a matter of luck.
    for _ in 0..10 {
        assert_eq!(read(&workspace, "a").await, Ok(Some(b"agents".to_vec())));
        write(&workspace, "b", b"users").await.unwrap();
        assert_eq!(workspace.list(None, None, 10).await.unwrap().unwrap().entries.len(), 3);
        assert_eq!(workspace.delete(&path("b")).await, Ok(true));
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_large_files_are_written_and_read_in_bounded_memory() {
    const SIZE: u64 = 256 << 20;
    let peak = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    };
    let gateway = Gateway::new();
    let instance = gateway.run(&request(gateway.program("pass"))).await;
    let workspace = workspace_of(&gateway, instance.id()).await;
    write(&workspace, "warm up", b"x").await.unwrap();
    let before = peak();
    let mut staged = workspace.stage().await.unwrap();
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..SIZE >> 20 {
        staged.write(piece.clone()).await.unwrap();
    }
    assert_eq!(staged.place(&path("large")).await.unwrap().info.size, SIZE);
    let opened = workspace.open(&path("large")).await.unwrap().unwrap();
    let mut pieces = opened.read(1..SIZE);
    let mut came = pieces.try_next().await.unwrap().unwrap().len() as u64;
    // Whoever reads slowly holds nobody up.
    assert!(gateway.sandbox.find(instance.id()).await.unwrap().is_some());
    assert!(workspace.stat(&path("large")).await.unwrap().is_some());
    while let Some(piece) = pieces.try_next().await.unwrap() {
        came += piece.len() as u64;
    }
    assert_eq!(came, SIZE - 1);
    let needed = peak() - before;
    assert!(needed < SIZE / 4, "{needed} bytes");
}
