//! The control plane with a harness that stamps its tokens with the time at which they were made.
//!
//! Prism puts no clock on the wire, so this harness does: the text of each token begins with the nanoseconds
//! since 1970 on the machine's clock. Whoever reads the stream on the same machine knows how long an event
//! took from the agent through its durable commit to the reader.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::serve::ListenerExt;
use futures::{FutureExt, StreamExt, stream};
use prism_server_core::{
    ControlPlane,
    adapters::{
        secret_box::{MasterKey, SealedBox},
        store::SqliteStore,
    },
    domain::tenant::Scopes,
    ports::{BoxFuture, Harness, HarnessError, HarnessEvent, HarnessStep, Preparation, RunInput, StepStream},
};
use prism_types::{Runtime, Sandbox, SandboxType, Secret};
use tokio::{net::TcpListener, time::interval};

use crate::{
    Result,
    ground::DATABASE,
    options::ServerRole,
    process::{KEY, LISTENING},
};

/// How long it is between two events.
pub(crate) const EVERY: Duration = Duration::from_millis(20);

/// What makes an event of the stream about 200 bytes long.
const PADDING: &str = " and so much more text that the frame is long";

/// Serves the control plane until the process is killed.
pub(crate) async fn serve(role: &ServerRole) -> Result<()> {
    let plane = ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([7; 32])))
        .store(Arc::new(SqliteStore::open(role.data_dir.join(DATABASE))?))
        .harness(StampingHarness)
        .build()
        .await?;
    let tenant = plane.admin().create_tenant("load").await?;
    plane.admin().create_key(&tenant.id, "load", Scopes::all(), Some(&Secret::new(KEY))).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let engine = tokio::spawn(plane.run());
    println!("stamped{LISTENING}{address}");
    // As `prism serve` does: events are small and must not wait for each other.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, plane.router()).await?;
    Ok(engine.await?)
}

/// The text of a token: the time and padding.
pub(crate) fn stamped_text() -> String {
    format!("{:019}{PADDING}", now().as_nanos())
}

/// How long ago the text was made.
pub(crate) fn age(text: &str) -> Option<Duration> {
    let nanoseconds = text.get(..19)?.parse().ok()?;
    now().checked_sub(Duration::from_nanos(nanoseconds))
}

/// The clock that all processes of the machine share.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Takes the place of the runtime `scripted`: each run makes as many tokens as its message says, one every
/// [`EVERY`].
struct StampingHarness;

impl Harness for StampingHarness {
    fn runtime(&self) -> Runtime {
        Runtime::Scripted
    }

    fn sandbox_for(&self, _: &Sandbox) -> SandboxType {
        SandboxType::Memory
    }

    fn prepare(&self, _: Preparation) -> BoxFuture<'_, std::result::Result<(), HarnessError>> {
        std::future::ready(Ok(())).boxed()
    }

    fn run(&self, mut input: RunInput) -> StepStream {
        let tokens = async move {
            let message = input.inbox.recv().await;
            let count = message.as_ref().and_then(|message| message.content.parse().ok()).unwrap_or(0);
            let read = message.map(|message| message.position);
            let first = HarnessStep { event: HarnessEvent::Progress, checkpoint: None, read };
            // The inbox is kept, as an agent would that can be steered.
            let ticks = stream::unfold((interval(EVERY), input.inbox), |(mut ticks, inbox)| async {
                ticks.tick().await;
                Some((HarnessStep::from(HarnessEvent::Token(stamped_text())), (ticks, inbox)))
            });
            let last = stream::iter([HarnessStep::from(HarnessEvent::Completed)]);
            stream::iter([first]).chain(ticks.take(count)).chain(last)
        };
        tokens.into_stream().flatten().boxed()
    }
}
