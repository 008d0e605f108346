//! The place of a stream in the log.

use prism_types::EventId;

/// What to resume after, and what was delivered.
///
/// The two differ: the server may name a place without an event there, and after a resume it may repeat
/// events that come before that place.
#[derive(Debug)]
pub(super) struct Position {
    last: Option<EventId>,
    delivered: Option<EventId>,
}

impl Position {
    /// Right after an event, or nowhere yet.
    pub(super) fn new(after: Option<EventId>) -> Self {
        Self { last: after.clone(), delivered: after }
    }

    /// What to resume after.
    pub(super) fn last(&self) -> Option<&EventId> {
        self.last.as_ref()
    }

    /// Takes in the decoder's last event id, and says whether it is news. The place never goes back, even
    /// while the server repeats events, and what is no id, such as the empty string before the first one,
    /// leaves it as it is: to resume nowhere would lose events.
    pub(super) fn note(&mut self, id: &str) -> bool {
        if self.last.as_ref().is_some_and(|last| last == id) {
            return false;
        }
        let Ok(id) = id.parse() else { return false };
        if self.last.as_ref().is_some_and(|last| reaches(last, &id)) {
            return false;
        }
        self.last = Some(id);
        true
    }

    /// Whether an event with this id was delivered before.
    pub(super) fn is_delivered(&self, id: &EventId) -> bool {
        self.delivered.as_ref().is_some_and(|delivered| reaches(delivered, id))
    }

    pub(super) fn deliver(&mut self, id: &EventId) {
        self.delivered = Some(id.clone());
    }
}

/// Whether `place` is at `id` or after it. Ids of one log count up; ids of another form are only compared.
fn reaches(place: &EventId, id: &EventId) -> bool {
    match (sequence(place), sequence(id)) {
        (Some((log, reached)), Some((other_log, number))) if log == other_log => number <= reached,
        _ => place == id,
    }
}

/// The log and the number of an id of the form `evt_<log>_<number>`.
fn sequence(id: &EventId) -> Option<(&str, u64)> {
    let (log, number) = id.suffix().rsplit_once('_')?;
    Some((log, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> EventId {
        text.parse().unwrap()
    }

    #[test]
    fn smaller_numbers_of_the_same_log_were_delivered() {
        let position = Position::new(Some(id("evt_a_b_10")));
        for (text, expected) in [
            ("evt_a_b_9", true),
            ("evt_a_b_10", true),
            ("evt_a_b_11", false),
            ("evt_other_9", false),
            ("evt_opaque", false),
        ] {
            assert_eq!(position.is_delivered(&id(text)), expected, "{text}");
        }
        assert!(Position::new(Some(id("evt_opaque"))).is_delivered(&id("evt_opaque")));
    }

    #[test]
    fn a_place_without_an_event_does_not_count_as_delivered() {
        let mut position = Position::new(None);
        assert!(position.note("evt_a_50"));
        assert!(!position.note("evt_a_50"));
        assert_eq!(position.last(), Some(&id("evt_a_50")));
        assert!(!position.is_delivered(&id("evt_a_3")));
    }

    #[test]
    fn the_place_never_goes_back() {
        let mut position = Position::new(Some(id("evt_a_10")));
        assert!(!position.note("evt_a_9"));
        assert_eq!(position.last(), Some(&id("evt_a_10")));
        assert!(position.note("evt_b_1"), "the number says nothing about another log");
    }

    #[test]
    fn what_is_no_id_does_not_move_the_place() {
        let mut position = Position::new(Some(id("evt_a_1")));
        assert!(!position.note("") && !position.note("nonsense"));
        assert_eq!(position.last(), Some(&id("evt_a_1")));
    }
}
