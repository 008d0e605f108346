//! Environment variables of runs and services.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::Secret;

/// Environment variables for the processes of one run or service, by name.
///
/// Their values are secrets. They travel in requests only: a server gives them to the process, keeps them in no
/// configuration, run, service or event, and answers them never. So a restart needs them again. `Debug` shows the names.
///
/// Values are strings; references to stored secrets are reserved for later, and refused by this version.
///
/// ```
/// use prism_types::nullspace::Envs;
///
/// let envs: Envs = [("MODEL_API_KEY", "canary")].into_iter().collect();
/// assert_eq!(format!("{envs:?}"), r#"{"MODEL_API_KEY"}"#);
/// assert_eq!(envs.get("MODEL_API_KEY").unwrap().expose(), "canary");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Envs(BTreeMap<String, Secret>);

impl Envs {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a variable, in place of an earlier value.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Secret>) {
        self.0.insert(name.into(), value.into());
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }

    /// Whether there is a variable of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<String>, V: Into<Secret>> FromIterator<(N, V)> for Envs {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Envs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Serialize for Envs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(name, value)| (name, value.expose())))
    }
}

impl<'de> Deserialize<'de> for Envs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BTreeMap::<String, serde_json::Value>::deserialize(deserializer)?;
        // serde's own error would quote the value.
        let secret = |(name, value)| match value {
            serde_json::Value::String(value) => Ok((name, Secret::new(value))),
            _ => Err(D::Error::custom(format_args!("the value of {name:?} is not a string"))),
        };
        Ok(Self(values.into_iter().map(secret).collect::<Result<_, D::Error>>()?))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Envs {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Envs".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "additionalProperties": { "type": "string" },
            "writeOnly": true,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Envs;

    #[test]
    fn values_that_are_no_strings_are_refused_and_not_shown() {
        for value in ["4711", "{\"canary\":1}", "[\"canary\"]", "null", "true"] {
            let error =
                serde_json::from_str::<Envs>(&format!(r#"{{"KEY":{value}}}"#)).unwrap_err().to_string();
            assert!(error.contains("\"KEY\" is not a string"), "{error}");
            assert!(!error.contains("canary") && !error.contains("4711"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_no_value_is_printed(
            envs in prop::collection::btree_map("[A-Z_]{1,9}", any::<String>().prop_map(|text| format!("canary{text}")), 0..5)
        ) {
            let envs: Envs = envs.into_iter().collect();
            let json = serde_json::to_string(&envs).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Envs>(&json).unwrap(), &envs);
            let debug = format!("{envs:?} {envs:#?}");
            prop_assert!(!debug.contains("canary"));
        }
    }
}
