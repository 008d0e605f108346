//! The conformance suite of [`Hosting`].
//!
//! Run [`conforms`] on an implementation, or the checks one by one to see which rule fails, and
//! [`conforms_after_a_restart`] where sandboxes outlive the gateway. A check makes instances with ids of its own and
//! removes them at its end. Every check panics when the rule does not hold, with a text that names the rule.
//!
//! The sandbox needs a shell, the usual commands of a Unix, and `python3`.

mod archives;
mod executions;

use std::{
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use prism_types::{DeploymentId, InstanceId};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use crate::{
    domain::workspace::WorkspacePath,
    ports::{
        Command, CommandStatus, Connection, Exit, Hosting, OutputLine, OutputStream, Sandbox, SandboxError,
        SandboxListener,
    },
};

pub use self::{archives::*, executions::*};

/// How long a command may take to do what a check waits for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it is looked that something does not happen, at most.
const GLANCE: Duration = Duration::from_millis(300);
/// A line for a command that does not end.
const ENDLESS: &str = "echo ready; exec sleep 1000";

/// Runs every check. It sets the listener of the sandbox.
///
/// # Panics
/// When the sandbox breaks a rule of the port.
pub async fn conforms(sandbox: &dyn Sandbox) {
    // The first, since a listener is set before anything is made.
    the_end_of_a_command_is_told(sandbox).await;
    a_command_is_started_once_for_each_token(sandbox).await;
    a_command_that_nobody_can_start_is_refused(sandbox).await;
    the_end_of_a_command_has_the_status_of_a_shell(sandbox).await;
    what_a_command_leaves_behind_ends_with_it(sandbox).await;
    a_command_has_the_environment_that_was_asked_for_and_no_other(sandbox).await;
    a_command_starts_in_its_directory(sandbox).await;
    output_is_told_line_by_line_and_resumed_anywhere(sandbox).await;
    output_is_told_while_it_is_written(sandbox).await;
    endless_output_is_bounded(sandbox).await;
    a_command_is_asked_to_end_and_then_ended(sandbox).await;
    the_workspace_is_kept_from_command_to_command(sandbox).await;
    a_copied_workspace_has_what_was_installed(sandbox).await;
    a_program_is_executed_beside_a_command(sandbox).await;
    a_program_has_its_time_and_leaves_what_it_started(sandbox).await;
    a_program_reads_its_input(sandbox).await;
    a_program_waits_for_whoever_reads(sandbox).await;
    a_workspace_in_use_is_copied(sandbox).await;
    what_is_on_the_disk_is_told(sandbox).await;
    a_port_is_reached_once_somebody_listens(sandbox).await;
    removing_ends_a_command_and_all_that_it_started(sandbox).await;
    an_archive_becomes_the_workspace(sandbox).await;
}

/// Runs every check of sandboxes that outlive the gateway: `after` is another value for the same sandboxes as `before`,
/// made as the next gateway makes it.
///
/// # Panics
/// When the sandbox breaks a rule of the port.
pub async fn conforms_after_a_restart(before: &dyn Sandbox, after: &dyn Sandbox) {
    let id = instance_id();
    let line = "for i in $(seq 50); do echo line $i; done; while [ ! -e go ]; do sleep 0.02; done; \
                echo more; exit 9";
    start(before, command(&id, "t1", line)).await;
    let first = read_lines(before, &id, "t1", None, 20).await;
    start(after, command(&id, "t1", line)).await;
    assert_eq!(status(after, &id).await, running("t1"), "the next gateway finds the command");
    let place = first.last().map(|line| line.place.clone());
    let more = read_lines(after, &id, "t1", place.as_deref(), 30).await;
    let texts = texts(&first).into_iter().chain(texts(&more)).collect::<Vec<_>>();
    let expected: Vec<_> = (1..=50).map(|i| format!("line {i}")).collect();
    assert_eq!(texts, expected, "output is resumed at the next gateway without a gap or a repeat");
    write(after, &id, "go").await;
    assert_eq!(ended(after, &id).await, Exit::Code(9), "and has the status of its end");
    let place = more.last().map(|line| line.place.clone());
    assert_eq!(self::texts(&rest(after, &id, "t1", place.as_deref()).await), ["more"]);
    start(after, command(&id, "t1", line)).await;
    assert_eq!(ended(after, &id).await, Exit::Code(9), "its token is known when it has ended");
    start(after, command(&id, "t2", ENDLESS)).await;
    read_lines(after, &id, "t2", None, 1).await;
    after.remove(&id).await.expect("it is removed");
    assert_eq!(status(before, &id).await, None);
}

/// The listener is told that a command ended, and not when somebody ended it.
///
/// # Panics
/// When the rule does not hold.
pub async fn the_end_of_a_command_is_told(sandbox: &dyn Sandbox) {
    #[derive(Default)]
    struct Deaths(Mutex<Vec<InstanceId>>);
    impl Deaths {
        fn has(&self, id: &InstanceId) -> bool {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
        }
    }
    impl SandboxListener for Deaths {
        fn died(&self, id: &InstanceId) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
        }
    }
    let deaths = Arc::new(Deaths::default());
    sandbox.set_listener(deaths.clone());
    let (stopped, removed, ending) = (instance_id(), instance_id(), instance_id());
    for id in [&stopped, &removed] {
        start(sandbox, command(id, "t", ENDLESS)).await;
    }
    hosting(sandbox).stop(&stopped, PATIENCE).await.expect("it is stopped");
    sandbox.remove(&removed).await.expect("it is removed");
    start(sandbox, command(&ending, "t", "exit 4")).await;
    until("the end of a command is told", async || deaths.has(&ending)).await;
    assert_eq!(status(sandbox, &ending).await, exited("t", 4), "its status is known when it is told");
    assert!(!deaths.has(&removed), "a removal is not told");
    assert!(!deaths.has(&stopped), "that it was asked to end is not told");
    remove(sandbox, &[&stopped, &ending]).await;
}

