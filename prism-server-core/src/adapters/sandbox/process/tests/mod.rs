//! Programs here are shell scripts: they can do to a gateway what any program can.

mod hosting;
mod workspace;

use std::{
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink},
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use prism_types::{DeploymentId, FileChange};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;
use tokio::time::sleep;

use super::*;
use crate::{
    domain::{limits, workspace::WorkspacePath},
    ports::Program,
    testkit,
};

const CONFORMING: &str = r#"
echo start >> "$PRISM_HOME/starts"
cp "$PRISM_HOME/starts" starts
env > environment.new
mv environment.new environment
echo it works
while [ ! -e end ]; do sleep 0.02; done
"#;

/// A directory with sandboxes, of which nothing is left when the test ends, however it ends.
struct Bench {
    directory: TempDir,
    sandbox: ProcessSandbox,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sandbox = sandbox_in(directory.path());
        Self { directory, sandbox }
    }

    fn program(&self, script: &str) -> Program {
        let files = self.directory.path().join("files");
        fs::create_dir_all(&files).unwrap();
        let name = format!("{}.sh", uuid::Uuid::now_v7());
        fs::write(files.join(&name), script).unwrap();
        Program::new(Runtime::Hermes, files, name)
    }

    async fn start(&self, script: &str) -> Arc<dyn SandboxInstance> {
        self.sandbox.ensure(request(instance_id(), Some(self.program(script)))).await.unwrap()
    }

    fn path(&self, id: &InstanceId) -> PathBuf {
        self.directory.path().join("sandboxes").join(id.as_str())
    }

    fn workspace(&self, instance: &Arc<dyn SandboxInstance>) -> PathBuf {
        self.path(instance.id()).join("workspace")
    }

    /// The text of a file in the folder, once it is there and has a line.
    async fn text(&self, instance: &Arc<dyn SandboxInstance>, name: &str) -> String {
        let path = self.path(instance.id()).join(name);
        until(name, || fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))).await
    }

    async fn pid(&self, instance: &Arc<dyn SandboxInstance>, name: &str) -> Pid {
        let text = self.text(instance, &format!("workspace/{name}")).await;
        Pid::from_raw(text.trim().parse().unwrap()).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for id in self.sandbox.ids().unwrap_or_default() {
            drop(self.sandbox.remove_now(&id));
        }
    }
}

#[derive(Default)]
struct Deaths(Mutex<Vec<InstanceId>>);

impl Deaths {
    fn of(&self, id: &InstanceId) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|dead| *dead == id).count()
    }
}

impl SandboxListener for Deaths {
    fn died(&self, id: &InstanceId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
    }
}

fn sandbox_in(directory: &Path) -> ProcessSandbox {
    ProcessSandbox::new(directory.join("sandboxes")).interpreter(Runtime::Hermes, "/bin/sh")
}

fn instance_id() -> InstanceId {
    InstanceId::from_suffix(&uuid::Uuid::now_v7().simple().to_string()).unwrap()
}

fn request(id: InstanceId, program: Option<Program>) -> SandboxRequest {
    let deployment = DeploymentId::from_suffix(id.suffix()).unwrap();
    SandboxRequest::new(id, deployment, false).program(program)
}

fn path(text: &str) -> WorkspacePath {
    text.parse().unwrap()
}

async fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(met) = condition() {
            return met;
        }
        assert!(Instant::now() < deadline, "{what} within the time");
        sleep(Duration::from_millis(10)).await;
    }
}

fn is_gone(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    // What was orphaned is waited for by the machine's first process, when that comes to it.
    stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}

#[tokio::test]
async fn it_passes_the_conformance_suite() {
    let bench = Bench::new();
    assert_eq!(bench.sandbox.kind(), SandboxType::Process);
    testkit::sandbox::conforms(&bench.sandbox).await;
    testkit::workspace::conforms(&bench.sandbox).await;
    assert_eq!(bench.sandbox.list().await, Ok(Vec::new()), "the suite removes what it made");
}

