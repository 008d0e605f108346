//! Reading a config, with every problem at once.

use std::ops::RangeInclusive;

use prism_types::Problem;
use serde_json::{Map, Value};

use super::{
    Debugging, EnvNames, Mode, OutputPaths, Permissions, ProgramConfig, Readiness, ReadinessKind, Resources,
    ServiceSpec,
};
use crate::domain::{
    checks,
    decode::{Node, Object, boolean, decode_field, nearest},
    limits,
    program::path::SandboxPath,
};

/// Modes that the vendor has names for and nothing else.
const RESERVED_MODES: [&str; 4] = ["worker", "triggered", "workspace", "interactive"];

/// Variables that sandboxes and services have by themselves, beside those that begin with `PRISM_`.
const OWN_VARIABLES: [&str; 5] = ["HOME", "LANG", "PATH", "PORT", "TMPDIR"];

pub(super) fn config(value: &Value) -> Result<ProgramConfig, Vec<Problem>> {
    decode_field("config", value, |node| {
        let fields = &[
            "name",
            "mode",
            "template",
            "workdir",
            "install",
            "entrypoint",
            "env",
            "resources",
            "permissions",
            "service",
            "debug",
            "outputs",
        ];
        let config = node.object_with(fields, |name| match name {
            "bundle" => "is not part of a config here: the manifest says what is in the bundle; leave it out"
                .to_owned(),
            name => format!("is not a known field{}", nearest(name, fields)),
        })?;
        let name = config.optional("name", |node| node.label(1..=limits::PROGRAM_NAME));
        let mode = if config.is_absent("mode") {
            Some(Mode::Job)
        } else {
            config.required("mode", |node| node.parse(mode))
        };
        let template = config.optional("template", |node| node.parse(template));
        let workdir = config.optional("workdir", |node| node.parse(|text| text.parse().map_err(text_of)));
        let install = config.optional("install", command);
        let entrypoint = config.required("entrypoint", command);
        let env = config.optional("env", env);
        let resources = config.optional("resources", resources).unwrap_or_default();
        let permissions =
            config.optional("permissions", |node| permissions(node, &resources)).unwrap_or_default();
        let service = service(&config, mode);
        let debug = config.optional("debug", debug);
        let outputs = config.optional("outputs", outputs);
        Some(ProgramConfig {
            name,
            mode: mode?,
            template: template.unwrap_or_else(super::base),
            workdir: workdir.unwrap_or_else(SandboxPath::project),
            install,
            entrypoint: entrypoint?,
            env: env.unwrap_or_default(),
            resources,
            permissions,
            service,
            debug: debug.unwrap_or_default(),
            outputs: outputs.unwrap_or_default(),
        })
    })
}

pub(super) fn mode(text: &str) -> Result<Mode, String> {
    Mode::parse(text).ok_or_else(|| {
        if RESERVED_MODES.contains(&text) {
            return format!("must be `job` or `service`: `{text}` is a name that is reserved, and nothing can run in that mode");
        }
        format!("must be `job` or `service`{}", nearest(text, &["job", "service"]))
    })
}

fn template(text: &str) -> Result<String, String> {
    let fits = (1..=limits::TEMPLATE).contains(&text.chars().count())
        && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "must be the name of a template: 1 to {} characters without spaces, such as `base`",
            limits::TEMPLATE
        ))
    }
}

fn command(node: Node<'_>) -> Option<String> {
    let text = node.text(1..=limits::COMMAND)?;
    if text.trim().is_empty() { node.refuse("must be a command, not only spaces") } else { Some(text) }
}

fn env(node: Node<'_>) -> Option<EnvNames> {
    let env = node.object_with(&["required", "optional"], |_| {
        "is no list of names: `env` has `required` and `optional` only; give values as `envs` of each run or service".to_owned()
    })?;
    let names = |name: &str| {
        env.optional(name, |node| node.list(limits::PROGRAM_VARIABLES, |node| node.parse(variable)))
    };
    let (required, optional) = (names("required").unwrap_or_default(), names("optional").unwrap_or_default());
    let all = required.len() + optional.len();
    if all > limits::PROGRAM_VARIABLES {
        return node.refuse(format!(
            "must have at most {} names in both lists, but has {all}",
            limits::PROGRAM_VARIABLES
        ));
    }
    Some(EnvNames { required, optional })
}

