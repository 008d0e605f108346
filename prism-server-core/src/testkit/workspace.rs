//! The conformance suite of [`Workspace`], on the sandboxes that have one.
//!
//! Run [`conforms`] on an implementation of [`Sandbox`], and [`is_confined`] with whatever can make links and pipes in
//! one of its workspaces. Every check panics when the rule does not hold, with a text that names the rule.

use std::sync::Arc;

use bytes::Bytes;
use futures::{TryStreamExt, future::BoxFuture};
use prism_types::{DeploymentId, FileChange, FileType, InstanceId};
use uuid::Uuid;

use crate::{
    domain::workspace::WorkspacePath,
    ports::{PlacedFile, Sandbox, SandboxError, SandboxRequest, Workspace},
};

/// Runs every check that needs no program.
///
/// # Panics
/// When the sandbox breaks a rule of the port.
pub async fn conforms(sandbox: &dyn Sandbox) {
    a_workspace_is_there_as_long_as_its_sandbox(sandbox).await;
    what_is_staged_is_placed_and_read_back_in_ranges(sandbox).await;
    placing_tells_created_from_modified_and_changes_the_version(sandbox).await;
    a_file_that_is_not_placed_leaves_nothing(sandbox).await;
    a_file_that_is_replaced_is_read_as_it_was_or_not_at_all(sandbox).await;
    a_directory_is_listed_in_order_and_in_pages(sandbox).await;
    deleting_takes_a_directory_with_all_that_is_in_it(sandbox).await;
    a_path_through_a_file_is_refused(sandbox).await;
    the_agents_side_sees_the_same_files(sandbox).await;
}

