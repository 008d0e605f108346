"""WebSockets at a public URL: the library `websockets` on both sides, as a browser and an app would speak through it."""

import json
import os

from nullspace import AgentDeployment
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import project

# More than a frame of the library's own pieces, and than any buffer on the way.
LARGE = 2 << 20


def opened(url, path="/", **options):
    """A connection to a path of a service, by the URL that its page is at."""
    url = project.below(url, path).replace("http://", "ws://", 1)
    return connect(url, subprotocols=["talk.v2", "talk.v1"], max_size=None, open_timeout=30, **options)


def talks(url):
    with opened(url + "&q=1", "/chat/room") as socket:
        assert socket.subprotocol == "talk.v1", socket.subprotocol
        assert [extension.name for extension in socket.protocol.extensions] == ["permessage-deflate"]
        told = json.loads(socket.recv(timeout=30))
        assert told == {"path": "/chat/room?q=1", "secret_length": len(project.SERVICE_SECRET)}, told
        for message in ("grüße", "", b"", b"\x00\xff", "x" * 65_536):
            socket.send(message)
            assert socket.recv(timeout=30) == message, message[:10]
        for number in range(1000):
            socket.send(str(number))
        assert [socket.recv(timeout=30) for _ in range(1000)] == [str(number) for number in range(1000)]


def carries_large_messages(url):
    # What is random is as large on the wire, with compression and without.
    message = os.urandom(LARGE)
    for compression in (None, "deflate"):
        with opened(url, compression=compression) as socket:
            socket.recv(timeout=30)
            socket.send(message)
            assert socket.recv(timeout=60) == message
            # The same in fragments: still one message.
            socket.send(message[at : at + 100_000] for at in range(0, LARGE, 100_000))
            assert socket.recv(timeout=60) == message


def pings_and_closes(url, log):
    with opened(url) as socket:
        socket.recv(timeout=30)
        assert socket.ping(b"from the client").wait(timeout=30), "no pong"
        socket.send("ping me")
        assert socket.recv(timeout=30) == "a pong came"
        socket.send("close")
        assert closed_by(socket) == (4001, "enough, says the app — grüße")
    with opened(url) as socket:
        socket.recv(timeout=30)
        socket.close(4002, "enough, says the client")
        assert (socket.close_code, socket.close_reason) == (4002, "enough, says the client")
    project.until(lambda: "closed: 4002 enough, says the client" in log(), 30)


def closed_by(socket):
    """The code and the reason with which the other side ends a connection; `None`: it broke off."""
    try:
        socket.recv(timeout=60)
    except ConnectionClosed as closed:
        return closed.rcvd and (closed.rcvd.code, closed.rcvd.reason)
    raise AssertionError("it was not closed")


def is_refused_without_a_token(url):
    for wrong, code in ((url.split("?")[0] + "?", "edge_token_missing"), (url + "A", "edge_token_invalid")):
        try:
            opened(wrong).close()
        except InvalidStatus as refused:
            status, told = refused.response.status_code, json.loads(refused.response.body)
            assert (status, told["code"]) == (401, code), (status, told)
        else:
            raise AssertionError("it was let in")


def ends_with_its_service(deployment, service, url, ready):
    with opened(url) as socket:
        socket.recv(timeout=30)
        deployment.stop_service(service.id)
        # The app is asked to end, and says goodbye.
        assert closed_by(socket)[0] == 1001
    stopped = lambda: deployment.get_service(service.id).status == "stopped"
    project.until(stopped)

    deployment.restart_service(service.id, envs={"TOKEN": project.SECOND_SECRET})
    project.until(ready)
    with opened(deployment.service_url(service.id).public_url) as socket:
        assert json.loads(socket.recv(timeout=30))["secret_length"] == len(project.SECOND_SECRET)
        # It is killed, and nobody says anything.
        deployment.delete()
        assert closed_by(socket) is None


deployment, _, _ = AgentDeployment.deploy(project.sockets("talk"))
service = deployment.start_service(envs={"TOKEN": project.SERVICE_SECRET})
ready = lambda: (found := deployment.get_service(service.id)).status == "ready" and found
project.until(ready)
url = deployment.service_url(service.id).public_url
assert project.get(project.below(url, "/healthz")) == (200, "well\n"), "it still speaks HTTP"
log = lambda: [line.message for line in deployment.iter_service_logs(service.id)]

talks(url)
carries_large_messages(url)
pings_and_closes(url, log)
is_refused_without_a_token(url)
assert project.SERVICE_SECRET not in "".join(log())
ends_with_its_service(deployment, service, url, ready)
project.until(lambda: not AgentDeployment.list().items)
project.tell_secrets()
