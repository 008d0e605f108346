//! Finding a Python that the runtimes can be made with.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::failure::Failure;

/// What is tried, best first.
const PROGRAMS: [&str; 4] = ["python3.13", "python3.12", "python3.11", "python3"];
/// The versions of Python that the runtimes work with: 3.11 to 3.13.
const VERSIONS: std::ops::RangeInclusive<(u32, u32)> = (3, 11)..=(3, 13);
/// Prints the version, and fails when virtual environments cannot be made.
const PROBE: &str = "import sys, venv, ensurepip; print(sys.version_info[0], sys.version_info[1])";

/// A Python that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    pub(crate) program: PathBuf,
    version: (u32, u32),
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Python {}.{}", self.version.0, self.version.1)
    }
}

/// The Python that was asked for, or the best one there is.
///
/// # Errors
/// When it does not fit, or none does.
pub(crate) fn find(wanted: Option<PathBuf>) -> Result<Interpreter, Failure> {
    if let Some(program) = wanted {
        return probe(&program).map_err(|reason| {
            let message = format!("{} cannot be used: {reason}", program.display());
            Failure::usage(message).advice("Name a Python 3.11 to 3.13 with its module `venv`.")
        });
    }
    let tried = PROGRAMS.map(|program| probe(Path::new(program)));
    tried.into_iter().find_map(Result::ok).ok_or_else(|| {
        Failure::new("there is no Python 3.11 to 3.13 with the module `venv` in the PATH")
            .advice("On Debian: apt-get install python3 python3-venv. Elsewhere name one by --python.")
    })
}

fn probe(program: &Path) -> Result<Interpreter, String> {
    let output = Command::new(program).args(["-c", PROBE]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err("it cannot make virtual environments".to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if VERSIONS.contains(&(major, minor)) => {
            Ok(Interpreter { program: program.to_owned(), version: (major, minor) })
        }
        (Some(major), Some(minor)) => Err(format!("it is Python {major}.{minor}")),
        _ => Err("it does not answer like Python".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_python_is_refused_with_the_reason() {
        let error = find(Some("/nonexistent/python3".into())).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/python3") && error.contains("3.11 to 3.13"), "{error}");
        let error = find(Some("true".into())).unwrap_err().to_string();
        assert!(error.contains("does not answer like Python"), "{error}");
        let error = find(Some("false".into())).unwrap_err().to_string();
        assert!(error.contains("virtual environments"), "{error}");
    }
}
