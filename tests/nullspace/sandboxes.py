"""Sandboxes, snapshots and forks, by every method of the client that this server can carry out."""

import asyncio
import io
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request

from nullspace import AsyncSandbox, Sandbox, SandboxError, SandboxQuery, SandboxStatus, Snapshot
from nullspace.errors import NotFoundError

SECRET = secrets.token_hex(16)
print("secret", SECRET)


def refused(call, *codes):
    try:
        call()
    except SandboxError as error:
        assert error.code in codes, (error.code, str(error))
        assert SECRET not in str(error)
        return error
    raise AssertionError(f"not refused with {codes}")


def get(url, headers=None):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {})) as answer:
        return answer.read()


def life():
    with Sandbox.create(cwd="/workspace/here", envs={"TOKEN": SECRET}, metadata={"a": 1}, timeout=600) as sandbox:
        assert sandbox.id.startswith("sb_") and sandbox.cwd == "/workspace/here"
        # What is asked of one that is being made waits.
        told = sandbox.commands.run("sh", ["-c", 'printf %s "$TOKEN" | wc -c; pwd'])
        assert (told.exit_code, told.stderr) == (0, ""), told
        size, place = told.stdout.splitlines()
        assert size.strip() == str(len(SECRET)) and place.endswith("/here"), told
        info = sandbox.get_info()
        assert info.status == SandboxStatus.RUNNING and info.metadata == {"a": 1} and sandbox.is_running()
        assert sandbox.get_info(fields=["id"])["id"] == sandbox.id
        assert info.timeout_ms == 600_000 and info.expires_at is not None and info.template == "base"
        sandbox.set_timeout(1200)
        assert sandbox.get_info().timeout_ms == 1_200_000
        again = Sandbox.connect(sandbox.id, timeout=900)
        assert again.commands.run("true").exit_code == 0
        again.close()
        listed = [item.id for item in Sandbox.list()]
        assert sandbox.id in listed
        assert [item.id for item in Sandbox.list(query=SandboxQuery(metadata={"a": 1}), limit=1)] == [sandbox.id]
        assert [item.id for item in Sandbox.list(query=SandboxQuery(metadata={"a": 2}))] == []
        assert [item.id for item in Sandbox.list(state="paused")] == []
        assert Sandbox.get_info_by_id(sandbox.id).id == sandbox.id
        for wrong in (lambda: sandbox.hibernate(), lambda: sandbox.pause(), lambda: Sandbox.resume(sandbox.id)):
            refused(wrong, "feature_unavailable")
        refused(lambda: Sandbox.create(timeout_action="hibernate"), "invalid_request")
    refused(lambda: Sandbox.get_info_by_id(sandbox.id), "sandbox_not_found")
    refused(lambda: Sandbox.kill_by_id(sandbox.id), "sandbox_not_found")
    key = secrets.token_hex(8)
    first, second = (Sandbox.create(idempotency_key=key) for _ in range(2))
    assert first.id == second.id
    first.kill()
    assert Sandbox.run_once("echo", ["once"]).stdout == "once\n"


def commands(sandbox):
    run = sandbox.commands.run
    assert run("sh -c 'exit 3'", shell=True).exit_code == 3
    told = run('echo "$0 $1"; echo error >&2; exit 7', ["a b"], shell=True)
    assert (told.exit_code, told.stdout, told.stderr) == (7, "sh a b\n", "error\n"), told
    assert run("printenv", ["KEY"], envs={"KEY": "a=b\n"}).stdout == "a=b\n\n"
    assert run("no-such-program").exit_code == 127
    assert len(run("head -c 3000000 /dev/zero | tr '\\0' x", shell=True).stdout) == 3_000_000
    refused(lambda: run("sleep", ["100"], timeout=1), "exec_timeout")
    refused(lambda: run("head -c 9000000 /dev/zero", shell=True), "invalid_request")
    refused(lambda: run("true", cwd="/etc"), "invalid_request")
    background = run("echo begun; sleep 1000", shell=True, background=True)
    ended = run("echo out; echo error >&2; exit 5", shell=True, background=True)
    wait(lambda: sandbox.commands.get_logs(ended.pid).exit_code == 5)
    logs = sandbox.commands.get_logs(ended.pid)
    assert (logs.stdout, logs.stderr, logs.output) == ("out\n", "error\n", "out\nerror\n"), logs
    wait(lambda: sandbox.commands.get_logs(background.pid).stdout == "begun\n")
    running = {process.pid: process.running for process in sandbox.commands.list()}
    assert running == {background.pid: True, ended.pid: False}, running
    sandbox.commands.kill(background.pid)
    wait(lambda: not any(process.running for process in sandbox.commands.list()))
    assert sandbox.commands.get_logs(background.pid).exit_code == 137
    wait(lambda: run("kill -0 $1 2>/dev/null", [str(background.pid)], shell=True).exit_code != 0)
    refused(lambda: sandbox.commands.kill(999_999), "not_found")
    refused(lambda: sandbox.commands.send_stdin(ended.pid, "x"), "agent_deployment_invalid_state")


