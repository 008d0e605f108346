//! Skills: `SKILL.md` files that teach an agent.

mod edit;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    Failure, RawJson, SkillId, Timestamp, UnknownFields, UnknownVariant, macros::setters,
    open_enum::open_enum, unknown_fields::answer,
};

pub use edit::{DeletedSkill, SkillDetails, UpdateSkill};

open_enum! {
    /// Where a skill comes from.
    pub enum SkillSource {
        /// A file of the deployment's workspace.
        File = "file",
        /// The request itself.
        Inline = "inline",
        /// A public URL.
        Url = "url",
    }
}

open_enum! {
    /// Whether a skill can be used.
    pub enum SkillState {
        /// The skill was read and is used from the next run on.
        Ready = "ready",
        /// The file is not in the workspace yet; it is looked for before each run.
        Pending = "pending",
        /// The file is there but is not a skill; `error` says why. It is read again before each run.
        Invalid = "invalid",
    }
}

/// A skill of a request: a name and one of three sources.
///
/// ```
/// use prism_types::Skill;
///
/// let skill = Skill::url("effects", "https://example.com/skills/effects/SKILL.md");
/// assert_eq!(
///     serde_json::to_string(&skill)?,
///     r#"{"source":"url","name":"effects","url":"https://example.com/skills/effects/SKILL.md"}"#,
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skill {
    /// A `SKILL.md` in the deployment's workspace.
    #[non_exhaustive]
    File {
        /// The skill's name, unique in the deployment, 1 to 64 characters of `A-Z a-z 0-9 _ -`.
        name: String,
        /// The path, relative to the root of the workspace.
        path: String,
    },
    /// The markdown itself.
    #[non_exhaustive]
    Inline {
        /// The skill's name, unique in the deployment.
        name: String,
        /// The markdown with its YAML front matter (`name`, `description`), at most 131,072 bytes.
        content: String,
    },
    /// A `SKILL.md` fetched from a public URL.
    #[non_exhaustive]
    Url {
        /// The skill's name, unique in the deployment.
        name: String,
        /// The `http` or `https` URL.
        url: String,
    },
    /// A source that this version does not know, kept as it came.
    Unknown(UnknownVariant),
}

impl Skill {
    /// A skill from a file of the workspace.
    pub fn file(name: impl Into<String>, path: impl Into<String>) -> Self {
        Self::File { name: name.into(), path: path.into() }
    }

    /// A skill given in the request.
    pub fn inline(name: impl Into<String>, content: impl Into<String>) -> Self {
        Self::Inline { name: name.into(), content: content.into() }
    }

    /// A skill fetched from a URL.
    pub fn url(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self::Url { name: name.into(), url: url.into() }
    }

    /// The skill's name; `None` for an unknown source.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::File { name, .. } | Self::Inline { name, .. } | Self::Url { name, .. } => Some(name),
            Self::Unknown(_) => None,
        }
    }

    /// Where the skill comes from.
    pub fn source(&self) -> SkillSource {
        match self {
            Self::File { .. } => SkillSource::File,
            Self::Inline { .. } => SkillSource::Inline,
            Self::Url { .. } => SkillSource::Url,
            Self::Unknown(unknown) => unknown.tag().into(),
        }
    }
}

/// The known members, as serde and schemars see them.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "source", rename_all = "snake_case", deny_unknown_fields)]
enum KnownSkill {
    /// A `SKILL.md` in the deployment's workspace.
    File {
        #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$")))]
        name: String,
        #[cfg_attr(
            feature = "schema",
            schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\u0000]*$"))
        )]
        path: String,
    },
    /// The markdown itself.
    Inline {
        #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$")))]
        name: String,
        #[cfg_attr(
            feature = "schema",
            schemars(length(min = 1, max = 131_072), regex(pattern = r"^[^\u0000]*$"))
        )]
        content: String,
    },
    /// A `SKILL.md` fetched from a public URL.
    Url {
        #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$")))]
        name: String,
        #[cfg_attr(
            feature = "schema",
            schemars(
                length(max = 2048),
                regex(pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?$")
            )
        )]
        url: String,
    },
}

impl Serialize for Skill {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.clone() {
            Self::File { name, path } => KnownSkill::File { name, path }.serialize(serializer),
            Self::Inline { name, content } => KnownSkill::Inline { name, content }.serialize(serializer),
            Self::Url { name, url } => KnownSkill::Url { name, url }.serialize(serializer),
            Self::Unknown(unknown) => unknown.raw().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Skill {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Tag {
            source: String,
        }
        let raw = RawJson::deserialize(deserializer)?;
        let error = serde::de::Error::custom;
        let Tag { source } = raw.decode().map_err(error)?;
        if !SkillSource::from(source.as_str()).is_known() {
            return Ok(Self::Unknown(UnknownVariant::new(source, raw)));
        }
        Ok(match raw.decode().map_err(error)? {
            KnownSkill::File { name, path } => Self::File { name, path },
            KnownSkill::Inline { name, content } => Self::Inline { name, content },
            KnownSkill::Url { name, url } => Self::Url { name, url },
        })
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Skill {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Skill".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        KnownSkill::json_schema(generator)
    }
}

answer! {
    /// A skill of a deployment, as it is listed.
    pub struct SkillInfo {
        /// The skill's id.
        pub skill_id: SkillId,
        /// The skill's name.
        pub name: String,
        /// Where it comes from.
        pub source: SkillSource,
        /// Whether it can be used.
        pub state: SkillState,
        /// What its front matter says it is for; absent until it was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub description: Option<String>,
        /// Why the state is `invalid`; absent otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error: Option<Failure>,
        /// When it was added.
        pub created_at: Timestamp,
    }
}

impl SkillInfo {
    /// A row of the list.
    pub fn new(
        skill_id: SkillId,
        name: impl Into<String>,
        source: SkillSource,
        state: SkillState,
        created_at: Timestamp,
    ) -> Self {
        Self {
            skill_id,
            name: name.into(),
            source,
            state,
            description: None,
            error: None,
            created_at,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(SkillInfo {
    /// Sets the description.
    description: Option<String>,
    /// Sets the reason of the state `invalid`.
    error: Option<Failure>,
});

answer! {
    /// The answer to `GET /v1/deployments/{deployment_id}/skills`: at most 20, so there are no pages.
    pub struct SkillList {
        /// The skills in the order in which they were given.
        pub data: Vec<SkillInfo>,
    }
}

impl SkillList {
    /// A list of these skills.
    pub fn new(data: Vec<SkillInfo>) -> Self {
        Self { data, unknown_fields: UnknownFields::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_source_survives_a_round_trip_byte_for_byte() {
        let text = r#"{ "name":"x", "source":"git",  "rev": 1e2 }"#;
        let skill: Skill = serde_json::from_str(text).unwrap();
        assert_eq!(skill.source().as_str(), "git");
        assert_eq!(serde_json::to_string(&skill).unwrap(), text);
    }

    #[test]
    fn a_malformed_known_source_is_an_error_and_not_an_unknown_one() {
        let error = serde_json::from_str::<Skill>(r#"{"name":"x","source":"url"}"#).unwrap_err();
        assert!(error.to_string().contains("url"), "{error}");
    }
}
