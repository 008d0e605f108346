//! The request bodies of the native API, decoded and checked field by field.

use std::collections::{BTreeMap, BTreeSet};

use prism_types::{
    ApprovalPolicy, Attachment, AttachmentType, Features, FeaturesUpdate, McpServer, Patch, Runtime, Sandbox,
    SandboxType, SandboxUpdate, SecretRef, SkillSource, ThreadTarget,
};
use serde_json::Value;

use crate::{
    domain::{
        approval::Decision,
        checks,
        deployment::AgentSpec,
        limits::{self, LABEL, TEXT},
    },
    error::Result,
    http::decode::{Node, Object, boolean, decode},
    service::{
        deployments::{DeploymentChange, NewDeployment},
        messages::NewMessage,
        skills::{SkillDraft, SkillOrigin},
    },
};

/// `POST /v1/deployments`; a body that names no type of sandbox gets `default_sandbox`.
pub(super) fn create_deployment(body: &Value, default_sandbox: &SandboxType) -> Result<NewDeployment> {
    decode(body, |node| {
        let object = node.object(&[
            "customer_id",
            "name",
            "system_prompt",
            "runtime",
            "model",
            "sandbox",
            "mcp_servers",
            "skills",
            "secrets",
            "features",
            "approvals",
            "snapshot_id",
        ])?;
        let customer_id = object.required("customer_id", |node| node.label(1..=LABEL));
        let name = object.required("name", |node| node.label(1..=LABEL));
        let system_prompt = object.required("system_prompt", |node| node.text(1..=TEXT));
        let runtime = object.optional("runtime", |node| node.choice(Runtime::KNOWN));
        let model = object.optional("model", |node| node.parse(checks::model));
        let sandbox = object.optional("sandbox", sandbox);
        let mcp_servers = object.optional("mcp_servers", mcp_servers);
        let skills = object.optional("skills", skills);
        let secrets = object.optional("secrets", |node| secrets(node, secret_ref));
        let features = object.optional("features", features);
        let approvals = object.optional("approvals", approvals);
        let snapshot = object.optional("snapshot_id", |node| {
            node.parse(|text| text.parse().map_err(|_| "must be the id of a snapshot".to_owned()))
        });
        Some(NewDeployment {
            customer_id: customer_id?,
            name: name?,
            runtime: runtime.unwrap_or_default(),
            spec: AgentSpec {
                system_prompt: system_prompt?,
                model,
                sandbox: updated_sandbox(sandbox.unwrap_or_default(), default_sandbox),
                mcp_servers: mcp_servers.unwrap_or_default(),
                secrets: secrets.unwrap_or_default(),
                features: updated_features(features.unwrap_or_default()),
                disabled_tools: BTreeSet::new(),
                approvals: approvals.unwrap_or_default(),
            },
            skills: skills.unwrap_or_default(),
            snapshot,
        })
    })
}

/// `PATCH /v1/deployments/{deployment_id}`.
pub(super) fn update_deployment(body: &Value) -> Result<DeploymentChange> {
    decode(body, |node| {
        let object = node.object(&[
            "customer_id",
            "runtime",
            "name",
            "system_prompt",
            "model",
            "sandbox",
            "mcp_servers",
            "skills",
            "secrets",
            "features",
            "approvals",
        ])?;
        for fixed in ["customer_id", "runtime"] {
            object.change::<()>(fixed, |node| node.refuse("cannot be changed; create another deployment"));
        }
        Some(DeploymentChange {
            name: object.change("name", |node| node.label(1..=LABEL)),
            system_prompt: object.change("system_prompt", |node| node.text(1..=TEXT)),
            model: patch(&object, "model", |node| node.parse(checks::model)),
            sandbox: object.change("sandbox", sandbox).unwrap_or_default(),
            mcp_servers: object.change("mcp_servers", mcp_servers),
            skills: object.change("skills", skills),
            secrets: object
                .change("secrets", |node| secrets(node, |node| node.or_null(secret_ref)))
                .unwrap_or_default(),
            features: object.change("features", features).unwrap_or_default(),
            approvals: patch(&object, "approvals", approvals),
        })
    })
}

