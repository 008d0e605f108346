//! Texts with `${NAME}` in them, which stands for the value of a secret.

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the grammar has two productions")]
pub enum Part<'a> {
    /// Text that stands for itself.
    Literal(&'a str),
    /// The name of a variable.
    Variable(&'a str),
}

/// The parts of a text. A `$` that no `{` follows stands for itself.
///
/// # Errors
/// With the rule that is broken, when a `${` is not followed by a variable's name and `}`.
pub fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once("${") {
        let named = after.split_once('}').filter(|(name, _)| super::checks::variable(name).is_ok());
        let Some((name, after)) = named else {
            return Err("must have the name of a variable and `}` after every `${`".to_owned());
        };
        parts.extend([Part::Literal(literal), Part::Variable(name)]);
        rest = after;
    }
    parts.push(Part::Literal(rest));
    parts.retain(|part| *part != Part::Literal(""));
    Ok(parts)
}

/// The names of the variables of a text, as far as it can be read.
pub fn variables(text: &str) -> impl Iterator<Item = &str> {
    parts(text).unwrap_or_default().into_iter().filter_map(|part| match part {
        Part::Variable(name) => Some(name),
        Part::Literal(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_in_braces() {
        use Part::{Literal as L, Variable as V};
        for (text, expected) in [
            ("Bearer ${A_1}", vec![L("Bearer "), V("A_1")]),
            ("${A}${B}", vec![V("A"), V("B")]),
            ("$A $ {A} $$ 5$", vec![L("$A $ {A} $$ 5$")]),
            ("$${A}", vec![L("$"), V("A")]),
            ("", vec![]),
        ] {
            assert_eq!(parts(text).unwrap(), expected, "{text}");
        }
        for text in ["${", "${}", "${A", "${1A}", "${A B}", "${${A}}"] {
            assert!(parts(text).is_err(), "{text}");
        }
        assert_eq!(variables("a ${A} ${B}").collect::<Vec<_>>(), ["A", "B"]);
    }
}
