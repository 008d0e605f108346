//! What programs have on the disk.
//!
//! No disk of a sandbox has a bound of its own, so what programs have there is measured while they run, and those that have
//! too much are ended. Measuring is work for the disk: one sandbox is measured at a time, and none for more than a twentieth
//! of the time.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use prism_types::InstanceId;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Programs,
    commands::{Ended, Writer},
};
use crate::{
    domain::{
        machine::{Machine, MachineCommand, MachineState},
        program::config::ProgramConfig,
    },
    error::Result,
    ports::{Hosting, SandboxError},
};

/// How much longer a sandbox is left alone than it took to measure it.
const REST: u32 = 19;

impl Programs {
    /// How many bytes a job or a service may have on the disk.
    pub(super) fn disk_of(&self, config: &ProgramConfig) -> u64 {
        self.disk_within(config.resources.disk_mb.or(config.permissions.max_disk_mb))
    }

    fn disk_within(&self, mebibytes: Option<u32>) -> u64 {
        let most = self.core.settings.program_disk;
        mebibytes.map_or(most, |asked| most.min(u64::from(asked) << 20))
    }

    /// Follows a command until it has ended, or has more than so many bytes on the disk.
    pub(super) async fn follow_within(
        &self,
        writer: &Writer,
        hosting: &dyn Hosting,
        token: &str,
        most: u64,
    ) -> Result<Ended> {
        tokio::select! {
            ended = self.follow(writer, hosting, token) => ended,
            () = self.overflow(&writer.hosted.instance_id, hosting, most) => Ok(Ended::Overflown(most)),
        }
    }

    /// Returns when a sandbox has more than so many bytes on the disk.
    async fn overflow(&self, id: &InstanceId, hosting: &dyn Hosting, most: u64) {
        let mut next = Instant::now() + self.core.settings.sweep;
        loop {
            sleep_until(next).await;
            let (is_over, then) = self.measure(id, hosting, most).await;
            if is_over {
                return;
            }
            next = then;
        }
    }

    /// Looks at all machines that run, again and again.
    pub(in crate::engine) async fn measure_machines(self: Arc<Self>) {
        let mut due = HashMap::new();
        loop {
            sleep(self.core.settings.sweep).await;
            match self.measure_those_due(due).await {
                Ok(next) => due = next,
                Err(error) => {
                    tracing::warn!(%error, "the disk of machines was not measured");
                    due = HashMap::new();
                }
            }
        }
    }

    /// Measures those machines whose time has come. Says when each of all is to be measured again.
    async fn measure_those_due(
        self: &Arc<Self>,
        due: HashMap<InstanceId, Instant>,
    ) -> Result<HashMap<InstanceId, Instant>> {
        let (mut next, mut last) = (HashMap::new(), None);
        loop {
            let page = self.machines_after(&mut last).await?;
            if page.is_empty() {
                return Ok(next);
            }
            for machine in page.into_iter().filter(|machine| machine.state == MachineState::Running) {
                let then = match due.get(&machine.id).filter(|due| **due > Instant::now()) {
                    Some(due) => *due,
                    None => self.measure_machine(&machine).await?,
                };
                next.insert(machine.id, then);
            }
        }
    }

    /// Ends a machine that has too much on the disk. Says when it is to be measured again.
    async fn measure_machine(self: &Arc<Self>, machine: &Machine) -> Result<Instant> {
        let (_, hosting) = self.hosting_of(machine)?;
        let most = self.disk_within(machine.model.disk_mb);
        let (is_over, next) = self.measure(&machine.id, hosting, most).await;
        if is_over {
            let reason = too_much(most);
            self.change_machine(&machine.id, MachineCommand::Fail(reason)).await?;
            self.nudge(machine.id.clone());
        }
        Ok(next)
    }

    /// Whether a sandbox has more than so many bytes on the disk, and when it is to be measured again.
    async fn measure(&self, id: &InstanceId, hosting: &dyn Hosting, most: u64) -> (bool, Instant) {
        let _turn = self.measuring.lock().await;
        let begun = Instant::now();
        let is_over = match hosting.disk_usage(id, most).await {
            Ok(used) => used > most,
            Err(SandboxError::Unavailable(reason)) => {
                if !self.is_blind.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        reason,
                        "the disk of sandboxes is not measured: nothing is ended for what it has there"
                    );
                }
                false
            }
            Err(error) => {
                tracing::warn!(%id, %error, "the disk of a sandbox was not measured");
                false
            }
        };
        let ended = Instant::now();
        (is_over, ended + self.core.settings.sweep.max((ended - begun) * REST))
    }
}

/// Why a program is ended that has more than so many bytes on the disk.
pub(super) fn too_much(most: u64) -> String {
    let mebibytes = most >> 20;
    format!("its files took more than {mebibytes} MiB of the disk, its limit")
}