/// `POST /v1/deployments/{deployment_id}/messages`.
pub(super) fn send_message(body: &Value) -> Result<NewMessage> {
    decode(body, |node| {
        let object = node.object(&["content", "thread_id", "attachments"])?;
        let content = object.required("content", |node| node.text(1..=TEXT));
        let thread = object.optional("thread_id", |node| {
            node.parse(|text| {
                text.parse::<ThreadTarget>().map_err(|_| "must be a thread's id or `new`".to_owned())
            })
        });
        let attachments = object.optional("attachments", |node| node.list(limits::ATTACHMENTS, attachment));
        Some(NewMessage { content: content?, thread, attachments: attachments.unwrap_or_default() })
    })
}

/// `POST /v1/deployments/{deployment_id}/approvals/{approval_id}`: the decision and its reason.
pub(super) fn answer_approval(body: &Value) -> Result<(Decision, Option<String>)> {
    decode(body, |node| {
        let object = node.object(&["decision", "reason"])?;
        let decision = object.required("decision", |node| {
            node.parse(|text| Decision::parse(text).ok_or_else(|| "must be `allow` or `deny`".to_owned()))
        });
        let reason = object.optional("reason", |node| node.text(1..=limits::REASON));
        Some((decision?, reason))
    })
}

/// `PATCH /v1/deployments/{deployment_id}/threads/{thread_id}`: the title; `null` removes it.
pub(super) fn update_thread(body: &Value) -> Result<Patch<String>> {
    decode(body, |node| {
        let object = node.object(&["title"])?;
        Some(patch(&object, "title", |node| node.label(0..=LABEL)))
    })
}

/// `POST /v1/deployments/{deployment_id}/threads`: the title.
pub(super) fn create_thread(body: &Value) -> Result<Option<String>> {
    decode(body, |node| {
        let object = node.object(&["title"])?;
        Some(object.optional("title", |node| node.label(0..=LABEL)))
    })
}

fn sandbox(node: Node<'_>) -> Option<SandboxUpdate> {
    let object = node.object(&["enabled", "type", "persistent_filesystem"])?;
    let mut update = SandboxUpdate::default();
    update.enabled = object.optional("enabled", boolean);
    update.kind = object.optional("type", |node| node.choice(SandboxType::KNOWN));
    update.persistent_filesystem = object.optional("persistent_filesystem", boolean);
    Some(update)
}

fn updated_sandbox(update: SandboxUpdate, default_kind: &SandboxType) -> Sandbox {
    let default = Sandbox::default();
    Sandbox::default()
        .enabled(update.enabled.unwrap_or(default.enabled))
        .kind(update.kind.unwrap_or_else(|| default_kind.clone()))
        .persistent_filesystem(update.persistent_filesystem.unwrap_or(default.persistent_filesystem))
}

fn features(node: Node<'_>) -> Option<FeaturesUpdate> {
    let object = node.object(&["memory", "dreaming", "automations", "steering", "filesystem_webhooks"])?;
    let mut update = FeaturesUpdate::default();
    update.memory = object.optional("memory", boolean);
    update.dreaming = object.optional("dreaming", boolean);
    update.automations = object.optional("automations", boolean);
    update.steering = object.optional("steering", boolean);
    update.filesystem_webhooks = object.optional("filesystem_webhooks", boolean);
    Some(update)
}

fn updated_features(update: FeaturesUpdate) -> Features {
    let default = Features::default();
    Features::default()
        .memory(update.memory.unwrap_or(default.memory))
        .dreaming(update.dreaming.unwrap_or(default.dreaming))
        .automations(update.automations.unwrap_or(default.automations))
        .steering(update.steering.unwrap_or(default.steering))
        .filesystem_webhooks(update.filesystem_webhooks.unwrap_or(default.filesystem_webhooks))
}