/// A start with the token of the last command does nothing, whether that runs or has ended; another token ends it.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_command_is_started_once_for_each_token(sandbox: &dyn Sandbox) {
    let id = instance_id();
    assert_eq!(status(sandbox, &id).await, None, "nothing is known of what never was");
    let one =
        command(&id, "one", "echo x >> starts; trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    let starts = (0..4).map(|_| start(sandbox, one.clone()));
    futures::future::join_all(starts).await;
    read_lines(sandbox, &id, "one", None, 1).await;
    start(sandbox, one).await;
    assert_eq!(status(sandbox, &id).await, running("one"));
    assert!(
        sandbox.find(&id).await.expect("it is looked for").is_some(),
        "a sandbox with a command is alive"
    );

    start(sandbox, command(&id, "two", "cat starts; exit 5")).await;
    assert_eq!(ended(sandbox, &id).await, Exit::Code(5));
    let lines = rest(sandbox, &id, "two", None).await;
    assert_eq!(texts(&lines), ["x"], "a token is started once, and another one replaces it");
    assert!(rest(sandbox, &id, "one", None).await.is_empty(), "nothing is left of the one that was replaced");
    start(sandbox, command(&id, "two", "echo y >> starts")).await;
    assert_eq!(status(sandbox, &id).await, exited("two", 5), "nor is one that has ended started again");
    assert!(sandbox.find(&id).await.expect("it is looked for").is_none(), "it is not alive");
    let workspace = sandbox.workspace(&id).await.expect("it is looked for").expect("there is a workspace");
    let file = workspace.stat(&path("starts")).await.expect("it is looked for").expect("there is a file");
    assert_eq!(file.size, 2, "the workspace is there when the command has ended");
    remove(sandbox, &[&id]).await;
}

/// A token or an environment that no system takes is refused, and a secret in it not told.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_command_that_nobody_can_start_is_refused(sandbox: &dyn Sandbox) {
    let id = instance_id();
    for token in ["", "a b", &"a".repeat(65)] {
        let refused = hosting(sandbox).start(command(&id, token, "true")).await;
        assert!(refused.is_err(), "{token:?} is no token");
    }
    let mut wrong = command(&id, "t", "true");
    wrong.environment.insert("NAME".to_owned(), "secret\0value".to_owned());
    let refused = hosting(sandbox).start(wrong).await.expect_err("no variable has a NUL byte");
    assert!(!refused.to_string().contains("secret"), "a value is not told: {refused}");
    assert_eq!(status(sandbox, &id).await, None);
    remove(sandbox, &[&id]).await;
}

