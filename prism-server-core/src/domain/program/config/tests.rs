use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::limits;

/// A config with these fields instead of those of a small one.
fn with(changes: Value) -> Value {
    let mut config =
        json!({"name": "demo", "mode": "service", "entrypoint": "python app.py", "service": {"port": 8000}});
    for (name, value) in changes.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

fn problems(changes: Value) -> Vec<String> {
    let problems = ProgramConfig::parse(&with(changes)).err().unwrap_or_default();
    problems.into_iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect()
}

fn parse(changes: Value) -> ProgramConfig {
    ProgramConfig::parse(&with(changes)).unwrap()
}

/// What the stock client sends for a file that has nothing but what it must have.
#[test]
fn the_least_that_the_stock_client_sends_is_taken() {
    let config = ProgramConfig::parse(&json!({
        "name": "demo", "mode": "job", "template": "base", "workdir": "/workspace/project", "install": null,
        "entrypoint": "python main.py", "env": {"required": [], "optional": []}, "resources": {}, "permissions": {},
        "service": {}, "debug": {}, "outputs": {"paths": []},
    }))
    .unwrap();
    assert_eq!(
        config,
        ProgramConfig::parse(&json!({"name": "demo", "entrypoint": "python main.py"})).unwrap()
    );
    assert_eq!((config.mode, config.template.as_str(), config.service.as_ref()), (Mode::Job, "base", None));
    assert_eq!(config.permissions, Permissions::default());
    assert!(config.permissions.allow_public_traffic && !config.permissions.public_url);
    assert!(!config.retain_on_failure());
    assert_eq!(config.retention(), Duration::from_secs(3600));
}

#[test]
fn everything_that_can_be_said_is_kept() {
    let config = parse(json!({
        "template": "python-3.12", "workdir": "/workspace", "install": "pip install .",
        "env": {"required": ["API_KEY"], "optional": ["NULLSPACE_API_KEY", "_x1"]},
        "resources": {"vcpus": 2, "memory_mb": 512, "disk_mb": 1024, "timeout_seconds": 60},
        "permissions": {
            "internet_access": true, "public_url": true, "allow_public_traffic": false, "allow_out": [],
            "deny_out": null, "retain_on_failure": true, "desktop": false, "pty": null,
            "max_vcpus": 2, "max_memory_mb": 512, "max_disk_mb": 2048, "max_timeout_seconds": 60,
        },
        "service": {"port": 8000, "readiness": {
            "kind": "http", "path": "/health?x=1", "timeout_seconds": 5, "interval_seconds": 2, "initial_delay_seconds": 0,
            "failure_threshold": 4, "scheme": "http", "nothing": null,
        }},
        "debug": {"retain_on_failure": false, "retain_seconds": 120},
        "outputs": {"paths": ["out/", "/workspace/report.pdf"]},
    }));
    assert_eq!(config.workdir.in_workspace(), "");
    assert_eq!(config.env.optional, ["NULLSPACE_API_KEY", "_x1"]);
    assert!(!config.retain_on_failure(), "`debug` says otherwise than `permissions`");
    assert_eq!(config.retention(), Duration::from_secs(120));
    let readiness = config.service.as_ref().unwrap().readiness();
    assert_eq!((readiness.kind, readiness.path()), (ReadinessKind::Http, "/health?x=1"));
    assert_eq!((readiness.timeout(), readiness.interval()), (Duration::from_secs(5), Duration::from_secs(2)));
    assert_eq!((readiness.initial_delay(), readiness.failures()), (Duration::ZERO, 4));
    assert_eq!(Value::from(readiness.further.clone()), json!({"scheme": "http"}));

    let stored = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<ProgramConfig>(&stored).unwrap(), config);
    assert_eq!(
        ProgramConfig::parse(&serde_json::from_str(&stored).unwrap()).unwrap(),
        config,
        "it is its own wire form"
    );
}

