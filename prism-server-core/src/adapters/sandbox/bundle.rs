//! What sandboxes that run commands have in common: bundles, which are the archives of workspaces, the check of a command
//! before anything is done for it, and what executes programs beside it.
//!
//! An archive was checked by whoever accepted it. What cannot be in a workspace is refused here all the same.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tar::{Archive, EntryType};

use crate::ports::{Command, Execution, SandboxError};

/// The name of the home, which is in the workspace.
pub(super) const HOME: &str = ".home";
/// The longest token.
const TOKEN: usize = 64;
/// What executes a program: its directory, its time in seconds, the program and its arguments are those of the shell.
const EXECUTOR: &str = r#"cd -- "$1" && shift && exec timeout -k 1 -- "$@""#;
/// How long it is waited for what an executed program has written once it has ended, and how long that is done in all: what
/// comes later is another's, which it left in the background.
pub(super) const LAST_WORDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// A member of an archive.
pub(super) struct Member<'a> {
    /// Relative, without `.`, `..` and empty parts.
    pub(super) path: &'a str,
    pub(super) modified: SystemTime,
    pub(super) content: Content<'a>,
}

/// What a member is.
pub(super) enum Content<'a> {
    Directory { mode: u32 },
    File { mode: u32, size: u64, bytes: &'a mut dyn Read },
    Link { target: &'a [u8] },
}

/// Goes through the members of an archive: first directories and files, then the links, so that nothing is written
/// through one.
pub(super) fn members(
    archive: &File,
    mut take: impl FnMut(Member<'_>) -> Result<(), SandboxError>,
) -> Result<(), SandboxError> {
    for links in [false, true] {
        let mut archive = archive;
        archive.rewind().map_err(unreadable)?;
        for entry in Archive::new(archive).entries_with_seek().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            let kind = entry.header().entry_type();
            if kind == EntryType::XGlobalHeader || (kind == EntryType::Symlink) != links {
                continue;
            }
            let name = entry.path_bytes().into_owned();
            let Some(path) = relative(&name)? else { continue };
            // Links often have none.
            let mode = if links { 0 } else { entry.header().mode().map_err(unreadable)? };
            let seconds = Duration::from_secs(entry.header().mtime().unwrap_or_default());
            let modified = UNIX_EPOCH.checked_add(seconds).unwrap_or(UNIX_EPOCH);
            let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
            let content = match (kind, &target) {
                // Its owner can always change it, so that it can be copied and deleted.
                (EntryType::Directory, _) => Content::Directory { mode: mode & 0o777 | 0o700 },
                (EntryType::Regular | EntryType::Continuous, _) => {
                    Content::File { mode: mode & 0o777 | 0o600, size: entry.size(), bytes: &mut entry }
                }
                (EntryType::Symlink, Some(target)) => Content::Link { target },
                _ => return Err(refused(&path, "is no file, directory or symbolic link")),
            };
            take(Member { path: &path, modified, content })?;
        }
    }
    Ok(())
}

/// Refuses a command that no sandbox can start. Values of its environment are not told.
pub(super) fn check(command: &Command) -> Result<(), SandboxError> {
    let token = &command.token;
    let is_token = (1..=TOKEN).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if !is_token {
        return Err(SandboxError::Failed(format!("{token:?} is no token of a command")));
    }
    if command.line.contains('\0') {
        return Err(SandboxError::Failed("the line of a command has a NUL byte".to_owned()));
    }
    check_environment(&command.environment)
}

/// Refuses a program that no sandbox can execute, or else tells what executes it: a whole command line. `workspace` is the
/// path of the workspace as the program sees it.
pub(super) fn executor(execution: &Execution, workspace: &str) -> Result<Vec<String>, SandboxError> {
    let arguments = &execution.arguments;
    if arguments.is_empty() || arguments.iter().any(|argument| argument.contains('\0')) {
        return Err(SandboxError::Failed("a program to execute has no name or a NUL byte".to_owned()));
    }
    check_environment(&execution.environment)?;
    let directory = match &execution.directory {
        Some(path) => format!("{workspace}/{path}"),
        None => workspace.to_owned(),
    };
    let time = execution.time.as_secs().max(1).to_string();
    let own = ["/bin/sh", "-c", EXECUTOR, "sh", &directory, &time];
    Ok(own.into_iter().map(str::to_owned).chain(arguments.iter().cloned()).collect())
}

fn check_environment(environment: &BTreeMap<String, String>) -> Result<(), SandboxError> {
    for (name, value) in environment {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(SandboxError::Failed(format!("{name:?} is no name of an environment variable")));
        }
        if value.contains('\0') {
            return Err(SandboxError::Failed(format!("the environment variable {name} has a NUL byte")));
        }
    }
    Ok(())
}

