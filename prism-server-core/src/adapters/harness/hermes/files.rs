//! The folder of an agent: what the gateway writes and the agent can only read.
//!
//! Only the gateway writes here, so it may trust what it finds. No credential is in it but the token that opens
//! the two sockets of this very agent.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use prism_types::InstanceId;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::tools;
use crate::{
    domain::{deployment::AgentSpec, limits, skill::SkillRecord},
    ports::AgentSetup,
};

const BRIDGE: &str = include_str!("bridge/bridge.py");
const AGENT: &str = include_str!("bridge/agent.py");
const MEMORIES: &str = include_str!("bridge/prism_memories.py");
const POLICY: &str = include_str!("bridge/policy.py");
/// How long an approval may wait, in seconds: longer than any run does.
const APPROVAL_SECONDS: u64 = 30 * 24 * 60 * 60;

/// The folder of one agent.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &Path, instance: &InstanceId) -> Self {
        Self { path: root.join(instance.as_str()) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder. Those above it are for the gateway alone.
    pub(super) fn create(&self) -> io::Result<()> {
        if let Some(root) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        }
        fs::create_dir_all(&self.path)?;
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o755))
    }

    /// The token of this agent, made when there is none: an agent that lives keeps the one it has.
    pub(super) fn token(&self) -> io::Result<String> {
        let path = self.path.join("token");
        match fs::read_to_string(&path) {
            Ok(token) if token.len() == 64 => Ok(token),
            _ => {
                let mut bits = [0_u8; 32];
                getrandom::fill(&mut bits).map_err(|error| io::Error::other(error.to_string()))?;
                let token = hex(&bits);
                self.write("token", token.as_bytes())?;
                Ok(token)
            }
        }
    }

    /// Writes everything but skills; returns the digest that tells whether the agent must be started again.
    pub(super) fn write_program(&self, setup: &AgentSetup, token: &str) -> io::Result<String> {
        let config = yaml(&config(&setup.spec, token));
        let environment =
            json!({ "HERMES_TUI_TOOLSETS": toolsets(&setup.spec).join(","), "PRISM_DOLLAR": "$" });
        let policy = tools::policy(&setup.spec).to_string();
        let watch = setup.spec.features.filesystem_webhooks;
        let mut digest = Sha256::new();
        let watched = if watch { "watch" } else { "" };
        for part in [BRIDGE, AGENT, MEMORIES, POLICY, &config, &policy, &environment.to_string(), watched] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        let digest = hex(&digest.finalize());
        let settings = json!({ "digest": digest, "environment": environment, "watch_files": watch });
        self.write("bridge.py", BRIDGE.as_bytes())?;
        self.write("agent.py", AGENT.as_bytes())?;
        self.write("prism_memories.py", MEMORIES.as_bytes())?;
        self.write("policy.py", POLICY.as_bytes())?;
        self.write("policy.json", policy.as_bytes())?;
        self.write("config.yaml", config.as_bytes())?;
        self.write("agent.json", settings.to_string().as_bytes())?;
        self.make_directory("skills")?;
        Ok(digest)
    }

    /// Writes these skills and removes all others; returns whether anything changed.
    pub(super) fn write_skills(&self, skills: &[SkillRecord]) -> io::Result<bool> {
        self.make_directory("skills")?;
        let mut changed = false;
        let mut names = Vec::new();
        for skill in skills {
            let Some(content) = &skill.content else { continue };
            let name = format!("skills/{}", skill.id);
            self.make_directory(&name)?;
            changed |= self.write(&format!("{name}/SKILL.md"), content.as_bytes())?;
            names.push(skill.id.as_str().to_owned());
        }
        for entry in fs::read_dir(self.path.join("skills"))? {
            let entry = entry?;
            if !names.iter().any(|name| entry.file_name() == name.as_str()) {
                fs::remove_dir_all(entry.path())?;
                changed = true;
            }
        }
        Ok(changed)
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn make_directory(&self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
    }

    /// Writes a file if it is another one; a reader sees the old one or the new one.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<bool> {
        let path = self.path.join(name);
        if fs::read(&path).is_ok_and(|old| old == content) {
            return Ok(false);
        }
        let fresh = path.with_extension("new");
        fs::write(&fresh, content)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o644))?;
        fs::rename(&fresh, &path)?;
        Ok(true)
    }
}