#[tokio::test]
async fn it_passes_the_conformance_suite_for_programs() {
    let bench = Bench::new();
    testkit::sandbox::conforms_with_a_program(&bench.sandbox, &bench.program(CONFORMING)).await;
    assert_eq!(bench.sandbox.list().await, Ok(Vec::new()), "the suite removes what it made");
}

#[tokio::test]
async fn the_environment_is_the_programs_and_the_sandboxs_and_nothing_else() {
    let bench = Bench::new();
    // What it was started with: `env` would show the variables that a shell adds.
    let program =
        bench.program("tr '\\0' '\\n' < /proc/$$/environ > all.new; mv all.new all; exec sleep 1000");
    let program = program.variable("GIVEN", "1").variable("HOME", "/").variable("PRISM_SANDBOX", "ins_x");
    let instance = bench.sandbox.ensure(request(instance_id(), Some(program))).await.unwrap();
    let text = bench.text(&instance, "workspace/all").await;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let folder = bench.path(instance.id());
    let temporary = folder.join("tmp");
    let folder = folder.display();
    let files = bench.directory.path().join("files");
    assert_eq!(
        lines,
        [
            "GIVEN=1".to_owned(),
            format!("HOME={folder}/home"),
            "LANG=C.UTF-8".to_owned(),
            "PATH=/bin:/usr/local/bin:/usr/bin:/bin".to_owned(),
            format!("PRISM_FILES={}", files.display()),
            format!("PRISM_HOME={folder}/home"),
            format!("PRISM_SANDBOX={}", instance.id()),
            format!("PRISM_WORKSPACE={folder}/workspace"),
            format!("TMPDIR={}", temporary.display()),
        ]
    );
}

#[tokio::test]
async fn a_program_leads_its_own_session_in_its_workspace_without_input() {
    let bench = Bench::new();
    let instance =
        bench.start("echo $$ > pid; read line || echo none > input; pwd > pwd; exec sleep 1000").await;
    assert_eq!(bench.text(&instance, "workspace/input").await, "none\n");
    let workspace = bench.workspace(&instance);
    assert_eq!(bench.text(&instance, "workspace/pwd").await.trim(), workspace.to_str().unwrap());
    let pid = bench.pid(&instance, "pid").await;
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
    let own = std::process::id().to_string();
    let pid = pid.as_raw_nonzero().to_string();
    assert_eq!(&fields[1..4], [own.as_str(), &pid, &pid], "parent, process group and session");
    let folder = fs::metadata(bench.path(instance.id())).unwrap();
    assert_eq!(folder.permissions().mode() & 0o7777, 0o700);
}

#[tokio::test]
async fn limits_hold_for_the_program() {
    let bench = Bench::new();
    let limits = ProcessLimits::default().open_files(77).file_size(512 * 1000).processes(1234);
    let sandbox = bench.sandbox.clone().limits(limits);
    let script = "ulimit -n; cat /proc/self/limits > all.new; mv all.new all; exec sleep 1000";
    let instance = sandbox.ensure(request(instance_id(), Some(bench.program(script)))).await.unwrap();
    let text = bench.text(&instance, "workspace/all").await;
    for (name, most) in
        [("open files", "77"), ("file size", "512000"), ("processes", "1234"), ("core file size", "0")]
    {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("Max {name} "))).unwrap();
        assert_eq!(line.split_ascii_whitespace().take(2).collect::<Vec<_>>(), [most, most], "{name}");
    }
    assert_eq!(instance.output().await.unwrap(), "77\n");
}