/// Does something in the workspace of an instance, as its agent could: a script of a POSIX shell, whose working directory is
/// the workspace.
pub type Shell<'a> = &'a (dyn Fn(InstanceId, String) -> BoxFuture<'a, ()> + Sync);

/// What an agent can put into its workspace to lead a user elsewhere, and the paths that then must not work: neither to
/// list, nor to read, nor to write.
pub const ATTACKS: &[(&str, &str)] = &[
    ("a link to a file outside", "passwd"),
    ("a link to a directory outside", "etc"),
    ("a link to a directory outside, on the way", "etc/passwd"),
    ("a link to a directory outside, on the way to what is not there", "etc/prism-new/file"),
    ("a link to the directory above", "up"),
    ("a link to the directory above, on the way", "up/file"),
    ("a link to the root", "root/etc/passwd"),
    ("a link to nowhere", "dangling"),
    ("a link to itself", "loop"),
    ("a link to itself, on the way", "loop/file"),
    ("a link to a file inside", "inside"),
    ("a link to a directory inside, on the way", "within/file"),
    ("a link in a directory", "real/up/file"),
    ("a link by way of /proc", "proc/root/etc/passwd"),
    ("a pipe", "pipe"),
    ("a pipe, on the way", "pipe/file"),
    ("a link to a device", "zero"),
];

const PLANT: &str = "
mkdir real && printf real > real/file
ln -s /etc/passwd passwd; ln -s /etc etc; ln -s .. up; ln -s / root; ln -s nowhere dangling; ln -s loop loop
ln -s real/file inside; ln -s real within; ln -s ../.. real/up; ln -s /proc/self proc; ln -s /dev/zero zero
mkfifo pipe
printf planted > planted
";

/// No path of [`ATTACKS`] is listed, read or written, whether the program lives or not; each that is in the workspace
/// itself is listed as what it is and can be deleted, and what it led to stays.
///
/// # Panics
/// When the rule does not hold.
pub async fn is_confined(sandbox: &dyn Sandbox, shell: Shell<'_>) {
    let id = instance_id();
    let workspace = ensure(sandbox, &id).await;
    shell(id.clone(), PLANT.to_owned()).await;
    assert_eq!(whole(&workspace, "planted").await.as_deref(), Some(&b"planted"[..]), "the attacks are there");
    let before = names(&workspace, "").await;
    for (attack, name) in ATTACKS {
        let place = path(name);
        let refused = |error: Option<SandboxError>| matches!(error, Some(SandboxError::NotAFile(_)));
        assert!(refused(workspace.open(&place).await.err()), "{attack}: {name} is not read");
        assert!(
            refused(workspace.list(Some(&place), None, 10).await.err()),
            "{attack}: {name} is not listed"
        );
        assert!(refused(write(&workspace, name, b"stolen").await.err()), "{attack}: {name} is not written");
        if name.contains('/') {
            assert!(refused(workspace.stat(&place).await.err()), "{attack}: {name} is not looked at");
            assert!(refused(workspace.delete(&place).await.err()), "{attack}: {name} is not deleted");
        } else {
            let found = workspace.stat(&place).await.expect("a link is looked at").expect("it is there");
            assert_eq!(found.kind, FileType::Other, "{attack}: {name} is neither file nor directory");
        }
    }
    assert_eq!(names(&workspace, "").await, before, "nothing was made");
    for name in before.iter().filter(|name| !["planted", "real"].contains(&name.as_str())) {
        assert_eq!(workspace.delete(&path(name)).await, Ok(true), "{name} itself is deleted");
    }
    assert_eq!(whole(&workspace, "real/file").await.as_deref(), Some(&b"real"[..]), "what it led to stays");
    // A directory goes with the links in it, and not with what they lead to.
    shell(id.clone(), "mkdir -p tree/deep; ln -s ../real tree/link; ln -s ../../real tree/deep/link".into())
        .await;
    assert_eq!(workspace.delete(&path("tree")).await, Ok(true), "a directory with links is deleted");
    assert_eq!(whole(&workspace, "real/file").await.as_deref(), Some(&b"real"[..]), "what they led to stays");
    assert_eq!(names(&workspace, "").await, ["planted", "real"], "and nothing else is left");
    remove(sandbox, &id).await;
}

/// `workspace` knows those of sandboxes that were made, until they are removed. Then a handle answers
/// [`SandboxError::Gone`].
///
/// # Panics
/// When the rule does not hold.
pub async fn a_workspace_is_there_as_long_as_its_sandbox(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let found = async || sandbox.workspace(&id).await.expect("a workspace is looked for");
    assert!(found().await.is_none(), "there is none of an id that was never used");
    let workspace = ensure(sandbox, &id).await;
    place(&workspace, "a", b"1").await;
    let staged = workspace.stage().await.expect("a file is begun");
    remove(sandbox, &id).await;
    assert!(found().await.is_none(), "nor of a sandbox that was removed");
    let a = path("a");
    assert_eq!(workspace.stat(&a).await, Err(SandboxError::Gone), "stat after remove");
    assert_eq!(workspace.list(None, None, 10).await, Err(SandboxError::Gone), "list after remove");
    assert_eq!(workspace.open(&a).await.err(), Some(SandboxError::Gone), "open after remove");
    assert_eq!(workspace.stage().await.err(), Some(SandboxError::Gone), "stage after remove");
    assert_eq!(workspace.delete(&a).await, Err(SandboxError::Gone), "delete after remove");
    assert_eq!(staged.place(&a).await.err(), Some(SandboxError::Gone), "place after remove");
}

/// A file has exactly the bytes that were written, and any part of them can be read.
///
/// # Panics
/// When the rule does not hold.
pub async fn what_is_staged_is_placed_and_read_back_in_ranges(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let workspace = ensure(sandbox, &id).await;
    let large: Vec<u8> = (0..700_000_u32).map(|index| (index % 251) as u8).collect();
    for content in [&b""[..], b"\r\n\0\n", &large, b"shorter again"] {
        let placed = place(&workspace, "dir/sub/file", content).await;
        assert_eq!((placed.info.kind, placed.info.size), (FileType::File, content.len() as u64));
        assert_eq!(whole(&workspace, "dir/sub/file").await.as_deref(), Some(content), "a file is read back");
    }
    place(&workspace, "ranges", &large).await;
    let size = large.len() as u64;
    for (start, end) in [(0, 0), (0, 1), (1, 2), (300_000, 600_001), (size - 1, size), (size, size)] {
        let opened = workspace.open(&path("ranges")).await.expect("a file is opened").expect("it is there");
        assert_eq!(opened.info().size, size, "an open file knows its size");
        let pieces: Vec<Bytes> = opened.read(start..end).try_collect().await.expect("a range is read");
        let expected = &large[start as usize..end as usize];
        assert!(pieces.concat() == expected, "bytes {start} to {end} are read");
    }
    assert!(
        workspace.open(&path("none")).await.expect("it is looked for").is_none(),
        "there is no such file"
    );
    assert!(workspace.open(&path("no/such/file")).await.expect("it is looked for").is_none());
    remove(sandbox, &id).await;
}

/// `place` says `created` or `modified`, and every file that is placed has a version of its own, which stays.
///
/// # Panics
/// When the rule does not hold.
pub async fn placing_tells_created_from_modified_and_changes_the_version(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let workspace = ensure(sandbox, &id).await;
    let mut versions = std::collections::BTreeSet::new();
    for expected in [FileChange::Created, FileChange::Modified, FileChange::Modified, FileChange::Modified] {
        let placed = place(&workspace, "a/b", b"same").await;
        assert_eq!(placed.change, expected, "created, then modified");
        let found = stat(&workspace, "a/b").await.expect("the file is there");
        assert_eq!(found.version, placed.info.version, "the version is that of the file as it is");
        assert!(versions.insert(found.version), "a file that was written again has another version");
    }
    let before = stat(&workspace, "a/b").await;
    assert_eq!(whole(&workspace, "a/b").await.as_deref(), Some(&b"same"[..]));
    assert_eq!(stat(&workspace, "a/b").await, before, "reading changes nothing");
    assert_eq!(workspace.delete(&path("a/b")).await, Ok(true));
    assert_eq!(place(&workspace, "a/b", b"same").await.change, FileChange::Created, "created once more");
    remove(sandbox, &id).await;
}

/// What was begun and given up is nowhere, and what was there before is untouched.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_file_that_is_not_placed_leaves_nothing(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let workspace = ensure(sandbox, &id).await;
    place(&workspace, "a", b"old").await;
    for _ in 0..3 {
        let mut staged = workspace.stage().await.expect("a file is begun");
        staged.write(Bytes::from(vec![b'x'; 100_000])).await.expect("a file is written");
        assert_eq!(names(&workspace, "").await, ["a"], "what is not in its place cannot be seen");
        drop(staged);
    }
    assert_eq!(names(&workspace, "").await, ["a"]);
    assert_eq!(whole(&workspace, "a").await.as_deref(), Some(&b"old"[..]));
    remove(sandbox, &id).await;
}

