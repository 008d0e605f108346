//! Paths of programs. All of them are text that cannot leave what it is a path of.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::domain::limits;

/// Where the workspace of a sandbox is for the program in it.
const WORKSPACE: &str = "/workspace";

/// The path of an entry of a bundle, relative to the project: no `..`, no `.`, no empty part, no backslash, no NUL, at most
/// 64 parts, 255 bytes a part and 1,024 in all. It is taken as it is written, so that two paths that differ are two places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct BundlePath(Box<str>);

/// Why a string is not the path of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a path inside the project, relative to it, without `..`, `.`, empty parts, backslashes and NUL, of at most 64 \
     parts, 255 bytes a part and 1024 in all"
)]
pub struct InvalidBundlePath;

impl BundlePath {
    /// The path, with `/` between its parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directories above it, from the top.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(end, _)| &self.0[..end])
    }
}

impl FromStr for BundlePath {
    type Err = InvalidBundlePath;

    fn from_str(text: &str) -> Result<Self, InvalidBundlePath> {
        let fits = is_relative(text) && text.split('/').count() <= limits::BUNDLE_DEPTH;
        if fits { Ok(Self(text.into())) } else { Err(InvalidBundlePath) }
    }
}

/// An absolute path in a sandbox, `/workspace` or below it, normalised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SandboxPath(Box<str>);

/// Why a string is not a path in a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an absolute path, `/workspace` or below it, without `..`, `.`, empty parts, backslashes and NUL, such as \
     `/workspace/project`"
)]
pub struct InvalidSandboxPath;

impl SandboxPath {
    /// Where the files of a bundle are, unless it says otherwise.
    pub fn project() -> Self {
        Self("/workspace/project".into())
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path relative to the workspace; empty for the workspace itself.
    pub fn in_workspace(&self) -> &str {
        self.0.strip_prefix(WORKSPACE).unwrap_or_default().trim_start_matches('/')
    }
}

impl FromStr for SandboxPath {
    type Err = InvalidSandboxPath;

    fn from_str(text: &str) -> Result<Self, InvalidSandboxPath> {
        let below = text.strip_prefix(WORKSPACE).ok_or(InvalidSandboxPath)?;
        let fits = below.is_empty() || below.strip_prefix('/').is_some_and(is_relative);
        if fits { Ok(Self(text.into())) } else { Err(InvalidSandboxPath) }
    }
}

/// A path of an output as it is configured: relative to the directory that the program works in, or absolute below
/// `/workspace`; a `/` at its end says that it is a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct OutputPath(Box<str>);

/// Why a string is not a path of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a path relative to the workdir, or one below `/workspace`, without `..`, `.`, empty parts, backslashes and NUL, \
     such as `out/report.pdf`"
)]
pub struct InvalidOutputPath;

impl OutputPath {
    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path relative to the workspace, for a program that works in `workdir`; without a `/` at its end.
    pub fn in_workspace(&self, workdir: &SandboxPath) -> String {
        let path = self.0.trim_end_matches('/');
        match path.strip_prefix(WORKSPACE).and_then(|below| below.strip_prefix('/')) {
            Some(below) => below.to_owned(),
            None => [workdir.in_workspace(), path].join("/").trim_start_matches('/').to_owned(),
        }
    }
}

impl FromStr for OutputPath {
    type Err = InvalidOutputPath;

    fn from_str(text: &str) -> Result<Self, InvalidOutputPath> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let relative = path.strip_prefix(WORKSPACE).and_then(|below| below.strip_prefix('/')).unwrap_or(path);
        if is_relative(relative) { Ok(Self(text.into())) } else { Err(InvalidOutputPath) }
    }
}

fn is_relative(text: &str) -> bool {
    text.len() <= limits::PATH
        && !text.contains(['\\', '\0'])
        && text.split('/').all(|part| !matches!(part, "" | "." | "..") && part.len() <= limits::NAME)
}

/// What every path here has: its text, and that it is read from text.
macro_rules! texts {
    ($($path:ident: $error:ident,)+) => {$(
        impl fmt::Display for $path {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$path> for String {
            fn from(path: $path) -> Self {
                path.0.into()
            }
        }

        impl TryFrom<String> for $path {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }
    )+};
}

texts! {
    BundlePath: InvalidBundlePath,
    SandboxPath: InvalidSandboxPath,
    OutputPath: InvalidOutputPath,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_bundle_stay_in_it_and_are_kept_as_they_are() {
        for path in ["a", "a/b c/ü", "...", "..a", "a..", ".git", "a\nb", "-"] {
            assert_eq!(path.parse::<BundlePath>().unwrap().as_str(), path);
        }
        for path in [
            "", "/", "/a", ".", "..", "./a", "a/.", "a/./b", "../a", "a/../b", "a/..", "a//b", "a/", "a\\b",
            "\0",
        ] {
            assert!(path.parse::<BundlePath>().is_err(), "{path:?}");
        }
        let parents = "a/b/c".parse::<BundlePath>().unwrap();
        assert_eq!(parents.parents().collect::<Vec<_>>(), ["a", "a/b"]);
    }

    #[test]
    fn paths_are_bounded_and_so_are_their_parts() {
        let path = |len: usize| ["a".repeat(255).as_str(); 3].join("/") + "/a/" + &"b".repeat(len - 770);
        assert_eq!((path(1024).len(), path(1025).len()), (1024, 1025));
        assert!(path(1024).parse::<BundlePath>().is_ok() && path(1025).parse::<BundlePath>().is_err());
        assert!(
            "é".repeat(127).parse::<BundlePath>().is_ok() && "é".repeat(128).parse::<BundlePath>().is_err()
        );
    }

    #[test]
    fn paths_in_a_sandbox_are_in_the_workspace() {
        for (path, relative) in
            [("/workspace", ""), ("/workspace/project", "project"), ("/workspace/a/b", "a/b")]
        {
            assert_eq!(path.parse::<SandboxPath>().unwrap().in_workspace(), relative);
        }
        for path in [
            "",
            "/",
            "workspace",
            "project",
            "/workspace/",
            "/workspaces",
            "/workspace/../etc",
            "/workspace/./a",
            "/workspace//a",
            "/workspace/a/",
            "/etc",
            "/workspace/a\\b",
        ] {
            assert!(path.parse::<SandboxPath>().is_err(), "{path:?}");
        }
        assert_eq!(SandboxPath::project().as_str().parse(), Ok(SandboxPath::project()));
    }

    #[test]
    fn outputs_are_relative_to_the_workdir_or_in_the_workspace() {
        let project = SandboxPath::project();
        let root = "/workspace".parse().unwrap();
        for (path, in_project, in_root) in [
            ("out.txt", "project/out.txt", "out.txt"),
            ("out/", "project/out", "out"),
            ("workspace/a", "project/workspace/a", "workspace/a"),
            ("/workspace/a/b", "a/b", "a/b"),
            ("/workspace/a/", "a", "a"),
        ] {
            let output = path.parse::<OutputPath>().unwrap();
            assert_eq!(output.as_str(), path);
            assert_eq!(output.in_workspace(&project), in_project);
            assert_eq!(output.in_workspace(&root), in_root);
        }
        for path in
            ["", "/", ".", "..", "a/../b", "../a", "/workspace", "/workspace/", "/etc/passwd", "a//", "a\\b"]
        {
            assert!(path.parse::<OutputPath>().is_err(), "{path:?}");
        }
    }
}
