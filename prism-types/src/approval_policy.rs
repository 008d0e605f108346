//! Which tools need the approval of a human, and for how long a question waits.

use serde::{Deserialize, Serialize};

use crate::macros::setters;

/// What an agent must not do without a human, besides what it finds dangerous itself.
///
/// A pattern is the name of a built-in tool, or `SERVER/TOOL` for tools of MCP servers. `*` stands for any
/// characters, also none; there are no other wildcards.
///
/// ```
/// use prism_types::ApprovalPolicy;
///
/// let policy = ApprovalPolicy::new(["shell", "*/publish_*"]).timeout_seconds(3600_u32);
/// assert_eq!(
///     serde_json::to_string(&policy)?,
///     r#"{"tools":["shell","*/publish_*"],"timeout_seconds":3600}"#,
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ApprovalPolicy {
    /// The tools each call of which needs an approval, at most 50 patterns of at most 320 characters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = 50), inner(length(min = 1, max = 320), regex(pattern = r"^[^\u0000]*$")))
    )]
    pub tools: Vec<String>,
    /// After how many seconds a question of this deployment is denied when nobody answers, 1 to 2,592,000 (30
    /// days); omitted: as the server says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 2_592_000)))]
    pub timeout_seconds: Option<u32>,
}

impl ApprovalPolicy {
    /// Each call of these tools needs an approval.
    pub fn new<T: Into<String>>(tools: impl IntoIterator<Item = T>) -> Self {
        Self { tools: tools.into_iter().map(Into::into).collect(), timeout_seconds: None }
    }
}

setters!(ApprovalPolicy {
    /// Sets after how many seconds a question is denied when nobody answers.
    timeout_seconds?: u32,
});
