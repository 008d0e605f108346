//! Servers for the tests of your own code, in memory: a real [`Client`] with its retries, pages and streams, and no socket.
//!
//! With the feature `mock`, which belongs among the features of a development dependency:
//!
//! ```toml
//! [dev-dependencies]
//! prism-client = { version = "0.1", features = ["mock"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
//! | you want | take |
//! |---|---|
//! | a server that behaves like the real one | [`FakeServer`], and script what its agents say |
//! | one answer, exactly as you give it | a [`Stub`] of your own |
//! | the real behaviour, but for one operation | a [`Stub`] with a [`FakeServer`] behind it |
//!
//! # A test with the fake server
//!
//! Your code takes a [`Client`]. In the test its server is a [`FakeServer`], which does the whole API in memory. Its agents do
//! what [`reply`](FakeServer::reply) says: a text, or a [`Script`] with tool calls, questions, files and failures.
//!
//! ```
//! use prism_client::{Client, Error, chat::Outcome, types::CreateDeployment};
//!
//! /// The code to test: asks an agent for a plan, and agrees to whatever it wants to know.
//! async fn plan(client: &Client, topic: &str) -> Result<String, Error> {
//!     let request = CreateDeployment::new("cus_1", "Planner", "You make plans.");
//!     let created = client.deployments().create(request).await?;
//!     let agent = client.deployment(&created.deployment_id);
//!     agent.wait_until_ready().await?;
//!     let mut turn = agent.chat(topic).await?;
//!     while turn.next().await.transpose()?.is_some() {}
//!     match turn.outcome() {
//!         Some(Outcome::Asks(_)) => agent.chat("Yes, please.").text().await,
//!         _ => Ok(String::new()),
//!     }
//! }
//!
//! use prism_client::{mock::{self, FakeServer, Script}, types::SendMessage};
//!
//! # /*
//! #[tokio::test(start_paused = true)]
//! # */
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() { a_question_is_answered().await }
//! async fn a_question_is_answered() {
//!     let fake = FakeServer::new();
//!     fake.reply(Script::new().say("Let me see.").ask("With a budget?").say("You said: {{answer}}"));
//!     let plan = plan(&mock::client(fake.clone()), "Summer campaign").await.unwrap();
//!     assert_eq!(plan, "You said: Yes, please.");
//!     let sent: Vec<_> = fake.requests().into_iter().filter(|request| request.operation() == "send_message").collect();
//!     assert_eq!(sent[0].json::<SendMessage>().unwrap().content, "Summer campaign");
//! }
//! ```
//!
//! # A stub
//!
//! [`Stub`] has a method for each operation. Each has a default, which answers that it is not stubbed, and names itself. A
//! method answers with a value, a [`Reply`] with headers around it, or a [`Refusal`].
//!
//! ```
//! use prism_client::{
//!     mock::{self, Answer, Refusal, Request, Stub},
//!     types::{DeploymentId, Memory, MemoryId, MemorySource, Timestamp},
//! };
//!
//! struct OneMemory;
//!
//! impl Stub for OneMemory {
//!     fn get_memory(&self, _: &Request, _: DeploymentId, id: MemoryId) -> Answer<Memory> {
//!         if id.as_str() != "mem_1" {
//!             return Err(Refusal::not_found("Memory"));
//!         }
//!         Ok(Memory::new(id, "They like tea", MemorySource::Agent, Timestamp::UNIX_EPOCH).into())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let memories = mock::client(OneMemory).deployment(&"dep_1".parse()?).memories();
//! assert_eq!(memories.get(&"mem_1".parse()?).await?.content, "They like tea");
//! assert!(memories.get(&"mem_2".parse()?).await.unwrap_err().is_not_found());
//! let error = memories.list().await.unwrap_err().to_string();
//! assert!(error.contains("implement `list_memories`"));
//! # Ok(())
//! # }
//! ```
//!
//! Behind a stub there can be another one: [`otherwise`](Stub::otherwise) carries out what it does not do itself.
//!
//! ```
//! use prism_client::{
//!     mock::{self, Answer, FakeServer, Refusal, Request, Stub},
//!     types::{CreateDeployment, Deployment, ErrorCode},
//! };
//!
//! /// A server whose tenant has no credits.
//! struct Poor(FakeServer);
//!
//! impl Stub for Poor {
//!     fn otherwise(&self) -> Option<&dyn Stub> {
//!         Some(&self.0)
//!     }
//!
//!     fn create_deployment(&self, _: &Request, _: CreateDeployment) -> Answer<Deployment> {
//!         Err(Refusal::new(402, ErrorCode::InsufficientCredits, "Add credits"))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), prism_client::Error> {
//! let client = mock::client(Poor(FakeServer::new()));
//! let request = CreateDeployment::new("cus_1", "Agent", "You are an agent.");
//! assert!(client.deployments().create(request).await.unwrap_err().is_insufficient_credits());
//! assert!(client.deployments().list().await?.data.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # Failures
//!
//! | what goes wrong | how |
//! |---|---|
//! | the next requests are refused | [`fail_next`](FakeServer::fail_next), [`fail_next_with`](FakeServer::fail_next_with), [`fail_next_of`](FakeServer::fail_next_of) |
//! | there is no connection, or it breaks before the answer | the same, with [`Refusal::no_connection`] or [`Refusal::disconnected`] |
//! | the request is carried out, and the answer is lost | [`lose_answers`](FakeServer::lose_answers) |
//! | the answers are late | [`delay`](FakeServer::delay), or [`after`](Reply::after) of one answer |
//! | event streams break in the middle of an event | [`disconnect_streams`](FakeServer::disconnect_streams) |
//! | a run fails | [`fail`](Script::fail) of its script |
//! | a deployment is not ready for a while, or never | [`ready_after`](FakeServer::ready_after), [`ready_after_reads`](FakeServer::ready_after_reads), [`never_ready`](FakeServer::never_ready) |
//! | an answer has another form | [`intercept`](Stub::intercept) with [`Raw::json`] |
//!
//! The client above is the real one, so it tries again what it would try again:
//!
//! ```
//! use std::time::Duration;
//! use prism_client::{mock::{self, FakeServer, Refusal}, types::CreateDeployment};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), prism_client::Error> {
//! let fake = FakeServer::new();
//! fake.fail_next_with(1, Refusal::of_status(429).retry_after(Duration::from_secs(30)));
//! fake.lose_answers(1);
//! let request = CreateDeployment::new("cus_1", "Agent", "You are an agent.");
//! let created = mock::client(fake.clone()).deployments().create(request).await?;
//! assert!(created.attempts() == 3 && created.is_replay());
//! assert!(created.elapsed() >= Duration::from_secs(30), "by a clock that needed no time");
//! # Ok(())
//! # }
//! ```
//!
//! # Time
//!
//! Everything waits by tokio's time. In a test with paused time (`start_paused = true`) all pauses are over at once, in
//! their order: those of the client, and those of the server. Without paused time they take as long as they say.
//!
//! A test that waits for what never comes fails: an event stream of a fake is silent once nothing has happened for an hour,
//! and then the client gives it up.
//!
//! # How true it is
//!
//! The trait, its router and the fake are made from one table of operations. The tests of this project walk every call of the
//! client through it, and make the same calls of a fake and of the real control plane: statuses, error codes, fields
//! and events have to be the same. What the fake leaves out is in [a table](FakeServer#what-it-leaves-out). For what is
//! beyond it there is the runtime `scripted` of a real server.

mod content;
mod events;
mod fake;
mod query;
mod refusal;
mod reply;
mod request;
mod server;
mod stub;
mod table;

pub use content::Content;
pub use events::Events;
pub use fake::{FakeServer, Script};
pub use query::{
    DeleteDeployment, FilePath, ListApprovals, ListAuditEntries, ListDeliveries, ListFiles, ListMemories,
    StreamEvents, ToolOrigin,
};
pub use refusal::Refusal;
pub use reply::{Answer, Raw, Reply};
pub use request::Request;
pub use server::Server;
pub use stub::{OPERATIONS, Stub, StubOperation};

use crate::Client;

/// Where a [`client`] believes its server to be.
const BASE_URL: &str = "http://prism.mock";

/// A client whose server is this stub, with the settings that a client has by default.
///
/// It looks at no environment variable and opens no connection. For other settings, put a [`Server`] into a
/// [builder](crate::ClientBuilder::transport).
pub fn client(stub: impl Stub) -> Client {
    let builder = Client::builder().base_url(BASE_URL).api_key("prism_mock").transport(Server::new(stub));
    builder.build().unwrap_or_else(|_| unreachable!("the settings of a mock are valid"))
}
