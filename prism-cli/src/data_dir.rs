//! The data directory.
//!
//! | name | what it is |
//! |---|---|
//! | `prism.db` | the database |
//! | `master.key` | the key that seals secrets |
//! | `prism.lock` | held by the server that works on the directory |
//! | `identity` | the name by which the server knows its own containers |
//! | `agents/` | what agents are given by the server: a folder for each |
//! | `processes/` | agents that run as processes: a folder for each |
//! | `uploads/` | parts of uploads to sandboxes, until all have come: a folder for each upload |
//! | `runtimes/` | the software that they run on |

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use prism_server_core::{
    adapters::{
        secret_box::{MasterKey, SealedBox},
        store::SqliteStore,
    },
    ports::Store,
};

use crate::{environment, failure::Failure};

const DATABASE: &str = "prism.db";
const KEY_FILE: &str = "master.key";
const RUNTIMES: &str = "runtimes";
const AGENTS: &str = "agents";
const PROCESSES: &str = "processes";
const UPLOADS: &str = "uploads";
const IDENTITY: &str = "identity";
const LOCK_FILE: &str = "prism.lock";
const KEY_VARIABLE: &str = "PRISM_MASTER_KEY";

/// A directory that exists.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// Says to others that a server works on the directory, for as long as it lives. The operating system lets go
/// of it when the process ends, however it ends.
#[derive(Debug)]
#[must_use]
pub(crate) struct Lock {
    _file: File,
}

impl DataDir {
    /// The directory, which is created, for its owner only, when it does not exist.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(path).map_err(|error| {
            let message = format!("the data directory {} cannot be created: {error}", path.display());
            Failure::new(message).advice("Choose another one by --data-dir.")
        })?;
        Ok(Self { path: path.to_owned() })
    }

    /// A directory that need not exist.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The directory of a server that was started at least once.
    ///
    /// # Errors
    /// When there is no database in it: most likely it is another directory that is meant.
    pub(crate) fn existing(path: &Path) -> Result<Self, Failure> {
        if path.join(DATABASE).is_file() {
            return Ok(Self { path: path.to_owned() });
        }
        Err(Failure::new(format!("there is no Prism database in {}", path.display()))
            .advice("Say by --data-dir where it is, or create it with `prism serve`."))
    }

    /// Makes sure that no other server works on the directory.
    ///
    /// # Errors
    /// When another one does, or the lock file cannot be made.
    pub(crate) fn lock(&self) -> Result<Lock, Failure> {
        let path = self.path.join(LOCK_FILE);
        let failed =
            |error: std::io::Error| Failure::new(format!("{} cannot be locked: {error}", path.display()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                let id = format!("{}\n", std::process::id());
                file.set_len(0).and_then(|()| file.write_all(id.as_bytes())).map_err(failed)?;
                Ok(Lock { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let message = format!(
                    "another `prism serve`{} works on the data directory {}",
                    holder(&mut file),
                    self.path.display()
                );
                Err(Failure::new(message).advice("Stop it, or choose another directory by --data-dir."))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Where parts of uploads wait.
    pub(crate) fn uploads(&self) -> PathBuf {
        self.absolute().join(UPLOADS)
    }

    /// Where runtimes are installed.
    pub(crate) fn runtimes(&self) -> PathBuf {
        self.absolute().join(RUNTIMES)
    }

    /// Where agents get what the server gives them.
    pub(crate) fn agents(&self) -> PathBuf {
        self.absolute().join(AGENTS)
    }

    /// Where agents that are processes live.
    pub(crate) fn processes(&self) -> PathBuf {
        self.absolute().join(PROCESSES)
    }

    /// The name by which the server knows its own containers, which is made on the first start.
    ///
    /// # Errors
    /// When the file cannot be read or made.
    pub(crate) fn identity(&self) -> Result<String, Failure> {
        let path = self.path.join(IDENTITY);
        let failed = |error| Failure::new(format!("{} cannot be used: {error}", path.display()));
        match std::fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let identity = uuid::Uuid::now_v7().simple().to_string();
        std::fs::write(&path, format!("{identity}\n")).map_err(failed)?;
        Ok(identity)
    }

    /// Processes and containers have working directories of their own.
    fn absolute(&self) -> PathBuf {
        std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone())
    }

    /// Opens the database, which is created when there is none. Blocks.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn store(&self) -> Result<Arc<dyn Store>, Failure> {
        let store = SqliteStore::open(self.path.join(DATABASE));
        Ok(Arc::new(store.map_err(|error| Failure::new(error.to_string()))?))
    }

    /// What seals secrets: with the key of PRISM_MASTER_KEY, or else the one of the key file. The file is made
    /// on the first start, before the database, and never later: a new key could not open what is there.
    ///
    /// # Errors
    /// When there is no key.
    pub(crate) fn secret_box(&self) -> Result<SealedBox, Failure> {
        if let Some(value) = environment::variable(KEY_VARIABLE)? {
            let key = MasterKey::from_environment_value(&value);
            let key = key.map_err(|error| Failure::usage(format!("{KEY_VARIABLE}: {error}")))?;
            return Ok(SealedBox::new(key));
        }
        let path = self.path.join(KEY_FILE);
        if !path.exists() && self.path.join(DATABASE).exists() {
            let message = format!("there is a database in {}, but no master key", self.path.display());
            let advice = format!("Set {KEY_VARIABLE} as it was before, or bring {KEY_FILE} back.");
            return Err(Failure::new(message).advice(advice));
        }
        let key = MasterKey::load_or_create(&path).map_err(|error| Failure::new(error.to_string()))?;
        Ok(SealedBox::new(key))
    }
}

/// The process that holds the lock, as far as it can be read.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text).map(|_| text.trim().parse::<u32>()) {
        Ok(Ok(id)) => format!(" (process {id})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_let_go_of() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::create(&directory.path().join("a/b")).unwrap();
        let lock = data.lock().unwrap();
        let refusal = data.lock().unwrap_err().to_string();
        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        drop(lock);
        let _lock = data.lock().unwrap();
    }

    #[test]
    fn a_lost_master_key_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::create(directory.path()).unwrap();
        data.secret_box().unwrap();
        drop(data.store().unwrap());
        data.secret_box().unwrap();
        std::fs::remove_file(directory.path().join(KEY_FILE)).unwrap();
        let error = data.secret_box().unwrap_err().to_string();
        assert!(error.contains("no master key"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_look_into_a_new_directory() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        DataDir::create(&path).unwrap().secret_box().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join(KEY_FILE)), 0o600);
    }
}
