//! The same client without `async`.
//!
//! There is nothing to learn: every call, wait, chat and stream is the one of the rest of this crate, and two methods do
//! what `.await` and `.next().await` do elsewhere. Bring the traits into scope:
//!
//! ```no_run
//! use prism_client::{
//!     Client,
//!     blocking::{Block as _, BlockStream as _},
//!     chat::Part,
//!     types::CreateDeployment,
//! };
//!
//! fn main() -> Result<(), prism_client::Error> {
//!     let client = Client::from_env()?;
//!     let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.");
//!     let created = client.deployments().create(request).block()?;
//!     let agent = client.deployment(&created.deployment_id);
//!     agent.wait_until_ready().block()?;
//!
//!     for part in agent.chat("Plan our summer campaign.").block()?.block_iter() {
//!         if let Part::Text(piece) = part? {
//!             print!("{piece}");
//!         }
//!     }
//!     for deployment in client.deployments().list().items().block_iter() {
//!         println!("{}", deployment?.deployment_id);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Methods that are `async` have no call to block on; [`block_on`] takes their future.
//!
//! The work is done on the thread that calls. One thread beside it, for the whole process, waits for sockets and timers; it
//! starts with the first call and stays. Within `async` code all this works too, but blocks a thread that others need:
//! use `.await` there.

use std::{
    future::IntoFuture,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use futures_util::Stream;
use tokio::runtime::{Builder, Runtime};

/// What can be waited for on this thread: calls, waits and chats.
pub trait Block: IntoFuture {
    /// Sends it, and waits for its end as `.await` does.
    ///
    /// # Errors
    /// Those of the call.
    fn block(self) -> Self::Output
    where
        Self: Sized,
    {
        block_on(self)
    }
}

impl<T: IntoFuture> Block for T {}

/// What can be read on this thread, one by one: lists, event streams and turns of a chat.
pub trait BlockStream: Stream {
    /// The items, each waited for when it is asked for.
    fn block_iter(self) -> BlockIter<Self>
    where
        Self: Sized + Unpin,
    {
        BlockIter(self)
    }
}

impl<S: Stream> BlockStream for S {}

/// The items of a stream; from [`BlockStream::block_iter`].
#[derive(Debug)]
#[must_use = "an iterator does nothing unless it is asked for its items"]
pub struct BlockIter<S>(S);

impl<S> BlockIter<S> {
    /// The stream, for what else it tells, such as [`EventStream::last_event_id`](crate::EventStream::last_event_id) or
    /// [`Turn::outcome`](crate::chat::Turn::outcome).
    pub fn get_ref(&self) -> &S {
        &self.0
    }

    /// The stream, from its next item on.
    pub fn into_inner(self) -> S {
        self.0
    }
}

impl<S: Stream + Unpin> Iterator for BlockIter<S> {
    type Item = S::Item;

    fn next(&mut self) -> Option<S::Item> {
        block_on(futures_util::StreamExt::next(&mut self.0))
    }
}

/// Waits for a future on this thread.
///
/// # Panics
/// When the operating system has no thread left for the sockets and timers.
pub fn block_on<F: IntoFuture>(work: F) -> F::Output {
    let _entered = runtime().enter();
    let woken = Arc::new(Woken { thread: thread::current(), is_woken: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut work = pin!(work.into_future());
    loop {
        if let Poll::Ready(output) = work.as_mut().poll(&mut context) {
            return output;
        }
        while !woken.is_woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

/// Wakes the thread that waits. That it was woken is kept apart for each future: what blocks within this one, such as a
/// callback, waits on the same thread, and would take the wake-up that is for this one.
struct Woken {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// What waits for sockets and timers.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("prism-client").enable_all();
        builder.build().expect("the operating system has a thread left")
    })
}
