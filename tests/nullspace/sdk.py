"""Every method of the SDK's surface of agent deployments, and what comes of it."""

import asyncio
import json
import pathlib
import time

from nullspace import AgentDeployment, AsyncAgentDeployment
from nullspace._agent_bundle import build_agent_bundle_archive, build_agent_bundle_manifest
from nullspace._agent_config import load_agent_config
from nullspace.errors import ConflictError, NotFoundError, SandboxError

import project


def refused(kind, call, code=None):
    """The error that a call raises."""
    try:
        call()
    except kind as error:
        assert code is None or error.code == code, error.code
        return error
    raise AssertionError("it was not refused")


def ended(deployment, run):
    states = ("succeeded", "failed", "cancelled", "timed_out")
    return project.until(lambda: (found := deployment.get_run(run.id)).status in states and found)


def jobs():
    root = project.job("report")
    deployment, version, manifest = AgentDeployment.deploy(
        root, description="made by a test", metadata={"team": "a"}, cache_policy="rebuild"
    )
    assert version.status == "ready" and version.version_number == 1, version
    assert version.bundle_manifest["entries"] and manifest.bundle_digest == version.bundle_digest
    assert version.env_spec["required"] == ["TOKEN"] and version.workdir == "/workspace/project"
    info = deployment.refresh()
    assert info.active_version_id == version.id and info.metadata == {"team": "a"}, info
    assert deployment.get_version(version.id).status == "ready"
    built = lambda: deployment.get_version(version.id).build_summary.status.value == "ready"
    project.until(built)

    # Without a variable that it needs, nothing is begun.
    refused(SandboxError, lambda: deployment.run(input={}), "invalid_request")
    assert not deployment.list_runs().items

    run = deployment.run(input={"q": [1, None]}, envs={"TOKEN": project.JOB_SECRET}, idempotency_key="run-1")
    assert run.status == "queued" and run.idempotency_key == "run-1", run
    again = deployment.run(input={"q": [1, None]}, envs={"TOKEN": project.JOB_SECRET}, idempotency_key="run-1")
    assert again.id == run.id
    other = lambda: deployment.run(input={}, envs={"TOKEN": project.JOB_SECRET}, idempotency_key="run-1")
    assert refused(SandboxError, other).code.endswith("_idempotency_mismatch")
    run = ended(deployment, run)
    assert run.status == "succeeded" and run.exit_code == 0, run

    lines = list(deployment.iter_run_logs(run.id, limit=3, follow=True, poll_interval=0))
    kinds = [line.event_type for line in lines]
    assert "it begins" in [line.message for line in lines if line.source == "stdout"], lines
    assert "a complaint" in [line.message for line in lines if line.source == "stderr"], lines
    assert "deployment_cache_hit" in kinds and kinds[-1] == "run_succeeded", kinds
    assert len({line.id for line in lines}) == len(lines)
    assert deployment.run_logs(run.id, tail=1).events[0].event_type == "run_succeeded"
    page = deployment.run_logs(run.id, offset=1, limit=2)
    assert [line.id for line in page.events] == [line.id for line in lines[1:3]] and page.has_more

    outputs = deployment.run_outputs(run.id)
    found = {item["configured_path"]: (item["status"], item["kind"]) for item in outputs.outputs}
    expected = {"result.json": ("available", "file"), "reports": ("available", "dir")}
    assert found == expected | {"missing.txt": ("missing", "file")}, found
    path = deployment.download_run_output(run.id, "result.json", "result.json")
    result = json.loads(pathlib.Path(path).read_text())
    secret_length = len(project.JOB_SECRET)
    expected = {"input": {"q": [1, None]}, "installed": "installed", "secret_length": secret_length}
    assert result == expected, result
    assert deployment.connect_sandbox(run).id == run.sandbox_id

    failing = deployment.run(
        input={"status": 3}, envs={"TOKEN": "x"}, retain_on_failure=True, retention_seconds=60
    )
    failing = ended(deployment, failing)
    assert failing.status == "failed" and failing.exit_code == 3 and failing.sandbox_id, failing
    assert "status 3" in failing.failure_reason

    waiting = deployment.run(input={"wait": True}, envs={"TOKEN": "x"})
    project.until(lambda: deployment.get_run(waiting.id).status == "running")
    cancelled = deployment.cancel_run(waiting.id, reason="enough")
    assert cancelled.status == "cancelled" and cancelled.failure_reason == "enough", cancelled
    refused(SandboxError, lambda: deployment.cancel_run(waiting.id))
    project.until(lambda: deployment.get_run(waiting.id).sandbox_id is None)

    runs = deployment.list_runs(limit=2)
    assert [item.id for item in runs.items] == [waiting.id, failing.id] and runs.next_cursor
    rest = deployment.list_runs(limit=2, cursor=runs.next_cursor)
    assert [item.id for item in rest.items] == [run.id] and rest.next_cursor is None
    assert len(deployment.list_runs(status="failed", version_id=version.id).items) == 1

    # A version by hand, with a bundle that is not what it says, and then with the right one.
    (root / "new.txt").write_text("new")
    config = load_agent_config(root / "nullspace.agent.toml")
    manifest = build_agent_bundle_manifest(root, config)
    second = deployment.create_version(bundle_manifest=manifest, config=config, cache_policy="no_cache")
    assert second.status == "created" and second.version_number == 2, second
    refused(SandboxError, lambda: deployment.run(version_id=second.id, envs={"TOKEN": "x"}))
    archive = build_agent_bundle_archive(root, manifest)
    upload = lambda archive: deployment.upload_version_bundle(
        second.id, bundle_digest=manifest.bundle_digest, archive=archive
    )
    refused(SandboxError, lambda: upload(archive.replace(b"new", b"old")), "invalid_request")
    assert deployment.get_version(second.id).status == "failed"
    assert upload(archive).status == "ready"
    assert deployment.refresh().active_version_id == second.id
    versions = [(item.id, item.status.value) for item in deployment.list_versions().items]
    assert versions == [(second.id, "ready"), (version.id, "superseded")], versions
    assert len(deployment.list_versions(status="ready", limit=1).items) == 1
    assert deployment.update(active_version_id=version.id).active_version_id == version.id

    assert deployment.update(status="paused", description="rests").status == "paused"
    refused(SandboxError, lambda: deployment.run(envs={"TOKEN": "x"}))
    deployment.update(status="active", name="renamed", metadata={})
    refused(ConflictError, lambda: AgentDeployment.create("renamed"))
    refused(SandboxError, lambda: deployment.start_service())
    refused(NotFoundError, lambda: deployment.get_run("adrun_none"), "agent_run_not_found")
    assert AgentDeployment.get(deployment.id).name == "renamed"
    assert [item.name for item in AgentDeployment.list(mode="job", status="active").items] == ["renamed"]
    deployment.delete()
    refused(NotFoundError, deployment.refresh, "agent_deployment_not_found")
    deployment.close()


