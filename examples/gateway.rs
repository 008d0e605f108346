//! The control plane inside a gateway of your own: its own routes, its own authentication.
//!
//! The gateway knows its users by a header that its login would set, gives each company a tenant of its own,
//! and nests the whole native API behind that. No API key of Prism is involved.
//!
//! ```text
//! cargo run --bin gateway
//! curl -H 'x-company: acme' http://127.0.0.1:8090/agents/v1/deployments
//! ```

use std::{collections::HashMap, error::Error, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use prism_server_core::{
    ControlPlane, Settings, TrustedPrincipal,
    adapters::secret_box::{MasterKey, SealedBox},
    domain::tenant::{Principal, Scopes},
};
use prism_types::TenantId;
use tokio::net::TcpListener;

/// The companies that this gateway serves, and the tenant of each.
type Companies = Arc<HashMap<String, TenantId>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:8090").await?;
    let mut settings = Settings::default();
    settings.public_url = Some("http://127.0.0.1:8090/agents".to_owned());
    let plane = ControlPlane::builder(SealedBox::new(MasterKey::generate()?))
        .authenticator(TrustedPrincipal::default())
        .settings(settings)
        .build()
        .await?;

    let mut companies = HashMap::new();
    for company in ["acme", "globex"] {
        companies.insert(company.to_owned(), plane.admin().create_tenant(company).await?.id);
    }
    let agents = plane.router().layer(middleware::from_fn_with_state(Companies::new(companies), log_in));
    let gateway =
        Router::new().route("/", get(|| async { "The gateway of a company.\n" })).nest("/agents", agents);

    let engine = tokio::spawn(plane.run());
    println!("gateway on http://{}", listener.local_addr()?);
    axum::serve(listener, gateway).with_graceful_shutdown(interrupted(plane)).await?;
    engine.await?;
    Ok(())
}

/// The gateway's own authentication: the principal that it leaves is the one the control plane believes.
async fn log_in(State(companies): State<Companies>, mut request: Request, next: Next) -> Response {
    let company = request.headers().get("x-company").and_then(|company| company.to_str().ok());
    let Some((company, tenant_id)) = company.and_then(|company| companies.get_key_value(company)) else {
        return (StatusCode::UNAUTHORIZED, "Log in first.\n").into_response();
    };
    let principal =
        Principal { tenant_id: tenant_id.clone(), scopes: Scopes::all(), caller: company.clone() };
    request.extensions_mut().insert(principal);
    next.run(request).await
}

/// Waits for Ctrl-C, then ends streams and runs.
async fn interrupted(plane: ControlPlane) {
    // Without a handler for the signal the process just ends at it, which is as good.
    let _ = tokio::signal::ctrl_c().await;
    plane.shutdown();
}
