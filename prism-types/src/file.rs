//! Files of a deployment's workspace.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Cursor, DeletedStatus, Page, Timestamp, UnknownFields, macros::setters, open_enum::open_enum,
    unknown_fields::answer,
};

open_enum! {
    /// What an entry of a directory is.
    pub enum FileType {
        /// A regular file.
        File = "file",
        /// A directory.
        Directory = "directory",
        /// A symbolic link, a pipe, a socket or a device: it can be deleted, and is neither read nor followed.
        Other = "other",
    }
}

open_enum! {
    /// How the content of a file stands in JSON.
    pub enum FileEncoding {
        /// As text, which is stored as UTF-8.
        Utf8 = "utf-8",
        /// As base64 with the standard alphabet, padded (RFC 4648, section 4).
        Base64 = "base64",
    }
}

/// The JSON body of `PUT /v1/deployments/{deployment_id}/files`; it is at most 4 MiB. Larger files, and files in
/// general, are sent as they are, with `path` in the query.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WriteFile {
    /// Where, relative to the root of the workspace, 1 to 1,024 bytes.
    #[cfg_attr(
        feature = "schema",
        schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\u0000\\]+$"))
    )]
    pub path: String,
    /// What is to be in the file.
    pub content: String,
    /// How `content` is to be read. Default: `utf-8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<FileEncoding>,
}

impl WriteFile {
    /// A file of text.
    pub fn text(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self { path: path.into(), content: content.into(), encoding: None }
    }

    /// A file of any bytes, given in base64.
    pub fn base64(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self { encoding: Some(FileEncoding::Base64), ..Self::text(path, content) }
    }
}

/// Without the content, which is somebody's own.
impl fmt::Debug for WriteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteFile")
            .field("path", &self.path)
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}

answer! {
    /// An entry of a directory.
    pub struct FileEntry {
        /// Its name in the directory.
        pub name: String,
        /// What it is.
        #[serde(rename = "type")]
        pub kind: FileType,
        /// The size in bytes; absent for what is no file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub size: Option<u64>,
        /// When it was last changed.
        pub modified_at: Timestamp,
    }
}

impl FileEntry {
    /// A file of this size.
    pub fn file(name: impl Into<String>, size: u64, modified_at: Timestamp) -> Self {
        Self {
            name: name.into(),
            kind: FileType::File,
            size: Some(size),
            modified_at,
            unknown_fields: UnknownFields::default(),
        }
    }

    /// Something that has no size.
    pub fn other(name: impl Into<String>, kind: FileType, modified_at: Timestamp) -> Self {
        Self { name: name.into(), kind, size: None, modified_at, unknown_fields: UnknownFields::default() }
    }
}

answer! {
    /// The answer to `GET /v1/deployments/{deployment_id}/files`: what is in a directory, by name.
    pub struct FileList {
        /// The directory, relative to the root of the workspace; empty for the root itself.
        pub path: String,
        /// What is in it, ordered by the bytes of the names.
        pub entries: Vec<FileEntry>,
        /// Where to go on; `null` when these are all.
        #[serde(default)]
        pub next_cursor: Option<Cursor>,
    }
}

impl From<FileList> for Page<FileEntry> {
    fn from(list: FileList) -> Self {
        Self::new(list.entries, list.next_cursor)
    }
}

impl FileList {
    /// The entries of a directory.
    pub fn new(path: impl Into<String>, entries: Vec<FileEntry>, next_cursor: Option<Cursor>) -> Self {
        Self { path: path.into(), entries, next_cursor, unknown_fields: UnknownFields::default() }
    }
}

answer! {
    /// The answer to `PUT /v1/deployments/{deployment_id}/files`.
    pub struct FileWritten {
        /// The file, relative to the root of the workspace.
        pub path: String,
        /// Its size in bytes.
        pub size: u64,
        /// When it was written.
        pub modified_at: Timestamp,
    }
}

impl FileWritten {
    /// A file that was written.
    pub fn new(path: impl Into<String>, size: u64, modified_at: Timestamp) -> Self {
        Self { path: path.into(), size, modified_at, unknown_fields: UnknownFields::default() }
    }
}

answer! {
    /// The answer to `DELETE /v1/deployments/{deployment_id}/files`.
    pub struct DeletedFile {
        /// What was deleted, relative to the root of the workspace: a file, or a directory with all that was in it.
        pub path: String,
        /// Always `deleted`.
        pub status: DeletedStatus,
    }
}

impl DeletedFile {
    /// The answer for this path.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), status: DeletedStatus::Deleted, unknown_fields: UnknownFields::default() }
    }
}

setters!(WriteFile {
    /// Sets how the content is to be read.
    encoding?: FileEncoding,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_answer_is_read() {
        let body = r#"{"path": "drafts", "entries": [
            {"name": "a", "type": "directory", "modified_at": "2026-06-11T20:55:03Z"},
            {"name": "b.md", "type": "file", "size": 3, "modified_at": "2026-06-11T20:55:03Z", "mode": 1}
        ]}"#;
        let list: FileList = serde_json::from_str(body).unwrap();
        assert_eq!(list.next_cursor, None);
        let sizes: Vec<_> = list.entries.iter().map(|entry| (entry.kind.as_str(), entry.size)).collect();
        assert_eq!(sizes, [("directory", None), ("file", Some(3))]);
    }

    #[test]
    fn the_content_of_a_file_is_not_shown() {
        assert!(!format!("{:?}", WriteFile::text("a", "canary")).contains("canary"));
    }
}