/// A line is the shell's, whatever is in it, and its status is as a shell has it.
///
/// # Panics
/// When the rule does not hold.
pub async fn the_end_of_a_command_has_the_status_of_a_shell(sandbox: &dyn Sandbox) {
    let id = instance_id();
    for (index, (line, code)) in [
        ("true", 0),
        ("false || exit 7", 7),
        ("exit 255", 255),
        ("no-such-command-anywhere", 127),
        ("-no-option", 127),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("sh -c 'kill -INT $$'; exit 1", 1),
        ("x=\"a'b\"\n[ \"$x\" = \"a'b\" ] && exit 3 # ünï", 3),
    ]
    .into_iter()
    .enumerate()
    {
        let token = format!("t{index}");
        start(sandbox, command(&id, &token, line)).await;
        assert_eq!(ended(sandbox, &id).await, Exit::Code(code), "the status of {line:?}");
    }
    remove(sandbox, &[&id]).await;
}

/// A command has ended when its line has: what it started in the background does not keep it.
///
/// # Panics
/// When the rule does not hold.
pub async fn what_a_command_leaves_behind_ends_with_it(sandbox: &dyn Sandbox) {
    let id = instance_id();
    start(sandbox, command(&id, "t", "(while :; do date > beat; sleep 0.02; done) & echo started; exit 0"))
        .await;
    assert_eq!(ended(sandbox, &id).await, Exit::Code(0));
    assert_eq!(texts(&rest(sandbox, &id, "t", None).await), ["started"]);
    remove(sandbox, &[&id]).await;
}

/// A command finds its own variables and those of the sandbox, and none of the gateway's.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_command_has_the_environment_that_was_asked_for_and_no_other(sandbox: &dyn Sandbox) {
    const GIVEN: (&str, &str) = ("TESTKIT_GIVEN", "a b=$(id) 'c' \"d\" ünï");
    let id = instance_id();
    let mut wanted =
        command(&id, "t", "pwd -P; env; [ -w \"$HOME\" ] && [ -w \"$TMPDIR\" ] && echo writable");
    wanted.environment.insert(GIVEN.0.to_owned(), GIVEN.1.to_owned());
    wanted.environment.insert("HOME".to_owned(), "/".to_owned());
    start(sandbox, wanted).await;
    let lines = texts(&rest(sandbox, &id, "t", None).await);
    let value = |name: &str| {
        let mut variables = lines.iter().filter_map(|line| line.split_once('='));
        variables.find_map(|(found, value)| (found == name).then_some(value))
    };
    assert_eq!(value(GIVEN.0), Some(GIVEN.1), "a variable is given as it is");
    let workspace = value("PRISM_WORKSPACE").expect("PRISM_WORKSPACE is set");
    assert_eq!(lines.first().map(String::as_str), Some(workspace), "it starts in the workspace");
    let home = value("HOME").expect("HOME is set");
    assert!(home.starts_with(&format!("{workspace}/")), "HOME lies in the workspace: {home}");
    assert!(value("PATH").is_some() && value("LANG").is_some(), "PATH and LANG are set");
    assert_eq!(lines.last().map(String::as_str), Some("writable"), "HOME and TMPDIR are there");
    for name in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
        assert_eq!(value(name), None, "{name} of the gateway is not for the command");
    }
    remove(sandbox, &[&id]).await;
}

/// The working directory is made where it is missing.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_command_starts_in_its_directory(sandbox: &dyn Sandbox) {
    let id = instance_id();
    for token in ["made", "there"] {
        let mut wanted = command(&id, token, "pwd -P; echo \"$PRISM_WORKSPACE\"; touch written");
        wanted.directory = Some(path("a b/-c"));
        start(sandbox, wanted).await;
        let lines = texts(&rest(sandbox, &id, token, None).await);
        assert_eq!(lines.first(), lines.last().map(|workspace| format!("{workspace}/a b/-c")).as_ref());
        assert_eq!(ended(sandbox, &id).await, Exit::Code(0), "it belongs to the command");
    }
    remove(sandbox, &[&id]).await;
}

