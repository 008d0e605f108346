//! Versions of programs: a bundle of files and how it is run. Neither ever changes.

use prism_types::{DeploymentId, InstanceId, SandboxType, Timestamp, VersionId};
use serde::{Deserialize, Serialize};

use crate::domain::{Refused, words};

/// A version of a program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it")]
pub struct Version {
    /// Its id. Ids are time-ordered: a later version has a greater id.
    pub id: VersionId,
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// Its number among the versions of the deployment, from 1.
    pub number: u32,
    /// What tells bundles apart: the digest of the configuration and all files.
    pub bundle_digest: String,
    /// The manifest of the bundle without its entries, as it was handed in: a JSON object. The whole is kept apart, since
    /// it can be long.
    pub manifest: String,
    /// How it is run, as it was handed in: a JSON object.
    pub config: String,
    /// The kind of the sandboxes that it has and is run in.
    pub sandbox: SandboxType,
    /// Whether what is installed is kept.
    pub cache: CachePolicy,
    /// Where it is in its life.
    pub state: VersionState,
    /// The sandbox in whose workspace its files are; nothing runs in it.
    pub instance_id: InstanceId,
    /// What is made of it once for all who run it.
    pub build: Option<Build>,
    /// Why it failed.
    pub failure: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it became ready.
    pub ready_at: Option<Timestamp>,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

words! {
    /// Where a version is in its life.
    pub enum VersionState {
        /// It waits for its bundle.
        Created = "created",
        /// It can be run.
        Ready = "ready",
        /// Its bundle was not what its manifest says.
        Failed = "failed",
        /// It can be run, and another one is run when none is named.
        Superseded = "superseded",
    }
}

words! {
    /// What can happen to a version.
    pub enum VersionCommand {
        /// Its bundle has come.
        Fill = "receive its bundle",
        /// Its bundle was refused.
        Fail = "fail",
        /// It becomes the one that is run when none is named.
        Activate = "become the active version",
        /// Another one became that.
        Supersede = "be superseded",
    }
}

words! {
    /// Whether what is installed for a version is kept.
    pub enum CachePolicy {
        /// What a build has made of the same files is used; else each sandbox installs for itself.
        Auto = "auto",
        /// Each sandbox installs for itself.
        NoCache = "no_cache",
        /// A build is made when the bundle has come.
        Rebuild = "rebuild",
    }
}

/// The installation of a version, made once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a part of a record: stores build it")]
pub struct Build {
    /// The sandbox in which it is made, and in whose workspace it is afterwards.
    pub instance_id: InstanceId,
    /// Where it is in its life.
    pub state: BuildState,
    /// Why it failed.
    pub failure: Option<String>,
    /// When it was begun.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

words! {
    /// Where a build is in its life.
    pub enum BuildState {
        /// It waits for its turn.
        Queued = "queued",
        /// It is being made.
        Building = "building",
        /// It can be used.
        Ready = "ready",
        /// It was not made.
        Failed = "failed",
    }
}

impl BuildState {
    /// Whether nothing more happens to it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Ready | Self::Failed)
    }
}

impl VersionState {
    /// Whether it can be run.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Ready | Self::Superseded)
    }
}

impl Version {
    /// Carries out a command.
    ///
    /// | state \ command | receive its bundle | fail | become the active version | be superseded |
    /// |---|---|---|---|---|
    /// | created | ready | failed | - | - |
    /// | ready | - | - | ready | superseded |
    /// | failed | ready | failed | - | - |
    /// | superseded | - | - | ready | superseded |
    ///
    /// # Errors
    /// When the table has no entry.
    pub fn apply(&mut self, command: VersionCommand) -> Result<(), Refused> {
        use {VersionCommand as C, VersionState as S};
        self.state = match (self.state, command) {
            (S::Created | S::Failed, C::Fill) => S::Ready,
            (S::Created | S::Failed, C::Fail) => S::Failed,
            (S::Ready | S::Superseded, C::Activate) => S::Ready,
            (S::Ready | S::Superseded, C::Supersede) => S::Superseded,
            (state, command) => {
                return Err(Refused { command: command.as_str(), noun: "version", state: state.as_str() });
            }
        };
        Ok(())
    }

    /// The sandbox whose workspace is copied for one who runs it, and whether all is installed there.
    pub fn source(&self) -> (&InstanceId, bool) {
        match &self.build {
            Some(build) if build.state == BuildState::Ready && self.cache != CachePolicy::NoCache => {
                (&build.instance_id, true)
            }
            _ => (&self.instance_id, false),
        }
    }
}
