//! A harness that stands for one that cannot be had.
//!
//! A runtime that is known but not installed should fail like any other start: the deployment goes to
//! `error` with a reason, instead of the request being refused.

use futures::{FutureExt, StreamExt};
use prism_types::{Runtime, Sandbox, SandboxType};

use crate::ports::{
    BoxFuture, Harness, HarnessError, HarnessEvent, HarnessStep, Preparation, RunInput, StepStream,
};

/// A harness whose agents never become ready.
#[derive(Debug, Clone)]
pub struct UnavailableHarness {
    runtime: Runtime,
    reason: HarnessError,
}

impl UnavailableHarness {
    /// Stands for `runtime`; every agent fails with this code and message.
    pub fn new(runtime: Runtime, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { runtime, reason: HarnessError { code: code.into(), message: message.into() } }
    }
}

impl Harness for UnavailableHarness {
    fn runtime(&self) -> Runtime {
        self.runtime.clone()
    }

    /// Nothing will run, so nothing is started for it.
    fn sandbox_for(&self, _requested: &Sandbox) -> SandboxType {
        SandboxType::Memory
    }

    fn prepare(&self, _preparation: Preparation) -> BoxFuture<'_, Result<(), HarnessError>> {
        async { Err(self.reason.clone()) }.boxed()
    }

    fn run(&self, _input: RunInput) -> StepStream {
        let HarnessError { code, message } = self.reason.clone();
        futures::stream::once(async { HarnessStep::from(HarnessEvent::Failed { code, message }) }).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::harness::{Trial, memory_agent};

    #[tokio::test]
    async fn preparing_and_running_fail_with_the_reason() {
        let harness = UnavailableHarness::new(Runtime::Hermes, "runtime_unavailable", "Not installed.");
        assert_eq!(harness.runtime(), Runtime::Hermes);
        assert_eq!(harness.sandbox_for(&Sandbox::default()), SandboxType::Memory);
        let agent = memory_agent("").await;
        let reason = harness.prepare(agent.clone()).await.unwrap_err();
        assert_eq!(
            (reason.code.as_str(), reason.to_string().as_str()),
            ("runtime_unavailable", "Not installed.")
        );
        let mut trial = Trial::new(agent, "Hello");
        trial.finish(&harness).await;
        let failed =
            HarnessEvent::Failed { code: "runtime_unavailable".into(), message: "Not installed.".into() };
        assert_eq!(trial.events, [failed]);
    }
}
