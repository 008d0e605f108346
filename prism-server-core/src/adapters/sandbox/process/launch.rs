//! How a program is started.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use prism_types::InstanceId;
use rustix::fs::{Access, access};

use super::{Settings, absolute, failed, folder::Folder, processes, processes::Identity};
use crate::ports::{Program, SandboxError};

/// Where programs of the system are.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A program that can be started.
pub(super) struct Launch(Command);

impl Launch {
    /// Looks for all that the program needs, before anything is made for it.
    pub(super) fn new(
        settings: &Settings,
        id: &InstanceId,
        folder: &Folder,
        program: &Program,
    ) -> Result<Self, SandboxError> {
        let interpreter = interpreter(settings, program)?;
        let files = absolute(program.files.clone());
        // `setsid` becomes `prlimit`, which becomes the interpreter: it is one process all the way, for `setsid`
        // makes another one only where it leads a process group, which a child does not.
        let mut command = Command::new(tool("setsid")?);
        command.arg(tool("prlimit")?).args(settings.limits.arguments()).arg("--");
        command.arg(interpreter).arg(files.join(&program.script));
        command.env_clear().envs(environment(id, folder, &files, interpreter, &program.environment)?);
        command.current_dir(folder.workspace()).stdin(Stdio::null());
        Ok(Self(command))
    }

    /// Starts it, with its output to the folder's file.
    pub(super) fn start(mut self, folder: &Folder) -> Result<(Identity, Child), SandboxError> {
        let cannot_start = |error: std::io::Error| failed("its program cannot be started", error);
        let output = folder.output_file().map_err(cannot_start)?;
        self.0.stdout(output.try_clone().map_err(cannot_start)?).stderr(output);
        let mut child = self.0.spawn().map_err(cannot_start)?;
        // Nobody has waited for the child yet, so the number is still its own.
        match Identity::of(child.id()) {
            Ok(identity) => Ok((identity, child)),
            Err(error) => {
                let ended = child.kill().and_then(|()| child.wait());
                tracing::warn!(?ended, "a program was ended, because it cannot be found in /proc");
                Err(cannot_start(error))
            }
        }
    }
}

fn interpreter<'a>(settings: &'a Settings, program: &Program) -> Result<&'a Path, SandboxError> {
    let runtime = &program.runtime;
    let way_out = format!("run `prism runtime install {runtime}`, or set another interpreter");
    let Some(path) = settings.interpreters.get(runtime) else {
        return Err(SandboxError::Unavailable(format!(
            "sandboxes of type `process` have no interpreter for the runtime `{runtime}`: {way_out}"
        )));
    };
    if path.is_file() && access(path, Access::EXEC_OK).is_ok() {
        Ok(path)
    } else {
        Err(SandboxError::Unavailable(format!(
            "the interpreter for the runtime `{runtime}` is not at {}, or cannot be executed: {way_out}",
            path.display()
        )))
    }
}

pub(super) fn tool(name: &str) -> Result<PathBuf, SandboxError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(SYSTEM_PATH).chain(env::split_paths(&path));
    let mut candidates = directories.filter(|directory| directory.is_absolute()).map(|path| path.join(name));
    candidates.find(|path| path.is_file()).ok_or_else(|| {
        let text = format!(
            "sandboxes of type `process` need the command `{name}`: install util-linux and coreutils"
        );
        SandboxError::Unavailable(text)
    })
}

/// The whole environment. What the sandbox itself sets is not for the program to change.
fn environment(
    id: &InstanceId,
    folder: &Folder,
    files: &Path,
    interpreter: &Path,
    wanted: &BTreeMap<String, String>,
) -> Result<BTreeMap<OsString, OsString>, SandboxError> {
    if let Some(name) = wanted.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return Err(SandboxError::Failed(format!("{name:?} is no name of an environment variable")));
    }
    let programs = interpreter.parent().map(Path::to_owned).into_iter().chain(env::split_paths(SYSTEM_PATH));
    let path =
        env::join_paths(programs).map_err(|error| failed("its interpreter cannot be in PATH", error))?;
    let (workspace, home, temporary) = (folder.workspace(), folder.home(), folder.temporary());
    let own: [(&str, &OsStr); 8] = [
        ("PRISM_WORKSPACE", workspace.as_ref()),
        ("PRISM_HOME", home.as_ref()),
        ("PRISM_FILES", files.as_ref()),
        (processes::MARKER, id.as_str().as_ref()),
        ("PATH", &path),
        ("HOME", home.as_ref()),
        ("LANG", "C.UTF-8".as_ref()),
        ("TMPDIR", temporary.as_ref()),
    ];
    let mut all: BTreeMap<OsString, OsString> =
        wanted.iter().map(|(name, value)| (name.into(), value.into())).collect();
    all.extend(own.map(|(name, value)| (name.into(), value.to_owned())));
    Ok(all)
}
