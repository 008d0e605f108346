//! The request bodies of webhooks, decoded and checked field by field.

use prism_types::{DeploymentId, Timestamp, WebhookEventType};
use serde_json::Value;

use super::super::bodies::patch;
use crate::{
    domain::{
        checks,
        limits::{LABEL, WEBHOOK_EVENTS},
        webhook::WebhookChange,
    },
    error::Result,
    http::decode::{Node, boolean, decode},
    service::webhooks::NewWebhook,
};

const FIELDS: &[&str] = &["url", "events", "deployment_id", "description", "enabled"];

/// `POST /v1/webhooks`.
pub(super) fn create(body: &Value) -> Result<NewWebhook> {
    decode(body, |node| {
        let object = node.object(FIELDS)?;
        let url = object.required("url", url);
        let events = object.required("events", events);
        let deployment_id = object.optional("deployment_id", deployment_id);
        let description = object.optional("description", description);
        let enabled = object.optional("enabled", boolean);
        Some(NewWebhook {
            url: url?,
            events: events?,
            deployment_id,
            description,
            enabled: enabled.unwrap_or(true),
        })
    })
}

/// `PATCH /v1/webhooks/{webhook_id}`.
pub(super) fn update(body: &Value) -> Result<WebhookChange> {
    decode(body, |node| {
        let object = node.object(FIELDS)?;
        Some(WebhookChange {
            url: object.change("url", url),
            events: object.change("events", events),
            deployment_id: patch(&object, "deployment_id", deployment_id),
            description: patch(&object, "description", description),
            enabled: object.change("enabled", boolean),
        })
    })
}

/// `POST /v1/webhooks/{webhook_id}/redeliver`: since when.
pub(super) fn redeliver(body: &Value) -> Result<Timestamp> {
    decode(body, |node| {
        let object = node.object(&["since"])?;
        object.required("since", |node| node.parse(|text| text.parse().map_err(|_| SINCE.to_owned())))
    })
}

const SINCE: &str = "must be an instant such as 2026-06-11T20:55:03Z";

fn url(node: Node<'_>) -> Option<String> {
    // The rule of other URLs advises what is not there for these.
    node.parse(|text| {
        checks::http_url(text)
            .map_err(|rule| rule.replace("; use `secrets`", "; requests are signed instead"))
    })
}

fn events(node: Node<'_>) -> Option<Vec<WebhookEventType>> {
    let kinds = node.list(WEBHOOK_EVENTS, |node| node.choice::<WebhookEventType>(WebhookEventType::KNOWN))?;
    if kinds.is_empty() {
        return node.refuse("must name at least one type of events; `*` is all");
    }
    for (index, kind) in kinds.iter().enumerate() {
        if kinds[..index].contains(kind) {
            return node.at_index(index, |node| node.refuse("is named twice"));
        }
    }
    Some(kinds)
}

fn deployment_id(node: Node<'_>) -> Option<DeploymentId> {
    let rule = "must be a deployment's id: `dep_` and letters, digits, `_` or `-`";
    node.parse(|text| text.parse().map_err(|_| rule.to_owned()))
}

fn description(node: Node<'_>) -> Option<String> {
    node.label(1..=LABEL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_types::{CreateWebhook, Patch, UpdateWebhook};
    use serde_json::json;

    #[track_caller]
    fn problems<T>(result: Result<T>) -> Vec<String> {
        let error = result.err().expect("the body is refused");
        error.problems().iter().map(|p| format!("{} {}", p.path, p.message)).collect()
    }

    #[test]
    fn whatever_the_client_types_can_say_is_understood_the_same() {
        let request = CreateWebhook::new("https://example.com/hook", ["run_status", "tool_call"])
            .deployment_id("dep_1".parse::<DeploymentId>().unwrap())
            .description("For tests")
            .enabled(false);
        let new = create(&serde_json::to_value(&request).unwrap()).unwrap();
        assert_eq!((new.url, new.events), (request.url, request.events));
        assert_eq!((new.deployment_id, new.description), (request.deployment_id, request.description));
        assert!(!new.enabled);
        assert!(create(&json!({"url": "http://a", "events": ["*"]})).unwrap().enabled);
        let request =
            UpdateWebhook::new().deployment_id(Patch::Clear).description("New".to_owned()).enabled(true);
        let change = update(&serde_json::to_value(&request).unwrap()).unwrap();
        let same = WebhookChange {
            deployment_id: Patch::Clear,
            description: Patch::Set("New".to_owned()),
            enabled: Some(true),
            ..WebhookChange::default()
        };
        assert_eq!(change, same);
    }

    #[test]
    fn every_problem_of_a_body_is_told_at_once() {
        let body =
            json!({"url": "ftp://a", "events": ["token", "*", "*"], "deployment_id": 7, "enabled": "no"});
        let told = problems(create(&body));
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[1].starts_with("$.events[0] must be `*` or `tool_call`"), "{told:?}");
        assert_eq!(problems(create(&json!({}))), ["$.url is required", "$.events is required"]);
        assert_eq!(
            problems(create(&json!({"url": "http://a", "events": ["*", "*"]}))),
            ["$.events[1] is named twice"]
        );
        assert_eq!(problems(create(&json!({"url": "http://a", "events": []}))).len(), 1);
        assert_eq!(problems(update(&json!({"url": null, "secret": "x"}))).len(), 2);
        assert_eq!(problems(redeliver(&json!({"since": "yesterday"}))), [format!("$.since {SINCE}")]);
        let with_password = json!({"url": "https://a:b@example.com", "events": ["*"]});
        let told = problems(create(&with_password));
        assert_eq!(told, ["$.url must not contain a user name or password; requests are signed instead"]);
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_past_it() {
        let body = |description: usize, url: usize| {
            let url = format!("https://x/{}", "a".repeat(url - 10));
            create(&json!({"url": url, "events": ["*"], "description": "é".repeat(description)}))
        };
        assert!(body(255, 2048).is_ok());
        assert_eq!(problems(body(256, 2049)).len(), 2);
        assert_eq!(problems(body(0, 2048)).len(), 1);
        let many = |count: usize| create(&json!({"url": "http://a", "events": vec!["*"; count]}));
        assert_eq!(problems(many(20)), ["$.events[1] is named twice"]);
        assert!(problems(many(21))[0].contains("at most 20 items"));
    }
}
