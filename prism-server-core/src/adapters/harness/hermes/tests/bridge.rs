//! A bridge that a test plays.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

/// How long the gateway may take for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(600);

/// One connection of a bridge.
pub(super) struct Bridge {
    commands: Lines<BufReader<OwnedReadHalf>>,
    writing: OwnedWriteHalf,
    /// The number of the next line.
    next: u64,
    /// The line from which the gateway wants to go on.
    pub(super) from: u64,
}

impl Bridge {
    /// Connects and says hello; lines `first..next` are there already.
    pub(super) async fn connect(folder: &Path, boot: &str, first: u64, next: u64) -> Self {
        let mut bridge = Self::hello(folder, boot, first, next).await;
        bridge.from = bridge.command("from").await.parse().unwrap();
        bridge
    }

    /// Says hello under a name that the gateway refuses.
    pub(super) async fn refused(folder: &Path, boot: &str) {
        Self::hello(folder, boot, 1, 1).await.hung_up().await;
    }

    async fn hello(folder: &Path, boot: &str, first: u64, next: u64) -> Self {
        let (reading, writing) = UnixStream::connect(folder.join("agent.sock")).await.unwrap().into_split();
        let mut bridge = Self { commands: BufReader::new(reading).lines(), writing, next, from: 0 };
        let settings = std::fs::read_to_string(folder.join("agent.json")).unwrap();
        let settings: Value = serde_json::from_str(&settings).unwrap();
        let hello = json!({"boot": boot, "digest": settings["digest"], "first": first, "next": next});
        bridge.write(format!("hello {hello}\n").as_bytes()).await;
        bridge
    }

    /// The rest of the next command of this name; acknowledgements are passed over.
    pub(super) async fn command(&mut self, name: &str) -> String {
        loop {
            let line = timeout(PATIENCE, self.commands.next_line()).await.expect("a command comes");
            let line = line.unwrap().expect("the gateway is there");
            match line.split_once(' ').unwrap_or((&line, "")) {
                (found, rest) if found == name => return rest.to_owned(),
                ("ack", _) => {}
                other => panic!("{name} is expected, not {other:?}"),
            }
        }
    }

    /// The next call, which has to be of this method.
    pub(super) async fn called(&mut self, method: &str) -> Call {
        let call: Value = serde_json::from_str(&self.command("send").await).unwrap();
        assert_eq!(call["method"], method, "{call}");
        Call { id: call["id"].clone(), params: call["params"].clone() }
    }

    /// Takes the next call, of this method, and answers it.
    pub(super) async fn answer(&mut self, method: &str, result: Value) -> Value {
        let call = self.called(method).await;
        self.line(&json!({"jsonrpc": "2.0", "id": call.id, "result": result}).to_string()).await;
        call.params
    }

    /// Takes the next message and tells that it was taken.
    pub(super) async fn take(&mut self) -> Value {
        let call = self.called("prism.message").await;
        self.tell([("prism.taken", json!({"id": call.params["id"], "how": "new"}))]).await;
        self.line(&json!({"jsonrpc": "2.0", "id": call.id, "result": {"how": "new"}}).to_string()).await;
        call.params
    }

    /// Tells events of the session.
    pub(super) async fn tell(&mut self, events: impl IntoIterator<Item = (&'static str, Value)>) {
        for (kind, payload) in events {
            let params = json!({"type": kind, "session_id": "s", "payload": payload});
            self.line(&json!({"jsonrpc": "2.0", "method": "event", "params": params}).to_string()).await;
        }
    }

    /// Sends a line of the agent's under the next number.
    pub(super) async fn line(&mut self, line: &str) {
        self.write(format!("{} {line}\n", self.next).as_bytes()).await;
        self.next += 1;
    }

    /// Sends bytes as they are.
    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.writing.write_all(bytes).await.unwrap();
    }

    /// Sends bytes, and says whether the gateway still takes them.
    pub(super) async fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writing.write_all(bytes).await
    }

    /// Waits until the gateway has hung up.
    pub(super) async fn hung_up(mut self) {
        let ended = async { while let Ok(Some(_)) = self.commands.next_line().await {} };
        timeout(PATIENCE, ended).await.expect("the gateway hangs up");
    }
}

/// A call of the gateway's.
pub(super) struct Call {
    pub(super) id: Value,
    pub(super) params: Value,
}
