//! What the real agent of the quickstart runs with: a sandbox, and an outside without the internet.
//!
//! The agent is the Hermes agent, in a container where a Docker Engine with its image is reachable (`just image`),
//! and otherwise as a process, for which `prism runtime install hermes` installs it. The model does what a script
//! says, and the MCP server that the published request names is played by one on the loopback interface.

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use prism_server_core::{
    Builder, Provider,
    adapters::{
        egress::HttpEgress,
        harness::hermes::{self, HermesHarness},
        sandbox::{DockerSandbox, ProcessSandbox},
    },
    ports::Sandbox,
    testkit::{
        mcp::{McpForm, McpTool, ScriptedMcp},
        model::ScriptedModel,
    },
};
use prism_types::{Runtime, SandboxType};

/// Where `prism runtime install hermes` puts it, unless it is told another data directory.
const INSTALLED: &str = "prism-data/runtimes";
/// Names the agent's Python when it is elsewhere.
const PYTHON_VARIABLE: &str = "PRISM_HERMES_PYTHON";

/// What the model does: a plan in the workspace, a video by a tool of the MCP server, and a command that the agent
/// does not carry out without a human.
const MODEL: &str = r##"
when user contains "launch video"
  say Here is a plan.
  tool terminal {"command": "mkdir -p drafts && printf '# Plan\n{{message}}\n' > drafts/plan.md"}
  then
  tool mcp__prism_media__generate_video {"prompt": "{{message}}"}
  then
  say The drafts can go.
  tool terminal {"command": "rm -rf drafts"}
  then
  say The video is ready: https://example.com/videos/1.mp4

otherwise
  say Done.
"##;

/// The model and the tools. They end when this is dropped.
pub(crate) struct Outside {
    model: ScriptedModel,
    tools: ScriptedMcp,
}

impl Outside {
    /// Starts the model and the tools, and finds a sandbox.
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        let tools = ["search_models", "generate_image", "generate_video", "delete_account"];
        let tools = tools.map(|name| McpTool::text(name, r#"{"url": "https://example.com/videos/1.mp4"}"#));
        Ok(Self {
            model: ScriptedModel::start(MODEL).await?,
            tools: ScriptedMcp::start(McpForm::Json, tools).await?,
        })
    }

    /// Adds to a control plane what the agent needs, and answers the kind of its sandbox and the sandboxes.
    pub(crate) async fn equip(
        &self,
        builder: Builder,
        directory: &Path,
    ) -> Result<(Builder, SandboxType, Arc<dyn Sandbox>), Box<dyn Error>> {
        let tools = self.tools.url();
        let tools = tools.strip_suffix("/mcp").ok_or("the tools are not under /mcp")?;
        let egress =
            HttpEgress::builder().development_origin("https://api.prismvideos.com", tools).build()?;
        let builder = builder
            .provider("anthropic", Provider::new(&self.model.base_url(), None)?)
            .egress(egress)
            .harness(HermesHarness::new(directory.join("agents")));
        if let Some(docker) = docker(directory).await {
            println!("sandbox   docker");
            let docker = Arc::new(docker);
            return Ok((builder.shared_sandbox(docker.clone()), SandboxType::Docker, docker));
        }
        let process =
            ProcessSandbox::new(directory.join("processes")).interpreter(Runtime::Hermes, python()?);
        println!("sandbox   process");
        Ok((builder.sandbox(process.clone()), SandboxType::Process, Arc::new(process)))
    }
}

/// Waits until nothing of the agents is left.
pub(crate) async fn gone(sandboxes: &dyn Sandbox) -> Result<(), Box<dyn Error>> {
    let removed = async {
        while !sandboxes.list().await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(30), removed).await?
}

/// The sandboxes of an engine that has the agent's image.
async fn docker(directory: &Path) -> Option<DockerSandbox> {
    let docker = DockerSandbox::connect(directory.file_name()?.to_string_lossy()).ok()?;
    let check = docker.check().await.ok()?;
    check.images.iter().any(|image| image.runtime == Runtime::Hermes && image.present).then_some(docker)
}

fn python() -> Result<PathBuf, Box<dyn Error>> {
    let installed = || Path::new(INSTALLED).join(format!("hermes-{}", hermes::VERSION)).join("bin/python");
    let python = std::env::var_os(PYTHON_VARIABLE).map_or_else(installed, PathBuf::from);
    if python.exists() {
        return Ok(std::path::absolute(python)?);
    }
    Err("no Docker Engine has the agent's image, and the agent is not installed for processes: build the image with \
         `just image`, or run `cargo run --bin prism -- runtime install hermes`"
        .into())
}
