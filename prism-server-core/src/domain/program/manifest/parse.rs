//! Reading a manifest, with every problem at once, and never all of its JSON as values.

use std::{fmt, mem};

use prism_types::Problem;
use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use super::{ArchiveFormat, BundleLimits, Entry, EntryKind, Manifest, tree::Tree};
use crate::domain::{
    decode::{Node, Object, boolean, decode_field},
    limits,
    program::{
        digest::Digest,
        path::{InvalidBundlePath, InvalidSandboxPath, SandboxPath},
    },
};

/// Longest field of a manifest beside the entries, in bytes of JSON.
const FIELD: usize = 2 * 1024 * 1024;

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    bundle_digest: Option<&'a RawValue>,
    #[serde(borrow)]
    config_digest: Option<&'a RawValue>,
    #[serde(borrow)]
    archive_format: Option<&'a RawValue>,
    #[serde(borrow)]
    total_size: Option<&'a RawValue>,
    #[serde(borrow)]
    file_count: Option<&'a RawValue>,
    #[serde(borrow)]
    generated_at: Option<&'a RawValue>,
    #[serde(borrow)]
    materialization_path: Option<&'a RawValue>,
    #[serde(borrow)]
    include_patterns: Option<&'a RawValue>,
    #[serde(borrow)]
    exclude_patterns: Option<&'a RawValue>,
    #[serde(borrow)]
    default_exclude_patterns: Option<&'a RawValue>,
    #[serde(borrow)]
    entries: Option<&'a RawValue>,
}

pub(super) fn manifest(json: &str, limits: BundleLimits) -> Result<Manifest, Vec<Problem>> {
    if json.len() > limits::MANIFEST {
        return refused(format!("must have at most {} bytes, but has {}", limits::MANIFEST, json.len()));
    }
    // An array of the values would be taken for the fields in their order.
    if !json.trim_ascii_start().starts_with('{') {
        return refused("must be an object");
    }
    let fields: Fields<'_> =
        serde_json::from_str(json).or_else(|error| refused(format!("cannot be read: {error}")))?;
    let head = Value::Object(head(&fields)?);
    decode_field("bundle_manifest", &head, |node| {
        let raw = fields.entries.map(RawValue::get);
        let entries = node.field_with("entries", &Value::Null, |node| entries(node, raw));
        read(node, entries, limits)
    })
}

/// Everything but the entries, as values.
fn head(fields: &Fields<'_>) -> Result<Map<String, Value>, Vec<Problem>> {
    let mut head = Map::new();
    for (name, value) in [
        ("bundle_digest", fields.bundle_digest),
        ("config_digest", fields.config_digest),
        ("archive_format", fields.archive_format),
        ("total_size", fields.total_size),
        ("file_count", fields.file_count),
        ("generated_at", fields.generated_at),
        ("materialization_path", fields.materialization_path),
        ("include_patterns", fields.include_patterns),
        ("exclude_patterns", fields.exclude_patterns),
        ("default_exclude_patterns", fields.default_exclude_patterns),
    ] {
        let Some(value) = value.map(RawValue::get) else { continue };
        if value.len() > FIELD {
            return refused(format!("must have at most {FIELD} bytes in `{name}`"));
        }
        let value =
            serde_json::from_str(value).or_else(|error| refused(format!("cannot be read: {error}")))?;
        head.insert(name.to_owned(), value);
    }
    Ok(head)
}

fn refused<T>(message: impl Into<String>) -> Result<T, Vec<Problem>> {
    Err(vec![Problem::new("$.bundle_manifest", message)])
}