/// The path of a member; `None`: it is the workspace itself.
fn relative(name: &[u8]) -> Result<Option<String>, SandboxError> {
    let lossy = String::from_utf8_lossy(name);
    let Ok(path) = std::str::from_utf8(name) else {
        return Err(refused(&lossy, "has a name that is no UTF-8"));
    };
    if path.starts_with('/') || path.contains('\0') || path.split('/').any(|part| part == "..") {
        return Err(refused(path, "does not lie in the workspace"));
    }
    let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

fn refused(path: &str, why: &str) -> SandboxError {
    SandboxError::Failed(format!("a member of the archive, {path:?}, {why}"))
}

fn unreadable(error: io::Error) -> SandboxError {
    SandboxError::Failed(format!("the archive cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tar::{Builder, Header};

    use super::*;

    fn archive(names: &[(&str, EntryType)]) -> File {
        let mut archive = Builder::new(Vec::new());
        for (name, kind) in names {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o7755);
            header.set_size(0);
            header.set_link_name("target").unwrap();
            header.set_cksum();
            archive.append(&header, io::empty()).unwrap();
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&archive.into_inner().unwrap()).unwrap();
        file
    }

    #[test]
    fn links_come_last_and_modes_are_plain() {
        let kinds = [("./", EntryType::Directory), ("l", EntryType::Symlink), ("./d//f", EntryType::Regular)];
        let mut told = Vec::new();
        let read = members(&archive(&kinds), |member| {
            told.push(match member.content {
                Content::Directory { mode } => format!("{} {mode:o}", member.path),
                Content::File { mode, size, .. } => format!("{} {mode:o} {size}", member.path),
                Content::Link { target } => format!("{} {}", member.path, String::from_utf8_lossy(target)),
            });
            Ok(())
        });
        assert_eq!((read, told), (Ok(()), vec!["d/f 755 0".to_owned(), "l target".to_owned()]));
    }

    #[test]
    fn what_cannot_be_in_a_workspace_is_refused() {
        for (name, kind) in [
            ("../a", EntryType::Regular),
            ("/a", EntryType::Regular),
            ("a/../../b", EntryType::Symlink),
            ("a", EntryType::Link),
            ("a", EntryType::Char),
            ("a", EntryType::Fifo),
        ] {
            let read = members(&archive(&[(name, kind)]), |_| Ok(()));
            assert!(matches!(read, Err(SandboxError::Failed(_))), "{name} {kind:?}");
        }
        let mut broken = tempfile::tempfile().unwrap();
        broken.write_all(&[b'x'; 700]).unwrap();
        assert!(members(&broken, |_| Ok(())).is_err());
    }

    #[test]
    fn a_command_that_cannot_be_started_is_refused_without_its_secrets() {
        let command = |token: &str| {
            Command::new("ins_a".parse().unwrap(), "dep_a".parse().unwrap(), token.to_owned(), "true")
        };
        assert_eq!(check(&command(&"a".repeat(TOKEN))), Ok(()));
        for token in ["", "a b", "ü", "../a", &"a".repeat(TOKEN + 1)] {
            assert!(check(&command(token)).is_err(), "{token:?}");
        }
        for (name, value) in [("", "secret"), ("A=B", "secret"), ("A", "secret\0")] {
            let mut command = command("t");
            command.environment.insert(name.to_owned(), value.to_owned());
            let refused = check(&command).unwrap_err().to_string();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
