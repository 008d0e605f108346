//! From a text to the words, numbers and marks of a phrase.

use std::fmt;

/// A part of a phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// Letters, in lower case.
    Word(String),
    /// Up to four digits, and how many they are.
    Number(u16, usize),
    /// `:`
    Colon,
    /// `,`
    Comma,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Number(number, digits) => write!(f, "{number:0digits$}"),
            Self::Colon => f.write_str(":"),
            Self::Comma => f.write_str(","),
        }
    }
}

/// Takes a text apart.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            ':' => (Token::Colon, 1),
            ',' => (Token::Comma, 1),
            '0'..='9' => number(rest)?,
            'a'..='z' | 'A'..='Z' => {
                let word = leading(rest, u8::is_ascii_alphabetic);
                (Token::Word(word.to_ascii_lowercase()), word.len())
            }
            other => return Err(format!("`{}` has no meaning here", other.escape_debug())),
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let digits = leading(text, u8::is_ascii_digit);
    match digits.parse() {
        Ok(number) if digits.len() <= 4 => Ok((Token::Number(number, digits.len()), digits.len())),
        _ => Err("a number has too many digits".to_owned()),
    }
}

/// The bytes at the start that fit; they are ASCII, so that they end where a character ends.
fn leading(text: &str, fits: impl Fn(&u8) -> bool) -> &str {
    let length = text.bytes().take_while(|byte| fits(byte)).count();
    &text[..length]
}
