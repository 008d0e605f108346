"""Programs that are watched while they run, and what they are given to read."""

import asyncio
import secrets
import threading
import time

from nullspace import AsyncSandbox, Sandbox, SandboxError

SECRET = secrets.token_hex(16)
print("secret", SECRET)
PATIENCE = 60


def refused(call, *codes):
    try:
        call()
    except SandboxError as error:
        assert error.code in codes, (error.code, str(error))
        assert SECRET not in str(error)
        return
    raise AssertionError(f"not refused with {codes}")


def failed(call, *words):
    try:
        call()
    except RuntimeError as error:
        assert all(word in str(error) for word in words), str(error)
        return
    raise AssertionError(f"did not fail with {words}")


def wait(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.05)


def output(sandbox):
    run = sandbox.commands.run
    out, errors = [], []

    def told(text):
        out.append(text)
        # The program waits for this: so its output came before its end.
        if "begun" in text:
            sandbox.files.write("/workspace/go", "")

    line = 'echo "begun $1"; echo error >&2; until [ -e go ]; do sleep 0.01; done; printf %s "$TOKEN" | wc -c; exit 3'
    result = run(line, ["ünï"], shell=True, envs={"TOKEN": SECRET}, on_stdout=told, on_stderr=errors.append, timeout=60)
    assert (result.exit_code, result.stderr, "".join(errors)) == (3, "error\n", "error\n"), result
    assert result.stdout == "".join(out) and result.stdout.split() == ["begun", "ünï", "32"], result
    assert sandbox.commands.run_streaming("pwd", cwd="/workspace").stdout.endswith("\n")
    many = run("i=0; while [ $i -lt 20000 ]; do echo ü$i; i=$((i+1)); done", shell=True, on_stdout=lambda _: None)
    assert many.stdout == "".join(f"ü{i}\n" for i in range(20000))
    assert run("no-such-program", on_stdout=out.append).exit_code == 127
    assert run("sleep 1000 & exit 5", shell=True, on_stdout=out.append).exit_code == 5
    failed(lambda: run("sleep", ["1000"], timeout=1, on_stdout=out.append), "1 s")
    failed(lambda: run("true", cwd="/etc", on_stdout=out.append), "cwd")
    failed(lambda: sandbox.commands.connect(999_999), "Process")


def background(sandbox):
    commands, out, begun = sandbox.commands, [], threading.Event()

    def told(text):
        out.append(text)
        begun.set()

    line = "echo begun; read -r line; echo \"<$line>\"; exit 4"
    program = commands.run(line, shell=True, background=True, on_stdout=told, timeout=60)
    assert begun.wait(PATIENCE)
    assert {process.pid: process.running for process in commands.list()}[program.pid]
    commands.send_stdin(program.pid, "ünï\n")
    result = program.wait(timeout=PATIENCE)
    assert (result.exit_code, result.stdout, "".join(out)) == (4, "begun\n<ünï>\n", "begun\n<ünï>\n"), result
    refused(lambda: commands.send_stdin(program.pid, "x"), "agent_deployment_invalid_state")
    refused(lambda: commands.send_stdin(999_999, "x"), "not_found")

    # Whoever goes away can come again, and another can come, too.
    program = commands.run(line, shell=True, background=True, on_stdout=lambda _: None, timeout=60)
    program.disconnect()
    again, silent = commands.connect(program.pid), commands.connect(program.pid)
    assert again.pid == program.pid
    silent.disconnect()
    commands.send_stdin(program.pid, "again\n")
    assert again.wait(timeout=PATIENCE).stdout == "begun\n<again>\n"
    assert program.wait(timeout=PATIENCE).stdout == "begun\n<again>\n"
    late = []
    ended = commands.connect(program.pid, on_stdout=late.append)
    assert ended.wait(timeout=PATIENCE).exit_code == 4 and "".join(late) == "begun\n<again>\n", late

    # So can whoever has only started it.
    program = commands.run(line, shell=True, background=True)
    watched = commands.connect(program.pid)
    commands.send_stdin(program.pid, "plain\n")
    assert watched.wait(timeout=PATIENCE).stdout == "begun\n<plain>\n"

    program = commands.run("echo begun; sleep 1000", shell=True, background=True, on_stdout=lambda _: None, timeout=600)
    program.kill()
    assert program.wait(timeout=PATIENCE).exit_code == 137
    wait(lambda: not any(process.running for process in commands.list()))


async def asynchronously():
    sandbox = await AsyncSandbox.create(timeout=600)
    try:
        out = []
        result = await sandbox.commands.run("echo a; echo b >&2; exit 6", shell=True, on_stdout=out.append)
        assert (result.exit_code, result.stdout, result.stderr, out) == (6, "a\n", "b\n", ["a\n"]), result
        line = "while read -r line; do echo \"<$line>\"; done"
        begun = asyncio.Event()
        program = await sandbox.commands.run(
            line, shell=True, background=True, timeout=60, on_stdout=lambda text: (out.append(text), begun.set())
        )
        await sandbox.commands.send_stdin(program.pid, "one\n")
        await asyncio.wait_for(begun.wait(), PATIENCE)
        assert out[-1] == "<one>\n", out
        watched = await sandbox.commands.connect(program.pid)
        await program.kill()
        for each in (program, watched):
            assert (await each.wait(timeout=PATIENCE)).exit_code == 137
            await each.disconnect()
    finally:
        await sandbox.kill()


with Sandbox.create(timeout=600) as sandbox:
    output(sandbox)
    background(sandbox)
    try:
        sandbox.pty.create_session()
    except Exception as error:
        assert getattr(error, "code", None) in ("not_implemented", "feature_unavailable"), error
    else:
        raise AssertionError("there are no terminals")
asyncio.run(asynchronously())
