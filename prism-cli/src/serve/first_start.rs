//! The first start on a data directory: a tenant and an API key, so that there is something to try.

use prism_server_core::{Admin, domain::tenant::Scopes, ports::ListQuery};
use prism_types::Secret;

use crate::{environment, failure::Failure};

const TENANT: &str = "default";
const KEY_VARIABLE: &str = "PRISM_BOOTSTRAP_API_KEY";

/// Creates the tenant and a key with all scopes when nobody could use the server otherwise. Gives the key when
/// it is new and nobody has seen it.
///
/// A start that was cut off between the two is made up for by the next one.
///
/// # Errors
/// When the operator's own key is not fit, or the store fails.
pub(super) async fn prepare(admin: &Admin) -> Result<Option<Secret>, Failure> {
    let tenants = admin.tenants(ListQuery { before: None, limit: 2 }).await?;
    let tenant = match tenants.as_slice() {
        [] => admin.create_tenant(TENANT).await?,
        [only] if only.name == TENANT && admin.keys(&only.id).await?.is_empty() => only.clone(),
        _ => return Ok(None),
    };
    let own = environment::variable(KEY_VARIABLE)?.map(Secret::from);
    let created = admin.create_key(&tenant.id, "first key", Scopes::all(), own.as_ref()).await;
    let (key, secret) = created.map_err(|error| match &own {
        Some(_) => Failure::usage(format!("{KEY_VARIABLE}: {}", error.message())),
        None => error.into(),
    })?;
    tracing::info!(tenant = TENANT, key = %key.id, "created the first API key");
    Ok(own.is_none().then_some(secret))
}

/// What to tell about a key that nobody has seen.
pub(super) fn welcome(base_url: &str, key: &Secret) -> String {
    format!(
        r#"
This is the first start. The API key of the tenant `{TENANT}`, which is shown only now:

  {key}

Try it:

  export PRISM_API_KEY={key}
  curl -sS {base_url}/v1/deployments \
    -H "Authorization: Bearer $PRISM_API_KEY" -H "Content-Type: application/json" \
    -d '{{"customer_id":"cus_1","name":"First agent","system_prompt":"Help.","runtime":"scripted"}}'
"#,
        key = key.expose()
    )
}
