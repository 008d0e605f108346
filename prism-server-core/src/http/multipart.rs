//! Bodies of several parts (`multipart/form-data`, RFC 7578), taken in pieces.
//!
//! What is in memory is a piece of the body, and the headers of one part. Of the headers of a part nothing counts but the
//! name of its field.

use aho_corasick::AhoCorasick;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::BoxStream};
use http::{HeaderMap, header::CONTENT_TYPE};
use prism_types::Problem;

use crate::error::{Error, ErrorKind, Result};

/// Longest boundary, in bytes.
const BOUNDARY: usize = 70;
/// Longest headers of a part, in bytes.
const HEADERS: usize = 8 * 1024;

/// A body of several parts.
pub(crate) struct Multipart {
    body: BoxStream<'static, Result<Bytes>>,
    buffer: BytesMut,
    /// What stands before each part and after the last.
    delimiter: AhoCorasick,
    length: usize,
    place: Place,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The delimiter before the first part.
    Begin,
    /// The rest of a delimiter.
    Delimiter,
    Content,
    /// Nothing.
    End,
    /// Something was wrong before.
    Broken,
}

impl Multipart {
    /// The parts of a body.
    ///
    /// # Errors
    /// When the body is declared as something else.
    pub(crate) fn new(
        headers: &HeaderMap,
        body: impl Stream<Item = Result<Bytes>> + Send + 'static,
    ) -> Result<Self> {
        let boundary = boundary(headers).ok_or_else(|| {
            let message = "must be multipart/form-data with a boundary of 1 to 70 characters";
            Error::invalid(vec![Problem::new("header.content-type", message)])
        })?;
        let delimiter = format!("\r\n--{boundary}");
        let length = delimiter.len();
        let delimiter = AhoCorasick::new([delimiter]).map_err(Error::internal)?;
        // The first one has no line before it.
        Ok(Self {
            body: body.boxed(),
            buffer: BytesMut::from("\r\n"),
            delimiter,
            length,
            place: Place::Begin,
        })
    }

    /// The field of the next part; what is left of the one before is passed over. `None`: there is no other part.
    ///
    /// # Errors
    /// When the body has another form, is broken off, or cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<String>> {
        while self.piece().await?.is_some() {}
        match self.head().await {
            Ok(Some(field)) => {
                self.place = Place::Content;
                Ok(Some(field))
            }
            Ok(None) => {
                self.place = Place::End;
                Ok(None)
            }
            Err(error) => {
                self.place = Place::Broken;
                Err(error)
            }
        }
    }

    /// The next piece of the part; `None` at its end.
    ///
    /// # Errors
    /// As [`Multipart::next`].
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>> {
        while self.place == Place::Content {
            let found = self.delimiter.find(&self.buffer).map(|found| found.start());
            if found == Some(0) {
                let _ = self.buffer.split_to(self.length);
                self.place = Place::Delimiter;
                break;
            }
            // A delimiter may have come in part.
            let whole = found.unwrap_or_else(|| (self.buffer.len() + 1).saturating_sub(self.length));
            if whole > 0 {
                return Ok(Some(self.buffer.split_to(whole).freeze()));
            }
            if let Err(error) = self.more().await {
                self.place = Place::Broken;
                return Err(error);
            }
        }
        if self.place == Place::Broken { Err(broken_off()) } else { Ok(None) }
    }

    /// Whether nothing more can be read, because something was wrong.
    pub(crate) fn is_broken(&self) -> bool {
        self.place == Place::Broken
    }

    async fn head(&mut self) -> Result<Option<String>> {
        if self.place == Place::End {
            return Ok(None);
        }
        if self.place == Place::Begin {
            self.fill(self.length).await?;
            if self.delimiter.find(&self.buffer).is_none_or(|found| found.start() > 0) {
                return Err(malformed("it must begin with the boundary"));
            }
            let _ = self.buffer.split_to(self.length);
        }
        self.fill(2).await?;
        match &self.buffer.split_to(2)[..] {
            b"--" => return Ok(None),
            b"\r\n" => {}
            _ => return Err(malformed("a line must end after the boundary")),
        }
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.buffer.split_to(end + 4);
                let head = std::str::from_utf8(&head).map_err(|_| malformed("headers must be UTF-8"))?;
                let field = head.split("\r\n").find_map(field);
                return field.map(Some).ok_or_else(|| malformed("each part must have a name"));
            }
            if self.buffer.len() > HEADERS {
                return Err(malformed("the headers of a part are too long"));
            }
            self.more().await?;
        }
    }

    async fn fill(&mut self, length: usize) -> Result<()> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<()> {
        let piece = self.body.next().await.unwrap_or_else(|| Err(broken_off()))?;
        self.buffer.extend_from_slice(&piece);
        Ok(())
    }
}

