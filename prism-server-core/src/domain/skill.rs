//! Skills of deployments, and the reading of `SKILL.md` files.

use prism_types::{DeploymentId, Failure, SkillId, SkillSource, Timestamp};
use serde::Deserialize;

use super::{limits, words};

/// A skill of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct SkillRecord {
    /// Its id.
    pub id: SkillId,
    /// The deployment it belongs to.
    pub deployment_id: DeploymentId,
    /// Its name, unique in the deployment.
    pub name: String,
    /// Where it comes from.
    pub source: SkillSource,
    /// The path or URL of the source; empty for an inline skill.
    pub location: String,
    /// Whether it can be used.
    pub state: SkillState,
    /// What its front matter says it is for.
    pub description: Option<String>,
    /// The whole file, once it was read.
    pub content: Option<String>,
    /// Why the state is `invalid`.
    pub error: Option<Failure>,
    /// When it was added.
    pub created_at: Timestamp,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

words! {
    /// Whether a skill can be used.
    pub enum SkillState {
        /// It was read.
        Ready = "ready",
        /// Its file is not in the workspace yet.
        Pending = "pending",
        /// Its file is there but is not a skill.
        Invalid = "invalid",
    }
}

/// The front matter of a `SKILL.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkillFile {
    /// `name`: what the file calls itself.
    pub name: String,
    /// `description`: what the skill is for.
    pub description: String,
}

/// Why a file is not a skill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSkillFile {
    /// It is too long.
    #[error("the file is longer than {} bytes", limits::SKILL_FILE)]
    TooLong,
    /// It has no front matter.
    #[error("the file must start with YAML front matter between two lines of `---`")]
    NoFrontMatter,
    /// The front matter is not YAML with a name and a description.
    #[error("the front matter is not valid: {0}")]
    FrontMatter(String),
}

/// Reads the front matter of a `SKILL.md`.
///
/// # Errors
/// When the file is too long, has no front matter, or the front matter lacks a text `name` or `description`.
pub fn parse_skill_file(content: &str) -> Result<SkillFile, InvalidSkillFile> {
    #[derive(Deserialize)]
    struct FrontMatter {
        name: String,
        description: String,
    }
    if content.len() > limits::SKILL_FILE {
        return Err(InvalidSkillFile::TooLong);
    }
    let yaml = front_matter(content).ok_or(InvalidSkillFile::NoFrontMatter)?;
    let invalid = |message: &str| InvalidSkillFile::FrontMatter(message.to_owned());
    let front: FrontMatter = serde_saphyr::from_str_with_options(yaml, yaml_options())
        .map_err(|error| invalid(&first_line(&error.to_string())))?;
    for (field, value) in [("name", &front.name), ("description", &front.description)] {
        if value.trim().is_empty() {
            return Err(invalid(&format!("`{field}` must not be empty")));
        }
    }
    Ok(SkillFile { name: front.name, description: front.description })
}

/// The text between the first line, `---`, and the next line that is `---`.
fn front_matter(content: &str) -> Option<&str> {
    let content = content.strip_prefix('\u{feff}').unwrap_or(content);
    let (first, body) = content.split_once('\n')?;
    if first.trim_end() != "---" {
        return None;
    }
    let mut end = 0;
    for line in body.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return body.get(..end);
        }
        end += line.len();
    }
    None
}

/// A budget far above any honest front matter and far below what an alias bomb needs.
fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! { budget: serde_saphyr::budget! { max_nodes: 1000, max_events: 5000 } }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sample_is_a_skill() {
        let content = "---\nname: storyboarding\ndescription: Create shot-by-shot storyboards\n---\n# Storyboarding\n...";
        let file = parse_skill_file(content).unwrap();
        assert_eq!(file.name, "storyboarding");
        assert_eq!(file.description, "Create shot-by-shot storyboards");
    }

    #[test]
    fn windows_line_ends_a_byte_order_mark_and_other_keys_are_fine() {
        let content = "\u{feff}---\r\nname: a\r\nlicense: MIT\r\ndescription: b\r\n---\r\n";
        assert_eq!(parse_skill_file(content).unwrap().name, "a");
    }

    #[test]
    fn the_limit_is_128_kib() {
        let head = "---\nname: a\ndescription: b\n---\n";
        let fill = |len: usize| format!("{head}{}", "x".repeat(len - head.len()));
        assert!(parse_skill_file(&fill(limits::SKILL_FILE)).is_ok());
        assert_eq!(parse_skill_file(&fill(limits::SKILL_FILE + 1)), Err(InvalidSkillFile::TooLong));
    }

    #[test]
    fn other_files_are_refused_with_the_reason() {
        for (content, reason) in [
            ("", "must start with"),
            ("# Title", "must start with"),
            ("---\nname: a\n", "must start with"),
            ("---\nname: a\n---\n", "description"),
            ("---\nname: a\ndescription: ''\n---\n", "description"),
            ("---\nname: [a]\ndescription: b\n---\n", "front matter"),
            ("---\n: : :\n---\n", "front matter"),
        ] {
            let error = parse_skill_file(content).unwrap_err().to_string();
            assert!(error.contains(reason), "{content:?}: {error}");
        }
    }

    #[test]
    fn an_alias_bomb_is_refused_quickly() {
        let mut yaml = "---\na0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let last = level - 1;
            yaml.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{last}"); 9].join(",")));
        }
        yaml.push_str("name: a\ndescription: b\n---\n");
        assert!(matches!(parse_skill_file(&yaml), Err(InvalidSkillFile::FrontMatter(_))));
    }
}
