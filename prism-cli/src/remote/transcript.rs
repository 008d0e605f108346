//! What an agent does, for a person to read along.

use std::io::{self, Write};

use prism_client::types::{EventPayload, RunStatus};

use crate::output::harmless;

/// Writes text as it comes, and everything else on lines of its own.
pub(super) struct Transcript<W> {
    out: W,
    /// Whether the last thing written was a line end, or nothing was written yet.
    at_line_start: bool,
}

impl<W: Write> Transcript<W> {
    /// An empty one.
    pub(super) fn new(out: W) -> Self {
        Self { out, at_line_start: true }
    }

    /// Writes what happened.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn show(&mut self, payload: &EventPayload) -> io::Result<()> {
        match payload {
            EventPayload::Token(token) => self.text(&token.delta),
            EventPayload::RunStatus(change) if change.status.is_terminal() => self.finish(),
            EventPayload::RunStatus(change) if change.status == RunStatus::Running => Ok(()),
            _ => match summary(payload) {
                Some(summary) => self.line(&summary),
                None => Ok(()),
            },
        }
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(harmless(text).as_bytes())?;
        if let Some(last) = text.chars().last() {
            self.at_line_start = last == '\n';
        }
        self.out.flush()
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        self.finish()?;
        writeln!(self.out, "{}", harmless(&text.replace('\n', " ")))?;
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        if !self.at_line_start {
            self.at_line_start = true;
            writeln!(self.out)?;
        }
        self.out.flush()
    }
}

/// What happened, in a line; `None` for an event that this version does not know.
pub(super) fn summary(payload: &EventPayload) -> Option<String> {
    Some(match payload {
        EventPayload::Token(token) => token.delta.clone(),
        EventPayload::ToolCall(call) => format!("[calls {} {}]", call.tool, call.arguments.get()),
        EventPayload::ToolResult(result) => format!("[{} answers {}]", result.tool, result.result.get()),
        EventPayload::SteeringRequest(request) => format!("[asks] {}", request.summary),
        EventPayload::Filesystem(change) => format!("[file {}: {}]", change.change, change.path),
        EventPayload::RunStatus(change) => match &change.error {
            Some(error) => format!("[{}: {}: {}]", change.status, error.code, error.message),
            None => format!("[{}]", change.status),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(events: &[(&str, &str)]) -> String {
        let mut out = Vec::new();
        let mut transcript = Transcript::new(&mut out);
        for (name, data) in events {
            transcript.show(&EventPayload::decode(name, data).unwrap()).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_runs_on_and_everything_else_has_its_line() {
        let shown = transcript(&[
            ("run_status", r#"{"run_id":"run_1","status":"running"}"#),
            ("token", r#"{"run_id":"run_1","delta":"Let me "}"#),
            ("token", r#"{"run_id":"run_1","delta":"look."}"#),
            ("tool_call", r#"{"run_id":"run_1","tool":"search","arguments":{"query":"x"}}"#),
            ("tool_result", r#"{"run_id":"run_1","tool":"search","result":{"found":3}}"#),
            ("filesystem", r#"{"run_id":"run_1","change":"created","path":"a.md"}"#),
            ("dream", "{}"),
            ("token", r#"{"run_id":"run_1","delta":"Done."}"#),
            ("run_status", r#"{"run_id":"run_1","status":"completed"}"#),
        ]);
        let expected = "Let me look.\n[calls search {\"query\":\"x\"}]\n[search answers {\"found\":3}]\n\
                        [file created: a.md]\nDone.\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_question_has_its_line() {
        let shown = transcript(&[
            ("token", r#"{"run_id":"run_1","delta":"Hm"}"#),
            ("steering_request", r#"{"run_id":"run_1","summary":"Publish?"}"#),
            ("run_status", r#"{"run_id":"run_1","status":"waiting_on_human"}"#),
        ]);
        assert_eq!(shown, "Hm\n[asks] Publish?\n[waiting_on_human]\n");
    }
}
