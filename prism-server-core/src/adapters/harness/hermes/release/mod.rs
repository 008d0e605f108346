//! The release of the agent that this harness speaks with.
//!
//! The agent's protocol carries no version and parts of it are private, so the release is pinned exactly, and the
//! tests of the harness run against it. What it needs is pinned as well, so that it is the same next year. The image
//! of the agent is built from the same two files.

/// The release.
pub const VERSION: &str = "0.19.0";

/// The package with all that the harness needs, for pip.
pub const REQUIREMENT: &str = "hermes-agent[mcp]==0.19.0";

/// The releases of all that the package needs, as a constraints file of pip.
pub const CONSTRAINTS: &str = include_str!("constraints.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_the_same_everywhere() {
        assert_eq!(REQUIREMENT, format!("hermes-agent[mcp]=={VERSION}"));
        assert!(include_str!("requirements.txt").lines().any(|line| line == REQUIREMENT));
        assert!(CONSTRAINTS.lines().any(|line| line == format!("hermes-agent=={VERSION}")), "{CONSTRAINTS}");
    }
}
