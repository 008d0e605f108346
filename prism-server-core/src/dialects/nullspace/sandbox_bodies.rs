//! Bodies of requests about sandboxes, checked whole: every problem is told at once.
//!
//! The client sends also what it has no use for here. What changes nothing is taken: `null`, an empty list, what is so
//! anyway. What would have to be done, and cannot, is refused.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    bodies::{environment, object},
    convert,
};
use crate::{
    domain::{
        decode::{Node, Object, boolean},
        limits,
        program::path::SandboxPath,
        workspace::WorkspacePath,
    },
    error::Result,
    http::decode::decode,
    service::{
        machines::{
            Beginning, NewMachine,
            executions::{NewExecution, Place},
            ports::Probe,
        },
        programs::environments::Environment,
    },
};

/// What the body of a new sandbox may have.
const CREATE: &[&str] = &[
    "template",
    "snapshot_id",
    "vcpus",
    "memory_mb",
    "disk_mb",
    "timeout_ms",
    "timeout_action",
    "lifecycle",
    "auto_resume",
    "envs",
    "metadata",
    "internet_access",
    "cwd",
    "desktop",
    "network",
    "volumes",
    "warm_pool",
];
/// What a snapshot says of the sandboxes that are made of it.
const OF_SNAPSHOT: &[&str] = &["template", "vcpus", "memory_mb", "disk_mb", "envs", "internet_access", "cwd"];

/// A new sandbox.
pub(super) fn create(body: &Value) -> Result<NewMachine> {
    decode(body, |node| {
        let body = node.object(CREATE)?;
        needless(&body);
        let metadata = body.optional("metadata", |node| object(node, limits::MACHINE_METADATA));
        let life = body.optional("timeout_ms", life).unwrap_or_else(|| limits::MACHINE_LIFE.1.into());
        let network = body.optional("network", network);
        let snapshot = body.optional("snapshot_id", |node| {
            node.parse(|text| {
                convert::snapshot_id(text)
                    .map_err(|_| "must be the id of a snapshot, such as `snap_x`".to_owned())
            })
        });
        let beginning = match snapshot {
            Some(id) => {
                for field in OF_SNAPSHOT.iter().filter(|field| !body.is_absent(field)) {
                    body.refuse_field::<()>(
                        field,
                        "does not go with a `snapshot_id`: it is what the snapshot's source had",
                    );
                }
                Beginning::Snapshot(id)
            }
            None => empty(&body),
        };
        Some(NewMachine {
            beginning,
            metadata: metadata.unwrap_or_else(|| "{}".to_owned()),
            allows_public_traffic: network.unwrap_or(true),
            life,
        })
    })
}

fn empty(body: &Object<'_>) -> Beginning {
    let (cpus, memory, disk) = (limits::MACHINE_CPUS, limits::MACHINE_MEMORY, limits::MACHINE_DISK);
    Beginning::Empty {
        template: body.optional("template", template).unwrap_or_else(|| "base".to_owned()),
        vcpus: body.optional("vcpus", |node| node.whole(1..=cpus.0)).unwrap_or(cpus.1),
        memory_mb: body.optional("memory_mb", |node| node.whole(1..=memory.0)).unwrap_or(memory.1),
        disk_mb: body.optional("disk_mb", |node| node.whole(disk.0..=disk.1)),
        directory: body.optional("cwd", directory).flatten(),
        network: body.optional("internet_access", boolean).unwrap_or(true),
        environment: body.optional("envs", environment).unwrap_or_default(),
    }
}

/// Refuses what these sandboxes cannot do.
fn needless(body: &Object<'_>) {
    let only = |field: &str, words: &'static [&'static str]| {
        body.optional(field, |node| node.choice::<String>(words));
    };
    only("timeout_action", &["destroy"]);
    body.optional("lifecycle", |node| {
        node.object(&["on_timeout"])?.optional("on_timeout", |node| node.choice::<String>(&["destroy"]))
    });
    body.optional("auto_resume", |node| match boolean(node)? {
        false => Some(()),
        true => node.refuse("must be false: sandboxes are not paused here, and so not resumed"),
    });
    for field in ["desktop", "warm_pool"] {
        body.optional(field, |node| node.refuse::<()>("cannot be had here: leave it out"));
    }
    body.optional("volumes", |node| node.list(0, |_| Some(())));
}

