//! Every endpoint of the native API.

use crate::domain::tenant::Scope;

/// An endpoint.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Operation {
    /// Its name, such as `create_deployment`.
    pub id: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path; parameters stand in braces.
    pub path: &'static str,
    /// The scope that a caller needs.
    pub scope: Scope,
    /// What it does, in a line.
    pub summary: &'static str,
    /// The type of the body, if it takes one.
    pub request: Option<&'static str>,
    /// The parameters of its query and the headers it reads.
    pub parameters: &'static [Parameter],
    /// The status of success.
    pub success: u16,
    /// The type of the answer; `None`: an event stream.
    pub response: Option<&'static str>,
    /// The other statuses, besides 400, 401, 403, 429, 500 and 503, which every endpoint can answer with, and 409 and 413,
    /// which every `POST` can answer an idempotency key with.
    pub errors: &'static [u16],
}

impl Operation {
    /// Whether it has parameters in its query.
    pub(super) fn takes_query(&self) -> bool {
        self.parameters.iter().any(|parameter| parameter.place == "query")
    }
}

/// A parameter of a query, or a header.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// `query` or `header`.
    pub place: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Its JSON Schema.
    pub schema: &'static str,
}

const fn query(name: &'static str, summary: &'static str, schema: &'static str) -> Parameter {
    Parameter { name, place: "query", summary, schema }
}

const LIMIT: Parameter = query(
    "limit",
    "How many to answer at most.",
    r#"{"type":"integer","minimum":1,"maximum":100,"default":20}"#,
);
const CURSOR: Parameter = query(
    "cursor",
    "Where to go on: `next_cursor` of the page before.",
    r#"{"type":"string","minLength":1}"#,
);
const IF_MATCH: Parameter = Parameter {
    name: "if-match",
    place: "header",
    summary: "Entity tags of what was read: if it is none of them any more, nothing is done.",
    schema: r#"{"type":"string"}"#,
};
const PAGE: &[Parameter] = &[LIMIT, CURSOR];

