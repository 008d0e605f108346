//! Decoding of JSON that reports every problem at once, each with its JSON path.
//!
//! serde stops at the first problem; a person who mends a request wants all of them. A [`Node`] is a value at
//! a path; what it is turned into either comes out or leaves a problem behind.

use std::{cell::RefCell, fmt, ops::RangeInclusive};

use prism_types::Problem;
use serde_json::{Map, Value};

/// Most problems that are told; a body with more is not worth a longer answer.
const MOST_PROBLEMS: usize = 50;

/// The value of `decode`, or all the problems that it left behind.
pub(crate) fn decode<T>(
    value: &Value,
    decode: impl FnOnce(Node<'_>) -> Option<T>,
) -> Result<T, Vec<Problem>> {
    decode_at(&Path::Root, value, decode)
}

/// The same for the value of a field of a body.
pub(crate) fn decode_field<T>(
    name: &str,
    value: &Value,
    decode: impl FnOnce(Node<'_>) -> Option<T>,
) -> Result<T, Vec<Problem>> {
    decode_at(&Path::Field(&Path::Root, name), value, decode)
}

fn decode_at<T>(
    path: &Path<'_>,
    value: &Value,
    decode: impl FnOnce(Node<'_>) -> Option<T>,
) -> Result<T, Vec<Problem>> {
    let problems = RefCell::new(Vec::new());
    let decoded = decode(Node { value, path, problems: &problems });
    let problems = problems.into_inner();
    match decoded {
        Some(decoded) if problems.is_empty() => Ok(decoded),
        _ => Err(problems),
    }
}

/// A JSON value, where it stands, and where to report problems.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    value: &'a Value,
    path: &'a Path<'a>,
    problems: &'a RefCell<Vec<Problem>>,
}

/// Where a value stands.
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Node<'a> {
    /// Reports a problem; `None`, so that it can be the value.
    pub(crate) fn refuse<T>(&self, message: impl Into<String>) -> Option<T> {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < MOST_PROBLEMS {
            problems.push(Problem::new(self.path.to_string(), message));
        }
        None
    }

    /// An object that has no fields but these.
    pub(crate) fn object(self, fields: &'static [&'static str]) -> Option<Object<'a>> {
        self.object_with(fields, |name| format!("is not a known field{}", nearest(name, fields)))
    }

    /// The same, where something else is to be said of other fields.
    pub(crate) fn object_with(
        self,
        fields: &'static [&'static str],
        unknown: impl Fn(&str) -> String,
    ) -> Option<Object<'a>> {
        let object = self.open_object()?;
        for (name, _) in object.others(fields) {
            let path = Path::Field(self.path, name);
            Node { path: &path, ..self }.refuse::<()>(unknown(name));
        }
        Some(object)
    }

    /// An object that may have any fields.
    pub(crate) fn open_object(self) -> Option<Object<'a>> {
        let Value::Object(map) = self.value else { return self.mismatch("an object") };
        Some(Object { node: self, map })
    }

    /// An object with any names, each of which `name` accepts or refuses.
    pub(crate) fn map<T>(
        self,
        most: usize,
        name: impl Fn(&str) -> Result<String, String>,
        item: impl Fn(Node<'_>) -> Option<T>,
    ) -> Option<Vec<(String, T)>> {
        let Value::Object(map) = self.value else { return self.mismatch("an object") };
        if map.len() > most {
            return self.refuse(format!("must have at most {most} entries, but has {}", map.len()));
        }
        let entries = map.iter().map(|(key, value)| {
            let path = Path::Field(self.path, key);
            let node = Node { value, path: &path, ..self };
            let key = name(key).map_or_else(|rule| node.refuse(format!("the name {rule}")), Some);
            let value = item(node);
            Some((key?, value?))
        });
        // Collected first, so that every entry is looked at.
        entries.collect::<Vec<_>>().into_iter().collect()
    }

    /// A list of at most so many items.
    pub(crate) fn list<T>(self, most: usize, item: impl Fn(Node<'_>) -> Option<T>) -> Option<Vec<T>> {
        let Value::Array(values) = self.value else { return self.mismatch("an array") };
        if values.len() > most {
            return self.refuse(format!("must have at most {most} items, but has {}", values.len()));
        }
        let items = values
            .iter()
            .enumerate()
            .map(|(index, value)| item(Node { value, path: &Path::Index(self.path, index), ..self }));
        items.collect::<Vec<_>>().into_iter().collect()
    }

    /// `null`, or what `read` makes of something else.
    pub(crate) fn or_null<T>(self, read: impl FnOnce(Node<'_>) -> Option<T>) -> Option<Option<T>> {
        if self.value.is_null() { Some(None) } else { read(self).map(Some) }
    }

    /// The item at an index, where something is to be said of it.
    pub(crate) fn at_index<T>(self, index: usize, say: impl FnOnce(Node<'_>) -> T) -> T {
        say(Node { path: &Path::Index(self.path, index), ..self })
    }

    /// A value that stands for an item, where the array itself is not at hand.
    pub(crate) fn item_with<T>(self, index: usize, value: &Value, read: impl FnOnce(Node<'_>) -> T) -> T {
        read(Node { value, path: &Path::Index(self.path, index), problems: self.problems })
    }

    /// A value that stands for a field, where the object itself is not at hand.
    pub(crate) fn field_with<T>(self, name: &str, value: &Value, read: impl FnOnce(Node<'_>) -> T) -> T {
        read(Node { value, path: &Path::Field(self.path, name), problems: self.problems })
    }

    /// The names of the fields of an object.
    pub(crate) fn names(self) -> impl Iterator<Item = &'a str> {
        self.value.as_object().into_iter().flat_map(|map| map.keys().map(String::as_str))
    }

    /// An object, whatever is in it, as JSON.
    pub(crate) fn any_object(self) -> Option<String> {
        if self.value.is_object() {
            serde_json::to_string(self.value).ok()
        } else {
            self.mismatch("an object")
        }
    }

    /// A string without NUL.
    pub(crate) fn string(self) -> Option<&'a str> {
        match self.value {
            Value::String(text) if text.contains('\0') => self.refuse("must not contain NUL"),
            Value::String(text) => Some(text),
            _ => self.mismatch("a string"),
        }
    }

    /// A string, whatever is in it.
    pub(crate) fn any_string(self) -> Option<&'a str> {
        self.value.as_str().or_else(|| self.mismatch("a string"))
    }

    /// A string of so many characters.
    pub(crate) fn label(self, characters: RangeInclusive<usize>) -> Option<String> {
        let text = self.string()?;
        self.within(text, text.chars().count(), characters, "characters")
    }

    /// A string of so many bytes of UTF-8.
    pub(crate) fn text(self, bytes: RangeInclusive<usize>) -> Option<String> {
        let text = self.string()?;
        self.within(text, text.len(), bytes, "bytes")
    }

    /// A whole number in a range.
    pub(crate) fn whole(self, range: RangeInclusive<u32>) -> Option<u32> {
        let number = self.value.as_u64().and_then(|number| u32::try_from(number).ok());
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(number);
        }
        match self.value {
            Value::Number(_) => {
                self.refuse(format!("must be a whole number from {} to {}", range.start(), range.end()))
            }
            _ => self.mismatch("a number"),
        }
    }

    /// A whole number of any size that can be counted.
    pub(crate) fn count(self) -> Option<u64> {
        match self.value {
            Value::Number(number) => {
                number.as_u64().or_else(|| self.refuse("must be a whole number, 0 or more"))
            }
            _ => self.mismatch("a number"),
        }
    }

    /// A string that `read` turns into a value or a broken rule.
    pub(crate) fn parse<T>(self, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        read(self.string()?).map_or_else(|rule| self.refuse(rule), Some)
    }

    /// One of these strings.
    pub(crate) fn choice<T: for<'t> From<&'t str>>(self, choices: &[&str]) -> Option<T> {
        let text = self.string()?;
        if choices.contains(&text) {
            return Some(text.into());
        }
        let all: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
        self.refuse(format!("must be {}{}", all.join(" or "), nearest(text, choices)))
    }

    fn within<T: From<&'a str>>(
        self,
        text: &'a str,
        size: usize,
        range: RangeInclusive<usize>,
        unit: &str,
    ) -> Option<T> {
        if range.contains(&size) {
            return Some(text.into());
        }
        let (least, most) = (range.start(), range.end());
        self.refuse(format!("must have {least} to {most} {unit}, but has {size}"))
    }

    fn mismatch<T>(&self, wanted: &str) -> Option<T> {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        self.refuse(format!("must be {wanted}, but is {found}"))
    }
}

