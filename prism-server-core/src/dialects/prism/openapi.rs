//! The OpenAPI 3.1 document of the native API, made from [`OPERATIONS`] and the wire types themselves.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{OPERATIONS, Operation, Parameter, raw_bodies};

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
            "schemas": components(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "An API key." },
            },
        },
    })
}

/// The schemas of all types. What may be left out of something new may be `null` as well.
fn components() -> Map<String, Value> {
    let mut components = prism_types::schema::components();
    let mut lenient = BTreeSet::new();
    let of_new = OPERATIONS.iter().filter(|operation| operation.method == "POST");
    let mut found: Vec<_> = of_new.filter_map(|operation| operation.request.map(str::to_owned)).collect();
    while let Some(name) = found.pop() {
        if lenient.insert(name.clone()) {
            let text = components.get(&name).map(Value::to_string).unwrap_or_default();
            found.extend(references(&text).map(str::to_owned));
        }
    }
    for name in lenient {
        if let Some(schema) = components.get_mut(&name) {
            allow_null(schema);
        }
    }
    components
}

/// The names of the schemas that a schema refers to.
fn references(schema: &str) -> impl Iterator<Item = &str> {
    schema.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next())
}

/// Lets `null` stand for every property that may be left out, in each variant of the schema.
fn allow_null(schema: &mut Value) {
    for variants in ["oneOf", "anyOf"] {
        if let Some(variants) = schema.get_mut(variants).and_then(Value::as_array_mut) {
            variants.iter_mut().for_each(allow_null);
        }
    }
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (_, property) in properties.iter_mut().filter(|(name, _)| !is_required(name)) {
        let description = property.as_object_mut().and_then(|property| property.remove("description"));
        *property = json!({ "anyOf": [property.take(), { "type": "null" }] });
        if let Some(description) = description {
            property["description"] = description;
        }
    }
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
    raw_bodies::describe(operation.id, &mut described);
    described
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        let id = |prefix: &str| format!("^{prefix}[A-Za-z0-9_-]{{1,100}}$");
        let pattern = match name {
            "thread_id" => id("thr_"),
            "run_id" => id("run_"),
            "approval_id" => id("apr_"),
            "automation_id" => id("auto_"),
            "webhook_id" => id("whe_"),
            "delivery_id" => id("whd_"),
            "skill_id" => id("skl_"),
            "server_name" => "^[A-Za-z0-9_-]{1,64}$".to_owned(),
            "tool_name" => r"^[^\u0000]{1,255}$".to_owned(),
            _ => id("dep_"),
        };
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
    let mut responses = Map::new();
    let (etag, replayed) = (operation.response == Some("Deployment"), operation.method == "POST");
    let of_success = [etag.then_some("etag"), replayed.then_some("idempotent-replayed")];
    let of_success: Vec<_> = of_success.into_iter().flatten().collect();
    let success = json!({
        "description": "Success.", "headers": headers(&of_success), "content": content,
    });
    responses.insert(operation.success.to_string(), success);
    let of_keys: &[u16] = if operation.method == "POST" { &[409, 413] } else { &[] };
    for status in operation.errors.iter().chain(of_keys).chain(&[400, 401, 403, 429, 500, 503]) {
        if *status == 304 {
            let not_modified = json!({ "description": meaning(304), "headers": headers(&["etag"]) });
            responses.insert("304".to_owned(), not_modified);
            continue;
        }
        let own: &[&str] = match status {
            401 => &["www-authenticate"],
            429 | 503 => &["retry-after"],
            _ => &[],
        };
        let error = json!({
            "description": meaning(*status),
            "headers": headers(own),
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
            "retry-after" => "How long to wait, in whole seconds.",
            "www-authenticate" => "`Bearer`.",
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

    #[test]
    fn every_operation_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        let described: usize =
            document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(described, OPERATIONS.len());
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in references(&text) {
            assert!(schemas.contains_key(name), "{name}");
        }
        assert!(!text.contains("#/$defs/"));
    }
}