fn approvals(node: Node<'_>) -> Option<ApprovalPolicy> {
    let object = node.object(&["tools", "timeout_seconds"])?;
    let pattern = |node: Node<'_>| node.parse(checks::tool_pattern);
    let tools = object.optional("tools", |node| node.list(limits::APPROVAL_PATTERNS, pattern));
    let timeout = object.optional("timeout_seconds", |node| node.whole(1..=limits::APPROVAL_SECONDS));
    let mut policy = ApprovalPolicy::new(tools.unwrap_or_default());
    policy.timeout_seconds = timeout;
    Some(policy)
}

fn mcp_servers(node: Node<'_>) -> Option<Vec<McpServer>> {
    let servers = node.list(limits::MCP_SERVERS, mcp_server)?;
    distinct_names(node, servers, |server| &server.name)
}

pub(super) fn mcp_server(node: Node<'_>) -> Option<McpServer> {
    let object = node.object(&["name", "url", "tools", "headers"])?;
    let name = object.required("name", |node| node.parse(checks::server_name));
    let url = object.required("url", |node| node.parse(checks::http_url));
    let tools = object.optional("tools", mcp_tools);
    let headers = object.optional("headers", |node| headers(node, |node| node.parse(checks::header_value)));
    let mut server = McpServer::new(name?, url?);
    server.tools = tools;
    server.headers = headers.unwrap_or_default();
    Some(server)
}

pub(super) fn mcp_tools(node: Node<'_>) -> Option<Vec<String>> {
    node.list(limits::MCP_TOOLS, |node| node.label(1..=LABEL))
}

pub(super) fn headers<T>(
    node: Node<'_>,
    value: impl Fn(Node<'_>) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let headers = node.map(limits::MCP_HEADERS, checks::header_name, value)?;
    let mut names: Vec<_> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return node.refuse(format!("has the header `{}` twice, in different spellings", pair[0]));
    }
    Some(headers.into_iter().collect())
}

fn skills(node: Node<'_>) -> Option<Vec<SkillDraft>> {
    let skills = node.list(limits::SKILLS, skill)?;
    distinct_names(node, skills, |skill| &skill.name)
}

pub(super) fn skill(node: Node<'_>) -> Option<SkillDraft> {
    let object = node.object(&["name", "source", "path", "content", "url"])?;
    let name = object.required("name", |node| node.parse(checks::slug));
    let origin = skill_origin(&object);
    Some(SkillDraft { name: name?, origin: origin? })
}

/// The source of a skill, and the one field that goes with it.
pub(super) fn skill_origin(object: &Object<'_>) -> Option<SkillOrigin> {
    let source: SkillSource = object.required("source", |node| node.choice(SkillSource::KNOWN))?;
    let own_field = match source {
        SkillSource::File => "path",
        SkillSource::Inline => "content",
        _ => "url",
    };
    for field in ["path", "content", "url"] {
        if field != own_field {
            object.optional(field, |node| {
                node.refuse::<()>(format!("does not go with the source `{source}`, which has `{own_field}`"))
            });
        }
    }
    object.required(own_field, |node| match source {
        SkillSource::File => node
            .parse(|text| {
                text.parse().map_err(|error: crate::domain::workspace::InvalidPath| error.to_string())
            })
            .map(SkillOrigin::File),
        SkillSource::Inline => node.text(1..=TEXT).map(SkillOrigin::Inline),
        _ => node.parse(checks::http_url).map(SkillOrigin::Url),
    })
}

fn secrets<T>(node: Node<'_>, value: impl Fn(Node<'_>) -> Option<T>) -> Option<BTreeMap<String, T>> {
    Some(node.map(limits::SECRETS, checks::variable, value)?.into_iter().collect())
}

fn secret_ref(node: Node<'_>) -> Option<SecretRef> {
    node.parse(|text| {
        text.parse()
            .map_err(|_| "must be a secret reference: `sec_` and letters, digits, `_` or `-`".to_owned())
    })
}