/// A boolean; a function of its own, so that it can be handed over for any node.
pub(crate) fn boolean(node: Node<'_>) -> Option<bool> {
    node.value.as_bool().or_else(|| node.mismatch("true or false"))
}

/// An object whose fields are being taken.
pub(crate) struct Object<'a> {
    node: Node<'a>,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    /// A field that must be there.
    pub(crate) fn required<T>(&self, name: &str, read: impl FnOnce(Node<'_>) -> Option<T>) -> Option<T> {
        let null = Value::Null;
        let value = self.map.get(name);
        let path = Path::Field(self.node.path, name);
        let node = Node { value: value.unwrap_or(&null), path: &path, ..self.node };
        if value.is_none() { node.refuse("is required") } else { read(node) }
    }

    /// A field that may be left out or `null`.
    pub(crate) fn optional<T>(&self, name: &str, read: impl FnOnce(Node<'_>) -> Option<T>) -> Option<T> {
        self.map.get(name).filter(|value| !value.is_null())?;
        self.required(name, read)
    }

    /// Reports a problem of a field, whether it is there or not.
    pub(crate) fn refuse_field<T>(&self, name: &str, message: impl Into<String>) -> Option<T> {
        let path = Path::Field(self.node.path, name);
        Node { path: &path, ..self.node }.refuse(message)
    }

    /// A field that may be left out but not `null`.
    pub(crate) fn change<T>(&self, name: &str, read: impl FnOnce(Node<'_>) -> Option<T>) -> Option<T> {
        self.map.get(name)?;
        self.required(name, |node| if node.value.is_null() { node.mismatch("a value") } else { read(node) })
    }

    /// The fields that are none of these.
    pub(crate) fn others(&self, fields: &[&str]) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let others = self.map.iter().filter(|(name, _)| !fields.contains(&name.as_str()));
        others.map(|(name, value)| (name.as_str(), value))
    }

    /// Whether a field is left out, or `null`.
    pub(crate) fn is_absent(&self, name: &str) -> bool {
        self.map.get(name).is_none_or(Value::is_null)
    }

    /// Whether a field is there and `null`.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_null)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("$"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Self::Field(parent, name) if is_plain(name) => write!(f, "{parent}.{name}"),
            Self::Field(parent, name) => {
                let shown: String = name.chars().take(64).collect();
                write!(f, "{parent}[{shown:?}]")
            }
        }
    }
}

