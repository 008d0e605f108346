//! Text of others on a terminal.

/// The text without what a terminal would obey: agents and customers write what they like, and a control
/// sequence can retitle, recolour or rewrite what a person sees. Line ends and tabs stay.
pub(crate) fn harmless(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_lose_their_power() {
        assert_eq!(harmless("a\x1b[31mb\tc\nd\u{9b}e"), "a\u{fffd}[31mb\tc\nd\u{fffd}e");
    }
}
