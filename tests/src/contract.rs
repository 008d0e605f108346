//! The OpenAPI document is true: every request and answer that goes through a router is held against it.
//!
//! | what | has to be |
//! |---|---|
//! | a status | documented for the operation |
//! | the type of a body | documented for the status |
//! | JSON of an answer | as its schema says |
//! | a header of an answer | documented for the status, or one of HTTP itself |
//! | a body and a query that were taken | as their schemas say |
//!
//! An answer that breaks the contract is replaced by one with the status 599 that tells why, so that the test that caused
//! it fails. A body that is refused may well fit its schema: some rules cannot be said in one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request},
    http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use jsonschema::Validator;
use serde_json::{Value, json};

/// Longest request that is held against its schema; none that is taken is longer.
const LONGEST: usize = 8 << 20;
/// Headers that any HTTP answer can have.
const OF_HTTP: [&str; 6] = [
    "cache-control",
    "content-length",
    "content-type",
    "vary",
    "x-accel-buffering",
    "x-content-type-options",
];

static DOCUMENT: LazyLock<Value> = LazyLock::new(prism_server_core::dialects::prism::openapi);
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// The router, with everything that goes through it held against the document.
pub fn checked(router: Router) -> Router {
    router.layer(middleware::from_fn(check))
}

async fn check(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let operation = path.and_then(|path| operation(&path, &parts.method));
    let (method, uri, headers) = (parts.method.clone(), parts.uri.clone(), parts.headers.clone());
    let taken = Arc::new(Mutex::new(Vec::new()));
    let answer = next.run(Request::from_parts(parts, noted(body, taken.clone()))).await;

    let Some(operation) = operation else { return answer };
    let (head, body) = answer.into_parts();
    let is_json = content_type(&head.headers) == Some("application/json");
    let (bytes, body) = if is_json {
        let bytes = body.collect().await.unwrap().to_bytes();
        (Some(bytes.clone()), Body::from(bytes))
    } else {
        (None, body)
    };
    let answered = answer_fits(operation, head.status, &head.headers, bytes.as_ref());
    let fits = answered.and_then(|()| {
        if !head.status.is_success() {
            return Ok(());
        }
        query_fits(operation, uri.query().unwrap_or_default())?;
        request_fits(operation, &headers, &taken.lock().unwrap())
    });
    match fits {
        Ok(()) => Response::from_parts(head, body),
        Err(breach) => {
            let breach = format!("{method} {} -> {}: {breach}", uri.path(), head.status);
            eprintln!("not as documented: {breach}");
            (StatusCode::from_u16(599).unwrap(), breach).into_response()
        }
    }
}

fn operation(path: &str, method: &Method) -> Option<&'static Value> {
    DOCUMENT["paths"].get(path)?.get(method.as_str().to_lowercase())
}

/// The body, whose beginning is noted as it is read.
fn noted(body: Body, taken: Arc<Mutex<Vec<u8>>>) -> Body {
    Body::from_stream(body.into_data_stream().inspect(move |piece| {
        let mut taken = taken.lock().unwrap();
        if let Ok(piece) = piece
            && taken.len() + piece.len() <= LONGEST
        {
            taken.extend_from_slice(piece);
        }
    }))
}

fn answer_fits(
    operation: &Value,
    status: StatusCode,
    headers: &HeaderMap,
    body: Option<&Bytes>,
) -> Result<(), String> {
    let documented = operation["responses"].get(status.as_str()).ok_or("the status is not documented")?;
    for name in headers.keys().map(|name| name.as_str()) {
        if documented["headers"].get(name).is_none() && !OF_HTTP.contains(&name) {
            return Err(format!("the header {name} is not documented"));
        }
    }
    let Some(content) = documented["content"].as_object() else {
        return if body.is_some() { Err("a body is not documented".to_owned()) } else { Ok(()) };
    };
    let kind = content_type(headers).unwrap_or_default();
    // A range of types stands for files, which can be of any, and have no schema.
    if content.contains_key("*/*") {
        return Ok(());
    }
    let media = content.get(kind).ok_or_else(|| format!("the type {kind:?} is not documented"))?;
    match body {
        Some(body) => {
            let value = serde_json::from_slice(body).map_err(|error| format!("no JSON: {error}"))?;
            fits(&media["schema"], &value, "the answer")
        }
        None => Ok(()),
    }
}

