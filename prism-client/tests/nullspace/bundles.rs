//! Bundles that are made in memory.

use std::collections::BTreeMap;

use prism_client::{
    nullspace::{Bundle, bundle_digest, config_digest},
    types::{
        Timestamp,
        nullspace::{AgentConfig, BundleEntry, BundleManifest, Permissions, ReadinessProbe},
    },
};
use proptest::prelude::*;

fn config() -> AgentConfig {
    AgentConfig::job("demo", "python main.py")
}

/// What the vendor's SDK computes for the same.
#[test]
fn digests_are_those_of_the_vendors_sdk() {
    let config = AgentConfig::service("größe 😀", "python -m \"chat\"\n", 8000)
        .install("pip install -r requirements.txt")
        .requires(["MODEL_API_KEY"])
        .permissions(Permissions::default().public_url(true))
        .readiness(ReadinessProbe::http("/healthz").timeout_seconds(60));
    let sha256 = |text: &str| {
        let bundle = Bundle::builder().file("a", text.to_owned()).build(&config).unwrap();
        bundle.manifest().entries[0].digest.clone().unwrap()
    };
    let mut manifest = BundleManifest::new(Timestamp::UNIX_EPOCH)
        .exclude("*.log")
        .entry(BundleEntry::symlink("z", "a/b.py", sha256("a/b.py")))
        .entry(BundleEntry::dir("a"))
        .entry(BundleEntry::file("a/b.py", 12, sha256("print('hi')\n")))
        .entry(BundleEntry::file(".env", 3, "dead").left_out("excluded by default"));
    manifest.config_digest = config_digest(&manifest, &config);
    assert_eq!(manifest.config_digest, "81a47951b33025e8ed830b2556db8a6bc2c2bb6771983733025dcb5d9b1cbb70");
    assert_eq!(bundle_digest(&manifest), "ecf48fc63a7526eb69c6a24b7a908b922d9dc73f2c122a089ca2c6d35290528b");
}

/// The members of a tar by path, with kind, mode, target and content, as its headers say.
fn members(mut tar: &[u8]) -> BTreeMap<String, (char, u32, String, Vec<u8>)> {
    let text =
        |bytes: &[u8]| String::from_utf8(bytes.split(|byte| *byte == 0).next().unwrap().to_vec()).unwrap();
    let octal = |bytes: &[u8]| u32::from_str_radix(text(bytes).trim(), 8).unwrap();
    let (mut members, mut long) = (BTreeMap::new(), BTreeMap::new());
    assert_eq!(tar.len() % 10_240, 0);
    while tar.iter().any(|byte| *byte != 0) {
        let (header, rest) = tar.split_at(512);
        let sum: u32 = header
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        assert_eq!(octal(&header[148..156]), sum);
        let size = octal(&header[124..136]) as usize;
        let (content, rest) = rest.split_at(size.next_multiple_of(512));
        tar = rest;
        let content = &content[..size];
        if header[156] == b'x' {
            let mut records = std::str::from_utf8(content).unwrap();
            while !records.is_empty() {
                let length: usize = records.split(' ').next().unwrap().parse().unwrap();
                let (record, others) = records.split_at(length);
                let (name, value) =
                    record.split_once(' ').unwrap().1.strip_suffix('\n').unwrap().split_once('=').unwrap();
                long.insert(name.to_owned(), value.to_owned());
                records = others;
            }
            continue;
        }
        let path = long.remove("path").unwrap_or_else(|| text(&header[..100]));
        let target = long.remove("linkpath").unwrap_or_else(|| text(&header[157..257]));
        let member = (char::from(header[156]), octal(&header[100..108]), target, content.to_vec());
        members.insert(path, member);
    }
    members
}

#[test]
fn the_archive_has_what_the_manifest_says() {
    let long = format!("{}/größe.txt", "x".repeat(120));
    let builder =
        Bundle::builder().file("a/b/main.py", "print('hi')\n").executable("bin/setup", "#!/bin/sh\n");
    let builder = builder.symlink("a/latest", "../bin/setup").file(long.clone(), "").dir("empty");
    let bundle = builder.build(&config()).unwrap();
    let manifest = bundle.manifest();
    assert_eq!((manifest.file_count, manifest.total_size), (4, 22));
    assert_eq!(manifest.bundle_digest, bundle_digest(manifest));
    let members = members(bundle.archive());
    assert_eq!(members.len(), manifest.entries.len());
    for entry in &manifest.entries {
        let path = if entry.kind.as_str() == "dir" { format!("{}/", entry.path) } else { entry.path.clone() };
        let (kind, mode, target, content) = &members[&path];
        let expected = match entry.kind.as_str() {
            "dir" => '5',
            "file" => '0',
            _ => '2',
        };
        assert_eq!((*kind, Some(*mode), content.len() as u64), (expected, entry.mode, entry.size), "{path}");
        assert_eq!(target, entry.symlink_target.as_deref().unwrap_or_default());
    }
    assert_eq!(members["a/b/main.py"].3, b"print('hi')\n");
    assert!(members.contains_key(&long) && members.contains_key("a/b/"));
}

#[test]
fn what_a_bundle_cannot_have_is_refused() {
    for path in ["", "/a", "a//b", "a/", "./a", "a/../b", "a\0b"] {
        let error = Bundle::builder().file(path, "x").build(&config()).unwrap_err();
        assert!(error.is_configuration(), "{path:?}");
    }
    for (path, target) in
        [("a", "/etc"), ("a", ".."), ("a/b", "../../c"), ("a", "b/../.."), ("a", ""), ("a", "..\\x")]
    {
        let error = Bundle::builder().symlink(path, target).build(&config()).unwrap_err();
        assert!(error.is_configuration(), "{target:?}");
    }
    assert!(Bundle::builder().symlink("a/b", "../c").symlink("d", ".").build(&config()).is_ok());
    let beneath = Bundle::builder().file("a", "x").file("a/b/c", "y").build(&config()).unwrap_err();
    assert!(beneath.to_string().contains("beneath"), "{beneath}");
}

proptest! {
    #[test]
    fn the_same_files_make_the_same_bundle(files in prop::collection::btree_map("[a-z]{1,4}(/[a-zé]{1,60}){0,3}", any::<Vec<u8>>(), 0..6)) {
        let forth = files.iter().fold(Bundle::builder(), |builder, (path, content)| builder.file(path, content.clone()));
        let back = files.iter().rev().fold(Bundle::builder(), |builder, (path, content)| builder.file(path, content.clone()));
        if let (Ok(one), Ok(other)) = (forth.build(&config()), back.build(&config())) {
            prop_assert_eq!(one.archive(), other.archive());
            prop_assert_eq!(&one.manifest().bundle_digest, &other.manifest().bundle_digest);
            let members = members(one.archive());
            for (path, content) in &files {
                prop_assert_eq!(&members[path].3, content);
            }
        }
    }
}
