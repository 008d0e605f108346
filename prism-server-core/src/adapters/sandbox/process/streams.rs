//! What a command writes to its standard output and error: two files, of which the last part is kept.
//!
//! The command appends to the files, and the gateway takes away from their start: first as a hole in the file, which
//! changes no place in it, and when the file is very long by cutting it. A file system that cannot cut (ext4 and XFS can)
//! has the end of the file written anew; what is written in that moment can be lost, or come before it.
//!
//! A place is counted from the first byte that the command wrote, in each of the two. What was taken away is in a
//! file beside them, which is written before it is done; so a place means the same afterwards. All of that can be
//! changed by what runs: then it gets its own output wrong, and nothing else.

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use prism_types::Timestamp;
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, openat};
use serde::{Deserialize, Serialize};

use super::{
    failed,
    folder::{Folder, beneath, is_regular, read_short, replace},
    removal,
};
use crate::ports::{OutputLine, OutputStream, SandboxError};

const FILES: [(&str, OutputStream); 2] =
    [("command.out", OutputStream::Out), ("command.error", OutputStream::Error)];
const CUTS: &str = "command.json";
/// How much of a file is kept when its start is taken away, and how much there is before that is done, in bytes.
const KEPT: u64 = 2 << 20;
const LONG: u64 = 4 << 20;
/// How long a file gets that is mostly a hole, in bytes, where the limit of files is not lower.
const LONGEST: u64 = 256 << 20;
/// What is cut off is a multiple of this, so of every block.
const CUT: u64 = 1 << 20;
const BLOCK: u64 = 4096;
/// No command writes as much, in bytes.
const MOST: u64 = 1 << 60;
/// The longest line.
const LINE: usize = 16 << 10;
/// Most that is read of a file at a time.
const READ: u64 = 256 << 10;
const LINES: usize = 4096;
/// How often it is read again when something is taken away meanwhile.
const TRIES: usize = 5;

/// What was taken away of the two files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Cuts {
    longest: u64,
    files: [FileCuts; 2],
}

/// What was taken away of a file, in bytes since the first that was written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct FileCuts {
    /// Where the file begins.
    start: u64,
    /// Where its content begins.
    content: u64,
    /// Is about to be cut off, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<Pending>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pending {
    bytes: u64,
    /// How long the file is before.
    length: u64,
}

/// Makes the files of a command that is about to start, in place of those of the last one.
pub(super) fn begin(folder: &OwnedFd, longest_file: u64) -> io::Result<[File; 2]> {
    let open = |name: &str| -> io::Result<File> {
        removal::remove(folder, name)?;
        let flags = OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC;
        Ok(File::from(openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?))
    };
    let files = [open(FILES[0].0)?, open(FILES[1].0)?];
    removal::remove(folder, CUTS)?;
    let longest = LONGEST.min(longest_file / 4).max(2 * LONG);
    save(folder, &Cuts { longest, ..Cuts::default() })?;
    Ok(files)
}

/// Whether there may be something to [`trim`]; quick.
pub(super) fn are_long(folder: &Folder) -> bool {
    let Ok(Some(directory)) = folder.open() else {
        return false;
    };
    FILES.iter().any(|(name, _)| length(&directory, name) > LONG)
}

/// How long both files are; quick. Where they are as long as they were, nothing was written.
pub(super) fn lengths(folder: &Folder) -> [u64; 2] {
    let Ok(Some(directory)) = folder.open() else {
        return [0; 2];
    };
    FILES.map(|(name, _)| length(&directory, name))
}

/// Takes away what is not kept. A failure is told to the operator, and no reason to stop a command.
pub(super) fn trim(folder: &Folder) {
    let trimmed = || -> Result<(), Box<dyn std::error::Error>> {
        let Some(directory) = folder.open()? else {
            return Ok(());
        };
        let mut cuts = load(&directory)?;
        for (index, (name, _)) in FILES.iter().enumerate() {
            if let Some(file) = open(&directory, name, OFlags::RDWR) {
                trim_file(&directory, &file, &mut cuts, index)?;
            }
        }
        Ok(())
    };
    if let Err(error) = trimmed() {
        tracing::warn!(?folder, %error, "the output of a command cannot be shortened");
    }
}

