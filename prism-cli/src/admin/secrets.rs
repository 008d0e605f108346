//! `prism secrets`.

use std::io::{IsTerminal, Read, stdin};

use clap::Subcommand;
use prism_server_core::{ErrorKind, domain::secret::SealedSecret};
use prism_types::{Secret, SecretRef, Timestamp};
use serde::Serialize;

use super::{OfTenant, Secrets, with};
use crate::{
    config::Place,
    environment,
    failure::Failure,
    output::{Output, table},
};

/// The longest value, in bytes, and what one line end more may take.
const LONGEST: u64 = 65_536 + 2;

/// Set secrets, list their names, delete them.
///
/// A deployment names a secret by its reference (`"secrets": {"META_ADS_TOKEN": "sec_meta_ads_token"}`) and never
/// sees another tenant's. Values are sealed with the master key and are shown by no command. The commands work on
/// the data directory, also while a server runs on it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set the value of a secret, new or replaced.
    ///
    /// The value comes from standard input, of which one line end at the end is left out; at a terminal it is asked
    /// for without showing it. It is never an argument: the arguments of a process can be seen by others.
    Set {
        /// The reference: `sec_` and 1 to 100 letters, digits, `_` or `-`.
        reference: SecretRef,
        /// Take the value from this environment variable instead.
        #[arg(long, value_name = "VARIABLE")]
        from_env: Option<String>,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// List the references of a tenant's secrets, and when each was set.
    List {
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// Delete a secret. Deployments that name it stay; their agents do not get it any more.
    Delete {
        /// The reference, such as sec_meta_ads_token.
        reference: SecretRef,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Set { reference, from_env, tenant, place, output } => {
            let value = value(&reference, from_env.as_deref())?;
            with(&place, Secrets::Seal, async |admin| {
                let tenant = tenant.find(&admin).await?;
                Ok(admin.set_secret(&tenant.id, &reference, &value).await?)
            })?;
            output.print(&Done { reference, done: "set" }, Done::text)
        }
        Command::List { tenant, place, output } => {
            let secrets = with(&place, Secrets::Leave, async |admin| {
                let tenant = tenant.find(&admin).await?;
                Ok(admin.secrets(&tenant.id).await?)
            })?;
            let rows: Vec<_> = secrets.into_iter().map(Row::from).collect();
            output.print(&rows, |rows| {
                let cells = |row: &Row| [row.reference.to_string(), row.updated_at.to_string()];
                table(["reference", "set"], rows.iter().map(cells))
            })
        }
        Command::Delete { reference, tenant, place, output } => {
            with(&place, Secrets::Leave, async |admin| {
                let owner = tenant.find(&admin).await?;
                admin.delete_secret(&owner.id, &reference).await.map_err(|error| match error.kind() {
                    ErrorKind::NotFound => {
                        let message = format!("the tenant `{}` has no secret {reference}", owner.name);
                        Failure::new(message).advice("`prism secrets list --tenant NAME` shows its secrets.")
                    }
                    _ => error.into(),
                })
            })?;
            output.print(&Done { reference, done: "deleted" }, Done::text)
        }
    }
}

/// The value to set, from where it cannot be seen.
fn value(reference: &SecretRef, variable: Option<&str>) -> Result<Secret, Failure> {
    if let Some(name) = variable {
        let value = environment::variable(name)?;
        let missing = || Failure::usage(format!("the environment variable {name} is not set or empty"));
        return value.map(Secret::from).ok_or_else(missing);
    }
    let value = if stdin().is_terminal() {
        rpassword::prompt_password(format!("value of {reference}: "))
    } else {
        let mut text = String::new();
        stdin().lock().take(LONGEST + 1).read_to_string(&mut text).map(|_| text)
    };
    let value = value.map_err(|error| Failure::new(format!("the value cannot be read: {error}")))?;
    Ok(Secret::from(without_line_end(&value)))
}

/// `echo` and editors put a line end behind what is meant.
fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// A secret as it is printed: never its value.
#[derive(Serialize)]
struct Row {
    reference: SecretRef,
    updated_at: Timestamp,
}

impl From<SealedSecret> for Row {
    fn from(secret: SealedSecret) -> Self {
        Self { reference: secret.reference, updated_at: secret.updated_at }
    }
}

/// What was done with a secret.
#[derive(Serialize)]
struct Done {
    reference: SecretRef,
    #[serde(rename = "status")]
    done: &'static str,
}

impl Done {
    fn text(&self) -> String {
        format!("{} {}", self.done, self.reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_left_out() {
        for (text, value) in
            [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("\n", ""), ("", "")]
        {
            assert_eq!(without_line_end(text), value);
        }
    }
}