/// Lines come in the order of their stream, as bytes, cut at 16 KiB; after each place exactly those that follow it.
///
/// # Panics
/// When the rule does not hold.
pub async fn output_is_told_line_by_line_and_resumed_anywhere(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let line = r#"
        for i in 1 2 3 4 5 6 7 8; do echo "out $i"; echo "error $i" >&2; done
        echo; printf 'a\377b\r\n'
        head -c 40000 /dev/zero | tr '\0' x; echo
        head -c 16384 /dev/zero | tr '\0' y; echo
        printf 'no end'
    "#;
    start(sandbox, command(&id, "t", line)).await;
    let all = rest(sandbox, &id, "t", None).await;
    let of = |stream| -> Vec<Vec<u8>> {
        all.iter().filter(|line| line.stream == stream).map(|line| line.text.to_vec()).collect()
    };
    let mut expected: Vec<Vec<u8>> = (1..=8).map(|i| format!("out {i}").into_bytes()).collect();
    expected.extend([Vec::new(), b"a\xffb\r".to_vec()]);
    expected.extend([16384, 16384, 40000 - 2 * 16384].map(|length| vec![b'x'; length]));
    expected.extend([vec![b'y'; 16384], b"no end".to_vec()]);
    let out = of(OutputStream::Out);
    assert_eq!(out.len(), expected.len(), "each line is told once");
    for (index, (told, expected)) in out.iter().zip(&expected).enumerate() {
        assert!(told == expected, "line {index} is told as it was written");
    }
    let errors: Vec<Vec<u8>> = (1..=8).map(|i| format!("error {i}").into_bytes()).collect();
    assert_eq!(of(OutputStream::Error), errors, "the streams are told apart");
    for (index, line) in all.iter().enumerate() {
        let after = rest(sandbox, &id, "t", Some(&line.place)).await;
        let told: Vec<_> = after.iter().map(|line| (line.stream, &line.text)).collect();
        for stream in [OutputStream::Out, OutputStream::Error] {
            let told: Vec<_> = told.iter().filter(|line| line.0 == stream).collect();
            let expected: Vec<_> = all[index + 1..].iter().filter(|line| line.stream == stream).collect();
            assert_eq!(told.len(), expected.len(), "after line {index} there is neither gap nor repeat");
            assert!(told.iter().zip(&expected).all(|(told, line)| *told.1 == line.text));
        }
    }
    let wrong = hosting(sandbox).output(&id, "t", Some("no place")).await;
    assert!(wrong.is_err(), "what is no place is refused");
    assert!(rest(sandbox, &id, "other", None).await.is_empty(), "another command has written nothing");
    remove(sandbox, &[&id]).await;
    assert!(rest(sandbox, &id, "t", None).await.is_empty(), "nothing is left of what was removed");
}

/// Whoever follows is told what is written, waits while nothing is, and is told of the end.
///
/// # Panics
/// When the rule does not hold.
pub async fn output_is_told_while_it_is_written(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let line =
        "echo first; for name in a b; do while [ ! -e $name ]; do sleep 0.02; done; echo saw $name >&2; done";
    start(sandbox, command(&id, "t", line)).await;
    let mut output = hosting(sandbox).output(&id, "t", None).await.expect("the output is told");
    assert_eq!(next(&mut output).await.expect("there is a line").text, "first");
    assert!(timeout(GLANCE, output.next()).await.is_err(), "the output goes on while the command runs");
    for name in ["a", "b"] {
        write(sandbox, &id, name).await;
        assert_eq!(next(&mut output).await.expect("there is a line").text, format!("saw {name}"));
    }
    assert!(next(&mut output).await.is_none(), "the output ends with the command");
    remove(sandbox, &[&id]).await;
}

