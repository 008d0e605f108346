//! What a hostile program meets when it wants more.

use serde_json::json;

use super::*;
use crate::domain;

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_memory_is_bounded() {
    let gateway = Gateway::with(|sandbox| sandbox.limits(DockerLimits::default().memory(64 << 20)));
    let out = gateway
        .result_of(
            "def killed(hog):
    # The engine's machine is to choose this one, and not who started it.
    first = 'import os, tempfile; open(\"/proc/self/oom_score_adj\", \"w\").write(\"1000\")\\n'
    return subprocess.run([sys.executable, '-c', first + hog]).returncode
out = {
    'memory': killed('x = []\\nwhile True: x.append(os.urandom(1 << 20))'),
    'temporary': killed('x = tempfile.TemporaryFile()\\nwhile True: x.write(os.urandom(1 << 20))'),
}",
        )
        .await;
    assert_eq!(out, json!({"memory": -9, "temporary": -9}), "both are killed, and who started them lives on");
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_processes_are_bounded() {
    let gateway = Gateway::with(|sandbox| sandbox.limits(DockerLimits::default().processes(40)));
    let out = gateway
        .result_of(
            "import resource, signal
children = []
out = {'files': resource.getrlimit(resource.RLIMIT_NOFILE), 'core': resource.getrlimit(resource.RLIMIT_CORE)}
try:
    while len(children) < 1000:
        child = os.fork()
        if child == 0: time.sleep(3600)
        children.append(child)
except BlockingIOError: pass
for child in children: os.kill(child, signal.SIGKILL)
for child in children: os.waitpid(child, 0)
out['children'] = len(children)",
        )
        .await;
    // tini and the program are two of them.
    assert_eq!(out, json!({"files": [4096, 4096], "core": [0, 0], "children": 38}));
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_links_in_a_workspace_are_not_followed() {
    let gateway = Gateway::new();
    let program = gateway.program(
        "os.symlink('/etc/passwd', 'link')
os.symlink('/etc', 'directory')
os.symlink('nowhere', 'dangling')
os.symlink('.', 'self')
os.mkfifo('pipe')
open('real', 'w').write('real')
open('/workspace/started', 'w').close()",
    );
    let instance = gateway.run(&request(program)).await;
    file(&instance, "started").await;
    for wrong in ["link", "directory", "directory/passwd", "dangling", "self/real", "pipe", "link/below"] {
        let wrong_path = path(wrong);
        let refused = Err(SandboxError::NotAFile(wrong.to_owned()));
        assert_eq!(instance.read_file(&wrong_path).await.map(drop), refused, "read of {wrong}");
        assert_eq!(instance.write_file(&wrong_path, vec![1]).await.map(drop), refused, "write of {wrong}");
        assert_eq!(instance.delete_file(&wrong_path).await.map(drop), refused, "delete of {wrong}");
    }
    assert_eq!(file(&instance, "real").await, b"real");
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_files_fit_at_the_limit_and_not_one_byte_past_it() {
    let gateway = Gateway::new();
    let program = gateway.program(
        "open('huge', 'w').truncate(1 << 40)
open('/workspace/started', 'w').close()",
    );
    let instance = gateway.run(&request(program)).await;
    let most = domain::limits::WORKSPACE_FILE;
    let large = path("large");
    instance.write_file(&large, vec![7; most]).await.unwrap();
    assert_eq!(instance.read_file(&large).await.unwrap().unwrap(), vec![7; most]);
    let text = "in a sandbox of type `docker` a file can have at most 16777216 bytes";
    let refused = Err(SandboxError::Limit(text.to_owned()));
    assert_eq!(instance.write_file(&large, vec![7; most + 1]).await.map(drop), refused);
    file(&instance, "started").await;
    assert_eq!(instance.read_file(&path("huge")).await.map(drop), refused);
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_files_that_are_written_belong_to_the_agent() {
    let gateway = Gateway::new();
    let program = gateway.program(
        "while not os.path.exists('a/b/c'): time.sleep(0.05)
def tell(path):
    found = os.stat(path)
    return [found.st_uid, found.st_gid, oct(found.st_mode & 0o7777)]
json.dump([tell(path) for path in ['a', 'a/b', 'a/b/c']], open('.out', 'w'))
os.rename('.out', 'out')",
    );
    let instance = gateway.run(&request(program)).await;
    instance.write_file(&path("a/b/c"), b"1".to_vec()).await.unwrap();
    let out: serde_json::Value = serde_json::from_slice(&file(&instance, "out").await).unwrap();
    assert_eq!(out, json!([[10001, 10001, "0o755"], [10001, 10001, "0o755"], [10001, 10001, "0o644"]]));
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_output_is_the_last_of_it_as_text() {
    let gateway = Gateway::new();
    let program = gateway.program(
        "for index in range(40000): os.write(1, b'line %d\\n' % index)
os.write(1, b'bad \\xff\\nend\\n')
open('/workspace/started', 'w').close()",
    );
    let instance = gateway.run(&request(program)).await;
    file(&instance, "started").await;
    let ends = || async { instance.output().await.unwrap().contains("\nend\n") };
    until("the end is in the output", ends).await;
    let output = instance.output().await.unwrap();
    assert!(output.len() <= OUTPUT && output.len() > OUTPUT - 10, "{}", output.len());
    assert!(output.contains("line 39999\n"));
    assert!(output.contains("bad \u{fffd}\n"));
}
