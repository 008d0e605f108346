//! Bundles that are made in memory, and their digests.

use std::{collections::BTreeMap, fmt, fmt::Write as _};

use bytes::Bytes;
use prism_types::{
    Timestamp,
    nullspace::{AgentConfig, BundleEntry, BundleManifest},
};
use sha2::{Digest, Sha256};

use crate::{Error, error::Kind};

/// A tar is made of blocks of so many bytes.
const BLOCK: usize = 512;
/// And filled up to so many.
const RECORD: usize = 20 * BLOCK;
/// The most files that a bundle can have.
const MAX_FILES: u64 = 100_000;
/// And the bytes that all of them together do not reach.
const MAX_SIZE: u64 = 8 << 30;

/// The code of a version: an archive, and the manifest that says what is in it.
///
/// The same files and the same configuration make the same archive and the same digest, on every machine.
///
/// ```
/// use prism_client::{nullspace::Bundle, types::nullspace::AgentConfig};
///
/// let config = AgentConfig::job("digest", "python main.py");
/// let bundle = Bundle::builder()
///     .file("main.py", "print('hello')")
///     .executable("bin/setup", "#!/bin/sh\n")
///     .build(&config)?;
/// assert_eq!(bundle.manifest().file_count, 2);
/// # Ok::<(), prism_client::Error>(())
/// ```
#[derive(Clone)]
pub struct Bundle {
    manifest: BundleManifest,
    archive: Bytes,
}

impl Bundle {
    /// A bundle without files.
    pub fn builder() -> BundleBuilder {
        BundleBuilder { members: BTreeMap::new() }
    }

    /// What is in it.
    pub fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// The files as a POSIX tar, which is not compressed.
    pub fn archive(&self) -> &Bytes {
        &self.archive
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle")
            .field("bundle_digest", &self.manifest.bundle_digest)
            .field("files", &self.manifest.file_count)
            .field("bytes", &self.archive.len())
            .finish_non_exhaustive()
    }
}

/// Makes a [`Bundle`] of files in memory; from [`Bundle::builder`].
///
/// Directories above a file are added by themselves. What has the path of an earlier one takes its place. Nothing is left
/// out: do not add secrets, which belong into `envs`.
#[derive(Clone)]
#[must_use = "call `build`"]
pub struct BundleBuilder {
    members: BTreeMap<String, Member>,
}

#[derive(Clone)]
enum Member {
    File { content: Bytes, mode: u32 },
    Dir,
    Link(String),
}

impl BundleBuilder {
    /// Adds a file that can be read, with the permissions `0o644`. The path is relative, with `/` between names.
    pub fn file(self, path: impl Into<String>, content: impl Into<Bytes>) -> Self {
        self.member(path.into(), Member::File { content: content.into(), mode: 0o644 })
    }

    /// Adds a file that can be executed, with the permissions `0o755`.
    pub fn executable(self, path: impl Into<String>, content: impl Into<Bytes>) -> Self {
        self.member(path.into(), Member::File { content: content.into(), mode: 0o755 })
    }

    /// Adds a directory, which may stay empty.
    pub fn dir(self, path: impl Into<String>) -> Self {
        self.member(path.into(), Member::Dir)
    }

    /// Adds a symbolic link to a relative path within the bundle.
    pub fn symlink(self, path: impl Into<String>, target: impl Into<String>) -> Self {
        self.member(path.into(), Member::Link(target.into()))
    }

    /// Packs it, for a version that is run by this configuration.
    ///
    /// # Errors
    /// [`is_configuration`](Error::is_configuration) when a path is absolute, is empty or has an empty name, `.`, `..` or a
    /// zero byte in it, when something lies beneath a file or a link, when a link leads out of the bundle, or when there are
    /// more than 100,000 files or 8 GiB.
    pub fn build(self, config: &AgentConfig) -> Result<Bundle, Error> {
        let refused = |path: &str, reason: &str| {
            Error::new(Kind::Configuration(format!("a bundle cannot have {path:?}: {reason}")))
        };
        let mut members = self.members;
        for path in members.keys().cloned().collect::<Vec<_>>() {
            check_path(&path).map_err(|reason| refused(&path, reason))?;
            for (end, _) in path.match_indices('/') {
                let above = members.entry(path[..end].to_owned()).or_insert(Member::Dir);
                if !matches!(above, Member::Dir) {
                    return Err(refused(&path, "it lies beneath a file or a link"));
                }
            }
        }
        let mut manifest = BundleManifest::new(now());
        let mut tar = Vec::new();
        for (path, member) in members {
            let entry = match member {
                Member::File { content, mode } => {
                    append(&mut tar, &path, (b'0', mode), "", &content);
                    BundleEntry::file(&*path, content.len() as u64, sha256(&content)).mode(mode)
                }
                Member::Dir => {
                    append(&mut tar, &format!("{path}/"), (b'5', 0o755), "", b"");
                    BundleEntry::dir(&*path)
                }
                Member::Link(target) => {
                    check_target(&path, &target).map_err(|reason| refused(&path, reason))?;
                    append(&mut tar, &path, (b'2', 0o777), &target, b"");
                    let digest = sha256(target.as_bytes());
                    BundleEntry::symlink(&*path, target, digest)
                }
            };
            manifest.push(entry);
        }
        if manifest.file_count > MAX_FILES || manifest.total_size >= MAX_SIZE {
            let reason = format!("a bundle has at most {MAX_FILES} files, and less than {MAX_SIZE} bytes");
            return Err(Error::new(Kind::Configuration(reason)));
        }
        // Two empty blocks end it.
        tar.resize((tar.len() + 2 * BLOCK).next_multiple_of(RECORD), 0);
        manifest.config_digest = config_digest(&manifest, config);
        manifest.bundle_digest = bundle_digest(&manifest);
        Ok(Bundle { manifest, archive: tar.into() })
    }

