//! Pages of lists.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    UnknownFields,
    macros::{setters, string_on_the_wire},
    unknown_fields::answer,
};

/// An opaque place in a list. It comes from [`Page::next_cursor`] and is only ever handed back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(Box<str>);

impl Cursor {
    /// The cursor as it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Cursor {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Cursor {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl FromStr for Cursor {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.into())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_on_the_wire!(Cursor, schema: schemars::json_schema!({ "type": "string" }));

answer! {
    /// A page of a list.
    pub struct Page<T> {
        /// The items.
        pub data: Vec<T>,
        /// Where the next page starts; `null` on the last one. A page may be empty and still not be the last.
        pub next_cursor: Option<Cursor>,
    }
}

impl<T> Page<T> {
    /// A page.
    pub fn new(data: Vec<T>, next_cursor: Option<Cursor>) -> Self {
        Self { data, next_cursor, unknown_fields: UnknownFields::default() }
    }
}

/// The query of a list without filters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ListPage {
    /// How many to answer at most, 1 to 100. Default: 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

setters!(ListPage {
    /// How many to answer at most.
    limit?: u32,
    /// Where to go on.
    cursor?: Cursor,
});
