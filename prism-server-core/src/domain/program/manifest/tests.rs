use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// An entry of the bundle that is a file.
pub(crate) fn file(path: &str, content: &[u8]) -> Value {
    json!({
        "path": path, "kind": "file", "included": true, "reason": "included", "size": content.len(), "mode": 0o644,
        "digest": Digest::of(content),
    })
}

/// An entry of the bundle that is a directory.
pub(crate) fn directory(path: &str) -> Value {
    json!({"path": path, "kind": "dir", "included": true, "reason": "included", "size": 0, "mode": 0o755})
}

/// An entry of the bundle that is a link.
pub(crate) fn link(path: &str, target: &str) -> Value {
    json!({
        "path": path, "kind": "symlink", "included": true, "reason": "included", "size": 0, "mode": 0o777,
        "digest": Digest::of(target.as_bytes()), "symlink_target": target,
    })
}

/// A manifest as the stock client makes it of these entries, whatever they are.
pub(crate) fn manifest(entries: &[Value]) -> Value {
    let config_digest = Digest::of(b"config");
    let readable: Vec<Entry> =
        entries.iter().filter_map(|entry| serde_json::from_value(entry.clone()).ok()).collect();
    let included = || readable.iter().filter(|entry| entry.included);
    json!({
        "bundle_digest": Manifest::digest(config_digest, &readable),
        "config_digest": config_digest,
        "archive_format": "tar",
        "total_size": included().map(|entry| entry.size).fold(0, u64::saturating_add),
        "file_count": included().filter(|entry| entry.kind != EntryKind::Dir).count(),
        "generated_at": "2026-06-06T12:00:00.000001Z",
        "materialization_path": "/workspace/project",
        "include_patterns": ["."],
        "exclude_patterns": [],
        "default_exclude_patterns": [".git/", "*.pyc"],
        "entries": entries,
    })
}

/// The problems of a manifest.
fn problems_of(manifest: &Value, limits: BundleLimits) -> Vec<String> {
    let problems = Manifest::parse(&manifest.to_string(), limits).err().unwrap_or_default();
    problems.into_iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect()
}

fn problems(entries: &[Value]) -> Vec<String> {
    problems_of(&manifest(entries), BundleLimits::default())
}

/// The one problem that a manifest has.
fn problem(entries: &[Value]) -> String {
    let mut problems = problems(entries);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}

/// A value with other fields; `null` takes one away.
fn with(mut value: Value, changes: Value) -> Value {
    for (name, change) in changes.as_object().unwrap() {
        value[name] = change.clone();
    }
    value
}

fn left_out(path: &str, kind: &str) -> Value {
    json!({"path": path, "kind": kind, "included": false, "reason": "ignored by .gitignore", "size": 7, "mode": 0o600})
}

#[test]
fn a_manifest_is_kept_with_what_was_left_out() {
    let given = manifest(&[
        directory("src"),
        file("src/main.py", b"print()"),
        link("src/main", "main.py"),
        left_out(".env", "file"),
        with(left_out("away", "symlink"), json!({"symlink_target": "a/b", "size": 0})),
        left_out("lib", "dir"),
        file("lib/kept.py", b""),
    ]);
    let manifest = Manifest::parse(&given.to_string(), BundleLimits::default()).unwrap();
    assert_eq!((manifest.total_size, manifest.file_count, manifest.entries.len()), (7, 3, 7));
    assert_eq!(manifest.included().count(), 4);
    assert_eq!(manifest.materialization_path.in_workspace(), "project");
    assert_eq!(serde_json::to_value(&manifest).unwrap(), given, "it is its own wire form");
    assert_eq!(serde_json::from_value::<Manifest>(given).unwrap(), manifest);
}

