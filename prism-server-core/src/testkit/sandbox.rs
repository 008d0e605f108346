//! The conformance suite of [`Sandbox`].
//!
//! Run [`conforms`] on an implementation, or the checks one by one to see which rule fails. A check makes
//! instances with ids of its own and removes them at its end, so checks can run side by side on one machine.
//! Every check panics when the rule does not hold, with a text that names the rule.

use std::{sync::Arc, time::Duration};

use prism_types::{DeploymentId, FileChange, InstanceId};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    domain::workspace::WorkspacePath,
    ports::{Program, Sandbox, SandboxError, SandboxInstance, SandboxRequest},
};

/// How long a program may take to do what a check waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs every check.
///
/// # Panics
/// When the sandbox breaks a rule of the port.
pub async fn conforms(sandbox: &dyn Sandbox) {
    an_instance_is_found_under_its_id_until_it_is_removed(sandbox).await;
    ensuring_twice_gives_the_same_sandbox(sandbox).await;
    removing_is_final_for_old_handles(sandbox).await;
    a_sandbox_that_is_made_again_works(sandbox).await;
    what_is_written_is_read_back(sandbox).await;
    a_write_tells_created_from_modified(sandbox).await;
    deleting_tells_whether_there_was_a_file(sandbox).await;
    a_file_is_no_directory_and_a_directory_no_file(sandbox).await;
    unusual_names_are_kept_apart(sandbox).await;
    instances_are_isolated(sandbox).await;
    a_workspace_is_copied_as_a_whole(sandbox).await;
}

/// Runs every check of sandboxes that run programs and outlive the gateway, besides those of [`conforms`].
///
/// The program, in whatever language the sandbox has an interpreter for, has to do this, in this order:
///
/// 1. append a line to the file `starts` in its home, and copy that file to its workspace
/// 2. write its environment to the file `environment` in its workspace, one `NAME=value` a line, made under
///    another name and renamed
/// 3. write `it works` to its standard output
/// 4. end once there is a file `end` in its workspace
///
/// # Panics
/// When the sandbox breaks a rule of the port.
pub async fn conforms_with_a_program(sandbox: &dyn Sandbox, program: &Program) {
    a_program_has_the_environment_that_was_asked_for_and_no_other(sandbox, program).await;
    what_a_program_writes_is_told(sandbox, program).await;
    a_sandbox_is_listed_until_it_is_removed(sandbox, program).await;
    ensuring_at_the_same_time_starts_one_program(sandbox, program).await;
    a_sandbox_whose_program_ended_is_made_again_with_its_home(sandbox, program).await;
    a_sandbox_can_be_ended_from_outside(sandbox, program).await;
}

/// A copy of a workspace has what that had and nothing else, and lives on its own; a workspace that is not there is copied
/// as an empty one. The copy is the workspace of the sandbox that is made afterwards.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_workspace_is_copied_as_a_whole(sandbox: &dyn Sandbox) {
    let (from, to, empty) = (instance_id(), instance_id(), instance_id());
    let copy = async |from: &InstanceId, to: &InstanceId| {
        sandbox.copy_workspace(from, to).await.expect("a workspace is copied");
    };
    let original = ensure_persistent(sandbox, &from).await;
    let files: [(&str, &[u8]); 3] = [("plan", b"a"), ("deep/er/notes", b"b"), ("deep/empty", b"")];
    for (name, content) in files {
        write(&original, name, content).await;
    }
    copy(&from, &to).await;
    write(&original, "plan", b"changed").await;
    let copied = ensure_persistent(sandbox, &to).await;
    for (name, content) in files {
        assert_eq!(read(&copied, name).await.as_deref(), Some(content), "{name} is copied as it was");
    }
    write(&copied, "deep/er/more", b"c").await;
    assert_eq!(read(&original, "deep/er/more").await, None, "the original does not change with the copy");

    remove(sandbox, &to).await;
    copy(&from, &to).await;
    copy(&from, &to).await;
    let copied = ensure_persistent(sandbox, &to).await;
    assert_eq!(read(&copied, "plan").await.as_deref(), Some(b"changed".as_slice()), "a copy is made anew");
    assert_eq!(read(&copied, "deep/er/more").await, None, "what was there before is gone");

    remove(sandbox, &to).await;
    copy(&empty, &to).await;
    let copied = ensure_persistent(sandbox, &to).await;
    assert_eq!(read(&copied, "plan").await, None, "what is not there is copied as an empty workspace");
    for id in [&from, &to] {
        remove(sandbox, id).await;
    }
}

