//! Commands of operators: they work on the data directory, with or without a server on it.

pub(crate) mod keys;
pub(crate) mod secrets;
pub(crate) mod tenants;

use prism_server_core::{
    Admin,
    domain::tenant::Tenant,
    ports::{SecretBox, SecretBoxError},
};
use prism_types::Secret;
use tokio::runtime;

use crate::{config::Place, data_dir::DataDir, failure::Failure};

/// Does something on the data directory.
fn with<T>(
    place: &Place,
    secrets: Secrets,
    work: impl AsyncFnOnce(Admin) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let data = DataDir::existing(&place.data_dir()?)?;
    let admin = match secrets {
        Secrets::Seal => Admin::new(data.store()?, data.secret_box()?),
        Secrets::Leave => Admin::new(data.store()?, NoSecrets),
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(error.to_string()))?.block_on(work(admin))
}

/// Whether a command needs the master key.
enum Secrets {
    /// It seals.
    Seal,
    /// It does not, so it works without the key.
    Leave,
}

/// Seals and opens nothing.
struct NoSecrets;

impl SecretBox for NoSecrets {
    fn seal(&self, _: &[u8], _: &Secret) -> Result<Vec<u8>, SecretBoxError> {
        Err(SecretBoxError::OtherKey)
    }

    fn open(&self, _: &[u8], _: &[u8]) -> Result<Secret, SecretBoxError> {
        Err(SecretBoxError::OtherKey)
    }

    fn derive(&self, _: &[u8]) -> Result<[u8; 32], SecretBoxError> {
        Err(SecretBoxError::Underivable)
    }
}

/// Which tenant a command is about.
#[derive(Debug, clap::Args)]
struct OfTenant {
    /// The tenant's name.
    #[arg(long, value_name = "NAME", default_value = "default")]
    tenant: String,
}

impl OfTenant {
    async fn find(&self, admin: &Admin) -> Result<Tenant, Failure> {
        find_tenant(admin, &self.tenant).await
    }
}

async fn find_tenant(admin: &Admin, name: &str) -> Result<Tenant, Failure> {
    admin.tenant(name).await.map_err(|error| match error.kind() {
        prism_server_core::ErrorKind::NotFound => Failure::new(format!("there is no tenant named `{name}`"))
            .advice("`prism tenants list` names them all."),
        _ => error.into(),
    })
}
