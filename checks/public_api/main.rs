//! Writes what the crates of clients offer, one item a line, to `public-api.txt` of each crate, so that a change of it
//! is a difference to look at; and holds their signatures against the list of foreign types that may be in them.
//!
//! ```text
//! cargo run --bin public-api            # write the files
//! cargo run --bin public-api -- --check # fail when a file is missing or stale
//! ```
//!
//! The text is made from rustdoc's JSON. That form is unstable and belongs to one version of Rust: a newer toolchain
//! may need a newer `public-api`, and may write the same interface in other words.

mod foreign;
mod listing;
mod rustdoc;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use foreign::{Allowed, CLIENT, TYPES};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if let Some(status) = rustdoc::stand_in() {
        return status;
    }
    let check = std::env::args().any(|argument| argument == "--check");
    let mut problems = Vec::new();
    for (name, allowed) in [("prism-types", TYPES), ("prism-client", CLIENT)] {
        problems.extend(look_at(name, allowed, check)?);
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes or checks the text of one crate, and says what is wrong with it.
fn look_at(name: &str, allowed: &[Allowed], check: bool) -> Result<Vec<String>, Box<dyn Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    let json = rustdoc::json(name, &directory)?;
    let lines = listing::lines(&json)?;
    let mut problems = foreign::problems(name, &lines, &foreign::exported(&json)?, allowed);
    let path = directory.join("public-api.txt");
    let text = lines.join("\n") + "\n";
    if check {
        problems.extend(difference(&path, &text).map(|difference| {
            format!("{difference}\n{name}/public-api.txt is stale; run `cargo run --bin public-api`")
        }));
    } else {
        fs::write(&path, &text)?;
    }
    println!("{name}: {} lines", lines.len());
    Ok(problems)
}

/// The lines that are only in one of the file and the text, where they differ.
fn difference(path: &PathBuf, text: &str) -> Option<String> {
    let kept = fs::read_to_string(path).unwrap_or_default();
    if kept == text {
        return None;
    }
    let lost =
        kept.lines().filter(|line| !text.lines().any(|other| other == *line)).map(|line| format!("- {line}"));
    let new =
        text.lines().filter(|line| !kept.lines().any(|other| other == *line)).map(|line| format!("+ {line}"));
    Some(lost.chain(new).take(40).collect::<Vec<_>>().join("\n"))
}