/// A program finds its own variables and those of the sandbox, and none of the gateway's.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_program_has_the_environment_that_was_asked_for_and_no_other(
    sandbox: &dyn Sandbox,
    program: &Program,
) {
    const GIVEN: (&str, &str) = ("TESTKIT_GIVEN", "a b=$(id) 'c' \"d\" ünï");
    let id = instance_id();
    let instance = start(sandbox, &id, false, &program.clone().variable(GIVEN.0, GIVEN.1)).await;
    let environment = eventually(&instance, "environment").await;
    let environment = String::from_utf8(environment).expect("the environment is text");
    let value = |name: &str| {
        let mut variables = environment.lines().filter_map(|line| line.split_once('='));
        variables.find_map(|(found, value)| (found == name).then_some(value))
    };
    assert_eq!(value(GIVEN.0), Some(GIVEN.1), "a variable is given to the program as it is");
    for name in ["PRISM_WORKSPACE", "PRISM_HOME", "PRISM_FILES"] {
        assert!(value(name).is_some_and(|value| value.starts_with('/')), "{name} is an absolute path");
    }
    for name in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
        assert_eq!(value(name), None, "{name} of the gateway is not for the program");
    }
    remove(sandbox, &id).await;
}

/// `output` has what the program wrote to its standard output.
///
/// # Panics
/// When the rule does not hold.
pub async fn what_a_program_writes_is_told(sandbox: &dyn Sandbox, program: &Program) {
    let id = instance_id();
    let instance = start(sandbox, &id, false, program).await;
    let deadline = Instant::now() + PATIENCE;
    while !instance.output().await.expect("the output is told").contains("it works") {
        assert!(Instant::now() < deadline, "the output has what the program wrote");
        sleep(Duration::from_millis(20)).await;
    }
    remove(sandbox, &id).await;
}

/// `list` has a sandbox while its program runs, when it has ended, and not once it was removed.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_sandbox_is_listed_until_it_is_removed(sandbox: &dyn Sandbox, program: &Program) {
    let id = instance_id();
    let listed = async || sandbox.list().await.expect("sandboxes are listed").contains(&id);
    assert!(!listed().await, "an id that was never used is not listed");
    let instance = start(sandbox, &id, false, program).await;
    assert!(listed().await, "a living sandbox is listed");
    end(sandbox, &instance).await;
    assert!(listed().await, "a dead sandbox is listed");
    remove(sandbox, &id).await;
    assert!(!listed().await, "a removed sandbox is not listed");
}

/// Callers of `ensure` at the same time get one sandbox, whose program was started once.
///
/// # Panics
/// When the rule does not hold.
pub async fn ensuring_at_the_same_time_starts_one_program(sandbox: &dyn Sandbox, program: &Program) {
    let id = instance_id();
    let made = futures::future::join_all((0..8).map(|_| start(sandbox, &id, true, program))).await;
    for instance in &made {
        assert_eq!(eventually(instance, "environment").await, eventually(&made[0], "environment").await);
    }
    assert_eq!(starts(&made[0]).await, 1, "the program was started once");
    start(sandbox, &id, true, program).await;
    assert_eq!(starts(&made[0]).await, 1, "nor is it started again while it lives");
    remove(sandbox, &id).await;
}

/// A sandbox whose program ended is not found. `ensure` makes it again: with its home, and with its workspace
/// exactly when that is persistent. After `remove` neither is left.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_sandbox_whose_program_ended_is_made_again_with_its_home(
    sandbox: &dyn Sandbox,
    program: &Program,
) {
    for persistent in [false, true] {
        let id = instance_id();
        let first = start(sandbox, &id, persistent, program).await;
        assert_eq!(starts(&first).await, 1, "the program is started");
        write(&first, "dir/kept", b"1").await;
        end(sandbox, &first).await;
        let second = start(sandbox, &id, persistent, program).await;
        if persistent {
            // The file that ends the program is kept too.
            let deadline = Instant::now() + PATIENCE;
            while find(sandbox, &id).await.is_some() {
                assert!(Instant::now() < deadline, "a persistent workspace is kept");
                sleep(Duration::from_millis(20)).await;
            }
        } else {
            assert_eq!(starts(&second).await, 2, "the home is kept");
            assert_eq!(read(&second, "dir/kept").await, None, "the workspace is not");
        }
        remove(sandbox, &id).await;
        let third = start(sandbox, &id, persistent, program).await;
        assert_eq!(starts(&third).await, 1, "a removed home does not come back");
        assert_eq!(read(&third, "dir/kept").await, None, "nor does a removed workspace");
        remove(sandbox, &id).await;
    }
}