/// Of much output at least the last mebibyte is kept, and not all of it; whoever follows without pause gets on.
///
/// # Panics
/// When the rule does not hold.
pub async fn endless_output_is_bounded(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let line = "head -c 12000000 /dev/zero | tr '\\0' x | fold -w 99; echo; echo the end";
    start(sandbox, command(&id, "t", line)).await;
    ended(sandbox, &id).await;
    let kept = async || rest(sandbox, &id, "t", None).await;
    until("much output is shortened", async || {
        kept().await.iter().map(|line| line.text.len() + 1).sum::<usize>() < 10 << 20
    })
    .await;
    let kept = kept().await;
    assert!(
        kept.iter().map(|line| line.text.len() + 1).sum::<usize>() >= 1 << 20,
        "the last mebibyte is kept"
    );
    assert_eq!(kept.last().expect("there is output").text, "the end");
    let whole = kept.iter().rev().skip(2).take(5_000).all(|line| line.text.len() == 99);
    assert!(whole, "the lines that are kept are whole");

    start(sandbox, command(&id, "endless", "yes $(seq 20 50)")).await;
    let lines = read_lines(sandbox, &id, "endless", None, 5_000).await;
    assert!(lines.iter().all(|line| line.text.starts_with(b"20 21 ")), "lines are whole");
    hosting(sandbox).stop(&id, PATIENCE).await.expect("it is stopped");
    let place = lines.last().map(|line| line.place.clone());
    rest(sandbox, &id, "endless", place.as_deref()).await;
    remove(sandbox, &[&id]).await;
}

/// `stop` lets a command end by itself, and ends one that does not; then nothing runs, and the sandbox stays.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_command_is_asked_to_end_and_then_ended(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let stop = async |grace| hosting(sandbox).stop(&id, grace).await.expect("it is stopped");
    stop(PATIENCE).await;
    for (token, line, grace, code) in [
        ("gentle", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done", PATIENCE, 3),
        // What the shell has started has its grace, also where it is not the shell that ends.
        (
            "parent",
            "sh -c 'trap \"sleep 0.3; echo bye; exit 3\" TERM; echo ready; while :; do sleep 0.05; done'; true",
            PATIENCE,
            143,
        ),
        ("default", "echo ready; sleep 1000", PATIENCE, 143),
        ("deaf", "trap '' TERM; echo ready; while :; do sleep 0.05; done", GLANCE, 137),
        ("halted", "echo ready; kill -STOP $$; sleep 1000", GLANCE, 137),
    ] {
        start(sandbox, command(&id, token, line)).await;
        read_lines(sandbox, &id, token, None, 1).await;
        let begun = Instant::now();
        stop(grace).await;
        assert!(begun.elapsed() < PATIENCE / 2, "{token} ends in time");
        assert_eq!(status(sandbox, &id).await, exited(token, code), "the end of {token} is known");
        let lines = texts(&rest(sandbox, &id, token, None).await);
        // The shell may have told of a child of its own that was asked as well.
        let is_polite = ["gentle", "parent"].contains(&token);
        assert_eq!(lines.contains(&"bye".to_owned()), is_polite, "what {token} writes is told");
        stop(grace).await;
    }
    remove(sandbox, &[&id]).await;
}

/// What an installation left in the workspace and in the home is there for the next command.
///
/// # Panics
/// When the rule does not hold.
pub async fn the_workspace_is_kept_from_command_to_command(sandbox: &dyn Sandbox) {
    let id = instance_id();
    start(sandbox, command(&id, "install", INSTALL)).await;
    assert_eq!(ended(sandbox, &id).await, Exit::Code(0), "the installation ends");
    start(sandbox, command(&id, "run", RUN)).await;
    assert_eq!(texts(&rest(sandbox, &id, "run", None).await), ["from home", "from the workspace"]);
    remove(sandbox, &[&id]).await;
}

/// A copy of a workspace has the home with it, and works without the original.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_copied_workspace_has_what_was_installed(sandbox: &dyn Sandbox) {
    let (from, to) = (instance_id(), instance_id());
    start(sandbox, command(&from, "install", INSTALL)).await;
    assert_eq!(ended(sandbox, &from).await, Exit::Code(0));
    sandbox.copy_workspace(&from, &to).await.expect("the workspace is copied");
    sandbox.remove(&from).await.expect("the original is removed");
    assert_eq!(status(sandbox, &to).await, None, "a copy has no command");
    start(sandbox, command(&to, "run", RUN)).await;
    assert_eq!(texts(&rest(sandbox, &to, "run", None).await), ["from home", "from the workspace"]);
    remove(sandbox, &[&to]).await;
}

