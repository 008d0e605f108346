//! `prism keys`.

use clap::Subcommand;
use prism_server_core::{
    ErrorKind,
    domain::tenant::{ApiKey, Scope, Scopes},
};
use prism_types::{ApiKeyId, Timestamp};
use serde::Serialize;

use super::{OfTenant, Secrets, with};
use crate::{
    config::Place,
    failure::Failure,
    output::{self, Output, or_dash, table},
};

/// Create API keys, list them, revoke them.
///
/// The commands work on the data directory, also while a server runs on it; what they change holds from the next
/// request on.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create an API key and print it on standard output. It is shown only then.
    Create {
        /// A label for people, 1 to 255 characters.
        #[arg(long)]
        name: String,
        /// What the key may do: deployments:read, deployments:write, audit:read, webhooks:read, webhooks:write, or
        /// several with commas between. Writing does not include reading.
        #[arg(long, value_name = "SCOPES", value_parser = scopes)]
        #[arg(default_value = "deployments:read,deployments:write")]
        scopes: Scopes,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// List the API keys of a tenant, revoked ones too, newest first.
    List {
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// Revoke an API key: from now on it is answered with 401. Streams that are open stay open.
    Revoke {
        /// The key's id, such as key_01k2…; `prism keys list` shows it.
        key_id: ApiKeyId,
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
        Command::Create { name, scopes, tenant, place, output } => {
            let (key, secret) = with(&place, Secrets::Leave, async |admin| {
                let tenant = tenant.find(&admin).await?;
                Ok(admin.create_key(&tenant.id, &name, scopes, None).await?)
            })?;
            if !output.is_json() {
                output::note(&format!("created {} ({}), which is shown only now:", key.id, key.scopes));
            }
            output.print(&New { row: key.into(), key: secret.expose() }, |new| new.key.to_owned())
        }
        Command::List { tenant, place, output } => {
            let keys = with(&place, Secrets::Leave, async |admin| {
                let tenant = tenant.find(&admin).await?;
                Ok(admin.keys(&tenant.id).await?)
            })?;
            let rows: Vec<_> = keys.into_iter().map(Row::from).collect();
            output.print(&rows, |rows| many(rows))
        }
        Command::Revoke { key_id, tenant, place, output } => {
            with(&place, Secrets::Leave, async |admin| {
                let owner = tenant.find(&admin).await?;
                admin.revoke_key(&owner.id, &key_id).await.map_err(|error| match error.kind() {
                    ErrorKind::NotFound => {
                        let message = format!("the tenant `{}` has no key {key_id}", owner.name);
                        Failure::new(message).advice("`prism keys list --tenant NAME` shows its keys.")
                    }
                    _ => error.into(),
                })
            })?;
            output.print(&Revoked { key_id, revoked: true }, |revoked| format!("revoked {}", revoked.key_id))
        }
    }
}

fn scopes(text: &str) -> Result<Scopes, String> {
    let known = || Scope::ALL.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ");
    match Scopes::parse(text) {
        Ok(scopes) if scopes != Scopes::default() => Ok(scopes),
        Ok(_) => Err(format!("expected at least one of: {}", known())),
        Err(unknown) => Err(format!("`{unknown}` is no scope; there are: {}", known())),
    }
}

/// A key as it is printed: never the key itself.
#[derive(Serialize)]
struct Row {
    key_id: ApiKeyId,
    name: String,
    scopes: Vec<&'static str>,
    created_at: Timestamp,
    /// `null`: valid.
    revoked_at: Option<Timestamp>,
}

impl From<ApiKey> for Row {
    fn from(key: ApiKey) -> Self {
        Self {
            key_id: key.id,
            name: key.name,
            scopes: key.scopes.iter().map(Scope::as_str).collect(),
            created_at: key.created_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// A key that was just made, with itself.
#[derive(Serialize)]
struct New<'a> {
    #[serde(flatten)]
    row: Row,
    key: &'a str,
}

#[derive(Serialize)]
struct Revoked {
    key_id: ApiKeyId,
    revoked: bool,
}

fn many(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let scopes = row.scopes.join(",");
        let revoked = or_dash(row.revoked_at.as_ref());
        [row.key_id.to_string(), row.name.clone(), scopes, row.created_at.to_string(), revoked]
    };
    table(["key", "name", "scopes", "created", "revoked"], rows.iter().map(cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_a_scope_is_refused() {
        let all: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        assert_eq!(scopes(&all.join(",")), Ok(Scopes::all()));
        assert!(scopes("").is_err() && scopes(",").is_err());
        assert!(scopes("deployments:raed").unwrap_err().contains("`deployments:raed`"));
    }
}