#[tokio::test]
async fn removing_ends_a_daemon_of_a_daemon_and_what_hides_from_it() {
    let bench = Bench::new();
    let instance = bench
        .start(
            r#"
            # Away from its session and its parent, with the environment.
            (setsid sh -c 'setsid sh -c "echo \$\$ > daemon; trap : TERM HUP INT; exec sleep 1000" & exit' &)
            # Without the environment, in the session, with an end that waits.
            env -i /bin/sh -c 'echo $$ > bare; exec sleep 1000' &
            # Without the environment and the session, but with a parent.
            env -i /usr/bin/setsid /bin/sh -c 'echo $$ > child; sleep 1000; true' &
            # Stopped.
            sh -c 'echo $$ > stopped; kill -STOP $$' &
            echo $$ > pid
            wait
            sleep 1000
            "#,
        )
        .await;
    let mut pids = Vec::new();
    for name in ["pid", "daemon", "bare", "child", "stopped"] {
        pids.push(bench.pid(&instance, name).await);
    }
    let daemon = pids[1].as_raw_nonzero();
    until("the daemon is an orphan", || {
        let stat = fs::read_to_string(format!("/proc/{daemon}/stat")).unwrap();
        let parent: i32 =
            stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
        (parent != pids[0].as_raw_nonzero().get()).then_some(())
    })
    .await;
    assert!(pids.iter().all(|pid| !is_gone(*pid)));
    bench.sandbox.remove(instance.id()).await.unwrap();
    for pid in &pids {
        assert!(is_gone(*pid), "{pid:?}");
    }
    assert!(test_kill_process(pids[0]).is_err(), "the child was waited for");
    assert!(!bench.path(instance.id()).exists());
    assert_eq!(bench.sandbox.remove(instance.id()).await, Ok(()));
}

#[tokio::test]
async fn removing_ends_a_process_that_moves_on_all_the_time() {
    let bench = Bench::new();
    // To another process, in its session or in another, or to another program.
    for (session, hop) in
        [("", "(sh \"$0\" &)"), ("setsid", "(setsid sh \"$0\" &)"), ("setsid", "exec sh \"$0\"")]
    {
        let script = format!(
            r#"
            [ -n "$HOP" ] || {{ (HOP=1 {session} sh "$0" &); exec sleep 1000; }}
            [ -e hops ] && [ $(stat -c %s hops) -gt 20 ] || echo >> hops
            {hop}
            "#
        );
        let instance = bench.start(&script).await;
        let hops = bench.workspace(&instance).join("hops");
        until("it moves on", || fs::metadata(&hops).ok().filter(|file| file.len() > 20)).await;
        bench.sandbox.remove(instance.id()).await.unwrap();
        assert!(!bench.path(instance.id()).exists());
        let left = processes::end_all(instance.id(), None);
        assert_eq!((left, fs::read_dir(bench.path(instance.id())).is_err()), (Ok(()), true));
    }
}

#[tokio::test]
async fn a_death_is_told_once_and_a_removal_is_not() {
    let bench = Bench::new();
    let deaths = Arc::new(Deaths::default());
    bench.sandbox.set_listener(deaths.clone());
    let removed = bench.start("exec sleep 1000").await;
    let dying = bench.start("while [ ! -e end ]; do sleep 0.02; done").await;
    let killed = bench.start("echo $$ > pid; sleep 1000 & echo $! > left; wait").await;
    bench.sandbox.remove(removed.id()).await.unwrap();
    dying.write_file(&path("end"), Vec::new()).await.unwrap();
    until("a death is told", || (deaths.of(dying.id()) == 1).then_some(())).await;
    let left = bench.pid(&killed, "left").await;
    kill_process(bench.pid(&killed, "pid").await, Signal::KILL).unwrap();
    until("a death is told", || (deaths.of(killed.id()) == 1).then_some(())).await;
    assert!(is_gone(left), "what it left behind is ended");
    assert!(bench.sandbox.find(dying.id()).await.unwrap().is_none());
    bench.sandbox.remove(dying.id()).await.unwrap();
    assert_eq!((deaths.of(removed.id()), deaths.of(dying.id())), (0, 1));
    assert!(bench.sandbox.watches.is_empty(), "nothing is watched that has ended");
}

