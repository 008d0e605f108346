//! Files that users changed themselves and were told of, so that the agent's scan does not tell them again.
//!
//! The bridge looks for changes whatever made them, and cannot know whose they are. So the gateway tells it what users
//! wrote. It may look before it has heard of one, or hear of one when the agent has changed the file again. So the gateway
//! remembers what users were last told of these files, by size and time, and leaves out what is no news.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::UNIX_EPOCH,
};

use prism_types::FileChange;
use serde_json::json;
use tokio::sync::OwnedMutexGuard;

use super::connection::Connection;
use crate::{
    domain::workspace::WorkspacePath,
    ports::{FileInfo, OutsideChange},
};

/// Most files that are remembered; the bridge has long heard of older ones.
const REMEMBERED: usize = 1000;

/// What users did to one workspace.
#[derive(Default)]
pub(super) struct KnownFiles {
    /// Held while somebody changes a file: nobody can say meanwhile whose change it is.
    turn: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The newest last.
    files: VecDeque<(WorkspacePath, Known)>,
    connection: Weak<Connection>,
}

/// What users were last told of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// This file is there.
    Is(Stamp),
    /// Nothing is there, and nothing below it.
    Gone,
}

/// What tells one state of a file from another: its size, and its time in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    pub(super) modified: u64,
}

impl From<&FileInfo> for Stamp {
    fn from(info: &FileInfo) -> Self {
        let since = info.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { size: info.size, modified: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX) }
    }
}

/// A change of a file that the bridge found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) change: FileChange,
    pub(super) path: WorkspacePath,
    /// What is there now, if there is something.
    pub(super) stamp: Option<Stamp>,
}

impl KnownFiles {
    /// Has the bridge of this connection told from now on.
    pub(super) fn connect(&self, connection: &Arc<Connection>) {
        self.state().connection = Arc::downgrade(connection);
    }

    /// A user is about to change something.
    pub(super) async fn begin(self: &Arc<Self>) -> Box<dyn OutsideChange> {
        let turn = self.turn.clone().lock_owned().await;
        Box::new(Change { files: self.clone(), _turn: turn })
    }

    /// What a change that the bridge found is to those who know what users did; `None`: nothing new.
    pub(super) async fn news(&self, seen: &Seen) -> Option<FileChange> {
        let _turn = self.turn.lock().await;
        self.state().news(seen)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, path: &WorkspacePath, known: Known) {
        let is_below = |other: &WorkspacePath| known == Known::Gone && below(path.as_str(), other.as_str());
        self.files.retain(|(other, _)| other != path && !is_below(other));
        if self.files.len() >= REMEMBERED {
            self.files.pop_front();
        }
        self.files.push_back((path.clone(), known));
    }

    fn news(&mut self, seen: &Seen) -> Option<FileChange> {
        let Seen { change, path, stamp } = seen;
        let concerns = |(other, known): &&(WorkspacePath, Known)| {
            other == path || (*known == Known::Gone && below(other.as_str(), path.as_str()))
        };
        let Some((_, known)) = self.files.iter().rev().find(concerns) else { return Some(change.clone()) };
        // A file without a size and a time is some other file.
        let now = match (change, stamp) {
            (FileChange::Deleted, _) => Known::Gone,
            (_, stamp) => Known::Is(stamp.unwrap_or(Stamp { size: u64::MAX, modified: u64::MAX })),
        };
        if now == *known {
            return None;
        }
        let news = match (known, now) {
            (_, Known::Gone) => FileChange::Deleted,
            (Known::Gone, Known::Is(_)) => FileChange::Created,
            (Known::Is(_), Known::Is(_)) => FileChange::Modified,
        };
        self.note(path, now);
        Some(news)
    }
}

