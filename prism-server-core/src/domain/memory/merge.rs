//! Bringing the memories of the store and of the agent in step: a merge of both against what they were before.
//!
//! | the agent's files | the store | what becomes of the memory |
//! |---|---|---|
//! | have a text that nobody knows | | it is learned |
//! | have lost it | did not change it | it is removed |
//! | have lost it | changed it, or changed it and back | it stays as the store has it |
//! | have it as it was | changed it | the agent gets the change |
//! | have it | deleted it | the agent forgets it |
//! | never had it, or are others | has it | the agent gets it |
//! | may have it or not, since a write was cut off | has it | it stays |
//!
//! So whoever changed a memory is followed; of two who changed the same, the store is; and where it cannot be known
//! whether the agent had a memory, it is kept. [`Merge::before`] is stored before anything is written to the agent, and
//! says what may be in its files from then on; [`Merge::after`] is stored once it was written.

use std::collections::{BTreeMap, BTreeSet};

use prism_types::{MemoryId, Timestamp};

use super::{Memory, room};
use crate::domain::limits;

/// What is to be done so that both are in step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Merge {
    /// What the agent is to have.
    pub entries: Vec<String>,
    /// What to store first.
    pub before: Changes,
    /// The memories of `entries`.
    handed: BTreeMap<MemoryId, String>,
    /// Deleted memories that are in the agent's files and not in `entries`.
    leaving: Vec<MemoryId>,
}

/// Changes of stored memories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct Changes {
    /// New and changed ones.
    pub put: Vec<Memory>,
    /// Those to remove.
    pub remove: Vec<MemoryId>,
}

impl Changes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.remove.is_empty()
    }
}

impl Memory {
    /// The memory with a content that a user gives it.
    ///
    /// It may be the one that the agent knows, given back after another. So it is not taken for removed by the agent
    /// until both were in step again: what the agent has of it may be there or not.
    #[must_use]
    pub fn changed(self, content: String, now: Timestamp) -> Self {
        let offered = self.offered.or_else(|| self.synced.clone());
        Self { content, updated_at: now, offered, ..self }
    }
}

/// Whether the agent's files have all that these memories say, as far as is known.
pub fn is_in_step(memories: &[Memory]) -> bool {
    memories.iter().all(|memory| {
        let has = memory.synced.as_ref() == Some(&memory.content) && memory.offered.is_none();
        has && !memory.forgotten
    })
}

/// Merges the memories of a deployment with what its agent remembers.
///
/// `entries` is what the agent has, each as [`learned`](super::learned) made it, without doubles. `is_known`: its files
/// are those of the last time. `learn` makes a memory of a text of the agent's.
pub fn merge(
    memories: &[Memory],
    entries: &[String],
    is_known: bool,
    mut learn: impl FnMut(&str) -> Memory,
) -> Merge {
    let there: BTreeSet<&str> = entries.iter().map(String::as_str).collect();
    let mut before = Changes::default();
    let (mut handed, mut leaving, mut live) = (BTreeMap::new(), Vec::new(), Vec::new());
    for memory in memories {
        if memory.forgotten {
            if entries.iter().any(|entry| memory.was(entry)) {
                leaving.push(memory.id.clone());
            } else {
                before.remove.push(memory.id.clone());
            }
            continue;
        }
        let has = there.contains(memory.content.as_str());
        let was_removed =
            is_known && memory.offered.is_none() && memory.synced.as_ref() == Some(&memory.content);
        if !has && was_removed {
            before.remove.push(memory.id.clone());
            continue;
        }
        // An earlier write is over by now: what is there of its texts is what the agent has for it.
        let known = [&memory.offered, &memory.synced].into_iter().flatten();
        let old = known.filter(|text| **text != memory.content && there.contains(text.as_str()));
        let mut old = old.collect::<BTreeSet<_>>().into_iter().cloned();
        let (content, old, other) = (Some(memory.content.clone()), old.next(), old.next());
        let (synced, offered) = if has { (content, old) } else { (old, content) };
        let next = Memory { synced, offered, ..memory.clone() };
        if next != *memory {
            before.put.push(next);
        }
        live.push(memory);
        // The agent can have made one of both by itself: that is forgotten as a memory of its own.
        if let Some(other) = other {
            let other = Memory {
                forgotten: true,
                content: String::new(),
                synced: Some(other.clone()),
                ..learn(&other)
            };
            leaving.push(other.id.clone());
            before.put.push(other);
        }
    }
    let contents: BTreeSet<&str> = live.iter().map(|memory| memory.content.as_str()).collect();
    let (mut number, mut text) = (live.len(), live.iter().map(|memory| room(&memory.content)).sum::<usize>());
    let mut placed: Vec<&str> = Vec::new();
    for entry in entries {
        if contents.contains(entry.as_str()) {
            placed.push(entry);
        } else if memories.iter().any(|memory| memory.was(entry)) {
            // The change of a memory comes where the memory was.
            let changed = live.iter().find(|memory| memory.was(entry) && !there.contains(&*memory.content));
            placed.extend(changed.map(|memory| memory.content.as_str()));
        } else if number < limits::MEMORIES && text + room(entry) <= limits::AGENT_MEMORY_TEXT {
            (number, text) = (number + 1, text + room(entry));
            placed.push(entry);
            let learned = Memory { synced: Some(entry.clone()), ..learn(entry) };
            handed.insert(learned.id.clone(), entry.clone());
            before.put.push(learned);
        }
    }
    let missing = live.iter().map(|memory| memory.content.as_str());
    let mut seen = BTreeSet::new();
    let entries = placed.into_iter().chain(missing).filter(|entry| seen.insert(*entry)).map(str::to_owned);
    let entries = entries.collect();
    handed.extend(live.iter().map(|memory| (memory.id.clone(), memory.content.clone())));
    Merge { entries, before, handed, leaving }
}

