//! Commands, and what a hostile one does to its own records.

use std::{collections::BTreeMap, fs::File, io::Write};

use futures::StreamExt;
use tar::{Builder, EntryType, Header};

use super::*;
use crate::ports::{Command, Exit, Hosting};

fn command(id: &InstanceId, token: &str, line: &str) -> Command {
    Command::new(id.clone(), DeploymentId::from_suffix(id.suffix()).unwrap(), token, line)
}

async fn end_of(sandbox: &ProcessSandbox, id: &InstanceId) -> Exit {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(exit) = sandbox.status(id).await.unwrap().unwrap().exit {
            return exit;
        }
        assert!(Instant::now() < deadline, "the command ends within the time");
        sleep(Duration::from_millis(10)).await;
    }
}

fn archive(members: &[(&str, EntryType, &str)]) -> File {
    let mut archive = Builder::new(tempfile::tempfile().unwrap());
    for (name, kind, content) in members {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o7777);
        if *kind == EntryType::Symlink {
            header.set_size(0);
            archive.append_link(&mut header, name, content).unwrap();
        } else {
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
    }
    archive.into_inner().unwrap()
}

#[tokio::test]
async fn it_passes_the_conformance_suite_of_hosting() {
    let bench = Bench::new();
    testkit::hosting::conforms(&bench.sandbox).await;
    assert_eq!(bench.sandbox.list().await, Ok(Vec::new()), "the suite removes what it made");
    assert!(bench.sandbox.watches.is_empty(), "nothing is watched that has ended");
}

#[tokio::test]
async fn commands_pass_the_conformance_suite_of_a_restart() {
    let bench = Bench::new();
    let next = sandbox_in(bench.directory.path());
    testkit::hosting::conforms_after_a_restart(&bench.sandbox, &next).await;
}

#[tokio::test]
async fn whoever_waits_for_the_end_of_a_command_learns_how_it_was() {
    let bench = Bench::new();
    let id = instance_id();
    bench.sandbox.start(command(&id, "t", "until [ -e go ]; do :; done; exit 3")).await.unwrap();
    let end = bench.sandbox.watches.end_of(&id).unwrap();
    assert!(!end.is_cancelled());
    fs::write(bench.path(&id).join("workspace/go"), "").unwrap();
    end.cancelled().await;
    assert_eq!(bench.sandbox.status(&id).await.unwrap().unwrap().exit, Some(Exit::Code(3)));
    assert!(bench.sandbox.watches.end_of(&id).is_none(), "nobody waits for what is over");
    bench.sandbox.remove(&id).await.unwrap();
}

