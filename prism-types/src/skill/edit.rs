//! Changing the skills of a deployment one by one.

use serde::{Deserialize, Deserializer, Serialize};

use super::{SkillInfo, SkillSource};
use crate::{DeletedStatus, SkillId, UnknownFields, unknown_fields::answer};

/// A skill of a deployment with its content: the answer to `GET .../skills/{skill_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SkillDetails {
    /// What the list tells of it.
    #[serde(flatten)]
    pub info: SkillInfo,
    /// The path of a skill from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The URL of a skill from a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The whole `SKILL.md`, as it was last read; absent until it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl SkillDetails {
    /// A skill and its content.
    pub fn new(info: SkillInfo, content: Option<String>) -> Self {
        Self { info, path: None, url: None, content }
    }

    /// Sets where a skill from a file is, or a skill from a URL; of others nothing.
    #[must_use]
    pub fn location(mut self, location: impl Into<String>) -> Self {
        match self.info.source {
            SkillSource::File => self.path = Some(location.into()),
            SkillSource::Url => self.url = Some(location.into()),
            _ => {}
        }
        self
    }

    /// The fields that this version does not know, as they came.
    pub fn unknown_fields(&self) -> &UnknownFields {
        self.info.unknown_fields()
    }
}

impl<'de> Deserialize<'de> for SkillDetails {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut info = SkillInfo::deserialize(deserializer)?;
        let mut beside = |name| info.unknown_fields.take(name).map(Option::flatten);
        let (path, url, content) = (beside("path")?, beside("url")?, beside("content")?);
        Ok(Self { info, path, url, content })
    }
}

/// The body of `PUT .../skills/{skill_id}`: where the skill comes from now, or nothing to read its source again.
///
/// ```
/// use prism_types::UpdateSkill;
///
/// let update = UpdateSkill::url("https://example.com/skills/effects/SKILL.md");
/// assert_eq!(
///     serde_json::to_string(&update)?,
///     r#"{"source":"url","url":"https://example.com/skills/effects/SKILL.md"}"#,
/// );
/// assert_eq!(serde_json::to_string(&UpdateSkill::again())?, "{}");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct UpdateSkill {
    /// The source, with its own field: `path`, `content` or `url`. Omitted: the source stays, and is read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "SkillSource"))]
    pub source: Option<SkillSource>,
    /// For `file`: the path, relative to the root of the workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", length(min = 1, max = 1024), regex(pattern = r"^[^\u0000]*$"))
    )]
    pub path: Option<String>,
    /// For `inline`: the markdown with its YAML front matter, at most 131,072 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", length(min = 1, max = 131_072), regex(pattern = r"^[^\u0000]*$"))
    )]
    pub content: Option<String>,
    /// For `url`: the `http` or `https` URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(
            with = "String",
            length(max = 2048),
            regex(pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?$")
        )
    )]
    pub url: Option<String>,
}

impl UpdateSkill {
    /// From a file of the workspace from now on.
    pub fn file(path: impl Into<String>) -> Self {
        Self { source: Some(SkillSource::File), path: Some(path.into()), ..Self::default() }
    }

    /// This content from now on.
    pub fn inline(content: impl Into<String>) -> Self {
        Self { source: Some(SkillSource::Inline), content: Some(content.into()), ..Self::default() }
    }

    /// From a URL from now on.
    pub fn url(url: impl Into<String>) -> Self {
        Self { source: Some(SkillSource::Url), url: Some(url.into()), ..Self::default() }
    }

    /// From where it was: a URL is fetched again.
    pub fn again() -> Self {
        Self::default()
    }
}

answer! {
    /// The answer to `DELETE .../skills/{skill_id}`.
    pub struct DeletedSkill {
        /// The skill that is gone.
        pub skill_id: SkillId,
        /// Always `deleted`.
        pub status: DeletedStatus,
    }
}

impl DeletedSkill {
    /// The answer for this skill.
    pub fn new(skill_id: SkillId) -> Self {
        Self { skill_id, status: DeletedStatus::Deleted, unknown_fields: UnknownFields::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SkillState, Timestamp};

    #[test]
    fn details_are_flat_and_name_the_location_of_their_source() {
        let id: SkillId = "skl_1".parse().unwrap();
        for (source, told) in
            [(SkillSource::File, "path"), (SkillSource::Url, "url"), (SkillSource::Inline, "")]
        {
            let info = SkillInfo::new(id.clone(), "a", source, SkillState::Ready, Timestamp::UNIX_EPOCH);
            let details = SkillDetails::new(info, Some("x".to_owned())).location("here");
            let json = serde_json::to_value(&details).unwrap();
            assert_eq!((&json["skill_id"], &json["content"]), (&"skl_1".into(), &"x".into()));
            for field in ["path", "url"] {
                assert_eq!(json.get(field).is_some(), field == told, "{json}");
            }
            assert_eq!(serde_json::from_value::<SkillDetails>(json).unwrap(), details);
        }
    }
}