/// What stands there is not told: it may be a value that somebody put into the wrong place.
pub(super) fn variable(text: &str) -> Result<String, String> {
    if text.contains('=') {
        return Err("must be a name without a value: leave out `=` and what follows, and give the value as one of the `envs` \
                    of each run or service"
            .to_owned());
    }
    let name = checks::variable(text)?;
    if name.starts_with("PRISM_") {
        return Err(
            "must not begin with `PRISM_`: the sandbox sets such variables itself; choose another name"
                .to_owned(),
        );
    }
    if OWN_VARIABLES.contains(&text) {
        return Err(format!(
            "must not be `{name}`: the sandbox sets it itself; leave it out, or choose another name"
        ));
    }
    Ok(name)
}

fn resources(node: Node<'_>) -> Option<Resources> {
    let resources = node.object(&["vcpus", "memory_mb", "disk_mb", "timeout_seconds"])?;
    Some(Resources {
        vcpus: number(&resources, "vcpus", limits::PROGRAM_CPUS),
        memory_mb: number(&resources, "memory_mb", limits::PROGRAM_MEMORY),
        disk_mb: number(&resources, "disk_mb", limits::PROGRAM_DISK),
        timeout_seconds: number(&resources, "timeout_seconds", limits::PROGRAM_SECONDS),
    })
}

fn permissions(node: Node<'_>, resources: &Resources) -> Option<Permissions> {
    let given = node.object(&[
        "internet_access",
        "public_url",
        "allow_public_traffic",
        "allow_out",
        "deny_out",
        "retain_on_failure",
        "max_vcpus",
        "max_memory_mb",
        "max_disk_mb",
        "max_timeout_seconds",
        // Nobody gets these, which is what `false` says.
        "desktop",
        "volumes",
        "pty",
        "debug",
    ])?;
    for name in ["desktop", "volumes", "pty", "debug"] {
        given.optional(name, |node| match boolean(node)? {
            true => node.refuse::<()>("must be `false` or left out: this server does not offer it"),
            false => Some(()),
        });
    }
    let within = |name: &str, most: u32, wanted: Option<u32>, resource: &str| {
        given.optional(name, |node| {
            let most = node.whole(1..=most)?;
            match wanted {
                Some(wanted) if wanted > most => node.refuse(format!(
                    "must not be less than `resources.{resource}`, which is {wanted}: raise it, or ask for less"
                )),
                _ => Some(most),
            }
        })
    };
    let flag = |name: &str| given.optional(name, boolean);
    // Nobody is to rely on what nobody enforces.
    for name in ["allow_out", "deny_out"] {
        let hosts = given.optional(name, |node| node.list(usize::MAX, |node| node.any_string().map(drop)));
        if hosts.is_some_and(|hosts| !hosts.is_empty()) {
            given.refuse_field::<()>(
                name,
                "must be empty or left out: this server does not enforce it, and says so before anybody relies on it",
            );
        }
    }
    Some(Permissions {
        internet_access: flag("internet_access"),
        public_url: flag("public_url").unwrap_or(false),
        allow_public_traffic: flag("allow_public_traffic").unwrap_or(true),
        retain_on_failure: flag("retain_on_failure"),
        max_vcpus: within("max_vcpus", limits::PROGRAM_CPUS, resources.vcpus, "vcpus"),
        max_memory_mb: within("max_memory_mb", limits::PROGRAM_MEMORY, resources.memory_mb, "memory_mb"),
        max_disk_mb: within("max_disk_mb", limits::PROGRAM_DISK, resources.disk_mb, "disk_mb"),
        max_timeout_seconds: within(
            "max_timeout_seconds",
            limits::PROGRAM_SECONDS,
            resources.timeout_seconds,
            "timeout_seconds",
        ),
    })
}

