//! The place of a stream in the log.

use prism_types::EventId;

/// What to resume after, and what was delivered.
///
/// The two differ: the server may name a place without an event there, and after a resume it may repeat
/// events that come before that place.
#[derive(Debug)]
pub(super) struct Position {
    last: Option<Place>,
    delivered: Option<Place>,
}

/// An id and what it says of the order of events, which is found once for all comparisons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    id: EventId,
    /// The length of what comes before the number in an id of the form `evt_<log>_<number>`, and the number.
    sequence: Option<(usize, u64)>,
}

impl Position {
    /// Right after an event, or nowhere yet.
    pub(super) fn new(after: Option<EventId>) -> Self {
        let place = after.map(Place::new);
        Self { last: place.clone(), delivered: place }
    }

    /// What to resume after.
    pub(super) fn last(&self) -> Option<&EventId> {
        self.last_place().map(Place::id)
    }

    pub(super) fn last_place(&self) -> Option<&Place> {
        self.last.as_ref()
    }

    /// Takes in the decoder's last event id, and says whether it is news. What is no id, such as the empty
    /// string before the first one, leaves the place as it is: to resume nowhere would lose events.
    pub(super) fn note(&mut self, id: &str) -> bool {
        if self.last().is_some_and(|last| last == id) {
            return false;
        }
        id.parse().is_ok_and(|id| self.advance(&Place::new(id)))
    }

    /// Moves to a place, and says whether it is news. It never goes back, even while the server repeats
    /// events.
    pub(super) fn advance(&mut self, place: &Place) -> bool {
        let news = !self.last.as_ref().is_some_and(|last| last.reaches(place));
        if news {
            self.last = Some(place.clone());
        }
        news
    }

    /// Whether the event at this place was delivered before.
    pub(super) fn is_delivered(&self, place: &Place) -> bool {
        self.delivered.as_ref().is_some_and(|delivered| delivered.reaches(place))
    }

    pub(super) fn deliver(&mut self, place: &Place) {
        self.delivered = Some(place.clone());
    }
}

impl Place {
    pub(super) fn new(id: EventId) -> Self {
        let sequence = id
            .suffix()
            .rsplit_once('_')
            .and_then(|(log, number)| Some((EventId::PREFIX.len() + log.len(), number.parse().ok()?)));
        Self { id, sequence }
    }

    pub(super) fn id(&self) -> &EventId {
        &self.id
    }

    pub(super) fn into_id(self) -> EventId {
        self.id
    }

    /// Whether this is `other` or after it. Ids of one log count up; ids of another form are only compared.
    fn reaches(&self, other: &Self) -> bool {
        match (self.sequence, other.sequence) {
            (Some((log, reached)), Some((other_log, number)))
                if log == other_log && self.id.as_str()[..log] == other.id.as_str()[..log] =>
            {
                number <= reached
            }
            _ => self.id == other.id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> EventId {
        text.parse().unwrap()
    }

    fn place(text: &str) -> Place {
        Place::new(id(text))
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
            assert_eq!(position.is_delivered(&place(text)), expected, "{text}");
        }
        assert!(Position::new(Some(id("evt_opaque"))).is_delivered(&place("evt_opaque")));
    }

    #[test]
    fn a_place_without_an_event_does_not_count_as_delivered() {
        let mut position = Position::new(None);
        assert!(position.note("evt_a_50"));
        assert!(!position.note("evt_a_50"));
        assert_eq!(position.last(), Some(&id("evt_a_50")));
        assert!(!position.is_delivered(&place("evt_a_3")));
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