/// The room that files take is told, whoever wrote them, and of much of it that it is more than was asked for.
///
/// # Panics
/// When the rule does not hold.
pub async fn what_is_on_the_disk_is_told(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let used = async |most| hosting(sandbox).disk_usage(&id, most).await.expect("the disk is seen");
    assert_eq!(used(u64::MAX).await, 0, "a sandbox that is not there has none");
    start(sandbox, command(&id, "t", ENDLESS)).await;
    read_lines(sandbox, &id, "t", None, 1).await;
    let empty = used(u64::MAX).await;
    assert!(empty < 1 << 20, "nothing takes hardly any: {empty}");
    let line = "mkdir -p a/b && chmod 700 a && head -c 3145728 /dev/urandom > a/b/file && sync a/b/file; \
                ln -s /usr link; truncate -s 1T hole; ln a/b/file again; exec sleep 1000";
    start(sandbox, command(&id, "more", line)).await;
    until("it is written", async || used(u64::MAX).await >= empty + (3 << 20)).await;
    let full = used(u64::MAX).await;
    assert!(full < empty + (4 << 20), "links and holes take no room: {full}");
    assert!(used(1 << 20).await > 1 << 20, "more than it may be is told as such");
    hosting(sandbox).stop(&id, Duration::ZERO).await.expect("it is stopped");
    assert!(used(u64::MAX).await >= 3 << 20, "files are there when nothing runs");
    remove(sandbox, &[&id]).await;
    assert_eq!(used(u64::MAX).await, 0, "and gone with the sandbox");
}

const INSTALL: &str = "mkdir -p \"$HOME/bin\" vendor; printf '#!/bin/sh\\necho from home\\n' > \"$HOME/bin/tool\"; \
                       chmod +x \"$HOME/bin/tool\"; echo from the workspace > vendor/data";
const RUN: &str = "\"$HOME/bin/tool\"; cat vendor/data";

/// A connection is refused until somebody listens, works then, and ends with the command.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_port_is_reached_once_somebody_listens(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let port = free_port();
    let connect = async || hosting(sandbox).connect(&id, port).await;
    assert_eq!(connect().await.err(), Some(SandboxError::Gone), "nothing runs yet");
    let line = format!(
        "while [ ! -e go ]; do sleep 0.02; done; exec python3 -m http.server {port} --bind 127.0.0.1"
    );
    start(sandbox, command(&id, "t", &line)).await;
    assert_eq!(connect().await.err(), Some(SandboxError::Refused(port)), "nobody listens yet");
    write(sandbox, &id, "go").await;
    until("the port is reached", async || match connect().await {
        Ok(_) => true,
        Err(SandboxError::Refused(_)) => false,
        Err(error) => panic!("{error}"),
    })
    .await;
    let requests = (0..4).map(|_| async {
        let mut connection = connect().await.expect("the port is reached");
        get(&mut connection).await
    });
    for answer in futures::future::join_all(requests).await {
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.contains(">go</a>"), "{answer}");
    }
    hosting(sandbox).stop(&id, GLANCE).await.expect("it is stopped");
    assert_eq!(connect().await.err(), Some(SandboxError::Gone), "nothing runs any more");
    remove(sandbox, &[&id]).await;
}

/// A removal ends whatever runs and leaves nothing, whoever was following.
///
/// # Panics
/// When the rule does not hold.
pub async fn removing_ends_a_command_and_all_that_it_started(sandbox: &dyn Sandbox) {
    let id = instance_id();
    start(sandbox, command(&id, "t", "trap '' TERM HUP; (sleep 1000 &); echo ready; sleep 1000; sleep 1000"))
        .await;
    let mut output = hosting(sandbox).output(&id, "t", None).await.expect("the output is told");
    assert!(next(&mut output).await.is_some());
    sandbox.remove(&id).await.expect("it is removed");
    // The end, or an error: there is nothing more to tell.
    while let Some(line) = timeout(PATIENCE, output.next()).await.expect("the output ends") {
        if line.is_err() {
            break;
        }
    }
    assert_eq!(status(sandbox, &id).await, None, "nothing is known of what was removed");
    assert!(sandbox.workspace(&id).await.expect("it is looked for").is_none());
    assert!(!sandbox.list().await.expect("sandboxes are listed").contains(&id));
    hosting(sandbox).stop(&id, GLANCE).await.expect("there is nothing to stop");
    remove(sandbox, &[&id]).await;
}

