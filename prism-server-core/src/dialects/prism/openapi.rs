//! The OpenAPI 3.1 document of the native API, made from [`OPERATIONS`] and the wire types themselves.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{OPERATIONS, Operation, Parameter};

/// The document.
pub fn document() -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in OPERATIONS {
        let methods = paths.entry(operation.path).or_default();
        methods.insert(operation.method.to_lowercase(), describe(operation));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Prism Agents",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Deploy an agent for each of your customers and talk to it.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:8080" }],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": prism_types::schema::components(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "An API key." },
            },
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": format!("Needs the scope `{}`.", operation.scope.as_str()),
        "parameters": parameters(operation),
        "responses": responses(operation),
    });
    if let Some(request) = operation.request {
        described["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": reference(request) } },
        });
    }
    described
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        let prefix = match name {
            "thread_id" => "thr_",
            "run_id" => "run_",
            "approval_id" => "apr_",
            _ => "dep_",
        };
        let pattern = format!("^{prefix}[A-Za-z0-9_-]{{1,100}}$");
        json!({
            "name": name,
            "in": "path",
            "required": true,
            "schema": { "type": "string", "pattern": pattern },
        })
    });
    let others = operation.parameters.iter().map(|Parameter { name, place, summary, schema }| {
        let schema: Value = serde_json::from_str(schema).unwrap_or_default();
        json!({ "name": name, "in": place, "description": summary, "schema": schema })
    });
    let key = (operation.method == "POST").then(|| {
        json!({
            "name": "idempotency-key",
            "in": "header",
            "description": "A name for this request: if it is sent again with the same key, nothing is done, and the \
                            answer is the one of the first.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        })
    });
    in_path.chain(others).chain(key).collect()
}

fn responses(operation: &Operation) -> Value {
    let content = match operation.response {
        Some(name) => json!({ "application/json": { "schema": reference(name) } }),
        None => json!({ "text/event-stream": { "schema": { "type": "string" } } }),
    };
    let plain = headers(&[]);
    let mut responses = Map::new();
    let (etag, replayed) = (operation.response == Some("Deployment"), operation.method == "POST");
    let of_success = [etag.then_some("etag"), replayed.then_some("idempotent-replayed")];
    let of_success: Vec<_> = of_success.into_iter().flatten().collect();
    let success = json!({
        "description": "Success.", "headers": headers(&of_success), "content": content,
    });
    responses.insert(operation.success.to_string(), success);
    let of_keys: &[u16] = if operation.method == "POST" { &[400, 409, 413] } else { &[] };
    for status in operation.errors.iter().chain(of_keys).chain(&[401, 403, 429, 500, 503]) {
        if *status == 304 {
            let not_modified = json!({ "description": meaning(304), "headers": headers(&["etag"]) });
            responses.insert("304".to_owned(), not_modified);
            continue;
        }
        let error = json!({
            "description": meaning(*status),
            "headers": plain,
            "content": { "application/json": { "schema": reference("ErrorBody") } },
        });
        responses.insert(status.to_string(), error);
    }
    responses.into()
}

/// The headers of an answer: those that each can have, and some of its own.
fn headers(own: &[&str]) -> Value {
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    let mut headers = json!({
        "x-request-id": text("Names the request."),
        "ratelimit-policy": text("The limit of requests of the key, if there is one."),
        "ratelimit": text("What is left of the limit."),
    });
    for name in own {
        headers[name] = text(match *name {
            "etag" => "The entity tag of what is answered.",
            _ => "`true` when the request was carried out before, and this is the answer that it got then.",
        });
    }
    headers
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
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
        422 => "`invalid_skill` or `invalid_secret_ref`: a skill or a secret cannot be used.",
        429 => "`rate_limited`: too much at once; wait and try again.",
        503 => "`unavailable`: the server is busy or stopping; try again.",
        _ => "`server_error`: the server failed.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        let described: usize =
            document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(described, OPERATIONS.len());
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
        assert!(!text.contains("#/$defs/"));
    }
}
