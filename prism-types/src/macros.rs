//! Macros for the two shapes that recur: consuming setters and types that serialise as a string.

/// Writes consuming setters. `field: T` replaces the value, `field?: T` fills an `Option`,
/// `field[item]: T` replaces a list by any iterator and adds `item` to append one.
macro_rules! setters {
    ($type:ident { $($body:tt)* }) => { impl $type { setters!(@ $($body)*); } };
    (@) => {};
    // A literal number needs no suffix, because numbers are taken as they are.
    (@ $(#[$doc:meta])* $field:ident : u32, $($rest:tt)*) => { setters!(@exact $(#[$doc])* $field u32, $($rest)*); };
    (@ $(#[$doc:meta])* $field:ident : u64, $($rest:tt)*) => { setters!(@exact $(#[$doc])* $field u64, $($rest)*); };
    (@ $(#[$doc:meta])* $field:ident : bool, $($rest:tt)*) => { setters!(@exact $(#[$doc])* $field bool, $($rest)*); };
    (@ $(#[$doc:meta])* $field:ident ? : u32, $($rest:tt)*) => { setters!(@some $(#[$doc])* $field u32, $($rest)*); };
    (@ $(#[$doc:meta])* $field:ident ? : u64, $($rest:tt)*) => { setters!(@some $(#[$doc])* $field u64, $($rest)*); };
    (@ $(#[$doc:meta])* $field:ident ? : bool, $($rest:tt)*) => { setters!(@some $(#[$doc])* $field bool, $($rest)*); };
    (@exact $(#[$doc:meta])* $field:ident $t:ident, $($rest:tt)*) => {
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, value: $t) -> Self {
            self.$field = value;
            self
        }
        setters!(@ $($rest)*);
    };
    (@some $(#[$doc:meta])* $field:ident $t:ident, $($rest:tt)*) => {
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, value: $t) -> Self {
            self.$field = Some(value);
            self
        }
        setters!(@ $($rest)*);
    };
    (@ $(#[$doc:meta])* $field:ident : $t:ty, $($rest:tt)*) => {
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, value: impl Into<$t>) -> Self {
            self.$field = value.into();
            self
        }
        setters!(@ $($rest)*);
    };
    (@ $(#[$doc:meta])* $field:ident ? : $t:ty, $($rest:tt)*) => {
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, value: impl Into<$t>) -> Self {
            self.$field = Some(value.into());
            self
        }
        setters!(@ $($rest)*);
    };
    (@ $(#[$doc:meta])* $field:ident [ $(#[$item_doc:meta])* $item:ident ] : $t:ty, $($rest:tt)*) => {
        $(#[$doc])*
        #[must_use]
        pub fn $field<I: Into<$t>>(mut self, values: impl IntoIterator<Item = I>) -> Self {
            self.$field = values.into_iter().map(Into::into).collect();
            self
        }
        $(#[$item_doc])*
        #[must_use]
        pub fn $item(mut self, value: impl Into<$t>) -> Self {
            self.$field.push(value.into());
            self
        }
        setters!(@ $($rest)*);
    };
}

/// Implements serde and JSON Schema for a type that is a string on the wire, by its `as_str` and
/// `FromStr`.
macro_rules! string_on_the_wire {
    ($type:ident, schema: $schema:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}

pub(crate) use {setters, string_on_the_wire};