def wait(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.05)


def files(sandbox):
    files = sandbox.files
    written = files.write("/workspace/d/text", "ünï\n")
    assert (written.name, written.path, written.size, written.is_dir) == ("text", "/workspace/d/text", 6, False)
    assert files.read("/workspace/d/text") == "ünï\n"
    files.write("/workspace/d/bytes", bytes(range(256)))
    assert files.read("/workspace/d/bytes", format="bytes") == bytes(range(256))
    refused(lambda: files.read("/workspace/d/bytes"), "invalid_request")
    large = secrets.token_bytes(5_000_000)
    assert files.write("/workspace/large", io.BytesIO(large)).size == len(large)
    assert b"".join(files.read("/workspace/large", format="stream")) == large
    files.make_dir("/workspace/d/e/f")
    names = [(entry.path, entry.is_dir) for entry in files.list("/workspace/d")]
    assert names == [("/workspace/d/bytes", False), ("/workspace/d/e", True), ("/workspace/d/text", False)], names
    assert "/workspace/d/e/f" in [entry.path for entry in files.list("/workspace", depth=3)]
    moved = files.rename("/workspace/d/text", "/workspace/d/moved")
    assert moved.path == "/workspace/d/moved" and files.exists(moved.path) and not files.exists("/workspace/d/text")
    assert files.info("/workspace/d/e").is_dir and files.get_info(moved.path).modified_time is not None
    files.set_permissions(moved.path, "700")
    assert sandbox.commands.run("stat", ["-c", "%a", "d/moved"]).stdout == "700\n"
    assert sandbox.commands.run("cat", ["d/moved"]).stdout == "ünï\n"
    files.remove("/workspace/d")
    assert not files.exists("/workspace/d")
    refused(lambda: files.remove("/workspace/d"), "not_found")
    refused(lambda: files.read("/workspace/d"), "not_found")
    for path in ("/etc/passwd", "/workspace/../etc/passwd", "/workspace"):
        refused(lambda: files.read(path), "invalid_request")
    sandbox.commands.run("ln", ["-s", "/etc", "link"])
    refused(lambda: files.read("/workspace/link/passwd"), "invalid_request")
    refused(lambda: files.list("/"), "invalid_request")
    refused(lambda: files.make_dir("/workspace/link/d"), "invalid_request")
    refused(lambda: files.rename("/workspace/large", "/workspace/link/large"), "invalid_request")
    refused(lambda: files.set_permissions("/workspace/link", "777"), "invalid_request")
    refused(lambda: sandbox.commands.kill(1), "not_found")


def ports(sandbox, port):
    not_yet = sandbox.wait_for_preview(port, timeout_secs=1, interval_ms=100)
    assert not not_yet.ready and not_yet.attempts > 1 and not_yet.error, not_yet
    server = sandbox.commands.run("python3", ["-m", "http.server", str(port)], background=True, cwd="/workspace/www")
    ready = sandbox.wait_for_preview(port, kind="http", path="/page", timeout_secs=30)
    assert ready.ready and ready.service_ready, (ready, sandbox.commands.get_logs(server.pid))
    assert get(sandbox.get_host_info(port).url + "&x=1").startswith(b"<!DOCTYPE")
    for url in (sandbox.get_url(port), sandbox.get_preview_url(port).url):
        assert b"page" in get(url)
    signed = sandbox.create_signed_preview_url(port, expires_in_seconds=86_400)
    assert signed.grant.port == port and signed.websocket_url.startswith("ws://")
    page = signed.url.replace("/?", "/page?")
    assert get(page) == b"hello"
    host = sandbox.get_host(port)
    for wrong in (f"http://{host}/page", signed.url.replace(f"{port}-s", f"{port + 1}-s")):
        try:
            get(wrong)
        except urllib.error.HTTPError as error:
            assert error.code in (401, 403), error
        else:
            raise AssertionError("let in")
    return page