/// Whoever reads a file gets the one that was opened, or an error: never a piece of another one.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_file_that_is_replaced_is_read_as_it_was_or_not_at_all(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let workspace = ensure(sandbox, &id).await;
    place(&workspace, "a", b"one").await;
    let opened = workspace.open(&path("a")).await.expect("a file is opened").expect("it is there");
    place(&workspace, "a", b"two").await;
    let pieces: Result<Vec<Bytes>, _> = opened.read(0..3).try_collect().await;
    assert!(pieces.is_err() || pieces.is_ok_and(|pieces| pieces.concat() == b"one"), "not of another file");
    remove(sandbox, &id).await;
}

/// A listing has the entries of one directory, by the bytes of their names, as many as are wanted.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_directory_is_listed_in_order_and_in_pages(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let workspace = ensure(sandbox, &id).await;
    assert_eq!(names(&workspace, "").await, Vec::<String>::new(), "the root is there and empty");
    for name in ["b", "a b", "a/1", "a/sub/2", "B", "ünï", ".hidden", "a-b", "a\nb"] {
        place(&workspace, name, name.as_bytes()).await;
    }
    let all = [".hidden", "B", "a", "a\nb", "a b", "a-b", "b", "ünï"];
    assert_eq!(names(&workspace, "").await, all, "entries are ordered by their bytes");
    assert_eq!(names(&workspace, "a").await, ["1", "sub"], "only what is in the directory itself");
    let listed = workspace.list(None, None, 10).await.expect("the root is listed").expect("it is there");
    for (name, info) in &listed.entries {
        let is_directory = name == "a";
        assert_eq!(info.kind, if is_directory { FileType::Directory } else { FileType::File }, "{name}");
        assert_eq!(info.size, if is_directory { 0 } else { name.len() as u64 }, "{name}");
    }
    let (mut paged, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = workspace.list(None, after.as_deref(), 2).await.expect("a page").expect("it is there");
        assert!(page.entries.len() <= 2, "a page has no more than was asked for");
        paged.extend(page.entries.into_iter().map(|(name, _)| name));
        if !page.more {
            break;
        }
        after = paged.last().cloned();
    }
    assert_eq!(paged, all, "pages are the whole");
    let none = path("none");
    assert_eq!(workspace.list(Some(&none), None, 10).await, Ok(None), "a directory that is not there");
    let file = path("b");
    let refused = workspace.list(Some(&file), None, 10).await;
    assert_eq!(refused, Err(SandboxError::NotAFile("b".to_owned())), "a file is not listed");
    remove(sandbox, &id).await;
}

/// `delete` takes a file, or a directory with everything, and says whether anything was there.
///
/// # Panics
/// When the rule does not hold.
pub async fn deleting_takes_a_directory_with_all_that_is_in_it(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let workspace = ensure(sandbox, &id).await;
    for name in ["dir/a", "dir/b/c/d", "dir/b/e", "dir2/f", "dir-", "-rf", "*"] {
        place(&workspace, name, b"1").await;
    }
    assert_eq!(workspace.delete(&path("dir")).await, Ok(true), "a directory is deleted");
    assert_eq!(names(&workspace, "").await, ["*", "-rf", "dir-", "dir2"], "and its neighbours are not");
    for name in ["-rf", "*"] {
        assert_eq!(workspace.delete(&path(name)).await, Ok(true), "{name} is a name like others");
    }
    assert_eq!(names(&workspace, "").await, ["dir-", "dir2"]);
    for name in ["dir", "dir/a", "none"] {
        assert_eq!(workspace.delete(&path(name)).await, Ok(false), "{name} is not there");
    }
    remove(sandbox, &id).await;
}