/// Whether requests for its ports need nothing but a token.
fn network(node: Node<'_>) -> Option<bool> {
    let body = node.object(&["allow_public_traffic", "mask_request_host", "allow_out", "deny_out"])?;
    body.optional("mask_request_host", |node| node.refuse::<()>("cannot be had here: leave it out"));
    for field in ["allow_out", "deny_out"] {
        body.optional(field, |node| match node.list(0, |_| Some(())) {
            Some(_) => Some(()),
            None => node.refuse("cannot be had here: the network is all or nothing, by `internet_access`"),
        });
    }
    Some(body.optional("allow_public_traffic", boolean).unwrap_or(true))
}

fn template(node: Node<'_>) -> Option<String> {
    let template = node.label(1..=limits::TEMPLATE)?;
    if template.contains(char::is_whitespace) { node.refuse("must have no spaces") } else { Some(template) }
}

/// How long a sandbox lives.
pub(super) fn timeout(body: &Value) -> Result<u64> {
    decode(body, |node| {
        let body = node.object(&["timeout_ms", "timeout_action"])?;
        body.optional("timeout_action", |node| node.choice::<String>(&["destroy"]));
        body.required("timeout_ms", life)
    })
}

fn life(node: Node<'_>) -> Option<u64> {
    node.whole(1000..=limits::MACHINE_LIFE.0).map(u64::from)
}

/// A program to execute, and whether in the background.
pub(super) fn execute(body: &Value) -> Result<(NewExecution, bool)> {
    decode(body, |node| {
        let body = node.object(&["command", "args", "timeout_secs", "cwd", "envs", "shell", "background"])?;
        let command = body.required("command", |node| node.text(1..=limits::EXECUTION_LINE));
        let args = body.optional("args", arguments).unwrap_or_default();
        let is_shell = body.optional("shell", boolean).unwrap_or(false);
        let (most, default) = limits::EXECUTION_SECONDS;
        let seconds = body.optional("timeout_secs", |node| node.whole(1..=most)).unwrap_or(default);
        let directory = body.optional("cwd", |node| {
            directory(node).map(|path| match path.and_then(|path| path.parse().ok()) {
                Some(path) => Place::Below(path),
                None => Place::Root,
            })
        });
        let environment: Environment = body.optional("envs", environment).unwrap_or_default();
        let is_background = body.optional("background", boolean).unwrap_or(false);
        let mut arguments = match is_shell {
            // What follows is `$0`, and then `$1`.
            true => vec!["/bin/sh".to_owned(), "-c".to_owned(), command?, "sh".to_owned()],
            false => vec![command?],
        };
        arguments.extend(args);
        let time = Duration::from_secs(seconds.into());
        Some((NewExecution { arguments, directory, environment, time }, is_background))
    })
}

/// What a process is given to read.
pub(super) fn process_input(body: &Value) -> Result<Vec<u8>> {
    decode(body, |node| {
        let body = node.object(&["data"])?;
        body.required("data", |node| {
            let (text, most) = (node.any_string()?, limits::PROCESS_INPUT);
            if text.len() <= most {
                return Some(text.as_bytes().to_vec());
            }
            node.refuse(format!("must have at most {most} bytes, but has {}; send it in several", text.len()))
        })
    })
}

fn arguments(node: Node<'_>) -> Option<Vec<String>> {
    let (most, bytes) = limits::EXECUTION_ARGUMENTS;
    let args = node.list(most, |node| node.text(0..=limits::EXECUTION_LINE))?;
    let found: usize = args.iter().map(String::len).sum();
    if found > bytes {
        return node.refuse(format!("must have at most {bytes} bytes together, but has {found}"));
    }
    Some(args)
}

/// A directory relative to the workspace; `None`: the workspace itself.
fn directory(node: Node<'_>) -> Option<Option<String>> {
    let path = node.parse(|text| text.parse::<SandboxPath>().map_err(|error| error.to_string()))?;
    Some(Some(path.in_workspace()).filter(|path| !path.is_empty()).map(str::to_owned))
}

/// A port to be reached.
pub(super) fn host(body: &Value) -> Result<u16> {
    decode(body, |node| {
        let body = node.object(&["port"])?;
        let port = body.required("port", |node| node.whole(1..=u16::MAX.into()))?;
        u16::try_from(port).ok()
    })
}

/// How long a URL of a port is good.
pub(super) fn signed_preview(body: &Value) -> Result<Option<Duration>> {
    decode(body, |node| {
        let body = node.object(&["expires_in_seconds"])?;
        let seconds = body.optional("expires_in_seconds", |node| node.whole(60..=86_400));
        Some(seconds.map(|seconds| Duration::from_secs(seconds.into())))
    })
}

