//! Which types of other crates may be in signatures: a new major version of such a crate is one of ours.

use std::{collections::BTreeSet, error::Error, fs, path::Path};

use serde_json::Value;

/// A path that may be in signatures, and why: a crate, a module or a type.
pub(crate) struct Allowed {
    path: &'static str,
    reason: &'static str,
}

const fn allowed(path: &'static str, reason: &'static str) -> Allowed {
    Allowed { path, reason }
}

pub(crate) const TYPES: &[Allowed] = &[
    allowed("serde_core", "serde's traits, where they are defined"),
    allowed("serde_json::error::Error", "why a text is not JSON, or not the JSON that was asked for"),
    allowed("serde_json::map::Map", "the components of a schema, feature `schema`"),
    allowed("serde_json::value::Value", "the components of a schema, feature `schema`"),
    allowed("schemars", "feature `schema` is for users of schemars"),
];

pub(crate) const CLIENT: &[Allowed] = &[
    allowed("bytes::bytes::Bytes", "the chunks of a file"),
    allowed("futures_core", "`Stream`, until the standard library has it"),
    allowed("http", "requests and answers, as transports and layers see them, and the headers of a webhook"),
    allowed("http_body", "bodies of transports and layers"),
    allowed(
        "reqwest::async_impl::client::Client",
        "`ClientBuilder::http_client` takes one that is set up elsewhere",
    ),
    allowed("serde_core", "serde's traits, where they are defined"),
    allowed("tower_layer", "`Layer`, which middleware is written as"),
    allowed("tower_service", "`Service`, which layers and transports are"),
];

/// What is not foreign.
const OURS: [&str; 5] = ["alloc", "core", "std", "prism_types", "prism_client"];

/// A message for each foreign path that is not allowed, and for each entry that is not needed.
pub(crate) fn problems(
    name: &str,
    lines: &[String],
    exported: &[String],
    allowed: &[Allowed],
) -> Vec<String> {
    let found: BTreeSet<&str> =
        lines.iter().flat_map(|line| paths(line)).filter(|path| is_foreign(path)).collect();
    let found: BTreeSet<&str> = found.into_iter().chain(exported.iter().map(String::as_str)).collect();
    let is_allowed = |path: &str, entry: &Allowed| {
        path.strip_prefix(entry.path).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let strange = found.iter().filter(|path| !allowed.iter().any(|entry| is_allowed(path, entry)));
    let strange = strange.map(|path| format!("{name}: {path} of another crate is in a signature"));
    let unused = allowed.iter().filter(|entry| !found.iter().any(|path| is_allowed(path, entry)));
    let unused = unused.map(|entry| format!("{name}: no signature has {} ({})", entry.path, entry.reason));
    strange.chain(unused).collect()
}

/// What a crate exports of others, which the listing names by its new path only.
pub(crate) fn exported(json: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let json: Value = serde_json::from_str(&fs::read_to_string(json)?)?;
    let items = json["index"].as_object().into_iter().flat_map(|index| index.values());
    let sources = items.filter_map(|item| item["inner"]["use"]["source"].as_str());
    let crates: BTreeSet<&str> = json["external_crates"]
        .as_object()
        .into_iter()
        .flat_map(|crates| crates.values())
        .filter_map(|crate_| crate_["name"].as_str())
        .collect();
    let is_of_another = |source: &&str| crates.contains(source.split("::").next().unwrap_or_default());
    Ok(sources.filter(is_of_another).filter(|source| is_foreign(source)).map(str::to_owned).collect())
}

/// The paths of a line: words with `::` between.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !character.is_alphanumeric() && !['_', ':'].contains(&character))
        .map(|word| word.trim_end_matches(':'))
        .filter(|word| word.contains("::"))
}

/// Generic parameters and `Self` begin with a capital; what follows a `>` begins with `::`.
fn is_foreign(path: &str) -> bool {
    let first = path.split("::").next().unwrap_or_default();
    first.starts_with(|character: char| character.is_ascii_lowercase()) && !OURS.contains(&first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_path_needs_an_entry() {
        let lines =
            ["pub fn prism_types::A::b<T: T::C>(&self, &http::Method) -> <T as bytes::Buf>::D".to_owned()];
        let entries = [allowed("http", "standard"), allowed("bytes::Buf", "standard")];
        assert!(problems("x", &lines, &[], &entries).is_empty());
        assert_eq!(
            problems("x", &lines, &[], &entries[..1]),
            ["x: bytes::Buf of another crate is in a signature"]
        );
    }

    #[test]
    fn an_entry_is_no_prefix_of_a_word() {
        let lines = ["pub fn prism_types::a(http_body::Body)".to_owned()];
        let entries = [allowed("http", "standard")];
        assert_eq!(problems("x", &lines, &[], &entries).len(), 2);
    }

    #[test]
    fn what_is_exported_needs_an_entry() {
        assert_eq!(problems("x", &[], &["http::Method".to_owned()], &[]).len(), 1);
    }
}
