//! Uploads in parts: what a machine is to get, and which of it has come.
//!
//! The bytes wait in files of the server until all have come. An upload is open until somebody completes it or gives it up,
//! or no part comes for too long.

use std::{collections::BTreeMap, time::Duration};

use prism_types::{InstanceId, TenantId, Timestamp, UploadId};
use serde::{Deserialize, Serialize};

use super::after;
use crate::domain::{limits, words};

/// One upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it")]
pub struct Upload {
    /// Its id. Ids are time-ordered: a later upload has a greater id.
    pub id: UploadId,
    /// Its owner.
    pub tenant_id: TenantId,
    /// The machine that is to get it.
    pub machine_id: InstanceId,
    /// What its bytes are.
    pub content: UploadContent,
    /// Where the client has them from.
    pub source: UploadSource,
    /// Where it is to be, in the workspace; empty: the workspace itself.
    pub target: String,
    /// What becomes of what is there.
    pub collision: Collision,
    /// How many bytes it has.
    pub size: u64,
    /// How many of them are in a part.
    pub part_size: u64,
    /// The SHA-256 of all of them in hexadecimal digits, if it is known from the beginning.
    pub digest: Option<String>,
    /// The parts that have come, with their SHA-256.
    pub parts: BTreeMap<u32, String>,
    /// Where it is in its life.
    pub state: UploadState,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

words! {
    /// What the bytes of an upload are.
    pub enum UploadContent {
        /// A file.
        File = "file",
        /// An uncompressed tar, to be unpacked.
        Archive = "directory_tar",
    }
}

words! {
    /// Where a client has the bytes of an upload from.
    pub enum UploadSource {
        /// A file.
        File = "restartable_file",
        /// A stream that it has kept.
        Stream = "spooled_stream",
        /// A directory that it has packed.
        Directory = "directory_archive",
    }
}

words! {
    /// What becomes of what is at the target of an upload.
    pub enum Collision {
        /// A file is replaced, and a directory gets more.
        Merge = "merge",
        /// It is removed.
        Replace = "replace",
        /// The upload is refused.
        Refuse = "error",
    }
}

words! {
    /// Where an upload is in its life.
    pub enum UploadState {
        /// Parts are taken.
        Open = "open",
        /// It is in its place.
        Completed = "completed",
        /// Somebody has given it up.
        Aborted = "aborted",
        /// No part came for too long.
        Expired = "expired",
    }
}

/// How many uploads may be open, and with how many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "four numbers")]
pub struct UploadRoom {
    /// Uploads of the machine.
    pub of_machine: u32,
    /// Uploads of the tenant.
    pub of_tenant: u32,
    /// Bytes of the machine's uploads.
    pub machine_bytes: u64,
    /// Bytes of the tenant's uploads.
    pub tenant_bytes: u64,
}

/// Why something of an upload is refused, for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadFault {
    pub(crate) reason: UploadReason,
    pub(crate) upload: Option<UploadId>,
    /// The target, or what of the archive it is.
    pub(crate) path: Option<String>,
    pub(crate) part: Option<u32>,
}

words! {
    /// Why something of an upload is refused.
    pub enum UploadReason {
        /// There is no room for it now.
        NoRoom = "insufficient_staging_space",
        /// It is larger than it may be.
        TooLarge = "size_limit_exceeded",
        /// A part is not what it is said to be.
        PartDigest = "invalid_part_checksum",
        /// There is no such part.
        PartNumber = "part_out_of_range",
        /// A part has another size than it has to.
        PartSize = "part_size_mismatch",
        /// All together is not what it is said to be.
        Digest = "whole_checksum_mismatch",
        /// It has expired.
        Expired = "upload_expired",
        /// Somebody has given it up.
        Aborted = "upload_aborted",
        /// It is in its place.
        Completed = "upload_already_completed",
        /// Something is at its target.
        Target = "target_conflict",
        /// A path of the archive cannot be.
        ArchivePath = "directory_extract_invalid_path",
        /// A link of the archive leads out of it.
        ArchiveLink = "directory_extract_invalid_symlink",
        /// Something of the archive cannot be in a workspace.
        ArchiveEntry = "directory_extract_unsupported_entry",
        /// Not all parts have come.
        Missing = "missing_parts",
    }
}

impl Upload {
    /// How many bytes a part of an upload of so many bytes has.
    pub fn part_size_of(size: u64) -> u64 {
        size.div_ceil(limits::UPLOAD_PARTS.into()).next_multiple_of(1 << 20).max(limits::UPLOAD_PART)
    }

    /// How many parts it has.
    pub fn part_count(&self) -> u32 {
        u32::try_from(self.size.div_ceil(self.part_size.max(1))).unwrap_or(u32::MAX)
    }

    /// How many bytes a part has; `None`: there is no such part.
    pub fn size_of_part(&self, number: u32) -> Option<u64> {
        let begin = u64::from(number).checked_mul(self.part_size)?;
        let left = self.size.checked_sub(begin).filter(|left| *left > 0)?;
        Some(left.min(self.part_size))
    }

