//! Archives that are as they should be, and such that are made to break what unpacks them.

use std::{collections::BTreeMap, io};

use proptest::prelude::*;
use serde_json::{Value, json};
use tar::{Archive, EntryType};

use super::{member::BLOCK, *};
use crate::domain::{
    limits,
    program::manifest::tests::{directory, file, link, manifest},
};

const OWNER: Owner = Owner { user: 1000, group: 1001 };

/// What is at a path of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File(Vec<u8>, u32),
    Directory(u32),
    Link(String),
}

type Tree = BTreeMap<String, Node>;

fn tree(nodes: &[(&str, Node)]) -> Tree {
    nodes.iter().map(|(path, node)| ((*path).to_owned(), node.clone())).collect()
}

/// A tree with one of each, and with names that need an extended header.
fn sample() -> Tree {
    let long = format!("src/{}/{}", "long".repeat(20), "name".repeat(20));
    let mut sample = tree(&[
        ("empty", Node::Directory(0o700)),
        ("src", Node::Directory(0o755)),
        ("src/main.py", Node::File(b"print('hello')\n".to_vec(), 0o644)),
        ("src/run", Node::File(vec![7; 3 * BLOCK], 0o755)),
        ("src/nothing", Node::File(Vec::new(), 0o600)),
        ("src/grüße.txt", Node::File("grüße".into(), 0o644)),
        ("link", Node::Link("src/main.py".to_owned())),
        ("to ü", Node::Link("src/grüße.txt".to_owned())),
    ]);
    sample.insert("far".to_owned(), Node::Link(long.clone()));
    sample.insert(format!("src/{}", "long".repeat(20)), Node::Directory(0o755));
    sample.insert(long, Node::File(b"deep".to_vec(), 0o444));
    sample
}

fn manifest_of(tree: &Tree) -> Manifest {
    parsed(&json_of(tree))
}

fn json_of(tree: &Tree) -> Value {
    let entries: Vec<_> = tree
        .iter()
        .map(|(path, node)| {
            let (mut entry, mode) = match node {
                Node::File(content, mode) => (file(path, content), *mode),
                Node::Directory(mode) => (directory(path), *mode),
                Node::Link(target) => (link(path, target), 0o777),
            };
            entry["mode"] = json!(mode);
            entry
        })
        .collect();
    manifest(&entries)
}

fn parsed(manifest: &Value) -> Manifest {
    Manifest::parse(&manifest.to_string(), BundleLimits::default()).unwrap()
}

/// A header with its sum.
fn header(kind: u8, name: &[u8], mode: u32, size: u64, target: &[u8]) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    block[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = kind;
    block[157..157 + target.len().min(100)].copy_from_slice(&target[..target.len().min(100)]);
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[265..269].copy_from_slice(b"root");
    block[297..301].copy_from_slice(b"root");
    sum(&mut block);
    block
}

fn sum(block: &mut [u8]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A header and a content.
fn member(kind: u8, name: &str, mode: u32, content: &[u8], target: &str) -> Vec<u8> {
    let mut member = header(kind, name.as_bytes(), mode, content.len() as u64, target.as_bytes());
    member.extend_from_slice(content);
    member.resize(member.len().next_multiple_of(BLOCK), 0);
    member
}

fn extended(fields: &[(&str, &str)]) -> Vec<u8> {
    let line = |(name, value): &(&str, &str)| {
        let rest = format!(" {name}={value}\n");
        let length = (rest.len()..).find(|length| length.to_string().len() + rest.len() == *length).unwrap();
        format!("{length}{rest}")
    };
    let text: String = fields.iter().map(line).collect();
    member(b'x', "././@PaxHeader", 0, text.as_bytes(), "")
}

/// A member as the stock client packs it.
fn packed(path: &str, node: &Node) -> Vec<u8> {
    let name = if matches!(node, Node::Directory(_)) { format!("{path}/") } else { path.to_owned() };
    let (kind, mode, content, target) = match node {
        Node::File(content, mode) => (b'0', *mode, content.as_slice(), ""),
        Node::Directory(mode) => (b'5', *mode, &[][..], ""),
        Node::Link(target) => (b'2', 0o777, &[][..], target.as_str()),
    };
    let fits = |text: &str| text.is_ascii() && text.len() <= 100;
    let fields: Vec<_> =
        [("path", name.as_str()), ("linkpath", target)].into_iter().filter(|(_, text)| !fits(text)).collect();
    let before = if fields.is_empty() { Vec::new() } else { extended(&fields) };
    let plain = |text: &str| text.replace(|c: char| !c.is_ascii(), "?");
    [before, member(kind, &plain(&name), mode, content, &plain(target))].concat()
}

/// The members and the end of an archive, filled up as the stock client does it.
fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    let mut archive = members.concat();
    archive.resize((archive.len() + 2 * BLOCK).next_multiple_of(20 * BLOCK), 0);
    archive
}

