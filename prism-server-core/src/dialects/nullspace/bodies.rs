//! Bodies of requests, checked whole: every problem is told at once.

use prism_types::{Patch, VersionId};
use serde_json::Value;

use super::convert;
use crate::{
    domain::{
        decode::{Node, boolean},
        limits,
        program::{Mode, config, version::CachePolicy},
    },
    error::Result,
    http::decode::decode,
    service::programs::{
        NewProgram, ProgramChange, environments::Environment, jobs::NewJob, versions::NewVersion,
    },
};

/// A new deployment.
pub(super) fn create_deployment(body: &Value) -> Result<NewProgram> {
    decode(body, |node| {
        let body = node.object(&["name", "mode", "description", "metadata"])?;
        let name = body.required("name", name);
        let mode = body.required("mode", mode);
        let description = body.optional("description", description);
        let metadata = body.optional("metadata", |node| object(node, limits::METADATA));
        let metadata = metadata.unwrap_or_else(|| "{}".to_owned());
        Some(NewProgram { name: name?, mode: mode?, description, metadata })
    })
}

/// A change of a deployment.
pub(super) fn update_deployment(body: &Value) -> Result<ProgramChange> {
    decode(body, |node| {
        let body = node.object(&["name", "description", "status", "active_version_id", "metadata"])?;
        let status = body.change("status", |node| node.choice::<String>(&["active", "paused"]));
        Some(ProgramChange {
            name: body.change("name", name),
            description: match body.is_null("description") {
                true => Patch::Clear,
                false => body.optional("description", description).map_or(Patch::Keep, Patch::Set),
            },
            is_paused: status.map(|status| status == "paused"),
            active_version: body.change("active_version_id", version_id),
            metadata: body.change("metadata", |node| object(node, limits::METADATA)),
        })
    })
}

/// A new version.
pub(super) fn create_version(body: &Value) -> Result<NewVersion> {
    decode(body, |node| {
        let body = node.object(&["bundle_digest", "bundle_manifest", "config", "cache_policy"])?;
        let bundle_digest = body.required("bundle_digest", |node| node.label(1..=limits::LABEL));
        // What is in them is checked as a whole later.
        let manifest = body.required("bundle_manifest", |node| object(node, limits::VERSION_BODY));
        let config = body.required("config", |node| object(node, limits::VERSION_BODY));
        let cache = body.optional("cache_policy", cache_policy);
        Some(NewVersion {
            bundle_digest: bundle_digest?,
            manifest: manifest?,
            config: config?,
            cache: cache.unwrap_or(CachePolicy::Auto),
        })
    })
}

/// A new run.
pub(super) fn create_run(body: &Value) -> Result<NewJob> {
    decode(body, |node| {
        let fields = &["version_id", "input", "envs", "retain_on_failure", "retention_seconds"];
        let body = node.object(fields)?;
        let input = body.optional("input", |node| object(node, limits::JOB_INPUT));
        let environment = body.optional("envs", environment);
        Some(NewJob {
            version_id: body.optional("version_id", version_id),
            input: input.unwrap_or_else(|| "{}".to_owned()),
            environment: environment.unwrap_or_default(),
            retain_on_failure: body.optional("retain_on_failure", boolean),
            retention_seconds: body
                .optional("retention_seconds", |node| node.whole(0..=limits::PROGRAM_RETENTION)),
        })
    })
}

/// A new service.
pub(super) fn create_service(body: &Value) -> Result<(Option<VersionId>, Environment)> {
    decode(body, |node| {
        let body = node.object(&["version_id", "envs"])?;
        let version = body.optional("version_id", version_id);
        Some((version, body.optional("envs", environment).unwrap_or_default()))
    })
}

/// Why something is to end.
pub(super) fn reason(body: &Value) -> Result<Option<String>> {
    decode(body, |node| {
        let body = node.object(&["reason"])?;
        Some(body.optional("reason", |node| node.label(0..=limits::WISH)))
    })
}

/// Why a service is to stop, and whether its sandbox is kept.
pub(super) fn stop_service(body: &Value) -> Result<(Option<String>, bool)> {
    decode(body, |node| {
        let body = node.object(&["reason", "retain_sandbox"])?;
        let reason = body.optional("reason", |node| node.label(0..=limits::WISH));
        Some((reason, body.optional("retain_sandbox", boolean).unwrap_or(false)))
    })
}

/// Why a service is to start again, and its environment then.
pub(super) fn restart_service(body: &Value) -> Result<(Option<String>, Environment)> {
    decode(body, |node| {
        let body = node.object(&["reason", "envs"])?;
        let reason = body.optional("reason", |node| node.label(0..=limits::WISH));
        Some((reason, body.optional("envs", environment).unwrap_or_default()))
    })
}

fn name(node: Node<'_>) -> Option<String> {
    node.label(1..=limits::PROGRAM_NAME)
}

fn description(node: Node<'_>) -> Option<String> {
    node.text(0..=limits::DESCRIPTION)
}

fn mode(node: Node<'_>) -> Option<Mode> {
    node.parse(config::mode)
}

fn cache_policy(node: Node<'_>) -> Option<CachePolicy> {
    let words: Vec<_> = CachePolicy::ALL.iter().map(|policy| policy.as_str()).collect();
    CachePolicy::parse(&node.choice::<String>(&words)?)
}

fn version_id(node: Node<'_>) -> Option<VersionId> {
    node.parse(|text| {
        convert::version_id(text).map_err(|_| "must be the id of a version, such as `adpv_x`".to_owned())
    })
}

/// A JSON object whose text is not longer than so many bytes.
pub(super) fn object(node: Node<'_>, most: usize) -> Option<String> {
    let text = node.any_object()?;
    if text.len() <= most {
        return Some(text);
    }
    node.refuse(format!("must have at most {most} bytes of JSON, but has {}", text.len()))
}

/// Names and values of variables. No problem tells a value.
pub(super) fn environment(node: Node<'_>) -> Option<Environment> {
    let mut names = node.names();
    if let Some(rule) = names.find_map(|name| config::variable(name).err()) {
        // What stands where a name should be may be a value.
        return node.refuse(format!("has a name that is none of a variable: it {rule}"));
    }
    let name = |name: &str| Ok(name.to_owned());
    let value = |node: Node<'_>| node.text(0..=limits::ENVIRONMENT);
    let variables = node.map(limits::PROGRAM_VARIABLES, name, value)?;
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > limits::ENVIRONMENT {
        let most = limits::ENVIRONMENT;
        return node.refuse(format!("must have at most {most} bytes of names and values, but has {bytes}"));
    }
    Some(Environment::new(variables))
}