fn is_plain(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.as_bytes().first().is_some_and(u8::is_ascii_digit)
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `; did you mean ...?` with the nearest of the known names, when one is near.
pub(crate) fn nearest(name: &str, known: &[&str]) -> String {
    // What is much longer than every name is near to none, and its distance costs time.
    if name.len() > 64 {
        return String::new();
    }
    let distance = |known: &&&str| strsim::damerau_levenshtein(name, known);
    let nearest = known.iter().min_by_key(distance);
    let near = nearest.filter(|known| distance(known) <= 2.max(known.len() / 3));
    near.map_or_else(String::new, |known| format!("; did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Sample {
        name: String,
        items: Vec<bool>,
    }

    fn sample(node: Node<'_>) -> Option<Sample> {
        let object = node.object(&["name", "items"])?;
        let name = object.required("name", |node| node.label(1..=5));
        let items = object.optional("items", |node| node.list(2, boolean));
        Some(Sample { name: name?, items: items.unwrap_or_default() })
    }

    fn problems(body: &Value) -> Vec<String> {
        let problems = decode(body, sample).err().unwrap();
        problems.iter().map(|p| format!("{} {}", p.path, p.message)).collect()
    }

    #[test]
    fn a_good_body_comes_out() {
        let sample = decode(&json!({"name": "abc", "items": [true]}), sample).unwrap();
        assert_eq!((sample.name.as_str(), sample.items.as_slice()), ("abc", [true].as_slice()));
    }

    #[test]
    fn every_problem_is_told_with_its_path() {
        assert_eq!(
            problems(&json!({"nam": "x", "items": [1, true, "x"]})),
            [
                "$.nam is not a known field; did you mean `name`?",
                "$.name is required",
                "$.items must have at most 2 items, but has 3"
            ]
        );
        assert_eq!(
            problems(&json!({"name": "toolong", "items": [1, null]})),
            [
                "$.name must have 1 to 5 characters, but has 7",
                "$.items[0] must be true or false, but is a number",
                "$.items[1] must be true or false, but is null"
            ]
        );
        assert_eq!(problems(&json!([])), ["$ must be an object, but is an array"]);
        assert_eq!(problems(&json!({"name": "a\u{0}"})), ["$.name must not contain NUL"]);
    }

    #[test]
    fn a_flood_of_problems_is_cut() {
        let many: Map<String, Value> = (0..1000).map(|i| (format!("x{i}"), Value::Null)).collect();
        assert_eq!(problems(&Value::Object(many)).len(), MOST_PROBLEMS);
    }

    #[test]
    fn odd_names_are_quoted_and_cut() {
        let long = "é".repeat(1000);
        let problems = problems(&json!({"name": "a", long: 1, "a b": 1}));
        assert!(problems.iter().any(|p| p.starts_with("$[\"a b\"] is not")), "{problems:?}");
        assert!(problems.iter().all(|p| p.len() < 300));
    }
}
