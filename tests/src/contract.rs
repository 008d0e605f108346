//! The OpenAPI documents are true: every request and answer that goes through a router is held against the one that has its
//! path. What none has is passed on as it is.
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
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use jsonschema::Validator;
use prism_server_core::dialects;
use serde_json::{Value, json};

/// Longest request that is held against its schema; none that is taken is longer.
const LONGEST: usize = 32 << 20;
/// Headers that any HTTP answer can have.
const OF_HTTP: [&str; 9] = [
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "sec-websocket-accept",
    "upgrade",
    "vary",
    "x-accel-buffering",
    "x-content-type-options",
];

static DOCUMENTS: LazyLock<[Value; 2]> =
    LazyLock::new(|| [dialects::prism::openapi(), dialects::nullspace::openapi()]);
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// What a document says of an operation.
#[derive(Clone, Copy)]
struct Documented {
    operation: &'static Value,
    document: &'static Value,
}

/// The router, with everything that goes through it held against the documents.
pub fn checked(router: Router) -> Router {
    router.layer(middleware::from_fn(check))
}

async fn check(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let documented = documented(parts.uri.path(), &parts.method);
    let (method, uri, headers) = (parts.method.clone(), parts.uri.clone(), parts.headers.clone());
    let taken = Arc::new(Mutex::new(Vec::new()));
    let answer = next.run(Request::from_parts(parts, noted(body, taken.clone()))).await;

    let Some(documented) = documented else { return answer };
    let (head, body) = answer.into_parts();
    let is_json = content_type(&head.headers) == Some("application/json");
    let (bytes, body) = if is_json {
        let bytes = body.collect().await.unwrap().to_bytes();
        (Some(bytes.clone()), Body::from(bytes))
    } else {
        (None, body)
    };
    let answered = answer_fits(documented, head.status, &head.headers, bytes.as_ref());
    let fits = answered.and_then(|()| {
        if !head.status.is_success() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        query_fits(documented, uri.query().unwrap_or_default())?;
        request_fits(documented, &headers, &taken.lock().unwrap())
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

/// The operation at a path: of several that fit, the one with the fewest parameters.
fn documented(path: &str, method: &Method) -> Option<Documented> {
    let of_document = |document: &'static Value| {
        let paths = document["paths"].as_object().unwrap().iter();
        paths
            .filter(|(template, _)| leads_to(template, path))
            .map(move |(template, methods)| (template.matches('{').count(), methods, document))
    };
    let (_, methods, document) = DOCUMENTS.iter().flat_map(of_document).min_by_key(|(count, ..)| *count)?;
    Some(Documented { operation: methods.get(method.as_str().to_lowercase())?, document })
}

fn leads_to(template: &str, path: &str) -> bool {
    let fits = |(part, given): (&str, &str)| part == given || (part.starts_with('{') && !given.is_empty());
    template.split('/').count() == path.split('/').count()
        && template.split('/').zip(path.split('/')).all(fits)
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
    documented: Documented,
    status: StatusCode,
    headers: &HeaderMap,
    body: Option<&Bytes>,
) -> Result<(), String> {
    let response = documented.operation["responses"].get(status.as_str());
    let response = response.ok_or("the status is not documented")?;
    for name in headers.keys().map(|name| name.as_str()) {
        if response["headers"].get(name).is_none() && !OF_HTTP.contains(&name) {
            return Err(format!("the header {name} is not documented"));
        }
    }
    let Some(content) = response["content"].as_object() else {
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
            fits(documented.document, &media["schema"], &value, "the answer")
        }
        None => Ok(()),
    }
}

fn request_fits(documented: Documented, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let content = documented.operation["requestBody"]["content"].as_object();
    let Some(content) = content else { return Ok(()) };
    let of_nothing = if content.contains_key("*/*") { "*/*" } else { "application/json" };
    let kind = content_type(headers).unwrap_or(of_nothing);
    let is_json = kind == "application/json" || kind.ends_with("+json");
    let kind_of_media = if is_json { "application/json" } else { kind };
    let media = content.get(kind_of_media).or_else(|| content.get("*/*").filter(|_| !is_json));
    let media = media.ok_or_else(|| format!("a request of the type {kind:?} is not documented"))?;
    if !is_json || body.is_empty() {
        return Ok(());
    }
    let value = serde_json::from_slice(body).map_err(|error| format!("the request was no JSON: {error}"))?;
    fits(documented.document, &media["schema"], &value, "the request")
}

fn query_fits(documented: Documented, query: &str) -> Result<(), String> {
    let parameters = documented.operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
    let of_query: BTreeMap<_, _> =
        of_query.map(|parameter| (parameter["name"].as_str().unwrap(), &parameter["schema"])).collect();
    let url = reqwest::Url::parse(&format!("http://prism/?{query}")).unwrap();
    for (name, text) in url.query_pairs() {
        let schema = of_query.get(&*name).ok_or_else(|| format!("the parameter {name} is not documented"))?;
        let is_text = schema["type"] == "string";
        let value = if is_text { json!(text) } else { serde_json::from_str(&text).unwrap_or(json!(text)) };
        fits(documented.document, schema, &value, "a parameter")?;
    }
    Ok(())
}

fn fits(document: &Value, schema: &Value, value: &Value, what: &str) -> Result<(), String> {
    let validator = validator(document, schema);
    let breaches: Vec<_> = validator.iter_errors(value).take(3).map(|e| e.to_string()).collect();
    if breaches.is_empty() { Ok(()) } else { Err(format!("{what} does not fit its schema: {breaches:?}")) }
}

fn validator(document: &Value, schema: &Value) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap();
    // Some names are in both documents, each with a schema of its own.
    let name = format!("{} {schema}", document["info"]["title"]);
    let validator = validators.entry(name).or_insert_with(|| {
        let mut whole = schema.clone();
        whole["components"] = document["components"].clone();
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

    fn deployment(method: &str) -> Documented {
        documented("/v1/deployments/dep_1", &method.parse().unwrap()).unwrap()
    }

    #[test]
    fn an_operation_is_found_by_its_path() {
        let id = |method: &str, path: &str| {
            let found = documented(path, &method.parse().unwrap());
            found.map(|found| found.operation["operationId"].as_str().unwrap())
        };
        assert_eq!(id("GET", "/v1/agent-deployments"), Some("list_agent_deployments"));
        assert_eq!(id("GET", "/v1/sandboxes/sb_1/file"), Some("read_sandbox_file"));
        assert_eq!(id("GET", "/v1/deployments/dep_1/files/content"), Some("read_file"));
        for (method, path) in [("PUT", "/v1/deployments"), ("GET", "/v1/deployments/"), ("GET", "/healthz")] {
            assert_eq!(id(method, path), None, "{method} {path}");
        }
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
        // The other API has errors of the same name and another form.
        let program = documented("/v1/agent-deployments/adpl_1", &Method::GET).unwrap();
        let of_program = |body: &'static str| {
            answer_fits(program, StatusCode::NOT_FOUND, &json, Some(&Bytes::from_static(body.as_bytes())))
        };
        assert!(of_program(r#"{"error":"No","code":"not_found"}"#).is_ok());
        assert!(of_program(r#"{"code":"not_found"}"#).unwrap_err().contains("error"));
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
