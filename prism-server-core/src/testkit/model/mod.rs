//! A model that does what a script says, behind OpenAI's chat completions API.
//!
//! It costs nothing and does the same each time. So it is what real agents are tested with, shown with, and
//! developed with offline. [`ScriptedModel`] serves it on the loopback interface, and records what it is asked.
//!
//! # Scripts
//! ```text
//! # What the weather is, the agent finds out with a command.
//! when user contains "weather"
//!   say Let me look.
//!   tool terminal {"command": "date > now.txt"}
//!   then
//!   say It is sunny. The tool said: {{result}}
//!
//! when tool result contains "error"
//!   say That did not work.
//!
//! otherwise
//!   say You said: {{message}}
//! ```
//!
//! A script is a list of rules. The first rule that fits a call of the model gives the answer; `otherwise` is
//! for calls that no rule fits, wherever it is. Steps above the first rule are an `otherwise`, too, so `say Hello`
//! is a script. A call that nothing fits is answered with status 400. Blank lines, lines that start with `#`, and
//! spaces at either end of a line mean nothing.
//!
//! # Rules
//! `when CONDITION and CONDITION ...`, with all of:
//!
//! | condition | what has to be so |
//! |---|---|
//! | `user contains "TEXT"` | the last user message contains the text |
//! | `tool result contains "TEXT"` | one of the tools that the model called just before answered with the text |
//! | `system contains "TEXT"` | the system prompt contains the text |
//! | `offers NAME` | the call offers this tool; calls that an agent makes for its own ends often offer none |
//! | `step N` | it is the N-th call since the last user message |
//! | `call N` | it is the N-th call in the conversation |
//! | `once` | the rule has answered no call yet, of any conversation |
//!
//! A TEXT here is a JSON string, and upper and lower case differ.
//!
//! **Answers by step.** What follows `then` is the answer to the next call: the first answer is for the first
//! call since the last user message, the second for the second, and so on. A rule whose answers are used up
//! does not fit any more; the last answer of `otherwise` is for all further calls. A rule with `tool result`, `step`,
//! `call` or `once` is about a single call: it has one answer, whatever the step is.
//!
//! Steps and calls are counted in the messages of the request (one more than there are assistant messages), so
//! conversations do not disturb each other, and go on after a restart of either side.
//!
//! # Steps
//! | step | what it does |
//! |---|---|
//! | `say TEXT` | writes the text, a piece for each word |
//! | `token TEXT` | writes the text in one piece |
//! | `tool NAME {ARGUMENTS}` | calls a tool; several of them are calls of the same answer |
//! | `delay DURATION` | waits |
//! | `wait NAME` | waits until a test calls [`ScriptedModel::open`] with the name; hangs up after 60 s |
//! | `usage IN OUT` | the tokens to report. Default: one for each four bytes of the request, one for each piece |
//! | `repeat N STEP`, `repeat N every DURATION STEP` | does a `say`, `token` or `tool` up to 100,000 times |
//! | `error STATUS TEXT` | answers with this status (400 to 599) instead. Only `delay` and `wait` can be before it |
//! | `hang up` | cuts the connection, after what was before it |
//!
//! * **TEXT** is the rest of the line, or a JSON string such as `"two\nlines"`. What starts with a quote must be a
//!   JSON string; the empty text is `""`.
//! * **ARGUMENTS** are a JSON object.
//! * **DURATION** is a whole number of `ms` or `s`, at most one hour. Waits before the first other step hold back
//!   the whole answer, its status included.
//!
//! In a TEXT of a step, and in the string values of ARGUMENTS, `{{message}}` stands for the last user message,
//! `{{result}}` for what the last tool answered, `{{step}}` for the number of the step, and `{{model}}` for the
//! model that was asked for. Another name in double braces is an error; other braces are text.
//!
//! # Routes
//! `POST /v1/chat/completions`, streamed or not, and `GET /v1/models`; everything else is 404. No key is needed.

mod conversation;
mod parser;
mod player;
mod script;
mod wire;

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use self::{
    conversation::Conversation,
    player::Player,
    script::{Action, Step},
    wire::Envelope,
};
pub use self::{parser::ScriptError, script::Script};
use super::local_server::{LocalServer, RecordedRequest};