/// After `end` a sandbox is dead, with its home kept. Ending it once more does nothing, also when it was made again.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_sandbox_can_be_ended_from_outside(sandbox: &dyn Sandbox, program: &Program) {
    let id = instance_id();
    let first = start(sandbox, &id, true, program).await;
    assert_eq!(starts(&first).await, 1, "the program is started");
    first.end().await.expect("a sandbox is ended");
    assert!(find(sandbox, &id).await.is_none(), "a sandbox that was ended is not found");
    first.end().await.expect("ending a dead sandbox is no error");
    let second = start(sandbox, &id, true, program).await;
    first.end().await.expect("ending what was made again is no error");
    assert!(find(sandbox, &id).await.is_some(), "an old handle does not end the new sandbox");
    let deadline = Instant::now() + PATIENCE;
    while starts(&second).await != 2 {
        assert!(Instant::now() < deadline, "the program is started again with its home");
        sleep(Duration::from_millis(20)).await;
    }
    remove(sandbox, &id).await;
}

/// `find` knows exactly the living instances, and nothing of an id that was never used.
///
/// # Panics
/// When the rule does not hold.
pub async fn an_instance_is_found_under_its_id_until_it_is_removed(sandbox: &dyn Sandbox) {
    let id = instance_id();
    assert!(find(sandbox, &id).await.is_none(), "an id that was never used is not found");
    let made = ensure(sandbox, &id).await;
    assert_eq!(made.id(), &id, "an instance knows its id");
    let found = find(sandbox, &id).await.expect("an instance that was made is found");
    assert_eq!(found.id(), &id, "an instance that was found knows its id");
    remove(sandbox, &id).await;
    assert!(find(sandbox, &id).await.is_none(), "a removed instance is not found");
}

/// A second `ensure` makes nothing new: what was written before is still there.
///
/// # Panics
/// When the rule does not hold.
pub async fn ensuring_twice_gives_the_same_sandbox(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let first = ensure(sandbox, &id).await;
    write(&first, "kept", b"1").await;
    let second = ensure(sandbox, &id).await;
    assert_eq!(read(&second, "kept").await.as_deref(), Some(&b"1"[..]), "ensure keeps the workspace");
    write(&second, "new", b"2").await;
    assert_eq!(read(&first, "new").await.as_deref(), Some(&b"2"[..]), "both handles are one sandbox");
    remove(sandbox, &id).await;
}

/// After `remove`, old handles answer [`SandboxError::Gone`]; removing again is no error.
///
/// # Panics
/// When the rule does not hold.
pub async fn removing_is_final_for_old_handles(sandbox: &dyn Sandbox) {
    let id = instance_id();
    sandbox.remove(&id).await.expect("removing what is not there is no error");
    let instance = ensure(sandbox, &id).await;
    write(&instance, "a", b"1").await;
    remove(sandbox, &id).await;
    let a = path("a");
    assert_eq!(instance.read_file(&a).await, Err(SandboxError::Gone), "read after remove");
    assert_eq!(instance.write_file(&a, vec![1]).await, Err(SandboxError::Gone), "write after remove");
    assert_eq!(instance.delete_file(&a).await, Err(SandboxError::Gone), "delete after remove");
    sandbox.remove(&id).await.expect("removing twice is no error");
}

/// The same id can be used again after `remove`, and nothing of the old workspace is left.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_sandbox_that_is_made_again_works(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let first = ensure(sandbox, &id).await;
    write(&first, "old", b"1").await;
    remove(sandbox, &id).await;
    let second = ensure(sandbox, &id).await;
    assert_eq!(read(&second, "old").await, None, "a removed workspace does not come back");
    write(&second, "new", b"2").await;
    assert_eq!(read(&second, "new").await.as_deref(), Some(&b"2"[..]), "the new sandbox works");
    remove(sandbox, &id).await;
}