fn hosting(sandbox: &dyn Sandbox) -> &dyn Hosting {
    sandbox.hosting().expect("these sandboxes run commands")
}

fn instance_id() -> InstanceId {
    InstanceId::from_suffix(&format!("testkit-{}", Uuid::now_v7().simple())).expect("an id")
}

fn deployment_of(id: &InstanceId) -> DeploymentId {
    DeploymentId::from_suffix(id.suffix()).expect("an id")
}

fn path(text: &str) -> WorkspacePath {
    text.parse().expect("a path")
}

fn command(id: &InstanceId, token: &str, line: &str) -> Command {
    Command::new(id.clone(), deployment_of(id), token, line)
}

#[allow(clippy::unnecessary_wraps, reason = "what a status is compared with")]
fn running(token: &str) -> Option<CommandStatus> {
    Some(CommandStatus { token: token.to_owned(), exit: None })
}

#[allow(clippy::unnecessary_wraps, reason = "what a status is compared with")]
fn exited(token: &str, code: i32) -> Option<CommandStatus> {
    Some(CommandStatus { token: token.to_owned(), exit: Some(Exit::Code(code)) })
}

async fn start(sandbox: &dyn Sandbox, command: Command) {
    hosting(sandbox).start(command).await.expect("a command is started");
}

async fn status(sandbox: &dyn Sandbox, id: &InstanceId) -> Option<CommandStatus> {
    hosting(sandbox).status(id).await.expect("the status is told")
}

/// How the command ends.
async fn ended(sandbox: &dyn Sandbox, id: &InstanceId) -> Exit {
    let exit = async || status(sandbox, id).await.expect("there is a command").exit;
    until("the command ends", async || exit().await.is_some()).await;
    exit().await.expect("it has ended")
}

/// The first lines.
async fn read_lines(
    sandbox: &dyn Sandbox,
    id: &InstanceId,
    token: &str,
    after: Option<&str>,
    count: usize,
) -> Vec<OutputLine> {
    let mut output = hosting(sandbox).output(id, token, after).await.expect("the output is told");
    let mut lines = Vec::new();
    while lines.len() < count {
        lines.push(next(&mut output).await.expect("there is a line"));
    }
    lines
}

/// All lines, up to the end of the command.
async fn rest(sandbox: &dyn Sandbox, id: &InstanceId, token: &str, after: Option<&str>) -> Vec<OutputLine> {
    let mut output = hosting(sandbox).output(id, token, after).await.expect("the output is told");
    let mut lines = Vec::new();
    while let Some(line) = next(&mut output).await {
        lines.push(line);
    }
    lines
}

async fn next(
    output: &mut (impl futures::Stream<Item = Result<OutputLine, SandboxError>> + Unpin),
) -> Option<OutputLine> {
    let line = timeout(PATIENCE, output.next()).await.expect("the output goes on in time");
    line.map(|line| line.expect("the output is told"))
}

fn texts(lines: &[OutputLine]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
}

/// Makes an empty file in the workspace of a running command.
async fn write(sandbox: &dyn Sandbox, id: &InstanceId, name: &str) {
    let living = sandbox.find(id).await.expect("it is looked for").expect("the command runs");
    living.write_file(&path(name), Vec::new()).await.expect("a file is written");
}

async fn get(connection: &mut Box<dyn Connection>) -> String {
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("a request is sent");
    let mut answer = String::new();
    let read = timeout(PATIENCE, connection.read_to_string(&mut answer)).await.expect("an answer in time");
    read.expect("an answer is read");
    answer
}

/// A port that nothing on this machine listens at.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is found");
    listener.local_addr().expect("it has an address").port()
}

async fn remove(sandbox: &dyn Sandbox, ids: &[&InstanceId]) {
    for id in ids {
        sandbox.remove(id).await.expect("a sandbox is removed");
    }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "{what} in time");
        sleep(Duration::from_millis(20)).await;
    }
}
