//! Cutting a stream of server-sent events into events.

/// Cuts a stream into events, however its bytes come.
pub(super) struct Events {
    limit: usize,
    /// The lines of the event under way, each with a line feed; the last one may not be over.
    block: Vec<u8>,
    /// Where the line under way begins.
    line: usize,
    after_carriage_return: bool,
    at_start: bool,
}

/// An event is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

impl Events {
    /// Events of at most so many bytes, the last line feed not counted.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, block: Vec::new(), line: 0, after_carriage_return: false, at_start: true }
    }

    /// Takes the next piece and gives the events that are whole by now: their lines, each with a line feed,
    /// without the empty line at the end. An event without its empty line never comes.
    ///
    /// # Errors
    /// When an event is too long. What follows is not cut any more.
    pub(super) fn push(&mut self, mut piece: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut events = Vec::new();
        if self.after_carriage_return && !piece.is_empty() {
            self.after_carriage_return = false;
            piece = piece.strip_prefix(b"\n").unwrap_or(piece);
        }
        while !piece.is_empty() {
            let end = piece.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let taken = end.unwrap_or(piece.len());
            if taken > 0 && self.block.len() + taken > self.limit {
                return Err(TooLong);
            }
            self.block.extend_from_slice(&piece[..taken]);
            let Some(end) = end else { break };
            let carriage_return = piece[end] == b'\r';
            piece = &piece[end + 1..];
            if carriage_return {
                self.after_carriage_return = piece.is_empty();
                piece = piece.strip_prefix(b"\n").unwrap_or(piece);
            }
            events.extend(self.end_line());
        }
        Ok(events)
    }

    /// How many bytes are kept of the event under way.
    pub(super) fn kept(&self) -> usize {
        self.block.len()
    }

    /// Ends a line, and with an empty one the event.
    fn end_line(&mut self) -> Option<Vec<u8>> {
        if std::mem::take(&mut self.at_start) && self.block.starts_with("\u{feff}".as_bytes()) {
            self.block.drain(.."\u{feff}".len());
        }
        if self.block.len() > self.line {
            self.block.push(b'\n');
            self.line = self.block.len();
            return None;
        }
        self.line = 0;
        Some(std::mem::take(&mut self.block)).filter(|event| !event.is_empty())
    }
}

/// The data of an event; `None` when it has none.
pub(super) fn data(event: &[u8]) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = lines(event).filter_map(data_of).collect();
    if lines.is_empty() { None } else { Some(lines.join(&b'\n')) }
}

/// The event with other data, which has no line end.
pub(super) fn with_data(event: &[u8], data: &[u8]) -> Vec<u8> {
    let mut changed: Vec<u8> = lines(event)
        .filter(|line| data_of(line).is_none())
        .flat_map(|line| [line, b"\n".as_slice()].concat())
        .collect();
    changed.extend_from_slice(b"data: ");
    changed.extend_from_slice(data);
    changed.push(b'\n');
    changed
}

fn lines(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    event.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn data_of(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    match rest.first() {
        None => Some(rest),
        Some(b':') => Some(rest[1..].strip_prefix(b" ").unwrap_or(&rest[1..])),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(stream: &[u8], cuts: &[usize]) -> Vec<String> {
        let mut events = Events::new(1000);
        let mut told = Vec::new();
        for cut in cuts.windows(2) {
            told.extend(events.push(&stream[cut[0]..cut[1]]).unwrap());
        }
        told.into_iter().map(|event| String::from_utf8(event).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn events_are_the_same_however_they_are_cut(
            lines in prop::collection::vec(("[a-z: ]{0,4}", 0..3_usize), 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let plain: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
            let ended: String =
                lines.iter().map(|(line, end)| format!("{line}{}", ["\n", "\r\n", "\n"][*end])).collect();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(ended.len() + 1)).collect();
            cuts.extend([0, ended.len()]);
            cuts.sort_unstable();
            let expected: Vec<_> = plain.split_inclusive('\n').collect::<Vec<_>>();
            let mut blocks = Vec::new();
            let mut block = String::new();
            for line in expected {
                if line != "\n" {
                    block.push_str(line);
                } else if !block.is_empty() {
                    blocks.push(std::mem::take(&mut block));
                }
            }
            prop_assert_eq!(cut(ended.as_bytes(), &cuts), blocks);
        }
    }

    #[test]
    fn every_line_end_and_the_mark_of_utf_8_are_known() {
        let stream =
            "\u{feff}data: a\rdata:b\r\ndata\n: c\nevent: x\r\rdata: d\r\n\r\ndata: lost\n".as_bytes();
        let every: Vec<_> = (0..=stream.len()).collect();
        for cuts in [vec![0, stream.len()], every] {
            let events = cut(stream, &cuts);
            assert_eq!(events, ["data: a\ndata:b\ndata\n: c\nevent: x\n", "data: d\n"]);
            assert_eq!(data(events[0].as_bytes()).unwrap(), b"a\nb\n");
            assert_eq!(with_data(events[0].as_bytes(), b"{}"), b": c\nevent: x\ndata: {}\n");
        }
        assert_eq!(data(b"database: x\n"), None);
    }

    #[test]
    fn an_event_fits_at_the_limit_and_not_one_byte_past_it() {
        assert_eq!(Events::new(5).push(b"data:\n\n").unwrap().len(), 1);
        assert_eq!(Events::new(4).push(b"data:\n\n"), Err(TooLong));
        let mut events = Events::new(10);
        assert_eq!(events.push(b"12345"), Ok(Vec::new()));
        assert_eq!(events.push(b"67890"), Ok(Vec::new()));
        assert_eq!(events.push(b"1"), Err(TooLong));
    }
}
