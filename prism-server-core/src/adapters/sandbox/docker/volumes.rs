//! Volumes on the disk of the machine, where the gateway and the engine are on the same one.

use std::path::PathBuf;

use tokio::sync::OnceCell;

use super::engine::Engine;
use crate::ports::SandboxError;

/// Where the engine keeps its volumes, once that was asked.
#[derive(Default)]
pub(super) struct Volumes(OnceCell<PathBuf>);

impl Volumes {
    /// How much of the disk the files of a volume take; see [`Hosting::disk_usage`](crate::ports::Hosting::disk_usage).
    pub(super) async fn usage(
        &self,
        engine: &Engine,
        volume: String,
        most: u64,
    ) -> Result<u64, SandboxError> {
        let ask = async || {
            let root = engine.info().await?.docker_root_dir.filter(|root| root.starts_with('/'));
            let unknown =
                || SandboxError::Unavailable("the engine does not say where its volumes are".to_owned());
            root.map(|root| PathBuf::from(root).join("volumes")).ok_or_else(unknown)
        };
        let volumes = self.0.get_or_try_init(ask).await?.clone();
        linux::usage(volumes, volume, most).await
    }
}

#[cfg(not(target_os = "linux"))]
mod linux {
    use super::*;

    pub(super) async fn usage(_: PathBuf, _: String, _: u64) -> Result<u64, SandboxError> {
        let text = "the disk of sandboxes of type `docker` is seen on Linux alone: run the gateway there";
        Err(SandboxError::Unavailable(text.to_owned()))
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs::File,
        io::{Error, ErrorKind},
    };

    use tokio::task::spawn_blocking;

    use super::*;
    use crate::adapters::sandbox::usage;

    pub(super) async fn usage(volumes: PathBuf, volume: String, most: u64) -> Result<u64, SandboxError> {
        let measured = spawn_blocking(move || {
            let files = match File::open(volumes.join(volume).join("_data")) {
                Ok(files) => files,
                Err(error) if error.kind() == ErrorKind::NotFound && volumes.is_dir() => return Ok(0),
                Err(error) => {
                    let text = "the gateway does not see the volumes of the engine: run it on the engine's machine, as root";
                    return Err(SandboxError::Unavailable(format!("{text} ({error})")));
                }
            };
            usage::of(files.into(), most).map_err(|error| {
                SandboxError::Failed(format!("the volume was not measured: {}", Error::from(error)))
            })
        });
        measured.await.map_err(|error| SandboxError::Failed(error.to_string()))?
    }
}
