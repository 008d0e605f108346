//! Uploads in parts to a sandbox, which are resumed after whatever interrupted them.

use serde::{Deserialize, Serialize};

use super::JsonObject;
use crate::{
    Timestamp, UnknownFields, UploadId, macros::setters, open_enum::open_enum, unknown_fields::answer,
};

open_enum! {
    /// What the bytes of an upload are.
    pub enum UploadKind {
        /// A file, as it is to be.
        File = "file",
        /// An uncompressed tar, which is unpacked into a directory.
        DirectoryTar = "directory_tar",
    }
}

open_enum! {
    /// Where the client has the bytes from.
    pub enum UploadSourceKind {
        /// A file that can be read again.
        RestartableFile = "restartable_file",
        /// A stream that the client has kept.
        SpooledStream = "spooled_stream",
        /// A directory that the client has packed.
        DirectoryArchive = "directory_archive",
    }
}

open_enum! {
    /// What becomes of what is at the target already.
    pub enum UploadConflict {
        /// A file takes the place of a file; a directory gets what is in the archive besides what it has.
        Merge = "merge",
        /// What is there is removed.
        Replace = "replace",
        /// The upload is refused.
        Error = "error",
    }
}

open_enum! {
    /// Where an upload is in its life.
    pub enum UploadStatus {
        /// It has no part yet.
        Created = "created",
        /// It has some parts.
        Uploading = "uploading",
        /// It has all parts.
        Staged = "staged",
        /// What it has is being put into its place.
        Completing = "completing",
        /// It is in its place.
        Completed = "completed",
        /// Somebody has given it up.
        Aborted = "aborted",
        /// No part came for too long.
        Expired = "expired",
        /// It cannot be completed.
        Failed = "failed",
    }
}

open_enum! {
    /// Why something of an upload was refused.
    pub enum UploadReason {
        /// The server has no room for it now.
        InsufficientStagingSpace = "insufficient_staging_space",
        /// It is larger than it may be.
        SizeLimitExceeded = "size_limit_exceeded",
        /// The part is not what its checksum says.
        InvalidPartChecksum = "invalid_part_checksum",
        /// The upload has no part of this number.
        PartOutOfRange = "part_out_of_range",
        /// The part has another size than it has to.
        PartSizeMismatch = "part_size_mismatch",
        /// All parts together are not what the checksum says.
        WholeChecksumMismatch = "whole_checksum_mismatch",
        /// It has expired.
        UploadExpired = "upload_expired",
        /// Somebody has given it up.
        UploadAborted = "upload_aborted",
        /// It was completed.
        UploadAlreadyCompleted = "upload_already_completed",
        /// Something is at the target.
        TargetConflict = "target_conflict",
        /// The archive has a path that cannot be.
        DirectoryExtractInvalidPath = "directory_extract_invalid_path",
        /// The archive has a link that leads out of it.
        DirectoryExtractInvalidSymlink = "directory_extract_invalid_symlink",
        /// The archive has something that is no file, directory or link, or is no archive.
        DirectoryExtractUnsupportedEntry = "directory_extract_unsupported_entry",
        /// Not all parts have come.
        MissingParts = "missing_parts",
    }
}

/// The body of `POST /v1/sandboxes/{sandbox_id}/uploads`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CreateUpload {
    /// What its bytes are.
    pub kind: UploadKind,
    /// Where it is to be: a path below `/workspace`; of a directory also `/workspace` itself.
    pub target_path: String,
    /// How many bytes it has, at most 536,870,912 (512 MiB) unless the operator has set another limit.
    pub content_length: u64,
    /// Where the client has them from, for whoever reads the session. Default: as fits the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "UploadSourceKind"))]
    pub source_kind: Option<UploadSourceKind>,
    /// What becomes of what is at the target. Default: `merge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "UploadConflict"))]
    pub conflict: Option<UploadConflict>,
    /// Of a directory `tar`, of a file nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub archive_format: Option<String>,
    /// `sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub checksum_algorithm: Option<String>,
    /// The SHA-256 of all bytes, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub whole_checksum_sha256: Option<String>,
    /// Nothing: it is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "JsonObject"))]
    pub metadata: Option<JsonObject>,
    /// The one user of a sandbox, by any of its names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub user: Option<String>,
}