fn trim_file(directory: &OwnedFd, file: &File, cuts: &mut Cuts, index: usize) -> io::Result<()> {
    let length = file.metadata()?.len();
    let longest = cuts.longest.max(2 * LONG);
    let of = &mut cuts.files[index];
    if let Some(pending) = of.pending.take() {
        of.start = of.settled(&pending, length);
    }
    let hole = of.content.saturating_sub(of.start).min(length);
    if length - hole > LONG {
        let end = (length - KEPT) / BLOCK * BLOCK;
        of.content = of.start.saturating_add(end);
        save(directory, cuts)?;
        let punched =
            fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, hole, end - hole);
        if punched.is_ok() && length < longest {
            return Ok(());
        }
    } else if length < longest {
        return Ok(());
    }
    let bytes = (length - KEPT) / CUT * CUT;
    cuts.files[index].pending = Some(Pending { bytes, length });
    save(directory, cuts)?;
    if fallocate(file, FallocateFlags::COLLAPSE_RANGE, 0, bytes).is_err() {
        let end = read(file, bytes, KEPT + CUT)?;
        file.set_len(0)?;
        // To the end of whatever was written meanwhile.
        open(directory, FILES[index].0, OFlags::WRONLY | OFlags::APPEND)
            .ok_or(io::ErrorKind::NotFound)?
            .write_all(&end)?;
    }
    let of = &mut cuts.files[index];
    of.pending = None;
    of.start = of.start.saturating_add(bytes);
    of.content = of.content.max(of.start);
    save(directory, cuts)
}

impl FileCuts {
    /// Where the file begins, now that it has this length.
    fn settled(&self, pending: &Pending, length: u64) -> u64 {
        if length < pending.length { self.start.saturating_add(pending.bytes) } else { self.start }
    }
}

/// Reads the output of a command from a place on.
pub(super) struct Reader {
    folder: Folder,
    token: String,
    /// Which start of the sandbox it reads; `None` before the first look.
    made: Option<String>,
    places: [u64; 2],
}

/// What a look came to.
pub(super) struct Look {
    pub(super) lines: Vec<OutputLine>,
    /// Whether there will be no more.
    pub(super) is_last: bool,
    /// Whether all that there was could be read.
    pub(super) is_whole: bool,
}

impl Reader {
    pub(super) fn new(folder: Folder, token: String, after: Option<&str>) -> Result<Self, SandboxError> {
        let places = match after {
            None => [0; 2],
            Some(place) => parse(place)
                .ok_or_else(|| SandboxError::Failed(format!("{place:?} is no place of an output")))?,
        };
        Ok(Self { folder, token, made: None, places })
    }

    /// Reads what there is, as far as it is lines, and some of it when it is much.
    pub(super) fn look(&mut self) -> Result<Look, SandboxError> {
        let nothing = Look { lines: Vec::new(), is_last: true, is_whole: true };
        let Some(record) = self.folder.record()? else {
            return Ok(nothing);
        };
        let is_this = record.command.as_ref().is_some_and(|command| command.token == self.token)
            && *self.made.get_or_insert_with(|| record.made().to_owned()) == record.made();
        if !is_this {
            return Ok(nothing);
        }
        let lives = record.program.as_ref().map_or(Ok(false), super::processes::Identity::is_alive);
        let lives = lives.map_err(|error| failed("its program cannot be looked for", error))?;
        let Some(directory) = self.folder.open()? else {
            return Ok(nothing);
        };
        'again: for _ in 0..TRIES {
            let cuts = load(&directory).map_err(unread)?;
            let mut lines = Vec::new();
            let mut places = self.places;
            let mut has_read = false;
            for (index, (name, stream)) in FILES.iter().enumerate() {
                let Some(file) = open(&directory, name, OFlags::RDONLY) else { continue };
                let Some(bytes) = cuts.files[index].read(&file, &mut places[index]).map_err(unread)? else {
                    continue 'again;
                };
                has_read |= !bytes.is_empty();
                let at = written(&file);
                let is_end = !lives && (bytes.len() as u64) < READ;
                let mut rest = bytes.as_slice();
                let mut count = 0;
                while count < LINES
                    && let Some((line, taken)) = line(rest, is_end)
                {
                    rest = &rest[taken..];
                    count += 1;
                    places[index] += taken as u64;
                    let place = format!("{:x}.{:x}", places[0], places[1]);
                    lines.push(OutputLine { stream: *stream, text: Bytes::copy_from_slice(line), at, place });
                }
            }
            // While it was read, something may have been taken away, or another command begun.
            let is_same = load(&directory).map_err(unread)? == cuts
                && self.folder.record()?.is_some_and(|now| now.made() == record.made());
            if is_same {
                self.places = places;
                return Ok(Look { lines, is_last: !lives && !has_read, is_whole: true });
            }
        }
        Ok(Look { lines: Vec::new(), is_last: false, is_whole: false })
    }
}

