//! The attempts of one call.

use std::{pin::pin, time::Duration};

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
pub(crate) async fn once<T, Fut>(
    mut call: Call,
    attempt: impl FnOnce(&Call) -> Fut,
) -> Result<(T, Tries), Error>
where
    Fut: Future<Output = Result<T, Error>>,
{
    call.name_request();
    let begun = Instant::now();
    let span = CallSpan::new(&call);
    call.client().budget().pay_in();
    call.begin_attempt(1, &span);
    let answer = within(shorter(call.timeout(), call.attempt_timeout()), &span, || attempt(&call)).await;
    end(&call, &span, answer, 1, begun)
}

/// Sends a call until it succeeds, or fails in a way that is final, or its time, its attempts or the client's budget are
/// used up. `attempt` sends it once and reads what is to be read of the answer.
pub(crate) async fn tried<T, Fut>(mut call: Call, attempt: impl Fn(&Call) -> Fut) -> Result<(T, Tries), Error>
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
        call.set_timeout(left);
        call.begin_attempt(attempts, &span);
        let answer = within(shorter(left, call.attempt_timeout()), &span, || attempt(&call)).await;
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
            (answer, _) => return end(&call, &span, answer, attempts, begun),
        }
    }
    // The attempts are counted to the largest number.
    Err(Error::new(Kind::Timeout).during(&call.name()))
}

fn end<T>(
    call: &Call,
    span: &CallSpan,
    answer: Result<T, Error>,
    attempts: u32,
    begun: Instant,
) -> Result<(T, Tries), Error> {
    span.ends(attempts, answer.as_ref().err());
    let tries = Tries { attempts, elapsed: begun.elapsed(), idempotency_key: call.idempotency_key() };
    match answer {
        Ok(value) => Ok((value, tries)),
        Err(error) => Err(error.tried(tries).during(&call.name())),
    }
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    [one, other].into_iter().flatten().min()
}

/// Makes an attempt in its span, and gives up when the time is over.
async fn within<T, Fut>(
    limit: Option<Duration>,
    span: &CallSpan,
    attempt: impl FnOnce() -> Fut,
) -> Result<T, Error>
where
    Fut: Future<Output = Result<T, Error>>,
{
    // The futures around it would hold a copy of it each, so they point at it.
    let mut attempt = pin!(async { attempt().await });
    let attempt = span.around(attempt.as_mut());
    match limit {
        Some(limit) => timeout(limit, attempt).await.unwrap_or_else(|_| Err(Error::new(Kind::Timeout))),
        None => attempt.await,
    }
}
