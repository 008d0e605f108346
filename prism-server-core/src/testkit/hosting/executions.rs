//! What is executed beside a command.

use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, SinkExt as _, StreamExt, channel::mpsc, future::join_all, stream};
use prism_types::InstanceId;
use tokio::time::timeout;

use super::{
    ENDLESS, GLANCE, PATIENCE, command, hosting, instance_id, path, remove, rest, running, start, status,
    texts,
};
use crate::ports::{Executed, Execution, Exit, OutputStream, Sandbox, SandboxError};

/// A program that is executed has the command's environment and its own, and tells what it writes and how it ends.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_program_is_executed_beside_a_command(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let nowhere = hosting(sandbox).execute(&id, execution("true")).await.err();
    assert_eq!(nowhere, Some(SandboxError::Gone), "nothing runs yet");
    let mut wanted = command(&id, "t", ENDLESS);
    for name in ["KEPT", "REPLACED"] {
        wanted.environment.insert(name.to_owned(), "the command's".to_owned());
    }
    start(sandbox, wanted).await;
    let line = "echo \"$KEPT, $REPLACED\"; echo to the other >&2; mkdir -p in; cat; exit 3";
    let mut wanted = execution(line);
    wanted.environment.insert("REPLACED".to_owned(), "its own\n".to_owned());
    let told = execute(sandbox, &id, wanted).await;
    assert_eq!(told, ("the command's, its own\n\n".to_owned(), "to the other\n".to_owned(), Exit::Code(3)));
    let mut wanted = Execution::new(vec!["sh".to_owned(), "-c".to_owned(), "pwd".to_owned()], PATIENCE);
    wanted.directory = Some(path("in"));
    let (directory, _, exit) = execute(sandbox, &id, wanted).await;
    assert!(
        directory.ends_with("/in\n") && exit == Exit::Code(0),
        "it is executed in its directory: {directory}"
    );
    let large = execute(sandbox, &id, execution("head -c 3000000 /dev/zero")).await;
    assert_eq!((large.0.len(), large.2), (3_000_000, Exit::Code(0)), "all that it writes is told");
    let several = (0..8).map(|index| execute(sandbox, &id, execution(&format!("echo {index}"))).boxed());
    for (index, told) in join_all(several).await.into_iter().enumerate() {
        assert_eq!(told.0, format!("{index}\n"), "several are executed at a time");
    }
    let missing = Execution::new(vec!["no-such-program".to_owned(), "-x".to_owned()], PATIENCE);
    let (_, errors, exit) = execute(sandbox, &id, missing).await;
    assert!(exit == Exit::Code(127) && errors.contains("no-such-program"), "{errors}");
    let mut astray = execution("true");
    astray.directory = Some(path("missing"));
    assert_ne!(execute(sandbox, &id, astray).await.2, Exit::Code(0), "the directory has to be there");
    let (nameless, broken) = (Execution::new(Vec::new(), PATIENCE), execution("a\0b"));
    for wrong in [nameless, broken] {
        assert!(hosting(sandbox).execute(&id, wrong).await.is_err(), "what no system takes is refused");
    }
    assert_eq!(status(sandbox, &id).await, running("t"), "the command is as it was");
    remove(sandbox, &[&id]).await;
    let gone = hosting(sandbox).execute(&id, execution("true")).await.err();
    assert_eq!(gone, Some(SandboxError::Gone), "nothing runs any more");
}

/// A program ends with its time, and what it left in the background with the command.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_program_has_its_time_and_leaves_what_it_started(sandbox: &dyn Sandbox) {
    let id = instance_id();
    start(sandbox, command(&id, "t", ENDLESS)).await;
    let mut endless = execution("echo begun; sleep 1000; echo never");
    endless.time = Duration::from_secs(1);
    assert_eq!(execute(sandbox, &id, endless).await, ("begun\n".to_owned(), String::new(), Exit::Code(124)));
    let mut stubborn = execution("trap '' TERM; sleep 1000; sleep 1000");
    stubborn.time = Duration::from_secs(1);
    assert_eq!(execute(sandbox, &id, stubborn).await.2, Exit::Code(137));
    let line = "(while :; do date > beat; sleep 0.02; done) & echo $!";
    let (number, _, exit) = execute(sandbox, &id, execution(line)).await;
    assert_eq!(exit, Exit::Code(0), "what it left does not keep it");
    for pause in ["", "sleep 0.05"] {
        let line = format!("(while :; do echo noise; {pause}; done) & echo $! > noisy");
        let (_, _, exit) = execute(sandbox, &id, execution(&line.replace("; ;", ";"))).await;
        assert_eq!(exit, Exit::Code(0), "nor does what it left that writes");
        execute(sandbox, &id, execution("kill -9 $(cat noisy)")).await;
    }
    let lives = format!("kill -0 {}", number.trim());
    assert_eq!(execute(sandbox, &id, execution(&lives)).await.2, Exit::Code(0), "and lives on");
    hosting(sandbox).stop(&id, GLANCE).await.expect("it is stopped");
    start(sandbox, command(&id, "again", ENDLESS)).await;
    execute(sandbox, &id, execution("rm beat")).await;
    let beats = "sleep 0.3; [ -e beat ]";
    assert_eq!(execute(sandbox, &id, execution(beats)).await.2, Exit::Code(1), "until the command has ended");
    remove(sandbox, &[&id]).await;
}