#[tokio::test]
async fn the_next_gateway_finds_what_lives_and_is_told_when_it_dies() {
    let bench = Bench::new();
    let program = bench.program("echo $$ > pid; exec sleep 1000");
    let id = instance_id();
    let first = bench.sandbox.ensure(request(id.clone(), Some(program.clone()))).await.unwrap();
    let pid = bench.pid(&first, "pid").await;
    let next = sandbox_in(bench.directory.path());
    let deaths = Arc::new(Deaths::default());
    next.set_listener(deaths.clone());
    assert_eq!(next.list().await.unwrap(), std::slice::from_ref(&id));
    assert!(next.find(&id).await.unwrap().is_some());
    let same = next.ensure(request(id.clone(), Some(program.clone()))).await.unwrap();
    assert_eq!(bench.pid(&same, "pid").await, pid, "it is not started again");
    same.write_file(&path("a"), vec![1]).await.unwrap();
    assert_eq!(first.read_file(&path("a")).await.unwrap().as_deref(), Some(&[1][..]));
    kill_process(pid, Signal::KILL).unwrap();
    until("a death is told", || (deaths.of(&id) > 0).then_some(())).await;
    assert!(next.find(&id).await.unwrap().is_none());
    assert_eq!(same.read_file(&path("a")).await, Err(SandboxError::Gone));
    fs::write(bench.path(&id).join("home/kept"), "1").unwrap();
    let again = next.ensure(request(id.clone(), Some(program))).await.unwrap();
    assert_ne!(bench.pid(&again, "pid").await, pid);
    assert!(bench.path(&id).join("home/kept").exists(), "the home is kept");
    assert_eq!(again.read_file(&path("a")).await, Ok(None), "the workspace is empty");
    assert_eq!(first.read_file(&path("a")).await, Err(SandboxError::Gone), "an old handle stays dead");
    next.remove(&id).await.unwrap();
    assert_eq!(deaths.of(&id), 1);
}

#[tokio::test]
async fn what_a_lost_gateway_had_not_recorded_is_ended_before_the_next_start() {
    let bench = Bench::new();
    let program = bench.program("echo $$ > pid; exec sleep 1000");
    let id = instance_id();
    let first = bench.sandbox.ensure(request(id.clone(), Some(program.clone()))).await.unwrap();
    let lost = bench.pid(&first, "pid").await;
    for record in ["", "{", r#"{"made":"a","program":{"pid":1,"started":0,"boot":"a"}}"#] {
        fs::write(bench.path(&id).join("program.json"), record).unwrap();
        assert!(bench.sandbox.find(&id).await.unwrap().is_none(), "{record}");
    }
    let second = bench.sandbox.ensure(request(id, Some(program))).await.unwrap();
    assert_ne!(bench.pid(&second, "pid").await, lost);
    assert!(is_gone(lost));
}