/// A file has exactly the bytes that were written, whatever they are.
///
/// # Panics
/// When the rule does not hold.
pub async fn what_is_written_is_read_back(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let instance = ensure(sandbox, &id).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = (0..300_000_u32).map(|index| (index % 251) as u8).collect();
    for content in [&b""[..], b"text\n", b"\r\n\0\n", &every_byte, &large, b"shorter again"] {
        let written = write(&instance, "dir/file", content).await;
        assert_eq!(written.1, content.len() as u64, "a write tells the size");
        assert_eq!(read(&instance, "dir/file").await.as_deref(), Some(content), "a write replaces the file");
    }
    assert_eq!(read(&instance, "dir/none").await, None, "a file that is not there reads as none");
    assert_eq!(read(&instance, "no/such/file").await, None, "nor when its directory is not there");
    remove(sandbox, &id).await;
}

/// A write says [`FileChange::Created`] for a new file, also after a deletion, else
/// [`FileChange::Modified`].
///
/// # Panics
/// When the rule does not hold.
pub async fn a_write_tells_created_from_modified(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let instance = ensure(sandbox, &id).await;
    for expected in [FileChange::Created, FileChange::Modified, FileChange::Modified] {
        assert_eq!(write(&instance, "a/b/c", b"same").await.0, expected, "create, then modify");
    }
    assert_eq!(delete(&instance, "a/b/c").await, Ok(true), "delete a file");
    assert_eq!(write(&instance, "a/b/c", b"same").await.0, FileChange::Created, "create after a deletion");
    remove(sandbox, &id).await;
}

/// `delete_file` is `true` exactly when a file was there.
///
/// # Panics
/// When the rule does not hold.
pub async fn deleting_tells_whether_there_was_a_file(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let instance = ensure(sandbox, &id).await;
    assert_eq!(delete(&instance, "a").await, Ok(false), "delete what was never there");
    assert_eq!(delete(&instance, "no/such/dir/a").await, Ok(false), "nor its directory");
    write(&instance, "a", b"1").await;
    assert_eq!(delete(&instance, "a").await, Ok(true), "delete a file");
    assert_eq!(read(&instance, "a").await, None, "a deleted file reads as none");
    assert_eq!(delete(&instance, "a").await, Ok(false), "delete it again");
    remove(sandbox, &id).await;
}

/// What takes a file answers [`SandboxError::NotAFile`] for a directory, and for a path through a file.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_file_is_no_directory_and_a_directory_no_file(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let instance = ensure(sandbox, &id).await;
    write(&instance, "dir/sub/file", b"1").await;
    for wrong in ["dir", "dir/sub", "dir/sub/file/below", "dir/sub/file/far/below"] {
        let wrong_path = path(wrong);
        let is_refused = |error: Option<SandboxError>| matches!(error, Some(SandboxError::NotAFile(_)));
        assert!(is_refused(instance.read_file(&wrong_path).await.err()), "read of {wrong}");
        assert!(is_refused(instance.write_file(&wrong_path, vec![2]).await.err()), "write of {wrong}");
        assert!(is_refused(instance.delete_file(&wrong_path).await.err()), "delete of {wrong}");
    }
    assert_eq!(read(&instance, "dir/sub/file").await.as_deref(), Some(&b"1"[..]), "nothing was changed");
    remove(sandbox, &id).await;
}

/// Names with spaces, other scripts, dots and signs of shells are names like all others.
///
/// # Panics
/// When the rule does not hold.
pub async fn unusual_names_are_kept_apart(sandbox: &dyn Sandbox) {
    const NAMES: &[&str] = &[
        "a b",
        "a  b",
        ".hidden",
        "...",
        "-rf",
        "$(id)",
        "`id`",
        "a'b",
        "a\"b",
        "a;b",
        "a&b|c",
        "*",
        "~",
        "%2e",
        "ünï",
        "日本語/文書.md",
        "a:b",
        "a\nb",
        "#",
    ];
    let id = instance_id();
    let instance = ensure(sandbox, &id).await;
    for name in NAMES {
        assert_eq!(write(&instance, name, name.as_bytes()).await.0, FileChange::Created, "{name:?}");
    }
    for name in NAMES {
        assert_eq!(read(&instance, name).await.as_deref(), Some(name.as_bytes()), "{name:?}");
        assert_eq!(delete(&instance, name).await, Ok(true), "{name:?}");
    }
    remove(sandbox, &id).await;
}

