//! Setting aside what a struct does not ask for.
//!
//! serde can collect unknown fields (`#[serde(flatten)]`), but reads each into a number, a string, a list or a map on the
//! way. So it refuses `1e400`, and gives back another text for `12345678901234567890123`. Here they are set aside as text
//! before the derived code sees them, and known fields are read as without this.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::UnknownFields;

/// Gives the fields that a struct asks for to the struct, and sets the others aside.
pub(crate) struct Keeping<'a, D> {
    inner: D,
    unknown: &'a mut UnknownFields,
}

impl<'a, D> Keeping<'a, D> {
    pub(crate) fn new(inner: D, unknown: &'a mut UnknownFields) -> Self {
        Self { inner, unknown }
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Keeping<'_, D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = KeepingVisitor { inner: visitor, fields, unknown: self.unknown };
        self.inner.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct KeepingVisitor<'a, V> {
    inner: V,
    fields: &'static [&'static str],
    unknown: &'a mut UnknownFields,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for KeepingVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(KeepingMap { inner: map, fields: self.fields, unknown: self.unknown })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(values)
    }
}

struct KeepingMap<'a, A> {
    inner: A,
    fields: &'static [&'static str],
    unknown: &'a mut UnknownFields,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for KeepingMap<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, mut seed: K) -> Result<Option<K::Value>, A::Error> {
        loop {
            match self.inner.next_key_seed(KeySeed { fields: self.fields, seed })? {
                None => return Ok(None),
                Some(Key::Known(key)) => return Ok(Some(key)),
                Some(Key::Unknown(name, unused)) => {
                    let value = self.inner.next_value()?;
                    self.unknown.insert(name, value);
                    seed = unused;
                }
            }
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }
}

/// A key as the struct understands it, or its text with the seed that was not needed.
enum Key<K, S> {
    Known(K),
    Unknown(String, S),
}

struct KeySeed<S> {
    fields: &'static [&'static str],
    seed: S,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for KeySeed<S> {
    type Value = Key<S::Value, S>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for KeySeed<S> {
    type Value = Key<S::Value, S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if self.fields.contains(&text) {
            self.seed.deserialize(text.into_deserializer()).map(Key::Known)
        } else {
            Ok(Key::Unknown(text.to_owned(), self.seed))
        }
    }
}