impl FileCuts {
    /// Reads at a place, or at the first after it where there is something. `None`: the file was cut meanwhile.
    fn read(&self, file: &File, place: &mut u64) -> io::Result<Option<Vec<u8>>> {
        let length = file.metadata()?.len();
        let start = match &self.pending {
            Some(pending) => self.settled(pending, length),
            None => self.start,
        };
        *place = (*place).max(self.content).max(start);
        let bytes = read(file, *place - start, READ)?;
        Ok((file.metadata()?.len() >= length).then_some(bytes))
    }

    fn is_possible(&self) -> bool {
        let pending = self.pending.as_ref().map_or(0, |pending| pending.bytes);
        [self.start, self.content, pending].iter().all(|place| *place <= MOST)
    }
}

/// The first line, and how many bytes it took.
fn line(bytes: &[u8], is_end: bool) -> Option<(&[u8], usize)> {
    match bytes.iter().take(LINE + 1).position(|byte| *byte == b'\n') {
        Some(end) => Some((&bytes[..end], end + 1)),
        None if bytes.len() > LINE => Some((&bytes[..LINE], LINE)),
        None if is_end && !bytes.is_empty() => Some((bytes, bytes.len())),
        None => None,
    }
}

fn parse(place: &str) -> Option<[u64; 2]> {
    let (out, error) = place.split_once('.')?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok().filter(|place| *place <= MOST);
    Some([number(out)?, number(error)?])
}

