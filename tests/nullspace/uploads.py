"""Uploads in parts, of directories and of several files, by every method of the client that sends any."""

import asyncio
import hashlib
import io
import os
import pathlib
import secrets
import tempfile

from nullspace import AsyncSandbox, Sandbox
from nullspace.client import NullspaceClient
from nullspace.errors import (
    BatchWriteError,
    FileUploadError,
    UploadChecksumError,
    UploadConflictError,
    UploadPathError,
    UploadStateError,
)
from nullspace.types import UploadConflictPolicy, UploadKind, UploadSourceKind, UploadTransport

SECRET = secrets.token_hex(16)
print("secret", SECRET)
PART = 8 * 1024 * 1024
LARGE = secrets.token_bytes(PART + 1_500_000)


def refused(call, kind, reason):
    try:
        call()
    except kind as error:
        assert error.reason is not None and error.reason.value == reason, (error.reason, str(error))
        assert SECRET not in str(error)
        return error
    raise AssertionError(f"not refused: {reason}")


def digest(sandbox, path):
    name = path.removeprefix("/workspace/")
    return sandbox.commands.run("sha256sum", [name]).stdout.split()[0]


def tree(root):
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "run.sh").write_text("#!/bin/sh\necho run\n")
    (root / "run.sh").chmod(0o755)
    (root / "sub" / "ünï cödé").write_text("text")
    (root / "sub" / ("n" * 120)).write_text("long")
    (root / "link").symlink_to("sub/ünï cödé")


def whole(sandbox):
    info = sandbox.files.write("/workspace/large", LARGE)
    assert info.size == len(LARGE) and digest(sandbox, info.path) == hashlib.sha256(LARGE).hexdigest()
    assert sandbox.files.read("/workspace/large", format="bytes") == LARGE
    assert sandbox.files.write("/workspace/stream", io.BytesIO(LARGE)).size == len(LARGE)


def files(sandbox, home):
    source = home / "large.bin"
    source.write_bytes(LARGE)
    seen = []
    done = sandbox.files.upload_file(source, "/workspace/up/", progress=seen.append)
    assert done.transport == UploadTransport.RESUMABLE and done.bytes_uploaded == len(LARGE)
    assert done.target_path == "/workspace/up/large.bin" and done.session.status.value == "completed"
    assert digest(sandbox, done.target_path) == hashlib.sha256(LARGE).hexdigest() and seen
    small = sandbox.files.upload_file(io.BytesIO(b"small"), "/workspace/small", checksum="sha256")
    assert (small.bytes_uploaded, sandbox.files.read("/workspace/small")) == (5, "small")
    assert sandbox.files.upload(io.BytesIO(b"direct"), "/workspace/direct").transport == UploadTransport.DIRECT
    empty = sandbox.files.upload_file(io.BytesIO(b""), "/workspace/nothing", resumable=True)
    assert empty.bytes_uploaded == 0 and sandbox.files.info("/workspace/nothing").size == 0


def resumed(sandbox, home):
    client = NullspaceClient()
    source = home / "again.bin"
    source.write_bytes(LARGE)
    begin = lambda path: client.create_upload_session(
        sandbox.id,
        kind=UploadKind.FILE,
        source_kind=UploadSourceKind.RESTARTABLE_FILE,
        target_path=path,
        content_length=len(LARGE),
        metadata={"note": SECRET},
    )
    session = begin("/workspace/again")
    assert session.part_count == 2 and session.status.value == "created" and session.next_part == 0
    client.upload_session_part(sandbox.id, session.upload_id, 0, LARGE[:PART])
    assert client.get_upload_session(sandbox.id, session.upload_id).accepted_bytes == PART
    complete = lambda: client.complete_upload_session(sandbox.id, session.upload_id)
    refused(complete, UploadStateError, "missing_parts")
    part = lambda data, **more: client.upload_session_part(sandbox.id, session.upload_id, 1, data, **more)
    refused(lambda: part(b"short"), UploadStateError, "part_size_mismatch")
    refused(lambda: part(LARGE[PART:], part_sha256="0" * 64), UploadChecksumError, "invalid_part_checksum")
    done = sandbox.files.resume_upload(session.upload_id, source)
    assert done.resumed and done.bytes_uploaded == len(LARGE)
    assert digest(sandbox, "/workspace/again") == hashlib.sha256(LARGE).hexdigest()
    # One that is completed is only told of.
    assert sandbox.files.resume_upload(session.upload_id, source).session.status.value == "completed"
    refused(complete, UploadStateError, "upload_already_completed")
    given_up = begin("/workspace/never")
    client.abort_upload_session(sandbox.id, given_up.upload_id)
    refused(lambda: sandbox.files.resume_upload(given_up.upload_id, source), FileUploadError, "upload_aborted")
    client.close()


