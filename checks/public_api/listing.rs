//! The items of a crate as lines, without those that say nothing.

use std::{error::Error, path::Path};

use public_api::Builder;

/// Traits whose methods are known by their name: that a type has the trait is all there is to say.
const PLAIN_TRAITS: [&str; 12] = [
    "core::clone::Clone",
    "core::cmp::Eq",
    "core::cmp::Ord",
    "core::cmp::PartialEq",
    "core::cmp::PartialOrd",
    "core::default::Default",
    "core::error::Error",
    "core::fmt::Debug",
    "core::fmt::Display",
    "core::hash::Hash",
    "serde_core::de::Deserialize",
    "serde_core::ser::Serialize",
];

/// Auto traits that nobody waits for, and what `derive` adds for the compiler.
const UNSAID: [&str; 6] = [
    "core::marker::Freeze",
    "core::marker::StructuralPartialEq",
    "core::marker::Unpin",
    "core::marker::UnsafeUnpin",
    "core::panic::unwind_safe::RefUnwindSafe",
    "core::panic::unwind_safe::UnwindSafe",
];

/// One line an item. Types are `Send` and `Sync` where no line says otherwise.
pub(crate) fn lines(json: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let api = Builder::from_rustdoc_json(json).omit_blanket_impls(true).build()?;
    let mut lines = Vec::new();
    let mut known: Option<String> = None;
    for line in api.items().map(ToString::to_string) {
        if let Some((implemented, of)) = implementation(&line) {
            let name = implemented.split('<').next().unwrap_or(implemented);
            known = PLAIN_TRAITS.contains(&name).then(|| bare(of).to_owned());
            if !is_unsaid(&line, name) {
                lines.push(line);
            }
        } else if known.as_deref().is_none_or(|of| !is_member(&line, of)) {
            known = None;
            lines.push(line);
        }
    }
    Ok(lines)
}

/// The trait and the type of `impl<T> Trait for Type`.
fn implementation(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("impl")?;
    let rest = if rest.starts_with('<') { rest.split_once("> ")?.1 } else { rest.trim_start() };
    rest.split_once(" for ")
}

/// `Type` of `Type<T> where T: Bound`.
fn bare(of: &str) -> &str {
    of.trim_start_matches('&').split(['<', ' ']).next().unwrap_or(of)
}

/// Whether a line is a method, type or constant of a type.
fn is_member(line: &str, of: &str) -> bool {
    ["pub fn ", "pub type ", "pub const "]
        .iter()
        .filter_map(|kind| line.strip_prefix(kind)?.strip_prefix(of))
        .any(|rest| rest.starts_with("::") || rest.starts_with('<'))
}

fn is_unsaid(line: &str, name: &str) -> bool {
    let sent = ["core::marker::Send", "core::marker::Sync"].contains(&name);
    UNSAID.contains(&name.trim_start_matches('!')) || (sent && line.starts_with("impl core"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implementations_are_taken_apart() {
        assert_eq!(implementation("impl core::fmt::Debug for a::B"), Some(("core::fmt::Debug", "a::B")));
        assert_eq!(
            implementation("impl<T: x::Y> core::clone::Clone for a::B<T> where T: core::clone::Clone"),
            Some(("core::clone::Clone", "a::B<T> where T: core::clone::Clone"))
        );
        assert_eq!(implementation("impl a::B"), None);
        assert_eq!(implementation("pub fn a::b()"), None);
    }

    #[test]
    fn members_are_those_of_the_type_only() {
        assert!(is_member("pub fn a::B::clone(&self) -> a::B", "a::B"));
        assert!(is_member("pub fn a::B<T>::clone(&self) -> a::B<T>", "a::B"));
        assert!(!is_member("pub fn a::Bc::clone(&self)", "a::B"));
        assert!(!is_member("pub struct a::B::C", "a::B"));
    }

    #[test]
    fn what_is_not_sent_is_said() {
        assert!(is_unsaid("impl core::marker::Send for a::B", "core::marker::Send"));
        assert!(!is_unsaid("impl !core::marker::Send for a::B", "!core::marker::Send"));
        assert!(!is_unsaid("impl<T> core::marker::Send for a::B<T> where T: Send", "core::marker::Send"));
    }
}
