//! Fields of answers that this version does not know.

mod keeping;

use std::{collections::BTreeMap, fmt};

use serde::{
    Serialize, Serializer,
    de::{DeserializeOwned, Error},
};

use crate::RawJson;

/// The fields of an answer that this version does not know.
///
/// Their values are kept byte for byte, and written back after the fields that are known, in the order of their names. Of
/// a field that came twice the last is kept. Servers never set them: they come from the wire only.
///
/// `Debug` tells the names only, because a version that does not know a field does not know whether it is a secret.
///
/// ```
/// use prism_types::Usage;
///
/// let usage: Usage = serde_json::from_str(r#"{"input_tokens":1,"output_tokens":2,"cost":0.50}"#)?;
/// let cost = usage.unknown_fields().get("cost").unwrap();
/// assert_eq!((cost.get(), cost.decode::<f64>()?), ("0.50", 0.5));
/// assert_eq!(serde_json::to_string(&usage)?, r#"{"input_tokens":1,"output_tokens":2,"cost":0.50}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[allow(clippy::box_collection, reason = "one word in every answer, as there are hardly ever such fields")]
pub struct UnknownFields(Option<Box<BTreeMap<String, RawJson>>>);

impl UnknownFields {
    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&RawJson> {
        self.0.as_ref()?.get(name)
    }

