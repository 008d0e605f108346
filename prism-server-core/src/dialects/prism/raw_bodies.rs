//! What the OpenAPI document says of bodies that are not JSON: those of files. Bytes have no schema (OpenAPI 3.1.1,
//! section 4.8.14.2), and a range of types stands for any type.

use serde_json::{Value, json};

/// Adds the bodies and headers of the endpoints of files to their descriptions.
pub(super) fn describe(operation: &str, described: &mut Value) {
    match operation {
        "read_file" => {
            read(&mut described["responses"]);
            require_path(&mut described["parameters"]);
        }
        "write_file" => {
            described["requestBody"]["description"] =
                json!("JSON with a `path`; or with `path` in the query, the content of the file as it is.");
            described["requestBody"]["content"]["*/*"] = json!({});
            described["responses"]["200"]["headers"]["etag"] = etag();
        }
        "delete_file" => require_path(&mut described["parameters"]),
        _ => {}
    }
}

fn require_path(parameters: &mut Value) {
    let mut parameters = parameters.as_array_mut().into_iter().flatten();
    if let Some(path) = parameters.find(|parameter| parameter["name"] == "path") {
        path["required"] = json!(true);
    }
}

fn read(responses: &mut Value) {
    let whole = &mut responses["200"];
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
    responses["206"] = part;
    responses["416"]["headers"]["content-range"] = header("How many bytes the file has.");
}

fn etag() -> Value {
    header("Names this version of the file; a strong validator.")
}

fn header(description: &str) -> Value {
    json!({ "description": description, "schema": { "type": "string" } })
}
