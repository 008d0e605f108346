//! How a program is started.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fs::File,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use prism_types::InstanceId;
use rustix::fs::{Access, access};

use super::{super::bundle, files};
use super::{Settings, absolute, failed, folder::Folder, processes, processes::Identity};
use crate::ports::{Program, SandboxError};
use std::os::fd::AsRawFd;

/// Where programs of the system are.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What runs a command, so that its status is known when it is no child of the gateway that asks: a shell that cannot be
/// ended gently, and writes the status into a file. It says nothing itself. The shell of the line waits for what it has started
/// when it is asked to end, because the line has ended with its shell, and what is left then is killed.
const RUNNER: &str = r#"trap : HUP INT QUIT ALRM TERM USR1 USR2
exec 3>&2 2>/dev/null
/bin/sh -c -- "trap 'exit 143' TERM; $1" 2>&3 3>&-
printf '%s\n' "$?" >"$2""#;

/// A program that can be started.
pub(super) struct Launch {
    command: Command,
    /// Where it is started, open until then.
    directory: Option<OwnedFd>,
}

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
        command.current_dir(folder.workspace());
        Ok(Self { command, directory: None })
    }

    /// A command of a user, in a folder that was prepared for it.
    pub(super) fn of_command(
        settings: &Settings,
        folder: &Folder,
        wanted: &crate::ports::Command,
    ) -> Result<Self, SandboxError> {
        let workspace = folder.open_workspace()?.ok_or(SandboxError::Gone)?;
        let home = folder.workspace().join(bundle::HOME);
        match rustix::fs::mkdirat(&workspace, bundle::HOME, rustix::fs::Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(failed("its home cannot be made", error)),
        }
        let directory = match &wanted.directory {
            Some(path) => files::make_directory(&workspace, path)?,
            None => workspace,
        };
        let mut command = Command::new(tool("setsid")?);
        command.arg(tool("prlimit")?).args(settings.limits.arguments()).arg("--");
        command.args(["/bin/sh", "-c", RUNNER, "sh", &wanted.line]).arg(folder.exit());
        let path = OsStr::new(SYSTEM_PATH);
        let own = own_environment(&wanted.instance_id, folder, &home, path);
        command.env_clear().envs(&wanted.environment).envs(own);
        // The child is still this program when it enters the directory, and has its open files.
        command.current_dir(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        Ok(Self { command, directory: Some(directory) })
    }

    /// Starts it, with its standard output and error to files to which it can only append.
    pub(super) fn start(
        mut self,
        output: impl FnOnce() -> std::io::Result<[File; 2]>,
    ) -> Result<(Identity, Child), SandboxError> {
        let cannot_start = |error: std::io::Error| failed("its program cannot be started", error);
        let [out, error] = output().map_err(cannot_start)?;
        self.command.stdin(Stdio::null()).stdout(out).stderr(error);
        let mut child = self.command.spawn().map_err(cannot_start)?;
        drop(self.directory);
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
    let home = folder.home();
    let mut all: BTreeMap<OsString, OsString> =
        wanted.iter().map(|(name, value)| (name.into(), value.into())).collect();
    all.extend(own_environment(id, folder, &home, &path).map(|(name, value)| (name.into(), value)));
    all.extend([("PRISM_HOME", home.as_os_str()), ("PRISM_FILES", files.as_os_str())].map(own_variable));
    Ok(all)
}

/// What the sandbox itself sets, whatever runs in it.
fn own_environment(
    id: &InstanceId,
    folder: &Folder,
    home: &Path,
    path: &OsStr,
) -> [(&'static str, OsString); 6] {
    [
        ("PRISM_WORKSPACE", folder.workspace().into()),
        (processes::MARKER, id.as_str().into()),
        ("PATH", path.to_owned()),
        ("HOME", home.into()),
        ("LANG", "C.UTF-8".into()),
        ("TMPDIR", folder.temporary().into()),
    ]
}

fn own_variable((name, value): (&str, &OsStr)) -> (OsString, OsString) {
    (name.into(), value.to_owned())
}
