//! The members of an archive, read one after the other.

use std::io::{ErrorKind, Read};

use tar::Header;

use super::{
    error::{BundleError, Fault},
    pax::{self, Extended},
};
use crate::domain::{
    limits,
    program::{
        manifest::EntryKind,
        path::{BundlePath, InvalidBundlePath},
    },
};

/// What an archive is made of.
pub(super) const BLOCK: usize = 512;

/// A member: its header, with what an extended header says of it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    pub(super) kind: EntryKind,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) target: Vec<u8>,
}

impl Member {
    /// Where it is in the bundle. Directories have a `/` at the end of their names.
    pub(super) fn path(&self) -> Result<BundlePath, Fault> {
        let name = std::str::from_utf8(&self.name).map_err(|_| Fault::Encoding)?;
        let path = if self.kind == EntryKind::Dir { name.strip_suffix('/').unwrap_or(name) } else { name };
        path.parse().map_err(|error: InvalidBundlePath| Fault::Path(error.to_string()))
    }
}

/// Reads the members of an archive. The content of one has to be read before the next.
pub(super) struct Members<R> {
    archive: R,
    position: u64,
}

impl<R: Read> Members<R> {
    pub(super) fn new(archive: R) -> Self {
        Self { archive, position: 0 }
    }

    /// The bytes that were read.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next member; `None` when the archive has ended as it should.
    pub(super) fn next(&mut self) -> Result<Option<Member>, BundleError> {
        let Some(header) = self.header()? else {
            self.end()?;
            return Ok(None);
        };
        if header.entry_type().as_byte() != b'x' {
            return self.member(&header, Extended::default()).map(Some);
        }
        let extended = self.extended(&header)?;
        match self.header()? {
            Some(header) if header.entry_type().as_byte() == b'x' => {
                Err(self.refuse(Fault::Extended("it follows another one")))
            }
            Some(header) => self.member(&header, extended).map(Some),
            None => Err(self.refuse(Fault::Extended("no member follows it"))),
        }
    }

    /// Reads some of the content of a member, at least a byte.
    pub(super) fn content(&mut self, into: &mut [u8], name: &[u8]) -> Result<usize, BundleError> {
        match self.read(into)? {
            0 => Err(BundleError::member(name, Fault::CutOff)),
            read => Ok(read),
        }
    }

    /// Reads what fills up the last block of a content of so many bytes.
    pub(super) fn pad(&mut self, size: u64) -> Result<(), BundleError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block[..padding(size)])
    }

    /// A header, with its sum and its form checked; `None` for an empty block.
    fn header(&mut self) -> Result<Option<Header>, BundleError> {
        let mut header = Header::new_old();
        self.fill(header.as_mut_bytes())?;
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
        let own: u64 = header.as_old().cksum.iter().map(|byte| u64::from(*byte)).sum();
        // The field of the sum counts as spaces.
        if octal(&header.as_old().cksum) != Some(sum - own + 8 * u64::from(b' ')) {
            return Err(self.refuse(Fault::Header("its sum is wrong")));
        }
        if header.as_ustar().is_none() {
            return Err(self.refuse(Fault::Header("it has another form")));
        }
        Ok(Some(header))
    }

    fn extended(&mut self, header: &Header) -> Result<Extended, BundleError> {
        let size = octal(&header.as_old().size)
            .ok_or_else(|| self.refuse(Fault::Header("its size is not octal")))?;
        let length = usize::try_from(size).ok().filter(|length| *length <= limits::ARCHIVE_HEADER);
        let Some(length) = length else { return Err(self.refuse(Fault::ExtendedSize)) };
        let at = self.refuse_at();
        let mut text = vec![0; length];
        self.fill(&mut text)?;
        self.pad(size)?;
        pax::parse(&text).map_err(|fault| BundleError::Place { at, fault })
    }

    fn member(&self, header: &Header, extended: Extended) -> Result<Member, BundleError> {
        let Some(fields) = header.as_ustar() else {
            return Err(self.refuse(Fault::Header("it has another form")));
        };
        let name = extended.path.unwrap_or_else(|| {
            let (prefix, name) = (until_nul(&fields.prefix), until_nul(&fields.name));
            if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
        });
        let refuse = |fault| BundleError::member(&name, fault);
        let kind = match fields.typeflag[0] {
            b'0' | 0 => EntryKind::File,
            b'2' => EntryKind::Symlink,
            b'5' => EntryKind::Dir,
            other => return Err(refuse(Fault::Forbidden(forbidden(other)))),
        };
        let Some(size) = extended.size.or_else(|| octal(&fields.size)) else {
            return Err(refuse(Fault::Header("its size is not octal")));
        };
        let mode = octal(&fields.mode).and_then(|mode| u32::try_from(mode).ok());
        let Some(mode) = mode else { return Err(refuse(Fault::Header("its mode is not octal"))) };
        if kind != EntryKind::File && size != 0 {
            return Err(refuse(Fault::NotEmpty));
        }
        let target = match kind {
            EntryKind::Symlink => extended.target.unwrap_or_else(|| until_nul(&fields.linkname).to_vec()),
            _ => Vec::new(),
        };
        Ok(Member { name, kind, size, mode, target })
    }

    /// Reads what follows the first empty block: another one, and zeros that fill up the archive.
    fn end(&mut self) -> Result<(), BundleError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        let start = self.position;
        loop {
            if block.iter().any(|byte| *byte != 0) || self.position - start > limits::ARCHIVE_PADDING {
                return Err(self.refuse(Fault::Trailing));
            }
            block = [0; BLOCK];
            if self.read(&mut block)? == 0 {
                return Ok(());
            }
        }
    }

    fn fill(&mut self, mut into: &mut [u8]) -> Result<(), BundleError> {
        while !into.is_empty() {
            match self.read(into)? {
                0 => return Err(BundleError::Place { at: self.position, fault: Fault::CutOff }),
                read => into = &mut into[read..],
            }
        }
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, BundleError> {
        loop {
            match self.archive.read(into) {
                Ok(read) => {
                    self.position += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(BundleError::Read(error)),
            }
        }
    }

    fn refuse(&self, fault: Fault) -> BundleError {
        BundleError::Place { at: self.refuse_at(), fault }
    }

    /// Where the block begins that was read last.
    fn refuse_at(&self) -> u64 {
        self.position.saturating_sub(BLOCK as u64)
    }
}

/// How many bytes fill up the last block of a content of so many bytes.
pub(super) fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

/// A number of a header: octal digits, perhaps after spaces, up to a space, a NUL or the end of the field. There is a
/// second form for large numbers, which archives of this form do not need.
fn octal(field: &[u8]) -> Option<u64> {
    let start = field.iter().position(|byte| *byte != b' ').unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if digits.is_empty() || !rest.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0, |number: u64, digit| match digit {
        b'0'..=b'7' => Some(number << 3 | u64::from(digit - b'0')),
        _ => None,
    })
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn forbidden(kind: u8) -> &'static str {
    match kind {
        b'1' => "a hard link: pack it as a file",
        b'3' => "a character device",
        b'4' => "a block device",
        b'6' => "a pipe",
        b'7' => "a contiguous file",
        b'S' => "a sparse file",
        b'g' => "a global header: leave it out",
        b'L' | b'K' => "a long name in the form of GNU tar: use `tar --format=pax`",
        _ => "of a kind that is not known",
    }
}
