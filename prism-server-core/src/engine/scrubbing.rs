//! Taking secrets out of what a harness tells, before anything of it is stored.
//!
//! A secret can be spread over several pieces of text. So a piece that may be the beginning of one is held until
//! the next step shows what it is, and the pieces become one. A held step is not in any commit, nor is its
//! checkpoint: if the server stops, the harness tells it again.

use std::sync::Arc;

use futures::{StreamExt, stream};

use crate::{
    domain::scrubber::Scrubber,
    ports::{HarnessEvent, HarnessStep, StepStream},
};

/// Most bytes of text that are held; more is told as it is.
const HELD: usize = 256 * 1024;

/// The steps without secrets.
pub(super) fn scrubbed(steps: StepStream, scrubber: Arc<Scrubber>) -> StepStream {
    if scrubber.is_empty() {
        return steps;
    }
    let state = Scrubbing { steps, scrubber, held: None, next: None };
    stream::unfold(state, |mut state| async move { Some((state.next().await?, state)) }).boxed()
}

struct Scrubbing {
    steps: StepStream,
    scrubber: Arc<Scrubber>,
    /// Text that may end in the beginning of a secret.
    held: Option<HarnessStep>,
    /// What follows the text that was held.
    next: Option<HarnessStep>,
}

impl Scrubbing {
    async fn next(&mut self) -> Option<HarnessStep> {
        if let Some(step) = self.next.take() {
            return Some(step);
        }
        loop {
            let Some(step) = self.steps.next().await else {
                return self.held.take().map(|held| self.scrub(held));
            };
            let HarnessEvent::Token(delta) = &step.event else {
                let step = self.scrub(step);
                let Some(held) = self.held.take() else { return Some(step) };
                self.next = Some(step);
                return Some(self.scrub(held));
            };
            let step = match self.held.take() {
                Some(held) => joined(held, delta, &step),
                None => step,
            };
            match &step.event {
                HarnessEvent::Token(text) if text.len() < HELD && self.scrubber.may_continue(text) => {
                    self.held = Some(step);
                }
                _ => return Some(self.scrub(step)),
            }
        }
    }

    fn scrub(&self, step: HarnessStep) -> HarnessStep {
        use HarnessEvent as E;
        let text = |text: String| self.scrubber.text(&text).into_owned();
        let event = match step.event {
            E::Token(delta) => E::Token(text(delta)),
            E::ToolCall { id, tool, arguments } => {
                E::ToolCall { id: text(id), tool: text(tool), arguments: self.scrubber.json(arguments) }
            }
            E::ToolResult { id, tool, result } => {
                E::ToolResult { id: text(id), tool: text(tool), result: self.scrubber.json(result) }
            }
            E::FileChanged { change, path } => match self.scrubber.text(path.as_str()).parse() {
                Ok(path) => E::FileChanged { change, path },
                Err(_) => E::Progress,
            },
            E::Asked { summary } => E::Asked { summary: text(summary) },
            E::Failed { code, message } => E::Failed { code: text(code), message: text(message) },
            E::Lost { message } => E::Lost { message: text(message) },
            event @ (E::Used(_) | E::Progress | E::Completed) => event,
        };
        HarnessStep { event, ..step }
    }
}

/// Two pieces of text as one step.
fn joined(held: HarnessStep, delta: &str, step: &HarnessStep) -> HarnessStep {
    let HarnessEvent::Token(text) = held.event else { return step.clone() };
    HarnessStep {
        event: HarnessEvent::Token(text + delta),
        checkpoint: step.checkpoint.clone().or(held.checkpoint),
        read: step.read.or(held.read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const SECRET: &str = "hunter2-secret";

    fn token(text: &str, checkpoint: &str) -> HarnessStep {
        let event = HarnessEvent::Token(text.to_owned());
        HarnessStep { checkpoint: Some(checkpoint.to_owned()), ..event.into() }
    }

    async fn told(steps: Vec<HarnessStep>) -> Vec<HarnessStep> {
        let scrubber = Arc::new(Scrubber::new([SECRET.to_owned()]));
        scrubbed(stream::iter(steps).boxed(), scrubber).collect().await
    }

    fn text(steps: &[HarnessStep]) -> String {
        let text = |step: &HarnessStep| match &step.event {
            HarnessEvent::Token(text) => text.clone(),
            _ => String::new(),
        };
        steps.iter().map(text).collect()
    }

    #[tokio::test]
    async fn a_secret_in_pieces_is_found_and_its_checkpoint_waits_for_the_last_piece() {
        let pieces = vec![token("It is hun", "1"), token("ter2-", "2"), token("secret!", "3")];
        let told = told(pieces).await;
        assert_eq!(told, [token("It is [redacted]!", "3")]);
    }

    #[tokio::test]
    async fn what_only_begins_like_a_secret_is_told_before_the_next_step() {
        let call = HarnessEvent::ToolCall {
            id: "call_1".to_owned(),
            tool: "terminal".to_owned(),
            arguments: json!({"command": format!("echo {SECRET}")}),
        };
        let told = told(vec![token("a hunt", "1"), call.into(), HarnessEvent::Completed.into()]).await;
        assert_eq!(told[0], token("a hunt", "1"));
        let HarnessEvent::ToolCall { arguments, .. } = &told[1].event else { panic!("{told:?}") };
        assert_eq!(arguments, &json!({"command": "echo [redacted]"}));
        assert_eq!(told[2].event, HarnessEvent::Completed);
    }

    proptest! {
        #[test]
        fn however_it_is_cut_no_secret_is_told_and_nothing_else_is_lost(
            words in prop::collection::vec(prop_oneof![Just(SECRET), Just("hunter"), Just("h"), Just(" é ")], 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let whole = words.concat();
            let mut places: Vec<_> =
                cuts.iter().map(|cut| whole.floor_char_boundary(cut.index(whole.len() + 1))).collect();
            places.extend([0, whole.len()]);
            places.sort_unstable();
            let pieces = places.windows(2).map(|pair| token(&whole[pair[0]..pair[1]], "1")).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let told = runtime.block_on(told(pieces));
            prop_assert_eq!(text(&told), whole.replace(SECRET, "[redacted]"));
        }
    }
}
