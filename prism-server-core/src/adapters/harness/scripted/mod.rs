//! The harness `scripted`: an agent that does what a script says.
//!
//! It calls no model and executes nothing, costs nothing, and does the same each time. So it is what tests,
//! demonstrations and load trials run against, and what a client is written against before a real agent is
//! at hand. It always runs in a sandbox of type `memory`.
//!
//! # Where the script is
//! The script is the first fenced code block of the system prompt whose info string is `script`:
//!
//! ````text
//! You are a test agent.
//!
//! ```script
//! say Let me look that up.
//! tool search {"query": "{{message}}"} => {"found": 3}
//! ask Shall I publish the result?
//! write result.md "# Result\nYou said {{answer}}.\n"
//! say Done.
//! ```
//! ````
//!
//! Without such a block a built-in script greets, calls a tool and repeats the message. A script that does
//! not parse fails the deployment with code `invalid_script` and a message that names the line (1 is the
//! first line of the block) and the rule.
//!
//! # Steps
//! One step per line. Blank lines and lines that start with `#` are skipped.
//!
//! | step | what it does |
//! |---|---|
//! | `say TEXT` | one `token` event per word; together they are the text, spaces included |
//! | `token TEXT` | exactly one `token` event |
//! | `tool NAME {ARGUMENTS} => RESULT` | a `tool_call` and a `tool_result` event, with the ids `call_1`, `call_2`, ...; the arguments are a JSON object, the result is any JSON |
//! | `ask TEXT` | asks a human and waits; the answer is `{{answer}}` from then on. With the feature `steering` off it does not wait, and the answer is empty |
//! | `write PATH TEXT` | writes a file of the workspace: a `filesystem` event |
//! | `delete PATH` | deletes a file of the workspace: a `filesystem` event if there was one |
//! | `read PATH` | one `token` event with the file's text, or `(no such file)` |
//! | `remember TEXT` | remembers the text on all threads; with the feature `memory` off it does nothing |
//! | `forget TEXT` | forgets every memory that contains the text |
//! | `usage IN OUT` | the model has read and written so many tokens more, at most 1,000,000,000 each |
//! | `delay DURATION` | waits |
//! | `repeat N STEP` | does a step 1 to 1,000,000 times |
//! | `repeat N every DURATION STEP` | the same, and waits between two of them |
//! | `fail CODE TEXT` | fails the run |
//! | `provision delay DURATION` | waits while the deployment is `provisioning` |
//! | `provision fail CODE TEXT` | fails the deployment |
//!
//! Steps that start with `provision` are carried out when the agent is made ready, in their order; all others
//! in each run. What is repeated can be any step except `repeat`, `fail` and `provision`. After the last
//! step the run is completed.
//!
//! * **TEXT** is the rest of the line, or a JSON string such as `"two\nlines"`. What starts with a quote must
//!   be a JSON string; the empty text is `""`.
//! * **PATH** is a word or a JSON string: a path inside the workspace, without templates.
//! * **DURATION** is a whole number of `ms` or `s`, at most one hour: `50ms`, `2s`.
//! * **CODE** is 1 to 64 characters of `a-z 0-9 _`.
//! * **NAME** is a word: the name of a built-in tool, `SERVER/TOOL` for a tool of an MCP server, or any other.
//!
//! # Tools
//! A `tool` is not called; its result is what the script says. A tool that is switched off has an error for its
//! result. One that needs the approval of a human asks for it after its `tool_call`, and has an error for its result
//! when it is denied; with the feature `steering` off that is at once. An answer in words allows when it is a plain
//! yes.
//!
//! # Templates
//! In every TEXT, and in every string value of a tool's JSON:
//!
//! | template | stands for |
//! |---|---|
//! | `{{message}}` | the message that started the run |
//! | `{{answer}}` | the last answer to an `ask`, empty before |
//! | `{{skills}}` | the names of the usable skills, separated by `, ` |
//! | `{{model}}` | the model of the deployment |
//! | `{{memories}}` | what the agent remembers, separated by `; `; with the feature `memory` off it is empty |
//!
//! Another name in double braces is an error; other braces are text. What a template stands for is not
//! searched for templates again. A text of more than 1 MiB fails the run with code `text_too_long`.
//!
//! # Steering
//! A message that comes while the script runs is taken between two steps, or two repetitions, and gives one
//! `token` event `[steered: <message>]`. Messages that wait at the end of the script are taken before the run
//! is completed.
//!
//! # Failures
//! A run fails with the code of its `fail` step, or with `sandbox_failed` when the workspace refuses a file,
//! `text_too_long`, `no_message` when it never got a message to answer, `invalid_script`, or
//! `invalid_checkpoint` when it is told to go on from a place that its script does not have.
//!
//! # Restarts
//! Every event carries a checkpoint, so a run that is cut off goes on exactly after its last committed event.
//! A wait that is cut off is waited again from its start; a file that was written but not committed is
//! written again.