/// Whether a path is in a directory, or further below.
fn below(directory: &str, path: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

struct Change {
    files: Arc<KnownFiles>,
    _turn: OwnedMutexGuard<()>,
}

impl OutsideChange for Change {
    fn changed(self: Box<Self>, path: &WorkspacePath, now: Option<&FileInfo>) {
        let stamp = now.map(Stamp::from);
        let mut state = self.files.state();
        state.note(path, stamp.map_or(Known::Gone, Known::Is));
        // Of a deletion it is not told: the agent may have made another file by the time that it hears of it.
        let connection = stamp.and_then(|_| state.connection.upgrade());
        drop(state);
        if let (Some(connection), Some(Stamp { size, modified })) = (connection, stamp) {
            let file = json!({ "path": path.as_str(), "size": size, "mtime": modified });
            connection.tell(format!("told {file}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> WorkspacePath {
        text.parse().unwrap()
    }

    fn stamp(number: u64) -> Stamp {
        Stamp { size: 3, modified: number }
    }

    fn seen(change: FileChange, name: &str, number: u64) -> Seen {
        let stamp = (change != FileChange::Deleted).then(|| stamp(number));
        Seen { change, path: path(name), stamp }
    }

    #[test]
    fn what_users_did_is_no_news_and_what_the_agent_makes_of_it_is() {
        use FileChange::{Created, Deleted, Modified};
        let mut state = State::default();
        state.note(&path("a"), Known::Is(stamp(1)));
        state.note(&path("dir"), Known::Gone);
        for (change, name, number, news) in [
            (Created, "a", 1, None),
            (Created, "a", 2, Some(Modified)),
            (Modified, "a", 2, None),
            (Deleted, "a", 0, Some(Deleted)),
            (Deleted, "dir/sub/b", 0, None),
            (Created, "dir/b", 3, Some(Created)),
            (Deleted, "dir/b", 0, Some(Deleted)),
            (Deleted, "dir/c", 0, None),
            (Modified, "dir/c", 4, Some(Created)),
            (Created, "directory", 5, Some(Created)),
        ] {
            assert_eq!(state.news(&seen(change.clone(), name, number)), news, "{change:?} {name}");
        }
    }

    #[test]
    fn the_newest_files_are_remembered_and_no_more() {
        let mut state = State::default();
        for number in 0..=REMEMBERED {
            state.note(&path(&format!("f{number}")), Known::Is(stamp(1)));
        }
        assert_eq!(state.files.len(), REMEMBERED);
        assert!(state.news(&seen(FileChange::Created, "f0", 1)).is_some());
        assert_eq!(state.news(&seen(FileChange::Created, "f1", 1)), None);
    }

    /// A bridge, as far as it looks for changes.
    #[derive(Default)]
    struct Looking {
        known: BTreeMap<String, u64>,
        /// What it will hear of: files that users wrote.
        unheard: Vec<(String, u64)>,
    }

    impl Looking {
        fn hear(&mut self) {
            self.known.extend(self.unheard.drain(..));
        }

        fn look(&mut self, files: &BTreeMap<String, u64>) -> Vec<Seen> {
            let gone = self.known.keys().filter(|name| !files.contains_key(*name));
            let mut found: Vec<_> = gone.map(|name| seen(FileChange::Deleted, name, 0)).collect();
            for (name, number) in files {
                match self.known.get(name) {
                    None => found.push(seen(FileChange::Created, name, *number)),
                    Some(before) if before != number => {
                        found.push(seen(FileChange::Modified, name, *number));
                    }
                    Some(_) => {}
                }
            }
            self.known = files.clone();
            found
        }
    }

    proptest! {
        /// Users and the agent change files; now and then the bridge looks, and hears of what users did. Whoever follows
        /// what is told is never told the same twice, and in the end knows which files there are.
        #[test]
        fn whoever_is_told_is_told_once_and_knows_what_is_there(
            steps in prop::collection::vec((0..6_u8, prop::sample::select(vec!["a", "d/b", "d/c"])), 0..60),
        ) {
            let (mut state, mut bridge) = (State::default(), Looking::default());
            let (mut files, mut told) = (BTreeMap::new(), BTreeMap::new());
            let last = [(4, ""), (5, "")];
            for (number, (step, name)) in (1..).zip(steps.into_iter().chain(last)) {
                match step {
                    0 => {
                        files.insert(name.to_owned(), number);
                        told.insert(name.to_owned(), number);
                        state.note(&path(name), Known::Is(stamp(number)));
                        bridge.unheard.push((name.to_owned(), number));
                    }
                    1 => {
                        if files.remove(name).is_some() {
                            told.remove(name);
                            state.note(&path(name), Known::Gone);
                        }
                    }
                    2 => drop(files.insert(name.to_owned(), number)),
                    3 => drop(files.remove(name)),
                    4 => bridge.hear(),
                    _ => for seen in bridge.look(&files) {
                        let Some(news) = state.news(&seen) else { continue };
                        let name = seen.path.to_string();
                        let before = match seen.stamp {
                            None => told.remove(&name),
                            Some(stamp) => told.insert(name, stamp.modified),
                        };
                        let expected = match (before, seen.stamp) {
                            (_, None) => FileChange::Deleted,
                            (None, Some(_)) => FileChange::Created,
                            (Some(_), Some(_)) => FileChange::Modified,
                        };
                        prop_assert_eq!(news, expected);
                        prop_assert_ne!(before, seen.stamp.map(|stamp| stamp.modified), "told twice");
                    },
                }
            }
            prop_assert_eq!(told, files);
        }
    }
}