/// The toolsets of the agent; the name of an MCP server is one.
fn toolsets(spec: &AgentSpec) -> Vec<&str> {
    let mut names = vec!["terminal", "file", "skills", "todo", "session_search"];
    if spec.features.memory {
        names.push("memory");
    }
    if spec.features.steering {
        names.push("clarify");
    }
    names.extend(spec.mcp_servers.iter().map(|server| server.name.as_str()));
    names
}

/// The configuration of the agent. Where a default of Hermes is replaced, it asks a model behind
/// the user's back, calls out, gives up waiting for a human, or leaves the clock to the agent.
fn config(spec: &AgentSpec, token: &str) -> Value {
    let features = &spec.features;
    let mut servers = Map::new();
    for server in &spec.mcp_servers {
        let mut tools = json!({ "resources": false, "prompts": false });
        if let Some(include) = &server.tools {
            tools["include"] = json!(include);
        }
        let entry = json!({
            "url": format!("http://127.0.0.1:${{PRISM_PORT}}/mcp/{}", server.name),
            "headers": { "Authorization": format!("Bearer {token}") },
            "tools": tools,
        });
        servers.insert(server.name.clone(), entry);
    }
    json!({
        "_config_version": 33,
        "model": {
            "provider": "custom",
            "default": "agent",
            "base_url": "http://127.0.0.1:${PRISM_PORT}/model/v1",
            "api_key": token,
            "context_length": 128_000,
        },
        "agent": {
            "max_turns": 200,
            "system_prompt": escaped(&spec.system_prompt),
            "environment_probe": false,
            "disabled_toolsets": ["delegation", "vision", "image_gen", "browser", "web", "cronjob", "project"],
        },
        "terminal": { "backend": "local", "cwd": "${PRISM_WORKSPACE}", "timeout": 180 },
        "approvals": { "mode": "manual", "timeout": APPROVAL_SECONDS, "cron_mode": "deny" },
        "memory": {
            "memory_enabled": features.memory,
            "user_profile_enabled": features.memory,
            "write_approval": false,
            // Memories made over the API go to the notes, whatever their limit says to the agent.
            "memory_char_limit": limits::MEMORY_TEXT,
            "user_char_limit": limits::AGENT_MEMORY_TEXT - limits::MEMORY_TEXT,
            "nudge_interval": 0,
        },
        "skills": {
            "external_dirs": ["${PRISM_FILES}/skills"],
            "creation_nudge_interval": 0,
            "write_approval": false,
        },
        "mcp_servers": servers,
        "mcp_discovery_timeout": 15,
        "display": { "busy_input_mode": "queue", "tool_progress": "all" },
        "auxiliary": { "title_generation": { "enabled": false } },
        "curator": { "enabled": false },
        "kanban": { "dispatch_in_gateway": false },
        "model_catalog": { "enabled": false },
        "security": { "tirith_enabled": false, "allow_lazy_installs": false },
    })
}

/// JSON as YAML: that is the same, but for characters that YAML does not allow, or takes for the end of a line.
fn yaml(value: &Value) -> String {
    let mut text = String::new();
    for character in value.to_string().chars() {
        match character {
            // They can only be in strings, where they may be escaped.
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => text.push(character),
        }
    }
    text
}

/// Hermes replaces `${NAME}` in every value, once; a prompt is to reach the model as it is.
fn escaped(prompt: &str) -> String {
    prompt.replace("${", "${PRISM_DOLLAR}{")
}

fn hex(bits: &[u8]) -> String {
    bits.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_prompt_reaches_the_agent_as_it_is(prompt in any::<String>()) {
            let text = yaml(&json!({ "prompt": escaped(&prompt) }));
            let read: Value = serde_json::from_str(&text).unwrap();
            let read = read["prompt"].as_str().unwrap().replace("${PRISM_DOLLAR}", "$");
            prop_assert_eq!(read, prompt);
            // What YAML 1.2 calls printable, without what some readers take for the end of a line (section 5.1).
            let is_plain = |character: char| {
                matches!(character, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
                    && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}')
            };
            prop_assert!(text.chars().all(is_plain), "{text:?}");
        }
    }
}