fn pack(tree: &Tree) -> Vec<u8> {
    archive(&tree.iter().map(|(path, node)| packed(path, node)).collect::<Vec<_>>())
}

/// What the check makes of an archive.
fn checked(archive: &[u8], manifest: &Manifest) -> Result<Vec<u8>, BundleError> {
    let mut clean = Vec::new();
    let project = "project".parse().unwrap();
    let checked = check(archive, manifest, BundleLimits::default(), &project, OWNER, &mut clean)?;
    assert_eq!(checked, Checked { read: archive.len() as u64, written: clean.len() as u64 });
    assert!(checked.read <= manifest.most_archive_bytes());
    Ok(clean)
}

/// Why an archive is refused.
fn refusal(archive: &[u8], manifest: &Manifest) -> String {
    let error = checked(archive, manifest).unwrap_err();
    assert!(error.is_refusal());
    error.to_string()
}

/// The tree of a clean archive, as another reader sees it.
fn unpack(clean: &[u8]) -> Tree {
    let mut tree = Tree::new();
    let mut archive = Archive::new(clean);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (1000, 1001));
        assert_eq!(header.mtime().unwrap(), 315_619_200);
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mode = header.mode().unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let (path, node) = match header.entry_type() {
            EntryType::Regular => (name, Node::File(content, mode)),
            EntryType::Directory => (name.strip_suffix('/').unwrap().to_owned(), Node::Directory(mode)),
            EntryType::Symlink => {
                (name, Node::Link(String::from_utf8(entry.link_name_bytes().unwrap().into_owned()).unwrap()))
            }
            other => panic!("{name} is {other:?}"),
        };
        assert!(tree.insert(path.clone(), node).is_none(), "{path} is there twice");
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        assert!(
            parent.is_none_or(|parent| tree.contains_key(parent)),
            "{path} comes before what is above it"
        );
    }
    assert_eq!(tree.remove("project"), Some(Node::Directory(0o755)));
    tree.into_iter().map(|(path, node)| (path.strip_prefix("project/").unwrap().to_owned(), node)).collect()
}

#[test]
fn what_the_manifest_says_becomes_a_clean_archive() {
    let sample = sample();
    let clean = checked(&pack(&sample), &manifest_of(&sample)).unwrap();
    assert_eq!(unpack(&clean), sample);
    assert_eq!(clean.len() % BLOCK, 0);
    let nothing = Tree::new();
    assert_eq!(unpack(&checked(&pack(&nothing), &manifest_of(&nothing)).unwrap()), nothing);
}

#[test]
fn members_may_come_in_any_order() {
    let sample = sample();
    let members: Vec<_> = sample.iter().rev().map(|(path, node)| packed(path, node)).collect();
    assert_eq!(unpack(&checked(&archive(&members), &manifest_of(&sample)).unwrap()), sample);
}

#[test]
fn directories_that_were_left_out_are_made_for_what_is_in_them() {
    let content = b"x";
    let manifest = parsed(&manifest(&[
        json!({"path": "a", "kind": "dir", "included": false, "mode": 0o700}),
        file("a/b/c", content),
    ]));
    let archive = archive(&[member(b'0', "a/b/c", 0o644, content, "")]);
    let expected = tree(&[
        ("a", Node::Directory(0o755)),
        ("a/b", Node::Directory(0o755)),
        ("a/b/c", Node::File(content.to_vec(), 0o644)),
    ]);
    assert_eq!(unpack(&checked(&archive, &manifest).unwrap()), expected);
}