    /// All names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawJson)> {
        self.0.iter().flat_map(|fields| fields.iter()).map(|(name, value)| (name.as_str(), value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |fields| fields.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those of something that has none.
    pub(crate) fn none() -> &'static Self {
        static NONE: UnknownFields = UnknownFields(None);
        &NONE
    }

    /// Takes out the fields of whatever the answer lay in.
    pub(crate) fn remove(&mut self, names: &[&str]) {
        let Some(fields) = &mut self.0 else { return };
        fields.retain(|name, _| !names.contains(&name.as_str()));
        if fields.is_empty() {
            self.0 = None;
        }
    }

    pub(crate) fn insert(&mut self, name: String, value: RawJson) {
        self.0.get_or_insert_default().insert(name, value);
    }

    /// Takes out a field and reads it: for an answer that has another one in it, flat, and knows more than that does.
    pub(crate) fn take<T: DeserializeOwned, E: Error>(&mut self, name: &str) -> Result<Option<T>, E> {
        let Some(fields) = &mut self.0 else { return Ok(None) };
        let value = fields.remove(name);
        if fields.is_empty() {
            self.0 = None;
        }
        let read = value.map(|value| value.decode()).transpose();
        read.map_err(|error| {
            // The place is that in the value. For whoever reads the error, it would be that in the answer.
            let place = format!(" at line {} column {}", error.line(), error.column());
            E::custom(format_args!("{name}: {}", error.to_string().trim_end_matches(&place)))
        })
    }
}

impl fmt::Debug for UnknownFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

impl Serialize for UnknownFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// Declares an answer: a struct that keeps the fields that it does not know.
///
/// `Known` is what serde derives the reading of the known fields from. It is private, so that nobody calls that by mistake
/// and loses the others.
macro_rules! answer {
    (
        $(#[$meta:meta])*
        pub struct $name:ident $(<$parameter:ident>)? {
            $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[non_exhaustive]
        pub struct $name $(<$parameter>)? {
            $($(#[$field_meta])* pub $field: $type,)*
            #[serde(flatten)]
            #[cfg_attr(feature = "schema", schemars(skip))]
            pub(crate) unknown_fields: crate::UnknownFields,
        }

        impl $(<$parameter>)? $name $(<$parameter>)? {
            /// The fields that this version does not know, as they came.
            pub fn unknown_fields(&self) -> &crate::UnknownFields {
                &self.unknown_fields
            }
        }

        const _: () = {
            type Answer $(<$parameter>)? = $name $(<$parameter>)?;

            #[derive(serde::Deserialize)]
            #[serde(remote = "Answer")]
            struct Known $(<$parameter>)? {
                $($(#[$field_meta])* $field: $type,)*
                #[serde(skip)]
                unknown_fields: crate::UnknownFields,
            }

            impl<'de $(, $parameter: serde::Deserialize<'de>)?> serde::Deserialize<'de> for Answer $(<$parameter>)? {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let mut unknown_fields = crate::UnknownFields::default();
                    let keeping = crate::unknown_fields::Keeping::new(deserializer, &mut unknown_fields);
                    let known = Known::deserialize(keeping)?;
                    Ok(Self { unknown_fields, ..known })
                }
            }
        };
    };
}

pub(crate) use answer;
pub(crate) use keeping::Keeping;

#[cfg(test)]
mod tests {
    use crate::{Automation, Failure, Page, Run, UnknownFields};

    /// Values that a reader of numbers, strings and maps does not give back as they came.
    const ODD: &str = concat!(
        r#"{"code":"a","message":"b","#,
        r#""0":1e400,"1":1.0,"2":18446744073709551615,"3":12345678901234567890123.50,"4":-0,"5":"\u0061\/","#,
        r#""6":{ "b" : 1, "a":2, "b":3 },"7":[ ],"8":null}"#
    );

    #[test]
    fn values_are_kept_byte_for_byte() {
        let failure: Failure = serde_json::from_str(ODD).unwrap();
        assert_eq!(failure.unknown_fields().len(), 9);
        assert_eq!(serde_json::to_string(&failure).unwrap(), ODD);
        assert_eq!(failure.unknown_fields().get("4").unwrap().get(), "-0");
        assert_eq!(failure.unknown_fields().get("code"), None);
    }

    #[test]
    fn of_a_field_that_came_twice_the_last_is_kept_and_names_are_read_with_their_escapes() {
        let text = r#"{"b":1,"c\u006fde":"a","message":"b","b":2,"a\"":3}"#;
        let failure: Failure = serde_json::from_str(text).unwrap();
        let written = serde_json::to_string(&failure).unwrap();
        assert_eq!(written, r#"{"code":"a","message":"b","a\"":3,"b":2}"#);
    }

    #[test]
    fn a_known_field_that_came_twice_is_an_error() {
        let error = serde_json::from_str::<Failure>(r#"{"code":"a","code":"b","message":"c"}"#).unwrap_err();
        assert!(error.to_string().contains("duplicate field `code`"), "{error}");
    }

    #[test]
    fn values_that_serde_has_read_before_are_kept_as_well() {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Either {
            #[allow(dead_code, reason = "only its form is of interest")]
            Id(u64),
            Failed(Failure),
        }
        let text = r#"{"code":"a","message":"b","more":{"a":[1,2.5]}}"#;
        let Either::Failed(failure) = serde_json::from_str(text).unwrap() else { panic!() };
        assert_eq!(serde_json::to_string(&failure).unwrap(), text);
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::from_value::<Failure>(value.clone()).unwrap(), failure);
        assert_eq!(serde_json::to_value(&failure).unwrap(), value);
    }

    #[test]
    fn debug_tells_names_and_no_values() {
        let failure: Failure = serde_json::from_str(r#"{"code":"a","message":"b","key":"canary"}"#).unwrap();
        let debug = format!("{failure:?}");
        assert!(debug.contains("key") && !debug.contains("canary"), "{debug}");
    }

    #[test]
    fn what_differs_in_them_is_not_equal() {
        let [one, same, other] = ["1", "1", "2"].map(|value| {
            let text = format!(r#"{{"data":[],"next_cursor":null,"total":{value}}}"#);
            serde_json::from_str::<Page<Run>>(&text).unwrap()
        });
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_ne!(one, Page::new(Vec::new(), None));
    }

    #[test]
    fn a_list_of_values_is_no_way_to_lose_them() {
        assert_eq!(serde_json::from_str::<Failure>(r#"["a","b"]"#).unwrap(), Failure::new("a", "b"));
        assert!(serde_json::from_str::<Failure>(r#"["a","b",1]"#).is_err());
    }

    #[test]
    fn fields_of_a_flat_answer_are_set_aside_once() {
        let text = r#"{"automation_id":"auto_1","deployment_id":"dep_1","name":"a","schedule":"@daily","cron":"0 0 * * *",
            "timezone":"UTC","thread_id":"thr_1","enabled":true,"created_at":"2026-06-11T20:55:03Z","more":1e400,
            "instructions":"b"}"#;
        let automation: Automation = serde_json::from_str(text).unwrap();
        assert_eq!(automation.unknown_fields().iter().map(|(name, _)| name).collect::<Vec<_>>(), ["more"]);
        let written = serde_json::to_string(&automation).unwrap();
        assert_eq!(written.matches("1e400").count(), 1, "{written}");
        let error = serde_json::from_str::<Automation>(&text.replace(r#""b""#, "5")).unwrap_err();
        assert!(error.to_string().contains("instructions"), "{error}");
    }

    #[test]
    fn they_cost_one_word() {
        assert_eq!(size_of::<UnknownFields>(), size_of::<usize>());
    }
}