/// What to look for at a port.
pub(super) fn readiness(body: &Value, port: u16) -> Result<Probe> {
    decode(body, |node| {
        let body = node.object(&["kind", "path", "timeout_secs", "interval_ms"])?;
        let kind = body.optional("kind", |node| node.choice::<String>(&["tcp", "http"]));
        let path = body.optional("path", |node| {
            let path = node.text(1..=2048)?;
            let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
            if is_path {
                Some(path)
            } else {
                node.refuse("must begin with `/` and be printable ASCII without spaces")
            }
        });
        let seconds = body.optional("timeout_secs", |node| node.whole(1..=300)).unwrap_or(30);
        let interval = body.optional("interval_ms", |node| node.whole(50..=60_000)).unwrap_or(500);
        let path = match kind.as_deref() {
            Some("http") => Some(path.unwrap_or_else(|| "/".to_owned())),
            _ => None,
        };
        let (time, interval) = (Duration::from_secs(seconds.into()), Duration::from_millis(interval.into()));
        Some(Probe { port, path, time, interval })
    })
}

/// The path of something.
pub(super) fn path(body: &Value) -> Result<WorkspacePath> {
    decode(body, |node| {
        let body = node.object(&["path", "user"])?;
        body.optional("user", |node| node.parse(user));
        body.required("path", |node| node.parse(file))
    })
}

/// The path of a file to be read as text.
pub(super) fn text_file(body: &Value) -> Result<WorkspacePath> {
    decode(body, |node| {
        let body = node.object(&["path", "encoding", "user"])?;
        body.optional("user", |node| node.parse(user));
        body.optional("encoding", |node| node.choice::<String>(&["utf8"]));
        body.required("path", |node| node.parse(file))
    })
}

/// A file to be written.
pub(super) fn write_file(body: &Value) -> Result<(WorkspacePath, Vec<u8>)> {
    decode(body, |node| {
        let body = node.object(&["path", "content", "encoding", "user"])?;
        body.optional("user", |node| node.parse(user));
        let path = body.required("path", |node| node.parse(file));
        let encoding = body.optional("encoding", |node| node.choice::<String>(&["utf8", "base64"]));
        let content = body.required("content", |node| {
            let text = node.any_string()?;
            let content = match encoding.as_deref() {
                Some("base64") => match STANDARD.decode(text) {
                    Ok(bytes) => bytes,
                    Err(_) => return node.refuse("must be base64 with the standard alphabet and padding"),
                },
                _ => text.as_bytes().to_vec(),
            };
            let (most, found) = (limits::MACHINE_WRITE, content.len());
            if found <= most {
                return Some(content);
            }
            node.refuse(format!(
                "must have at most {most} bytes, but has {found}; send more by `PUT /v1/sandboxes/{{sandbox_id}}/file`"
            ))
        });
        Some((path?, content?))
    })
}

/// A path, and the one that it is to have.
pub(super) fn rename(body: &Value) -> Result<(WorkspacePath, WorkspacePath)> {
    decode(body, |node| {
        let body = node.object(&["old_path", "new_path", "user"])?;
        body.optional("user", |node| node.parse(user));
        let from = body.required("old_path", |node| node.parse(file));
        let to = body.required("new_path", |node| node.parse(file));
        Some((from?, to?))
    })
}

/// A path, and its permissions.
pub(super) fn permissions(body: &Value) -> Result<(WorkspacePath, String)> {
    decode(body, |node| {
        let body = node.object(&["path", "permissions", "user"])?;
        body.optional("user", |node| node.parse(user));
        let path = body.required("path", |node| node.parse(file));
        let permissions = body.required("permissions", |node| {
            let text = node.text(3..=4)?;
            let is_octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
            if is_octal { Some(text) } else { node.refuse("must be 3 or 4 octal digits, such as `755`") }
        });
        Some((path?, permissions?))
    })
}

/// The path of something in the workspace.
pub(super) fn file(text: &str) -> Result<WorkspacePath, String> {
    let rule =
        || "must be the path of something below `/workspace`, such as `/workspace/result.json`".to_owned();
    text.strip_prefix("/workspace/").and_then(|path| path.trim_end_matches('/').parse().ok()).ok_or_else(rule)
}

/// The path of a directory; `None`: the workspace itself.
pub(super) fn place(text: &str) -> Result<Option<WorkspacePath>, String> {
    match text.trim_end_matches('/') {
        "/workspace" => Ok(None),
        _ => file(text).map(Some).map_err(|_| {
            "must be `/workspace` or the path of a directory below it; what is elsewhere is seen by programs alone".to_owned()
        }),
    }
}

/// The user whom files belong to: there is one.
pub(super) fn user(text: &str) -> Result<(), String> {
    match text {
        "" | "agent" | "user" => Ok(()),
        _ => Err("must be left out: all is done by the one user of the sandbox".to_owned()),
    }
}