impl Merge {
    /// What to store once the agent has the entries; `memories`: as they are by then.
    pub fn after(&self, memories: &[Memory]) -> Changes {
        let mut after = Changes::default();
        for memory in memories {
            if memory.forgotten && self.leaving.contains(&memory.id) {
                after.remove.push(memory.id.clone());
            } else if let Some(content) = self.handed.get(&memory.id) {
                let next = Memory { synced: Some(content.clone()), offered: None, ..memory.clone() };
                if next != *memory {
                    after.put.push(next);
                }
            }
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use prism_types::MemorySource;
    use proptest::prelude::*;

    use super::*;

    /// A store and an agent with its files.
    #[derive(Debug, Default)]
    struct World {
        memories: Vec<Memory>,
        home: Option<u32>,
        files: Vec<String>,
        files_home: Option<u32>,
        numbers: u32,
        /// What must be remembered, and by whom it was last made or kept.
        must: BTreeSet<String>,
        /// What must not be remembered.
        must_not: BTreeSet<String>,
    }

    #[derive(Debug, Clone)]
    enum Deed {
        Create(u8),
        Update(usize, u8),
        Delete(usize),
        Add(u8),
        Replace(usize, u8),
        Remove(usize),
        LoseFiles,
        /// Brings both in step, as far as this: 0 nothing but the first commit, 1 also the write, 2 all.
        Sync(u8),
        /// Does so while somebody changes one memory and deletes another.
        Overtaken(usize, u8),
    }

    fn deed() -> impl Strategy<Value = Deed> {
        let text = || 0_u8..6;
        let place = || 0_usize..4;
        prop_oneof![
            3 => text().prop_map(Deed::Create),
            2 => (place(), text()).prop_map(|(place, text)| Deed::Update(place, text)),
            2 => place().prop_map(Deed::Delete),
            3 => text().prop_map(Deed::Add),
            2 => (place(), text()).prop_map(|(place, text)| Deed::Replace(place, text)),
            2 => place().prop_map(Deed::Remove),
            1 => Just(Deed::LoseFiles),
            6 => (0_u8..3).prop_map(Deed::Sync),
            2 => (place(), text()).prop_map(|(place, text)| Deed::Overtaken(place, text)),
        ]
    }

    fn text(number: u8) -> String {
        format!("text {number}")
    }

    impl World {
        fn live(&self) -> Vec<&Memory> {
            super::super::shown(&self.memories).collect()
        }

        fn new_memory(&mut self, content: &str, source: MemorySource) -> Memory {
            self.numbers += 1;
            let id = MemoryId::from_suffix(&format!("{:08}", self.numbers)).unwrap();
            let deployment = "dep_1".parse().unwrap();
            Memory::new(id, deployment, content.to_owned(), source, Timestamp::UNIX_EPOCH)
        }

        fn take(&mut self, changes: Changes) {
            self.memories.retain(|memory| !changes.remove.contains(&memory.id));
            for put in changes.put {
                match self.memories.iter_mut().find(|memory| memory.id == put.id) {
                    Some(memory) => *memory = put,
                    None => self.memories.push(put),
                }
            }
        }

        /// Somebody wants this text.
        fn wants(&mut self, text: &str) {
            self.must_not.remove(text);
            self.must.insert(text.to_owned());
        }

        /// Somebody removed this text; whether it may be remembered all the same.
        fn drops(&mut self, text: &str, surely: bool) {
            self.must.remove(text);
            if surely {
                self.must_not.insert(text.to_owned());
            }
        }

        fn is_taken(&self, content: &str) -> bool {
            self.live().iter().any(|memory| memory.content == content)
        }

        fn carry_out(&mut self, deed: Deed) {
            match deed {
                Deed::Create(number) if !self.is_taken(&text(number)) => {
                    let memory = self.new_memory(&text(number), MemorySource::Api);
                    self.memories.push(memory);
                    self.wants(&text(number));
                }
                Deed::Update(place, number) if !self.is_taken(&text(number)) => {
                    let Some(id) = self.live().get(place).map(|memory| memory.id.clone()) else { return };
                    let memory = self.memories.iter_mut().find(|memory| memory.id == id).unwrap();
                    let old = memory.content.clone();
                    *memory = memory.clone().changed(text(number), Timestamp::UNIX_EPOCH);
                    let is_known = memory.was(&old);
                    self.drops(&old, is_known || !self.files.contains(&old));
                    self.wants(&text(number));
                }
                Deed::Delete(place) => {
                    let Some(memory) = self.live().get(place).map(|memory| (*memory).clone()) else { return };
                    // A text that the agent wrote by itself, and nobody knows of yet, is another memory.
                    let is_known = memory.was(&memory.content);
                    self.drops(&memory.content, is_known || !self.files.contains(&memory.content));
                    self.memories.retain(|other| other.id != memory.id);
                    self.memories.extend(memory.deleted());
                }
                Deed::Add(number) if !self.files.contains(&text(number)) => {
                    self.files.push(text(number));
                    // A text that the store is about to remove goes; a deletion wins.
                    let goes = self.memories.iter().any(|memory| memory.was(&text(number)));
                    if !goes {
                        self.wants(&text(number));
                    } else {
                        self.must_not.remove(&text(number));
                    }
                }
                Deed::Replace(place, number)
                    if place < self.files.len() && !self.files.contains(&text(number)) =>
                {
                    self.carry_out(Deed::Remove(place));
                    self.carry_out(Deed::Add(number));
                }
                Deed::Remove(place) if place < self.files.len() => {
                    let old = self.files.remove(place);
                    // Of two who changed the same, the store is followed.
                    self.drops(&old, false);
                }
                Deed::LoseFiles => {
                    for lost in std::mem::take(&mut self.files) {
                        if !self.is_taken(&lost) {
                            self.drops(&lost, false);
                        }
                    }
                    self.files_home = None;
                }
                Deed::Sync(steps) => self.sync(steps, []),
                Deed::Overtaken(place, number) => {
                    self.sync(2, [Deed::Update(place, number), Deed::Delete(place + 1)]);
                }
                _ => {}
            }
        }

        fn sync(&mut self, steps: u8, meanwhile: impl IntoIterator<Item = Deed>) {
            let is_known = self.home.is_some() && self.home == self.files_home;
            let (memories, files) = (self.memories.clone(), self.files.clone());
            let merge = merge(&memories, &files, is_known, |text| self.new_memory(text, MemorySource::Agent));
            self.take(merge.before.clone());
            if steps == 0 {
                return;
            }
            self.files = merge.entries.clone();
            self.numbers += 1;
            let home = *self.files_home.get_or_insert(self.numbers);
            if steps == 1 {
                return;
            }
            meanwhile.into_iter().for_each(|deed| self.carry_out(deed));
            self.home = Some(home);
            self.take(merge.after(&self.memories));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

        #[test]
        fn in_any_order_of_changes_and_crashes_nothing_is_lost_or_doubled_or_comes_back(
            deeds in prop::collection::vec(deed(), 0..24),
        ) {
            holds(deeds)?;
        }
    }

    /// What has to hold once these deeds are done and both are in step.
    fn holds(deeds: impl IntoIterator<Item = Deed>) -> Result<(), TestCaseError> {
        let mut world = World::default();
        deeds.into_iter().for_each(|deed| world.carry_out(deed));
        world.sync(2, []);
        let contents: Vec<_> = world.live().iter().map(|memory| memory.content.clone()).collect();
        let unique: BTreeSet<_> = contents.iter().cloned().collect();
        prop_assert_eq!(unique.len(), contents.len(), "no memory is doubled: {:?}", &contents);
        prop_assert_eq!(&unique, &world.files.iter().cloned().collect(), "both have the same");
        prop_assert_eq!(world.files.len(), unique.len());
        prop_assert!(is_in_step(&world.memories), "{:?}", &world.memories);
        for wanted in &world.must {
            prop_assert!(unique.contains(wanted), "{wanted} is lost: {:?}", &world);
        }
        for deleted in &world.must_not {
            prop_assert!(!unique.contains(deleted), "{deleted} came back: {:?}", &world);
        }
        let settled = (world.memories.clone(), world.files.clone());
        world.sync(2, []);
        prop_assert_eq!(settled, (world.memories, world.files), "once in step, nothing is left to do");
        Ok(())
    }

    #[test]
    fn a_text_that_a_memory_is_given_back_stays_though_the_agent_removed_it_meanwhile() {
        use Deed::{Add, Create, Overtaken, Remove, Replace, Sync, Update};
        holds([Add(2), Sync(2), Update(0, 0), Remove(0), Update(0, 2)]).unwrap();
        let (add, create) = ([Add(0), Overtaken(0, 2)], [Create(1), Overtaken(0, 0), Create(3)]);
        holds([&add[..], &create, &[Replace(0, 3), Update(0, 2)]].concat()).unwrap();
    }

    #[test]
    fn of_a_memory_that_was_changed_twice_neither_text_comes_back() {
        use Deed::{Add, Create, Overtaken, Sync, Update};
        let deeds = [Create(1), Overtaken(0, 0), Add(0), Sync(0), Update(0, 2), Create(1), Sync(0)];
        holds(deeds).unwrap();
    }

    fn memory(number: u32, content: &str) -> Memory {
        let id = MemoryId::from_suffix(&number.to_string()).unwrap();
        let new = |id, content| {
            Memory::new(id, "dep_1".parse().unwrap(), content, MemorySource::Api, Timestamp::UNIX_EPOCH)
        };
        Memory { synced: Some(content.to_owned()), ..new(id, content.to_owned()) }
    }

    fn entries(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_change_comes_where_the_memory_was_and_what_is_new_at_the_end() {
        let memories = [
            Memory { content: "new a".to_owned(), ..memory(1, "a") },
            memory(2, "b"),
            Memory { synced: None, ..memory(3, "c") },
        ];
        let merged = merge(&memories, &entries(&["b", "a"]), true, |_| unreachable!("nothing is learned"));
        assert_eq!(merged.entries, entries(&["b", "new a", "c"]));
    }

    #[test]
    fn an_agent_learns_as_much_as_there_is_room_for() {
        let many: Vec<_> = (0..limits::MEMORIES + 2).map(|number| number.to_string()).collect();
        let mut number = 0;
        let mut learn = |text: &str| {
            number += 1;
            memory(number, text)
        };
        let merged = merge(&[], &many, true, &mut learn);
        assert_eq!(merged.entries, many[..limits::MEMORIES]);
        let large = "x".repeat(limits::MEMORY_CONTENT - 3);
        let large: Vec<_> = (100..200).map(|number| format!("{number}{large}")).collect();
        let merged = merge(&[], &large, true, &mut learn);
        let fit = limits::AGENT_MEMORY_TEXT / room(&large[0]);
        assert_eq!(merged.entries, large[..fit]);
    }
}
