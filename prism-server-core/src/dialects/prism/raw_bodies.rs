//! What the OpenAPI document says of the bodies that are not JSON: those of files.

use serde_json::{Value, json};

/// Adds the bodies and headers of the endpoints of files to their descriptions.
pub(super) fn describe(operation: &str, described: &mut Value) {
    let required: &[&str] = match operation {
        "read_file" => {
            read(&mut described["responses"]);
            &["path"]
        }
        "write_file" => {
            // Of any type; this is the one that says nothing.
            described["requestBody"]["content"]["application/octet-stream"] = json!({});
            described["requestBody"]["description"] =
                json!("With `path` in the query, the content of the file as it is. Without, JSON with a `path`.");
            described["responses"]["200"]["headers"]["etag"] = etag();
            &[]
        }
        "delete_file" => &["path"],
        _ => &[],
    };
    for parameter in described["parameters"].as_array_mut().into_iter().flatten() {
        if required.iter().any(|name| parameter["name"] == *name) {
            parameter["required"] = json!(true);
        }
    }
}

fn read(responses: &mut Value) {
    let whole = &mut responses["200"];
    // Bytes have no schema (OpenAPI 3.1.1, section 4.8.14.2).
    whole["content"] = json!({ "*/*": {} });
    for (name, description) in [
        ("accept-ranges", "Always `bytes`."),
        ("content-disposition", "Has the file saved under its name."),
        ("content-security-policy", "Has a browser run nothing of it."),
        ("x-content-type-options", "Always `nosniff`."),
    ] {
        whole["headers"][name] = header(description);
    }
    whole["headers"]["etag"] = etag();
    let mut part = whole.clone();
    part["description"] = json!("A range of the file.");
    part["headers"]["content-range"] = header("Which bytes these are, and how many the file has.");
    let id = whole["headers"]["x-request-id"].clone();
    let unchanged = json!({
        "description": "The file is the one that `If-None-Match` names.",
        "headers": { "x-request-id": id, "etag": etag() },
    });
    responses["206"] = part;
    responses["304"] = unchanged;
    responses["416"]["headers"]["content-range"] = header("How many bytes the file has.");
}

fn etag() -> Value {
    header("Names this version of the file; a strong validator.")
}

fn header(description: &str) -> Value {
    json!({ "description": description, "schema": { "type": "string" } })
}
