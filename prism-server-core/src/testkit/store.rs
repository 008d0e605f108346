//! The conformance suite of [`Store`]: what the port's contract promises, as tests.
//!
//! [`conformance`] runs all of it. Every property is a public function too, takes an empty store and panics
//! where the store breaks the promise, so that one that fails can be run alone. Run them on a runtime with
//! several threads; on one thread they pass too, but find fewer races.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use prism_server_core::{adapters::store::MemoryStore, ports::Store, testkit};
//! # async fn example() {
//! testkit::store::conformance(|| async { Arc::new(MemoryStore::new()) as Arc<dyn Store> }).await;
//! # }
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken promise ends the test with a panic")]

pub mod accounts;
pub mod automations;
pub mod changes;
pub mod concurrency;
pub mod conversations;
pub mod deployments;
pub mod instance_logs;
pub mod log;
pub mod machines;
pub mod memories;
pub mod programs;
pub mod records;
pub mod uploads;
pub mod webhooks;

use std::sync::{Arc, Mutex};

use prism_types::WebhookId;

use crate::{
    domain::event::LoggedEvent,
    ports::{AppendListener, Commit, Store, StoreError, StoreResult, Write},
};

/// Checks every property, each on a store of its own that `make` returns empty.
///
/// # Panics
/// When the store breaks a promise.
pub async fn conformance<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Store>>,
{
    accounts::tenants_have_unique_names(make().await).await;
    accounts::metering_adds_up(make().await).await;
    accounts::api_keys_are_found_by_hash(make().await).await;
    accounts::secrets_are_replaced_and_removed(make().await).await;
    deployments::deployments_are_guarded_by_revisions(make().await).await;
    deployments::specifications_never_change(make().await).await;
    deployments::skills_keep_their_order(make().await).await;
    deployments::skills_are_added_and_removed(make().await).await;
    deployments::instances_are_guarded_by_revisions(make().await).await;
    deployments::snapshots_are_guarded_by_revisions(make().await).await;
    deployments::snapshots_are_limited_listed_and_expire(make().await).await;
    deployments::lists_are_filtered_and_without_deleted_ones(make().await).await;
    deployments::the_engine_finds_deployments_by_state(make().await).await;
    deployments::a_purge_leaves_nothing(make().await).await;
    conversations::threads_count_their_messages(make().await).await;
    conversations::messages_are_dense(make().await).await;
    conversations::a_thread_has_one_unfinished_run(make().await).await;
    conversations::runs_are_guarded_by_revisions(make().await).await;
    conversations::approvals_are_answered_once(make().await).await;
    conversations::approvals_are_listed(make().await).await;
    conversations::overdue_approvals_are_found(make().await).await;
    conversations::a_running_run_is_cancelled_whatever_its_revision(make().await).await;
    memories::memories_are_guarded_as_a_whole(make().await).await;
    memories::what_is_out_of_step_is_found(make().await).await;
    memories::a_deleted_thread_leaves_only_events(make().await).await;
    memories::forgotten_threads_are_kept_until_they_are(make().await).await;
    memories::a_deployment_has_one_dream_at_a_time(make().await).await;
    memories::a_quiet_time_is_taken_once(make().await).await;
    machines::machines_are_guarded_limited_and_listed(make().await).await;
    machines::the_engine_finds_machines_when_they_are_due(make().await).await;
    machines::snapshots_of_machines_are_limited_and_listed(make().await).await;
    uploads::uploads_are_guarded_and_limited(make().await).await;
    uploads::the_engine_finds_uploads_when_they_are_due(make().await).await;
    uploads::uploads_go_with_their_machine(make().await).await;
    changes::a_key_is_taken_once(make().await).await;
    changes::the_audit_log_is_read_newest_first(make().await).await;
    changes::old_records_expire(make().await).await;
    automations::automations_are_guarded_by_revisions(make().await).await;
    automations::automations_are_limited_and_listed(make().await).await;
    automations::of_many_automations_as_many_are_made_as_there_may_be(make().await).await;
    automations::the_engine_finds_automations_by_when_they_are_due(make().await).await;
    automations::an_instant_has_one_entry_in_a_history(make().await).await;
    automations::one_of_many_fires_an_instant(make().await).await;
    automations::automations_go_with_their_deployment(make().await).await;
    programs::programs_are_guarded_and_named_once(make().await).await;
    programs::programs_are_listed_by_mode_and_state(make().await).await;
    programs::the_engine_finds_deleted_programs(make().await).await;
    programs::a_program_shares_ids_logs_and_instances_with_agents(make().await).await;
    programs::versions_are_guarded_and_numbered_once(make().await).await;
    programs::versions_are_listed_by_state(make().await).await;
    programs::versions_are_found_while_they_are_built(make().await).await;
    programs::services_are_guarded_and_limited(make().await).await;
    programs::services_are_listed_by_state_and_version(make().await).await;
    programs::services_to_mind_are_found(make().await).await;
    programs::jobs_are_guarded_and_limited(make().await).await;
    programs::jobs_are_listed_by_state_and_version(make().await).await;
    programs::jobs_to_mind_are_found(make().await).await;
    programs::of_many_jobs_as_many_are_made_as_there_may_be(make().await).await;
    programs::one_of_many_programs_gets_a_name(make().await).await;
    programs::a_purged_program_leaves_nothing(make().await).await;
    instance_logs::the_log_of_an_instance_is_read_from_any_place(make().await).await;
    instance_logs::the_log_of_an_instance_is_trimmed_with_its_deployments(make().await).await;
    instance_logs::the_log_of_an_instance_is_trimmed_by_its_bytes(make().await).await;
    instance_logs::a_page_of_an_instance_with_large_events_ends_early(make().await).await;
    instance_logs::webhooks_are_not_told_what_programs_write(make().await).await;
    log::a_log_is_dense_and_read_in_order(make().await).await;
    log::a_trimmed_log_goes_on_counting(make().await).await;
    log::a_page_of_large_events_ends_early(make().await).await;
    log::a_refused_commit_leaves_nothing(make().await).await;
    log::the_listener_is_told_although_the_caller_has_gone(make().await).await;
    concurrency::logs_are_dense_and_told_in_order(make().await).await;
    concurrency::a_read_sees_every_acknowledged_commit(make().await).await;
    concurrency::one_of_many_runs_starts(make().await).await;
    concurrency::one_of_many_skills_of_a_name_is_added(make().await).await;
    concurrency::no_update_is_lost(make().await).await;
    concurrency::every_meter_counts(make().await).await;
    concurrency::pages_lose_and_repeat_nothing(make().await).await;
    webhooks::webhooks_are_guarded_and_limited(make().await).await;
    webhooks::events_are_queued_for_those_who_want_them(make().await).await;
    webhooks::deliveries_outlive_their_deployment(make().await).await;
    webhooks::deliveries_are_due_in_order(make().await).await;
    webhooks::old_deliveries_are_removed(make().await).await;
}

