//! `/v1/sandboxes/{sandbox_id}/host` and `.../ports`: ports of sandboxes.

use axum::{
    Json,
    extract::{Path, State},
};
use prism_types::nullspace::{PortProbeKind, PortReadiness, PortUrl, PublicUrl};
use serde_json::{Value, json};

use super::{Shared, convert, error::Answer, sandbox_bodies as bodies, services::host};
use crate::{
    edge,
    error::{Error, Result},
    http::{change::Change, gate::Call},
    service::machines::ports,
};

pub(super) async fn url(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Json<PortUrl>, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let port = bodies::host(&change.json().await?)?;
    let host = host(change.headers());
    let made = ports::url(&core, change.principal(), &id, (port, None), host.as_deref()).await?;
    let urls = (PublicUrl::new(made.url.expose()), PublicUrl::new(made.websocket.expose()));
    Ok(Json(PortUrl::new(made.place, urls, made.expires_at)))
}

pub(super) async fn preview(
    State(core): Shared,
    Path((id, port)): Path<(String, String)>,
    call: Call,
) -> Result<Json<Value>, Answer> {
    let (sandbox, id, port) = (id.clone(), convert::sandbox_instance(&id)?, port_of(&port)?);
    let host = host(call.request.headers());
    let made = ports::url(&core, &call.principal, &id, (port, None), host.as_deref()).await?;
    Ok(Json(granted(&sandbox, port, &made)))
}

pub(super) async fn signed_preview(
    State(core): Shared,
    Path((id, port)): Path<(String, String)>,
    mut change: Change,
) -> Result<Json<Value>, Answer> {
    let (sandbox, id, port) = (id.clone(), convert::sandbox_instance(&id)?, port_of(&port)?);
    let life = bodies::signed_preview(&change.json().await?)?;
    let host = host(change.headers());
    let made = ports::url(&core, change.principal(), &id, (port, life), host.as_deref()).await?;
    Ok(Json(granted(&sandbox, port, &made)))
}

pub(super) async fn readiness(
    State(core): Shared,
    Path((id, port)): Path<(String, String)>,
    mut change: Change,
) -> Result<Json<PortReadiness>, Answer> {
    let (id, port) = (convert::sandbox_instance(&id)?, port_of(&port)?);
    let probe = bodies::readiness(&change.json().await?, port)?;
    let found = ports::probe(&core, change.principal(), &id, &probe).await?;
    let kind = if probe.path.is_some() { PortProbeKind::Http } else { PortProbeKind::Tcp };
    let told = PortReadiness::new(convert::machine_id(&id)?, port, found.failure.is_none())
        .kind(Some(kind))
        .path(probe.path)
        .checked_at(core.clock.now())
        .elapsed_ms(found.took.as_millis() as u64)
        .attempts(found.attempts)
        .error(found.failure);
    Ok(Json(told))
}

/// A URL as a grant. Tokens are not recorded, so each grant is active until it expires, and is known to nobody.
fn granted(sandbox: &str, port: u16, made: &edge::PublicUrl) -> Value {
    json!({
        "grant": {
            "id": format!("{sandbox}-{port}-{}", made.expires_at.as_millis()),
            "sandbox_id": sandbox,
            "port": port,
            "token_kinds": ["edge"],
            "principal_kind": "api_key",
            "expires_at": made.expires_at,
        },
        "url": made.url.expose(),
        "websocket_url": made.websocket.expose(),
        "access_token_expires_at": made.expires_at,
        "access_token_transport": "query",
    })
}

fn port_of(text: &str) -> Result<u16> {
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| Error::not_found("Port"))
}