#[test]
fn readiness_is_found_out_by_what_is_there() {
    let readiness = |readiness: Value| {
        parse(json!({"service": {"port": 1, "readiness": readiness}})).service.unwrap().readiness()
    };
    for (given, kind, seconds) in [
        (json!(null), ReadinessKind::Tcp, 60),
        (json!({}), ReadinessKind::Tcp, 60),
        (json!({"path": "/ready"}), ReadinessKind::Http, 60),
        (json!({"type": "http"}), ReadinessKind::Http, 60),
        (json!({"type": "timeout"}), ReadinessKind::Timeout, 10),
        (json!({"type": "tcp", "kind": "tcp", "timeout_seconds": 7}), ReadinessKind::Tcp, 7),
    ] {
        let readiness = readiness(given.clone());
        assert_eq!((readiness.kind, readiness.timeout()), (kind, Duration::from_secs(seconds)), "{given}");
        assert_eq!(readiness.interval(), Duration::from_secs(1));
        assert_eq!(readiness.failures(), 3);
    }
    assert_eq!(readiness(json!({"type": "http"})).path(), "/");
}

#[test]
fn every_mistake_is_told_at_once_with_its_path() {
    let found = problems(json!({
        "mode": "services", "template": "my template", "workdir": "/etc", "install": " ", "entrypoint": null, "entypoint": "x",
        "env": {"required": ["A=secret", "PATH"], "API_KEY": "secret"}, "resources": {"vcpus": 0, "gpus": 1},
        "permissions": {"public_url": "yes", "pty": true},
        "service": {"port": 65536, "readiness": {"type": "httpp", "path": "health"}},
        "debug": {"retain_seconds": 1.5}, "outputs": {"paths": ["../out", 1]}, "bundle": {},
    }));
    let expected = [
        "$.config.bundle is not part of a config here",
        "$.config.entypoint is not a known field; did you mean `entrypoint`?",
        "$.config.mode must be `job` or `service`; did you mean `service`?",
        "$.config.template must be the name of a template",
        "$.config.workdir must be an absolute path, `/workspace` or below it",
        "$.config.install must be a command",
        "$.config.entrypoint must be a string, but is null",
        "$.config.env.API_KEY is no list of names",
        "$.config.env.required[0] must be a name without a value",
        "$.config.env.required[1] must not be `PATH`",
        "$.config.resources.gpus is not a known field",
        "$.config.resources.vcpus must be a whole number from 1 to 256",
        "$.config.permissions.pty must be `false` or left out",
        "$.config.permissions.public_url must be true or false, but is a string",
        "$.config.service.port must be a whole number from 1 to 65535",
        "$.config.service.readiness.type must be `http`, `tcp` or `timeout`; did you mean `http`?",
        "$.config.service.readiness.path must begin with `/`",
        "$.config.debug.retain_seconds must be a whole number",
        "$.config.outputs.paths[0] must be a path relative to the workdir",
        "$.config.outputs.paths[1] must be a string",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} is not {expected}");
    }
    assert!(!found.concat().contains("secret"), "what may be a value is not told");
}

#[test]
fn what_must_be_there_is_asked_for() {
    let found = |config: Value| ProgramConfig::parse(&config).unwrap_err()[0].clone();
    assert_eq!(found(json!({})).path, "$.config.entrypoint");
    assert_eq!(found(json!({"mode": "service", "entrypoint": "x"})).path, "$.config.service");
    for service in [json!({}), json!({"port": null}), json!({"readiness": {}})] {
        let problem = found(json!({"mode": "service", "entrypoint": "x", "service": service}));
        assert_eq!(problem.path, "$.config.service.port");
        assert!(problem.message.starts_with("is required when `mode` is `service`"), "{}", problem.message);
    }
    for config in [json!(null), json!([]), json!("x")] {
        assert_eq!(found(config).path, "$.config");
    }
    assert_eq!(parse(json!({"mode": "job", "service": {"port": 80}})).service.unwrap().port, 80);
}

