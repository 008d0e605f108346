//! The attempts of one call.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::{Error, backoff::deadline, call::Call, error::Kind, telemetry::CallSpan};

/// How a call got its answer, or failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tries {
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
    /// The key that every attempt had.
    pub(crate) idempotency_key: Option<Box<str>>,
}

/// Sends a call that cannot be sent again.
pub(crate) async fn once<T>(
    mut call: Call,
    attempt: impl AsyncFnOnce(Call) -> Result<T, Error>,
) -> Result<(T, Tries), Error> {
    call.name_request();
    let (begun, name, idempotency_key) = (Instant::now(), call.name(), call.idempotency_key());
    let span = CallSpan::new(&call);
    call.client().budget().pay_in();
    let limit = shorter(call.timeout(), call.attempt_timeout());
    let answer = span.around(within(limit, attempt(call.attempt(1, &span)))).await;
    let tries = Tries { attempts: 1, elapsed: begun.elapsed(), idempotency_key };
    end(&span, answer, tries, || name)
}

/// Sends a call until it succeeds, or fails in a way that is final, or its time, its attempts or the client's budget are
/// used up. `attempt` sends it once and reads what is to be read of the answer.
pub(crate) async fn tried<T, Fut>(mut call: Call, attempt: impl Fn(Call) -> Fut) -> Result<(T, Tries), Error>
where
    Fut: Future<Output = Result<T, Error>>,
{
    call.name_request();
    let begun = Instant::now();
    let ends = call.timeout().map(deadline);
    let (policy, is_repeatable) = (call.retry_policy(), call.is_repeatable());
    let span = CallSpan::new(&call);
    call.client().budget().pay_in();
    for attempts in 1.. {
        let left = ends.map(|ends| ends.saturating_duration_since(Instant::now()));
        let mut sent = call.clone().attempt(attempts, &span);
        sent.set_timeout(left);
        let limit = shorter(left, call.attempt_timeout());
        let answer = span.around(within(limit, attempt(sent))).await;
        let pause = answer.as_ref().err().and_then(|error| policy.pause(attempts, error, is_repeatable));
        let in_time = |pause: &Duration| {
            ends.is_none_or(|ends| *pause < ends.saturating_duration_since(Instant::now()))
        };
        let pause = pause.filter(in_time).filter(|_| call.client().budget().take_out());
        match (answer, pause) {
            (Err(error), Some(pause)) => {
                span.pauses(attempts, &error, pause);
                sleep(pause).await;
            }
            (answer, _) => {
                let idempotency_key = call.idempotency_key();
                let tries = Tries { attempts, elapsed: begun.elapsed(), idempotency_key };
                return end(&span, answer, tries, || call.name());
            }
        }
    }
    // The attempts are counted to the largest number.
    Err(Error::new(Kind::Timeout).during(&call.name()))
}

fn end<T>(
    span: &CallSpan,
    answer: Result<T, Error>,
    tries: Tries,
    name: impl FnOnce() -> String,
) -> Result<(T, Tries), Error> {
    span.ends(tries.attempts, answer.as_ref().err());
    match answer {
        Ok(value) => Ok((value, tries)),
        Err(error) => Err(error.tried(tries).during(&name())),
    }
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    [one, other].into_iter().flatten().min()
}

async fn within<T>(
    limit: Option<Duration>,
    attempt: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match limit {
        Some(limit) => timeout(limit, attempt).await.unwrap_or_else(|_| Err(Error::new(Kind::Timeout))),
        None => attempt.await,
    }
}
