//! The OpenAPI 3.1 document of the native API, made from [`OPERATIONS`] and the wire types themselves.

use serde_json::{Value, json};

use super::{OPERATIONS, Operation, Parameter, raw_bodies};
use crate::http::openapi::{Document, Endpoint, id_pattern, json_of, reference};

const DOCUMENT: Document = Document {
    title: "Prism Agents",
    description: "Deploy an agent for each of your customers and talk to it.",
    pattern,
    meaning,
};

/// The document.
pub fn document() -> Value {
    let endpoints: Vec<_> = OPERATIONS.iter().map(endpoint).collect();
    let mut document = DOCUMENT.of(&endpoints, prism_types::schema::components());
    for Operation { id, method, path, .. } in OPERATIONS {
        raw_bodies::describe(id, &mut document["paths"][path][method.to_lowercase()]);
    }
    document
}

fn endpoint(operation: &Operation) -> Endpoint {
    let parameters = operation.parameters.iter().map(|Parameter { name, place, summary, schema }| {
        let schema: Value = serde_json::from_str(schema).unwrap_or_default();
        json!({ "name": name, "in": place, "description": summary, "schema": schema })
    });
    let response = match operation.response {
        Some(name) => json_of(reference(name)),
        None => json!({ "text/event-stream": { "schema": { "type": "string" } } }),
    };
    Endpoint {
        rule: operation.rule(),
        method: operation.method,
        path: operation.path,
        summary: operation.summary,
        request: operation.request.map(|name| json_of(reference(name))),
        needs_request: true,
        parameters: parameters.collect(),
        success: operation.success,
        response: Some(response),
        headers: if operation.response == Some("Deployment") { &["etag"] } else { &[] },
        errors: operation.errors.to_vec(),
    }
}

fn pattern(name: &str) -> String {
    match name {
        "thread_id" => id_pattern("thr_"),
        "run_id" => id_pattern("run_"),
        "approval_id" => id_pattern("apr_"),
        "automation_id" => id_pattern("auto_"),
        "webhook_id" => id_pattern("whe_"),
        "delivery_id" => id_pattern("whd_"),
        "skill_id" => id_pattern("skl_"),
        "server_name" => "^[A-Za-z0-9_-]{1,64}$".to_owned(),
        "tool_name" => r"^[^\u0000]{1,255}$".to_owned(),
        _ => id_pattern("dep_"),
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        304 => "It is still what the caller knows.",
        400 => "`validation_error`: the body or the parameters are invalid.",
        401 => "`unauthorized`: the API key is missing, invalid or revoked.",
        402 => "`insufficient_credits`: the account has no credits left.",
        403 => "`forbidden`: the API key lacks the scope.",
        404 => "`not_found`: there is no such thing, or it belongs to somebody else.",
        409 => {
            "`deployment_not_ready` or `conflict`: not now; try again. `idempotency_mismatch`: the key was used for \
             another request."
        }
        412 => "`precondition_failed`: it is not what `If-Match` says; read it again.",
        413 => "`validation_error`: the body is too large.",
        416 => "`validation_error`: the range is past the end.",
        422 => "`invalid_skill` or `invalid_secret_ref`: a skill or a secret cannot be used.",
        429 => "`rate_limited`: too much at once; wait and try again.",
        503 => "`unavailable`: the server is busy or stopping; try again.",
        _ => "`server_error`: the server failed.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi::tests::is_whole;

    #[test]
    fn every_operation_is_described_and_every_reference_leads_somewhere() {
        is_whole(&document(), OPERATIONS.iter().map(|operation| (operation.method, operation.path)));
    }
}
