//! What a program finds around it.

use std::{io::Write, os::unix::net::UnixListener};

use super::*;

#[tokio::test]
async fn docker_programs_have_no_rights() {
    let status = Gateway::new()
        .result_of(
            "out = dict(line.rstrip().split(':\\t') for line in open('/proc/self/status') if ':\\t' in line)",
        )
        .await;
    for (name, value) in [
        ("Uid", "10001\t10001\t10001\t10001"),
        ("Gid", "10001\t10001\t10001\t10001"),
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        assert_eq!(status[name], value, "{name}");
    }
}

#[tokio::test]
async fn docker_programs_have_no_network() {
    let out = Gateway::new()
        .result_of(
            "import socket
out = {'interfaces': os.listdir('/sys/class/net')}
def attempt(name, call):
    try: call(); out[name] = 'works'
    except OSError as error: out[name] = error.strerror
attempt('connect', lambda: socket.create_connection(('192.0.2.1', 80), 5))
own = socket.create_server(('127.0.0.1', 0))
attempt('loopback', lambda: socket.create_connection(own.getsockname(), 5))
attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
",
        )
        .await;
    assert_eq!(out["interfaces"], serde_json::json!(["lo"]));
    assert_eq!(out["connect"], "Network is unreachable");
    assert_eq!(out["loopback"], "works");
    assert_eq!(out["raw"], "Operation not permitted");
}

#[tokio::test]
async fn docker_programs_write_only_to_places_of_their_own() {
    let out = Gateway::new()
        .result_of(
            "import tempfile
out, temporary = {}, tempfile.gettempdir()
for place in ['/', '/etc', '/usr/bin', '/opt/hermes', '/home', '/var/tmp', '/prism', '/dev', '/sys/fs/cgroup',
    '/proc/sys/kernel', '/workspace', '/home/agent', '/dev/shm', temporary]:
    try: open(place + '/new', 'w').close(); out[place] = 'written'
    except OSError as error: out[place] = error.strerror
script = temporary + '/script'
open(script, 'w').write('#!/bin/sh\\necho ran')
os.chmod(script, 0o700)
out['script'] = subprocess.run([script], capture_output=True, text=True).stdout
out['temporary'] = [out[temporary], os.statvfs(temporary).f_blocks * os.statvfs(temporary).f_frsize]
out['directory'] = os.getcwd()
",
        )
        .await;
    for place in ["/workspace", "/home/agent", "/dev/shm"] {
        assert_eq!(out[place], "written", "{place}");
    }
    for place in ["/", "/etc", "/usr/bin", "/opt/hermes", "/home", "/var/tmp", "/prism"] {
        assert_eq!(out[place], "Read-only file system", "{place}");
    }
    // The directory of the cgroups is of a kind that depends on their version.
    for place in ["/dev", "/sys/fs/cgroup", "/proc/sys/kernel"] {
        assert_ne!(out[place], "written", "{place}");
    }
    assert_eq!(out["script"], "ran\n");
    assert_eq!(out["temporary"], serde_json::json!(["written", 256 << 20]));
    assert_eq!(out["directory"], "/workspace");
}

#[tokio::test]
async fn docker_programs_have_their_environment_and_no_other() {
    let gateway = Gateway::new();
    let save = "json.dump(dict(os.environ), open('.out', 'w')); os.rename('.out', 'out')";
    let program = gateway.program(save).variable("TOKEN", "a b=c\nd").variable("EMPTY", "");
    let instance = gateway.run(&request(program)).await;
    let environment: serde_json::Value = serde_json::from_slice(&file(&instance, "out").await).unwrap();
    let expected = serde_json::json!({
        "EMPTY": "",
        "HOME": "/home/agent",
        "HOSTNAME": "sandbox",
        "LANG": "C.UTF-8",
        "PATH": "/opt/hermes/bin:/usr/local/bin:/usr/bin:/bin",
        "PRISM_FILES": "/prism",
        "PRISM_HOME": "/home/agent",
        "PRISM_WORKSPACE": "/workspace",
        "TOKEN": "a b=c\nd",
    });
    assert_eq!(environment, expected);
}

#[tokio::test]
async fn docker_programs_see_sockets_that_are_made_later() {
    let gateway = Gateway::new();
    let program = gateway.program(
        "import socket
open('/workspace/started', 'w').close()
peer = socket.socket(socket.AF_UNIX)
while True:
    try: peer.connect('/prism/later.sock'); break
    except FileNotFoundError: time.sleep(0.05)
open('/workspace/.out', 'wb').write(peer.recv(100))
os.rename('/workspace/.out', '/workspace/out')",
    );
    let instance = gateway.run(&request(program)).await;
    file(&instance, "started").await;
    let hidden = gateway.files.path().join("hidden.sock");
    let listener = UnixListener::bind(&hidden).unwrap();
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o666)).unwrap();
    fs::rename(&hidden, gateway.files.path().join("later.sock")).unwrap();
    let answer = thread::spawn(move || listener.accept().unwrap().0.write_all(b"hello"));
    assert_eq!(file(&instance, "out").await, b"hello");
    answer.join().unwrap().unwrap();
}