#[tokio::test]
async fn a_secret_is_in_the_environment_of_the_command_and_nowhere_else() {
    let bench = Bench::new();
    let id = instance_id();
    let mut wanted = command(&id, "t", "sleep 1000 & echo \"${#SECRET}\" > length; echo $$ > pid; wait");
    wanted.environment = BTreeMap::from([("SECRET".to_owned(), "hunter2hunter2".to_owned())]);
    assert!(!format!("{wanted:?}").contains("hunter2"));
    bench.sandbox.start(wanted).await.unwrap();
    let living = bench.sandbox.find(&id).await.unwrap().unwrap();
    let pid = bench.pid(&living, "pid").await;
    assert_eq!(bench.text(&living, "workspace/length").await, "14\n");
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    let parent = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap().to_owned();
    for pid in [pid.as_raw_nonzero().to_string(), parent] {
        let arguments = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(arguments.contains("sleep 1000") && !arguments.contains("hunter2"), "{arguments}");
    }
    let mut open = vec![bench.path(&id)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let content = fs::read(&path).unwrap();
                assert!(!String::from_utf8_lossy(&content).contains("hunter2"), "{}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn a_command_that_attacks_its_folder_harms_itself_alone() {
    let bench = Bench::new();
    let outside = bench.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret\n").unwrap();
    let id = instance_id();
    let line = format!(
        r#"
        cd ..; rm -f command.out command.error command.json exit
        ln -s {0}/secret command.out; mkfifo command.error; ln -s {0} command.json; ln -s {0}/exit exit
        rm -rf tmp; ln -s {0} tmp; rm -rf workspace/.home; ln -s {0} workspace/.home
        ln -s {0} workspace/link; echo 1 > workspace/ready; exec sleep 1000
        "#,
        outside.display()
    );
    bench.sandbox.start(command(&id, "t", &line)).await.unwrap();
    let living = bench.sandbox.find(&id).await.unwrap().unwrap();
    bench.text(&living, "workspace/ready").await;
    let mut output = bench.sandbox.output(&id, "t", None).await.unwrap();
    let told = tokio::time::timeout(Duration::from_millis(300), output.next()).await;
    assert!(told.is_err(), "{told:?}");
    bench.sandbox.stop(&id, Duration::from_secs(30)).await.unwrap();
    assert!(output.next().await.is_none());
    // The shell wrote its status where the link leads, as whatever runs could have, and the gateway does not look there.
    assert_eq!(end_of(&bench.sandbox, &id).await, Exit::Unknown);
    let mut through = command(&id, "u", "true");
    through.directory = Some(path("link/in"));
    let refused = bench.sandbox.start(through).await;
    assert_eq!(refused, Err(SandboxError::NotAFile("link/in".to_owned())));
    bench.sandbox.start(command(&id, "v", "echo works; exit 6")).await.unwrap();
    assert_eq!(end_of(&bench.sandbox, &id).await, Exit::Code(6), "the next command is not harmed");
    let other = instance_id();
    bench.sandbox.unpack(&"dep_a".parse().unwrap(), &id, archive(&[])).await.unwrap();
    bench.sandbox.copy_workspace(&id, &other).await.unwrap();
    for id in [&id, &other] {
        bench.sandbox.remove(id).await.unwrap();
    }
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret\n");
    assert!(!outside.join("in").exists());
}

#[tokio::test]
async fn a_command_that_ends_its_shell_has_the_status_of_the_signal() {
    let bench = Bench::new();
    let id = instance_id();
    bench.sandbox.start(command(&id, "t", "kill -KILL 0")).await.unwrap();
    assert_eq!(end_of(&bench.sandbox, &id).await, Exit::Code(137));
    bench
        .sandbox
        .start(command(&id, "u", "kill -HUP $PPID; kill -TERM $PPID; sleep 0.1; exit 4"))
        .await
        .unwrap();
    assert_eq!(end_of(&bench.sandbox, &id).await, Exit::Code(4), "it cannot be ended gently");
    bench.sandbox.start(command(&id, "v", "exit 0")).await.unwrap();
    assert_eq!(end_of(&bench.sandbox, &id).await, Exit::Code(0));
    fs::remove_file(bench.path(&id).join("exit")).unwrap();
    assert_eq!(end_of(&bench.sandbox, &id).await, Exit::Unknown, "its status was lost with the machine");
}

#[tokio::test]
async fn an_archive_leads_nowhere_else_and_is_unpacked_whole_or_not_at_all() {
    let bench = Bench::new();
    let outside = bench.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let away = outside.to_str().unwrap();
    let id = instance_id();
    let unpack = async |members: &[(&str, EntryType, &str)]| {
        bench.sandbox.unpack(&"dep_a".parse().unwrap(), &id, archive(members)).await
    };
    let workspace = bench.path(&id).join("workspace");
    unpack(&[("a", EntryType::Regular, "1"), ("a", EntryType::Regular, "2")]).await.unwrap();
    assert_eq!(fs::read_to_string(workspace.join("a")).unwrap(), "2", "the later one counts");
    assert_eq!(fs::metadata(workspace.join("a")).unwrap().mode() & 0o7777, 0o777);
    for members in [
        &[("link", EntryType::Symlink, away), ("link/in", EntryType::Regular, "x")],
        &[("link", EntryType::Symlink, away), ("link/in", EntryType::Symlink, "x")],
        &[("b", EntryType::Regular, ""), ("b/in", EntryType::Regular, "x")],
        &[("b", EntryType::Regular, ""), ("c", EntryType::Fifo, "")],
    ] {
        assert!(unpack(members).await.is_err(), "{members:?}");
        assert_eq!(fs::read_to_string(workspace.join("a")).unwrap(), "2", "what was there is left");
        let left = fs::read_dir(bench.path(&id)).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with(".aside-")));
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    let mut cut = tempfile::tempfile().unwrap();
    let mut whole = archive(&[("long", EntryType::Regular, &"x".repeat(5000))]);
    std::io::Seek::rewind(&mut whole).unwrap();
    std::io::copy(&mut std::io::Read::take(whole, 2000), &mut cut).unwrap();
    cut.flush().unwrap();
    assert!(bench.sandbox.unpack(&"dep_a".parse().unwrap(), &id, cut).await.is_err());
    bench.sandbox.start(command(&id, "t", "exec sleep 1000")).await.unwrap();
    assert!(unpack(&[]).await.is_err(), "nothing is unpacked where something runs");
    assert!(bench.sandbox.status(&id).await.unwrap().unwrap().exit.is_none());
}