#[test]
fn a_project_can_be_deep_and_belong_to_anybody() {
    let sample = sample();
    let owner = Owner { user: u32::MAX, group: u32::MAX };
    let mut clean = Vec::new();
    let directory = "a/b".parse().unwrap();
    let limits = BundleLimits::default();
    check(pack(&sample).as_slice(), &manifest_of(&sample), limits, &directory, owner, &mut clean).unwrap();
    let mut archive = Archive::new(clean.as_slice());
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            assert_eq!(
                (entry.header().uid().unwrap(), entry.header().gid().unwrap()),
                (u32::MAX.into(), u32::MAX.into())
            );
            entry.path().unwrap().to_string_lossy().into_owned()
        })
        .collect();
    assert_eq!(names[..3], ["a/", "a/b/", "a/b/empty/"]);
    assert!(names[2..].iter().all(|name| name.starts_with("a/b/")));
}

#[test]
fn set_user_bits_are_left_behind() {
    let manifest = parsed(&manifest(&[{
        let mut entry = file("a", b"");
        entry["mode"] = json!(0o6755);
        entry
    }]));
    for mode in [0o755, 0o6755, 0o100_755] {
        let clean = checked(&archive(&[member(b'0', "a", mode, b"", "")]), &manifest).unwrap();
        assert_eq!(unpack(&clean), tree(&[("a", Node::File(Vec::new(), 0o755))]));
    }
}

/// A manifest of a file, a directory, a link, and a file that was left out; and the members that belong to it.
fn few() -> (Manifest, [Vec<u8>; 3]) {
    let manifest = manifest(&[
        file("a", b"content"),
        directory("b"),
        link("c", "a"),
        json!({"path": "d", "kind": "file", "included": false}),
    ]);
    let members = [
        member(b'0', "a", 0o644, b"content", ""),
        member(b'5', "b/", 0o755, b"", ""),
        member(b'2', "c", 0o777, b"", "a"),
    ];
    (parsed(&manifest), members)
}

/// Why an archive is refused that has this in the place of its first member, or before the others.
fn refusal_of(other: &[u8]) -> String {
    let (manifest, [a, b, c]) = few();
    assert!(checked(&archive(&[a.clone(), b.clone(), c.clone()]), &manifest).is_ok());
    let refused = refusal(&archive(&[other.to_vec(), b.clone(), c.clone()]), &manifest);
    assert_eq!(refused, refusal(&archive(&[other.to_vec(), a, b, c]), &manifest));
    refused
}

#[test]
fn a_member_is_as_the_manifest_says() {
    for (other, rule) in [
        (member(b'0', "a", 0o644, b"CONTENT", ""), "`a` of the archive must have the content whose digest"),
        (
            member(b'0', "a", 0o644, b"content ", ""),
            "`a` of the archive must have 7 bytes, as the manifest says, but has 8",
        ),
        (
            member(b'0', "a", 0o755, b"content", ""),
            "`a` of the archive must have the mode 644, as the manifest says, but has 755",
        ),
        (
            member(b'5', "a", 0o644, b"", ""),
            "`a` of the archive must be a file, as the manifest says, but is a directory",
        ),
        (
            member(b'2', "a", 0o644, b"", "a"),
            "`a` of the archive must be a file, as the manifest says, but is a symbolic link",
        ),
        (
            member(b'0', "b", 0o755, b"", ""),
            "`b` of the archive must be a directory, as the manifest says, but is a file",
        ),
        (member(b'2', "c", 0o777, b"", "b"), "`c` of the archive must lead where the manifest says"),
        (member(b'2', "c", 0o777, b"", "/a"), "`c` of the archive must lead where the manifest says"),
        (member(b'2', "c", 0o777, b"", ""), "`c` of the archive must lead where the manifest says"),
        (
            member(b'0', "d", 0o644, b"", ""),
            "`d` of the archive must not be there: the manifest leaves it out",
        ),
        (member(b'0', "e", 0o644, b"", ""), "`e` of the archive is not an entry of the manifest"),
        (member(b'0', "a/a", 0o644, b"", ""), "`a/a` of the archive is not an entry of the manifest"),
        (member(b'5', "b/", 0o755, b"content", ""), "`b/` of the archive must have no content"),
        (member(b'2', "c", 0o777, b"content", "a"), "`c` of the archive must have no content"),
    ] {
        let refused = refusal_of(&other);
        assert!(refused.contains(rule), "{refused}\nis not\n{rule}");
    }
}

