"""What the scripts have in common: two projects, and how they wait."""

import os
import pathlib
import shutil
import time
import urllib.error
import urllib.request

# They are in the environment of one process each, and must be nowhere else.
JOB_SECRET = "canary-job-7f3a91c2"
SERVICE_SECRET = "canary-service-5d20be84"
SECOND_SECRET = "canary-restarted-1b6c77aa"

JOB_CONFIG = """
name = "{name}"
mode = "job"
install = "echo installed > installed.txt"
entrypoint = "python3 main.py"

[env]
required = ["TOKEN"]

[outputs]
paths = ["result.json", "reports", "missing.txt"]
"""

JOB_MAIN = """
import json, os, sys, time

told = json.loads(os.environ["PRISM_INPUT"])
print("it begins", flush=True)
print("a complaint", file=sys.stderr, flush=True)
if told.get("wait"):
    time.sleep(600)
os.makedirs("reports/deep", exist_ok=True)
pathlib_text = open("installed.txt").read().strip()
open("reports/deep/a.txt", "w").write("a")
result = {"input": told, "installed": pathlib_text, "secret_length": len(os.environ["TOKEN"])}
open("result.json", "w").write(json.dumps(result))
sys.exit(told.get("status", 0))
"""

SERVICE_CONFIG = """
name = "{name}"
mode = "service"
entrypoint = "python3 app.py"

[service]
port = {port}

[service.readiness]
type = "http"
path = "/healthz"
timeout_seconds = 60

[permissions]
public_url = true
"""

SERVICE_APP = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = ("%s %d" % (self.path, len(os.environ.get("TOKEN", "")))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))[::-1]
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

print("it listens", flush=True)
address = ("0.0.0.0", int(os.environ["PORT"]))
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"""

SOCKETS_APP = """
import asyncio, http, json, os, signal
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError

def look(connection, request):
    if request.path == "/healthz":
        return connection.respond(http.HTTPStatus.OK, "well\\n")

async def talk(socket):
    told = {"path": socket.request.path, "secret_length": len(os.environ["TOKEN"])}
    await socket.send(json.dumps(told))
    try:
        async for message in socket:
            if message == "close":
                await socket.close(4001, "enough, says the app \\u2014 gr\\u00fc\\u00dfe")
            elif message == "ping me":
                await (await socket.ping(b"from the app"))
                await socket.send("a pong came")
            else:
                await socket.send(message)
    except ConnectionClosedError:
        pass
    print("closed:", socket.close_code, socket.close_reason, flush=True)

async def main():
    port, protocols = int(os.environ["PORT"]), ["talk.v1"]
    options = {"process_request": look, "subprotocols": protocols, "max_size": None}
    async with serve(talk, "127.0.0.1", port, **options) as server:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
        await server.wait_closed()

asyncio.run(main())
"""


def free_port():
    """A port of this machine: as a process, a service listens there."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def job(name):
    """A project whose entrypoint ends."""
    root = pathlib.Path(name)
    (root / "lib" / "empty").mkdir(parents=True)
    (root / "nullspace.agent.toml").write_text(JOB_CONFIG.format(name=name))
    (root / "main.py").write_text(JOB_MAIN)
    (root / "run.sh").write_text("#!/bin/sh\nexec python3 main.py\n")
    (root / "run.sh").chmod(0o755)
    (root / "lib" / "grüße.txt").write_text("hallo")
    os.symlink("../main.py", root / "lib" / "link.py")
    (root / ".env").write_text("TOKEN=never-in-a-bundle")
    return root


def service(name):
    """A project that listens at a port."""
    root = pathlib.Path(name)
    root.mkdir()
    (root / "nullspace.agent.toml").write_text(SERVICE_CONFIG.format(name=name, port=free_port()))
    (root / "app.py").write_text(SERVICE_APP)
    return root


def sockets(name):
    """A service of WebSockets, by the library of these tests, which is pure Python but for what it need not have."""
    import websockets

    root = service(name)
    (root / "app.py").write_text(SOCKETS_APP)
    compiled = shutil.ignore_patterns("__pycache__", "speedups*")
    shutil.copytree(pathlib.Path(websockets.__file__).parent, root / "websockets", ignore=compiled)
    return root


def until(look, seconds=120):
    """What `look` gives, once it gives anything."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.1)


def get(url, data=None):
    """The status and the body of what is at a URL."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def below(url, path):
    """The same URL with another path below its root."""
    root, query = url.split("?")
    return root.rstrip("/") + path + "?" + query


def tell_secrets():
    """For whoever looks whether they are anywhere."""
    for secret in (JOB_SECRET, SERVICE_SECRET, SECOND_SECRET):
        print("secret", secret)