def directories(sandbox, home):
    source = home / "project"
    source.mkdir()
    tree(source)
    done = sandbox.files.upload_dir(source, "/workspace/apps/one")
    assert done.kind == UploadKind.DIRECTORY_TAR and done.file_count == 4, done
    run = lambda text: sandbox.commands.run(text, shell=True, cwd="/workspace/apps/one").stdout
    assert run('./run.sh; cat link; readlink link; ls sub | wc -l; test -d sub/empty && echo') == "run\ntextsub/ünï cödé\n3\n\n"
    # What is there besides stays, until it is replaced.
    run("echo own > own; echo other > run.sh; ln -s /etc sub/etc")
    again = sandbox.files.upload_dir(source, "/workspace/apps/one", conflict="merge")
    assert again.file_count == 4 and run("cat own; ./run.sh") == "own\nrun\n"
    conflict = lambda policy: sandbox.files.upload_dir(source, "/workspace/apps/one", conflict=policy)
    refused(lambda: conflict(UploadConflictPolicy.ERROR), UploadConflictError, "target_conflict")
    conflict(UploadConflictPolicy.REPLACE)
    assert run("ls | tr '\\n' ' '") == "link run.sh sub " and run("ls sub | wc -l").strip() == "3"
    assert sandbox.files.upload(source, "/workspace/apps/two").file_count == 4
    (source / "more").write_text("more")
    sandbox.files.upload_dir(source, "/workspace")
    assert sandbox.files.read("/workspace/more") == "more" and sandbox.files.exists("/workspace/apps/two/run.sh")
    left = sandbox.commands.run("ls -a /workspace 2>/dev/null || ls -a", shell=True).stdout
    assert ".prism-upload" not in left, left


def batches(sandbox):
    many = [(f"/workspace/batch/{number}", f"text {number}") for number in range(20)]
    written = sandbox.files.write_files([*many, ("/workspace/batch/bytes", b"\x00\r\n--\xff"), ("/workspace/batch/large", LARGE)])
    assert [info.path for info in written][:2] == ["/workspace/batch/0", "/workspace/batch/1"] and len(written) == 22
    assert sandbox.files.read("/workspace/batch/19") == "text 19"
    assert sandbox.files.read("/workspace/batch/bytes", format="bytes") == b"\x00\r\n--\xff"
    assert digest(sandbox, "/workspace/batch/large") == hashlib.sha256(LARGE).hexdigest()
    try:
        sandbox.files.write_files([("/workspace/batch/0/below", b"x"), ("/workspace/batch/fine", b"y")])
        raise AssertionError("a file below a file was written")
    except BatchWriteError as error:
        assert [failure.path for failure in error.failures] == ["/workspace/batch/0/below"]
        assert [info.path for info in error.successes] == ["/workspace/batch/fine"]


async def at_once(home):
    sandbox = await AsyncSandbox.create(timeout=600)
    try:
        source = home / "async.bin"
        source.write_bytes(LARGE)
        one, other = await asyncio.gather(
            sandbox.files.upload_file(source, "/workspace/one"),
            sandbox.files.upload_dir(home / "project", "/workspace/dir"),
        )
        assert (one.bytes_uploaded, other.file_count) == (len(LARGE), 5)
        assert (await sandbox.files.write("/workspace/two", LARGE)).size == len(LARGE)
        assert len(await sandbox.files.write_files([("/workspace/a", "a"), ("/workspace/b", b"b")])) == 2
        assert await sandbox.files.read("/workspace/dir/more") == "more"
        again = await sandbox.files.resume_upload(one.upload_id, source)
        assert again.resumed and again.session.status.value == "completed"
    finally:
        await sandbox.kill()


with tempfile.TemporaryDirectory() as name, Sandbox.create(timeout=900, memory_mb=512) as sandbox:
    home = pathlib.Path(name)
    whole(sandbox)
    files(sandbox, home)
    resumed(sandbox, home)
    directories(sandbox, home)
    batches(sandbox)
    asyncio.run(at_once(home))
    try:
        os.symlink("/etc", home / "project" / "out")
        sandbox.files.upload_dir(home / "project", "/workspace/out")
        raise AssertionError("a link that leads out was sent")
    except Exception as error:
        assert not isinstance(error, (AssertionError, UploadPathError)), error
print("done")