#[test]
fn a_member_has_a_path_of_a_bundle() {
    for name in [
        "", "/", "/a", "..", "../a", "./a", "a/", "a/.", "b/../a", "b//a", "b\\..\\a", "a\\b", ".", "b/",
        "b//",
    ] {
        let refused = refusal_of(&member(b'0', name, 0o644, b"content", ""));
        assert!(refused.contains("must be a path inside the project"), "{name}: {refused}");
        let hidden = [extended(&[("path", name)]), member(b'0', "a", 0o644, b"content", "")].concat();
        assert_eq!(refusal_of(&hidden), refused, "{name}");
    }
    for name in ["b//", "/b/", "./b/", "b/../b/", "//"] {
        let refused = refusal_of(&member(b'5', name, 0o755, b"", ""));
        assert!(refused.contains("must be a path inside the project"), "{name}: {refused}");
    }
    let nul = [extended(&[("path", "a\0b")]), member(b'0', "a", 0o644, b"content", "")].concat();
    assert!(refusal_of(&nul).contains("`a\\0b` of the archive must be a path"));
    let mut odd = header(b'0', b"\xff\xfe", 0o644, 0, b"");
    assert!(refusal_of(&odd).contains("must have a name and a target in UTF-8"));
    odd[345..349].copy_from_slice(b"/etc");
    sum(&mut odd);
    assert!(refusal_of(&odd).contains("UTF-8"));
    let mut prefixed = header(b'0', b"a", 0o644, 0, b"");
    prefixed[345..347].copy_from_slice(b"..");
    sum(&mut prefixed);
    assert!(refusal_of(&prefixed).contains("`../a` of the archive must be a path inside the project"));
    let long = "x".repeat(500);
    let refused = refusal_of(&[extended(&[("path", &long)]), member(b'0', "a", 0o644, b"", "")].concat());
    assert!(refused.contains(&format!("`{}…`", "x".repeat(200))), "{refused}");
}

#[test]
fn the_prefix_of_a_header_is_part_of_the_name() {
    let content = b"x".to_vec();
    let deep = tree(&[("a/b/c", Node::File(content.clone(), 0o644))]);
    let mut member = member(b'0', "c", 0o644, &content, "");
    member[345..348].copy_from_slice(b"a/b");
    sum(&mut member[..BLOCK]);
    let clean = checked(&archive(&[member]), &manifest_of(&deep)).unwrap();
    assert_eq!(unpack(&clean)["a/b/c"], deep["a/b/c"]);
}

#[test]
fn nothing_but_files_directories_and_links_is_taken() {
    for (kind, what) in [
        (b'1', "a hard link"),
        (b'3', "a character device"),
        (b'4', "a block device"),
        (b'6', "a pipe"),
        (b'7', "a contiguous file"),
        (b'S', "a sparse file"),
        (b'g', "a global header"),
        (b'L', "a long name in the form of GNU tar"),
        (b'K', "a long name in the form of GNU tar"),
        (b'D', "of a kind that is not known"),
        (b'V', "of a kind that is not known"),
        (b'X', "of a kind that is not known"),
        (b'A', "of a kind that is not known"),
        (0xff, "of a kind that is not known"),
    ] {
        let refused = refusal_of(&member(kind, "a", 0o644, b"content", "b"));
        let rule =
            format!("`a` of the archive must be a file, a directory or a symbolic link, but is {what}");
        assert!(refused.contains(&rule), "{refused}");
    }
}