/// A model that does what a script says: see the [module](self). Its server ends when this is dropped.
#[derive(Debug)]
pub struct ScriptedModel {
    server: LocalServer,
    gates: watch::Sender<BTreeSet<String>>,
}

/// Why a model could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The script is not one.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The address cannot be listened on.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
}

impl ScriptedModel {
    /// Serves a script on a free port of the loopback interface.
    ///
    /// # Errors
    /// When the script breaks a rule; the error names its line.
    pub async fn start(script: &str) -> Result<Self, StartError> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), script).await
    }

    /// Serves a script on this address; port 0 is a free one.
    ///
    /// # Errors
    /// When the script breaks a rule, or the address cannot be listened on.
    pub async fn start_at(listen: SocketAddr, script: &str) -> Result<Self, StartError> {
        let script: Script = script.parse()?;
        let gates = watch::Sender::default();
        let model = Arc::new(Model {
            spent: Mutex::new(vec![false; script.rules.len()]),
            script,
            gates: gates.subscribe(),
            answers: AtomicU64::new(0),
        });
        let router = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/models", get(async || wire::models()))
            .fallback(async || wire::error(StatusCode::NOT_FOUND, "there is no such route"))
            .method_not_allowed_fallback(async || {
                wire::error(StatusCode::METHOD_NOT_ALLOWED, "the route has another method")
            })
            // The server has a limit already.
            .layer(DefaultBodyLimit::disable())
            .with_state(model);
        Ok(Self { server: LocalServer::start(listen, router).await?, gates })
    }

    /// What an OpenAI client calls the base URL, such as `http://127.0.0.1:18080/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.server.address())
    }

    /// The address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The requests so far, oldest first: the last 2,000 of them, within 128 MiB.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.server.requests()
    }

    /// Waits for the first request that fits; also one that came before.
    ///
    /// # Panics
    /// When none comes within 60 s.
    pub async fn request(&self, fits: impl Fn(&RecordedRequest) -> bool) -> RecordedRequest {
        self.server.request(fits).await
    }

    /// Lets every `wait` with this name go on, from now on.
    pub fn open(&self, name: &str) {
        self.gates.send_modify(|open| {
            open.insert(name.to_owned());
        });
    }
}

/// What answers.
struct Model {
    script: Script,
    /// Which rules with `once` have answered.
    spent: Mutex<Vec<bool>>,
    gates: watch::Receiver<BTreeSet<String>>,
    answers: AtomicU64,
}

async fn complete(State(model): State<Arc<Model>>, body: Bytes) -> Response {
    let request: Value = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return wire::error(StatusCode::BAD_REQUEST, &format!("the body is not JSON: {error}")),
    };
    let conversation = match Conversation::read(&request) {
        Ok(conversation) => Arc::new(conversation),
        Err(message) => return wire::error(StatusCode::BAD_REQUEST, message),
    };
    let answer = {
        let mut spent = model.spent.lock().unwrap_or_else(PoisonError::into_inner);
        model.script.answer(&conversation, &mut spent).cloned()
    };
    let Some(mut answer) = answer else {
        let message = format!("no rule of the script fits step {}", conversation.step);
        return wire::error(StatusCode::BAD_REQUEST, &message);
    };
    let first = answer.iter().position(|step| !step.comes_before_status()).unwrap_or(answer.len());
    let rest = answer.split_off(first);
    let player = |answer| Player::new(answer, conversation.clone(), model.gates.clone(), body.len());
    if player(&answer).next().await == Err(player::End::HungUp) {
        return wire::error(StatusCode::GATEWAY_TIMEOUT, "nobody let the script go on");
    }
    if let [Step { action: Action::Error { status, message }, .. }] = &rest[..] {
        return wire::error(*status, &conversation.render(message));
    }
    let envelope = Envelope {
        id: format!("chatcmpl-{}", model.answers.fetch_add(1, Ordering::Relaxed) + 1),
        model: conversation.model.clone(),
        include_usage: request["stream_options"]["include_usage"] == true,
    };
    if request["stream"] == true {
        wire::streamed(envelope, player(&rest))
    } else {
        wire::whole(envelope, player(&rest)).await
    }
}

#[cfg(test)]
mod tests;
