//! Messages of channels to sandboxes: texts of JSON, each of which has a `type` and the `id` of what it is about.
//!
//! | of the client | fields | answered by |
//! |---|---|---|
//! | `exec_start` | those of the body of `POST .../exec`, but `background` | `exec_started` |
//! | `exec_connect` | `pid` | `exec_started` |
//!
//! | of the server | fields |
//! |---|---|
//! | `exec_started` | `pid` |
//! | `exec_stdout`, `exec_stderr` | `data`: text; what is no UTF-8 is replaced |
//! | `exec_exit` | `exit_code`; nothing follows of this `id` |
//! | `error` | `code`, `message`; nothing follows of this `id`, which is `null` where the client told none |

use prism_types::Problem;
use serde_json::{Map, Value, json};

use super::{error, sandbox_bodies};
use crate::{
    error::{Error, ErrorKind, Result},
    http::decode::decode,
    ports::OutputStream,
    service::machines::executions::NewExecution,
};

/// Longest id that a client gives to what it asks for, in bytes.
const ID: usize = 128;
/// Most bytes of output in a message: a control character has six bytes in JSON, and clients take messages of 1 MiB.
const PART: usize = 64 * 1024;

/// What a client asks for.
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) request: Request,
    /// Which fields it has set.
    pub(super) fields: Value,
}

/// What is to be done.
pub(super) enum Request {
    /// A program is to be started and watched.
    Start(NewExecution),
    /// A program that was started is to be watched.
    Follow(u32),
}

/// Reads a message of a client, and, before, the id of what it is about, as far as there is one.
pub(super) fn read(text: &str) -> (Option<String>, Result<Asked>) {
    let body: Value = match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Value::Object(fields),
        Ok(_) => return (None, Err(invalid("$", "must be a JSON object with a `type` and an `id`"))),
        Err(error) => return (None, Err(invalid("$", format!("is no JSON: {error}")))),
    };
    let known = body["id"].as_str().filter(|id| (1..=ID).contains(&id.len())).map(str::to_owned);
    let asked = request(body).and_then(|(request, fields)| {
        let id =
            known.clone().ok_or_else(|| invalid("$.id", format!("must be a text of 1 to {ID} bytes")))?;
        Ok(Asked { id, request, fields })
    });
    (known, asked)
}

fn request(body: Value) -> Result<(Request, Value)> {
    let kind = body["type"].as_str().unwrap_or_default().to_owned();
    match kind.as_str() {
        "exec_start" => {
            let fields = without(body, &["type", "id"]);
            if !fields["background"].is_null() {
                return Err(invalid(
                    "$.background",
                    "must be left out: a program that is watched goes on anyway",
                ));
            }
            let (new, _) = sandbox_bodies::execute(&fields)?;
            Ok((Request::Start(new), fields))
        }
        "exec_connect" => {
            let fields = without(body, &["type", "id"]);
            let pid = decode(&fields, |node| {
                let body = node.object(&["pid"])?;
                body.required("pid", |node| node.whole(0..=i32::MAX.unsigned_abs()))
            })?;
            Ok((Request::Follow(pid), fields))
        }
        _ if kind.starts_with("pty_") => Err(Error::new(ErrorKind::Unsupported, NO_TERMINALS)),
        _ => Err(invalid("$.type", "must be `exec_start` or `exec_connect`")),
    }
}

/// Why there is no terminal.
pub(super) const NO_TERMINALS: &str =
    "There are no terminals in the sandboxes of this server. Run a program, and give it its input.";

fn without(body: Value, names: &[&str]) -> Value {
    let mut fields = match body {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields.retain(|name, _| !names.contains(&name.as_str()));
    Value::Object(fields)
}

fn invalid(path: &str, rule: impl Into<String>) -> Error {
    Error::invalid(vec![Problem::new(path, rule)])
}

/// A program runs.
pub(super) fn started(id: &str, pid: u32) -> String {
    json!({ "type": "exec_started", "id": id, "pid": pid }).to_string()
}

/// A program has written something.
pub(super) fn wrote(id: &str, stream: OutputStream, data: &str) -> String {
    let kind = match stream {
        OutputStream::Out => "exec_stdout",
        OutputStream::Error => "exec_stderr",
    };
    json!({ "type": kind, "id": id, "data": data }).to_string()
}

/// A program has ended.
pub(super) fn ended(id: &str, code: i32) -> String {
    json!({ "type": "exec_exit", "id": id, "exit_code": code }).to_string()
}

/// Something was not done, or is not known any more.
pub(super) fn failed(id: Option<&str>, error: &Error) -> String {
    let (_, code) = error::status_and_code(error);
    json!({ "type": "error", "id": id, "code": code, "message": error.message() }).to_string()
}

/// Bytes that become text, wherever they were cut.
#[derive(Default)]
pub(super) struct Decoder(Vec<u8>);

impl Decoder {
    /// The text of what came, without the beginning of a character that has not ended, in parts for messages.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let whole = self.0.len() - unfinished(&self.0);
        let rest = self.0.split_off(whole);
        let taken = std::mem::replace(&mut self.0, rest);
        parts(&taken)
    }

    /// What is left at the end.
    pub(super) fn rest(&mut self) -> Vec<String> {
        parts(&std::mem::take(&mut self.0))
    }
}

/// How many bytes at the end are the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    let last = &bytes[bytes.len().saturating_sub(3)..];
    (0..last.len())
        .find_map(|at| match std::str::from_utf8(&last[at..]) {
            // The beginning of a character is all that there is from here.
            Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => Some(last.len() - at),
            _ => None,
        })
        .unwrap_or(0)
}