/// What remains to be looked at is only looked at where everything before is right: totals and digests of entries that could
/// not be read say nothing.
fn read(node: Node<'_>, entries: Option<Vec<Entry>>, limits: BundleLimits) -> Option<Manifest> {
    let object = node.open_object()?;
    let digest = |name: &str| object.required(name, digest);
    let count = |name: &str| object.required(name, |node| node.count());
    let patterns = |name: &str| {
        let pattern = |node: Node<'_>| node.text(0..=limits::MANIFEST_TEXT);
        object.optional(name, |node| node.list(limits::MANIFEST_PATTERNS, pattern)).unwrap_or_default()
    };
    let (bundle_digest, config_digest) = (digest("bundle_digest"), digest("config_digest"));
    let archive_format = object.optional("archive_format", |node| {
        node.parse(|text| {
            ArchiveFormat::parse(text).ok_or_else(|| "must be `tar`: no other form is taken".to_owned())
        })
    });
    let (total_size, file_count) = (count("total_size"), count("file_count"));
    let generated_at = object.optional("generated_at", |node| node.label(1..=64));
    let materialization_path = object.optional("materialization_path", |node| node.parse(place));
    let include_patterns = patterns("include_patterns");
    let exclude_patterns = patterns("exclude_patterns");
    let default_exclude_patterns = patterns("default_exclude_patterns");
    let entries = entries?;
    totals(node, &entries, total_size, file_count, limits);
    if let (Some(given), Some(config_digest)) = (bundle_digest, config_digest) {
        let made = Manifest::digest(config_digest, &entries);
        if given != made {
            object.refuse_field::<()>(
                "bundle_digest",
                format!("must be the digest of `config_digest` and the entries, which is {made}; make the manifest again"),
            );
        }
    }
    Some(Manifest {
        bundle_digest: bundle_digest?,
        config_digest: config_digest?,
        archive_format: archive_format.unwrap_or_default(),
        total_size: total_size?,
        file_count: file_count?,
        generated_at,
        materialization_path: materialization_path.unwrap_or_else(SandboxPath::project),
        include_patterns,
        exclude_patterns,
        default_exclude_patterns,
        entries,
    })
}

fn place(text: &str) -> Result<SandboxPath, String> {
    let path: SandboxPath = text.parse().map_err(|error: InvalidSandboxPath| error.to_string())?;
    if path.in_workspace().is_empty() {
        return Err("must be a directory below `/workspace`, such as `/workspace/project`".to_owned());
    }
    Ok(path)
}

fn totals(node: Node<'_>, entries: &[Entry], size: Option<u64>, count: Option<u64>, limits: BundleLimits) {
    let included = || entries.iter().filter(|entry| entry.included);
    let bytes = included().fold(0, |sum: u64, entry| sum.saturating_add(entry.size));
    let files = included().filter(|entry| entry.kind != EntryKind::Dir).count() as u64;
    for (name, given, found, most, what) in [
        ("total_size", size, bytes, limits.bytes, "bytes"),
        ("file_count", count, files, limits.files, "files and links"),
    ] {
        let Some(given) = given else { continue };
        node.field_with(name, &Value::Null, |node| {
            if found > most {
                node.refuse::<()>(format!(
                    "must be at most {most}, but the bundle has {found} {what}: leave something out of it, as with `.nullspaceignore`"
                ));
            } else if given != found {
                node.refuse::<()>(format!("must be {found}, for the bundle has so many {what}, but is {given}"));
            }
        });
    }
}

/// Reads the entries one by one.
fn entries(node: Node<'_>, raw: Option<&str>) -> Option<Vec<Entry>> {
    let Some(raw) = raw else { return node.refuse("is required") };
    let reader = Entries { node, entries: Vec::new(), whole: true };
    let read = serde_json::Deserializer::from_str(raw).deserialize_seq(reader);
    let Ok(read) = read else { return node.refuse("must be an array") };
    let entries = read?;
    Tree::of(node, &entries)?.holds_links(node, &entries).then_some(())?;
    Some(entries)
}