/// Every endpoint of the native API.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        id: "create_deployment",
        method: "POST",
        path: "/v1/deployments",
        scope: Scope::DeploymentsWrite,
        summary: "Creates a deployment; its agent is made ready in the background.",
        request: Some("CreateDeployment"),
        parameters: &[],
        success: 201,
        response: Some("Deployment"),
        errors: &[400, 402, 413, 422],
    },
    Operation {
        id: "list_deployments",
        method: "GET",
        path: "/v1/deployments",
        scope: Scope::DeploymentsRead,
        summary: "Lists deployments, newest first.",
        request: None,
        parameters: &[
            LIMIT,
            CURSOR,
            query("customer_id", "Only deployments of this customer.", r#"{"type":"string"}"#),
            query(
                "status",
                "Only deployments in this status.",
                r#"{"type":"string","enum":["provisioning","ready","error"]}"#,
            ),
        ],
        success: 200,
        response: Some("DeploymentPage"),
        errors: &[400],
    },
    Operation {
        id: "get_deployment",
        method: "GET",
        path: "/v1/deployments/{deployment_id}",
        scope: Scope::DeploymentsRead,
        summary: "Reads a deployment; its entity tag is in the header `ETag`.",
        request: None,
        parameters: &[Parameter {
            name: "if-none-match",
            place: "header",
            summary: "Entity tags that are known: if it is one of them, the answer is 304, without a body.",
            schema: r#"{"type":"string"}"#,
        }],
        success: 200,
        response: Some("Deployment"),
        errors: &[304, 400, 404],
    },
    Operation {
        id: "update_deployment",
        method: "PATCH",
        path: "/v1/deployments/{deployment_id}",
        scope: Scope::DeploymentsWrite,
        summary: "Changes a deployment; the change applies from the next run on.",
        request: Some("UpdateDeployment"),
        parameters: &[IF_MATCH],
        success: 200,
        response: Some("Deployment"),
        errors: &[400, 404, 409, 412, 413, 422],
    },
    Operation {
        id: "delete_deployment",
        method: "DELETE",
        path: "/v1/deployments/{deployment_id}",
        scope: Scope::DeploymentsWrite,
        summary: "Deletes a deployment with its workspace, threads, runs and events.",
        request: None,
        parameters: &[
            query(
                "retain_filesystem",
                "Keep the workspace. Only `false` is supported.",
                r#"{"type":"boolean","enum":[false],"default":false}"#,
            ),
            IF_MATCH,
        ],
        success: 200,
        response: Some("DeletedDeployment"),
        errors: &[400, 404, 409, 412],
    },
    Operation {
        id: "send_message",
        method: "POST",
        path: "/v1/deployments/{deployment_id}/messages",
        scope: Scope::DeploymentsWrite,
        summary: "Sends a message; the agent's output comes over the event stream.",
        request: Some("SendMessage"),
        parameters: &[],
        success: 200,
        response: Some("MessageReceipt"),
        errors: &[400, 402, 404, 409, 413],
    },
    Operation {
        id: "stream_events",
        method: "GET",
        path: "/v1/deployments/{deployment_id}/events",
        scope: Scope::DeploymentsRead,
        summary: "Streams events: from now on, or after the one in `Last-Event-ID`.",
        request: None,
        parameters: &[
            query(
                "thread_id",
                "Only events of this thread.",
                r##"{"type":"string","pattern":"^thr_[A-Za-z0-9_-]{1,100}$"}"##,
            ),
            query(
                "run_id",
                "Only events of this run.",
                r##"{"type":"string","pattern":"^run_[A-Za-z0-9_-]{1,100}$"}"##,
            ),
            Parameter {
                name: "last-event-id",
                place: "header",
                summary: "The id of the last event that was received.",
                schema: r#"{"type":"string"}"#,
            },
        ],
        success: 200,
        response: None,
        errors: &[400, 404],
    },
    Operation {
        id: "list_skills",
        method: "GET",
        path: "/v1/deployments/{deployment_id}/skills",
        scope: Scope::DeploymentsRead,
        summary: "Lists the skills of a deployment and whether each can be used.",
        request: None,
        parameters: &[],
        success: 200,
        response: Some("SkillList"),
        errors: &[404],
    },
    Operation {
        id: "create_thread",
        method: "POST",
        path: "/v1/deployments/{deployment_id}/threads",
        scope: Scope::DeploymentsWrite,
        summary: "Opens a thread; it starts no work.",
        request: Some("CreateThread"),
        parameters: &[],
        success: 201,
        response: Some("Thread"),
        errors: &[400, 404, 413],
    },
    Operation {
        id: "list_threads",
        method: "GET",
        path: "/v1/deployments/{deployment_id}/threads",
        scope: Scope::DeploymentsRead,
        summary: "Lists threads, newest first.",
        request: None,
        parameters: PAGE,
        success: 200,
        response: Some("ThreadPage"),
        errors: &[400, 404],
    },
    Operation {
        id: "get_thread",
        method: "GET",
        path: "/v1/deployments/{deployment_id}/threads/{thread_id}",
        scope: Scope::DeploymentsRead,
        summary: "Reads a thread with its newest messages: at most 1,000, and at most 4 MiB.",
        request: None,
        parameters: &[],
        success: 200,
        response: Some("Thread"),
        errors: &[404],
    },
    Operation {
        id: "update_thread",
        method: "PATCH",
        path: "/v1/deployments/{deployment_id}/threads/{thread_id}",
        scope: Scope::DeploymentsWrite,
        summary: "Sets the title of a thread, or removes it.",
        request: Some("UpdateThread"),
        parameters: &[],
        success: 200,
        response: Some("Thread"),
        errors: &[400, 404, 413],
    },
    Operation {
        id: "list_runs",
        method: "GET",
        path: "/v1/deployments/{deployment_id}/runs",
        scope: Scope::DeploymentsRead,
        summary: "Lists runs, newest first.",
        request: None,
        parameters: PAGE,
        success: 200,
        response: Some("RunPage"),
        errors: &[400, 404],
    },
    Operation {
        id: "get_run",
        method: "GET",
        path: "/v1/deployments/{deployment_id}/runs/{run_id}",
        scope: Scope::DeploymentsRead,
        summary: "Reads a run.",
        request: None,
        parameters: &[],
        success: 200,
        response: Some("Run"),
        errors: &[404],
    },
    Operation {
        id: "cancel_run",
        method: "POST",
        path: "/v1/deployments/{deployment_id}/runs/{run_id}/cancel",
        scope: Scope::DeploymentsWrite,
        summary: "Ends a run with the code `cancelled`; one that is over stays as it is.",
        request: None,
        parameters: &[],
        success: 200,
        response: Some("Run"),
        errors: &[404, 409],
    },
    Operation {
        id: "list_approvals",
        method: "GET",
        path: "/v1/deployments/{deployment_id}/approvals",
        scope: Scope::DeploymentsRead,
        summary: "Lists the questions of the agent, newest first.",
        request: None,
        parameters: &[
            LIMIT,
            CURSOR,
            query("pending", "Only those that wait for an answer.", r#"{"type":"boolean","default":false}"#),
        ],
        success: 200,
        response: Some("ApprovalPage"),
        errors: &[400, 404],
    },
    Operation {
        id: "get_approval",
        method: "GET",
        path: "/v1/deployments/{deployment_id}/approvals/{approval_id}",
        scope: Scope::DeploymentsRead,
        summary: "Reads a question of the agent and its answer.",
        request: None,
        parameters: &[],
        success: 200,
        response: Some("Approval"),
        errors: &[404],
    },
    Operation {
        id: "answer_approval",
        method: "POST",
        path: "/v1/deployments/{deployment_id}/approvals/{approval_id}",
        scope: Scope::DeploymentsWrite,
        summary: "Allows or denies what the agent asked for; its run goes on.",
        request: Some("AnswerApproval"),
        parameters: &[],
        success: 200,
        response: Some("Approval"),
        errors: &[400, 402, 404, 409, 413],
    },
    Operation {
        id: "list_audit_entries",
        method: "GET",
        path: "/v1/audit-log",
        scope: Scope::AuditRead,
        summary: "Lists who changed what, newest first.",
        request: None,
        parameters: &[
            LIMIT,
            CURSOR,
            query(
                "deployment_id",
                "Only changes of this deployment, which need not exist any more.",
                r##"{"type":"string","pattern":"^dep_[A-Za-z0-9_-]{1,100}$"}"##,
            ),
        ],
        success: 200,
        response: Some("AuditEntryPage"),
        errors: &[400],
    },
    Operation {
        id: "create_automation",
        method: "POST",
        path: "/v1/deployments/{deployment_id}/automations",
        scope: Scope::DeploymentsWrite,
        summary: "Creates an automation: instructions that the agent gets on a timetable.",
        request: Some("CreateAutomation"),
        parameters: &[],
        success: 201,
        response: Some("Automation"),
        errors: &[400, 404, 409, 413],
    },
    Operation {
        id: "list_automations",
        method: "GET",
        path: "/v1/deployments/{deployment_id}/automations",
        scope: Scope::DeploymentsRead,
        summary: "Lists automations, newest first.",
        request: None,
        parameters: PAGE,
        success: 200,
        response: Some("AutomationPage"),
        errors: &[400, 404],
    },
    Operation {
        id: "get_automation",
        method: "GET",
        path: "/v1/deployments/{deployment_id}/automations/{automation_id}",
        scope: Scope::DeploymentsRead,
        summary: "Reads an automation with its newest runs, at most 10.",
        request: None,
        parameters: &[],
        success: 200,
        response: Some("Automation"),
        errors: &[404],
    },
    Operation {
        id: "update_automation",
        method: "PATCH",
        path: "/v1/deployments/{deployment_id}/automations/{automation_id}",
        scope: Scope::DeploymentsWrite,
        summary: "Changes an automation; `enabled` pauses it and lets it go on.",
        request: Some("UpdateAutomation"),
        parameters: &[],
        success: 200,
        response: Some("Automation"),
        errors: &[400, 404, 409, 413],
    },
    Operation {
        id: "delete_automation",
        method: "DELETE",
        path: "/v1/deployments/{deployment_id}/automations/{automation_id}",
        scope: Scope::DeploymentsWrite,
        summary: "Deletes an automation with its history; its thread and its runs stay.",
        request: None,
        parameters: &[],
        success: 200,
        response: Some("DeletedAutomation"),
        errors: &[404],
    },
    Operation {
        id: "trigger_automation",
        method: "POST",
        path: "/v1/deployments/{deployment_id}/automations/{automation_id}/trigger",
        scope: Scope::DeploymentsWrite,
        summary: "Runs an automation now.",
        request: None,
        parameters: &[],
        success: 200,
        response: Some("TriggeredAutomation"),
        errors: &[402, 404, 409],
    },
    Operation {
        id: "list_automation_runs",
        method: "GET",
        path: "/v1/deployments/{deployment_id}/automations/{automation_id}/runs",
        scope: Scope::DeploymentsRead,
        summary: "Lists what became of the times of an automation, newest first.",
        request: None,
        parameters: PAGE,
        success: 200,
        response: Some("AutomationRunPage"),
        errors: &[400, 404],
    },
];