/// What leads through a file is [`SandboxError::NotAFile`], and so is a directory where a file is wanted.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_path_through_a_file_is_refused(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let workspace = ensure(sandbox, &id).await;
    place(&workspace, "dir/file", b"1").await;
    for name in ["dir/file/below", "dir/file/far/below"] {
        let (place, refused) = (path(name), Some(SandboxError::NotAFile(name.to_owned())));
        assert_eq!(workspace.stat(&place).await.err(), refused, "stat of {name}");
        assert_eq!(workspace.open(&place).await.err(), refused, "open of {name}");
        assert_eq!(workspace.list(Some(&place), None, 1).await.err(), refused, "list of {name}");
        assert_eq!(workspace.delete(&place).await.err(), refused, "delete of {name}");
        assert_eq!(write(&workspace, name, b"2").await.err(), refused, "write of {name}");
    }
    let refused = Some(SandboxError::NotAFile("dir".to_owned()));
    assert_eq!(workspace.open(&path("dir")).await.err(), refused, "a directory is not read");
    assert_eq!(write(&workspace, "dir", b"2").await.err(), refused, "a directory is not replaced");
    assert_eq!(whole(&workspace, "dir/file").await.as_deref(), Some(&b"1"[..]), "nothing was changed");
    remove(sandbox, &id).await;
}

/// What users write the gateway's side of the agent reads, and the other way around.
///
/// # Panics
/// When the rule does not hold.
pub async fn the_agents_side_sees_the_same_files(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let workspace = ensure(sandbox, &id).await;
    let instance = sandbox.find(&id).await.expect("it is looked for").expect("the sandbox is there");
    place(&workspace, "a", b"users").await;
    assert_eq!(instance.read_file(&path("a")).await, Ok(Some(b"users".to_vec())));
    instance.write_file(&path("b"), b"agents".to_vec()).await.expect("a file is written");
    assert_eq!(whole(&workspace, "b").await.as_deref(), Some(&b"agents"[..]));
    remove(sandbox, &id).await;
}

/// Writes a file, in pieces.
///
/// # Errors
/// The workspace's.
///
/// # Panics
/// When the name is no path.
pub async fn write(
    workspace: &Arc<dyn Workspace>,
    name: &str,
    content: &[u8],
) -> Result<PlacedFile, SandboxError> {
    let mut staged = workspace.stage().await?;
    for piece in content.chunks(100_000) {
        staged.write(Bytes::copy_from_slice(piece)).await?;
    }
    staged.place(&path(name)).await
}

/// Reads a file whole; `None` when there is none.
///
/// # Errors
/// The workspace's.
///
/// # Panics
/// When the name is no path.
pub async fn read(workspace: &Arc<dyn Workspace>, name: &str) -> Result<Option<Vec<u8>>, SandboxError> {
    let Some(opened) = workspace.open(&path(name)).await? else { return Ok(None) };
    let size = opened.info().size;
    let pieces: Vec<Bytes> = opened.read(0..size).try_collect().await?;
    Ok(Some(pieces.concat()))
}

fn instance_id() -> InstanceId {
    InstanceId::from_suffix(&format!("testkit-{}", Uuid::now_v7().simple())).expect("an id")
}

fn path(text: &str) -> WorkspacePath {
    text.parse().expect("a path")
}

async fn ensure(sandbox: &dyn Sandbox, id: &InstanceId) -> Arc<dyn Workspace> {
    let deployment = DeploymentId::from_suffix(id.suffix()).expect("an id");
    sandbox.ensure(SandboxRequest::new(id.clone(), deployment, false)).await.expect("a sandbox is made");
    sandbox.workspace(id).await.expect("a workspace is looked for").expect("it is there")
}

async fn remove(sandbox: &dyn Sandbox, id: &InstanceId) {
    sandbox.remove(id).await.expect("a sandbox is removed");
}

async fn place(workspace: &Arc<dyn Workspace>, name: &str, content: &[u8]) -> PlacedFile {
    write(workspace, name, content).await.expect("a file is written")
}

async fn whole(workspace: &Arc<dyn Workspace>, name: &str) -> Option<Vec<u8>> {
    read(workspace, name).await.expect("a file is read")
}

async fn stat(workspace: &Arc<dyn Workspace>, name: &str) -> Option<crate::ports::FileInfo> {
    workspace.stat(&path(name)).await.expect("a file is looked at")
}

async fn names(workspace: &Arc<dyn Workspace>, directory: &str) -> Vec<String> {
    let directory = (!directory.is_empty()).then(|| path(directory));
    let listed = workspace.list(directory.as_ref(), None, 1000).await.expect("a directory is listed");
    let listed = listed.expect("the directory is there");
    assert!(!listed.more, "all entries are listed");
    listed.entries.into_iter().map(|(name, _)| name).collect()
}