/// A listener that writes down what it is told.
#[derive(Debug, Default)]
pub struct Recorder {
    told: Mutex<Vec<LoggedEvent>>,
    queued: Mutex<Vec<WebhookId>>,
}

impl Recorder {
    /// A recorder that listens to this store.
    pub fn of(store: &dyn Store) -> Arc<Self> {
        let recorder = Arc::new(Self::default());
        store.set_append_listener(Arc::clone(&recorder) as Arc<dyn AppendListener>);
        recorder
    }

    /// Everything it was told so far.
    pub fn told(&self) -> Vec<LoggedEvent> {
        self.told.lock().unwrap().clone()
    }

    /// The webhooks for which deliveries were queued so far, once for each.
    pub fn queued(&self) -> Vec<WebhookId> {
        self.queued.lock().unwrap().clone()
    }
}

impl AppendListener for Recorder {
    fn appended(&self, events: &[LoggedEvent]) {
        self.told.lock().unwrap().extend_from_slice(events);
    }

    fn queued(&self, webhooks: &[WebhookId]) {
        self.queued.lock().unwrap().extend_from_slice(webhooks);
    }
}

/// Commits these writes together.
///
/// # Errors
/// The store's.
pub async fn commit(store: &dyn Store, writes: impl IntoIterator<Item = Write>) -> StoreResult<()> {
    store.commit(Commit::new().with_all(writes)).await
}

#[track_caller]
fn is_conflict(result: StoreResult<()>, noun: &str) {
    assert!(matches!(&result, Err(StoreError::Conflict(told)) if *told == noun), "{result:?}");
}

#[track_caller]
fn is_full(result: StoreResult<()>, nouns: &str) {
    assert!(matches!(&result, Err(StoreError::Full(told)) if *told == nouns), "{result:?}");
}

#[track_caller]
fn is_missing(result: StoreResult<()>, noun: &str) {
    assert!(matches!(&result, Err(StoreError::Missing(told)) if *told == noun), "{result:?}");
}
