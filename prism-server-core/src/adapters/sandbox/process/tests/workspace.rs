//! The workspace, as users see it, against programs that do what they like in it.

use std::os::unix::net::UnixListener;

use bytes::Bytes;
use futures::TryStreamExt;

use super::*;
use crate::{
    ports::Workspace,
    testkit::workspace::{read, write},
};

async fn workspace_of(bench: &Bench, id: &InstanceId) -> Arc<dyn Workspace> {
    bench.sandbox.workspace(id).await.unwrap().expect("there is a workspace")
}

#[tokio::test]
async fn users_stay_in_the_workspace_whatever_links_are_in_it() {
    let bench = Bench::new();
    let shell = |id: InstanceId, script: String| {
        let directory = bench.path(&id).join("workspace");
        async move {
            let command =
                std::process::Command::new("/bin/sh").args(["-euc", &script]).current_dir(directory).status();
            assert!(command.unwrap().success());
        }
        .boxed()
    };
    testkit::workspace::is_confined(&bench.sandbox, &shell).await;
}

#[tokio::test]
async fn a_path_that_changes_all_the_time_leads_users_nowhere_else() {
    let bench = Bench::new();
    let outside = bench.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("a"), "secret").unwrap();
    fs::write(outside.join("outside"), "").unwrap();
    let script = format!(
        "mkdir dir; ln -s {} link; echo 1 > ready\n\
         while :; do mv dir real; mv link dir; mv dir link; mv real dir; done",
        outside.display()
    );
    let instance = bench.start(&script).await;
    bench.text(&instance, "workspace/ready").await;
    let workspace = workspace_of(&bench, instance.id()).await;
    for _ in 0..300 {
        let placed = write(&workspace, "dir/a", b"mine").await;
        assert!(matches!(placed, Ok(_) | Err(SandboxError::NotAFile(_) | SandboxError::Gone)), "{placed:?}");
        let read = read(&workspace, "dir/a").await;
        assert!(read.as_ref().map_or(true, |content| content.as_deref() != Some(b"secret")), "{read:?}");
        let listed = workspace.list(Some(&path("dir")), None, 10).await;
        let mut entries = listed.iter().flatten().flat_map(|listing| &listing.entries);
        assert!(entries.all(|(name, _)| name != "outside"), "{listed:?}");
        drop(workspace.delete(&path("dir/a")).await);
        drop(workspace.delete(&path("dir/outside")).await);
    }
    assert_eq!(fs::read_to_string(outside.join("a")).unwrap(), "secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 2);
}

#[tokio::test]
async fn a_socket_is_listed_and_deleted_and_not_read() {
    let bench = Bench::new();
    let instance = bench.start("exec sleep 1000").await;
    let _socket = UnixListener::bind(bench.workspace(&instance).join("socket")).unwrap();
    let workspace = workspace_of(&bench, instance.id()).await;
    let refused = Some(SandboxError::NotAFile("socket".to_owned()));
    assert_eq!(read(&workspace, "socket").await.err(), refused);
    assert_eq!(write(&workspace, "socket", b"x").await.err(), refused);
    let listed = workspace.list(None, None, 10).await.unwrap().unwrap();
    let kinds: Vec<_> =
        listed.entries.iter().map(|(name, info)| (name.as_str(), info.kind.as_str())).collect();
    assert_eq!(kinds, [("socket", "other")]);
    assert_eq!(workspace.delete(&path("socket")).await, Ok(true));
}

#[tokio::test]
async fn a_workspace_outlives_its_program() {
    let bench = Bench::new();
    let instance = bench.start("printf agents > a; echo 1 > ready").await;
    bench.text(&instance, "workspace/ready").await;
    instance.end().await.unwrap();
    assert!(bench.sandbox.find(instance.id()).await.unwrap().is_none(), "the sandbox is dead");
    let workspace = workspace_of(&bench, instance.id()).await;
    assert_eq!(read(&workspace, "a").await, Ok(Some(b"agents".to_vec())));
    write(&workspace, "b", b"users").await.unwrap();
    assert_eq!(read(&workspace, "b").await, Ok(Some(b"users".to_vec())));
    assert_eq!(workspace.delete(&path("a")).await, Ok(true));
}

#[tokio::test]
async fn what_has_no_place_yet_has_no_name_either() {
    let bench = Bench::new();
    let instance = bench.start("exec sleep 1000").await;
    let workspace = workspace_of(&bench, instance.id()).await;
    let names = || {
        let entries = fs::read_dir(bench.path(instance.id())).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let before = names();
    let mut staged = workspace.stage().await.unwrap();
    staged.write(Bytes::from_static(b"half")).await.unwrap();
    assert_eq!(names(), before, "a gateway that is killed now leaves nothing");
    drop(staged);
    write(&workspace, "a", b"one").await.unwrap();
    write(&workspace, "a", b"two").await.unwrap();
    assert_eq!(names(), before, "nor does one that was placed");
    let metadata = fs::metadata(bench.workspace(&instance).join("a")).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.nlink()), (0o644, 1));
}

#[tokio::test]
async fn what_was_on_its_way_when_the_gateway_was_killed_is_removed_with_the_next_start() {
    let bench = Bench::new();
    let (id, program) = (instance_id(), bench.program("exec sleep 1000"));
    let instance = bench.sandbox.ensure(request(id.clone(), Some(program.clone()))).await.unwrap();
    instance.end().await.unwrap();
    let aside = bench.path(&id).join(".aside-1");
    fs::create_dir_all(aside.join("deep")).unwrap();
    bench.sandbox.ensure(request(id, Some(program))).await.unwrap();
    assert!(!aside.exists());
}

#[tokio::test]
async fn a_file_of_any_size_is_read_in_pieces() {
    let bench = Bench::new();
    let instance = bench.start("exec sleep 1000").await;
    let file = fs::File::create(bench.workspace(&instance).join("huge")).unwrap();
    file.set_len(1 << 40).unwrap();
    let workspace = workspace_of(&bench, instance.id()).await;
    let opened = workspace.open(&path("huge")).await.unwrap().unwrap();
    assert_eq!(opened.info().size, 1 << 40);
    let mut pieces = opened.read((1 << 40) - 1_000_000..1 << 40);
    let mut read = 0;
    while let Some(piece) = pieces.try_next().await.unwrap() {
        assert!(piece.len() <= limits::FILE_PIECE);
        read += piece.len();
    }
    assert_eq!(read, 1_000_000);
    // One that became shorter fails, and is not told as if it had ended.
    let opened = workspace.open(&path("huge")).await.unwrap().unwrap();
    file.set_len(10).unwrap();
    assert!(opened.read(0..1000).try_collect::<Vec<_>>().await.is_err());
}
