//! Telling when something is written in a folder, so that nobody has to look again and again: by the kernel's inotify, of
//! which all folders share one instance.
//!
//! It spares looks and promises nothing. The kernel has a limit of instances and of watches, for all processes of a user
//! together, and it forgets what it has to tell when there is too much of it; then all are told. So whoever waits looks
//! now and then as well.

use std::{
    collections::HashMap,
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::{io::unix::AsyncFd, sync::watch, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{folder::Folder, watch::readiness};

/// How much is read of what the kernel tells, in bytes, and how long it is left to gather more of it after that.
const BUFFER: usize = 4096;
const GATHERING: Duration = Duration::from_millis(5);

/// Tells of folders; begins when it is asked for the first one.
#[derive(Default)]
pub(super) struct Inotify(OnceLock<Option<Instance>>);

struct Instance {
    shared: Arc<Shared>,
    _reading: AbortOnDropHandle<()>,
}

struct Shared {
    file: OwnedFd,
    /// Those who listen, by the kernel's number of the folder.
    listeners: Mutex<HashMap<i32, watch::Sender<()>>>,
}

/// Tells of one folder.
pub(super) struct Listener {
    shared: Arc<Shared>,
    number: i32,
    news: watch::Receiver<()>,
}

impl Inotify {
    /// Tells of a folder from now on; `None` where the kernel does not.
    pub(super) fn listen(&self, folder: &Folder) -> Option<Listener> {
        let directory = folder.open().ok()??;
        let instance = self.0.get_or_init(|| {
            let begun = Instance::begin();
            begun
                .inspect_err(|error| tracing::info!(%error, "outputs are looked at, for want of inotify"))
                .ok()
        });
        let shared = Arc::clone(&instance.as_ref()?.shared);
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let mut listeners = shared.listeners();
        let added = inotify::add_watch(&shared.file, path, WatchFlags::MODIFY | WatchFlags::ONLYDIR);
        let number = added.inspect_err(|error| tracing::debug!(%error, "a folder is looked at")).ok()?;
        let news = listeners.entry(number).or_insert_with(|| watch::channel(()).0).subscribe();
        drop(listeners);
        Some(Listener { shared, number, news })
    }
}

impl Instance {
    fn begin() -> io::Result<Self> {
        let file = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let shared = Arc::new(Shared { file, listeners: Mutex::default() });
        let readable = readiness(Reading(Arc::clone(&shared)))?;
        Ok(Self { shared, _reading: AbortOnDropHandle::new(tokio::spawn(read(readable))) })
    }
}

impl Shared {
    fn tell(&self, number: i32, what: ReadFlags) {
        let mut listeners = self.listeners();
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            listeners.values().for_each(|listener| listener.send_replace(()));
        } else if what.contains(ReadFlags::IGNORED) {
            // The folder is gone. Those who listen learn that they hear nothing more.
            listeners.remove(&number);
        } else if let Some(listener) = listeners.get(&number) {
            listener.send_replace(());
        }
    }

    /// No operation leaves it half changed, so a panic elsewhere is no reason to stop.
    fn listeners(&self) -> MutexGuard<'_, HashMap<i32, watch::Sender<()>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is read, as long as somebody reads it.
struct Reading(Arc<Shared>);

impl AsRawFd for Reading {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.file.as_raw_fd()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.listeners().clear();
    }
}

/// Passes on what the kernel tells. However much that is, it takes little of the time.
async fn read(readable: AsyncFd<Reading>) {
    let shared = &readable.get_ref().0;
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
    while let Ok(mut ready) = readable.readable().await {
        let mut events = Reader::new(&shared.file, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => shared.tell(event.wd(), event.events()),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return tracing::warn!(%error, "inotify tells nothing more"),
            }
            if events.is_buffer_empty() {
                break;
            }
        }
        sleep(GATHERING).await;
    }
}

impl Listener {
    /// Forgets what was told up to now.
    pub(super) fn forget(&mut self) {
        self.news.borrow_and_update();
    }

    /// Waits until something was written that was not forgotten; `false` when nothing more is told.
    pub(super) async fn heard(&mut self) -> bool {
        self.news.changed().await.is_ok()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listeners = self.shared.listeners();
        if listeners.get(&self.number).is_some_and(|listener| listener.receiver_count() == 1) {
            listeners.remove(&self.number);
            // The kernel has forgotten a folder that is gone.
            let _ = inotify::remove_watch(&self.shared.file, self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn folder(directory: &Path, name: &str) -> Folder {
        let folder = Folder::new(directory, &name.parse().unwrap());
        folder.prepare(false).unwrap();
        folder
    }

    async fn heard(listener: &mut Listener) -> bool {
        timeout(PATIENCE, listener.heard()).await.expect("it is told in time")
    }

    #[tokio::test]
    async fn what_is_written_in_a_folder_is_told_to_all_who_listen_there_and_to_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (folder(directory.path(), "ins_1"), folder(directory.path(), "ins_2"));
        let inotify = Inotify::default();
        assert!(inotify.listen(&Folder::new(directory.path(), &"ins_none".parse().unwrap())).is_none());
        let [mut first, mut second] = [&one, &one].map(|folder| inotify.listen(folder).unwrap());
        let mut elsewhere = inotify.listen(&other).unwrap();
        fs::write(one.path().join("file"), "some").unwrap();
        assert!(heard(&mut first).await && heard(&mut second).await);
        assert!(!elsewhere.news.has_changed().unwrap());

        drop(first);
        fs::write(other.path().join("file"), "some").unwrap();
        assert!(heard(&mut elsewhere).await);
        fs::write(one.path().join("file"), "more").unwrap();
        second.forget();
        fs::write(one.path().join("file"), "most").unwrap();
        assert!(heard(&mut second).await, "one who goes takes nobody along");
        let shared = Arc::clone(&second.shared);
        assert_eq!(shared.listeners().len(), 2);
        drop(second);
        assert_eq!(shared.listeners().len(), 1);
        // Again, after nobody did.
        let mut again = inotify.listen(&one).unwrap();
        fs::write(one.path().join("file"), "again").unwrap();
        assert!(heard(&mut again).await);
    }

    #[tokio::test]
    async fn whoever_will_hear_nothing_more_learns_so() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (folder(directory.path(), "ins_1"), folder(directory.path(), "ins_2"));
        let inotify = Inotify::default();
        let (mut gone, mut left) = (inotify.listen(&one).unwrap(), inotify.listen(&other).unwrap());
        fs::remove_dir_all(one.path()).unwrap();
        while heard(&mut gone).await {}
        drop(inotify);
        assert!(!heard(&mut left).await);
    }

    #[tokio::test]
    async fn when_the_kernel_has_too_much_to_tell_all_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (folder(directory.path(), "ins_1"), folder(directory.path(), "ins_2"));
        let inotify = Inotify::default();
        let (mut first, mut second) = (inotify.listen(&one).unwrap(), inotify.listen(&other).unwrap());
        let most: usize =
            fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
        let mut files =
            [one.path().join("a"), one.path().join("b")].map(|path| fs::File::create(path).unwrap());
        // Nobody reads meanwhile, for the test does not wait. What repeats the last one counts as one.
        for round in 0..=most {
            io::Write::write_all(&mut files[round % 2], b"x").unwrap();
        }
        assert!(heard(&mut first).await);
        assert!(heard(&mut second).await, "though nothing was written there");
    }
}
