//! Bundles: what the code of a version is made of.

use std::fmt::Write as _;

use serde_json::Value;

use super::{AgentConfig, JsonObject};
use crate::{Timestamp, UnknownFields, macros::setters, open_enum::open_enum, unknown_fields::answer};

open_enum! {
    /// How a bundle is packed. Default: `tar`, which is not compressed.
    pub enum ArchiveFormat {
        /// A POSIX archive.
        Tar = "tar",
    }
}

open_enum! {
    /// What an entry of a bundle is.
    pub enum BundleEntryKind {
        /// A file.
        File = "file",
        /// A directory.
        Dir = "dir",
        /// A symbolic link, relative and within the bundle.
        Symlink = "symlink",
    }
}

answer! {
    /// What is in a bundle, and what was left out of it. At most 8 GiB and 100,000 files.
    pub struct BundleManifest {
        /// The SHA-256, in lower-case hexadecimal, of what [`feed_bundle_digest`](Self::feed_bundle_digest) says. It is not
        /// the hash of the archive, so that the same code has the same digest however it is packed.
        pub bundle_digest: String,
        /// The SHA-256, in lower-case hexadecimal, of the [canonical text](Self::canonical_config) of the configuration.
        pub config_digest: String,
        /// How it is packed.
        pub archive_format: ArchiveFormat,
        /// The bytes of all included files together.
        pub total_size: u64,
        /// How many files and links are included.
        pub file_count: u64,
        /// When it was made.
        pub generated_at: Timestamp,
        /// The directory that it is unpacked into. Default: `/workspace/project`.
        pub materialization_path: String,
        /// The patterns of what is included. Default: `.`, which is everything.
        #[serde(default)]
        pub include_patterns: Vec<String>,
        /// The patterns of what is left out.
        #[serde(default)]
        pub exclude_patterns: Vec<String>,
        /// The patterns of what is always left out, such as `.git/` and `.env`.
        #[serde(default)]
        pub default_exclude_patterns: Vec<String>,
        /// What was found, also what was left out.
        pub entries: Vec<BundleEntry>,
    }
}

impl BundleManifest {
    /// A bundle without entries and digests.
    pub fn new(generated_at: Timestamp) -> Self {
        Self {
            bundle_digest: String::new(),
            config_digest: String::new(),
            archive_format: ArchiveFormat::Tar,
            total_size: 0,
            file_count: 0,
            generated_at,
            materialization_path: "/workspace/project".to_owned(),
            include_patterns: vec![".".to_owned()],
            exclude_patterns: Vec::new(),
            default_exclude_patterns: Vec::new(),
            entries: Vec::new(),
            unknown_fields: UnknownFields::default(),
        }
    }

    /// Adds an entry, and counts it if it is included.
    #[must_use]
    pub fn entry(mut self, entry: BundleEntry) -> Self {
        self.push(entry);
        self
    }

    /// As [`entry`](Self::entry), in place.
    pub fn push(&mut self, entry: BundleEntry) {
        if entry.included {
            self.total_size += if entry.kind == BundleEntryKind::File { entry.size } else { 0 };
            self.file_count += u64::from(entry.kind != BundleEntryKind::Dir);
        }
        self.entries.push(entry);
    }

    /// The text whose SHA-256 is the [`config_digest`](Self::config_digest): the JSON of the configuration with the section
    /// `bundle`, which has the patterns of this manifest. Names are in order, there are no spaces, and everything outside
    /// of ASCII is escaped.
    ///
    /// A number with a fraction, which only fields that this version does not know can have, is written as Rust does.
    pub fn canonical_config(&self, config: &AgentConfig) -> String {
        let bundle =
            serde_json::json!({ "include": self.include_patterns, "exclude": self.exclude_patterns });
        let mut value: Value = JsonObject::of_ours(config).decode().unwrap_or_default();
        if let Value::Object(sections) = &mut value {
            sections.insert("bundle".to_owned(), bundle);
        }
        let mut text = String::new();
        write_canonical(&value, &mut text);
        text
    }