fn parts(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let (mut rest, mut parts) = (&*text, Vec::new());
    while !rest.is_empty() {
        let (part, left) = rest.split_at(rest.floor_char_boundary(PART));
        parts.push(part.to_owned());
        rest = left;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str) -> Value {
        let (id, asked) = read(text);
        serde_json::from_str(&failed(id.as_deref(), &asked.err().unwrap())).unwrap()
    }

    #[test]
    fn messages_of_the_client_are_read() {
        let text = r#"{"type": "exec_start", "id": "exec_1", "command": "echo $0", "args": ["a"], "timeout_secs": 7,
            "shell": true, "cwd": "/workspace/in", "envs": {"A": "b"}}"#;
        let Ok(Asked { id, request: Request::Start(new), fields }) = read(text).1 else {
            panic!("it is read")
        };
        assert_eq!((&*id, new.time.as_secs()), ("exec_1", 7));
        assert_eq!(new.arguments, ["/bin/sh", "-c", "echo $0", "sh", "a"]);
        assert!(fields["command"].is_string() && fields["id"].is_null());
        let connect = read(r#"{"type": "exec_connect", "id": "x", "pid": 12}"#);
        assert!(matches!(connect.1, Ok(Asked { request: Request::Follow(12), .. })));
    }

    #[test]
    fn whatever_else_comes_is_refused_with_a_reason() {
        for (text, id, reason) in [
            ("", None, "no JSON"),
            ("[]", None, "JSON object"),
            ("{}", None, "`exec_start`"),
            (r#"{"type": 3, "id": "x"}"#, Some("x"), "`exec_start`"),
            (r#"{"type": "exec_stop", "id": "x"}"#, Some("x"), "`exec_start`"),
            (r#"{"type": "exec_start", "id": "x"}"#, Some("x"), "command"),
            (r#"{"type": "exec_start", "command": "true"}"#, None, "id"),
            (r#"{"type": "exec_start", "id": "", "command": "true"}"#, None, "id"),
            (r#"{"type": "exec_start", "id": 5, "command": "true"}"#, None, "id"),
            (r#"{"type": "exec_start", "id": "x", "command": "true", "colour": 1}"#, Some("x"), "colour"),
            (
                r#"{"type": "exec_start", "id": "x", "command": "true", "timeout_secs": 0}"#,
                Some("x"),
                "timeout_secs",
            ),
            (
                r#"{"type": "exec_start", "id": "x", "command": "true", "background": true}"#,
                Some("x"),
                "background",
            ),
            (r#"{"type": "exec_connect", "id": "x", "pid": -1}"#, Some("x"), "pid"),
            (r#"{"type": "exec_connect", "id": "x", "pid": "1"}"#, Some("x"), "pid"),
            (r#"{"type": "exec_connect", "id": "x"}"#, Some("x"), "pid"),
        ] {
            let told = refused(text);
            assert_eq!(
                (told["type"].as_str(), told["code"].as_str()),
                (Some("error"), Some("invalid_request"))
            );
            assert_eq!(told["id"].as_str(), id, "{text}");
            assert!(told["message"].as_str().unwrap().contains(reason), "{text}: {told}");
        }
        assert_eq!(refused(r#"{"type": "pty_start", "id": "x"}"#)["code"], "feature_unavailable");
        let long = "x".repeat(ID + 1);
        assert_eq!(
            refused(&json!({ "type": "exec_connect", "id": long, "pid": 1 }).to_string())["id"],
            Value::Null
        );
        let most = "x".repeat(ID);
        assert!(read(&json!({ "type": "exec_connect", "id": most, "pid": 1 }).to_string()).1.is_ok());
    }

    #[test]
    fn text_is_told_whole_wherever_it_is_cut_and_in_parts() {
        let text = "aü€𝄞z".repeat(10);
        for size in 1..=7 {
            let mut decoder = Decoder::default();
            let mut told: String =
                text.as_bytes().chunks(size).flat_map(|bytes| decoder.take(bytes)).collect();
            told.extend(decoder.rest());
            assert_eq!(told, text, "by {size}");
        }
        let mut decoder = Decoder::default();
        assert_eq!(decoder.take(b"a\xff\xe2\x82"), ["a\u{fffd}"]);
        assert_eq!(decoder.take(b"b"), ["\u{fffd}b"]);
        assert_eq!((decoder.take(b"\xf0\x9d"), decoder.rest()), (vec![], vec!["\u{fffd}".to_owned()]));
        let parts = Decoder::default().take("€".repeat(PART).as_bytes());
        assert!(parts.len() == 4 && parts.iter().all(|part| part.len() <= PART), "{}", parts.len());
        assert_eq!(parts.concat(), "€".repeat(PART));
    }

    proptest! {
        #[test]
        fn no_message_is_a_panic(text in ".{0,200}") {
            let _ = read(&text);
        }

        #[test]
        fn no_output_is_a_panic_and_none_is_kept_for_long(bytes in proptest::collection::vec(any::<u8>(), 0..100), size in 1..9_usize) {
            let mut decoder = Decoder::default();
            let mut told: String = bytes.chunks(size).flat_map(|bytes| decoder.take(bytes)).collect();
            prop_assert!(decoder.0.len() < 4);
            told.extend(decoder.rest());
            prop_assert_eq!(told, String::from_utf8_lossy(&bytes));
        }
    }
}
