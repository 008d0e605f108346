//! Reads a payload out of an object, with the fields that this version does not know.
//!
//! serde's `flatten` would do the same, but it copies every field of every event into a buffer first.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, Visitor},
};

/// Implements `Deserialize` for a payload with a field `unknown`: first the fields that must be there, then
/// those that may be absent.
macro_rules! read_fields {
    ($type:ident { $($required:ident),*; $($optional:ident),* }) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;

                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<$type, A::Error> {
                        const NAMES: &[&str] =
                            &[$(stringify!($required),)* $(stringify!($optional),)*];
                        $(let mut $required = None;)*
                        $(let mut $optional = None;)*
                        let mut unknown = $crate::event::unknown_fields::UnknownFields::default();
                        while let Some(name) = map.next_key_seed($crate::event::fields::Name(NAMES))? {
                            match name {
                                $(Ok(name @ stringify!($required)) => {
                                    $crate::event::fields::read(&mut map, name, &mut $required)?;
                                })*
                                $(Ok(name @ stringify!($optional)) => {
                                    $crate::event::fields::read(&mut map, name, &mut $optional)?;
                                })*
                                Ok(name) => unknown.insert(name.to_owned(), map.next_value()?),
                                Err(name) => unknown.insert(name, map.next_value()?),
                            }
                        }
                        Ok($type {
                            $($required: $crate::event::fields::present($required, stringify!($required))?,)*
                            $($optional: $optional.flatten(),)*
                            unknown,
                        })
                    }
                }

                deserializer.deserialize_map(Fields)
            }
        }
    };
}

pub(super) use read_fields;

/// The name of a field: one of these, or else another one as an error.
pub(super) struct Name(pub(super) &'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Result<&'static str, String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Result<&'static str, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let known = self.0.iter().find(|known| **known == name);
        Ok(known.copied().ok_or_else(|| name.to_owned()))
    }
}

/// Reads the value of a field, which must not come twice.
pub(super) fn read<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    name: &'static str,
    into: &mut Option<T>,
) -> Result<(), A::Error> {
    if into.is_some() {
        return Err(Error::duplicate_field(name));
    }
    *into = Some(map.next_value()?);
    Ok(())
}

/// The value of a field that must be there.
pub(super) fn present<T, E: Error>(value: Option<T>, name: &'static str) -> Result<T, E> {
    value.ok_or_else(|| E::missing_field(name))
}