/// Two instances share nothing, and removing one leaves the other.
///
/// # Panics
/// When the rule does not hold.
pub async fn instances_are_isolated(sandbox: &dyn Sandbox) {
    let (one, two) = (instance_id(), instance_id());
    let first = ensure(sandbox, &one).await;
    let second = ensure(sandbox, &two).await;
    write(&first, "a", b"first").await;
    assert_eq!(read(&second, "a").await, None, "a file of one instance is not in another");
    write(&second, "a", b"second").await;
    assert_eq!(read(&first, "a").await.as_deref(), Some(&b"first"[..]), "nor overwritten by another");
    remove(sandbox, &one).await;
    assert_eq!(read(&second, "a").await.as_deref(), Some(&b"second"[..]), "the other one lives on");
    remove(sandbox, &two).await;
}

fn instance_id() -> InstanceId {
    InstanceId::from_suffix(&format!("testkit-{}", Uuid::now_v7().simple())).expect("an id")
}

fn path(text: &str) -> WorkspacePath {
    text.parse().expect("a path")
}

async fn ensure(sandbox: &dyn Sandbox, id: &InstanceId) -> Arc<dyn SandboxInstance> {
    let deployment = DeploymentId::from_suffix(id.suffix()).expect("an id");
    sandbox.ensure(SandboxRequest::new(id.clone(), deployment, false)).await.expect("a sandbox is made")
}

async fn ensure_persistent(sandbox: &dyn Sandbox, id: &InstanceId) -> Arc<dyn SandboxInstance> {
    let deployment = DeploymentId::from_suffix(id.suffix()).expect("an id");
    sandbox.ensure(SandboxRequest::new(id.clone(), deployment, true)).await.expect("a sandbox is made")
}

async fn start(
    sandbox: &dyn Sandbox,
    id: &InstanceId,
    persistent: bool,
    program: &Program,
) -> Arc<dyn SandboxInstance> {
    let deployment = DeploymentId::from_suffix(id.suffix()).expect("an id");
    let request = SandboxRequest::new(id.clone(), deployment, persistent).program(Some(program.clone()));
    sandbox.ensure(request).await.expect("a sandbox with a program is made")
}

/// Has the program end, and waits until it has.
async fn end(sandbox: &dyn Sandbox, instance: &Arc<dyn SandboxInstance>) {
    // Once this is there, the program has done all else.
    eventually(instance, "environment").await;
    write(instance, "end", b"").await;
    let deadline = Instant::now() + PATIENCE;
    while find(sandbox, instance.id()).await.is_some() {
        assert!(Instant::now() < deadline, "a sandbox whose program has ended is not found");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The file, once it is there.
async fn eventually(instance: &Arc<dyn SandboxInstance>, name: &str) -> Vec<u8> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(content) = read(instance, name).await {
            return content;
        }
        assert!(Instant::now() < deadline, "the program writes {name}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// How often the program was started since its home was made.
async fn starts(instance: &Arc<dyn SandboxInstance>) -> usize {
    eventually(instance, "environment").await;
    let starts = read(instance, "starts").await.expect("the program has written its starts");
    starts.iter().filter(|byte| **byte == b'\n').count()
}

async fn find(sandbox: &dyn Sandbox, id: &InstanceId) -> Option<Arc<dyn SandboxInstance>> {
    sandbox.find(id).await.expect("a sandbox is looked for")
}

async fn remove(sandbox: &dyn Sandbox, id: &InstanceId) {
    sandbox.remove(id).await.expect("a sandbox is removed");
}

async fn write(instance: &Arc<dyn SandboxInstance>, name: &str, content: &[u8]) -> (FileChange, u64) {
    let written = instance.write_file(&path(name), content.to_vec()).await.expect("a file is written");
    (written.change, written.size)
}

async fn read(instance: &Arc<dyn SandboxInstance>, name: &str) -> Option<Vec<u8>> {
    instance.read_file(&path(name)).await.expect("a file is read")
}

async fn delete(instance: &Arc<dyn SandboxInstance>, name: &str) -> Result<bool, SandboxError> {
    instance.delete_file(&path(name)).await
}
