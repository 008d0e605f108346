//! The OpenAPI 3.1 document of agent deployments and sandboxes, made from [`OPERATIONS`], what [`description`] says of each, and the wire
//! types themselves.
//!
//! Statuses that follow from what an operation is are added: 404 where its path names something, 409 where it changes
//! something, 413 where it takes a body.

use serde_json::{Value, json};

use super::{OPERATIONS, Operation};
use crate::{
    domain::{
        limits,
        program::{Mode, ProgramState, job::JobState, service::ServiceState, version::VersionState},
    },
    http::openapi::{Document, Endpoint, id_pattern, json_of, parameters_of, reference},
};

const DOCUMENT: Document = Document {
    title: "Agent deployments",
    description: "Deploy programs and run them, as jobs or as services; and execute what you like in sandboxes.",
    pattern,
    meaning,
};

/// The document.
pub fn document() -> Value {
    let endpoints: Vec<_> = OPERATIONS.iter().filter_map(endpoint).collect();
    DOCUMENT.of(&endpoints, prism_types::schema::nullspace_components())
}

/// What is said of an operation; a unit test makes sure that something is said of every one.
fn description(id: &str) -> Option<Description> {
    Some(match id {
        "create_agent_deployment" => of("Creates a deployment, which has no version yet.")
            .takes("CreateAgentDeployment")
            .answers(201, "AgentDeployment"),
        "list_agent_deployments" => of("Lists deployments, newest first.")
            .word("mode", "Only deployments of this mode.", Mode::ALL, Mode::as_str)
            .word("status", "Only deployments in this status.", ProgramState::ALL, ProgramState::as_str)
            .page("AgentDeploymentPage"),
        "get_agent_deployment" => of("Reads a deployment.").answers(200, "AgentDeployment"),
        "update_agent_deployment" => of("Changes a deployment; what runs goes on as it is.")
            .takes("UpdateAgentDeployment")
            .answers(200, "AgentDeployment"),
        "delete_agent_deployment" => of("Deletes a deployment with its versions, and kills what runs of it."),
        "create_agent_version" => of("Creates a version, which can be run once its bundle was uploaded.")
            .takes("CreateVersion")
            .answers(201, "AgentDeploymentVersion"),
        "list_agent_versions" => of("Lists versions, newest first, their manifests without entries.")
            .word("status", "Only versions in this status.", VersionState::ALL, VersionState::as_str)
            .page("AgentDeploymentVersionPage"),
        "get_agent_version" => {
            of("Reads a version with its whole manifest.").answers(200, "AgentDeploymentVersion")
        }
        "upload_agent_bundle" => of("Uploads the bundle of a version, and makes that the active one.")
            .takes_content(json!({ "application/x-tar": {} }))
            .header("x-nullspace-bundle-digest", "The `bundle_digest` of the version.")
            .answers(200, "AgentDeploymentVersion"),
        "create_agent_run" => {
            of("Starts a run, which goes on in the background.").takes("CreateRun").answers(201, "AgentRun")
        }
        "list_agent_runs" => of("Lists runs, newest first.")
            .word("status", "Only runs in this status.", JobState::ALL, JobState::as_str)
            .version()
            .page("AgentRunPage"),
        "get_agent_run" => of("Reads a run.").answers(200, "AgentRun"),
        "cancel_agent_run" => {
            of("Cancels a run that has not ended.").takes("CancelRun").answers(200, "AgentRun")
        }
        "list_agent_run_logs" => of("Reads the log of a run.").log_page(),
        "list_agent_run_outputs" => of("Lists what a run left behind.").answers(200, "RunOutputs"),
        "create_agent_service" => of("Starts a service, which becomes ready in the background.")
            .takes("CreateService")
            .answers(201, "ServiceInstance"),
        "list_agent_services" => of("Lists services, newest first.")
            .word("status", "Only services in this status.", ServiceState::ALL, ServiceState::as_str)
            .version()
            .page("ServiceInstancePage"),
        "get_agent_service" => of("Reads a service.").answers(200, "ServiceInstance"),
        "stop_agent_service" => of("Stops a service.").takes("StopService").answers(200, "ServiceInstance"),
        "restart_agent_service" => of("Starts a service again, under the same id and with the same version.")
            .takes("RestartService")
            .answers(200, "ServiceInstance"),
        "list_agent_service_logs" => of("Reads the log of a service.").log_page(),
        "get_agent_service_url" => of("Reads the public URL of a service, which has one while it is ready.")
            .answers(200, "ServiceUrl"),
        id => return of_sandboxes(id),
    })
}