/// The digest of one file, one directory and one link, made by the stock client.
#[test]
fn the_digest_is_that_of_the_stock_client() {
    let text = [
        format!("config:{}\n", Digest::of(b"config")),
        "B\0dir\x00493\x000\0\n".to_owned(),
        format!("a\0file\0420\03\0{}\n", Digest::of(b"abc")),
        format!("b\0symlink\0511\00\0{}\n", Digest::of(b"a")),
        "ü\0file\x000\x000\0".to_owned() + &Digest::of(b"").to_string() + "\n",
        format!("\u{10000}\0file\0420\00\0{}\n", Digest::of(b"")),
    ];
    let entries = [
        file("\u{10000}", b""),
        with(file("ü", b""), json!({"mode": null})),
        link("b", "a"),
        file("a", b"abc"),
        left_out("c", "file"),
        directory("B"),
    ];
    assert_eq!(problems(&entries), [""; 0]);
    assert_eq!(manifest(&entries)["bundle_digest"], json!(Digest::of(text.concat().as_bytes())));
}

#[test]
fn what_is_not_a_manifest_is_refused() {
    let parse = |json: &str| Manifest::parse(json, BundleLimits::default()).unwrap_err();
    for json in
        ["", "{", "[]", "null", "\"x\"", "1", "{}x", r#"{"entries": [}"#, r#"{"entries": [], "entries": []}"#]
    {
        let problems = parse(json);
        assert_eq!((problems.len(), problems[0].path.as_str()), (1, "$.bundle_manifest"), "{json}");
    }
    let missing: Vec<_> = parse("{}").into_iter().map(|problem| problem.path).collect();
    let expected = ["entries", "bundle_digest", "config_digest", "total_size", "file_count"];
    assert_eq!(missing, expected.map(|name| format!("$.bundle_manifest.{name}")));
    for (name, value) in [
        ("bundle_digest", json!("sha256:00")),
        ("config_digest", json!(1)),
        ("archive_format", json!("zip")),
        ("total_size", json!(-1)),
        ("file_count", json!("1")),
        ("generated_at", json!(1)),
        ("materialization_path", json!("/etc")),
        ("materialization_path", json!("/workspace")),
        ("include_patterns", json!("x")),
        ("exclude_patterns", json!([1])),
        ("entries", json!({})),
        ("entries", json!("x")),
    ] {
        let found = problems_of(&with(manifest(&[]), json!({name: value})), BundleLimits::default());
        assert!(
            found.len() == 1 && found[0].starts_with(&format!("$.bundle_manifest.{name}")),
            "{name}: {found:?}"
        );
    }
    let optional = json!({"generated_at": null, "materialization_path": null, "include_patterns": null, "archive_format": null, "more": [1]});
    assert_eq!(problems_of(&with(manifest(&[]), optional), BundleLimits::default()), [""; 0]);
}

#[test]
fn every_mistake_of_entries_is_told_at_once() {
    let found = problems(&[
        json!(1),
        json!({}),
        with(file("../x", b""), json!({"kind": "fifo", "included": 1, "mode": 0o10000})),
        with(file("a", b""), json!({"digest": null})),
        with(file("b", b""), json!({"symlink_target": "a"})),
        with(directory("c"), json!({"size": 1, "digest": Digest::of(b"")})),
        with(link("d", "a"), json!({"symlink_target": null})),
        with(link("e", "a"), json!({"digest": Digest::of(b"b")})),
        with(link("f", "a"), json!({"digest": null})),
        with(file("g", b""), json!({"digest": "00"})),
    ]);
    let expected = [
        "[0] must be an object",
        "[1].path is required",
        "[1].kind is required",
        "[1].included is required",
        "[2].path must be a path inside the project",
        "[2].kind must be `file`, `dir` or `symlink`",
        "[2].included must be true or false",
        "[2].mode must be a whole number from 0 to 4095",
        "[3].digest is required for a file",
        "[4].symlink_target must be left out for a file",
        "[5].size must be 0 for a directory",
        "[5].digest must be left out for a directory",
        "[6].symlink_target is required",
        "[7].digest must be the SHA-256 digest of `symlink_target`",
        "[8].digest must be the SHA-256 digest of `symlink_target`",
        "[9].digest must be a SHA-256 digest",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        let expected = format!("$.bundle_manifest.entries{expected}");
        assert!(found.starts_with(&expected), "{found} is not {expected}");
    }
}

#[test]
fn a_place_has_one_entry_and_only_directories_have_something_below() {
    assert_eq!(
        problem(&[file("a", b""), left_out("b", "file"), directory("a")]),
        "$.bundle_manifest.entries[2].path must not be there twice: `entries[0]` has it as well"
    );
    for above in [file("a", b""), link("a", "b"), left_out("a", "file"), left_out("a", "symlink")] {
        for path in ["a/b", "a/b/c"] {
            for entries in [[above.clone(), file(path, b"")], [file(path, b""), above.clone()]] {
                assert!(problem(&entries).contains("must not be below `a`, which is a"), "{above} {path}");
            }
        }
    }
    let fine = [left_out("a", "dir"), file("a/b", b""), file("c/d", b""), file("A", b""), file("c/D", b"")];
    assert_eq!(problems(&fine), [""; 0]);
}

#[test]
fn links_stay_in_the_project() {
    for (path, target) in [
        ("l", "a"),
        ("l", "."),
        ("l", "./a//b/"),
        ("l", "is/not/there"),
        ("l", "is/../not/../there"),
        ("a/l", ".."),
        ("a/b/l", "../../c"),
        ("a/l", "../a/../a/.."),
        ("l", "..."),
    ] {
        assert_eq!(problems(&[link(path, target)]), [""; 0], "{path} -> {target}");
    }
    for (path, target) in [
        ("l", ".."),
        ("l", "../x"),
        ("l", "a/../.."),
        ("a/l", "../.."),
        ("a/l", "../../a"),
        ("a/b/l", "../../../x"),
        ("l", "is/../not/../../there"),
        ("l", "/"),
        ("l", "/etc/passwd"),
        ("l", ""),
        ("l", "a\\b"),
        ("l", "..\\..\\x"),
        ("l", "a\0b"),
    ] {
        assert!(
            problem(&[link(path, target)]).contains("entries[0].symlink_target must"),
            "{path} -> {target}"
        );
    }
}

#[test]
fn links_stay_in_the_project_also_through_other_links() {
    // `up` is in a directory, and leads above it: what follows it starts there.
    let up = || vec![directory("a"), directory("a/b"), link("a/b/up", "../.."), directory("c")];
    for (target, fine) in [
        ("a/b/up", true),
        ("a/b/up/c", true),
        ("a/b/up/a/b", true),
        ("a/b/up/..", false),
        ("a/b/up/c/../..", false),
    ] {
        let mut entries = up();
        entries.push(link("l", target));
        assert_eq!(problems(&entries).is_empty(), fine, "{target}");
    }
    // Two steps that are fine by themselves.
    let entries = [link("a/x", ".."), link("y", "a/x/z/.."), link("z", "y")];
    assert!(problems(&entries).iter().any(|problem| problem.contains("around in a circle")));
    let around = [link("a", "b"), link("b", "a"), link("c", "c")];
    assert_eq!(problems(&around).len(), 3);
}

#[test]
fn a_link_leads_through_forty_links_at_most() {
    let chain = |length: usize| {
        let mut entries: Vec<_> =
            (1..length).map(|i| link(&format!("l{i}"), &format!("l{}", i + 1))).collect();
        entries.push(link(&format!("l{length}"), "end"));
        problems(&entries)
    };
    assert_eq!(chain(40), [""; 0]);
    assert_eq!(chain(41).len(), 1);
}

/// Each link leads through others of which each has a long way: following all of them would take billions of steps.
#[test]
fn following_links_has_an_end() {
    let way = "x/../".repeat(100);
    let mut entries = vec![directory("x")];
    entries.extend((0..30).map(|i| link(&format!("l{i}"), &format!("{way}l{}", i + 1))));
    entries.extend((0..3000).map(|i| link(&format!("m{i}"), "l0")));
    assert!(problems(&entries).iter().any(|problem| problem.contains("leads through too many other links")));
}

#[test]
fn totals_add_up_and_are_within_the_limits() {
    let given = manifest(&[directory("a"), file("a/b", b"12345"), link("c", "a"), left_out("d", "file")]);
    let limits = |bytes: u64, files: u64| BundleLimits { bytes, files };
    assert_eq!(problems_of(&given, limits(5, 2)), [""; 0]);
    let too_much = problems_of(&given, limits(4, 1));
    assert_eq!(too_much.len(), 2, "{too_much:#?}");
    assert!(
        too_much[0].starts_with("$.bundle_manifest.total_size must be at most 4, but the bundle has 5 bytes")
    );
    assert!(
        too_much[1].starts_with("$.bundle_manifest.file_count must be at most 1, but the bundle has 2 files")
    );
    for (name, value) in [("total_size", 4), ("total_size", 12), ("file_count", 1), ("file_count", 3)] {
        let found = problems_of(&with(given.clone(), json!({name: value})), limits(5, 2));
        assert!(
            found.len() == 1 && found[0].starts_with(&format!("$.bundle_manifest.{name} must be")),
            "{found:?}"
        );
    }
    let huge =
        [with(file("a", b""), json!({"size": u64::MAX})), with(file("b", b""), json!({"size": u64::MAX}))];
    assert!(problem(&huge).starts_with("$.bundle_manifest.total_size must be at most 8589934592"));
    assert_eq!(BundleLimits::default(), limits(8 << 30, 100_000));
}

#[test]
fn the_digest_has_to_be_that_of_the_entries() {
    let given = manifest(&[file("a", b"1"), directory("b")]);
    for (entry, name, value) in [
        (0, "mode", json!(0o600)),
        (0, "path", json!("c")),
        (0, "digest", json!(Digest::of(b"2"))),
        (1, "included", json!(false)),
        (1, "mode", json!(null)),
    ] {
        let mut changed = given.clone();
        changed["entries"][entry][name] = value;
        let found = problems_of(&changed, BundleLimits::default());
        assert!(
            found.len() == 1 && found[0].starts_with("$.bundle_manifest.bundle_digest must be"),
            "{found:?}"
        );
    }
    let changed = with(given, json!({"config_digest": Digest::of(b"other")}));
    assert_eq!(problems_of(&changed, BundleLimits::default()).len(), 1);
}

#[test]
fn the_number_of_entries_is_bounded_with_the_directories_above_them() {
    let bare = |count: usize, path: &str| {
        let entries: Vec<_> =
            (0..count).map(|i| format!(r#"{{"path":"{path}{i}","kind":"file","included":false}}"#)).collect();
        let given = with(manifest(&[]), json!({"entries": "ENTRIES"})).to_string();
        let given = given.replace("\"ENTRIES\"", &format!("[{}]", entries.join(",")));
        Manifest::parse(&given, BundleLimits::default()).err().unwrap_or_default()
    };
    assert_eq!(bare(limits::MANIFEST_ENTRIES, ""), []);
    for (count, path) in [(limits::MANIFEST_ENTRIES + 1, ""), (limits::MANIFEST_ENTRIES, "a/")] {
        let found = bare(count, path);
        assert!(found.len() == 1 && found[0].path == "$.bundle_manifest.entries", "{found:?}");
    }
}

#[test]
fn texts_of_a_manifest_are_bounded() {
    let text = |len: usize| "x".repeat(len);
    let patterns = |count: usize| with(manifest(&[]), json!({"exclude_patterns": vec!["x"; count]}));
    let pattern = |len: usize| with(manifest(&[]), json!({"include_patterns": [text(len)]}));
    let reason = |len: usize| manifest(&[with(left_out("a", "file"), json!({"reason": text(len)}))]);
    let entry = |len: usize| {
        let rest = with(left_out("a", "file"), json!({"more": ""})).to_string().len();
        manifest(&[with(left_out("a", "file"), json!({"more": text(len - rest)}))])
    };
    let target = |len: usize| manifest(&[link("a", &text(len))]);
    let whole = |len: usize| {
        let rest = with(manifest(&[]), json!({"more": ""})).to_string().len();
        with(manifest(&[]), json!({"more": text(len - rest)}))
    };
    type Sized<'a> = &'a dyn Fn(usize) -> Value;
    let cases: [(usize, Sized<'_>); 6] = [
        (limits::MANIFEST_PATTERNS, &patterns),
        (limits::MANIFEST_TEXT, &pattern),
        (limits::MANIFEST_TEXT, &reason),
        (limits::MANIFEST_ENTRY, &entry),
        (limits::PATH, &target),
        (limits::MANIFEST, &whole),
    ];
    for (index, (limit, sized)) in cases.into_iter().enumerate() {
        assert_eq!(problems_of(&sized(limit), BundleLimits::default()), [""; 0], "case {index}");
        assert_eq!(problems_of(&sized(limit + 1), BundleLimits::default()).len(), 1, "case {index}");
    }
}

#[test]
fn permissions_are_those_of_user_group_and_others() {
    let permissions = |entry: Value| serde_json::from_value::<Entry>(entry).unwrap().permissions();
    assert_eq!(permissions(with(file("a", b""), json!({"mode": 0o7755}))), 0o755);
    assert_eq!(permissions(with(directory("a"), json!({"mode": 0o1777}))), 0o777);
    for (entry, usual) in [(file("a", b""), 0o644), (directory("a"), 0o755), (link("a", "b"), 0o777)] {
        for mode in [json!(0), json!(null)] {
            assert_eq!(permissions(with(entry.clone(), json!({"mode": mode}))), usual);
        }
    }
}

/// JSON that is not too unlike an entry.
fn any_entry() -> impl Strategy<Value = Value> {
    let path = "(a|b|a/b|b/a|a/b/c|\\.\\./a|l|ü)";
    let target = "(a|b|\\.\\.|\\.\\./a|l|a/\\.\\.|\\.\\./\\.\\.)";
    (path, target, 0..8_u8, any::<bool>()).prop_map(|(path, target, kind, included)| {
        let entry = match kind {
            0..3 => file(&path, target.as_bytes()),
            3..5 => directory(&path),
            5..7 => link(&path, &target),
            _ => json!({"path": path, "kind": target}),
        };
        with(entry, json!({"included": included}))
    })
}

proptest! {
    #[test]
    fn a_manifest_that_is_taken_makes_a_tree(entries in prop::collection::vec(any_entry(), 0..8)) {
        let given = manifest(&entries);
        match Manifest::parse(&given.to_string(), BundleLimits::default()) {
            Err(problems) => prop_assert!(!problems.is_empty()),
            Ok(manifest) => {
                let mut kinds = std::collections::BTreeMap::new();
                for entry in &manifest.entries {
                    prop_assert!(kinds.insert(entry.path.as_str(), entry.kind).is_none());
                }
                for parent in manifest.entries.iter().flat_map(|entry| entry.path.parents()) {
                    prop_assert!(kinds.get(parent).is_none_or(|kind| *kind == EntryKind::Dir));
                }
                prop_assert!(manifest.most_archive_bytes() > manifest.total_size);
            }
        }
    }

    #[test]
    fn any_text_is_taken_or_refused(text in ".{0,200}") {
        let _ = Manifest::parse(&text, BundleLimits::default());
        let _ = Manifest::parse(&format!("{{\"entries\":[{text}]}}"), BundleLimits::default());
    }

    #[test]
    fn a_manifest_with_a_changed_byte_is_taken_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let given = manifest(&[directory("a"), file("a/b", b"x"), link("c", "a/b")]).to_string();
        let mut changed = given.into_bytes();
        let at = at.index(changed.len());
        changed[at] = byte;
        if let Ok(text) = std::str::from_utf8(&changed) {
            let _ = Manifest::parse(text, BundleLimits::default());
        }
    }
}
