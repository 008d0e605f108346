//! What the control plane needs of the outside, as traits.
//!
//! An embedder may bring an implementation of any of them. With the feature `testkit` the conformance suites
//! of [`crate::testkit`] check it by the same tests that ours pass.

mod clock;
mod egress;
mod harness;
mod hosting;
mod machine_store;
mod outbound;
mod program_store;
mod sandbox;
mod secret_box;
mod skill_fetcher;
mod staging;
mod store;
mod upload_store;
mod workspace;

pub use clock::{Clock, SystemClock};
pub use egress::{Egress, EgressBody, EgressError, EgressRequest, Reach};
pub use harness::{
    AgentMemories, AgentSetup, Harness, HarnessError, HarnessEvent, HarnessStep, OutsideChange, Preparation,
    Remembered, RunInput, StepStream, UserMessage,
};
pub use hosting::{
    Command, CommandStatus, Connection, Executed, Execution, Exit, Hosting, Input, OutputLine, OutputStream,
};
pub use machine_store::MachineStore;
pub use outbound::{NoOutbound, Outbound, ToolCall};
pub use program_store::{HostedFilter, LogPlace, ProgramFilter, ProgramStore};
pub use sandbox::{
    FileWrite, Program, Sandbox, SandboxError, SandboxInstance, SandboxListener, SandboxRequest,
};
pub use secret_box::{SecretBox, SecretBoxError};
pub use skill_fetcher::{FetchError, SkillFetcher};
pub use staging::{PartFile, Staging, StagingError};
pub use store::{
    AppendListener, Commit, DeliveryQuery, DeploymentFilter, Expiring, ListQuery, Store, StoreError,
    StoreResult, WebhookQueue, Write,
};
pub use upload_store::UploadStore;
pub use workspace::{ByteStream, FileInfo, FirstNames, Listing, OpenFile, PlacedFile, StagedFile, Workspace};

/// A boxed future, so that the ports can be trait objects.
pub type BoxFuture<'a, T> = futures::future::BoxFuture<'a, T>;