fn attachment(node: Node<'_>) -> Option<Attachment> {
    let object = node.object(&["type", "url"])?;
    let kind = object.required("type", |node| node.choice::<AttachmentType>(AttachmentType::KNOWN));
    let url = object.required("url", |node| node.parse(checks::http_url));
    Some(Attachment::new(kind?, url?))
}

/// A field that may be left out, or `null` to take it away.
pub(super) fn patch<T>(
    object: &Object<'_>,
    name: &str,
    read: impl FnOnce(Node<'_>) -> Option<T>,
) -> Patch<T> {
    if object.is_null(name) {
        return Patch::Clear;
    }
    object.optional(name, read).map_or(Patch::Keep, Patch::Set)
}

fn distinct_names<T>(node: Node<'_>, items: Vec<T>, name: impl Fn(&T) -> &str) -> Option<Vec<T>> {
    for (index, item) in items.iter().enumerate() {
        if items[..index].iter().any(|earlier| name(earlier) == name(item)) {
            return node.at_index(index, |node| {
                node.refuse(format!("has the same name as an item before it, `{}`", name(item)))
            });
        }
    }
    Some(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_types::{CreateDeployment, Skill, UpdateDeployment};
    use proptest::prelude::*;
    use serde_json::json;

    fn create_deployment(body: &Value) -> Result<NewDeployment> {
        super::create_deployment(body, &SandboxType::Docker)
    }

    fn problems<T>(result: Result<T>) -> Vec<String> {
        let error = result.err().expect("the body is refused");
        error.problems().iter().map(|p| format!("{} {}", p.path, p.message)).collect()
    }

    proptest! {
        #[test]
        fn whatever_the_client_type_can_say_is_understood_the_same(
            customer in "[a-z]{1,20}",
            prompt in "[^\0]{1,100}",
            model in proptest::option::of("[a-z]{1,9}/[a-z]{1,9}"),
            persistent: bool,
            dreaming: bool,
            tools in proptest::option::of(proptest::collection::vec("[a-z]{1,9}", 0..3)),
            patterns in proptest::collection::vec("(shell|[*]_file|[a-z*]{1,9}/[a-z*]{1,9})", 0..3),
            timeout in proptest::option::of(1..=limits::APPROVAL_SECONDS),
        ) {
            let mut server = McpServer::new("media", "https://example.com/mcp");
            server.tools = tools;
            server = server.header("Authorization", "Bearer ${TOKEN}");
            let mut request = CreateDeployment::new(customer, "Agent", prompt)
                .runtime(Runtime::Scripted)
                .sandbox(Sandbox::default().persistent_filesystem(persistent))
                .features(Features::default().dreaming(dreaming))
                .mcp_server(server)
                .skill(Skill::inline("a", "x"))
                .secret("TOKEN", "sec_a".parse().unwrap());
            request.model = model;
            let mut policy = ApprovalPolicy::new(patterns);
            policy.timeout_seconds = timeout;
            request = request.approvals(policy.clone());
            let new = create_deployment(&serde_json::to_value(&request).unwrap()).unwrap();
            prop_assert_eq!(new.customer_id, request.customer_id);
            prop_assert_eq!(new.runtime, request.runtime);
            prop_assert_eq!(new.spec.system_prompt, request.system_prompt);
            prop_assert_eq!(new.spec.model, request.model);
            prop_assert_eq!(new.spec.sandbox, request.sandbox);
            prop_assert_eq!(new.spec.features, request.features);
            prop_assert_eq!(new.spec.mcp_servers, request.mcp_servers);
            prop_assert_eq!(new.spec.secrets, request.secrets);
            prop_assert_eq!(new.skills.len(), 1);
            prop_assert_eq!(new.spec.approvals, policy);
        }
    }

    #[test]
    fn every_problem_of_a_body_is_told_at_once() {
        let body = json!({
            "customer_id": "",
            "system_prompt": 7,
            "runtime": "hermess",
            "model": "claude",
            "sandbox": {"enabled": "yes", "kind": "docker"},
            "mcp_servers": [{"name": "a b", "url": "ftp://x",
                "headers": {"Host": "x", "A": "${", "B": 7, "C": "x", "c": "y"}}],
            "skills": [{"name": "a", "source": "url", "path": "x"}, {"name": "b", "source": "file", "path": "../x"}],
            "secrets": {"1A": "sec_a", "B": "token"},
            "features": {"memory": 1},
            "sytem_prompt": "x",
        });
        let told = problems(create_deployment(&body));
        for expected in [
            "$.customer_id must have 1 to 255 characters, but has 0",
            "$.name is required",
            "$.system_prompt must be a string, but is a number",
            "$.runtime must be `hermes` or `scripted`; did you mean `hermes`?",
            "$.model must have the form",
            "$.sandbox.enabled must be true or false, but is a string",
            "$.sandbox.kind is not a known field",
            "$.mcp_servers[0].name must be 1 to 64",
            "$.mcp_servers[0].url must be an absolute http or https URL",
            "$.mcp_servers[0].headers.Host the name must not be `host`",
            "$.mcp_servers[0].headers.A must have the name of a variable",
            "$.mcp_servers[0].headers.B must be a string, but is a number",
            "$.skills[0].path does not go with the source `url`",
            "$.skills[0].url is required",
            "$.skills[1].path must be a path inside the workspace",
            "$.secrets[\"1A\"] the name must be an environment variable name",
            "$.secrets.B must be a secret reference",
            "$.features.memory must be true or false",
            "$.sytem_prompt is not a known field; did you mean `system_prompt`?",
        ] {
            assert!(told.iter().any(|problem| problem.starts_with(expected)), "{expected}: {told:#?}");
        }
        assert_eq!(told.len(), 19, "{told:#?}");
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_past_it() {
        let body = |name: usize, prompt: usize, skills: usize, secrets: usize| {
            let skills: Vec<_> = (0..skills)
                .map(|i| json!({"name": format!("s{i}"), "source": "inline", "content": "x"}))
                .collect();
            let secrets: serde_json::Map<_, _> =
                (0..secrets).map(|i| (format!("S{i}"), json!("sec_a"))).collect();
            json!({"customer_id": "c", "name": "é".repeat(name), "system_prompt": "x".repeat(prompt),
                   "skills": skills, "secrets": secrets})
        };
        assert!(create_deployment(&body(255, TEXT, 20, 100)).is_ok());
        assert_eq!(problems(create_deployment(&body(256, TEXT + 1, 21, 101))).len(), 4);
    }

    #[test]
    fn names_are_unique() {
        let body = json!({"customer_id": "c", "name": "n", "system_prompt": "p",
            "mcp_servers": [{"name": "a", "url": "http://x/"}, {"name": "a", "url": "http://y/"}]});
        let told = problems(create_deployment(&body));
        assert!(told[0].starts_with("$.mcp_servers[1] has the same name"), "{told:?}");
    }

    #[test]
    fn an_update_is_understood_as_the_client_type_says_it() {
        let request = UpdateDeployment::new()
            .name("New")
            .model(Patch::Clear)
            .skills([])
            .secret("A", "sec_a".parse().unwrap())
            .remove_secret("B")
            .features(FeaturesUpdate::default().steering(false));
        let change = update_deployment(&serde_json::to_value(&request).unwrap()).unwrap();
        assert_eq!(change.name.as_deref(), Some("New"));
        assert_eq!(change.model, Patch::Clear);
        assert_eq!(change.skills.map(|skills| skills.len()), Some(0));
        assert_eq!(change.secrets["B"], None);
        assert_eq!(change.features.steering, Some(false));
        assert_eq!(change.system_prompt, None);
        let told = problems(update_deployment(&json!({"name": null})));
        assert_eq!(told, ["$.name must be a value, but is null"]);
        let told = problems(update_deployment(&json!({"runtime": "hermes"})));
        assert_eq!(told, ["$.runtime cannot be changed; create another deployment"]);
    }
}