fn service(config: &Object<'_>, mode: Option<Mode>) -> Option<ServiceSpec> {
    let needed = mode == Some(Mode::Service);
    if config.is_absent("service") {
        return if needed {
            config.refuse_field(
                "service",
                "is required when `mode` is `service`: say where it listens, as in `{\"port\": 8000}`",
            )
        } else {
            None
        };
    }
    config.required("service", |node| {
        let service = node.object(&["port", "readiness"])?;
        let port = if needed && service.is_absent("port") {
            service.refuse_field(
                "port",
                "is required when `mode` is `service`: a port from 1 to 65535 that the program listens on",
            )
        } else {
            service.optional("port", |node| node.whole(1..=u32::from(u16::MAX)))
        };
        let readiness = service.optional("readiness", readiness);
        Some(ServiceSpec { port: u16::try_from(port?).ok()?, readiness })
    })
}

fn readiness(node: Node<'_>) -> Option<Readiness> {
    let known = [
        "type",
        "kind",
        "path",
        "timeout_seconds",
        "interval_seconds",
        "initial_delay_seconds",
        "failure_threshold",
    ];
    let given = node.open_object()?;
    let kind = |name: &str| {
        let parse = |text: &str| {
            let words = ReadinessKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>();
            ReadinessKind::parse(text)
                .ok_or_else(|| format!("must be `http`, `tcp` or `timeout`{}", nearest(text, &words)))
        };
        given.optional(name, |node| node.parse(parse))
    };
    let (by_type, by_kind) = (kind("type"), kind("kind"));
    if by_type.is_some() && by_kind.is_some() && by_type != by_kind {
        given.refuse_field::<()>("kind", "must be as `type`, or left out: both names say what is looked at");
    }
    let path = given.optional("path", |node| node.parse(path));
    let default = if path.is_some() { ReadinessKind::Http } else { ReadinessKind::Tcp };
    let seconds = |name: &str, range: RangeInclusive<u32>| given.optional(name, |node| node.whole(range));
    let further: Map<String, Value> = given
        .others(&known)
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    if further.len() > limits::READINESS_FIELDS
        || Value::from(further.clone()).to_string().len() > limits::READINESS_TEXT
    {
        return node.refuse(format!(
            "must have at most {} fields beside {}, of at most {} bytes together",
            limits::READINESS_FIELDS,
            known.map(|name| format!("`{name}`")).join(", "),
            limits::READINESS_TEXT
        ));
    }
    Some(Readiness {
        kind: by_type.or(by_kind).unwrap_or(default),
        path,
        timeout_seconds: seconds("timeout_seconds", 1..=limits::READINESS_SECONDS),
        interval_seconds: seconds("interval_seconds", 1..=limits::READINESS_SECONDS),
        initial_delay_seconds: seconds("initial_delay_seconds", 0..=limits::READINESS_SECONDS),
        failure_threshold: seconds("failure_threshold", 1..=limits::READINESS_FAILURES),
        further,
    })
}

/// What can stand in the first line of a request as it is.
fn path(text: &str) -> Result<String, String> {
    let fits = text.starts_with('/')
        && text.len() <= limits::URL
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "must begin with `/`, and have at most {} printable ASCII characters without spaces and `#`, such as `/health`",
            limits::URL
        ))
    }
}

fn debug(node: Node<'_>) -> Option<Debugging> {
    let debug = node.object(&["retain_on_failure", "retain_seconds"])?;
    Some(Debugging {
        retain_on_failure: debug.optional("retain_on_failure", boolean),
        retain_seconds: number(&debug, "retain_seconds", limits::PROGRAM_RETENTION),
    })
}

fn outputs(node: Node<'_>) -> Option<OutputPaths> {
    let outputs = node.object(&["paths"])?;
    let paths = outputs.optional("paths", |node| {
        node.list(limits::PROGRAM_OUTPUTS, |node| node.parse(|text| text.parse().map_err(text_of)))
    });
    Some(OutputPaths { paths: paths.unwrap_or_default() })
}

fn number(object: &Object<'_>, name: &str, most: u32) -> Option<u32> {
    object.optional(name, |node| node.whole(1..=most))
}

fn text_of(error: impl ToString) -> String {
    error.to_string()
}
