//! Servers for the tests of your own code: a client on top of a stub or of a fake, without a socket.
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
///
/// # Panics
/// Never: its settings are valid.
pub fn client(stub: impl Stub) -> Client {
    let builder = Client::builder().base_url(BASE_URL).api_key("prism_mock").transport(Server::new(stub));
    builder.build().unwrap_or_else(|_| unreachable!("the settings of a mock are valid"))
}