#[tokio::test]
async fn a_missing_interpreter_is_told_with_the_way_out_and_leaves_nothing() {
    let bench = Bench::new();
    let program = bench.program("exec sleep 1000");
    let not_executable = program.files.join(&program.script);
    let directory = bench.directory.path().join("sandboxes");
    for sandbox in [
        ProcessSandbox::new(&directory),
        ProcessSandbox::new(&directory).interpreter(Runtime::Hermes, "/nowhere/python"),
        ProcessSandbox::new(&directory).interpreter(Runtime::Hermes, bench.directory.path()),
        ProcessSandbox::new(&directory).interpreter(Runtime::Hermes, not_executable),
    ] {
        let id = instance_id();
        match sandbox.ensure(request(id, Some(program.clone()))).await.err() {
            Some(SandboxError::Unavailable(text)) => {
                assert!(text.contains("run `prism runtime install hermes`"), "{text}");
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
        assert_eq!(sandbox.list().await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn the_output_is_bounded_and_its_end_is_told() {
    let bench = Bench::new();
    let instance = bench
        .start(
            r#"
            echo this is the start >&2
            head -c 3000000 /dev/zero
            : >written
            while [ ! -e more ]; do sleep 0.02; done
            printf 'the \377 end'
            exec sleep 1000
            "#,
        )
        .await;
    let folder = bench.path(instance.id());
    let workspace = bench.workspace(&instance);
    let length = |name: &str| fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    until("the program has written", || workspace.join("written").exists().then_some(())).await;
    // It may be shortened while it is written: what comes after that stays where it is.
    until("a long output is shortened", || {
        (length("output.old") == 512 * 1024 && length("output") <= 512 * 1024).then_some(())
    })
    .await;
    let rest = length("output");
    let output = instance.output().await.unwrap();
    assert_eq!(output.len(), 64 * 1024);
    instance.write_file(&path("more"), Vec::new()).await.unwrap();
    until("the program goes on", || (length("output") == rest + 9).then_some(())).await;
    let output = instance.output().await.unwrap();
    assert!(output.ends_with("\0the \u{fffd} end"), "{:?}", &output[output.len() - 20..]);
    assert!((64 * 1024 - 4..=64 * 1024).contains(&output.len()), "{}", output.len());
}

#[tokio::test]
async fn a_file_that_is_not_the_workspaces_is_out_of_reach() {
    let bench = Bench::new();
    let instance = bench.start("exec sleep 1000").await;
    let workspace = bench.workspace(&instance);
    let outside = bench.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    symlink(&outside, workspace.join("dir")).unwrap();
    symlink(outside.join("secret"), workspace.join("link")).unwrap();
    symlink("../home", workspace.join("up")).unwrap();
    symlink("nowhere", workspace.join("dangling")).unwrap();
    symlink("loop", workspace.join("loop")).unwrap();
    fs::create_dir(workspace.join("real")).unwrap();
    symlink("real", workspace.join("inside")).unwrap();
    for name in ["dir/secret", "link", "up/new", "dangling", "loop", "loop/a", "inside/a", "dir", "dir/new/a"]
    {
        let wrong = path(name);
        let refused = Some(SandboxError::NotAFile(name.to_owned()));
        assert_eq!(instance.read_file(&wrong).await.err(), refused, "read of {name}");
        assert_eq!(instance.write_file(&wrong, vec![1]).await.err(), refused, "write of {name}");
        assert_eq!(instance.delete_file(&wrong).await.err(), refused, "delete of {name}");
    }
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_dir(bench.path(instance.id()).join("home")).unwrap().count(), 0);
    // The workspace itself is a link.
    fs::rename(&workspace, bench.path(instance.id()).join("moved")).unwrap();
    symlink(&outside, &workspace).unwrap();
    assert_eq!(instance.read_file(&path("secret")).await, Err(SandboxError::Gone));
    assert_eq!(instance.write_file(&path("secret"), vec![1]).await, Err(SandboxError::Gone));
    bench.sandbox.remove(instance.id()).await.unwrap();
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret", "no link was followed");
}

#[tokio::test]
async fn a_path_that_changes_all_the_time_leads_nowhere_else() {
    let bench = Bench::new();
    let outside = bench.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("a"), "secret").unwrap();
    let script = format!(
        "mkdir dir; ln -s {} link; echo 1 > ready\n\
         while :; do mv dir real; mv link dir; mv dir link; mv real dir; done",
        outside.display()
    );
    let instance = bench.start(&script).await;
    bench.text(&instance, "workspace/ready").await;
    for _ in 0..300 {
        let a = path("dir/a");
        // Gone: the directory was moved between its making and its use.
        let written = instance.write_file(&a, b"mine".to_vec()).await;
        assert!(
            matches!(written, Ok(_) | Err(SandboxError::NotAFile(_) | SandboxError::Gone)),
            "{written:?}"
        );
        let read = instance.read_file(&a).await;
        assert!(read.as_ref().map_or(true, |content| content.as_deref() != Some(b"secret")), "{read:?}");
        drop(instance.delete_file(&a).await);
    }
    assert_eq!(fs::read_to_string(outside.join("a")).unwrap(), "secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[tokio::test]
async fn what_is_no_regular_file_is_refused_without_waiting() {
    let bench = Bench::new();
    let instance = bench.start("mkfifo fifo; echo 1 > ready; exec sleep 1000").await;
    bench.text(&instance, "workspace/ready").await;
    let workspace = bench.workspace(&instance);
    let _socket = std::os::unix::net::UnixListener::bind(workspace.join("socket")).unwrap();
    for name in ["fifo", "socket"] {
        let wrong = path(name);
        let refused = Some(SandboxError::NotAFile(name.to_owned()));
        assert_eq!(instance.read_file(&wrong).await.err(), refused, "read of {name}");
        assert_eq!(instance.write_file(&wrong, vec![1]).await.err(), refused, "write of {name}");
        assert_eq!(instance.delete_file(&wrong).await.err(), refused, "delete of {name}");
    }
    assert!(fs::metadata(workspace.join("fifo")).unwrap().file_type().is_fifo());
}

#[tokio::test]
async fn a_file_fits_at_the_limit_and_not_one_byte_past_it() {
    let bench = Bench::new();
    let instance = bench.sandbox.ensure(request(instance_id(), None)).await.unwrap();
    let a = path("a");
    let written = instance.write_file(&a, vec![1; limits::WORKSPACE_FILE]).await.unwrap();
    assert_eq!((written.change, written.size), (FileChange::Created, limits::WORKSPACE_FILE as u64));
    assert_eq!(instance.read_file(&a).await.unwrap().unwrap().len(), limits::WORKSPACE_FILE);
    let text = "in a sandbox of type `process` a file can have at most 16777216 bytes";
    let past = instance.write_file(&a, vec![1; limits::WORKSPACE_FILE + 1]).await;
    assert_eq!(past, Err(SandboxError::Limit(text.to_owned())));
    let file = fs::File::options().write(true).open(bench.workspace(&instance).join("a")).unwrap();
    file.set_len(limits::WORKSPACE_FILE as u64 + 1).unwrap();
    assert_eq!(instance.read_file(&a).await, Err(SandboxError::Limit(text.to_owned())));
    let metadata = file.metadata().unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.nlink()), (0o644, 1));
    assert_eq!(fs::read_dir(bench.workspace(&instance)).unwrap().count(), 1, "nothing else is left");
    let long = path(&"a".repeat(256));
    assert!(matches!(instance.write_file(&long, Vec::new()).await, Err(SandboxError::Limit(_))));
    assert_eq!(instance.read_file(&long).await, Ok(None));
    assert_eq!(instance.delete_file(&long).await, Ok(false));
}

#[tokio::test]
async fn a_tree_that_resists_is_deleted_and_links_are_not_followed() {
    let bench = Bench::new();
    let outside = bench.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "1").unwrap();
    let script = format!(
        r#"
        mkdir -p closed/in/side; touch closed/in/side/file; chmod 0 closed/in/side closed/in closed
        touch read-only; chmod 0 read-only; mkfifo fifo
        ln -s {0} link; ln -s {0}/kept file; ln {0}/kept hard
        mkdir 'odd
        name'; touch -- '-rf' '*' .hidden; mkdir .removed-1
        mkdir immutable; touch immutable/file; chattr +i immutable/file; chattr +i immutable
        chmod 500 .; cd ..; chmod 500 .
        echo 1 > "$PRISM_HOME/ready"
        exec sleep 1000
        "#,
        outside.display()
    );
    let instance = bench.start(&script).await;
    bench.text(&instance, "home/ready").await;
    // Deeper than a path can be long, and than a thread's stack would allow for.
    let private = rustix::fs::Mode::RWXU;
    let folder = bench.path(instance.id());
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let mut deepest: std::os::fd::OwnedFd = fs::File::open(folder.join("home")).unwrap().into();
    for _ in 0..4_000 {
        rustix::fs::mkdirat(&deepest, "d", private).unwrap();
        deepest = folder::beneath(&deepest, "d", rustix::fs::OFlags::DIRECTORY).unwrap();
    }
    bench.sandbox.remove(instance.id()).await.unwrap();
    assert!(!bench.path(instance.id()).exists());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::metadata(outside.join("kept")).unwrap().nlink(), 1);
}

#[tokio::test]
async fn a_folder_that_is_a_link_is_no_sandbox() {
    let bench = Bench::new();
    let outside = bench.directory.path().join("outside");
    fs::create_dir_all(outside.join("workspace")).unwrap();
    let id = instance_id();
    fs::create_dir(bench.directory.path().join("sandboxes")).unwrap();
    symlink(&outside, bench.path(&id)).unwrap();
    assert!(bench.sandbox.find(&id).await.unwrap().is_none());
    assert!(bench.sandbox.ensure(request(id.clone(), None)).await.is_err());
    bench.sandbox.remove(&id).await.unwrap();
    assert!(outside.join("workspace").exists(), "the link is removed, and not what it leads to");
    assert!(bench.sandbox.ensure(request(id, None)).await.is_ok());
}
