//! Automations and their history, in memory.

use prism_types::{AutomationId, Timestamp};

use super::state::{Change, State, current, existed};
use crate::{
    adapters::store::storable,
    domain::automation::{Automation, AutomationRun},
    ports::{StoreError, StoreResult},
};

impl State {
    /// The automations that are due, in the order in which they are.
    pub(super) fn due_automations(
        &self,
        until: Timestamp,
        after: Option<(Timestamp, &AutomationId)>,
        limit: u32,
    ) -> Vec<Automation> {
        let mut due: Vec<_> = self
            .automations
            .values()
            .filter_map(|automation| Some(((automation.next_run_at?, &automation.id), automation)))
            .filter(|(place, _)| place.0 <= until && after.is_none_or(|after| *place > after))
            .collect();
        due.sort_by_key(|(place, _)| *place);
        due.into_iter().take(limit as usize).map(|(_, automation)| automation.clone()).collect()
    }
}

impl Change<'_> {
    pub(super) fn insert_automation(&mut self, automation: Automation, most: u32) -> StoreResult<()> {
        storable(automation.revision, "automations.revision")?;
        self.need_deployment(&automation.deployment_id)?;
        self.need_thread(&automation.deployment_id, &automation.thread_id)?;
        let of_deployment = |other: &&Automation| other.deployment_id == automation.deployment_id;
        if self.state.automations.values().filter(of_deployment).count() >= most as usize {
            return Err(StoreError::Full("automations"));
        }
        self.insert("automation", |state| &mut state.automations, automation.id.clone(), automation)
    }

    pub(super) fn update_automation(&mut self, automation: Automation) -> StoreResult<()> {
        storable(automation.revision, "automations.revision")?;
        let before = self.state.automations.get(&automation.id);
        let before = current("automation", before, automation.revision, |a| a.revision)?;
        let automation = Automation {
            deployment_id: before.deployment_id.clone(),
            created_at: before.created_at,
            revision: automation.revision + 1,
            ..automation
        };
        self.put(|state| &mut state.automations, automation.id.clone(), automation);
        Ok(())
    }

    pub(super) fn delete_automation(&mut self, id: &AutomationId) -> StoreResult<()> {
        existed("automation", self.remove(|state| &mut state.automations, id))?;
        self.remove_where(|state| &mut state.automation_runs, |_, run| run.automation_id == *id);
        Ok(())
    }

    pub(super) fn insert_automation_run(&mut self, run: AutomationRun) -> StoreResult<()> {
        let automation = self.state.automations.get(&run.automation_id);
        existed("automation", automation.is_some_and(|a| a.deployment_id == run.deployment_id))?;
        let same = |other: &AutomationRun| {
            other.automation_id == run.automation_id
                && other.scheduled_at.is_some()
                && other.scheduled_at == run.scheduled_at
        };
        if self.state.automation_runs.values().any(same) {
            return Err(StoreError::Conflict("automation run"));
        }
        self.insert("automation run", |state| &mut state.automation_runs, run.id.clone(), run)
    }

    pub(super) fn trim_automation_runs(&mut self, id: &AutomationId, keep: u32) {
        let of_automation = self.state.automation_runs.values().filter(|run| run.automation_id == *id);
        let doomed: Vec<_> = of_automation.rev().skip(keep as usize).map(|run| run.id.clone()).collect();
        for run in &doomed {
            self.remove(|state| &mut state.automation_runs, run);
        }
    }
}
