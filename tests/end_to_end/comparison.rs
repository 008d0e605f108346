//! What the comparison with others claims is shown by something that is there.

use std::path::Path;

/// The folder of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace")
}

/// The links of a page whose title says what of the file they mean: the file and the title.
fn links(page: &str) -> Vec<(&str, &str)> {
    page.split("](")
        .skip(1)
        .filter_map(|rest| {
            let (target, _) = rest.split_once(')')?;
            let (path, title) = target.split_once(" \"")?;
            Some((path, title.trim_end_matches('"')))
        })
        .collect()
}

#[test]
fn every_claim_has_its_test() {
    let page = std::fs::read_to_string(root().join("docs/comparison.md")).unwrap();
    let links = links(&page);
    assert!(links.len() > 60, "{}", links.len());
    for (path, title) in links {
        let file = root().join("docs").join(path);
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(text.contains(title), "{path} has no {title}");
    }
}
