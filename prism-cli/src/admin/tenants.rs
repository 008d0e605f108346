//! `prism tenants`.

use std::str::FromStr;

use clap::Subcommand;
use prism_server_core::{domain, ports::ListQuery};
use prism_types::{TenantId, Timestamp};
use serde::Serialize;

use super::{Secrets, find_tenant, with};
use crate::{
    config::Place,
    failure::Failure,
    output::{Output, or_dash, record, table},
};

/// How many tenants are read at a time.
const PAGE: u32 = 100;

/// Create tenants, list them, set their credits.
///
/// A tenant owns deployments, API keys, secrets and credits. The commands work on the data directory, also while
/// a server runs on it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a tenant with unlimited credits.
    Create {
        /// The tenant's name, 1 to 255 characters, unique.
        name: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// List all tenants, newest first.
    List {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// Set the credits of a tenant. Without credits it can start no work: requests are answered with 402.
    Credits {
        /// The tenant's name.
        name: String,
        /// A whole number, or `unlimited`.
        credits: Credits,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Create { name, place, output } => {
            let tenant = with(&place, Secrets::Leave, async |admin| Ok(admin.create_tenant(&name).await?))?;
            output.print(&Row::from(tenant), one)
        }
        Command::List { place, output } => {
            let tenants: Vec<Row> = with(&place, Secrets::Leave, async |admin| {
                let (mut tenants, mut before) = (Vec::new(), None);
                loop {
                    let page = admin.tenants(ListQuery { before, limit: PAGE }).await?;
                    let Some(last) = page.last() else { return Ok(tenants) };
                    before = Some(last.id.clone());
                    tenants.extend(page.into_iter().map(Row::from));
                }
            })?;
            output.print(&tenants, |tenants| many(tenants))
        }
        Command::Credits { name, credits, place, output } => {
            let tenant = with(&place, Secrets::Leave, async |admin| {
                find_tenant(&admin, &name).await?;
                Ok(admin.set_credits(&name, credits.0).await?)
            })?;
            output.print(&Row::from(tenant), one)
        }
    }
}

/// Credits as they are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Credits(Option<u64>);

impl FromStr for Credits {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unlimited" {
            return Ok(Self(None));
        }
        // What the database keeps is a signed number.
        let number = text.parse().ok().filter(|number| i64::try_from(*number).is_ok());
        number.map(|number| Self(Some(number))).ok_or("expected a whole number or `unlimited`")
    }
}

/// A tenant as it is printed.
#[derive(Serialize)]
struct Row {
    tenant_id: TenantId,
    name: String,
    /// `null`: unlimited.
    credits: Option<u64>,
    created_at: Timestamp,
}

impl From<domain::tenant::Tenant> for Row {
    fn from(tenant: domain::tenant::Tenant) -> Self {
        let domain::tenant::Tenant { id, name, credits, created_at, .. } = tenant;
        Self { tenant_id: id, name, credits, created_at }
    }
}

fn one(row: &Row) -> String {
    record([
        ("tenant", row.tenant_id.to_string()),
        ("name", row.name.clone()),
        ("credits", credits(row.credits)),
        ("created", row.created_at.to_string()),
    ])
}

fn many(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        [row.name.clone(), credits(row.credits), row.created_at.to_string(), row.tenant_id.to_string()]
    };
    table(["name", "credits", "created", "tenant"], rows.iter().map(cells))
}

fn credits(credits: Option<u64>) -> String {
    if credits.is_none() { "unlimited".to_owned() } else { or_dash(credits.as_ref()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_a_number_or_unlimited() {
        assert_eq!("unlimited".parse(), Ok(Credits(None)));
        assert_eq!("0".parse(), Ok(Credits(Some(0))));
        for text in ["", "-1", "1.5", "many", "18446744073709551615"] {
            assert!(text.parse::<Credits>().is_err(), "{text}");
        }
    }
}
