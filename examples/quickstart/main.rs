//! The main job in one program: deploy an agent, wait until it is ready, talk to it, follow what it does,
//! answer its question.
//!
//! ```text
//! cargo run --bin quickstart                       # the runtime `scripted`: no model, no sandbox
//! cargo run --bin quickstart -- --runtime hermes   # a real agent in a sandbox, still offline
//! ```
//!
//! Everything runs on this machine and is gone when it ends: a control plane on a free port of the loopback
//! interface with its records in a temporary directory, and a small file server that stands for the public
//! host of one of the agent's skills. The runtime `scripted` does what its prompt's script says and calls no
//! model; what `hermes` needs is in [`hermes`].

mod hermes;

use std::{error::Error, io::Write, path::Path, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use prism_client::Client;
use prism_server_core::{
    Builder, ControlPlane,
    adapters::{
        secret_box::{MasterKey, SealedBox},
        skill_fetcher::GuardedFetcher,
        store::SqliteStore,
    },
    domain::tenant::Scopes,
};
use prism_types::{CreateDeployment, EventPayload, Runtime, Sandbox, Secret};
use tokio::net::TcpListener;

/// The request body of the published API reference.
const ACME_AGENT: &str = include_str!("../acme-agent.json");

/// What the agent does in this demonstration.
const SCRIPT: &str = r##"

```script
say Here is a plan for "{{message}}".
tool generate_video {"prompt": "{{message}}", "seconds": 15} => {"url": "https://example.com/videos/1.mp4"}
write drafts/plan.md "# Plan\n{{message}}\n"
ask The video is ready. Shall I publish it to Meta Ads?
say You said "{{answer}}", so it is done.
```
"##;

const EFFECTS_SKILL: &str = "---\nname: social-media-visual-effects\n\
    description: Effects that work on small screens\n---\n# Effects\n";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let mut request: CreateDeployment = serde_json::from_str(ACME_AGENT)?;
    let mut builder = builder(directory.path()).await?;
    let mut real = None;
    match runtime()? {
        Runtime::Hermes => {
            let outside = hermes::Outside::start().await?;
            let (equipped, kind, sandboxes) = outside.equip(builder, directory.path()).await?;
            builder = equipped;
            request = request.sandbox(Sandbox::default().kind(kind));
            real = Some((outside, sandboxes));
        }
        runtime => {
            request.system_prompt += SCRIPT;
            request = request.runtime(runtime);
        }
    }
    let (plane, client) = serve_control_plane(builder).await?;
    let engine = tokio::spawn(plane.run());

    let created = client.deployments().create(request).await?;
    println!("created   {} for {}", created.deployment_id, created.customer_id);

    let deployment = client.deployment(&created.deployment_id);
    let ready = deployment.wait_until_ready().timeout(Duration::from_secs(120)).await?;
    println!("status    {} with model {}", ready.status, ready.model);

    let mut events = deployment.events().stream().open().await?;
    let sent = deployment.messages().send("a 15-second launch video").await?;
    println!("run       {} {}", sent.run_id, sent.status);

    while let Some(event) = events.next().await {
        match event?.payload {
            EventPayload::Token(token) => {
                print!("{}", token.delta);
                std::io::stdout().flush()?;
            }
            EventPayload::ToolCall(call) => println!("\ncall      {} {}", call.tool, call.arguments.get()),
            EventPayload::ToolResult(result) => println!("result    {} {}", result.tool, result.result.get()),
            EventPayload::Filesystem(file) => println!("file      {} {}", file.change, file.path),
            EventPayload::SteeringRequest(question) => {
                println!("question  {}", question.summary);
                deployment.messages().send("Yes").await?;
                println!("answer    Yes");
            }
            EventPayload::RunStatus(run) => {
                println!("\nstatus    {}", run.status);
                if run.status.is_terminal() {
                    break;
                }
            }
            _ => {}
        }
    }

    deployment.delete().await?;
    println!("deleted   {}", created.deployment_id);
    if let Some((_outside, sandboxes)) = real {
        hermes::gone(sandboxes.as_ref()).await?;
    }
    plane.shutdown();
    engine.await?;
    Ok(())
}

/// The runtime that the command line names.
fn runtime() -> Result<Runtime, Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["--runtime", "scripted"] => Ok(Runtime::Scripted),
        ["--runtime", "hermes"] => Ok(Runtime::Hermes),
        _ => Err("usage: quickstart [--runtime scripted|hermes]".into()),
    }
}

/// A control plane with its records in a directory, which fetches the skill of `example.com` from here.
async fn builder(directory: &Path) -> Result<Builder, Box<dyn Error>> {
    let skills =
        Router::new().route("/skills/social-media-visual-effects/SKILL.md", get(|| async { EFFECTS_SKILL }));
    let skill_host = serve(skills).await?;
    let fetcher = GuardedFetcher::builder().development_origin("https://example.com", &skill_host);
    let master_key = MasterKey::load_or_create(directory.join("master.key"))?;
    Ok(ControlPlane::builder(SealedBox::new(master_key))
        .store(Arc::new(SqliteStore::open(directory.join("prism.db"))?))
        .skill_fetcher(fetcher.build()?))
}

/// Serves a control plane on a free port, with a tenant, its API key and the secrets that the agent names.
async fn serve_control_plane(builder: Builder) -> Result<(ControlPlane, Client), Box<dyn Error>> {
    let plane = builder.build().await?;
    let tenant = plane.admin().create_tenant("quickstart").await?;
    let (_, key) = plane.admin().create_key(&tenant.id, "quickstart", Scopes::all(), None).await?;
    for reference in ["sec_meta_ads_token", "sec_google_drive_token"] {
        plane.admin().set_secret(&tenant.id, &reference.parse()?, &Secret::new("not-a-real-token")).await?;
    }
    let base_url = serve(plane.router()).await?;
    println!("serving   {base_url}");
    Ok((plane, Client::builder().base_url(base_url).api_key(key).build()?))
}

/// Serves a router on a free port of the loopback interface and answers its URL.
async fn serve(router: Router) -> Result<String, std::io::Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}