/// As [`description`], of sandboxes and their snapshots.
fn of_sandboxes(id: &str) -> Option<Description> {
    let read_path = || json!({ "pattern": "^/workspace/." });
    Some(match id {
        "create_sandbox" => {
            of("Creates a sandbox, which is made in the background; what is asked of it waits.")
                .takes("CreateSandbox")
                .answers(201, "Sandbox")
        }
        "list_sandboxes" => {
            let page = json!({ "type": "object", "required": ["items", "next_token", "has_next"] });
            of("Lists sandboxes, newest first: all, or with `limit` a page of them.")
                .query("state", "Only those in one of these states, with commas between.", text(1))
                .query("template", "Only those of this template.", text(0))
                .query("metadata", "Only those with these fields in their metadata: a JSON object.", text(2))
                .query("fields", "Only these fields of each, with commas between.", text(1))
                .count("limit", "How many to answer at most.", limits::PROGRAM_PAGE.0, None)
                .query("next_token", "Where to go on: `next_token` of the page before.", text(1))
                .answers_content(200, json_of(json!({ "anyOf": [{ "type": "array" }, page] })))
        }
        "get_sandbox" => of("Reads a sandbox, also that of a run or a service.")
            .query("fields", "Only these fields, with commas between.", text(1))
            .answers_content(200, json_of(json!({ "type": "object" }))),
        "destroy_sandbox" => {
            of("Destroys a sandbox with all that is in it.").answers(200, "DestroyedSandbox")
        }
        "set_sandbox_timeout" => {
            of("Sets how long a sandbox lives.").takes("SetSandboxTimeout").answers(200, "Sandbox")
        }
        "fork_sandbox" => of("Creates a sandbox with the environment of another and a copy of its files.")
            .answers(201, "Sandbox"),
        "create_sandbox_snapshot" => {
            of("Makes a snapshot of the files of a sandbox.").answers(201, "SandboxSnapshot")
        }
        "list_sandbox_snapshots" => {
            let sandbox = json!({ "type": "string", "pattern": id_pattern("sb_") });
            let all = json!({ "type": "array", "items": reference("SandboxSnapshot") });
            of("Lists all snapshots, newest first.")
                .query("sandbox_id", "Only those of this sandbox.", sandbox)
                .query("metadata", "Only those with this metadata, which none has.", text(2))
                .answers_content(200, json_of(all))
        }
        "get_sandbox_snapshot" => of("Reads a snapshot.").answers(200, "SandboxSnapshot"),
        "delete_sandbox_snapshot" => of("Deletes a snapshot."),
        "execute_in_sandbox" => of("Executes a program, to its end or in the background.")
            .takes("ExecuteProgram")
            .answers(200, "ProgramResult")
            .fails(504),
        "list_sandbox_processes" => {
            let processes = json!({ "type": "array", "items": reference("SandboxProcess") });
            of("Lists the processes that were started in the background.")
                .answers_content(200, json_of(processes))
        }
        "kill_sandbox_process" => of("Kills a process that was started in the background."),
        "open_sandbox_channel" => {
            let channel = json!({ "type": "string", "enum": ["exec"] });
            of("Opens a WebSocket, over which programs are started and watched.")
                .query("channel", "What it is for; terminals, `pty`, cannot be had.", channel)
                .succeeds(101)
                .fails(501)
        }
        "write_sandbox_process" => of("Gives a process that was started in the background its input.")
            .takes_content(json_of(with(object(&["data"]), "data", text(0))))
            .fails(504),
        "get_sandbox_process_logs" => {
            of("Reads what a process wrote last, and how it ended.").answers(200, "SandboxProcessLogs")
        }
        "get_sandbox_port_url" => {
            let port = json!({ "type": "integer", "minimum": 1, "maximum": 65_535 });
            of("Reads where a port of a sandbox is reached.")
                .takes_content(json_of(with(object(&["port"]), "port", port)))
                .answers(200, "PortUrl")
        }
        "get_sandbox_preview_url" => {
            of("Reads where a port is reached, as a grant.").answers_content(200, json_of(object(GRANT)))
        }
        "sign_sandbox_preview_url" => {
            let seconds = json!({ "type": "integer", "minimum": 60, "maximum": 86_400 });
            of("Reads where a port is reached, for so long.")
                .takes_content(json_of(with(object(&[]), "expires_in_seconds", seconds)))
                .answers_content(200, json_of(object(GRANT)))
        }
        "probe_sandbox_port" => of("Waits until a port takes connections, or answers a `GET` with success.")
            .takes("ProbePort")
            .answers(200, "PortReadiness"),
        "read_sandbox_file" => of("Reads the bytes of a file.")
            .required("path", "Its path, below `/workspace`.", read_path())
            .user()
            .answers_content(200, json!({ "application/octet-stream": {} })),
        "write_sandbox_file" => of("Writes a file, and the directories above it.")
            .required("path", "Its path, below `/workspace`.", read_path())
            .user()
            .takes_content(json!({ "application/octet-stream": {} })),
        "list_sandbox_files" => of("Lists a directory, and those in it.")
            .required("path", "Its path, `/workspace` or below it.", json!({ "pattern": "^/workspace" }))
            .count("depth", "How many levels.", super::sandbox_files::DEPTH, Some(1))
            .user()
            .answers_content(200, json_of(json!({ "type": "array", "items": reference("SandboxFile") }))),
        "read_sandbox_text" => of("Reads a file that is UTF-8.")
            .takes_content(json_of(object(&["path"])))
            .answers_content(200, json_of(object(&["content"]))),
        "write_sandbox_text" => {
            let encoding = json!({ "enum": ["utf8", "base64", null] });
            of("Writes a file, and the directories above it.")
                .takes_content(json_of(with(object(&["path", "content"]), "encoding", encoding)))
                .answers(200, "SandboxFile")
        }
        "get_sandbox_file_info" => of("Says what is at a path.")
            .takes_content(json_of(object(&["path"])))
            .answers(200, "SandboxFile"),
        "has_sandbox_file" => of("Says whether something is at a path.")
            .takes_content(json_of(object(&["path"])))
            .answers(200, "SandboxFileExists"),
        "remove_sandbox_file" => of("Removes a file, or a directory with all that is in it.")
            .takes_content(json_of(object(&["path"]))),
        "rename_sandbox_file" => of("Gives a file or a directory another path.")
            .takes_content(json_of(object(&["old_path", "new_path"])))
            .answers(200, "SandboxFile"),
        "make_sandbox_directory" => {
            of("Makes a directory, and those above it.").takes_content(json_of(object(&["path"])))
        }
        "set_sandbox_permissions" => of("Sets the permissions of a file or a directory, in octal digits.")
            .takes_content(json_of(object(&["path", "permissions"]))),
        "write_sandbox_files" => {
            let results = json!({ "type": "array", "items": object(&["path", "status"]) });
            of("Writes several files: the part `manifest` has `files`, each with a `path` and the `field` of its part.")
                .takes_content(json!({ "multipart/form-data": {} }))
                .answers_content(200, json_of(with(object(&["results"]), "results", results)))
        }
        "create_sandbox_upload" => {
            of("Creates an upload in parts of a file, or of an archive of a directory.")
                .takes("CreateUpload")
                .answers(201, "CreatedUpload")
        }
        "get_sandbox_upload" => of("Reads which parts of an upload have come.").answers(200, "UploadSession"),
        "abort_sandbox_upload" => of("Gives an upload up, with all that has come of it."),
        "put_sandbox_upload_part" => of("Sends a part of an upload, also again.")
            .optional_header("x-nullspace-part-sha256", "The SHA-256 of the part, 64 hexadecimal digits.")
            .takes_content(json!({ "application/octet-stream": {} }))
            .answers(200, "UploadSession"),
        "complete_sandbox_upload" => of("Puts an upload into its place, once all its parts have come.")
            .can_take("CompleteUpload")
            .answers(200, "CompletedUpload")
            .fails(504),
        _ => return None,
    })
}

