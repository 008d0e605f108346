//! The tree that the entries of a manifest make: where each of them is, and where its links lead.
//!
//! A client chooses the entries, so the work is bounded whatever they are: a path costs as much as it is long, and links are
//! followed for so many steps in all.

use std::collections::HashMap;

use serde_json::Value;

use super::{BundlePath, Entry, EntryKind};
use crate::domain::{decode::Node, limits};

/// Most links that are followed from a link on, itself included, as on Linux.
const LINKS: usize = 40;

/// The steps that may be taken to follow links, for each link on the average: parts of paths, and bytes of further links.
const STEPS: usize = 128;

/// The steps that may be taken in any case.
const FIRST_STEPS: usize = 100_000;

/// The place of the project.
const ROOT: u32 = 0;

/// The places of entries.
pub(super) struct Tree<'e> {
    places: Vec<Place>,
    children: HashMap<(u32, &'e str), u32>,
    /// The place of each entry.
    of_entries: Vec<u32>,
}

struct Place {
    parent: u32,
    entry: Option<usize>,
}

impl<'e> Tree<'e> {
    /// Puts each entry into its place. `None`, with problems, where two entries have one place, or one is below something that
    /// is no directory.
    pub(super) fn of(node: Node<'_>, entries: &'e [Entry]) -> Option<Self> {
        let places = vec![Place { parent: ROOT, entry: None }];
        let mut tree =
            Self { places, children: HashMap::new(), of_entries: Vec::with_capacity(entries.len()) };
        let mut sound = true;
        for (index, entry) in entries.iter().enumerate() {
            let place = tree.place(&entry.path);
            if tree.places.len() > limits::MANIFEST_ENTRIES + 1 {
                return node.refuse(format!(
                    "must have at most {} items, with directories above them that are none",
                    limits::MANIFEST_ENTRIES
                ));
            }
            tree.of_entries.push(place);
            if let Some(earlier) = tree.places[place as usize].entry.replace(index) {
                let message = format!("must not be there twice: `entries[{earlier}]` has it as well");
                sound = refuse(node, index, "path", message);
            }
        }
        for (index, place) in tree.of_entries.iter().enumerate() {
            let above = tree.above(*place).find(|above| entries[*above].kind != EntryKind::Dir);
            if let Some(above) = above.map(|above| &entries[above]) {
                let message = format!("must not be below `{}`, which is {}", above.path, above.kind.noun());
                sound = refuse(node, index, "path", message);
            }
        }
        sound.then_some(tree)
    }

    fn place(&mut self, path: &'e BundlePath) -> u32 {
        path.as_str().split('/').fold(ROOT, |parent, part| {
            let places = &mut self.places;
            *self.children.entry((parent, part)).or_insert_with(|| {
                places.push(Place { parent, entry: None });
                (places.len() - 1) as u32
            })
        })
    }

    /// The entries above a place, from below.
    fn above(&self, place: u32) -> impl Iterator<Item = usize> {
        let parent = |place: &u32| (*place != ROOT).then(|| self.places[*place as usize].parent);
        std::iter::successors(parent(&place), parent).filter_map(|place| self.places[place as usize].entry)
    }

    /// Whether every link of the bundle stays in the project, also where it leads through other links.
    pub(super) fn holds_links(&self, node: Node<'_>, entries: &[Entry]) -> bool {
        let links = || entries.iter().enumerate().filter(|(_, entry)| entry.target().is_some());
        let mut steps = FIRST_STEPS + links().count() * STEPS;
        let mut sound = true;
        for (index, entry) in links() {
            let place = self.of_entries[index];
            let Err(astray) = self.follow(entries, place, entry.target().unwrap_or_default(), &mut steps)
            else {
                continue;
            };
            sound = refuse(node, index, "symlink_target", astray.to_string());
            if astray == Astray::Far {
                return false;
            }
        }
        sound
    }

    /// Follows a link as a kernel would. What is not there is gone through as if it were directories.
    fn follow(
        &self,
        entries: &'e [Entry],
        link: u32,
        target: &'e str,
        steps: &mut usize,
    ) -> Result<(), Astray> {
        let mut at = self.places[link as usize].parent;
        let mut beyond = 0_usize;
        let mut links = 1;
        let mut rest: Vec<&str> = target.rsplit('/').collect();
        while let Some(part) = rest.pop() {
            *steps = steps.checked_sub(1).ok_or(Astray::Far)?;
            match part {
                "" | "." => {}
                ".." if beyond > 0 => beyond -= 1,
                ".." if at == ROOT => return Err(Astray::Out),
                ".." => at = self.places[at as usize].parent,
                _ if beyond > 0 => beyond += 1,
                name => match self.children.get(&(at, name)) {
                    None => beyond = 1,
                    Some(child) => {
                        match self.places[*child as usize].entry.and_then(|entry| entries[entry].target()) {
                            None => at = *child,
                            Some(_) if links == LINKS => return Err(Astray::Around),
                            Some(target) => {
                                links += 1;
                                *steps = steps.checked_sub(target.len()).ok_or(Astray::Far)?;
                                rest.extend(target.rsplit('/'));
                            }
                        }
                    }
                },
            }
        }
        Ok(())
    }
}

/// What is wrong with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Astray {
    #[error("must lead to a place in the project, but leads out of it")]
    Out,
    #[error("must lead somewhere, but leads through more than {LINKS} links, or around in a circle")]
    Around,
    #[error(
        "leads through too many other links, as do those before it: let links lead to files and directories"
    )]
    Far,
}

impl Entry {
    /// Where it leads, if it is a link of the bundle.
    fn target(&self) -> Option<&str> {
        self.symlink_target.as_deref().filter(|_| self.included && self.kind == EntryKind::Symlink)
    }
}

/// Reports a problem; `false`, so that it can be the answer.
fn refuse(node: Node<'_>, index: usize, field: &str, message: String) -> bool {
    node.at_index(index, |node| node.field_with(field, &Value::Null, |node| node.refuse::<()>(message)));
    false
}