def services():
    deployment, _, _ = AgentDeployment.deploy(project.service("web"))
    service = deployment.start_service(envs={"TOKEN": project.SERVICE_SECRET}, idempotency_key="web-1")
    assert service.status == "starting" and service.public_url is None and service.port, service
    assert deployment.service_url(service.id).public_url is None
    ready = lambda: (found := deployment.get_service(service.id)).status == "ready" and found
    found = project.until(ready)
    assert found.sandbox_id and found.started_at and found.readiness_status["ready"], found

    url = deployment.service_url(service.id).public_url
    assert url != found.public_url, "each read makes another token"
    status, body = project.get(project.below(url, "/hello"))
    assert (status, body) == (200, "/hello %d" % len(project.SERVICE_SECRET)), (status, body)
    assert project.get(url, data=b"abc") == (201, "cba")
    assert project.get(url.split("?")[0])[0] == 401
    assert project.get(url[:-4] + "AAAA")[0] in (401, 403)

    lines = lambda: [line.message for line in deployment.iter_service_logs(service.id)]
    project.until(lambda: "it listens" in lines())
    assert deployment.service_logs(service.id, limit=1).has_more
    assert deployment.list_services(status="ready").items[0].id == service.id

    again = deployment.restart_service(service.id, reason="again", envs={"TOKEN": project.SECOND_SECRET})
    assert again.id == service.id and again.status == "starting", again
    project.until(ready)
    assert project.get(url)[0] in (401, 403), "the token was of the start before"
    url = deployment.service_url(service.id).public_url
    assert project.get(url)[1] == "/ %d" % len(project.SECOND_SECRET)

    stopping = deployment.stop_service(service.id, reason="enough", retain_sandbox=True)
    assert stopping.status in ("stopping", "stopped"), stopping
    stopped = project.until(lambda: (item := deployment.get_service(service.id)).status == "stopped" and item)
    assert stopped.sandbox_id and stopped.stopped_at and stopped.public_url is None, stopped
    assert deployment.connect_sandbox(stopped).files.read("/workspace/project/app.py", format="bytes")
    assert project.get(url)[0] >= 400
    assert list(deployment.iter_service_logs(service.id, tail=2, follow=True, poll_interval=0))
    deployment.delete()


