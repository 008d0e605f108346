//! Things of one kind: found by their ids, listed newest first in pages.

use prism_types::{Cursor, Page};

use super::super::Refusal;

/// A thing with an id.
pub(super) trait Item {
    /// What it is called when it is not found.
    const NOUN: &'static str;

    fn id(&self) -> &str;
}

/// Things in the order in which they were made, each with a number that is not used again.
#[derive(Debug)]
pub(super) struct Collection<T> {
    items: Vec<(u64, T)>,
    last: u64,
}

impl<T> Default for Collection<T> {
    fn default() -> Self {
        Self { items: Vec::new(), last: 0 }
    }
}

impl<T: Item> Collection<T> {
    /// Adds a thing, and answers it.
    pub(super) fn add(&mut self, item: T) -> &mut T {
        self.last += 1;
        self.items.push((self.last, item));
        let newest = self.items.len() - 1;
        &mut self.items[newest].1
    }

    pub(super) fn get(&self, id: &impl AsRef<str>) -> Result<&T, Refusal> {
        self.iter().find(|item| item.id() == id.as_ref()).ok_or_else(|| Refusal::not_found(T::NOUN))
    }

    pub(super) fn get_mut(&mut self, id: &impl AsRef<str>) -> Result<&mut T, Refusal> {
        self.iter_mut().find(|item| item.id() == id.as_ref()).ok_or_else(|| Refusal::not_found(T::NOUN))
    }

    pub(super) fn remove(&mut self, id: &impl AsRef<str>) -> Result<T, Refusal> {
        let place = self.items.iter().position(|(_, item)| item.id() == id.as_ref());
        place.map(|place| self.items.remove(place).1).ok_or_else(|| Refusal::not_found(T::NOUN))
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.items.retain(|(_, item)| keep(item));
    }

    /// All of them, the oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.items.iter().map(|(_, item)| item)
    }

    pub(super) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.items.iter_mut().map(|(_, item)| item)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// A page of those that match, newest first.
    pub(super) fn page<U>(
        &self,
        limit: Option<u32>,
        cursor: Option<&Cursor>,
        matches: impl Fn(&T) -> bool,
        view: impl Fn(&T) -> U,
    ) -> Result<Page<U>, Refusal> {
        let limit = limit.unwrap_or(20);
        if !(1..=100).contains(&limit) {
            return Err(Refusal::invalid("query.limit", "must be a whole number from 1 to 100"));
        }
        let before = cursor.map_or(Ok(u64::MAX), |cursor| {
            let number = cursor.as_str().strip_prefix(T::NOUN).and_then(|number| number.strip_prefix('.'));
            let number = number.and_then(|number| number.parse().ok());
            number.ok_or_else(|| Refusal::invalid("query.cursor", "must be the `next_cursor` of such a list"))
        })?;
        let mut found = self.items.iter().rev().filter(|(number, item)| *number < before && matches(item));
        let mut data = Vec::new();
        let mut last = 0;
        for (number, item) in found.by_ref().take(limit as usize) {
            data.push(view(item));
            last = *number;
        }
        let next = found.next().map(|_| Cursor::from(format!("{}.{last}", T::NOUN)));
        Ok(Page::new(data, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Number(String);

    impl Item for Number {
        const NOUN: &'static str = "Number";

        fn id(&self) -> &str {
            &self.0
        }
    }

    fn numbers(count: u32) -> Collection<Number> {
        let mut numbers = Collection::default();
        for number in 0..count {
            numbers.add(Number(number.to_string()));
        }
        numbers
    }

    proptest! {
        #[test]
        fn pages_have_each_thing_once_newest_first(count in 0_u32..50, limit in 1_u32..20) {
            let (numbers, mut cursor, mut seen) = (numbers(count), None, Vec::new());
            loop {
                let page = numbers.page(Some(limit), cursor.as_ref(), |_| true, |n| n.0.clone()).unwrap();
                seen.extend(page.data);
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            let expected: Vec<_> = (0..count).rev().map(|number| number.to_string()).collect();
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn limits_and_cursors_have_a_form() {
        let numbers = numbers(3);
        for (limit, cursor) in [(0, None), (101, None), (1, Some("Other.1")), (1, Some("x"))] {
            let cursor = cursor.map(Cursor::from);
            let refusal = numbers.page(Some(limit), cursor.as_ref(), |_| true, |_| ()).unwrap_err();
            assert_eq!(refusal.status(), Some(400));
        }
    }

    #[test]
    fn what_is_removed_leaves_no_gap_in_pages() {
        let mut numbers = numbers(5);
        let first = numbers.page(Some(2), None, |_| true, |n| n.0.clone()).unwrap();
        numbers.remove(&"3").unwrap();
        numbers.add(Number("new".to_owned()));
        let rest = numbers.page(None, first.next_cursor.as_ref(), |_| true, |n| n.0.clone()).unwrap();
        assert_eq!(
            (first.data, rest.data),
            (vec!["4".into(), "3".into()], vec!["2".into(), "1".into(), "0".into()])
        );
        assert!(numbers.get(&"3").is_err() && numbers.remove(&"3").is_err());
    }
}