#[test]
fn an_extended_header_wins_over_the_header_and_hides_nothing() {
    let (manifest, [a, b, c]) = few();
    let packed_member = member;
    let content = |size: u64| {
        let mut member = packed_member(b'0', "somewhere/else", 0o644, b"content", "");
        let shown = header(b'0', b"somewhere/else", 0o644, size, b"");
        member[..BLOCK].copy_from_slice(&shown);
        member
    };
    // What a path, a size and a target really are.
    for (fields, member, rest) in [
        (vec![("path", "a")], content(7), [&b, &c]),
        (
            vec![
                ("path", "a"),
                ("size", "7"),
                ("mtime", "0.5"),
                ("uid", "0"),
                ("gname", "x"),
                ("comment", "ü"),
            ],
            content(0),
            [&b, &c],
        ),
        (vec![("path", "b/")], packed_member(b'5', "x/", 0o755, b"", ""), [&a, &c]),
        (vec![("linkpath", "a")], packed_member(b'2', "c", 0o777, b"", "/etc/passwd"), [&a, &b]),
    ] {
        let members = [extended(&fields), member, rest[0].clone(), rest[1].clone()];
        assert!(checked(&archive(&members), &manifest).is_ok(), "{fields:?}");
    }
    for (fields, rule) in [
        (vec![("path", "/a")], "must be a path inside the project"),
        (vec![("path", "e")], "`e` of the archive is not an entry"),
        (vec![("size", "8")], "must have 7 bytes, as the manifest says, but has 8"),
        (vec![("size", "0")], "must have 7 bytes, as the manifest says, but has 0"),
        (vec![("size", "18446744073709551615")], "must have 7 bytes"),
        (vec![("size", "x")], "its size is not a number"),
        (vec![("path", "a"), ("path", "a")], "it says the same twice"),
        (vec![("GNU.sparse.major", "1")], "a sparse file"),
        (vec![("GNU.sparse.name", "a")], "a sparse file"),
        (vec![("SCHILY.xattr.security.capability", "x")], "a field that is not known"),
        (vec![("hdrcharset", "BINARY")], "a field that is not known"),
        (vec![("GNU.dumpdir", "x")], "a field that is not known"),
    ] {
        let refused = refusal_of(&[extended(&fields), a.clone()].concat());
        assert!(refused.contains(rule), "{fields:?}: {refused}");
    }
    let twice = [extended(&[("mtime", "1")]), extended(&[("path", "a")]), a.clone()].concat();
    assert!(refusal_of(&twice).contains("it follows another one"));
    let alone = [a.clone(), b.clone(), c.clone(), extended(&[("mtime", "1")])];
    assert!(refusal(&archive(&alone), &manifest).contains("no member follows it"));
    let broken = [packed_member(b'x', "x", 0, b"99 path=a\n", ""), a.clone()].concat();
    assert!(refusal_of(&broken).contains("a line of another form"));
    let negative = [extended(&[("linkpath", "/etc")]), packed_member(b'2', "c", 0o777, b"", "a")].concat();
    assert!(refusal_of(&negative).contains("`c` of the archive must lead where the manifest says"));
}

#[test]
fn an_extended_header_is_bounded() {
    let (manifest, [a, b, c]) = few();
    let of = |size: usize| {
        let rest = "10000 comment=\n".len();
        let extended = extended(&[("comment", &"x".repeat(size - rest))]);
        archive(&[extended, a.clone(), b.clone(), c.clone()])
    };
    assert!(checked(&of(limits::ARCHIVE_HEADER), &manifest).is_ok());
    assert!(refusal(&of(limits::ARCHIVE_HEADER + 1), &manifest).contains("at most 16384 bytes"));
    let endless = header(b'x', b"x", 0, 0o77_777_777_777, b"");
    assert!(refusal_of(&endless).contains("at most 16384 bytes"));
}

