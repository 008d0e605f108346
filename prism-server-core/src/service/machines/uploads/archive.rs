//! Uploads that are archives of a directory.
//!
//! An archive is checked while it is put into a directory of its own in the workspace, and then unpacked there by tools of the
//! machine, with its rights. Only when it is there whole does it go to its target, with renames and links. So a target is
//! as it was until all has been unpacked, and what the machine does meanwhile harms nobody but itself.

use std::io::{self, Read};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{Pieces, Reason, Written, refuse, require_digest, taken};
use crate::{
    bundle::{
        BundleError, Fault,
        tree::{self, Contents},
    },
    core::Core,
    domain::{
        limits,
        machine::{
            Machine,
            upload::{Collision, Upload},
        },
        program::manifest::BundleLimits,
        workspace::WorkspacePath,
    },
    error::{Error, ErrorKind, Result},
    ports::SandboxError,
    service::{
        author::Author,
        files::refused,
        machines::{executions, files::workspace, processes},
    },
};

/// Pieces of an archive that wait for the check.
const WAITING: usize = 4;
/// What the script answers when something is at the target, and when the archive was not unpacked.
const TAKEN: i32 = 17;
const NOT_UNPACKED: i32 = 18;

/// Unpacks `$1/archive.tar`, puts what is in it to `$2` in the way of `$3`, and removes `$1`. Whatever modes the archive has,
/// its owner can change and remove what comes of it.
const UNPACK: &str = r#"own=$1 target=$2 way=$3 tree=$1/tree
trap 'rm -rf -- "$own"' EXIT
open_up() { chmod -R u+rwX -- "$tree"; }
[ ! -e "$tree" ] || { open_up; rm -rf -- "$tree"; }
mkdir -- "$tree" || exit 18
tar -xf "$own/archive.tar" -C "$tree" --no-same-owner --preserve-permissions || { open_up; exit 18; }
rm -f -- "$own/archive.tar"
open_up || exit 18
if [ ! -e "$target" ] && [ ! -L "$target" ]; then
    mkdir -p -- "$(dirname -- "$target")" && mv -T -- "$tree" "$target" || exit 17
elif [ "$way" = replace ]; then
    mv -T -- "$target" "$own/before" || exit 17
    mv -T -- "$tree" "$target" || { mv -T -- "$own/before" "$target"; exit 17; }
elif [ "$way" = merge ] && [ -d "$target" ] && [ ! -L "$target" ]; then
    base=$(cd -- "$target" && pwd -P) || exit 17
    wrong=$(cd -- "$tree" && find . -mindepth 1 \( -type d -exec sh -c 'for path do
        if [ -L "$0/$path" ]; then echo "$path"; elif [ -e "$0/$path" ] && [ ! -d "$0/$path" ]; then echo "$path"; fi
    done' "$base" {} + \) -o \( ! -type d -exec sh -c 'for path do
        if [ -d "$0/$path" ] && [ ! -L "$0/$path" ]; then echo "$path"; fi
    done' "$base" {} + \) | head -n 1)
    [ -z "$wrong" ] || exit 17
    find "$tree" -mindepth 1 -maxdepth 1 -exec cp -a -l --remove-destination -t "$target" -- {} + || exit 17
else
    exit 17
fi"#;

/// Unpacks an upload at its target.
pub(super) async fn place(
    core: &Core,
    author: &Author,
    machine: &Machine,
    upload: &Upload,
    digest: Option<&str>,
) -> Result<Written> {
    let workspace = workspace(core, &author.principal, &machine.id).await?;
    let target: Option<WorkspacePath> = match upload.target.as_str() {
        "" => None,
        target => Some(target.parse().map_err(Error::internal)?),
    };
    // No path leads through a link.
    if let Some(target) = &target {
        match workspace.stat(target).await {
            Ok(Some(_)) if upload.collision == Collision::Refuse => return Err(taken(upload)),
            Ok(_) => {}
            Err(SandboxError::NotAFile(_)) => return Err(taken(upload)),
            Err(error) => return Err(refused(error)),
        }
    }
    let own = format!(".prism-upload-{}", upload.id.suffix());
    let archive = format!("{own}/archive.tar").parse().map_err(Error::internal)?;
    let mut staged = workspace.stage().await.map_err(refused)?;
    let (pieces, check) = check(core.settings.bundle_limits);
    let mut whole = Sha256::new();
    for (number, part_digest) in &upload.parts {
        let mut part = Pieces::of(core, author, upload, *number, part_digest).await?;
        while let Some(piece) = part.next().await? {
            whole.update(&piece);
            // Whoever checks has stopped at what is wrong.
            let _ = pieces.send(piece.clone()).await;
            staged.write(piece).await.map_err(refused)?;
        }
    }
    drop(pieces);
    require_digest(upload, digest, whole)?;
    let contents = check.await.map_err(Error::internal)?.map_err(|error| wrong(upload, error))?;
    staged.place(&archive).await.map_err(refused)?;
    unpack(core, machine, upload, &own, target.as_ref()).await?;
    Ok(Written { bytes: contents.bytes, files: contents.files })
}

async fn unpack(
    core: &Core,
    machine: &Machine,
    upload: &Upload,
    own: &str,
    target: Option<&WorkspacePath>,
) -> Result<()> {
    let (own, target) =
        (format!("./{own}"), target.map_or_else(|| ".".to_owned(), |path| format!("./{path}")));
    let arguments = ["sh", "-c", UNPACK, "sh", &own, &target, upload.collision.as_str()];
    let mut execution = processes::execution(arguments.map(str::to_owned).into());
    execution.time = limits::UNPACKING_TIME;
    let done = executions::run(core, machine, execution).await?;
    let errors = String::from_utf8_lossy(&done.errors);
    match done.code {
        0 => Ok(()),
        _ if errors.contains("No space left on device") || errors.contains("Disk quota exceeded") => {
            Err(refused(SandboxError::NoRoom))
        }
        TAKEN => Err(taken(upload)),
        NOT_UNPACKED => {
            let message = format!(
                "The tools of the sandbox have not unpacked it, for which they need a shell, GNU tar and coreutils: {}",
                errors.trim_end().chars().take(limits::WISH).collect::<String>()
            );
            Err(Error::new(ErrorKind::Invalid, message))
        }
        code => Err(Error::internal(format_args!("an archive was not unpacked: status {code}: {errors}"))),
    }
}

type Check = tokio::task::JoinHandle<Result<Contents, BundleError>>;

/// Begins to check an archive whose pieces are sent.
fn check(limits: BundleLimits) -> (mpsc::Sender<Bytes>, Check) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let pieces = Received { receiver, piece: Bytes::new() };
    (sender, tokio::task::spawn_blocking(move || tree::look(pieces, limits)))
}

/// Pieces that come, as a reader. It blocks until there is one.
struct Received {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Received {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = self.piece.len().min(into.len());
        into[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

/// What is wrong with an archive, for whoever has sent it.
fn wrong(upload: &Upload, error: BundleError) -> Error {
    let reason = match &error {
        BundleError::TooLarge { .. } => Reason::TooLarge,
        BundleError::Member { fault: Fault::Astray(_), .. } => Reason::ArchiveLink,
        BundleError::Member { fault: Fault::Path(_) | Fault::Encoding, .. } => Reason::ArchivePath,
        error if error.is_refusal() => Reason::ArchiveEntry,
        error => return Error::internal(error),
    };
    refuse(upload, reason, format!("Nothing was unpacked: {error}."))
}
