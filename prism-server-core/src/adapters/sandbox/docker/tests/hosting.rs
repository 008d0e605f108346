//! Commands in containers of the image `prism-base`.

use futures::StreamExt;

use super::*;
use crate::{
    ports::{Command, CommandStatus, Exit, Hosting},
    testkit,
};

fn command(id: &InstanceId, token: &str, line: &str) -> Command {
    Command::new(id.clone(), "dep_test".parse().unwrap(), token, line)
}

/// What a command writes, up to its end.
async fn output(gateway: &Gateway, command: Command) -> Vec<String> {
    let (id, token) = (command.instance_id.clone(), command.token.clone());
    gateway.sandbox.start(command).await.expect("a command is started");
    let output = gateway.sandbox.output(&id, &token, None).await.unwrap();
    let lines = output.map(|line| String::from_utf8_lossy(&line.unwrap().text).into_owned()).collect();
    time::timeout(DEADLINE, lines).await.expect("the command ends in time")
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of commands, and root"]
async fn docker_commands_pass_the_conformance_suite_of_hosting() {
    let gateway = Gateway::new();
    testkit::hosting::conforms(gateway.sandbox.as_ref()).await;
    assert_eq!(gateway.sandbox.list().await, Ok(Vec::new()), "the suite removes what it made");
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of commands"]
async fn docker_commands_pass_the_conformance_suite_of_a_restart() {
    let gateway = Gateway::new();
    let next = DockerSandbox::connect(gateway.owner.clone()).unwrap();
    testkit::hosting::conforms_after_a_restart(gateway.sandbox.as_ref(), &next).await;
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of commands"]
async fn docker_commands_are_confined_and_have_a_network_only_by_the_operator() {
    let confined = Gateway::new();
    let network = Gateway::with(|sandbox| sandbox.network("bridge"));
    let line = "id -u; grep -c ':' /proc/net/dev; touch /x 2>/dev/null || echo read-only; \
                grep -E '^(CapEff|NoNewPrivs)' /proc/self/status | tr -d '\\t'; cat /proc/1/comm";
    for (gateway, asks, interfaces) in [(&confined, true, "1"), (&network, false, "1"), (&network, true, "2")]
    {
        let mut wanted = command(&new_id(), "t", line);
        wanted.network = asks;
        let told = output(gateway, wanted).await;
        let expected = ["10001", interfaces, "read-only", "CapEff:0000000000000000", "NoNewPrivs:1", "tini"];
        assert_eq!(told, expected);
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of commands"]
async fn docker_limits_of_a_command_are_those_of_its_container() {
    let gateway = Gateway::new();
    let mut wanted = command(&new_id(), "t", "python3 -c 'x = bytearray(200 << 20)'; echo $?");
    wanted.memory = Some(64 << 20);
    // The shell says that it was killed as well, on the other stream, which may come before or after.
    let told = output(&gateway, wanted).await;
    assert!(told.iter().any(|line| line == "137"), "{told:?}");
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of commands"]
async fn docker_unknown_templates_are_told_with_those_that_there_are() {
    let gateway = Gateway::with(|sandbox| sandbox.template("lean", "prism-test:none"));
    let id = new_id();
    let mut wanted = command(&id, "t", "true");
    wanted.template = "other".to_owned();
    let text = "no image is configured for the template `other` in sandboxes of type `docker`; there is `base`, `lean`";
    let refused = gateway.sandbox.start(wanted.clone()).await;
    assert_eq!(refused, Err(SandboxError::Unavailable(text.to_owned())));
    wanted.template = "lean".to_owned();
    let refused = gateway.sandbox.start(wanted).await.unwrap_err().to_string();
    assert!(refused.contains("has no image prism-test:none"), "{refused}");
    assert_eq!(gateway.sandbox.status(&id).await, Ok(None));
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of commands"]
async fn docker_what_was_unpacked_belongs_to_the_command_and_is_read_when_it_has_ended() {
    let gateway = Gateway::new();
    let id = new_id();
    let mut archive = tar::Builder::new(tempfile::tempfile().unwrap());
    for name in ["a/b/c", "a/d"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o7755);
        archive.append_data(&mut header, name, &b"x"[..]).unwrap();
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    archive.append_link(&mut link, "etc", "/etc").unwrap();
    let archive = archive.into_inner().unwrap();
    gateway.sandbox.unpack(&"dep_test".parse().unwrap(), &id, archive).await.unwrap();
    let told = output(&gateway, command(&id, "t", "stat -c '%u:%g %a %n' . a a/b a/b/c; readlink etc")).await;
    assert_eq!(
        told,
        ["10001:10001 755 .", "10001:10001 755 a", "10001:10001 755 a/b", "10001:10001 755 a/b/c", "/etc"]
    );
    let workspace = gateway.sandbox.workspace(&id).await.unwrap().unwrap();
    assert_eq!(workspace.stat(&path("a/b/c")).await.unwrap().map(|info| info.size), Some(1));
    assert_eq!(
        gateway.sandbox.status(&id).await,
        Ok(Some(CommandStatus { token: "t".to_owned(), exit: Some(Exit::Code(0)) })),
        "it is remembered while somebody reads its files"
    );
    let engine = &gateway.sandbox.engine;
    assert!(engine.container(&container::copier(&id)).await.unwrap().is_none(), "what unpacked it is gone");
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of commands"]
async fn docker_commands_of_another_gateway_are_left_alone() {
    let (one, two) = (Gateway::new(), Gateway::new());
    let id = new_id();
    one.sandbox.start(command(&id, "t", "exec sleep 1000")).await.unwrap();
    assert_eq!(two.sandbox.status(&id).await, Ok(None));
    assert_eq!(two.sandbox.stop(&id, Duration::ZERO).await, Ok(()));
    assert_eq!(two.sandbox.connect(&id, 80).await.err(), Some(SandboxError::Gone));
    let refused = two.sandbox.start(command(&id, "t", "true")).await.unwrap_err().to_string();
    assert!(refused.contains("which this gateway did not make"), "{refused}");
    assert!(one.sandbox.status(&id).await.unwrap().unwrap().exit.is_none(), "it runs on");
}