impl CreateUpload {
    /// An upload of so many bytes.
    pub fn new(kind: UploadKind, target_path: impl Into<String>, content_length: u64) -> Self {
        Self {
            kind,
            target_path: target_path.into(),
            content_length,
            source_kind: None,
            conflict: None,
            archive_format: None,
            checksum_algorithm: None,
            whole_checksum_sha256: None,
            metadata: None,
            user: None,
        }
    }
}

setters!(CreateUpload {
    /// Sets where the client has the bytes from.
    source_kind?: UploadSourceKind,
    /// Sets what becomes of what is at the target.
    conflict?: UploadConflict,
    /// Sets the format of the archive.
    archive_format?: String,
    /// Sets the checksum of all bytes.
    whole_checksum_sha256?: String,
});

/// The body of `POST /v1/sandboxes/{sandbox_id}/uploads/{upload_id}/complete`; it may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CompleteUpload {
    /// The SHA-256 of all bytes, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub whole_checksum_sha256: Option<String>,
}

impl CompleteUpload {
    /// Without a checksum.
    pub fn new() -> Self {
        Self::default()
    }
}

setters!(CompleteUpload {
    /// Sets the checksum of all bytes.
    whole_checksum_sha256?: String,
});

answer! {
    /// An upload in parts.
    pub struct UploadSession {
        /// Its id.
        pub upload_id: UploadId,
        /// What its bytes are.
        pub kind: UploadKind,
        /// Where the client has them from.
        pub source_kind: UploadSourceKind,
        /// Where it is to be.
        pub target_path: String,
        /// How many bytes it has.
        pub content_length: u64,
        /// How many of them are in parts that have come.
        pub accepted_bytes: u64,
        /// How many bytes the server keeps room for.
        pub reserved_staging_bytes: u64,
        /// How many bytes each part has; the last one has what is left.
        pub part_size: u64,
        /// How many parts it has, from 0 on.
        pub part_count: u32,
        /// How many parts may be sent at a time.
        pub max_concurrency: u32,
        /// Where it is in its life.
        pub status: UploadStatus,
        /// What becomes of what is at the target.
        pub conflict: UploadConflict,
        /// `sha256`.
        pub checksum_algorithm: String,
        /// What it is held to.
        pub limits: UploadLimits,
        /// When it was created.
        pub created_at: Timestamp,
        /// When it was last changed, such as by a part.
        pub updated_at: Timestamp,
        /// When it expires, unless another part comes.
        pub expires_at: Timestamp,
        /// The first part that has not come; `null`: all have.
        #[serde(default)]
        pub next_part: Option<u32>,
        /// Of a directory `tar`.
        #[serde(default)]
        pub archive_format: Option<String>,
        /// The checksum that it was created with.
        #[serde(default)]
        pub whole_checksum_sha256: Option<String>,
    }
}

