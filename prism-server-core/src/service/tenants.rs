//! Tenants: create, find, list, set credits.

use prism_types::{Problem, TenantId, Usage};

use super::{Attempt, author::by_operator, with_retries};
use crate::{
    domain::{limits, tenant::Tenant},
    error::{Error, Result},
    ids::NewId,
    ports::{Clock, Commit, ListQuery, Store, StoreError, Write},
};

/// Creates a tenant with unlimited credits.
///
/// # Errors
/// When the name is empty, longer than 255 characters or taken, or the store fails.
pub(crate) async fn create(store: &dyn Store, clock: &dyn Clock, name: &str) -> Result<Tenant> {
    let problem = |message: String| Error::invalid(vec![Problem::new("name", message)]);
    if name.is_empty() || name.chars().count() > limits::LABEL {
        return Err(problem(format!("must be 1 to {} characters", limits::LABEL)));
    }
    let tenant = Tenant {
        id: TenantId::generate(),
        name: name.to_owned(),
        credits: None,
        used: Usage::default(),
        created_at: clock.now(),
        revision: 0,
    };
    let entry = by_operator(clock, &tenant.id, "create_tenant", &tenant.id);
    match store.commit(Commit::new().with(Write::InsertTenant(tenant.clone())).with(entry)).await {
        Err(StoreError::Conflict(_)) => Err(problem(format!("a tenant named `{name}` exists already"))),
        other => Ok(other.map(|()| tenant)?),
    }
}

/// A tenant by its name.
///
/// # Errors
/// When there is none, or the store fails.
pub(crate) async fn find(store: &dyn Store, name: &str) -> Result<Tenant> {
    store.tenant_by_name(name).await?.ok_or_else(|| Error::not_found("Tenant"))
}

/// Tenants, newest first.
///
/// # Errors
/// When the store fails.
pub(crate) async fn list(store: &dyn Store, query: ListQuery<TenantId>) -> Result<Vec<Tenant>> {
    Ok(store.tenants(query).await?)
}

/// Sets the credits of a tenant; `None`: unlimited.
///
/// # Errors
/// When there is no such tenant, or the store fails.
pub(crate) async fn set_credits(
    store: &dyn Store,
    clock: &dyn Clock,
    name: &str,
    credits: Option<u64>,
) -> Result<Tenant> {
    with_retries(|| async {
        let mut tenant = find(store, name).await?;
        tenant.credits = credits;
        let entry = by_operator(clock, &tenant.id, "set_credits", &tenant.id);
        store.commit(Commit::new().with(Write::UpdateTenant(tenant.clone())).with(entry)).await?;
        Ok::<_, Attempt>(tenant)
    })
    .await
}
