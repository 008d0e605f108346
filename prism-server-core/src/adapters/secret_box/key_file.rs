//! The file of a master key.
//!
//! The key is written to a file of another name and then linked to the right one: a link is made only where
//! nothing is, and what it names is whole and on the disk. So there is no moment at which another process
//! could read half a key, or at which two processes could go on with different ones.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{MasterKey, MasterKeyError};

/// More than any key file has.
const LONGEST_FILE: u64 = 1024;

pub(super) fn load_or_create(path: &Path) -> Result<MasterKey, MasterKeyError> {
    let failed = |source| MasterKeyError::File { path: path.to_owned(), source };
    match File::open(path) {
        Ok(file) => load(path, file),
        Err(error) if error.kind() == ErrorKind::NotFound => match create(path, &MasterKey::generate()?) {
            // Whoever lost the race takes the winner's key; whoever won reads what is on the disk.
            Ok(()) => load(path, File::open(path).map_err(failed)?),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                load(path, File::open(path).map_err(failed)?)
            }
            Err(error) => Err(failed(error)),
        },
        Err(error) => Err(failed(error)),
    }
}

fn load(path: &Path, file: File) -> Result<MasterKey, MasterKeyError> {
    let failed = |source| MasterKeyError::File { path: path.to_owned(), source };
    // Of the open file, not of its name: the name could be exchanged in between.
    if is_open_to_others(&file.metadata().map_err(failed)?) {
        return Err(MasterKeyError::OpenToOthers(path.to_owned()));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_FILE as usize));
    file.take(LONGEST_FILE).read_to_end(&mut bytes).map_err(failed)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    MasterKey::from_base64(text.trim()).map_err(|_| MasterKeyError::NotAKeyFile(path.to_owned()))
}

fn create(path: &Path, key: &MasterKey) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let other_name = other_name(directory)?;
    let written = write_new(&other_name, key).and_then(|()| fs::hard_link(&other_name, path));
    let removed = fs::remove_file(&other_name);
    written.and(removed)?;
    // The name itself is on the disk once its directory is.
    File::open(directory)?.sync_all()
}

fn write_new(path: &Path, key: &MasterKey) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(key.to_base64().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn other_name(directory: &Path) -> io::Result<PathBuf> {
    let random = getrandom::u64().map_err(|_| io::Error::other("no randomness can be had"))?;
    Ok(directory.join(format!(".master-key-{random:016x}")))
}

#[cfg(unix)]
fn is_open_to_others(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_metadata: &fs::Metadata) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt, sync::Barrier, thread};

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode is set");
    }

    #[test]
    fn a_file_is_made_once_for_its_owner_alone_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let made = MasterKey::load_or_create(&path).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
        assert_eq!(metadata.len(), 45);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
        let read = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(read.bytes(), made.bytes());
        set_mode(&path, 0o400);
        assert!(MasterKey::load_or_create(&path).is_ok(), "read-only is as good");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        MasterKey::load_or_create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o601] {
            set_mode(&path, mode);
            let error = MasterKey::load_or_create(&path).unwrap_err();
            assert!(matches!(error, MasterKeyError::OpenToOthers(_)), "{mode:o}");
            assert!(error.to_string().contains(&format!("run `chmod 600 {}`", path.display())), "{error}");
        }
    }

    #[test]
    fn other_contents_are_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let key = MasterKey::from_bytes([1; 32]).to_base64();
        for content in ["", "short", &key[1..], &format!("{}x", *key), "\u{e9}", &" ".repeat(2000)] {
            fs::write(&path, content).unwrap();
            set_mode(&path, 0o600);
            let error = MasterKey::load_or_create(&path).unwrap_err();
            assert!(matches!(error, MasterKeyError::NotAKeyFile(_)), "{content}: {error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        fs::write(&path, [0xff; 44]).unwrap();
        assert!(MasterKey::load_or_create(&path).is_err());
    }

    #[test]
    fn a_missing_directory_and_a_directory_at_the_path_are_errors() {
        let directory = tempfile::tempdir().unwrap();
        let error = MasterKey::load_or_create(directory.path().join("none/master.key")).unwrap_err();
        assert!(matches!(error, MasterKeyError::File { .. }), "{error}");
        set_mode(directory.path(), 0o700);
        assert!(MasterKey::load_or_create(directory.path()).is_err());
    }

    #[test]
    fn creators_at_the_same_time_get_one_key() {
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("master.key");
            let start = Barrier::new(4);
            let create = || {
                start.wait();
                *MasterKey::load_or_create(&path).unwrap().bytes()
            };
            let keys: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(create)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(keys.iter().all(|key| key == &keys[0]), "every creator has the key of the file");
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        }
    }
}