    /// Hands over, piece by piece, the bytes whose SHA-256 is the [`bundle_digest`](Self::bundle_digest): the line
    /// `config:` and the digest of the configuration, and for each included entry, by path, its path, kind, mode in
    /// decimal, size and digest, with zero bytes between and a newline at the end.
    ///
    /// ```
    /// use prism_types::{Timestamp, nullspace::{BundleEntry, BundleManifest}};
    ///
    /// let file = BundleEntry::file("main.py", 12, "c0ffee");
    /// let manifest = BundleManifest::new(Timestamp::UNIX_EPOCH).config_digest("beef").entry(file);
    /// let mut bytes = Vec::new();
    /// manifest.feed_bundle_digest(|piece| bytes.extend_from_slice(piece));
    /// assert_eq!(bytes, b"config:beef\nmain.py\0file\x00420\x0012\0c0ffee\n");
    /// ```
    pub fn feed_bundle_digest(&self, mut feed: impl FnMut(&[u8])) {
        feed(format!("config:{}\n", self.config_digest).as_bytes());
        let mut included: Vec<_> = self.entries.iter().filter(|entry| entry.included).collect();
        included.sort_by(|one, other| one.path.cmp(&other.path));
        for BundleEntry { path, kind, mode, size, digest, .. } in included {
            let (mode, digest) = (mode.unwrap_or_default(), digest.as_deref().unwrap_or_default());
            feed(format!("{path}\0{kind}\0{mode}\0{size}\0{digest}\n").as_bytes());
        }
    }
}

setters!(BundleManifest {
    /// Sets the digest of the bundle.
    bundle_digest: String,
    /// Sets the digest of the configuration.
    config_digest: String,
    /// Sets the directory that it is unpacked into.
    materialization_path: String,
    /// Replaces the patterns of what is included.
    include_patterns[
        /// Adds a pattern of what is included.
        include
    ]: String,
    /// Replaces the patterns of what is left out.
    exclude_patterns[
        /// Adds a pattern of what is left out.
        exclude
    ]: String,
    /// Replaces the patterns of what is always left out.
    default_exclude_patterns[
        /// Adds a pattern of what is always left out.
        exclude_always
    ]: String,
});

answer! {
    /// A file, a directory or a link that is in a bundle or was left out of it.
    pub struct BundleEntry {
        /// Its path, relative to the root of the bundle, with `/` between names, without `..`.
        pub path: String,
        /// What it is.
        pub kind: BundleEntryKind,
        /// Whether it is in the bundle.
        pub included: bool,
        /// Why, or why not.
        pub reason: String,
        /// Its size in bytes; 0 unless it is a file.
        pub size: u64,
        /// Its permissions, such as 420, which is `0o644`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub mode: Option<u32>,
        /// The SHA-256, in lower-case hexadecimal, of the content of a file, or of the target of a link.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub digest: Option<String>,
        /// What a link leads to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub symlink_target: Option<String>,
    }
}

impl BundleEntry {
    /// A file in the bundle, with the permissions `0o644`.
    pub fn file(path: impl Into<String>, size: u64, digest: impl Into<String>) -> Self {
        Self {
            size,
            digest: Some(digest.into()),
            ..Self::included(path.into(), BundleEntryKind::File, 0o644)
        }
    }

    /// A directory in the bundle, with the permissions `0o755`.
    pub fn dir(path: impl Into<String>) -> Self {
        Self::included(path.into(), BundleEntryKind::Dir, 0o755)
    }

    /// A link in the bundle, with the permissions `0o777`. The digest is that of the target.
    pub fn symlink(path: impl Into<String>, target: impl Into<String>, digest: impl Into<String>) -> Self {
        Self {
            digest: Some(digest.into()),
            symlink_target: Some(target.into()),
            ..Self::included(path.into(), BundleEntryKind::Symlink, 0o777)
        }
    }

    /// The same, left out of the bundle for this reason.
    #[must_use]
    pub fn left_out(self, reason: impl Into<String>) -> Self {
        Self { included: false, reason: reason.into(), digest: None, ..self }
    }