/// When the file was written to the last time.
fn written(file: &File) -> Timestamp {
    let now = SystemTime::now();
    let modified = file.metadata().and_then(|metadata| metadata.modified()).map_or(now, |time| time.min(now));
    let millis = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

fn read(file: &File, place: u64, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let mut bytes = vec![0; length.saturating_sub(place).min(most) as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], place + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn length(directory: &OwnedFd, name: &str) -> u64 {
    let file = rustix::fs::statat(directory, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
    file.map_or(0, |file| file.st_size.cast_unsigned())
}

fn load(directory: &OwnedFd) -> io::Result<Cuts> {
    let text = read_short(directory, CUTS)?;
    let cuts: Option<Cuts> = text.and_then(|text| serde_json::from_slice(&text).ok());
    Ok(cuts.filter(|cuts| cuts.files.iter().all(FileCuts::is_possible)).unwrap_or_default())
}

fn save(directory: &OwnedFd, cuts: &Cuts) -> io::Result<()> {
    replace(directory, CUTS, &serde_json::to_vec(cuts)?)
}

fn open(directory: impl AsFd, name: &str, flags: OFlags) -> Option<File> {
    let file = beneath(directory, name, flags | OFlags::NONBLOCK).ok()?;
    is_regular(&file).then(|| File::from(file))
}

fn unread(error: impl std::fmt::Display) -> SandboxError {
    failed("the output of a command cannot be read", error)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::{super::folder::Record, *};
    use crate::adapters::sandbox::process::processes::Identity;

    /// A folder with a command, which is the test itself.
    struct Bench {
        _directory: TempDir,
        folder: Folder,
        files: [File; 2],
    }

    impl Bench {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let folder = Folder::new(directory.path(), &"ins_a".parse().unwrap());
            folder.prepare(false).unwrap();
            let files = folder.prepare_command(0).unwrap();
            let bench = Self { _directory: directory, folder, files };
            bench.keep(Identity::of(std::process::id()).unwrap());
            bench
        }

        fn keep(&self, program: Identity) {
            let made = self.folder.record().unwrap();
            let record = Record::of_command(program, "t".to_owned());
            self.folder.keep(&made.map_or(record.clone(), |made| made.with(&record))).unwrap();
        }

        fn end(&self) {
            let ended: Identity =
                serde_json::from_str(r#"{"pid": 2000000000, "started": 1, "boot": "another"}"#).unwrap();
            self.keep(ended);
        }

        fn reader(&self, after: Option<&str>) -> Reader {
            Reader::new(self.folder.clone(), "t".to_owned(), after).unwrap()
        }

        fn write(&mut self, index: usize, text: &[u8]) {
            self.files[index].write_all(text).unwrap();
        }
    }

    fn texts(lines: &[OutputLine]) -> Vec<String> {
        lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    }

    fn all(reader: &mut Reader) -> Vec<OutputLine> {
        let mut all = Vec::new();
        loop {
            let look = reader.look().unwrap();
            if look.lines.is_empty() {
                return all;
            }
            all.extend(look.lines);
        }
    }

    #[test]
    fn a_line_is_cut_at_its_longest_and_its_end_belongs_to_it() {
        for (bytes, is_end, expected) in [
            (vec![b'x'; LINE], false, None),
            (vec![b'x'; LINE], true, Some((LINE, LINE))),
            (vec![b'x'; LINE + 1], false, Some((LINE, LINE))),
            ([vec![b'x'; LINE], vec![b'\n']].concat(), false, Some((LINE, LINE + 1))),
            ([vec![b'x'; LINE + 1], vec![b'\n']].concat(), false, Some((LINE, LINE))),
            (b"\nb".to_vec(), false, Some((0, 1))),
            (b"a".to_vec(), false, None),
            (Vec::new(), true, None),
        ] {
            let told = line(&bytes, is_end).map(|(line, taken)| (line.len(), taken));
            assert_eq!(told, expected, "{} bytes, {is_end}", bytes.len());
        }
    }

    #[test]
    fn whoever_follows_gets_each_line_once_while_the_files_are_shortened() {
        let mut bench = Bench::new();
        let mut reader = bench.reader(None);
        let mut told = Vec::new();
        let mut count = 0;
        // More than twice as much as a file gets long, in parts of about a mebibyte.
        for _ in 0..20 {
            let text: String = (0..10_000).map(|line| format!("{:>99}\n", count + line)).collect();
            count += 10_000;
            bench.write(0, text.as_bytes());
            let resumed: Option<String> = told.last().map(|line: &OutputLine| line.place.clone());
            let lines = all(&mut reader);
            let again = all(&mut bench.reader(resumed.as_deref()));
            assert!(
                again
                    .iter()
                    .map(|line| (&line.text, &line.place))
                    .eq(lines.iter().map(|line| (&line.text, &line.place)))
            );
            told.extend(lines);
            trim(&bench.folder);
        }
        assert_eq!(told.len(), count);
        assert!(told.iter().enumerate().all(|(line, text)| text.text == format!("{line:>99}")));
        let length = bench.files[0].metadata().unwrap().len();
        assert!(length < 2 * LONG + (2 << 20), "{length}");
        let kept = all(&mut bench.reader(None));
        assert!((kept.len() * 100) as u64 >= KEPT - BLOCK && (kept.len() * 100) as u64 <= LONG + (2 << 20));
        assert_eq!(kept.last().map(|line| &line.text), told.last().map(|line| &line.text));
    }

    #[test]
    fn a_cut_that_was_broken_off_is_known() {
        let mut bench = Bench::new();
        bench.write(0, &b"a\nb\n".repeat(1000));
        let directory = bench.folder.open().unwrap().unwrap();
        let pending = |length| Cuts {
            files: [
                FileCuts { start: 100, content: 100, pending: Some(Pending { bytes: 40, length }) },
                FileCuts::default(),
            ],
            longest: 0,
        };
        for (length, place) in [(4000, "66.0"), (4001, "8e.0")] {
            save(&directory, &pending(length)).unwrap();
            assert_eq!(bench.reader(None).look().unwrap().lines[0].place, place, "{length}");
        }
    }

    #[test]
    fn what_the_command_does_to_its_files_is_no_harm() {
        let bench = Bench::new();
        let path = bench.folder.path();
        let secret = bench._directory.path().join("secret");
        std::fs::write(&secret, "secret\n").unwrap();
        let put = |name: &str, how: &dyn Fn(&std::path::Path)| {
            let file = path.join(name);
            let _ = std::fs::remove_file(&file);
            how(&file);
        };
        let link = |file: &std::path::Path| std::os::unix::fs::symlink(&secret, file).unwrap();
        let pipe = |file: &std::path::Path| {
            let mode = Mode::RUSR | Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, file, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        };
        let waits: [&dyn Fn(&std::path::Path); 2] = [&link, &pipe];
        for how in waits {
            for name in ["command.out", "command.error", "command.json", "exit"] {
                put(name, how);
            }
            assert!(all(&mut bench.reader(None)).is_empty(), "nothing else is told");
            assert_eq!(bench.folder.exit_status(), Ok(None));
            trim(&bench.folder);
        }
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret\n");
        put("command.out", &|file| std::fs::write(file, "a\n").unwrap());
        for cuts in [
            "",
            "{",
            "[]",
            r#"{"longest":0,"files":[{"start":18446744073709551615,"content":0},{"start":0,"content":0}]}"#,
            r#"{"longest":18446744073709551615,"files":[{"start":7,"content":3},{"start":9,"content":1152921504606846976}]}"#,
        ] {
            put("command.json", &|file| std::fs::write(file, cuts).unwrap());
            assert_eq!(texts(&all(&mut bench.reader(None))), ["a"], "{cuts}");
            trim(&bench.folder);
        }
        for status in ["", "7", "x\n", "-1\n", "256\n", "99999999999\n"] {
            put("exit", &|file| std::fs::write(file, status).unwrap());
            assert_eq!(bench.folder.exit_status(), Ok(None), "{status:?}");
        }
        put("command.out", &|file| File::create(file).unwrap().set_len(900 << 20).unwrap());
        put("command.json", &|_| ());
        trim(&bench.folder);
        assert!(length(&bench.folder.open().unwrap().unwrap(), "command.out") <= LONG, "a long file is cut");
    }

    #[test]
    fn the_end_is_told_with_the_last_line() {
        let mut bench = Bench::new();
        bench.write(0, b"a\nb");
        bench.write(1, b"c");
        let mut reader = bench.reader(None);
        assert_eq!(texts(&reader.look().unwrap().lines), ["a"]);
        assert!(!reader.look().unwrap().is_last, "the command lives");
        bench.end();
        let look = reader.look().unwrap();
        assert_eq!((texts(&look.lines), look.is_last), (vec!["b".to_owned(), "c".to_owned()], false));
        assert!(reader.look().unwrap().is_last);
        assert!(Reader::new(bench.folder.clone(), "u".to_owned(), None).unwrap().look().unwrap().is_last);
        for place in ["", ".", "1", "1.x", "-1.0", "0.ffffffffffffffff"] {
            assert!(Reader::new(bench.folder.clone(), "t".to_owned(), Some(place)).is_err(), "{place:?}");
        }
        // Somewhere behind the end, as after a file was emptied by the command.
        assert!(bench.reader(Some("ffff.ffff")).look().unwrap().is_last);
    }
}