async def asynchronously():
    root = pathlib.Path("report")
    config = load_agent_config(root / "nullspace.agent.toml")
    manifest = build_agent_bundle_manifest(root, config)
    deployment = await AsyncAgentDeployment.create("async", mode="job", metadata={"a": 1})
    version = await deployment.create_version(bundle_manifest=manifest, config=config)
    archive = build_agent_bundle_archive(root, manifest)
    digest = manifest.bundle_digest
    version = await deployment.upload_version_bundle(version.id, bundle_digest=digest, archive=archive)
    assert (await deployment.refresh()).active_version_id == version.id
    assert (await deployment.get_version(version.id)).status == "ready"
    assert (await deployment.list_versions()).items[0].id == version.id
    assert (await AsyncAgentDeployment.get(deployment.id)).name == "async"
    assert (await AsyncAgentDeployment.list(mode="job")).items[0].id == deployment.id
    run = await deployment.run(input={}, envs={"TOKEN": "x"})
    while (await deployment.get_run(run.id)).status not in ("succeeded", "failed"):
        await asyncio.sleep(0.1)
    messages = [line.message async for line in deployment.iter_run_logs(run.id)]
    assert "it begins" in messages, messages
    assert (await deployment.run_logs(run.id, limit=1)).has_more
    assert (await deployment.run_outputs(run.id)).outputs
    await deployment.download_run_output(run.id, "result.json", "async.json")
    waiting = await deployment.run(input={"wait": True}, envs={"TOKEN": "x"})
    assert (await deployment.cancel_run(waiting.id)).status == "cancelled"
    assert len((await deployment.list_runs()).items) == 2
    assert (await deployment.update(description="rests")).description == "rests"
    await deployment.delete()
    await deployment.close()

    web = pathlib.Path("web")
    config = load_agent_config(web / "nullspace.agent.toml")
    manifest = build_agent_bundle_manifest(web, config)
    deployment = await AsyncAgentDeployment.create("async-web", mode="service")
    version = await deployment.create_version(bundle_manifest=manifest, config=config)
    archive = build_agent_bundle_archive(web, manifest)
    digest = manifest.bundle_digest
    await deployment.upload_version_bundle(version.id, bundle_digest=digest, archive=archive)
    service = await deployment.start_service(envs={"TOKEN": "x"})
    while (await deployment.get_service(service.id)).status != "ready":
        await asyncio.sleep(0.1)
    url = (await deployment.service_url(service.id)).public_url
    assert (await asyncio.to_thread(project.get, url))[1] == "/ 1"
    deadline = time.monotonic() + 120
    while "it listens" not in [line.message async for line in deployment.iter_service_logs(service.id)]:
        assert time.monotonic() < deadline, "it takes too long"
        await asyncio.sleep(0.1)
    assert (await deployment.service_logs(service.id)).events
    assert (await deployment.restart_service(service.id)).status == "starting"
    assert (await deployment.stop_service(service.id)).status in ("stopping", "stopped")
    assert len((await deployment.list_services()).items) == 1
    await deployment.delete()
    await deployment.close()


jobs()
services()
asyncio.run(asynchronously())
project.until(lambda: not AgentDeployment.list().items)
project.tell_secrets()