    fn included(path: String, kind: BundleEntryKind, mode: u32) -> Self {
        Self {
            path,
            kind,
            included: true,
            reason: "included".to_owned(),
            size: 0,
            mode: Some(mode),
            digest: None,
            symlink_target: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(BundleEntry {
    /// Sets its permissions.
    mode?: u32,
});

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            // `serde_json` may have been told to keep the order in which they came.
            fields.sort_by_key(|(name, _)| *name);
            write_list(text, ['{', '}'], fields, |(name, value), text| {
                write_ascii(name, text);
                text.push(':');
                write_canonical(value, text);
            });
        }
        Value::Array(items) => write_list(text, ['[', ']'], items, write_canonical),
        Value::String(string) => write_ascii(string, text),
        other => text.push_str(&other.to_string()),
    }
}

fn write_list<T>(
    text: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    write: impl Fn(T, &mut String),
) {
    text.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(item, text);
    }
    text.push(close);
}

/// A JSON string of visible ASCII only.
fn write_ascii(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            ' '..='~' => text.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing into a string never fails.
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hashed(manifest: &BundleManifest) -> Vec<u8> {
        let mut bytes = Vec::new();
        manifest.feed_bundle_digest(|piece| bytes.extend_from_slice(piece));
        bytes
    }

    #[test]
    fn what_is_left_out_is_listed_and_neither_counted_nor_hashed() {
        let manifest = BundleManifest::new(Timestamp::UNIX_EPOCH)
            .config_digest("beef")
            .entry(BundleEntry::symlink("z", "a/b", "cafe"))
            .entry(BundleEntry::file("secret.pem", 7, "dead").left_out("excluded by default"))
            .entry(BundleEntry::dir("a").mode(0o700))
            .entry(BundleEntry::file("a/b", 12, "c0ffee"));
        assert_eq!((manifest.total_size, manifest.file_count, manifest.entries.len()), (12, 2, 4));
        let expected = b"config:beef\na\0dir\x00448\x000\0\na/b\0file\x00420\x0012\0c0ffee\nz\0symlink\x00511\x000\0cafe\n";
        assert_eq!(hashed(&manifest), expected);
        assert_eq!(manifest.entries[1].digest, None);
    }

    #[test]
    fn the_configuration_is_written_in_order_without_spaces_and_in_ascii() {
        let config = AgentConfig::service("größe \u{1f600}", "a \"b\"\u{7f}\n", 80).install("x");
        let text = BundleManifest::new(Timestamp::UNIX_EPOCH).canonical_config(&config);
        let expected = concat!(
            r#"{"bundle":{"exclude":[],"include":["."]},"debug":{},"entrypoint":"a \"b\"\u007f\n","#,
            r#""env":{"optional":[],"required":[]},"install":"x","mode":"service","#,
            r#""name":"gr\u00f6\u00dfe \ud83d\ude00","outputs":{"paths":[]},"permissions":{},"resources":{},"#,
            r#""service":{"port":80},"template":"base","workdir":"/workspace/project"}"#
        );
        assert_eq!(text, expected);
    }

    proptest! {
        #[test]
        fn the_canonical_text_is_the_same_json(name in any::<String>(), paths in prop::collection::vec(any::<String>(), 0..4)) {
            let config = AgentConfig::job(name, "x").outputs(crate::nullspace::Outputs::default().paths(paths));
            let text = BundleManifest::new(Timestamp::UNIX_EPOCH).canonical_config(&config);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let mut read: Value = serde_json::from_str(&text).unwrap();
            read.as_object_mut().unwrap().remove("bundle");
            prop_assert_eq!(read, serde_json::to_value(&config).unwrap());
        }

        #[test]
        fn the_order_of_entries_does_not_matter(mut paths in prop::collection::btree_set("[a-z/]{1,6}", 0..6), turn in 0_usize..6) {
            let entries: Vec<_> = std::mem::take(&mut paths).into_iter().map(BundleEntry::dir).collect();
            let manifest = |entries: &[BundleEntry]| {
                entries.iter().cloned().fold(BundleManifest::new(Timestamp::UNIX_EPOCH), BundleManifest::entry)
            };
            let mut turned = entries.clone();
            turned.rotate_left(turn.min(entries.len()));
            prop_assert_eq!(hashed(&manifest(&entries)), hashed(&manifest(&turned)));
        }
    }
}