fn request_fits(operation: &Value, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let Some(content) = operation["requestBody"]["content"].as_object() else { return Ok(()) };
    let of_nothing = if content.contains_key("*/*") { "*/*" } else { "application/json" };
    let kind = content_type(headers).unwrap_or(of_nothing);
    let is_json = kind == "application/json" || kind.ends_with("+json");
    let media = if is_json { content.get("application/json") } else { content.get("*/*") };
    let media = media.ok_or_else(|| format!("a request of the type {kind:?} is not documented"))?;
    if !is_json || body.is_empty() {
        return Ok(());
    }
    let value = serde_json::from_slice(body).map_err(|error| format!("the request was no JSON: {error}"))?;
    fits(&media["schema"], &value, "the request")
}

fn query_fits(operation: &Value, query: &str) -> Result<(), String> {
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
    let of_query: BTreeMap<_, _> =
        of_query.map(|parameter| (parameter["name"].as_str().unwrap(), &parameter["schema"])).collect();
    let url = reqwest::Url::parse(&format!("http://prism/?{query}")).unwrap();
    for (name, text) in url.query_pairs() {
        let schema = of_query.get(&*name).ok_or_else(|| format!("the parameter {name} is not documented"))?;
        let is_text = schema["type"] == "string";
        let value = if is_text { json!(text) } else { serde_json::from_str(&text).unwrap_or(json!(text)) };
        fits(schema, &value, "a parameter")?;
    }
    Ok(())
}

fn fits(schema: &Value, value: &Value, what: &str) -> Result<(), String> {
    let validator = validator(schema);
    let breaches: Vec<_> = validator.iter_errors(value).take(3).map(|e| e.to_string()).collect();
    if breaches.is_empty() { Ok(()) } else { Err(format!("{what} does not fit its schema: {breaches:?}")) }
}

fn validator(schema: &Value) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap();
    let validator = validators.entry(schema.to_string()).or_insert_with(|| {
        let mut whole = schema.clone();
        whole["components"] = DOCUMENT["components"].clone();
        Arc::new(jsonschema::draft202012::new(&whole).unwrap())
    });
    validator.clone()
}

/// The type without its parameters.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(method: &str) -> &'static Value {
        operation("/v1/deployments/{deployment_id}", &method.parse().unwrap()).unwrap()
    }

    #[test]
    fn what_is_not_as_documented_is_found() {
        let json: HeaderMap = [(CONTENT_TYPE, "application/json".parse().unwrap())].into_iter().collect();
        let answer = |status: u16, headers: &HeaderMap, body: &'static str| {
            let body = Bytes::from_static(body.as_bytes());
            answer_fits(deployment("GET"), StatusCode::from_u16(status).unwrap(), headers, Some(&body))
        };
        assert!(answer(404, &json, r#"{"error":"not_found","message":"No"}"#).is_ok());
        assert!(answer(418, &json, "{}").unwrap_err().contains("status"));
        assert!(answer(404, &json, r#"{"error":"not_found"}"#).unwrap_err().contains("message"));
        assert!(answer(404, &json, "x").unwrap_err().contains("no JSON"));
        assert!(answer(200, &json, "{}").unwrap_err().contains("deployment_id"));
        let mut odd = json.clone();
        odd.insert("x-odd", "1".parse().unwrap());
        assert!(answer(404, &odd, r#"{"error":"a","message":"b"}"#).unwrap_err().contains("x-odd"));
        let text: HeaderMap = [(CONTENT_TYPE, "text/html".parse().unwrap())].into_iter().collect();
        assert!(answer(404, &text, "{}").unwrap_err().contains("text/html"));

        assert!(request_fits(deployment("PATCH"), &json, br#"{"name":"A"}"#).is_ok());
        assert!(request_fits(deployment("PATCH"), &json, br#"{"nam":"A"}"#).is_err());
        assert!(query_fits(deployment("DELETE"), "retain_filesystem=false").is_ok());
        assert!(query_fits(deployment("DELETE"), "retain_filesystem=1").is_err());
        assert!(query_fits(deployment("DELETE"), "x=1").unwrap_err().contains("not documented"));
    }
}
