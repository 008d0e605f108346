//! What the OpenAPI 3.1 documents of the dialects have in common.
//!
//! A dialect has a [`Document`], makes an [`Endpoint`] of each of its operations, and takes the schemas from the wire types.
//! What every endpoint can answer, because its gate does, is added here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::gate::{Key, Rule};
use crate::domain::limits;

/// Statuses that every endpoint can answer with.
const ALWAYS: [u16; 6] = [400, 401, 403, 429, 500, 503];
/// Statuses that an idempotency key can bring about, where answers are kept under it.
const OF_KEYS: [u16; 2] = [409, 413];

/// What a dialect says of itself.
pub(crate) struct Document {
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    /// The pattern of a parameter in paths, by its name.
    pub(crate) pattern: fn(&str) -> String,
    /// What a status says that is not success.
    pub(crate) meaning: fn(u16) -> &'static str,
}

/// What a dialect says of an endpoint.
pub(crate) struct Endpoint {
    pub(crate) rule: Rule,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// What it does, in a line.
    pub(crate) summary: &'static str,
    /// The body of requests, a media type object by type, if there is one.
    pub(crate) request: Option<Value>,
    /// Whether requests have to have one.
    pub(crate) needs_request: bool,
    /// The parameters of its query and the headers it reads, besides the idempotency key.
    pub(crate) parameters: Vec<Value>,
    /// The status of success.
    pub(crate) success: u16,
    /// The body of success, a media type object by type, if there is one.
    pub(crate) response: Option<Value>,
    /// Headers of success, besides those that every answer can have.
    pub(crate) headers: &'static [&'static str],
    /// The other statuses, besides those that its gate can answer with.
    pub(crate) errors: Vec<u16>,
}

impl Document {
    /// The document of these endpoints. What may be left out of something new, the body of a `POST`, may be `null` as well.
    pub(crate) fn of(&self, endpoints: &[Endpoint], mut components: Map<String, Value>) -> Value {
        let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for endpoint in endpoints {
            let methods = paths.entry(endpoint.path).or_default();
            methods.insert(endpoint.method.to_lowercase(), self.describe(endpoint));
        }
        let of_new = endpoints.iter().filter(|endpoint| endpoint.method == "POST");
        be_lenient(&mut components, of_new.filter_map(|endpoint| endpoint.request.as_ref()));
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": self.title,
                "version": env!("CARGO_PKG_VERSION"),
                "description": self.description,
                "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            },
            "servers": [{ "url": "http://127.0.0.1:8080" }],
            "security": [{ "bearer": [] }],
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {
                    "bearer": { "type": "http", "scheme": "bearer", "description": "An API key." },
                },
            },
        })
    }

    fn describe(&self, endpoint: &Endpoint) -> Value {
        let mut described = json!({
            "operationId": endpoint.rule.id,
            "summary": endpoint.summary,
            "description": format!("Needs the scope `{}`.", endpoint.rule.scope.as_str()),
            "parameters": self.parameters(endpoint),
            "responses": self.responses(endpoint),
        });
        if let Some(content) = &endpoint.request {
            described["requestBody"] = json!({ "required": endpoint.needs_request, "content": content });
        }
        described
    }

    fn parameters(&self, endpoint: &Endpoint) -> Vec<Value> {
        let in_path = parameters_of(endpoint.path).map(|name| {
            let schema = json!({ "type": "string", "pattern": (self.pattern)(name) });
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        });
        in_path.chain(endpoint.parameters.iter().cloned()).chain(key(endpoint.rule.key)).collect()
    }

    fn responses(&self, endpoint: &Endpoint) -> Map<String, Value> {
        let is_kept = matches!(endpoint.rule.key, Key::Optional | Key::Required);
        let replayed = is_kept.then_some("idempotent-replayed");
        let of_success: Vec<_> = endpoint.headers.iter().copied().chain(replayed).collect();
        let mut success = json!({ "description": "Success.", "headers": headers(&of_success) });
        if let Some(content) = &endpoint.response {
            success["content"] = content.clone();
        }
        let mut responses = Map::from_iter([(endpoint.success.to_string(), success)]);
        let of_keys: &[u16] = if is_kept { &OF_KEYS } else { &[] };
        for status in endpoint.errors.iter().chain(of_keys).chain(&ALWAYS) {
            let own: &[&str] = match status {
                304 => &["etag"],
                401 => &["www-authenticate"],
                429 | 503 => &["retry-after"],
                _ => &[],
            };
            let mut response = json!({ "description": (self.meaning)(*status), "headers": headers(own) });
            if *status != 304 {
                response["content"] = json_of(reference("ErrorBody"));
            }
            responses.insert(status.to_string(), response);
        }
        responses
    }
}