fn boundary(headers: &HeaderMap) -> Option<&str> {
    let mut parts = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';');
    if !parts.next()?.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parts.find_map(|part| part.trim().strip_prefix("boundary="))?;
    let boundary = boundary.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(boundary);
    (1..=BOUNDARY).contains(&boundary.len()).then_some(boundary)
}

/// The name of the field that a header tells.
fn field(header: &str) -> Option<String> {
    let (name, value) = header.split_once(':')?;
    if !name.trim().eq_ignore_ascii_case("content-disposition") {
        return None;
    }
    let quoted = value.split(';').find_map(|part| part.trim().strip_prefix("name="))?;
    let field = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(quoted);
    (!field.is_empty()).then(|| field.to_owned())
}

fn malformed(rule: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("The body is no multipart/form-data: {rule}."))
}

fn broken_off() -> Error {
    Error::new(ErrorKind::Invalid, "The request body was broken off.")
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use proptest::prelude::*;

    use super::*;

    fn of(kind: &str, body: &[u8], piece: usize) -> Result<Multipart> {
        let headers = [(CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect();
        let pieces: Vec<_> = body.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Multipart::new(&headers, stream::iter(pieces))
    }

    async fn read(mut multipart: Multipart) -> Result<Vec<(String, Vec<u8>)>> {
        let mut parts = Vec::new();
        while let Some(field) = multipart.next().await? {
            let mut content = Vec::new();
            while let Some(piece) = multipart.piece().await? {
                content.extend_from_slice(&piece);
            }
            parts.push((field, content));
        }
        Ok(parts)
    }

    fn packed(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (field, content) in parts {
            let head = format!(
                "--b0\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"x\"\r\nContent-Type: a/b\r\n\r\n"
            );
            body.extend([head.as_bytes(), content, b"\r\n"].concat());
        }
        body.extend(b"--b0--\r\n");
        body
    }

    proptest! {
        #[test]
        fn whatever_is_packed_is_read_in_pieces_of_any_size(
            parts in prop::collection::vec(("[a-z]{1,9}", "[\r\n\\-b0x]{0,60}"), 0..5), piece in 1_usize..40,
        ) {
            let parts: Vec<_> = parts.into_iter().map(|(field, text)| (field, text.into_bytes())).collect();
            prop_assume!(parts.iter().all(|(_, text)| !text.windows(6).any(|window| window == b"\r\n--b0")));
            prop_assume!(parts.iter().all(|(_, text)| !text.starts_with(b"--b0")));
            let multipart = of("multipart/form-data; boundary=b0", &packed(&parts), piece).unwrap();
            let read = futures::executor::block_on(read(multipart)).unwrap();
            prop_assert_eq!(read, parts);
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in "[\r\n\\-b0:;a=\"]{0,80}", piece in 1_usize..20) {
            let multipart = of("multipart/form-data; boundary=b", body.as_bytes(), piece).unwrap();
            let _ = futures::executor::block_on(read(multipart));
        }
    }

    #[tokio::test]
    async fn what_is_not_read_is_passed_over_and_what_breaks_off_stays_so() {
        let body = packed(&[("a".to_owned(), vec![b'x'; 5000]), ("b".to_owned(), b"end".to_vec())]);
        let mut multipart = of("multipart/form-data; boundary=\"b0\"", &body, 100).unwrap();
        assert_eq!(multipart.next().await.unwrap().as_deref(), Some("a"));
        assert_eq!(multipart.next().await.unwrap().as_deref(), Some("b"));
        assert_eq!(multipart.piece().await.unwrap().as_deref(), Some(&b"end"[..]));
        for _ in 0..2 {
            assert_eq!(multipart.next().await.unwrap(), None);
        }
        let mut cut = of("multipart/form-data; boundary=b0", &body[..300], 100).unwrap();
        cut.next().await.unwrap();
        while cut.piece().await.is_ok() {}
        assert!(cut.is_broken() && cut.next().await.is_err());
    }

    #[tokio::test]
    async fn other_forms_are_refused() {
        for kind in [
            "application/json",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            &format!("multipart/form-data; boundary={}", "b".repeat(71)),
        ] {
            assert!(of(kind, b"", 1).is_err(), "{kind}");
        }
        let long = format!("--b0\r\n{}", "a: b\r\n".repeat(2000));
        for body in ["", "--b", "x--b0\r\n", "--b0x", "--b0\r\n\r\n\r\n", "--b0\r\na: b\r\n\r\n", &long] {
            assert!(
                read(of("multipart/form-data; boundary=b0", body.as_bytes(), 64).unwrap()).await.is_err(),
                "{body}"
            );
        }
    }
}
