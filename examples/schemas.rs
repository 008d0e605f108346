//! Writes one JSON Schema file per public type of the native API, and its OpenAPI 3.1 document, to `docs/schema/`, and
//! those of the API of agent deployments to `docs/schema/nullspace/`.
//!
//! ```text
//! cargo run --bin schemas            # write the files
//! cargo run --bin schemas -- --check # fail when a file is missing, stale or not one of them
//! ```

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use prism_server_core::dialects;
use serde_json::Value;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema");
    let files = files(&directory)?;
    if std::env::args().any(|argument| argument == "--check") {
        return Ok(check(&directory, &files));
    }
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(directory.join("nullspace"))?;
    for (path, content) in &files {
        fs::write(path, content)?;
    }
    println!("wrote {} files", files.len());
    Ok(ExitCode::SUCCESS)
}

/// Every file with its content.
fn files(directory: &Path) -> Result<BTreeMap<PathBuf, String>, serde_json::Error> {
    let mut files = BTreeMap::new();
    let nullspace = directory.join("nullspace");
    for (directory, openapi, schemas) in [
        (directory, dialects::prism::openapi(), prism_types::schema::all()),
        (&nullspace, dialects::nullspace::openapi(), prism_types::schema::nullspace()),
    ] {
        files.insert(directory.join("openapi.json"), pretty(&openapi)?);
        for named in schemas {
            files.insert(directory.join(format!("{}.json", named.name)), pretty(named.schema.as_value())?);
        }
    }
    Ok(files)
}

fn pretty(value: &Value) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Names the files that differ from what the types say.
fn check(directory: &Path, files: &BTreeMap<PathBuf, String>) -> ExitCode {
    let mut stale: Vec<PathBuf> = files
        .iter()
        .filter(|(path, content)| fs::read_to_string(path).ok().as_deref() != Some(content.as_str()))
        .map(|(path, _)| path.clone())
        .collect();
    let directories = [directory.to_owned(), directory.join("nullspace")];
    let present = directories.iter().flat_map(fs::read_dir).flatten().flatten().map(|entry| entry.path());
    stale.extend(present.filter(|path| !files.contains_key(path) && !directories.contains(path)));
    if stale.is_empty() {
        println!("{} files are fresh", files.len());
        return ExitCode::SUCCESS;
    }
    for path in stale {
        eprintln!("{} is stale; run `cargo run --bin schemas`", path.display());
    }
    ExitCode::FAILURE
}
