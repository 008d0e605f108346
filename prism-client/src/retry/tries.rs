//! The attempts of one call.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{Error, backoff::deadline, call::Call, error::Kind};

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
    let (begun, idempotency_key) = (Instant::now(), call.idempotency_key());
    call.client().budget().pay_in();
    let left = call.timeout();
    let answer = attempt(call.within(left)).await;
    let tries = Tries { attempts: 1, elapsed: begun.elapsed(), idempotency_key };
    match answer {
        Ok(value) => Ok((value, tries)),
        Err(error) => Err(error.tried(tries)),
    }
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
    let key = call.idempotency_key();
    let tries = |attempts| Tries { attempts, elapsed: begun.elapsed(), idempotency_key: key.clone() };
    call.client().budget().pay_in();
    for attempts in 1.. {
        let left = ends.map(|ends| ends.saturating_duration_since(Instant::now()));
        let error = match attempt(call.clone().within(left)).await {
            Ok(value) => return Ok((value, tries(attempts))),
            Err(error) => error,
        };
        let pause = policy.pause(attempts, &error, is_repeatable);
        let in_time = |pause: &Duration| ends.is_none_or(|ends| Instant::now() + *pause < ends);
        let Some(pause) = pause.filter(in_time).filter(|_| call.client().budget().take_out()) else {
            return Err(error.tried(tries(attempts)));
        };
        sleep(pause).await;
    }
    // The attempts are counted to the largest number.
    Err(Error::new(Kind::Timeout).tried(tries(u32::MAX)))
}
