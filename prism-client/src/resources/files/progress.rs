//! How far a transfer is.

use std::{fmt, sync::Arc};

/// How much of a file was sent or has come; see [`WriteFileCall::on_progress`](super::WriteFileCall::on_progress) and
/// [`ReadFileCall::on_progress`](super::ReadFileCall::on_progress).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The bytes so far. What is sent counts when the connection takes it.
    pub bytes: u64,
    /// The bytes in all; `None` when nobody knows.
    pub total: Option<u64>,
    /// Which attempt of the call this is, from 1. A new one begins at 0 bytes.
    pub attempt: u32,
}

/// Whom to tell.
#[derive(Clone, Default)]
pub(crate) struct Listener(Option<Arc<dyn Fn(Progress) + Send + Sync>>);

impl Listener {
    pub(crate) fn new(listen: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listen)))
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// A counter of one attempt, which tells of every piece.
    pub(crate) fn meter(&self, total: Option<u64>, attempt: u32) -> Meter {
        Meter { listener: self.clone(), progress: Progress { bytes: 0, total, attempt } }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.is_there()).finish()
    }
}

pub(crate) struct Meter {
    listener: Listener,
    progress: Progress,
}

impl Meter {
    pub(crate) fn count(&mut self, piece: &[u8]) {
        self.progress.bytes += piece.len() as u64;
        if let Some(listen) = &self.listener.0 {
            listen(self.progress);
        }
    }
}