/// A program reads its input as it comes, until that ends; with the stream it ends, too.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_program_reads_its_input(sandbox: &dyn Sandbox) {
    let id = instance_id();
    start(sandbox, command(&id, "t", ENDLESS)).await;
    let (mut sender, input) = mpsc::channel(0);
    let mut talking = execution("while read -r line; do echo \"<$line>\"; done; exit 4");
    talking.input = Some(input.boxed());
    let mut events = hosting(sandbox).execute(&id, talking).await.expect("it is executed");
    for word in ["one", "two"] {
        sender.send(format!("{word}\n").into()).await.expect("it is taken");
        let mut told = String::new();
        while told != format!("<{word}>\n") {
            let event = timeout(PATIENCE, events.next()).await.expect("it answers in time");
            let Some(Ok(Executed::Wrote(OutputStream::Out, bytes))) = event else { panic!("{event:?}") };
            told.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    drop(sender);
    let ended = timeout(PATIENCE, events.next()).await.expect("it ends with its input");
    assert_eq!(ended, Some(Ok(Executed::Ended(Exit::Code(4)))));
    let large = stream::iter(std::iter::repeat_n(Bytes::from(vec![b'x'; 100_000]), 30));
    let mut counting = execution("wc -c");
    counting.input = Some(large.boxed());
    assert_eq!(execute(sandbox, &id, counting).await.0, "3000000\n", "all of it is read");
    let mut deaf = execution("exit 5");
    deaf.input = Some(stream::repeat(Bytes::from_static(&[b'x'; 4096])).boxed());
    assert_eq!(
        execute(sandbox, &id, deaf).await.2,
        Exit::Code(5),
        "one that does not read ends all the same"
    );
    let mut left = execution("echo begun; cat; echo it is over > over");
    left.input = Some(stream::pending().boxed());
    let mut events = hosting(sandbox).execute(&id, left).await.expect("it is executed");
    let begun = timeout(PATIENCE, events.next()).await.expect("it begins in time");
    assert!(matches!(begun, Some(Ok(Executed::Wrote(OutputStream::Out, _)))), "{begun:?}");
    drop(events);
    let over = execute(sandbox, &id, execution("until [ -s over ]; do sleep 0.01; done; cat over")).await;
    assert_eq!(over.0, "it is over\n", "an input ends with the stream, and the program goes on");
    remove(sandbox, &[&id]).await;
}

/// A program waits for whoever takes what it writes, and all of that is told.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_program_waits_for_whoever_reads(sandbox: &dyn Sandbox) {
    let id = instance_id();
    start(sandbox, command(&id, "t", ENDLESS)).await;
    let line = "echo begun > begun; head -c 40000000 /dev/zero; echo done > done; exit 6";
    let mut events = hosting(sandbox).execute(&id, execution(line)).await.expect("it is executed");
    execute(sandbox, &id, execution("until [ -s begun ]; do sleep 0.01; done")).await;
    let is_done = execute(sandbox, &id, execution("sleep 0.5; [ -e done ]")).await.2;
    assert_eq!(is_done, Exit::Code(1), "what it writes is not taken before somebody reads it");
    let (mut found, mut last) = (0, None);
    while let Some(event) = timeout(PATIENCE, events.next()).await.expect("it goes on in time") {
        match event.expect("it is told") {
            Executed::Wrote(_, bytes) => found += bytes.len(),
            Executed::Ended(exit) => last = Some(exit),
        }
    }
    assert_eq!((found, last), (40_000_000, Some(Exit::Code(6))));
    remove(sandbox, &[&id]).await;
}

/// A workspace is copied while a command works in it, which goes on.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_workspace_in_use_is_copied(sandbox: &dyn Sandbox) {
    let (from, to) = (instance_id(), instance_id());
    let line = "mkdir d; echo kept > d/file; i=0; while :; do i=$((i+1)); echo $i > count; sleep 0.01; done";
    start(sandbox, command(&from, "t", line)).await;
    let counted = "until [ -s count ]; do sleep 0.01; done; cat count";
    execute(sandbox, &from, execution(counted)).await;
    hosting(sandbox).copy_running(&from, &to).await.expect("it is copied");
    let before =
        execute(sandbox, &from, execution("rm count; until [ -s count ]; do sleep 0.01; done")).await;
    assert_eq!(before.2, Exit::Code(0), "the command goes on");
    assert_eq!(status(sandbox, &to).await, None, "nothing runs in the copy");
    start(sandbox, command(&to, "t", "cat d/file; [ -e count ] && echo counted")).await;
    assert_eq!(texts(&rest(sandbox, &to, "t", None).await), ["kept", "counted"]);
    remove(sandbox, &[&from, &to]).await;
}

fn execution(line: &str) -> Execution {
    Execution::new(["sh", "-c", line].map(str::to_owned).into(), PATIENCE)
}

/// What a program writes to its output and to its errors, and how it ends.
async fn execute(sandbox: &dyn Sandbox, id: &InstanceId, execution: Execution) -> (String, String, Exit) {
    let mut events = hosting(sandbox).execute(id, execution).await.expect("it is executed");
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    loop {
        let event =
            timeout(PATIENCE, events.next()).await.expect("it goes on in time").expect("it has an end");
        match event.expect("it is told") {
            Executed::Wrote(OutputStream::Out, bytes) => out.extend_from_slice(&bytes),
            Executed::Wrote(OutputStream::Error, bytes) => errors.extend_from_slice(&bytes),
            Executed::Ended(exit) => {
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                assert!(events.next().await.is_none(), "nothing follows the end");
                return (text(out), text(errors), exit);
            }
        }
    }
}