mod memory;
mod parser;
mod player;
mod script;
mod template;

use std::time::Duration;

use futures::{FutureExt, StreamExt, future::Either, stream};
use prism_types::{Runtime, Sandbox, SandboxType};

use self::{
    memory::Memories,
    player::Player,
    script::Provision,
    template::{Budget, Values},
};
use crate::{
    domain::{
        deployment::AgentSpec,
        tool::{BUILTIN_TOOLS, BuiltinTool, PUBLISHED_TOOLS},
    },
    ports::{
        AgentMemories, BoxFuture, Harness, HarnessError, HarnessEvent, HarnessStep, Preparation, Remembered,
        RunInput, StepStream,
    },
};

/// The harness `scripted`: see the module's documentation.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ScriptedHarness;

impl ScriptedHarness {
    /// The harness.
    pub fn new() -> Self {
        Self
    }
}

impl Harness for ScriptedHarness {
    fn runtime(&self) -> Runtime {
        Runtime::Scripted
    }

    fn sandbox_for(&self, _requested: &Sandbox) -> SandboxType {
        SandboxType::Memory
    }

    fn tools(&self, _spec: &AgentSpec) -> Vec<BuiltinTool> {
        let tool = |name| BuiltinTool::new(name, "Does nothing; a script says what it answers.");
        BUILTIN_TOOLS[..PUBLISHED_TOOLS].iter().copied().map(tool).collect()
    }

    fn prepare(&self, preparation: Preparation) -> BoxFuture<'_, Result<(), HarnessError>> {
        async move {
            let script = parser::parse_prompt(&preparation.setup.spec.system_prompt)?;
            let values = Values { model: &preparation.setup.model, ..Values::default() };
            for step in &script.provision {
                match step {
                    Provision::Delay(time) => wait(*time).await,
                    Provision::Fail { code, message } => {
                        let message = template::render(message, &values, &mut Budget::new())?;
                        return Err(HarnessError { code: code.clone(), message });
                    }
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn run(&self, input: RunInput) -> StepStream {
        // Nothing happens before the first poll, not even the parsing.
        stream::unfold(Some(Either::Left(Box::new(input))), |state| async move {
            let player = match state? {
                Either::Left(input) => Player::start(*input).map(Box::new),
                Either::Right(player) => Ok(player),
            };
            Some(match player {
                Ok(mut player) => {
                    let step = player.next().await;
                    let ended = step.event.is_last();
                    (step, (!ended).then_some(Either::Right(player)))
                }
                Err(HarnessError { code, message }) => {
                    (HarnessStep::from(HarnessEvent::Failed { code, message }), None)
                }
            })
        })
        .boxed()
    }

    fn memories(&self, agent: Preparation) -> BoxFuture<'_, Result<Option<AgentMemories>, HarnessError>> {
        async move {
            // A script that has no use for memories costs nothing.
            if !parser::parse_prompt(&agent.setup.spec.system_prompt)?.has_memory() {
                return Ok(None);
            }
            Ok(Some(Memories::of(agent.sandbox.as_ref()).await?.told()))
        }
        .boxed()
    }

    fn remember(
        &self,
        agent: Preparation,
        entries: Vec<String>,
        version: String,
    ) -> BoxFuture<'_, Result<Remembered, HarnessError>> {
        async move { Memories::of(agent.sandbox.as_ref()).await?.replace(entries, &version).await }.boxed()
    }
}

/// Waits; not at all for no time, so that a `repeat` without `every` stays ready.
async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