/// The fields of a grant.
const GRANT: &[&str] = &["grant", "url", "websocket_url", "access_token_expires_at"];

/// An object with these fields and perhaps others.
fn object(fields: &[&str]) -> Value {
    json!({ "type": "object", "required": fields, "properties": {} })
}

/// The object with a schema for a field.
fn with(mut object: Value, field: &str, schema: Value) -> Value {
    object["properties"][field] = schema;
    object
}

fn text(least: u32) -> Value {
    json!({ "type": "string", "minLength": least })
}

/// What is said of an operation.
struct Description {
    summary: &'static str,
    request: Option<Value>,
    needs_request: bool,
    parameters: Vec<Value>,
    success: u16,
    response: Option<Value>,
    /// Statuses besides those that follow from what it is.
    failures: Vec<u16>,
}

/// An operation without a body and parameters that answers 204, unless more is said.
fn of(summary: &'static str) -> Description {
    Description {
        summary,
        request: None,
        needs_request: true,
        parameters: vec![],
        success: 204,
        response: None,
        failures: vec![],
    }
}

impl Description {
    /// Takes a body of this type.
    fn takes(self, name: &str) -> Self {
        self.takes_content(json_of(reference(name)))
    }

    /// Can take a body of this type, which may be left out.
    fn can_take(self, name: &str) -> Self {
        Self { needs_request: false, ..self.takes(name) }
    }

