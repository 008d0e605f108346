//! The JSON that rustdoc makes of a crate.
//!
//! It is behind an unstable option, which a stable rustdoc takes when `RUSTC_BOOTSTRAP` is set. With that variable
//! cargo would compile every dependency anew, because build scripts look at it. So only rustdoc gets it: this program
//! puts itself in rustdoc's place, and starts the real one.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// What tells this program that it was started in rustdoc's place.
const STAND_IN: &str = "PRISM_PUBLIC_API_RUSTDOC";

/// A bare machine cannot compile it: it needs the headers of OpenSSL. It adds a way to choose TLS and no other item.
const LEFT_OUT: &str = "native-tls";

/// Runs rustdoc, where it is rustdoc that was asked for.
pub(crate) fn stand_in() -> Option<Result<ExitCode, Box<dyn Error>>> {
    env::var_os(STAND_IN)?;
    let status = Command::new("rustdoc").args(env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1").status();
    Some(match status {
        Ok(status) if status.success() => Ok(ExitCode::SUCCESS),
        Ok(_) => Ok(ExitCode::FAILURE),
        Err(error) => Err(error.into()),
    })
}

/// The file with the JSON of a crate, with every feature that can be compiled everywhere.
pub(crate) fn json(name: &str, directory: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let this = env::current_exe()?;
    let features = features(&directory.join("Cargo.toml"))?.join(",");
    let status = Command::new(env!("CARGO"))
        .current_dir(directory)
        .args(["rustdoc", "--quiet", "--locked", "--lib", "--no-default-features", "--features", &features])
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .env("RUSTDOC", &this)
        .env(STAND_IN, "1")
        .status()?;
    if !status.success() {
        return Err(format!("rustdoc of {name} failed").into());
    }
    // target/debug/public-api
    let target = this.ancestors().nth(2).ok_or("this program is in no target directory")?;
    Ok(target.join("doc").join(name.replace('-', "_") + ".json"))
}

fn features(manifest: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let manifest: toml::Table = fs::read_to_string(manifest)?.parse()?;
    let features = manifest.get("features").and_then(toml::Value::as_table);
    let names = features.into_iter().flat_map(toml::Table::keys);
    Ok(names.filter(|name| !["default", LEFT_OUT].contains(&name.as_str())).cloned().collect())
}