#[test]
fn reserved_modes_are_refused_by_name() {
    for mode in ["worker", "triggered", "workspace", "interactive"] {
        let found = problems(json!({"mode": mode}));
        assert!(found[0].contains(&format!("`{mode}` is a name that is reserved")), "{found:?}");
    }
    for mode in [json!("Job"), json!(""), json!(1)] {
        assert_eq!(problems(json!({"mode": mode})).len(), 1, "{mode}");
    }
}

#[test]
fn variables_are_names_that_are_the_programs_to_choose() {
    for name in ["A", "_", "a_1", "NULLSPACE_API_KEY", "PATHS", "HTTP_PROXY", "APRISM_X"] {
        assert_eq!(problems(json!({"env": {"required": [name]}})), [""; 0], "{name}");
    }
    for name in [
        "",
        " A",
        "1A",
        "A-B",
        "A B",
        "A=",
        "=",
        "é",
        "PRISM_",
        "PRISM_HOME",
        "PATH",
        "HOME",
        "PORT",
        "LANG",
        "TMPDIR",
    ] {
        for list in ["required", "optional"] {
            let found = problems(json!({"env": {list: [name]}}));
            assert!(
                found.len() == 1 && found[0].starts_with(&format!("$.config.env.{list}[0] must")),
                "{name}: {found:?}"
            );
        }
    }
}

#[test]
fn what_is_asked_for_is_within_what_is_allowed() {
    for (wanted, most) in [
        ("vcpus", "max_vcpus"),
        ("memory_mb", "max_memory_mb"),
        ("disk_mb", "max_disk_mb"),
        ("timeout_seconds", "max_timeout_seconds"),
    ] {
        let changes =
            |wanted_number: u32| json!({"resources": {wanted: wanted_number}, "permissions": {most: 4}});
        assert_eq!(problems(changes(4)), [""; 0]);
        let found = problems(changes(5));
        assert_eq!(
            found,
            [format!(
                "$.config.permissions.{most} must not be less than `resources.{wanted}`, which is 5: raise it, or ask for less"
            )]
        );
    }
}

#[test]
fn what_cannot_be_said_of_readiness_is_refused() {
    for readiness in [
        json!([]),
        json!({"type": "exec"}),
        json!({"type": "http", "kind": "tcp"}),
        json!({"path": "/a b"}),
        json!({"path": "/a#b"}),
        json!({"path": "/ü"}),
        json!({"path": "/\r\nHost: x"}),
        json!({"path": "http://x/"}),
        json!({"timeout_seconds": 0}),
        json!({"interval_seconds": 0}),
        json!({"initial_delay_seconds": -1}),
        json!({"failure_threshold": 0}),
    ] {
        let found = problems(json!({"service": {"port": 1, "readiness": readiness}}));
        assert!(
            found.len() == 1 && found[0].starts_with("$.config.service.readiness"),
            "{readiness}: {found:?}"
        );
    }
}