/// The names of the parameters of a path.
pub(crate) fn parameters_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// A body of JSON.
pub(crate) fn json_of(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// The schema of a type.
pub(crate) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The names of the schemas that a text of a document refers to.
pub(crate) fn references(text: &str) -> impl Iterator<Item = &str> {
    text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next())
}

/// The pattern of ids.
pub(crate) fn id_pattern(prefix: &str) -> String {
    format!("^{prefix}[A-Za-z0-9_-]{{1,100}}$")
}

/// The header with the idempotency key, where the endpoint reads it.
fn key(key: Key) -> Option<Value> {
    let description = match key {
        Key::Ignored => return None,
        Key::Demanded => {
            "A name for this request. It has to be there and is not kept: the request is idempotent by itself."
        }
        Key::Optional | Key::Required => {
            "A name for this request: if it is sent again with the same key, nothing is done, and the answer is the one of \
             the first."
        }
    };
    let most = limits::IDEMPOTENCY_KEY;
    let mut header = json!({
        "name": "idempotency-key",
        "in": "header",
        "description": description,
        "schema": { "type": "string", "minLength": 1, "maxLength": most, "pattern": "^[!-~]+$" },
    });
    if key != Key::Optional {
        header["required"] = json!(true);
    }
    Some(header)
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

/// Lets what these contents may leave out be `null` as well, however deep in them it is.
fn be_lenient<'a>(components: &mut Map<String, Value>, contents: impl Iterator<Item = &'a Value>) {
    let mut lenient = BTreeSet::new();
    let names = |text: &str| references(text).map(str::to_owned).collect::<Vec<_>>();
    let mut found: Vec<_> = contents.flat_map(|content| names(&content.to_string())).collect();
    while let Some(name) = found.pop() {
        if let Some(schema) = components.get_mut(&name)
            && lenient.insert(name)
        {
            found.extend(names(&schema.to_string()));
            allow_null(schema);
        }
    }
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Fails unless each of these operations, by method and path, is in the document, nothing else is, and every reference
    /// leads somewhere.
    pub(crate) fn is_whole<'a>(document: &Value, operations: impl Iterator<Item = (&'a str, &'a str)>) {
        let wanted: BTreeSet<_> = operations.map(|(method, path)| (path, method.to_lowercase())).collect();
        let paths = document["paths"].as_object().unwrap();
        let described = paths.iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (path.as_str(), method.clone()))
        });
        assert_eq!(described.collect::<BTreeSet<_>>(), wanted);
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in references(&text) {
            assert!(schemas.contains_key(name), "{name}");
        }
        assert!(!text.contains("#/$defs/"));
    }

    #[test]
    fn only_what_may_be_left_out_may_be_null() {
        let text = json!({ "type": "string" });
        let of = |properties: Value| json!({ "required": ["a"], "properties": properties });
        let mut components = Map::new();
        components.insert("New".to_owned(), of(json!({ "a": text, "b": reference("Inner") })));
        components.insert(
            "Inner".to_owned(),
            of(json!({ "a": text, "c": { "type": "string", "description": "C." } })),
        );
        components.insert("Other".to_owned(), of(json!({ "b": text })));
        be_lenient(&mut components, [json_of(reference("New"))].iter());
        let nothing = json!({ "type": "null" });
        let b = json!({ "anyOf": [reference("Inner"), nothing] });
        let c = json!({ "anyOf": [text, nothing], "description": "C." });
        assert_eq!(components["New"], of(json!({ "a": text, "b": b })));
        assert_eq!(components["Inner"], of(json!({ "a": text, "c": c })));
        assert_eq!(components["Other"], of(json!({ "b": text })));
    }
}
