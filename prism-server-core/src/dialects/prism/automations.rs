//! `/v1/deployments/{deployment_id}/automations`

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::{
    Automation, AutomationId, AutomationRun, AutomationSummary, AutomationTrigger, DeletedAutomation, Page,
    ThreadId, TriggeredAutomation,
};
use serde_json::Value;

use super::{Call, Shared, deployment_id, error::Answer, path_id};
use crate::{
    domain::{
        idempotency::Reply,
        limits::{self, LABEL},
        schedule::{self, Zone},
    },
    error::Result,
    http::{
        change::Change,
        cursor,
        decode::{Node, boolean, decode},
        query::Query,
    },
    service::{
        automations::{
            self, AutomationChange, AutomationRunView, AutomationView, GivenSchedule, NewAutomation,
            Triggered,
        },
        deployments,
    },
};

pub(super) async fn create(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, change.principal(), &id).await?;
    let new = create_automation(&change.json().await?)?;
    let created = change.carry_out(&core, |core, author| async move {
        let tell = |view| Reply::json(StatusCode::CREATED, &whole(view));
        automations::create(&core, &author, &id, new, tell).await
    });
    Ok(created.await?)
}

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Page<AutomationSummary>>, Answer> {
    let id = deployment_id(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let page = query.page();
    query.finish()?;
    let listed = automations::list(&core, &call.principal, &id, page).await?;
    let data = listed.items.iter().map(summary).collect();
    Ok(Json(Page::new(data, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn get(
    State(core): Shared,
    Path((id, automation)): Path<(String, String)>,
    call: Call,
) -> Result<Json<Automation>, Answer> {
    let id = deployment_id(&id)?;
    let automation_id = automation_id(&automation)?;
    Ok(Json(whole(automations::get(&core, &call.principal, &id, &automation_id).await?)))
}

pub(super) async fn update(
    State(core): Shared,
    Path((id, automation)): Path<(String, String)>,
    mut change: Change,
) -> Result<Json<Automation>, Answer> {
    let id = deployment_id(&id)?;
    let automation = automation_id(&automation)?;
    automations::find(&core, change.principal(), &id, &automation).await?;
    let changes = update_automation(&change.json().await?)?;
    let updated = change.carry_out(&core, |core, author| async move {
        automations::update(&core, &author, &id, &automation, changes).await
    });
    Ok(Json(whole(updated.await?)))
}

pub(super) async fn delete(
    State(core): Shared,
    Path((id, automation)): Path<(String, String)>,
    change: Change,
) -> Result<Json<DeletedAutomation>, Answer> {
    let id = deployment_id(&id)?;
    let automation = automation_id(&automation)?;
    let deleted = DeletedAutomation::new(automation.clone());
    let work = change.carry_out(&core, |core, author| async move {
        automations::delete(&core, &author, &id, &automation).await
    });
    work.await?;
    Ok(Json(deleted))
}

pub(super) async fn trigger(
    State(core): Shared,
    Path((id, automation)): Path<(String, String)>,
    change: Change,
) -> Result<Reply, Answer> {
    let id = deployment_id(&id)?;
    let automation = automation_id(&automation)?;
    let triggered = change.carry_out(&core, |core, author| async move {
        let tell = |triggered| Reply::json(StatusCode::OK, &started(triggered));
        automations::trigger(&core, &author, &id, &automation, tell).await
    });
    Ok(triggered.await?)
}

pub(super) async fn runs(
    State(core): Shared,
    Path((id, automation)): Path<(String, String)>,
    call: Call,
) -> Result<Json<Page<AutomationRun>>, Answer> {
    let id = deployment_id(&id)?;
    let automation_id = automation_id(&automation)?;
    let mut query = Query::parse(call.request.uri().query());
    let page = query.page();
    query.finish()?;
    let listed = automations::history(&core, &call.principal, &id, &automation_id, page).await?;
    let data = listed.items.iter().map(entry).collect();
    Ok(Json(Page::new(data, listed.next.as_ref().map(cursor::encode))))
}

fn automation_id(text: &str) -> Result<AutomationId> {
    path_id(text, "Automation")
}

/// The body of a create.
fn create_automation(body: &Value) -> Result<NewAutomation> {
    decode(body, |node| {
        let object =
            node.object(&["name", "schedule", "instructions", "timezone", "thread_id", "enabled"])?;
        let name = object.required("name", |node| node.label(1..=LABEL));
        let schedule = object.required("schedule", given_schedule);
        let instructions = object.required("instructions", |node| node.text(1..=limits::INSTRUCTIONS));
        let zone = object.optional("timezone", zone);
        let thread = object.optional("thread_id", thread);
        let enabled = object.optional("enabled", boolean);
        Some(NewAutomation {
            name: name?,
            schedule: schedule?,
            zone: zone.unwrap_or_else(Zone::utc),
            instructions: instructions?,
            thread,
            enabled: enabled.unwrap_or(true),
        })
    })
}

/// The body of an update.
fn update_automation(body: &Value) -> Result<AutomationChange> {
    decode(body, |node| {
        let object =
            node.object(&["name", "schedule", "instructions", "timezone", "thread_id", "enabled"])?;
        Some(AutomationChange {
            name: object.change("name", |node| node.label(1..=LABEL)),
            schedule: object.change("schedule", given_schedule),
            zone: object.change("timezone", zone),
            instructions: object.change("instructions", |node| node.text(1..=limits::INSTRUCTIONS)),
            thread: object.change("thread_id", thread),
            enabled: object.change("enabled", boolean),
        })
    })
}

fn given_schedule(node: Node<'_>) -> Option<GivenSchedule> {
    let text = node.label(1..=limits::SCHEDULE)?;
    match schedule::read(&text) {
        Ok(cron) => Some(GivenSchedule { text, cron }),
        Err(error) => node.refuse(error.to_string()),
    }
}

fn zone(node: Node<'_>) -> Option<Zone> {
    let name = node.label(1..=limits::TIMEZONE)?;
    name.parse().map_or_else(|error: schedule::InvalidSchedule| node.refuse(error.to_string()), Some)
}

fn thread(node: Node<'_>) -> Option<ThreadId> {
    node.parse(|text| text.parse().map_err(|_| "must be a thread's id, such as `thr_7xK9s2`".to_owned()))
}

fn whole(view: AutomationView) -> Automation {
    let recent = view.recent.iter().map(entry);
    Automation::new(summary(&view), view.automation.instructions).recent_runs(recent)
}

fn started(triggered: Triggered) -> TriggeredAutomation {
    let Triggered { automation_id, entry, run } = triggered;
    let status = run.state.status();
    TriggeredAutomation::new(automation_id, entry, run.id, run.deployment_id, run.thread_id, status)
}

fn summary(view: &AutomationView) -> AutomationSummary {
    let AutomationView { automation, recent, is_on } = view;
    let last = recent.first();
    AutomationSummary::new(
        automation.id.clone(),
        automation.deployment_id.clone(),
        automation.thread_id.clone(),
        automation.name.clone(),
        automation.schedule.clone(),
        automation.cron.clone(),
        automation.created_at,
    )
    .timezone(automation.timezone.clone())
    .enabled(automation.enabled)
    .last_run_at(last.map(|last| last.entry.created_at))
    .last_run_status(last.map(|last| entry(last).status))
    .next_run_at(automation.next_run_at.filter(|_| *is_on))
}

fn entry(view: &AutomationRunView) -> AutomationRun {
    let AutomationRunView { entry, run } = view;
    let trigger = match entry.scheduled_at {
        Some(_) => AutomationTrigger::Schedule,
        None => AutomationTrigger::Manual,
    };
    let status = entry.outcome.status(run.as_ref().map(|run| run.state));
    let reason = entry.outcome.reason().or_else(|| run.as_ref()?.error.as_ref());
    AutomationRun::new(entry.id.clone(), trigger, status, entry.created_at)
        .scheduled_at(entry.scheduled_at)
        .run_id(entry.outcome.run_id().cloned())
        .error(reason.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_types::{CreateAutomation, UpdateAutomation};
    use serde_json::json;

    fn problems<T>(decoded: Result<T>) -> Vec<String> {
        let Err(error) = decoded else { return Vec::new() };
        error.problems().iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect()
    }

    #[test]
    fn a_request_is_understood_as_the_client_type_says_it() {
        let request = CreateAutomation::new("Digest", "every weekday at 9am", "Sum up.")
            .timezone("europe/berlin")
            .thread_id("thr_1".parse::<ThreadId>().unwrap())
            .enabled(false);
        let new = create_automation(&serde_json::to_value(&request).unwrap()).unwrap();
        assert_eq!((new.schedule.text.as_str(), new.zone.name()), ("every weekday at 9am", "Europe/Berlin"));
        assert_eq!(new.schedule.cron.to_string(), "0 9 * * 1-5");
        assert_eq!((new.thread.unwrap().as_str(), new.enabled), ("thr_1", false));
        let smallest = create_automation(&json!({"name": "n", "schedule": "@daily", "instructions": "i",
            "timezone": null, "thread_id": null, "enabled": null}));
        let smallest = smallest.unwrap();
        assert_eq!((smallest.zone.name(), smallest.thread, smallest.enabled), ("UTC", None, true));
        let change = update_automation(&serde_json::to_value(UpdateAutomation::new().enabled(true)).unwrap());
        let change = change.unwrap();
        assert_eq!((change.enabled, change.name, change.schedule.is_some()), (Some(true), None, false));
    }

    #[test]
    fn every_problem_is_told_with_the_way_out() {
        let told = problems(create_automation(&json!({"schedule": "every other day", "instructions": "",
            "timezone": "Berlin", "thread_id": "1", "enabled": "yes", "enbled": true})));
        for expected in [
            "$.name is required",
            "$.schedule `every other day` is not understood",
            "$.instructions must have 1 to 32768 bytes",
            "$.timezone `Berlin` is not a time zone",
            "$.thread_id must be a thread's id",
            "$.enabled must be true or false",
            "$.enbled is not a known field; did you mean `enabled`?",
        ] {
            assert!(told.iter().any(|problem| problem.starts_with(expected)), "{expected}: {told:#?}");
        }
        assert_eq!(told.len(), 7, "{told:#?}");
        for field in ["name", "schedule", "instructions", "timezone", "thread_id", "enabled"] {
            let told = problems(update_automation(&json!({field: null})));
            assert_eq!(told, [format!("$.{field} must be a value, but is null")]);
        }
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_past_it() {
        let body = |name: usize, spaces: usize, instructions: usize| {
            json!({"name": "é".repeat(name), "schedule": format!("@daily{}", " ".repeat(spaces)),
                "instructions": "x".repeat(instructions)})
        };
        assert!(create_automation(&body(255, 249, 32_768)).is_ok());
        assert_eq!(problems(create_automation(&body(256, 250, 32_769))).len(), 3);
        let zone = |length: usize| {
            problems(create_automation(&json!({"name": "n", "schedule": "@daily", "instructions": "i",
                "timezone": "x".repeat(length)})))
        };
        assert!(zone(64)[0].contains("is not a time zone") && zone(65)[0].contains("1 to 64 characters"));
    }
}