/// Changes that are at a limit, and the same with one more.
#[test]
fn limits_hold_at_the_limit_and_one_past_it() {
    let names = |count: usize| (0..count).map(|i| format!("A{i}")).collect::<Vec<_>>();
    let readiness = |name: &str, value: Value| json!({"service": {"port": 1, "readiness": {name: value}}});
    let text = |len: usize| "x".repeat(len);
    type Change = Box<dyn Fn(usize) -> Value>;
    let cases: Vec<(usize, Change)> = vec![
        (limits::PROGRAM_NAME, Box::new(move |n| json!({"name": "é".repeat(n)}))),
        (limits::TEMPLATE, Box::new(move |n| json!({"template": "é".repeat(n)}))),
        (limits::COMMAND, Box::new(move |n| json!({"entrypoint": text(n)}))),
        (limits::COMMAND, Box::new(move |n| json!({"install": text(n)}))),
        (limits::PROGRAM_VARIABLES, Box::new(move |n| json!({"env": {"required": names(n)}}))),
        (
            limits::PROGRAM_VARIABLES,
            Box::new(move |n| json!({"env": {"required": names(n - 1), "optional": ["B"]}})),
        ),
        (limits::PROGRAM_OUTPUTS, Box::new(move |n| json!({"outputs": {"paths": names(n)}}))),
        (limits::PROGRAM_CPUS as usize, Box::new(|n| json!({"resources": {"vcpus": n}}))),
        (limits::PROGRAM_MEMORY as usize, Box::new(|n| json!({"resources": {"memory_mb": n}}))),
        (limits::PROGRAM_DISK as usize, Box::new(|n| json!({"permissions": {"max_disk_mb": n}}))),
        (limits::PROGRAM_SECONDS as usize, Box::new(|n| json!({"resources": {"timeout_seconds": n}}))),
        (limits::PROGRAM_RETENTION as usize, Box::new(|n| json!({"debug": {"retain_seconds": n}}))),
        (usize::from(u16::MAX), Box::new(|n| json!({"service": {"port": n}}))),
        (limits::URL, Box::new(move |n| readiness("path", json!("/".repeat(n))))),
        (limits::READINESS_SECONDS as usize, Box::new(move |n| readiness("timeout_seconds", json!(n)))),
        (limits::READINESS_SECONDS as usize, Box::new(move |n| readiness("interval_seconds", json!(n)))),
        (limits::READINESS_SECONDS as usize, Box::new(move |n| readiness("initial_delay_seconds", json!(n)))),
        (limits::READINESS_FAILURES as usize, Box::new(move |n| readiness("failure_threshold", json!(n)))),
        (limits::READINESS_TEXT, Box::new(move |n| readiness("x", json!(text(n - r#"{"x":""}"#.len()))))),
        (
            limits::READINESS_FIELDS,
            Box::new(
                move |n| json!({"service": {"port": 1, "readiness": names(n).into_iter().map(|name| (name, json!(1))).collect::<Map<_, _>>()}}),
            ),
        ),
    ];
    for (index, (limit, change)) in cases.iter().enumerate() {
        assert_eq!(problems(change(*limit)), [""; 0], "case {index}");
        assert_eq!(problems(change(limit + 1)).len(), 1, "case {index}");
    }
    assert_eq!(problems(json!({"service": {"port": 0}})).len(), 1);
    assert_eq!(problems(json!({"name": ""})).len(), 1);
    assert_eq!(problems(json!({"permissions": {"deny_out": ["10.0.0.0/8"]}})).len(), 1, "nobody enforces it");
    assert_eq!(problems(json!({"entrypoint": "a\0"})).len(), 1);
}

/// Any JSON that is not too unlike a config.
fn any_config() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (1_u16..100).prop_map(Value::from),
        "(job|service|http|tcp|/workspace/a|[A-Z=/. ]{0,5})".prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "name",
        "mode",
        "template",
        "workdir",
        "install",
        "entrypoint",
        "env",
        "required",
        "optional",
        "resources",
        "vcpus",
        "permissions",
        "public_url",
        "allow_out",
        "max_vcpus",
        "service",
        "port",
        "readiness",
        "type",
        "path",
        "debug",
        "outputs",
        "paths",
        "x",
    ]);
    leaf.prop_recursive(4, 64, 8, move |inner| {
        let name = name.clone();
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.prop_map(str::to_owned), inner, 0..8)
                .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_taken_and_stored_as_it_is_or_refused_with_a_reason(config in any_config()) {
        match ProgramConfig::parse(&config) {
            Ok(parsed) => {
                let stored = serde_json::to_value(&parsed).unwrap();
                prop_assert_eq!(ProgramConfig::parse(&stored).unwrap(), parsed.clone());
                prop_assert_eq!(serde_json::from_value::<ProgramConfig>(stored).unwrap(), parsed);
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                prop_assert!(problems.iter().all(|problem| problem.path.starts_with("$.config")));
            }
        }
    }
}