def private(port):
    with Sandbox.create(network={"allow_public_traffic": False}) as sandbox:
        token = sandbox.traffic_access_token
        assert token
        sandbox.files.write("/workspace/page", "hello")
        sandbox.commands.run("python3", ["-m", "http.server", str(port)], background=True)
        assert sandbox.wait_for_preview(port).ready
        url = sandbox.get_url(port).replace("/?", "/page?")
        assert get(url, {"x-nullspace-traffic-access-token": token}) == b"hello"
        try:
            get(url)
        except urllib.error.HTTPError as error:
            assert (error.code, json.load(error)["code"]) == (403, "traffic_access_token_invalid")
        else:
            raise AssertionError("let in")


def copies(sandbox):
    sandbox.files.write("/workspace/kept", "first")
    snapshot = sandbox.create_snapshot(idempotency_key="snapshot-once")
    assert sandbox.create_snapshot(idempotency_key="snapshot-once").id == snapshot.id
    assert snapshot.sandbox_id == sandbox.id and snapshot.size_bytes > 5
    sandbox.files.write("/workspace/kept", "second")
    fork = sandbox.fork()
    assert fork.id != sandbox.id and fork.files.read("/workspace/kept") == "second"
    assert fork.commands.run("printenv", ["TOKEN"]).exit_code == 0, "a fork has the environment"
    fork.files.write("/workspace/kept", "third")
    assert sandbox.files.read("/workspace/kept") == "second"
    fork.kill()
    assert [found.id for found in Snapshot.list(sandbox_id=sandbox.id)] == [snapshot.id]
    assert [found.id for found in Snapshot.list()] == [snapshot.id]
    assert Snapshot.get(snapshot.id).size_bytes == snapshot.size_bytes
    for _ in range(2):
        with Sandbox.create(snapshot_id=snapshot.id) as other:
            assert other.files.read("/workspace/kept") == "first"
            assert other.get_info().snapshot_id == snapshot.id
            assert other.commands.run("printenv", ["TOKEN"]).exit_code == 1, "a snapshot has no environment"
    Snapshot.delete(snapshot.id)
    refused(lambda: Snapshot.get(snapshot.id), "snapshot_not_found")
    refused(lambda: Sandbox.create(snapshot_id=snapshot.id), "snapshot_not_found")


def ends(port):
    sandbox = Sandbox.create(timeout=1)
    deadline = time.monotonic() + 60
    while True:
        try:
            sandbox.get_info()
        except NotFoundError:
            break
        assert time.monotonic() < deadline, "it outlives its time"
        time.sleep(0.1)


async def asynchronously():
    sandbox = await AsyncSandbox.create()
    try:
        told = await asyncio.gather(*(sandbox.commands.run("echo", [str(index)]) for index in range(8)))
        assert [result.stdout for result in told] == [f"{index}\n" for index in range(8)]
        await sandbox.files.write("/workspace/a", "a")
        assert await sandbox.files.read("/workspace/a") == "a"
        fork = await sandbox.fork()
        assert await fork.files.read("/workspace/a") == "a"
        await fork.kill()
    finally:
        await sandbox.kill()


def main():
    port = int(os.environ.get("PORT_TO_USE", "18473"))
    life()
    with Sandbox.create(envs={"TOKEN": SECRET}, timeout=900) as sandbox:
        commands(sandbox)
        files(sandbox)
        sandbox.files.write("/workspace/www/page", "hello")
        page = ports(sandbox, port)
        copies(sandbox)
        assert get(page) == b"hello", "what runs goes on while it is copied"
    private(port + 1)
    ends(port)
    asyncio.run(asynchronously())


if __name__ == "__main__":
    sys.exit(main())