#[test]
fn every_entry_has_one_member() {
    let (manifest, [a, b, c]) = few();
    for members in [
        vec![a.clone(), b.clone(), c.clone(), a.clone()],
        vec![a.clone(), a.clone(), b.clone(), c.clone()],
        vec![
            a.clone(),
            extended(&[("path", "a")]),
            member(b'0', "x", 0o644, b"content", ""),
            b.clone(),
            c.clone(),
        ],
    ] {
        assert!(
            refusal(&archive(&members), &manifest).contains("`a` of the archive must not be there twice")
        );
    }
    let refused = refusal(&archive(&[a.clone(), c.clone(), b.clone(), b.clone()]), &manifest);
    assert!(refused.contains("`b/` of the archive must not be there twice"), "{refused}");
    let refused = refusal(&archive(&[a, b]), &manifest);
    assert_eq!(refused, "the archive must have all entries of the manifest, but has not `c`");
    let refused = refusal(&archive(&[]), &manifest);
    assert_eq!(refused, "the archive must have all entries of the manifest, but has not `a` and 2 others");
}

#[test]
fn an_archive_ends_with_two_empty_blocks_and_zeros() {
    let (manifest, members) = few();
    let members = members.concat();
    let padded = |zeros: usize| [members.clone(), vec![0; zeros]].concat();
    let most = 2 * BLOCK + limits::ARCHIVE_PADDING as usize;
    for zeros in [2 * BLOCK, 2 * BLOCK + 1, 20 * BLOCK, most] {
        assert!(checked(&padded(zeros), &manifest).is_ok(), "{zeros}");
    }
    assert!(refusal(&padded(most + 1), &manifest).contains("nothing may follow the end"));
    for zeros in [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK - 1] {
        assert!(refusal(&padded(zeros), &manifest).contains("is cut off"), "{zeros}");
    }
    for after in [&b"x"[..], &member(b'0', "e", 0o644, b"", "")] {
        for zeros in [BLOCK, 2 * BLOCK, 3 * BLOCK + 1] {
            let trailing = [padded(zeros), after.to_vec(), vec![0; BLOCK]].concat();
            assert!(refusal(&trailing, &manifest).contains("nothing may follow the end"), "{zeros}");
        }
    }
    let endless = io::Read::chain(members.as_slice(), io::repeat(0));
    let project = "project".parse().unwrap();
    let refused =
        check(endless, &manifest, BundleLimits::default(), &project, OWNER, io::sink()).unwrap_err();
    assert!(matches!(refused, BundleError::Place { fault: Fault::Trailing, .. }));
}

#[test]
fn an_archive_that_is_cut_off_is_refused_wherever_that_is() {
    let sample = sample();
    let (manifest, packed) = (manifest_of(&sample), pack(&sample));
    let end = packed.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(BLOCK) + 2 * BLOCK;
    for cut in (0..end).step_by(37).chain([end - 1]) {
        assert!(refusal(&packed[..cut], &manifest).contains("is cut off"), "{cut}");
    }
    assert!(checked(&packed[..end], &manifest).is_ok());
}

#[test]
fn a_header_has_one_form() {
    let (_, [a, ..]) = few();
    let changed = |change: &dyn Fn(&mut [u8])| {
        let mut member = a.clone();
        change(&mut member[..BLOCK]);
        sum(&mut member[..BLOCK]);
        refusal_of(&member)
    };
    assert!(changed(&|block| block[257..265].copy_from_slice(b"ustar  \0")).contains("it has another form"));
    assert!(changed(&|block| block[257..265].fill(0)).contains("it has another form"));
    for size in [
        &b"\x80\0\0\0\0\0\0\0\0\0\0\x07"[..],
        b"            ",
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
        b"0000000000x\0",
        b"00000000007x",
        b"7 7\0\0\0\0\0\0\0\0\0",
        b"-0000000007\0",
        b"000000000080",
    ] {
        assert!(
            changed(&|block| block[124..136].copy_from_slice(size)).contains("its size is not octal"),
            "{size:?}"
        );
    }
    for mode in [&b"\x80\0\0\0\0\0\x01\xa4"[..], b"0000648\0", b"\0\0\0\0\0\0\0\0"] {
        assert!(
            changed(&|block| block[100..108].copy_from_slice(mode)).contains("its mode is not octal"),
            "{mode:?}"
        );
    }
    let mut wrong = a.clone();
    wrong[0] = b'b';
    assert!(refusal_of(&wrong).contains("its sum is wrong"));
    wrong[148..156].fill(0xff);
    assert!(refusal_of(&wrong).contains("its sum is wrong"));
    let compressed = b"\x1f\x8b\x08\x00".repeat(BLOCK);
    assert!(refusal_of(&compressed).contains("must be a header of a pax archive, not compressed"));
}

