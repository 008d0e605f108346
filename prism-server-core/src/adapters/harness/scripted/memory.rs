//! What a scripted agent remembers: a file of its workspace.

use tokio::sync::{Mutex, MutexGuard};

use crate::{
    domain::workspace::WorkspacePath,
    ports::{AgentMemories, HarnessError, Remembered, SandboxInstance},
};

/// Where the memories are.
const FILE: &str = ".prism/memories.json";
/// Reading and writing are two steps, and a script can remember while others bring its memories in step. One lock for
/// all agents is enough: both steps take no time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// The memories of an agent, alone with them.
pub(super) struct Memories<'a> {
    sandbox: &'a dyn SandboxInstance,
    path: WorkspacePath,
    /// As they were read; `None`: there is no file.
    read: Option<Vec<u8>>,
    pub(super) entries: Vec<String>,
    _alone: MutexGuard<'static, ()>,
}

impl<'a> Memories<'a> {
    pub(super) async fn of(sandbox: &'a dyn SandboxInstance) -> Result<Memories<'a>, HarnessError> {
        let alone = ALONE.lock().await;
        let path: WorkspacePath = FILE.parse().map_err(failed)?;
        let read = sandbox.read_file(&path).await.map_err(failed)?;
        let entries = read.as_deref().and_then(|read| serde_json::from_slice(read).ok()).unwrap_or_default();
        Ok(Self { sandbox, path, read, entries, _alone: alone })
    }

    /// Changes the entries; returns their new version.
    pub(super) async fn write(&mut self, entries: Vec<String>) -> Result<String, HarnessError> {
        let content = serde_json::to_vec(&entries).map_err(failed)?;
        self.sandbox.write_file(&self.path, content.clone()).await.map_err(failed)?;
        (self.read, self.entries) = (Some(content), entries);
        Ok(self.version())
    }

    /// As the port tells them.
    pub(super) fn told(self) -> AgentMemories {
        let home = self.read.is_some().then(|| FILE.to_owned());
        AgentMemories { home, version: self.version(), entries: self.entries }
    }

    /// Replaces them, if they are those of this version.
    pub(super) async fn replace(
        mut self,
        entries: Vec<String>,
        version: &str,
    ) -> Result<Remembered, HarnessError> {
        if self.version() != version {
            return Ok(Remembered::Changed);
        }
        let version = self.write(entries).await?;
        Ok(Remembered::Kept { home: FILE.to_owned(), version })
    }

    fn version(&self) -> String {
        self.read.as_deref().map(|read| String::from_utf8_lossy(read).into_owned()).unwrap_or_default()
    }
}

fn failed(error: impl std::fmt::Display) -> HarnessError {
    HarnessError { code: "sandbox_failed".to_owned(), message: error.to_string() }
}
