//! Paths inside a workspace.

use std::{fmt, str::FromStr};

use super::limits;

/// A path relative to the root of a workspace that cannot leave it: no `..`, no `.`, no empty part, no
/// backslash, no NUL, at most 1,024 bytes.
///
/// A leading `/workspace/` or `./` is taken off, so that the path an agent sees inside its sandbox works too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkspacePath(Box<str>);

/// Why a string is not a path of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a path inside the workspace, relative to its root, without `..`, of at most 1024 bytes")]
pub struct InvalidPath;

impl WorkspacePath {
    /// The path, with `/` between its parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkspacePath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let relative = text.strip_prefix("/workspace/").or(text.strip_prefix("./")).unwrap_or(text);
        let fits = !relative.is_empty()
            && relative.len() <= limits::PATH
            && relative.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && !relative.contains(['\\', '\0']);
        if fits { Ok(Self(relative.into())) } else { Err(InvalidPath) }
    }
}

impl fmt::Display for WorkspacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_stay_inside_are_taken() {
        for (given, kept) in [
            ("a", "a"),
            (".prism/skills/x/SKILL.md", ".prism/skills/x/SKILL.md"),
            ("/workspace/notes/a b.md", "notes/a b.md"),
            ("./a", "a"),
            ("...", "..."),
        ] {
            assert_eq!(given.parse::<WorkspacePath>().unwrap().as_str(), kept);
        }
        assert!("a".repeat(1024).parse::<WorkspacePath>().is_ok());
    }

    #[test]
    fn paths_that_could_leave_are_refused() {
        let long = "a".repeat(1025);
        for path in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../a",
            "a/../../b",
            "a/..",
            "a//b",
            "a/",
            "a\\..\\b",
            "a\0b",
            "./../a",
            "/workspace/",
            "/workspace/../etc",
            ".",
            "./.",
            long.as_str(),
        ] {
            assert!(path.parse::<WorkspacePath>().is_err(), "{path:?}");
        }
    }
}