    /// Takes a body: a media type object by type.
    fn takes_content(mut self, content: Value) -> Self {
        self.request = Some(content);
        self
    }

    /// Answers a success with this type.
    fn answers(self, status: u16, name: &str) -> Self {
        self.answers_content(status, json_of(reference(name)))
    }

    /// Answers a success with a body: a media type object by type.
    fn answers_content(mut self, status: u16, content: Value) -> Self {
        (self.success, self.response) = (status, Some(content));
        self
    }

    /// Answers a success with this status and no body.
    fn succeeds(mut self, status: u16) -> Self {
        self.success = status;
        self
    }

    /// Can fail with this status, too.
    fn fails(mut self, status: u16) -> Self {
        self.failures.push(status);
        self
    }

    /// Has a parameter in its query.
    fn query(self, name: &str, summary: &str, schema: Value) -> Self {
        self.parameter(json!({ "name": name, "in": "query", "description": summary, "schema": schema }))
    }

    /// Has a text in its query, with these rules, that has to be there.
    fn required(self, name: &str, summary: &str, mut schema: Value) -> Self {
        schema["type"] = json!("string");
        let of_query = json!({ "name": name, "in": "query", "description": summary, "schema": schema, "required": true });
        self.parameter(of_query)
    }

    /// Needs a header.
    fn header(self, name: &str, summary: &str) -> Self {
        let schema = json!({ "type": "string" });
        self.parameter(json!({
            "name": name, "in": "header", "description": summary, "schema": schema, "required": true,
        }))
    }

    /// Can have a header.
    fn optional_header(self, name: &str, summary: &str) -> Self {
        let schema = json!({ "type": "string" });
        self.parameter(json!({ "name": name, "in": "header", "description": summary, "schema": schema }))
    }

    fn parameter(mut self, parameter: Value) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Has one of these words in its query.
    fn word<T: Copy>(self, name: &str, summary: &str, all: &[T], word: fn(T) -> &'static str) -> Self {
        let words: Vec<_> = all.iter().map(|value| word(*value)).collect();
        self.query(name, summary, json!({ "type": "string", "enum": words }))
    }

    /// Has the name of a user in its query.
    fn user(self) -> Self {
        let names = json!({ "type": "string", "enum": ["", "agent", "user"] });
        self.query("user", "The one user of a sandbox, by any of its names.", names)
    }

    /// Has the id of a version in its query.
    fn version(self) -> Self {
        let schema = json!({ "type": "string", "pattern": id_pattern("adpv_") });
        self.query("version_id", "Only those of this version.", schema)
    }

    /// Answers a page of a list.
    fn page(self, name: &str) -> Self {
        let (most, default) = limits::PROGRAM_PAGE;
        self.count("limit", "How many to answer at most.", most, Some(default))
            .cursor("Where to go on: `next_cursor` of the page before.")
            .answers(200, name)
    }

    /// Answers a page of a log, which is asked for in one of three ways.
    fn log_page(self) -> Self {
        let offset = json!({ "type": "integer", "minimum": 0, "default": 0 });
        self.query("offset", "How many lines to pass over. Not with `cursor` and `tail`.", offset)
            .count(
                "limit",
                "How many lines to answer at most.",
                limits::LOG_PAGE,
                Some(limits::LOG_PAGE_DEFAULT),
            )
            .cursor("Where to go on: `next_cursor` of a page of this log. Not with `offset` and `tail`.")
            .count("tail", "Only so many last lines. Not with `offset` and `cursor`.", limits::LOG_PAGE, None)
            .answers(200, "LogPage")
    }

