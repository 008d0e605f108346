//! Programs: what users bring along, in place of an agent of a harness.
//!
//! A [deployment of a program](ProgramDeployment) has [versions](version::Version), each a bundle of files and how it is
//! run. A version is run as a [job](job::Job), which comes to its end, or as a [service](service::Service), which listens
//! at a port. Each of these has a sandbox of its own, and what it writes goes to the log of its deployment.
//!
//! These deployments share ids, log, instances and audit with the deployments of agents. They are records of their own
//! because they have nothing else in common: no customer, thread, model or runtime.

pub mod config;
pub mod digest;
pub mod hosted;
pub mod job;
pub mod log;
pub mod manifest;
pub mod path;
pub mod service;
pub mod version;

use prism_types::{DeploymentId, TenantId, Timestamp, VersionId};
use serde::{Deserialize, Serialize};

pub use config::Mode;

use super::{Refused, words};

/// A named deployment of a program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it")]
pub struct ProgramDeployment {
    /// Its id. Ids are time-ordered: a later deployment has a greater id.
    pub id: DeploymentId,
    /// Its owner.
    pub tenant_id: TenantId,
    /// Its name, which no other of the owner's has that is not deleted.
    pub name: String,
    /// How its versions are run.
    pub mode: Mode,
    /// What it is for.
    pub description: Option<String>,
    /// What its owner notes of it, as it was handed in: a JSON object.
    pub metadata: String,
    /// Where it is in its life.
    pub state: ProgramState,
    /// The version that is run when none is named.
    pub active_version: Option<VersionId>,
    /// The number of its last version, 0 when there is none.
    pub last_version: u32,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

words! {
    /// Where a deployment of a program is in its life.
    pub enum ProgramState {
        /// It takes jobs and services.
        Active = "active",
        /// It takes none; those that run go on.
        Paused = "paused",
        /// It was deleted; what it has is being removed.
        Deleted = "deleted",
    }
}

words! {
    /// What can be asked of a deployment of a program.
    pub enum ProgramCommand {
        /// Take no more jobs and services.
        Pause = "pause",
        /// Take them again.
        Activate = "activate",
        /// Delete.
        Delete = "delete",
    }
}

impl ProgramDeployment {
    /// Carries out a command.
    ///
    /// | state \ command | pause | activate | delete |
    /// |---|---|---|---|
    /// | active | paused | active | deleted |
    /// | paused | paused | active | deleted |
    /// | deleted | - | - | - |
    ///
    /// # Errors
    /// When the table has no entry.
    pub fn apply(&mut self, command: ProgramCommand, now: Timestamp) -> Result<(), Refused> {
        use {ProgramCommand as C, ProgramState as S};
        self.state = match (self.state, command) {
            (S::Active | S::Paused, C::Pause) => S::Paused,
            (S::Active | S::Paused, C::Activate) => S::Active,
            (S::Active | S::Paused, C::Delete) => {
                self.deleted_at = Some(now);
                S::Deleted
            }
            (state @ S::Deleted, command) => {
                return Err(Refused { command: command.as_str(), noun: "deployment", state: state.as_str() });
            }
        };
        self.updated_at = now;
        Ok(())
    }
}