#[test]
fn limits_that_were_lowered_hold() {
    let (manifest, members) = few();
    let archive = archive(&members);
    let project = "project".parse().unwrap();
    let with = |bytes: u64, files: u64| {
        check(archive.as_slice(), &manifest, BundleLimits { bytes, files }, &project, OWNER, io::sink())
    };
    assert!(with(7, 2).is_ok());
    for (bytes, files) in [(6, 2), (7, 1)] {
        assert!(matches!(with(bytes, files), Err(BundleError::TooLarge { .. })));
    }
}

/// A disk or a connection that fails after so many bytes.
struct Failing<T>(T, usize);

impl<T: Read> Read for Failing<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.1);
        if most == 0 {
            return Err(io::Error::other("failed"));
        }
        let read = self.0.read(&mut into[..most])?;
        self.1 -= read;
        Ok(read)
    }
}

impl<T: Write> Write for Failing<T> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let most = from.len().min(self.1);
        if most == 0 {
            return Err(io::Error::other("failed"));
        }
        let written = self.0.write(&from[..most])?;
        self.1 -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn a_failure_is_nobodys_mistake_and_leaves_no_whole_archive() {
    let (manifest, members) = few();
    let archive = archive(&members);
    let project = "project".parse().unwrap();
    let limits = BundleLimits::default();
    let whole = checked(&archive, &manifest).unwrap();
    for most in [0, 1, BLOCK, archive.len() - 1] {
        let mut clean = Vec::new();
        let failed = check(Failing(archive.as_slice(), most), &manifest, limits, &project, OWNER, &mut clean);
        let failed = failed.unwrap_err();
        assert!(matches!(failed, BundleError::Read(_)) && !failed.is_refusal());
        assert!(clean.len() <= whole.len() - 2 * BLOCK, "it has no end");
    }
    for most in [0, 1, BLOCK, whole.len() - 1] {
        let failed = check(archive.as_slice(), &manifest, limits, &project, OWNER, Failing(Vec::new(), most));
        let failed = failed.unwrap_err();
        assert!(matches!(failed, BundleError::Write(_)) && !failed.is_refusal());
    }
}

/// A reader that gives one byte at a time, and is interrupted in between.
struct Slow<'a>(&'a [u8], bool);

impl Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = into.len().min(1);
        self.0.read(&mut into[..most])
    }
}

#[test]
fn an_archive_may_come_byte_by_byte() {
    let sample = sample();
    let packed = pack(&sample);
    let project = "project".parse().unwrap();
    let mut clean = Vec::new();
    let limits = BundleLimits::default();
    check(Slow(&packed, false), &manifest_of(&sample), limits, &project, OWNER, &mut clean).unwrap();
    assert_eq!(unpack(&clean), sample);
}

/// Any tree: each path that fits into what there is already becomes a node.
fn any_tree() -> impl Strategy<Value = Tree> {
    let path = prop_oneof![
        "[a-c]{1,2}(/[a-c]{1,2}){0,3}",
        "[a-cü\n *=]{1,6}(/[a-z]{1,4}){0,2}",
        "[a-b]{1,3}(/[d-f]{40,100}){1,4}",
    ];
    let mode = prop::sample::select(vec![0o644, 0o755, 0o600, 0o444, 0o777, 0o500]);
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        (0..4_usize).prop_map(|blocks| vec![b'x'; blocks * BLOCK]),
        (PIECE - 2..PIECE + 2).prop_map(|size| vec![b'y'; size]),
    ];
    let node = prop_oneof![
        4 => (content, mode.clone()).prop_map(|(content, mode)| Node::File(content, mode)),
        2 => mode.prop_map(Node::Directory),
        1 => "[a-dü]{1,4}(/[a-z]{1,60}){0,3}".prop_map(Node::Link),
    ];
    prop::collection::vec((path, node), 0..12).prop_map(|nodes| {
        let mut tree = Tree::new();
        for (path, node) in nodes {
            let path = path.parse::<BundlePath>().unwrap();
            let blocked =
                path.parents().any(|parent| !matches!(tree.get(parent), None | Some(Node::Directory(_))));
            if blocked || tree.contains_key(path.as_str()) {
                continue;
            }
            for parent in path.parents() {
                tree.entry(parent.to_owned()).or_insert(Node::Directory(0o755));
            }
            tree.insert(path.as_str().to_owned(), node);
        }
        tree
    })
}

