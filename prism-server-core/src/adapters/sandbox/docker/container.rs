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

use super::super::bundle;
use super::DockerLimits;
use crate::ports::Command;
use crate::ports::{Program, SandboxRequest};
use prism_types::DeploymentId;

/// The label with the identity of the gateway.
pub(super) const OWNER: &str = "prism.owner";
/// The label with the id of the instance.
pub(super) const INSTANCE: &str = "prism.instance";
const DEPLOYMENT: &str = "prism.deployment";
/// The label with the token of the command.
pub(super) const TOKEN: &str = "prism.token";
/// The label with the identity of the gateway on a container that is no agent's, so that nobody takes it for one.
pub(super) const KEEPER: &str = "prism.files";

/// What the first shell of a command's container does before it becomes the command's.
const RUNNER: &str =
    r#"mkdir -p -- "$HOME" "$1" && cd -- "$1" && exec /bin/sh -c -- "trap 'exit 143' TERM; $2""#;
/// The least memory that the engine takes, in bytes, and the least processors.
const LEAST_MEMORY: u64 = 6 << 20;
const LEAST_CPUS: f64 = 0.01;

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
        host_config: Some(host_config(limits, mounts(request))),
        ..Default::default()
    }
}

/// What the engine is told of the container of a command: as that of a program, but the home is in the workspace.
pub(super) fn command_specification(
    owner: &str,
    image: &str,
    limits: &DockerLimits,
    network: Option<&str>,
    command: &Command,
) -> ContainerCreateBody {
    let id = &command.instance_id;
    let directory = command.directory.as_ref().map(|path| format!("{WORKSPACE}/{path}"));
    let mut labels = command_labels(owner, id, &command.deployment_id);
    labels.insert(TOKEN.to_owned(), command.token.clone());
    let mut limits = *limits;
    if let Some(memory) = command.memory {
        limits.memory = limits.memory.min(memory.max(LEAST_MEMORY));
    }
    if let Some(cpus) = command.cpus {
        limits.cpus = limits.cpus.min(cpus.max(LEAST_CPUS));
    }
    let network = network.filter(|_| command.network);
    let host = host_config(&limits, vec![volume(workspace_volume(id), WORKSPACE)]);
    ContainerCreateBody {
        image: Some(image.to_owned()),
        // All of the command gets its signals, and what it leaves is waited for.
        entrypoint: Some(
            ["/usr/bin/tini", "-g", "--", "/bin/sh", "-c", RUNNER, "sh"].map(str::to_owned).into(),
        ),
        cmd: Some(vec![directory.unwrap_or_else(|| WORKSPACE.to_owned()), command.line.clone()]),
        env: Some(command_environment(&command.environment)),
        user: Some(user()),
        working_dir: Some(WORKSPACE.to_owned()),
        hostname: Some("sandbox".to_owned()),
        network_disabled: Some(network.is_none()),
        labels: Some(labels),
        host_config: Some(HostConfig {
            network_mode: network.map(str::to_owned).or(host.network_mode),
            // The other driver keeps text alone, and replaces what is no UTF-8.
            log_config: Some(HostConfigLogConfig {
                typ: Some("local".to_owned()),
                config: Some(
                    [("max-size", "2m"), ("max-file", "2"), ("compress", "false")]
                        .map(|(k, v)| (k.into(), v.into()))
                        .into(),
                ),
            }),
            ..host
        }),
        ..Default::default()
    }
}

fn command_environment(wanted: &BTreeMap<String, String>) -> Vec<String> {
    let home = format!("{WORKSPACE}/{}", bundle::HOME);
    let own = [
        ("PRISM_WORKSPACE", WORKSPACE),
        ("HOME", &home),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("LANG", "C.UTF-8"),
        ("TMPDIR", TEMPORARY),
    ];
    let mut variables: BTreeMap<&str, &str> =
        wanted.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    variables.extend(own);
    variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// What the container of a command and its volume are labelled with.
pub(super) fn command_labels(
    owner: &str,
    id: &InstanceId,
    deployment: &DeploymentId,
) -> HashMap<String, String> {
    let mut labels = volume_labels(owner, id);
    labels.insert(DEPLOYMENT.to_owned(), deployment.as_str().to_owned());
    labels
}

/// What the engine is told of the container by which an archive is unpacked. It is never started.
pub(super) fn unpacker_specification(owner: &str, image: &str, id: &InstanceId) -> ContainerCreateBody {
    let keeper = keeper_specification(owner, image, id);
    let host_config = keeper.host_config.map(|host| HostConfig { auto_remove: None, ..host });
    ContainerCreateBody { host_config, ..keeper }
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

fn mounts(request: &SandboxRequest) -> Vec<Mount> {
    let id = &request.instance_id;
    let mut mounts = vec![volume(home_volume(id), HOME), volume(workspace_volume(id), WORKSPACE)];
    mounts.extend(request.program.as_ref().map(|program| files(&program.files)));
    mounts
}

fn host_config(limits: &DockerLimits, mounts: Vec<Mount>) -> HostConfig {
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
    fn a_command_gets_no_more_than_the_operator_gives() {
        let mut command = Command::new("ins_a".parse().unwrap(), "dep_a".parse().unwrap(), "t", "-x");
        for (name, value) in [("PATH", "elsewhere"), ("TOKEN", "a=b")] {
            command.environment.insert(name.to_owned(), value.to_owned());
        }
        let host = |command: &Command, network| {
            let limits = DockerLimits::default();
            command_specification("me", "image", &limits, network, command).host_config.unwrap()
        };
        let limits = |host: HostConfig| (host.memory, host.nano_cpus);
        assert_eq!(limits(host(&command, None)), (Some(1 << 30), Some(2_000_000_000)));
        (command.memory, command.cpus) = (Some(u64::MAX), Some(f64::INFINITY));
        assert_eq!(limits(host(&command, None)), (Some(1 << 30), Some(2_000_000_000)), "not more");
        (command.memory, command.cpus) = (Some(0), Some(-1.0));
        assert_eq!(limits(host(&command, None)), (Some(6 << 20), Some(10_000_000)), "not less than possible");
        command.cpus = Some(f64::NAN);
        assert_eq!(host(&command, None).nano_cpus, Some(10_000_000));
        let network = |command: &Command, named| host(command, named).network_mode;
        assert_eq!(network(&command, Some("out")).as_deref(), Some("none"), "not where nobody asks for it");
        command.network = true;
        assert_eq!(network(&command, None).as_deref(), Some("none"), "nor where the operator gives none");
        assert_eq!(network(&command, Some("out")).as_deref(), Some("out"));
        let specification = command_specification("me", "image", &DockerLimits::default(), None, &command);
        let environment = specification.env.unwrap();
        assert!(environment.contains(&"PATH=/usr/local/bin:/usr/bin:/bin".to_owned()), "{environment:?}");
        assert!(environment.contains(&"TOKEN=a=b".to_owned()));
        assert_eq!(specification.cmd.unwrap(), ["/workspace", "-x"]);
    }

    #[test]
    fn limits_beyond_what_the_engine_can_express_are_the_largest_it_can() {
        let limits = DockerLimits::default().memory(u64::MAX).cpus(f64::INFINITY);
        let host = host_config(&limits, mounts(&request()));
        assert_eq!(
            (host.memory, host.memory_swap, host.nano_cpus),
            (Some(i64::MAX), Some(i64::MAX), Some(i64::MAX))
        );
    }
}
