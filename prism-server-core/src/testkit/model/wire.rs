//! The form of OpenAI's chat completions.

use std::io;

use axum::{
    Json,
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::player::{End, Piece, Player, Tokens};

/// When every answer was made, in seconds of Unix time: always the same, so that answers are.
const CREATED: u64 = 1_750_000_000;

/// How an answer is told.
pub(super) struct Envelope {
    pub(super) id: String,
    pub(super) model: String,
    /// Whether a chunk with the usage is wanted.
    pub(super) include_usage: bool,
}

/// The answer as one body.
pub(super) async fn whole(envelope: Envelope, mut player: Player) -> Response {
    let (mut text, mut calls) = (String::new(), Vec::new());
    let reason = loop {
        match player.next().await {
            Ok(Piece::Text(piece)) => text.push_str(&piece),
            Ok(Piece::Tool { id, name, arguments, .. }) => {
                calls.push(json!({
                    "id": id, "type": "function", "function": {"name": name, "arguments": arguments},
                }));
            }
            Err(End::Finished(reason)) => break reason,
            Err(End::HungUp) => {
                let cut = stream::once(async { Err::<Bytes, _>(hung_up().await) });
                return ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(cut))
                    .into_response();
            }
        }
    };
    let content = if text.is_empty() && !calls.is_empty() { Value::Null } else { text.into() };
    let mut message = json!({"role": "assistant", "content": content, "refusal": null});
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    Json(json!({
        "id": envelope.id,
        "object": "chat.completion",
        "created": CREATED,
        "model": envelope.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason}],
        "usage": usage(player.tokens()),
    }))
    .into_response()
}

/// The answer as server-sent events.
pub(super) fn streamed(envelope: Envelope, player: Player) -> Response {
    let head = envelope.delta(json!({"role": "assistant", "content": "", "refusal": null}), None);
    let state = Some((envelope, player));
    let rest = stream::unfold(state, |state| async {
        let (envelope, mut player) = state?;
        Some(match player.next().await {
            Ok(Piece::Text(text)) => {
                (Ok(envelope.delta(json!({"content": text}), None)), Some((envelope, player)))
            }
            Ok(Piece::Tool { index, id, name, arguments }) => {
                (Ok(envelope.tool_call(index, &id, &name, &arguments)), Some((envelope, player)))
            }
            Err(End::Finished(reason)) => (Ok(envelope.end(reason, player.tokens())), None),
            Err(End::HungUp) => (Err(hung_up().await), None),
        })
    });
    let body = stream::iter([Ok(head)]).chain(rest).map(|chunk: io::Result<String>| chunk.map(Bytes::from));
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(body)).into_response()
}

/// An error.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    let kind = match status.as_u16() {
        401 => "authentication_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let error = json!({"message": message, "type": kind, "param": null, "code": null});
    (status, Json(json!({"error": error}))).into_response()
}

/// The list of models.
pub(super) fn models() -> Response {
    let model = json!({"id": "scripted", "object": "model", "created": CREATED, "owned_by": "prism"});
    Json(json!({"object": "list", "data": [model]})).into_response()
}

impl Envelope {
    /// A call comes as a real one does: first its name, then its arguments in pieces.
    fn tool_call(&self, index: usize, id: &str, name: &str, arguments: &str) -> String {
        let call = |call: Value| self.delta(json!({"tool_calls": [call]}), None);
        let function = json!({"name": name, "arguments": ""});
        let mut text = call(json!({"index": index, "id": id, "type": "function", "function": function}));
        let middle = arguments.floor_char_boundary(arguments.len() / 2);
        let (first, second) = arguments.split_at(middle);
        for piece in [first, second] {
            text += &call(json!({"index": index, "function": {"arguments": piece}}));
        }
        text
    }

    fn end(&self, reason: &str, tokens: Tokens) -> String {
        let mut text = self.delta(json!({}), Some(reason));
        if self.include_usage {
            text += &self.chunk(json!([]), usage(tokens));
        }
        text + "data: [DONE]\n\n"
    }

    fn delta(&self, delta: Value, reason: Option<&str>) -> String {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason});
        self.chunk(json!([choice]), Value::Null)
    }

    fn chunk(&self, choices: Value, usage: Value) -> String {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": self.model,
            "choices": choices,
        });
        if self.include_usage {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n")
    }
}

fn usage(tokens: Tokens) -> Value {
    let Tokens { input, output } = tokens;
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

async fn hung_up() -> io::Error {
    // hyper sends what it has when the body makes it wait, and drops it when the body fails at once.
    tokio::task::yield_now().await;
    io::Error::new(io::ErrorKind::ConnectionAborted, "the script hangs up")
}
