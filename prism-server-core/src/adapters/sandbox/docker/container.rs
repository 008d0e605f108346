//! The container of an instance: its names, its labels, and everything that the engine is told about it.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount, MountType,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use prism_types::InstanceId;

use super::DockerLimits;
use crate::ports::{Program, SandboxRequest};

/// The label with the identity of the gateway.
pub(super) const OWNER: &str = "prism.owner";
/// The label with the id of the instance.
pub(super) const INSTANCE: &str = "prism.instance";
const DEPLOYMENT: &str = "prism.deployment";
/// The label with the identity of the gateway on a container that is no agent's, so that nobody takes it for one.
pub(super) const KEEPER: &str = "prism.files";

/// How long the container lives that stands for a dead one: as long as any transfer may take.
const KEEPER_SECONDS: u64 = 60 * 60;
/// What it may take of the machine, in bytes.
const KEEPER_MEMORY: u64 = 256 << 20;

/// User and group of whatever runs in a container; the image has them.
pub(super) const USER: u64 = 10001;
/// Where the workspace is in a container.
pub(super) const WORKSPACE: &str = "/workspace";
const HOME: &str = "/home/agent";
/// Where the workspace is that is copied.
const SOURCE: &str = "/source";
const FILES: &str = "/prism";
/// In two parts, for no file of the project names this directory of the machine it is made on.
const TEMPORARY: &str = concat!("/", "tmp");

/// The name of the container.
pub(super) fn name(id: &InstanceId) -> String {
    format!("prism-{id}")
}

/// The name of the volume with the home.
pub(super) fn home_volume(id: &InstanceId) -> String {
    format!("prism-{id}-home")
}

/// The name of the volume with the workspace.
pub(super) fn workspace_volume(id: &InstanceId) -> String {
    format!("prism-{id}-workspace")
}

/// The name of the container that stands for one that is dead, for those who use the workspace.
pub(super) fn keeper(id: &InstanceId) -> String {
    format!("prism-{id}-files")
}

/// What the engine is told of that container. It has the workspace and nothing else, does nothing, and goes by itself.
pub(super) fn keeper_specification(owner: &str, image: &str, id: &InstanceId) -> ContainerCreateBody {
    let labels = [(KEEPER, owner), (INSTANCE, id.as_str())];
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec!["/bin/sleep".to_owned()]),
        cmd: Some(vec![KEEPER_SECONDS.to_string()]),
        user: Some(user()),
        working_dir: Some("/".to_owned()),
        network_disabled: Some(true),
        labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        host_config: Some(HostConfig {
            mounts: Some(vec![volume(workspace_volume(id), WORKSPACE)]),
            auto_remove: Some(true),
            memory: Some(signed(KEEPER_MEMORY)),
            memory_swap: Some(signed(KEEPER_MEMORY)),
            pids_limit: Some(64),
            ..confined()
        }),
        ..Default::default()
    }
}

/// The name of the container that copies a workspace into another.
pub(super) fn copier(to: &InstanceId) -> String {
    format!("prism-{to}-copy")
}

/// What the engine is told of that container: it has both workspaces and nothing else, and ends once it is done. It may
/// read what its owner may not, and keeps owners as they are.
pub(super) fn copier_specification(
    owner: &str,
    image: &str,
    from: &InstanceId,
    to: &InstanceId,
) -> ContainerCreateBody {
    let source = Mount { read_only: Some(true), ..volume(workspace_volume(from), SOURCE) };
    let rights = ["CHOWN", "DAC_OVERRIDE", "FOWNER"];
    ContainerCreateBody {
        entrypoint: Some(vec!["/bin/sh".to_owned(), "-c".to_owned()]),
        // On the disk before anything is removed because it was copied.
        cmd: Some(vec![format!("cp -a --sparse=auto -- {SOURCE}/. {WORKSPACE} && sync -f {WORKSPACE}")]),
        user: Some("0:0".to_owned()),
        host_config: Some(HostConfig {
            mounts: Some(vec![source, volume(workspace_volume(to), WORKSPACE)]),
            cap_add: Some(rights.map(str::to_owned).into()),
            auto_remove: None,
            memory: Some(signed(KEEPER_MEMORY)),
            memory_swap: Some(signed(KEEPER_MEMORY)),
            pids_limit: Some(64),
            ..confined()
        }),
        ..keeper_specification(owner, image, to)
    }
}

/// User and group, as the engine takes them.
pub(super) fn user() -> String {
    format!("{USER}:{USER}")
}

