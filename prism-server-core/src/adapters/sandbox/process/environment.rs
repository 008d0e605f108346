//! Environments of processes, as `/proc` tells them.
//!
//! A process that becomes another program has none in between, though both have one. Whoever looks just then would take it
//! for a process without an environment, and one that moves on all the time would never be known by what it carries.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How much room an environment gets at first, and the most that is read of it, in bytes.
const USUAL: usize = 16 * 1024;
const MOST: usize = 4 * 1024 * 1024;
/// How long to wait for what is on its way, before looking again.
const BLINK: Duration = Duration::from_millis(1);
/// How often an environment is seen to be empty before that is believed. The kernel has the two ends of it at one place
/// for a moment, before it writes it.
const LOOKS: u32 = 3;

/// The environment of a process, or of one of its threads, by its directory in `/proc`: variables, each with a zero byte
/// at its end. Waits until then at most while the process is on its way from one program to the next.
pub(super) fn read(directory: &Path, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut empty = 0;
    loop {
        match look(directory)? {
            Some(found) if found.is_empty() => {
                empty += 1;
                if empty == LOOKS {
                    return Ok(found);
                }
                thread::yield_now();
            }
            Some(found) => return Ok(found),
            None if Instant::now() > deadline => return Ok(Vec::new()),
            None => {
                empty = 0;
                thread::sleep(BLINK);
            }
        }
    }
}

/// `None`: it is on its way, or has no memory any more.
fn look(directory: &Path) -> io::Result<Option<Vec<u8>>> {
    let found = read_at_once(&directory.join("environ"))?;
    if !found.is_empty() {
        return Ok(Some(found));
    }
    let stat = fs::read_to_string(directory.join("stat"))?;
    // The name of the program comes before, in parentheses. Fields 50 and 51 are where the environment begins and ends.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace();
    let mut ends = fields.skip(47).map_while(|field| field.parse::<u64>().ok());
    let is_empty = ends.next().zip(ends.next()).is_some_and(|(begin, end)| begin == end && end != 0);
    Ok(is_empty.then_some(found))
}

/// What is read in pieces can be of two programs, or end where the second one begins.
fn read_at_once(path: &Path) -> io::Result<Vec<u8>> {
    let mut room = USUAL;
    loop {
        let mut bytes = vec![0; room];
        let length = File::open(path)?.read(&mut bytes)?;
        if length < room || room >= MOST {
            bytes.truncate(length);
            return Ok(bytes);
        }
        room *= 4;
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    struct Running(Child);

    impl Running {
        fn begin(command: &mut Command) -> Self {
            Self(command.spawn().unwrap())
        }

        fn environment(&self) -> Vec<u8> {
            read(Path::new(&format!("/proc/{}", self.0.id())), Instant::now() + PATIENCE).unwrap()
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_process_that_moves_on_all_the_time_keeps_its_environment() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("script");
        fs::write(&script, "exec /bin/sh \"$0\"").unwrap();
        // More than fits into the first room.
        let long = "a".repeat(4 * USUAL);
        let moves_on = Running::begin(
            Command::new("/bin/sh").arg(&script).env_clear().env("LONG", &long).env("LAST", "b"),
        );
        for _ in 0..500 {
            let found = moves_on.environment();
            let variables: Vec<_> = found.split(|byte| *byte == 0).collect();
            let has = |name: &str, value: &str| variables.contains(&format!("{name}={value}").as_bytes());
            assert!(has("LONG", &long) && has("LAST", "b"), "{} bytes", found.len());
        }
    }

    #[test]
    fn a_process_without_an_environment_is_known() {
        let mut command = Command::new("/bin/sleep");
        let sleeps = Running::begin(command.arg("1000").env_clear());
        assert!(sleeps.environment().is_empty());
        let directory = format!("/proc/{}", sleeps.0.id());
        assert_eq!(look(Path::new(&directory)).unwrap(), Some(Vec::new()), "which is told at once");
        drop(sleeps);
        assert!(read(Path::new(&directory), Instant::now() + PATIENCE).is_err());
    }
}