proptest! {
    #[test]
    fn any_tree_comes_out_as_it_was_packed(tree in any_tree()) {
        // A link may lead around in a circle by chance, which the manifest does not allow.
        let manifest = Manifest::parse(&json_of(&tree).to_string(), BundleLimits::default());
        prop_assume!(manifest.is_ok());
        let clean = checked(&pack(&tree), &manifest.unwrap());
        prop_assert!(clean.is_ok(), "{:?}", clean);
        prop_assert_eq!(unpack(&clean.unwrap()), tree);
    }

    #[test]
    fn a_changed_byte_is_refused_or_changes_nothing(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        mended in any::<bool>(),
    ) {
        let sample = sample();
        let mut packed = pack(&sample);
        let at = at.index(packed.len());
        packed[at] = byte;
        if mended {
            let start = at / BLOCK * BLOCK;
            sum(&mut packed[start..start + BLOCK]);
        }
        match checked(&packed, &manifest_of(&sample)) {
            Ok(clean) => prop_assert_eq!(unpack(&clean), sample),
            Err(error) => prop_assert!(error.is_refusal()),
        }
    }

    #[test]
    fn a_changed_field_of_a_header_is_refused_or_changes_nothing(
        member in any::<prop::sample::Index>(),
        field in prop::sample::select(vec![0..100, 100..108, 124..136, 156..157, 157..257, 257..265, 345..500_usize]),
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 1..12),
            "[0-7]{1,12}".prop_map(String::into_bytes),
            "(\\.\\./)?(link|src|empty|src/run|/etc)/?".prop_map(String::into_bytes),
        ],
    ) {
        let sample = sample();
        let mut members: Vec<_> = sample.iter().map(|(path, node)| packed(path, node)).collect();
        let index = member.index(members.len());
        let member = &mut members[index];
        // The last header of the member, after the extended one.
        let extended = if member[156] == b'x' { 2 * BLOCK } else { 0 };
        let block = &mut member[extended..extended + BLOCK];
        for (to, from) in block[field].iter_mut().zip(text.iter().chain([&0])) {
            *to = *from;
        }
        sum(block);
        match checked(&archive(&members), &manifest_of(&sample)) {
            Ok(clean) => prop_assert_eq!(unpack(&clean), sample),
            Err(error) => prop_assert!(error.is_refusal()),
        }
    }

    #[test]
    fn members_that_are_mixed_up_are_refused_or_make_the_same_tree(
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..14),
    ) {
        let sample = sample();
        let members: Vec<_> = sample.iter().map(|(path, node)| packed(path, node)).collect();
        let mixed: Vec<_> = order.iter().map(|index| index.get(&members).clone()).collect();
        if let Ok(clean) = checked(&archive(&mixed), &manifest_of(&sample)) {
            prop_assert_eq!(unpack(&clean), sample);
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let sample = sample();
        prop_assert!(checked(&bytes, &manifest_of(&sample)).is_err());
    }

    #[test]
    fn any_blocks_are_refused_or_make_the_same_tree(
        blocks in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..40),
    ) {
        let sample = sample();
        let packed = pack(&sample);
        let whole: Vec<&[u8]> = packed.chunks(BLOCK).collect();
        let mixed: Vec<u8> = blocks.iter().flat_map(|(index, _)| index.get(&whole).to_vec()).collect();
        if let Ok(clean) = checked(&mixed, &manifest_of(&sample)) {
            prop_assert_eq!(unpack(&clean), sample);
        }
    }
}