    fn member(mut self, path: String, member: Member) -> Self {
        self.members.insert(path, member);
        self
    }
}

impl fmt::Debug for BundleBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.members.keys()).finish()
    }
}

/// The digest of a configuration with the patterns of a manifest; see [`BundleManifest::canonical_config`].
pub fn config_digest(manifest: &BundleManifest, config: &AgentConfig) -> String {
    sha256(manifest.canonical_config(config).as_bytes())
}

/// The digest of a bundle; see [`BundleManifest::feed_bundle_digest`]. It depends on the manifest's `config_digest`.
///
/// ```
/// use prism_client::{
///     nullspace::{bundle_digest, config_digest},
///     types::{Timestamp, nullspace::{AgentConfig, BundleEntry, BundleManifest}},
/// };
///
/// let mut manifest = BundleManifest::new(Timestamp::UNIX_EPOCH).entry(BundleEntry::dir("src"));
/// manifest.config_digest = config_digest(&manifest, &AgentConfig::job("digest", "python main.py"));
/// manifest.bundle_digest = bundle_digest(&manifest);
/// assert_eq!(manifest.bundle_digest.len(), 64);
/// ```
pub fn bundle_digest(manifest: &BundleManifest) -> String {
    let mut hash = Sha256::new();
    manifest.feed_bundle_digest(|piece| hash.update(piece));
    hexadecimal(&hash.finalize())
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

fn check_path(path: &str) -> Result<(), &'static str> {
    let is_odd = |name: &str| matches!(name, "" | "." | "..");
    if path.contains('\0') || path.split('/').any(is_odd) {
        return Err("a path is relative, and has no empty name, `.`, `..` or zero byte in it");
    }
    Ok(())
}

/// A link leads to what is beneath the root of the bundle, or to the root itself.
fn check_target(path: &str, target: &str) -> Result<(), &'static str> {
    let target = target.replace('\\', "/");
    if target.is_empty() || target.starts_with('/') || target.contains('\0') {
        return Err("a link leads to a relative path");
    }
    let mut depth = path.matches('/').count();
    for name in target.split('/') {
        depth = match name {
            "" | "." => depth,
            ".." => depth.checked_sub(1).ok_or("the link leads out of the bundle")?,
            _ => depth + 1,
        };
    }
    Ok(())
}

/// Appends a member to a tar, with what does not fit into its header before it (POSIX.1-2001, pax).
fn append(tar: &mut Vec<u8>, path: &str, (kind, mode): (u8, u32), target: &str, content: &[u8]) {
    let mut records = String::new();
    for (name, text) in [("path", path), ("linkpath", target)] {
        if text.len() > 100 || !text.is_ascii() {
            records.push_str(&record(name, text));
        }
    }
    if !records.is_empty() {
        header(tar, "././@PaxHeader", (b'x', 0o644), "", records.len());
        fill(tar, records.as_bytes());
    }
    header(tar, path, (kind, mode), target, content.len());
    fill(tar, content);
}

/// A line of a pax header, which begins with its own length.
fn record(name: &str, text: &str) -> String {
    let rest = format!(" {name}={text}\n");
    let mut length = rest.len() + 1;
    while length.to_string().len() + rest.len() != length {
        length += 1;
    }
    format!("{length}{rest}")
}

fn header(tar: &mut Vec<u8>, path: &str, (kind, mode): (u8, u32), target: &str, size: usize) {
    let mut block = [0_u8; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, ascii(path));
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, ascii(target));
    put(257, b"ustar\x0000");
    put(265, b"root");
    put(297, b"root");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    tar.extend_from_slice(&block);
}

/// What fits into a header; the whole text is in the one before, if it does not.
fn ascii(text: &str) -> &[u8] {
    let end = text.bytes().take(100).take_while(u8::is_ascii).count();
    &text.as_bytes()[..end]
}

/// Appends content, up to the end of a block.
fn fill(tar: &mut Vec<u8>, content: &[u8]) {
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}
