//! What becomes of an archive.

use std::{fs::File, io::Write};

use prism_types::FileType;
use tar::{Builder, EntryType, Header};
use uuid::Uuid;

use super::{command, deployment_of, ended, hosting, instance_id, path, remove, rest, start, status, texts};
use crate::ports::{Exit, Sandbox};

/// An archive is unpacked as it is, in the place of what was there, for a command to work with.
///
/// # Panics
/// When the rule does not hold.
pub async fn an_archive_becomes_the_workspace(sandbox: &dyn Sandbox) {
    let id = instance_id();
    let deployment = deployment_of(&id);
    let unpack = async |archive| hosting(sandbox).unpack(&deployment, &id, archive).await;
    let long = format!("project/{}/{}", "d".repeat(120), "f".repeat(120));
    let large = "0123456789abcdef".repeat(1 << 16);
    let members = [
        Member::directory("project/"),
        Member::file(
            "project/bin/tool",
            0o755,
            "#!/bin/sh\necho tool \"$(cat \"$PRISM_WORKSPACE/project/ünï cödé\")\"\n",
        ),
        Member::file("project/ünï cödé", 0o644, "text"),
        Member::file(&long, 0o644, "long"),
        Member::file("project/empty", 0o600, ""),
        Member::file("project/large", 0o444, &large),
        Member::directory("project/void"),
        Member::link("project/link", "bin/tool"),
        Member::link("project/out", "/nowhere/else"),
    ];
    unpack(archive(&members)).await.expect("the archive is unpacked");
    assert_eq!(status(sandbox, &id).await, None, "nothing runs there");
    let workspace = sandbox.workspace(&id).await.expect("it is looked for").expect("there is a workspace");
    let kind =
        async |name: &str| workspace.stat(&path(name)).await.expect("it is looked for").map(|info| info.kind);
    assert_eq!(kind("project/void").await, Some(FileType::Directory));
    assert_eq!(kind("project/out").await, Some(FileType::Other), "a link stays a link");
    let mut wanted = command(
        &id,
        "t1",
        &format!(
            "./link; cat ../{long}; echo; readlink out; md5sum < large; [ -x empty ] || echo plain; \
             echo new > bin/new && echo new > void/new && rm large && mkdir ../more && ls | wc -l"
        ),
    );
    wanted.directory = Some(path("project"));
    start(sandbox, wanted).await;
    let expected =
        ["tool text", "long", "/nowhere/else", "14d785daab3823736c981ca82a750c98  -", "plain", "7"];
    let told = texts(&rest(sandbox, &id, "t1", None).await);
    assert_eq!(told, expected, "it is there as it was packed");
    assert_eq!(ended(sandbox, &id).await, Exit::Code(0));

    unpack(archive(&[Member::file("project/only", 0o644, "1")])).await.expect("another one is unpacked");
    start(sandbox, command(&id, "t2", "find . -mindepth 1 ! -name .home | sort")).await;
    let left = texts(&rest(sandbox, &id, "t2", None).await);
    assert_eq!(left, ["./project", "./project/only"], "what was there before is gone");
    let mut broken = tempfile();
    broken.write_all(&[b'x'; 2000]).expect("a file is written");
    assert!(unpack(broken).await.is_err(), "what is no archive is refused");
    remove(sandbox, &[&id]).await;
}

struct Member<'a> {
    name: &'a str,
    kind: EntryType,
    mode: u32,
    content: &'a str,
}

impl<'a> Member<'a> {
    fn file(name: &'a str, mode: u32, content: &'a str) -> Self {
        Self { name, kind: EntryType::Regular, mode, content }
    }

    fn directory(name: &'a str) -> Self {
        Self { name, kind: EntryType::Directory, mode: 0o755, content: "" }
    }

    fn link(name: &'a str, target: &'a str) -> Self {
        Self { name, kind: EntryType::Symlink, mode: 0o777, content: target }
    }
}

fn archive(members: &[Member<'_>]) -> File {
    let mut archive = Builder::new(tempfile());
    for member in members {
        let mut header = Header::new_gnu();
        header.set_entry_type(member.kind);
        header.set_mode(member.mode);
        header.set_mtime(1_700_000_000);
        let packed = if member.kind == EntryType::Symlink {
            header.set_size(0);
            archive.append_link(&mut header, member.name, member.content)
        } else {
            header.set_size(member.content.len() as u64);
            archive.append_data(&mut header, member.name, member.content.as_bytes())
        };
        packed.expect("a member is packed");
    }
    archive.into_inner().expect("an archive is packed")
}

/// A file without a name.
fn tempfile() -> File {
    let path = std::env::temp_dir().join(format!("prism-testkit-{}", Uuid::now_v7().simple()));
    let file = File::options().read(true).write(true).create_new(true).open(&path).expect("a file is made");
    std::fs::remove_file(&path).expect("its name is removed");
    file
}