impl UploadSession {
    /// An upload without parts.
    pub fn new(
        upload_id: UploadId,
        kind: UploadKind,
        target_path: impl Into<String>,
        content_length: u64,
        limits: UploadLimits,
        created_at: Timestamp,
    ) -> Self {
        let source_kind = match kind {
            UploadKind::DirectoryTar => UploadSourceKind::DirectoryArchive,
            _ => UploadSourceKind::RestartableFile,
        };
        Self {
            upload_id,
            kind,
            source_kind,
            target_path: target_path.into(),
            content_length,
            accepted_bytes: 0,
            reserved_staging_bytes: 0,
            part_size: limits.max_part_bytes,
            part_count: 0,
            max_concurrency: limits.max_concurrency,
            status: UploadStatus::Created,
            conflict: UploadConflict::Merge,
            checksum_algorithm: "sha256".to_owned(),
            limits,
            created_at,
            updated_at: created_at,
            expires_at: created_at,
            next_part: None,
            archive_format: None,
            whole_checksum_sha256: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(UploadSession {
    /// Sets where the client has the bytes from.
    source_kind: UploadSourceKind,
    /// Sets how many bytes have come.
    accepted_bytes: u64,
    /// Sets how many bytes the server keeps room for.
    reserved_staging_bytes: u64,
    /// Sets how many parts it has.
    part_count: u32,
    /// Sets where it is in its life.
    status: UploadStatus,
    /// Sets what becomes of what is at the target.
    conflict: UploadConflict,
    /// Sets when it was last changed.
    updated_at: Timestamp,
    /// Sets when it expires.
    expires_at: Timestamp,
    /// Sets the first part that has not come.
    next_part: Option<u32>,
    /// Sets the format of the archive.
    archive_format: Option<String>,
    /// Sets the checksum of all bytes.
    whole_checksum_sha256: Option<String>,
});

answer! {
    /// What uploads are held to.
    pub struct UploadLimits {
        /// Most bytes of an upload.
        pub max_upload_bytes: u64,
        /// Most bytes of a part of this upload.
        pub max_part_bytes: u64,
        /// Most parts at a time.
        pub max_concurrency: u32,
        /// Most bytes of all uploads of the sandbox that have not ended.
        pub sandbox_staging_quota_bytes: u64,
    }
}

impl UploadLimits {
    /// These limits.
    pub fn new(most: u64, part: u64, concurrency: u32, quota: u64) -> Self {
        Self {
            max_upload_bytes: most,
            max_part_bytes: part,
            max_concurrency: concurrency,
            sandbox_staging_quota_bytes: quota,
            unknown_fields: UnknownFields::default(),
        }
    }
}

answer! {
    /// An upload that was just created.
    pub struct CreatedUpload {
        /// It.
        pub session: UploadSession,
    }
}

impl CreatedUpload {
    /// This upload.
    pub fn new(session: UploadSession) -> Self {
        Self { session, unknown_fields: UnknownFields::default() }
    }
}

answer! {
    /// An upload that was put into its place.
    pub struct CompletedUpload {
        /// It.
        pub session: UploadSession,
        /// How many bytes of files were written.
        pub published_bytes: u64,
        /// How many files and links were written.
        pub published_file_count: u64,
    }
}

impl CompletedUpload {
    /// This upload, of which so many bytes and files were written.
    pub fn new(session: UploadSession, bytes: u64, files: u64) -> Self {
        let (published_bytes, published_file_count) = (bytes, files);
        Self { session, published_bytes, published_file_count, unknown_fields: UnknownFields::default() }
    }
}

answer! {
    /// Why something of an upload was refused: the `error_detail` of such an error.
    pub struct UploadFailure {
        /// Why, for programs.
        pub reason: UploadReason,
        /// Why, for people.
        pub message: String,
        /// Whether the same may succeed later.
        pub retryable: bool,
        /// The upload.
        #[serde(default)]
        pub upload_id: Option<UploadId>,
        /// The id of the request.
        #[serde(default)]
        pub request_id: Option<String>,
        /// Its target, or the path in its archive.
        #[serde(default)]
        pub path: Option<String>,
        /// The part.
        #[serde(default)]
        pub part_number: Option<u32>,
    }
}

impl UploadFailure {
    /// A failure.
    pub fn new(reason: impl Into<UploadReason>, message: impl Into<String>, retryable: bool) -> Self {
        Self {
            reason: reason.into(),
            message: message.into(),
            retryable,
            upload_id: None,
            request_id: None,
            path: None,
            part_number: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(UploadFailure {
    /// Sets the upload.
    upload_id: Option<UploadId>,
    /// Sets the id of the request.
    request_id: Option<String>,
    /// Sets the path.
    path: Option<String>,
    /// Sets the part.
    part_number: Option<u32>,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_bodies_have_what_is_required_and_no_more() {
        let create = CreateUpload::new(UploadKind::File, "/workspace/a", 9);
        let text = r#"{"kind":"file","target_path":"/workspace/a","content_length":9}"#;
        assert_eq!(serde_json::to_string(&create).unwrap(), text);
        assert_eq!(serde_json::from_str::<CreateUpload>(text).unwrap(), create);
        assert_eq!(serde_json::to_string(&CompleteUpload::new()).unwrap(), "{}");
    }

    #[test]
    fn a_session_has_every_field_that_clients_require() {
        let limits = UploadLimits::new(100, 10, 4, 200);
        let id = "upl_1".parse().unwrap();
        let session =
            UploadSession::new(id, UploadKind::File, "/workspace/a", 25, limits, Timestamp::UNIX_EPOCH)
                .part_count(3_u32)
                .next_part(Some(0));
        let told = serde_json::to_value(CreatedUpload::new(session)).unwrap();
        let session = told["session"].as_object().unwrap();
        assert_eq!((&session["next_part"], &session["limits"]["max_part_bytes"]), (&0.into(), &10.into()));
        assert_eq!(session["whole_checksum_sha256"], serde_json::Value::Null);
    }
}