    fn count(self, name: &str, summary: &str, most: u32, default: Option<u32>) -> Self {
        let mut schema = json!({ "type": "integer", "minimum": 1, "maximum": most });
        if let Some(default) = default {
            schema["default"] = json!(default);
        }
        self.query(name, summary, schema)
    }

    fn cursor(self, summary: &str) -> Self {
        self.query("cursor", summary, json!({ "type": "string", "minLength": 1 }))
    }
}

fn endpoint(operation: &Operation) -> Option<Endpoint> {
    let Description { summary, request, needs_request, parameters, success, response, failures } =
        description(operation.id)?;
    let Operation { method, path, .. } = *operation;
    let rule = operation.rule();
    let errors = [(parameters_of(path).next().is_some(), 404), (rule.changes, 409), (request.is_some(), 413)];
    let errors =
        errors.into_iter().filter_map(|(can, status)| can.then_some(status)).chain(failures).collect();
    Some(Endpoint {
        rule,
        method,
        path,
        summary,
        request,
        needs_request,
        parameters,
        success,
        response,
        headers: &[],
        errors,
    })
}

fn pattern(name: &str) -> String {
    match name {
        "part_number" | "process_id" => return "^[0-9]+$".to_owned(),
        "port" => return "^[0-9]{1,5}$".to_owned(),
        _ => {}
    }
    id_pattern(match name {
        "version_id" => "adpv_",
        "run_id" => "adrun_",
        "service_id" => "adsvc_",
        "sandbox_id" => "sb_",
        "snapshot_id" => "snap_",
        "upload_id" => "upl_",
        _ => "adpl_",
    })
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => {
            "`invalid_request`: the body, the parameters or the headers are invalid. `agent_deployment_invalid_config`: the \
             `config` is. `file_upload_error`: what is sent is not what was announced."
        }
        401 => "`unauthorized`: the API key is missing, invalid or revoked.",
        403 => "`forbidden`: the API key lacks the scope.",
        404 => "A code that ends with `not_found`: there is no such thing, or it belongs to somebody else.",
        409 => {
            "`agent_deployment_invalid_state`: not in this state. `agent_deployment_name_conflict`: the name is taken. \
             `agent_deployment_idempotency_mismatch`: the key was used for another request. `transition_conflict`: somebody \
             else changed it; try again. `sandbox_not_ready`: the sandbox does not run. `file_upload_error`: the upload has \
             ended, parts of it are missing, or something is at its target."
        }
        413 => "`invalid_request`, `file_upload_error`: the body, or what it announces, is too large.",
        429 => {
            "`rate_limit_exceeded`: too much at once; wait and try again. `capacity_exceeded`, `file_upload_error`: there is no room; \
             nothing was made."
        }
        501 => "`feature_unavailable`: these sandboxes cannot do this.",
        504 => "`exec_timeout`: the program took longer than it may.",
        503 => "`feature_unavailable`: the server is busy, is stopping, or cannot do this.",
        _ => "`internal_error`: the server failed.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi::tests::is_whole;

    #[test]
    fn every_operation_is_described_and_every_reference_leads_somewhere() {
        for operation in OPERATIONS {
            assert!(description(operation.id).is_some(), "{} is not described", operation.id);
        }
        is_whole(&document(), OPERATIONS.iter().map(|operation| (operation.method, operation.path)));
    }

    #[test]
    fn an_operation_has_the_parameters_and_the_key_that_its_gate_lets_through() {
        let document = document();
        for operation in OPERATIONS {
            let described = &document["paths"][operation.path][operation.method.to_lowercase()];
            let parameters = described["parameters"].as_array().unwrap();
            let has = |place: &str| parameters.iter().any(|parameter| parameter["in"] == place);
            assert_eq!(has("query"), operation.takes_query, "{}", operation.id);
            let key = parameters.iter().find(|parameter| parameter["name"] == "idempotency-key");
            assert_eq!(key.map(|key| &key["required"]), operation.needs_key.then_some(&json!(true)));
            // A prefix for each kind of id: an unknown parameter would be taken for a deployment.
            for name in parameters_of(operation.path).filter(|name| *name != "deployment_id") {
                assert_ne!(pattern(name), pattern("deployment_id"), "{name}");
            }
        }
    }
}
