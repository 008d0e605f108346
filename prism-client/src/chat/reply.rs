//! What an agent did in a turn, put together.

use prism_types::{FilesystemChanged, SteeringRequested, ToolCalled, ToolReturned};

use super::{Outcome, Part};

/// All that an agent did about a message; from [`Turn::reply`](super::Turn::reply), or put together part by part while the
/// parts are shown:
///
/// ```no_run
/// use prism_client::chat::Reply;
///
/// # use prism_client::{Error, resources::DeploymentHandle};
/// # async fn example(agent: DeploymentHandle) -> Result<(), Error> {
/// let (mut turn, mut reply) = (agent.chat("Plan a launch video").await?, Reply::default());
/// while let Some(part) = turn.next().await.transpose()? {
///     reply.add(&part);
///     println!("{} bytes of text, {} tools", reply.text.len(), reply.tools.len());
/// }
/// # Ok(())
/// # }
/// ```
///
/// It grows with what the agent does; nothing limits it but the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// All pieces of its text.
    pub text: String,
    /// The tools that it called, in the order of their calls.
    pub tools: Vec<ToolUse>,
    /// The files that it changed, in the order of the changes; with `features.filesystem_webhooks`.
    pub files: Vec<FilesystemChanged>,
    /// What it asked.
    pub questions: Vec<SteeringRequested>,
    /// How the turn ended; `None` as long as it has not.
    pub outcome: Option<Outcome>,
}

/// A tool that was called, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolUse {
    /// The call, with its arguments: [`decode`](prism_types::RawJson::decode) them into a type of yours.
    pub call: ToolCalled,
    /// What it got; `None` as long as there is nothing, and when the run ended before.
    pub result: Option<ToolReturned>,
}

impl Reply {
    /// Takes in a part.
    pub fn add(&mut self, part: &Part) {
        match part {
            Part::Text(piece) => self.text.push_str(piece),
            Part::ToolCall(call) => self.tools.push(ToolUse { call: call.clone(), result: None }),
            Part::ToolResult(result) => self.add_result(result),
            Part::File(changed) => self.files.push(changed.clone()),
            Part::Question(question) => self.questions.push(question.clone()),
            Part::Other(_) => {}
        }
    }

    /// Puts a result beside its call: the one with its id, or else the first call of the tool that has none.
    fn add_result(&mut self, result: &ToolReturned) {
        let is_of = |tool: &&mut ToolUse| match (&tool.call.tool_call_id, &result.tool_call_id) {
            (Some(call), Some(of)) => call == of,
            _ => tool.call.tool == result.tool,
        };
        let waiting = self.tools.iter_mut().filter(|tool| tool.result.is_none());
        if let Some(tool) = { waiting }.find(is_of) {
            tool.result = Some(result.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_types::RawJson;

    fn call(tool: &str, id: Option<&str>) -> Part {
        let mut call = ToolCalled::new("run_1".parse().unwrap(), tool, RawJson::parse("{}").unwrap());
        call.tool_call_id = id.map(Into::into);
        Part::ToolCall(call)
    }

    fn result(tool: &str, id: Option<&str>, result: &str) -> Part {
        let mut returned = ToolReturned::new("run_1".parse().unwrap(), tool, RawJson::parse(result).unwrap());
        returned.tool_call_id = id.map(Into::into);
        Part::ToolResult(returned)
    }

    fn results(parts: &[Part]) -> Vec<Option<String>> {
        let mut reply = Reply::default();
        parts.iter().for_each(|part| reply.add(part));
        let text = |tool: &ToolUse| tool.result.as_ref().map(|result| result.result.get().to_owned());
        reply.tools.iter().map(text).collect()
    }

    #[test]
    fn a_result_stands_beside_its_call() {
        let parts = [
            call("search", Some("a")),
            call("search", Some("b")),
            result("search", Some("b"), "2"),
            call("search", Some("c")),
            result("search", Some("a"), "1"),
        ];
        assert_eq!(results(&parts), [Some("1".into()), Some("2".into()), None]);
    }

    #[test]
    fn without_ids_results_come_in_the_order_of_calls() {
        let parts = [
            call("search", None),
            call("read", None),
            call("search", None),
            result("search", None, "1"),
            result("search", None, "3"),
            result("search", None, "9"),
        ];
        assert_eq!(results(&parts), [Some("1".into()), None, Some("3".into())]);
    }
}
