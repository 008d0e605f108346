//! Scripted agents whose workspace is on the disk.

use prism_server_core::{
    adapters::harness::ScriptedHarness,
    ports::{BoxFuture, Harness, HarnessError, Preparation, RunInput, StepStream},
};
use prism_types::{Runtime, Sandbox, SandboxType};

/// The scripted harness with sandboxes of type `process`, in which nothing runs.
#[derive(Default)]
pub(crate) struct OnDisk(ScriptedHarness);

impl Harness for OnDisk {
    fn runtime(&self) -> Runtime {
        self.0.runtime()
    }

    fn sandbox_for(&self, _: &Sandbox) -> SandboxType {
        SandboxType::Process
    }

    fn prepare(&self, preparation: Preparation) -> BoxFuture<'_, Result<(), HarnessError>> {
        self.0.prepare(preparation)
    }

    fn run(&self, input: RunInput) -> StepStream {
        self.0.run(input)
    }
}