/// What a volume of no deployment is labelled with.
pub(super) fn volume_labels(owner: &str, id: &InstanceId) -> HashMap<String, String> {
    [(OWNER, owner), (INSTANCE, id.as_str())].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// What the container and its volumes are labelled with.
pub(super) fn labels(owner: &str, request: &SandboxRequest) -> HashMap<String, String> {
    [(OWNER, owner), (INSTANCE, request.instance_id.as_str()), (DEPLOYMENT, request.deployment_id.as_str())]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// What the engine is told.
pub(super) fn specification(
    owner: &str,
    image: &str,
    limits: &DockerLimits,
    request: &SandboxRequest,
) -> ContainerCreateBody {
    let program = request.program.as_ref();
    ContainerCreateBody {
        image: Some(image.to_owned()),
        // Without a program the container only has to live.
        entrypoint: program.is_none().then(|| vec!["/bin/sleep".to_owned()]),
        cmd: Some(vec![
            program.map_or("infinity".to_owned(), |program| format!("{FILES}/{}", program.script)),
        ]),
        env: Some(environment(program)),
        user: Some(user()),
        working_dir: Some(WORKSPACE.to_owned()),
        hostname: Some("sandbox".to_owned()),
        // The mode `none` isolates already. This spares the engine a network that has nothing in it, which is
        // half the time of a start; the loopback comes with the name space.
        network_disabled: Some(true),
        labels: Some(labels(owner, request)),
        host_config: Some(host_config(limits, request)),
        ..Default::default()
    }
}

fn environment(program: Option<&Program>) -> Vec<String> {
    let mut variables: BTreeMap<&str, &str> = BTreeMap::new();
    if let Some(program) = program {
        variables.extend(program.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        variables.insert("PRISM_FILES", FILES);
    }
    variables.extend([
        ("PRISM_WORKSPACE", WORKSPACE),
        ("PRISM_HOME", HOME),
        ("HOME", HOME),
        ("LANG", "C.UTF-8"),
    ]);
    variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn host_config(limits: &DockerLimits, request: &SandboxRequest) -> HostConfig {
    let id = &request.instance_id;
    let mut mounts = vec![volume(home_volume(id), HOME), volume(workspace_volume(id), WORKSPACE)];
    mounts.extend(request.program.as_ref().map(|program| files(&program.files)));
    let temporary = format!("rw,exec,nosuid,nodev,mode=1777,size={}", limits.temporary);
    HostConfig {
        mounts: Some(mounts),
        // Agents run scripts from there.
        tmpfs: Some([(TEMPORARY.to_owned(), temporary)].into()),
        memory: Some(signed(limits.memory)),
        memory_swap: Some(signed(limits.memory)),
        nano_cpus: Some((limits.cpus * 1e9) as i64),
        pids_limit: Some(i64::from(limits.processes)),
        ulimits: Some(vec![ulimit("nofile", limits.open_files), ulimit("core", 0)]),
        // The engine of the gateway makes it again, not Docker's.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        // Two files: right after one is full, the other still has the last that was written.
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some([("max-size", "1m"), ("max-file", "2")].map(|(k, v)| (k.into(), v.into())).into()),
        }),
        ..confined()
    }
}

/// What holds for every container.
fn confined() -> HostConfig {
    HostConfig {
        readonly_rootfs: Some(true),
        network_mode: Some("none".to_owned()),
        ipc_mode: Some("private".to_owned()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        ..Default::default()
    }
}

fn volume(name: String, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(name),
        target: Some(target.to_owned()),
        ..Default::default()
    }
}

/// The directory, not the sockets in it, so that those made later show up.
fn files(directory: &Path) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(directory.to_string_lossy().into_owned()),
        target: Some(FILES.to_owned()),
        read_only: Some(true),
        ..Default::default()
    }
}

fn ulimit(name: &str, most: u32) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(i64::from(most)), hard: Some(i64::from(most)) }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_types::Runtime;

    fn request() -> SandboxRequest {
        SandboxRequest::new("ins_a".parse().unwrap(), "dep_a".parse().unwrap(), true)
    }

    #[test]
    fn a_program_cannot_take_the_variables_of_the_sandbox() {
        let program = Program::new(Runtime::Hermes, "files".into(), "main.py")
            .variable("PRISM_HOME", "elsewhere")
            .variable("TOKEN", "a=b");
        let request = request().program(Some(program));
        let specification = specification("me", "image", &DockerLimits::default(), &request);
        assert_eq!(
            specification.env.unwrap(),
            [
                "HOME=/home/agent",
                "LANG=C.UTF-8",
                "PRISM_FILES=/prism",
                "PRISM_HOME=/home/agent",
                "PRISM_WORKSPACE=/workspace",
                "TOKEN=a=b"
            ]
        );
        assert_eq!(specification.cmd.unwrap(), ["/prism/main.py"]);
        assert_eq!(specification.entrypoint, None);
    }

    #[test]
    fn limits_beyond_what_the_engine_can_express_are_the_largest_it_can() {
        let limits = DockerLimits::default().memory(u64::MAX).cpus(f64::INFINITY);
        let host = host_config(&limits, &request());
        assert_eq!(
            (host.memory, host.memory_swap, host.nano_cpus),
            (Some(i64::MAX), Some(i64::MAX), Some(i64::MAX))
        );
    }
}
