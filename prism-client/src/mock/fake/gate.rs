//! What every request goes through: the record, failures that the test wants, and idempotency keys.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use http::Method;
use prism_types::ErrorCode;
use tokio::time::Instant;

use super::state::State;
use crate::mock::{Answer, Raw, Refusal, Reply, Request};

/// How long an answer is kept under its key.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Default)]
pub(super) struct Gate {
    pub(super) requests: Vec<Request>,
    pub(super) faults: VecDeque<Fault>,
    /// How many more requests are carried out without an answer.
    pub(super) lost: u32,
    pub(super) delay: Duration,
    kept: HashMap<String, Kept>,
}

/// A refusal of so many requests.
pub(super) struct Fault {
    /// Of which operation; `None`: of any.
    pub(super) operation: Option<String>,
    pub(super) left: u32,
    pub(super) refusal: Refusal,
}

/// An answer under an idempotency key.
struct Kept {
    request: (Method, String, Vec<(String, String)>, Bytes),
    status: Option<u16>,
    headers: Vec<(String, String)>,
    body: Bytes,
    until: Instant,
}

impl State {
    /// What is answered to a request before it is carried out.
    pub(super) fn intercept(&mut self, call: &Request) -> Option<Answer<Raw>> {
        self.catch_up();
        self.gate.requests.push(call.clone());
        if let Some(refusal) = self.gate.fault(call.operation()) {
            return Some(Err(refusal));
        }
        let key = key(call)?;
        let kept = self.gate.kept.get(key).filter(|kept| kept.until > Instant::now())?;
        if kept.request != identity(call) {
            let message = "The idempotency key was used for another request: use a new one for each";
            return Some(Err(Refusal::new(409, ErrorCode::IdempotencyMismatch, message)));
        }
        let mut reply = Reply::new(Raw::bytes("application/json", kept.body.clone()));
        reply.status = kept.status;
        reply.headers.clone_from(&kept.headers);
        Some(Ok(reply.header("idempotent-replayed", "true")))
    }

    /// Keeps what is to be known of an answer, and lets it be late or lost.
    pub(super) fn conclude(&mut self, call: &Request, answer: Answer<Raw>) -> Answer<Raw> {
        if let Ok(reply) = &answer {
            let is_replay = reply.headers.iter().any(|(name, _)| name == "idempotent-replayed");
            if *call.method() != Method::GET && !is_replay {
                self.keep(call, reply);
            }
            if self.gate.lost > 0 {
                self.gate.lost -= 1;
                return Err(Refusal::disconnected().after(self.gate.delay));
            }
        }
        let delay = self.gate.delay;
        match answer {
            Ok(reply) => Ok(Reply { delay: reply.delay + delay, ..reply }),
            Err(refusal) => {
                let total = refusal.0.delay + delay;
                Err(refusal.after(total))
            }
        }
    }

    fn keep(&mut self, call: &Request, reply: &Reply<Raw>) {
        let Some((_, body)) = reply.value.whole() else { return };
        let (body, status, headers) = (body.clone(), reply.status, reply.headers.clone());
        if !reply.is_idle {
            self.note(call, &serde_json::from_slice(&body).unwrap_or_default());
        }
        if let Some(key) = key(call) {
            let (request, until) = (identity(call), Instant::now() + KEPT_FOR);
            self.gate.kept.insert(key.to_owned(), Kept { request, status, headers, body, until });
        }
    }
}

impl Gate {
    /// The refusal that is next for an operation.
    fn fault(&mut self, operation: &str) -> Option<Refusal> {
        let fits = |fault: &Fault| fault.operation.as_deref().is_none_or(|of| of == operation);
        let place = self.faults.iter().position(fits)?;
        let fault = &mut self.faults[place];
        let refusal = fault.refusal.clone();
        fault.left -= 1;
        if fault.left == 0 {
            self.faults.remove(place);
        }
        Some(refusal)
    }
}

/// The idempotency key of a request that has use for one.
fn key(call: &Request) -> Option<&str> {
    call.idempotency_key().filter(|_| *call.method() == Method::POST)
}

/// What is the same of a request that is sent again.
fn identity(call: &Request) -> (Method, String, Vec<(String, String)>, Bytes) {
    (call.method.clone(), call.path.clone(), call.query.clone(), call.body.clone())
}