    /// How many bytes have come.
    pub fn accepted(&self) -> u64 {
        self.parts.keys().filter_map(|number| self.size_of_part(*number)).sum()
    }

    /// The first part that has not come.
    pub fn next_part(&self) -> Option<u32> {
        self.missing().next()
    }

    /// The parts that have not come.
    pub fn missing(&self) -> impl Iterator<Item = u32> {
        (0..self.part_count()).filter(|number| !self.parts.contains_key(number))
    }

    /// Its state at a moment: one that nobody has swept yet may have expired.
    pub fn state_at(&self, now: Timestamp) -> UploadState {
        match self.state {
            UploadState::Open if self.expires_at <= now => UploadState::Expired,
            state => state,
        }
    }

    /// Something was done with it: it expires later.
    pub fn touch(&mut self, now: Timestamp) {
        let (pause, life) = limits::UPLOAD_LIFE;
        self.updated_at = now;
        self.expires_at = after(now, millis(pause)).min(after(self.created_at, millis(life)));
    }

    /// From when on there is something to be done for it: it expires, or is forgotten.
    pub fn due_at(&self) -> Timestamp {
        match self.state {
            UploadState::Open => self.expires_at,
            _ => after(self.updated_at, millis(limits::UPLOAD_RETENTION)),
        }
    }

    /// Whether parts are taken, as far as anybody has noted.
    pub fn is_open(&self) -> bool {
        self.state == UploadState::Open
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn sample(size: u64, part_size: u64) -> Upload {
        Upload {
            id: "upl_1".parse().unwrap(),
            tenant_id: "ten_1".parse().unwrap(),
            machine_id: "ins_1".parse().unwrap(),
            content: UploadContent::File,
            source: UploadSource::File,
            target: "a".to_owned(),
            collision: Collision::Merge,
            size,
            part_size,
            digest: None,
            parts: BTreeMap::new(),
            state: UploadState::Open,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
            revision: 0,
        }
    }

    #[test]
    fn parts_are_of_one_size_until_there_would_be_too_many() {
        let mebibyte = 1024 * 1024;
        for (size, part) in [
            (0, 8),
            (1, 8),
            (512 * mebibyte, 8),
            (8 * 1024 * mebibyte, 8),
            (8 * 1024 * mebibyte + 1, 9),
            (100 * 1024 * mebibyte, 100),
        ] {
            assert_eq!(Upload::part_size_of(size), part * mebibyte, "{size}");
        }
    }

    #[test]
    fn each_part_puts_the_end_off_and_the_last_end_stays() {
        let (pause, life) = (millis(limits::UPLOAD_LIFE.0), millis(limits::UPLOAD_LIFE.1));
        let at = |millis: u64| after(Timestamp::UNIX_EPOCH, millis);
        let mut upload = sample(1, 1);
        for (now, end) in [(0, pause), (10, pause + 10), (life - pause, life), (life - 1, life)] {
            upload.touch(at(now));
            assert_eq!((upload.updated_at, upload.expires_at), (at(now), at(end)));
            assert_eq!(upload.state_at(at(end - 1)), UploadState::Open);
            assert_eq!(upload.state_at(at(end)), UploadState::Expired);
        }
        upload.state = UploadState::Completed;
        assert_eq!(upload.state_at(at(u64::MAX)), UploadState::Completed);
        assert_eq!(upload.due_at(), after(upload.updated_at, millis(limits::UPLOAD_RETENTION)));
    }

    proptest! {
        #[test]
        fn the_parts_are_all_of_it_and_nothing_else(
            size in 0..10_000_u64, part_size in 1..500_u64, come in prop::collection::btree_set(0..200_u32, 0..50),
        ) {
            let mut upload = sample(size, part_size);
            let count = upload.part_count();
            let sizes: Vec<_> = (0..count).map(|number| upload.size_of_part(number).unwrap()).collect();
            prop_assert_eq!(sizes.iter().sum::<u64>(), size);
            prop_assert!(sizes.iter().rev().skip(1).all(|part| *part == part_size));
            for number in [count, count + 1, u32::MAX] {
                prop_assert_eq!(upload.size_of_part(number), None);
            }
            upload.parts = come.iter().filter(|number| **number < count).map(|number| (*number, String::new())).collect();
            let left: Vec<_> = (0..count).filter(|number| !come.contains(number)).collect();
            prop_assert_eq!(upload.next_part(), left.first().copied());
            let missing: u64 = left.iter().map(|number| sizes[*number as usize]).sum();
            prop_assert_eq!(upload.accepted() + missing, size);
        }

        #[test]
        fn no_upload_has_more_parts_than_the_limit(size in any::<u64>()) {
            let size = size >> 4;
            let part = Upload::part_size_of(size);
            prop_assert!(size.div_ceil(part) <= limits::UPLOAD_PARTS.into());
        }
    }
}
