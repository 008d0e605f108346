//! What commands print: tables and lines for people, JSON for programs.

mod table;
mod text;

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::failure::Failure;

pub(crate) use table::{or_dash, record, table};
pub(crate) use text::harmless;

/// How to print.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Output {
    /// How to print the result: `text` for people, `json` for programs. Only `json` is kept stable.
    #[arg(short = 'o', long = "output", value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables and lines.
    Text,
    /// One JSON value; for events one a line.
    Json,
}

impl Output {
    /// Whether to print JSON.
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Prints a value: as JSON, or in the words of `text`.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn print<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.is_json() {
            return line(&json(value)?);
        }
        line(&text(value))
    }
}

/// A value on one line of JSON.
///
/// # Errors
/// When the value cannot be JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::new(format!("the result cannot be JSON: {error}")))
}

/// Prints a line to standard output, at once.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
}

/// Tells the person at the terminal something that is not part of the result.
pub(crate) fn note(text: &str) {
    // When standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}
