//! Reading what was used out of the answers of models.

use serde_json::Value;

use super::sse::{self, Events};

/// The longest event, and the longest answer that is no stream, that usage is looked for in.
const LONGEST: usize = 16 * 1024 * 1024;
/// So many bytes count as one token when the provider does not say.
const BYTES_PER_TOKEN: u64 = 4;

/// Looks into an answer that passes.
pub(super) struct UsageReader {
    form: Form,
    /// What the provider said last.
    input: Option<u64>,
    output: Option<u64>,
    /// How much the model has said, in bytes: of its text in a stream, else of the whole answer.
    said: u64,
}

enum Form {
    Events(Events),
    Whole(Vec<u8>),
    /// Too long to be kept.
    Unread,
}

impl UsageReader {
    /// A reader of a stream of events, or of one JSON value.
    pub(super) fn new(stream: bool) -> Self {
        let form = if stream { Form::Events(Events::new(LONGEST)) } else { Form::Whole(Vec::new()) };
        Self { form, input: None, output: None, said: 0 }
    }

    /// Takes the next piece.
    pub(super) fn read(&mut self, piece: &[u8]) {
        if !matches!(self.form, Form::Events(_)) {
            self.said = self.said.saturating_add(piece.len() as u64);
        }
        match &mut self.form {
            Form::Events(events) => match events.push(piece) {
                Ok(events) => events.iter().for_each(|event| self.read_event(event)),
                Err(sse::TooLong) => self.form = Form::Unread,
            },
            Form::Whole(whole) if whole.len() + piece.len() <= LONGEST => whole.extend_from_slice(piece),
            Form::Whole(_) | Form::Unread => self.form = Form::Unread,
        }
    }

    /// What was used, in tokens: as the provider said, else estimated from the length of the request and of what
    /// the model has said.
    pub(super) fn tokens(&mut self, request: usize) -> (u64, u64) {
        if let Form::Whole(whole) = &self.form
            && let Ok(answer) = serde_json::from_slice::<Value>(whole)
        {
            self.note(&answer);
            self.said = said(&answer);
        }
        let estimate = |bytes: u64| bytes.div_ceil(BYTES_PER_TOKEN);
        let input = self.input.unwrap_or_else(|| estimate(request as u64));
        (input, self.output.unwrap_or_else(|| estimate(self.said)))
    }

    fn read_event(&mut self, event: &[u8]) {
        let Some(data) = sse::data(event) else { return };
        let Ok(chunk) = serde_json::from_slice::<Value>(&data) else { return };
        self.note(&chunk);
        self.said = self.said.saturating_add(said(&chunk));
    }

    fn note(&mut self, answer: &Value) {
        let number = |names: [&str; 2]| names.iter().find_map(|name| answer["usage"][name].as_u64());
        self.input = number(["prompt_tokens", "input_tokens"]).or(self.input);
        self.output = number(["completion_tokens", "output_tokens"]).or(self.output);
    }
}

/// How long the texts of an answer's choices are, in bytes.
fn said(answer: &Value) -> u64 {
    let choices = answer["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
    choices.iter().flat_map(|choice| [&choice["delta"], &choice["message"], &choice["text"]]).map(texts).sum()
}

fn texts(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(texts).sum(),
        Value::Object(fields) => {
            let labels = ["role", "id", "type"];
            fields
                .iter()
                .filter(|(name, _)| !labels.contains(&name.as_str()))
                .map(|(_, value)| texts(value))
                .sum()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"Hello\"}}]}\r\n\r\n\
        : comment\n\ndata: {\"choices\":[{\"delta\":{\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\
        \"function\":{\"arguments\":\"{}\"}}]}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\
        \"completion_tokens\":22}}\n\ndata: [DONE]\n\n";

    #[test]
    fn usage_is_read_wherever_the_stream_is_cut() {
        for cut in 0..=STREAM.len() {
            let mut reader = UsageReader::new(true);
            reader.read(&STREAM.as_bytes()[..cut]);
            reader.read(&STREAM.as_bytes()[cut..]);
            assert_eq!(reader.tokens(1000), (11, 22), "{cut}");
        }
        let mut reader = UsageReader::new(true);
        STREAM.as_bytes().iter().for_each(|byte| reader.read(&[*byte]));
        assert_eq!(reader.tokens(1000), (11, 22));
    }

    #[test]
    fn without_usage_it_is_estimated_and_rounded_up() {
        let before = STREAM.find("data: {\"choices\":[],").unwrap();
        let mut reader = UsageReader::new(true);
        reader.read(&STREAM.as_bytes()[..before]);
        assert_eq!(reader.tokens(1001), (251, 2), "5 + 2 bytes");
        assert_eq!(UsageReader::new(true).tokens(0), (0, 0));
        assert_eq!(UsageReader::new(true).tokens(1), (1, 0));
    }

    #[test]
    fn a_whole_answer_is_read_at_its_end() {
        let answer = r#"{"choices":[{"message":{"content":"123456789"}}],"usage":{"prompt_tokens":5}}"#;
        let mut reader = UsageReader::new(false);
        reader.read(answer.as_bytes());
        assert_eq!(reader.tokens(1000), (5, 3));
        let mut cut = UsageReader::new(false);
        cut.read(&answer.as_bytes()[..17]);
        assert_eq!(cut.tokens(4), (1, 5));
    }

    #[test]
    fn nonsense_is_no_usage() {
        let mut reader = UsageReader::new(true);
        reader.read(b"data: {\"usage\":{\"prompt_tokens\":-1,\"completion_tokens\":\"7\"}}\n\ndata: {\n\n");
        assert_eq!(reader.tokens(4), (1, 0));
    }
}