struct Entries<'n> {
    node: Node<'n>,
    entries: Vec<Entry>,
    whole: bool,
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Option<Vec<Entry>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut index = 0;
        while let Some(raw) = items.next_element::<&RawValue>()? {
            if index == limits::MANIFEST_ENTRIES {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(self.node.refuse(format!("must have at most {} items", limits::MANIFEST_ENTRIES)));
            }
            match entry(self.node, index, raw.get()) {
                Some(entry) => self.entries.push(entry),
                None => self.whole = false,
            }
            index += 1;
        }
        Ok(self.whole.then(|| mem::take(&mut self.entries)))
    }
}

fn entry(node: Node<'_>, index: usize, raw: &str) -> Option<Entry> {
    let value = if raw.len() > limits::MANIFEST_ENTRY { None } else { serde_json::from_str(raw).ok() };
    let Some(value) = value else {
        return node.at_index(index, |node| {
            node.refuse(format!("must be JSON of at most {} bytes", limits::MANIFEST_ENTRY))
        });
    };
    node.item_with(index, &value, |node| {
        let object = node.open_object()?;
        let path = object.required("path", |node| {
            node.parse(|text| text.parse().map_err(|error: InvalidBundlePath| error.to_string()))
        });
        let kind = object.required("kind", |node| {
            node.parse(|text| {
                EntryKind::parse(text).ok_or_else(|| {
                    "must be `file`, `dir` or `symlink`: nothing else can be in a bundle".to_owned()
                })
            })
        });
        let included = object.required("included", boolean);
        let reason =
            object.optional("reason", |node| node.text(0..=limits::MANIFEST_TEXT)).unwrap_or_default();
        let size = object.optional("size", |node| node.count()).unwrap_or(0);
        let mode = object.optional("mode", |node| node.whole(0..=0o7777));
        let digest = object.optional("digest", digest);
        let symlink_target = object.optional("symlink_target", |node| node.text(0..=limits::PATH));
        let entry = Entry {
            path: path?,
            kind: kind?,
            included: included?,
            reason: reason.into(),
            size,
            mode,
            digest,
            symlink_target: symlink_target.map(Into::into),
        };
        if entry.included { whole(&object, &entry).then_some(entry) } else { Some(entry) }
    })
}

fn digest(node: Node<'_>) -> Option<Digest> {
    node.parse(|text| text.parse::<Digest>().map_err(|error| error.to_string()))
}

/// Whether an entry of the bundle has what its kind needs, and nothing of another kind.
fn whole(object: &Object<'_>, entry: &Entry) -> bool {
    let noun = entry.kind.noun();
    let mut whole = true;
    let mut refuse = |name: &str, message: String| {
        object.refuse_field::<()>(name, message);
        whole = false;
    };
    if entry.kind != EntryKind::File && entry.size != 0 {
        refuse("size", format!("must be 0 for {noun}"));
    }
    match (entry.kind, &entry.digest) {
        (EntryKind::Dir, Some(_)) => refuse("digest", format!("must be left out for {noun}")),
        (EntryKind::File, None) if object.is_absent("digest") => {
            refuse(
                "digest",
                format!("is required for {noun} of the bundle: the SHA-256 digest of its content"),
            );
        }
        _ => {}
    }
    match (entry.kind, entry.symlink_target.as_deref()) {
        (EntryKind::Symlink, Some(target)) => {
            if target.is_empty() || target.starts_with('/') || target.contains('\\') {
                refuse(
                    "symlink_target",
                    "must be a relative path without backslashes, for it has to lead into the project"
                        .to_owned(),
                );
            }
            if entry.digest != Some(Digest::of(target.as_bytes())) {
                refuse(
                    "digest",
                    format!(
                        "must be the SHA-256 digest of `symlink_target`, which is {}",
                        Digest::of(target.as_bytes())
                    ),
                );
            }
        }
        (EntryKind::Symlink, None) => {
            if object.is_absent("symlink_target") {
                refuse("symlink_target", format!("is required for {noun}"));
            }
        }
        (_, Some(_)) => refuse("symlink_target", format!("must be left out for {noun}")),
        (_, None) => {}
    }
    whole
}
