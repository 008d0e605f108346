"""The commands of `nullspace agent`, one after the other as a person would give them."""

import json
import os
import pathlib
import subprocess
import sys

import project

PROGRAM = pathlib.Path(sys.executable).parent / "nullspace"


def agent(*arguments, directory=".", status=0):
    """What a command prints."""
    command = [str(PROGRAM), "agent", *arguments]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, env=os.environ, timeout=120)
    assert done.returncode == status, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout


def agent_json(*arguments, **options):
    return json.loads(agent(*arguments, "--json", **options))


def jobs():
    root = project.job("report")
    planned = agent_json("deploy", "--dry-run", directory=root)
    assert planned["dry_run"], planned
    deployed = agent_json("deploy", "--no-cache", directory=root)
    assert deployed["version"]["status"] == "ready", deployed
    assert "report" in agent("list")
    assert agent_json("get", "report")["mode"] == "job"
    agent("run", "report", status=2)
    token = "TOKEN=" + project.JOB_SECRET
    arguments = ["--input-json", '{"q": 1}', "--env", token, "--idempotency-key", "cli-1"]
    run = agent_json("run", "report", *arguments)
    assert agent_json("run", "report", *arguments)["id"] == run["id"]
    status = lambda: json.loads(agent("status", "report", "--run", run["id"], "--json"))
    ended = project.until(lambda: (told := status())["target"]["status"] in ("succeeded", "failed") and told)
    assert ended["target"]["status"] == "succeeded", ended
    logs = agent("logs", "report", "--run", run["id"], "--follow", "--poll-interval-ms", "10")
    assert "it begins" in logs and "the process ended with status 0" in logs, logs
    assert "available" in agent("outputs", "report"), agent("outputs", "report")
    assert agent_json("sandbox", "report", "--run", run["id"])["sandbox_id"] == ended["target"]["sandbox_id"]
    waiting = agent_json("run", "report", "--input-json", '{"wait": true}', "--env", "TOKEN=x")
    assert "cancelled" in agent("stop", "report", "--run", waiting["id"], "--reason", "enough")
    agent("get", "adpl_nobody", status=3)
    agent("delete", "report", "--yes")


def services():
    root = project.service("web")
    agent("deploy", directory=root)
    token = "TOKEN=" + project.SERVICE_SECRET
    assert "has no public URL yet (starting)" in agent("url", "web", "--env", token)
    status = lambda: json.loads(agent("status", "web", "--json"))["target"]
    ready = lambda: (told := status())["status"] == "ready" and told
    service = project.until(ready)
    url = agent("url", "web").strip()
    assert project.get(url) == (200, "/ %d" % len(project.SERVICE_SECRET))
    assert "it listens" in agent("logs", "web", "--service", service["id"])
    assert "starting" in agent("restart", "web", "--env", "TOKEN=" + project.SECOND_SECRET)
    assert project.until(ready)["id"] == service["id"]
    assert project.get(agent("url", "web").strip())[1] == "/ %d" % len(project.SECOND_SECRET)
    assert service["id"] in agent("stop", "web", "--retain-sandbox")
    project.until(lambda: status()["status"] == "stopped")
    assert agent_json("delete", "web", "--yes")["deleted"]


jobs()
services()
project.until(lambda: "adpl_" not in agent("list"))
project.tell_secrets()
