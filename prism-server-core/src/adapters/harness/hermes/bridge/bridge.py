"""Runs in the sandbox of a Hermes agent: keeps the agent running, and its words until the gateway has them.

The bridge starts the agent and reads what it says, line by line. Each line gets a number and is kept until the
gateway acknowledges it, so a gateway that restarts loses nothing. When more is kept than `ROOM`, the bridge stops
reading and the agent waits. The gateway listens on two sockets in `PRISM_FILES`:

`gateway.sock`  HTTP; a port on the loopback of the sandbox leads to it.
`agent.sock`    lines of text, between the bridge and the gateway:

    <- hello {"boot", "digest", "first", "next"}   first of all; what is kept of the lines first..next can be had
    <- NUMBER JSON                                 what the agent said
    -> from NUMBER                                 sends the lines from this number on; answers `hello`
    -> ack NUMBER SESSION...                       forgets the lines up to this number, but those of these sessions
    -> send JSON                                   a line for the agent
    -> told JSON                                   a file that users wrote themselves, and were told of
    -> restart                                     starts the agent again with the files as they are now

When the agent ends without being asked to, the bridge ends, and with it the sandbox.
"""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from bisect import bisect_left, bisect_right
from pathlib import Path

FILES = Path(os.environ["PRISM_FILES"])
HOME = Path(os.environ["PRISM_HOME"]) / "hermes"
WORKSPACE = os.environ["PRISM_WORKSPACE"]
ROOM = 64 * 1024 * 1024
LONGEST_LINE = 2 * 1024 * 1024
MOST_ENTRIES = 20_000
MOST_KNOWN = 40_000
DEEPEST = 32
MOST_CHANGES = 1_000
RECONNECT = 0.2
STOPPING = 5.0


def connect(name):
    """Connects to a socket in the files, whose whole path may be too long for an address."""
    directory = os.open(FILES, os.O_RDONLY)
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect(f"/proc/self/fd/{directory}/{name}")
    except OSError:
        client.close()
        raise
    finally:
        os.close(directory)
    return client


def end(reason):
    """Ends the bridge, and with it the sandbox, which the gateway makes again."""
    print(reason, file=sys.stderr, flush=True)
    os._exit(1)


class Lines:
    """What the agent said and the gateway may still need, in order."""

    def __init__(self):
        self.boot = os.urandom(8).hex()
        self.numbers = []
        self.kept = []
        self.next = 1
        self.size = 0
        self.changed = threading.Condition()

    @property
    def first(self):
        return self.numbers[0] if self.numbers else self.next

    def append(self, line):
        with self.changed:
            self.changed.wait_for(lambda: not self.kept or self.size + len(line) <= ROOM)
            self.numbers.append(self.next)
            self.kept.append(line)
            self.next += 1
            self.size += len(line)
            self.changed.notify_all()

    def acknowledge(self, number, but):
        """Forgets the lines up to a number, but those of some sessions."""
        with self.changed:
            end = bisect_right(self.numbers, number)
            stay = [i for i in range(end) if but and session_of(self.kept[i]) in but]
            self.numbers[:end] = [self.numbers[i] for i in stay]
            self.kept[:end] = [self.kept[i] for i in stay]
            self.size = sum(map(len, self.kept))
            self.changed.notify_all()

    def after(self, number, ended):
        """Some lines from a number on; waits until there are, or `ended` says that nobody wants them any more."""
        with self.changed:
            self.changed.wait_for(lambda: ended() or (self.numbers and self.numbers[-1] >= number))
            start = bisect_left(self.numbers, number)
            return list(zip(self.numbers[start : start + 64], self.kept[start : start + 64]))

    def wake(self):
        with self.changed:
            self.changed.notify_all()


def session_of(line):
    try:
        return json.loads(line)["params"]["session_id"].encode()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


class Workspace:
    """Finds out which files of the workspace changed."""

    def __init__(self):
        self.lock = threading.Lock()
        self.known = self.scan()

    def scan(self):
        found, entries = {}, 0
        directories = [(WORKSPACE, "", 0)]
        while directories:
            directory, prefix, depth = directories.pop()
            try:
                listing = os.scandir(directory)
            except OSError:
                continue
            with listing:
                for entry in listing:
                    entries += 1
                    if entries > MOST_ENTRIES:
                        return found
                    try:
                        about = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    name = prefix + entry.name
                    if stat.S_ISDIR(about.st_mode):
                        if depth < DEEPEST and entry.name != ".git":
                            directories.append((entry.path, name + "/", depth + 1))
                    elif stat.S_ISREG(about.st_mode) and not is_on_its_way(entry.name):
                        found[name] = (about.st_mtime_ns, about.st_size, about.st_ino)
        return found

    def changes(self):
        """At most `MOST_CHANGES`; the others are found the next time."""
        with self.lock:
            now = self.scan()
            changed = []
            for name in list(self.known):
                # What a scan leaves out need not be gone.
                if name not in now and not is_file(name):
                    changed.append(("deleted", name, None))
            for name, about in now.items():
                known = self.known.get(name)
                if known is None:
                    changed.append(("created", name, about))
                elif known[:2] != about[:2] or known[2] not in (None, about[2]):
                    changed.append(("modified", name, about))
                else:
                    self.known[name] = about
            for change, name, about in changed[:MOST_CHANGES]:
                if change == "deleted":
                    del self.known[name]
                else:
                    self.known[name] = about
            return changed[:MOST_CHANGES]

    def told(self, file):
        """Takes over a file as users were told of it already."""
        with self.lock:
            if len(self.known) < MOST_KNOWN:
                self.known[file["path"]] = (file["mtime"], file["size"], None)


def is_on_its_way(name):
    """Whether the gateway has not given the file its name yet."""
    return name.startswith(".prism-") and name.endswith(".new")


def is_file(name):
    try:
        return stat.S_ISREG(os.lstat(os.path.join(WORKSPACE, name)).st_mode)
    except (OSError, ValueError):
        return False


class Agent:
    """One process of the agent, and what it said."""

    def __init__(self, port):
        settings = json.loads((FILES / "agent.json").read_text())
        self.digest = settings["digest"]
        self.port = port
        self.lines = Lines()
        self.stopping = False
        self.workspace = Workspace() if settings["watch_files"] else None
        HOME.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FILES / "config.yaml", HOME / "config.yaml")
        environment = {
            **os.environ,
            **settings["environment"],
            "HERMES_HOME": str(HOME),
            "HERMES_MANAGED_DIR": str(FILES),
            "PRISM_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, str(FILES / "agent.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=WORKSPACE,
            env=environment,
        )
        self.writing = threading.Lock()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while line := self.process.stdout.readline(LONGEST_LINE):
            if not line.endswith(b"\n"):
                if len(line) == LONGEST_LINE:
                    print("the agent said more in one line than is kept; it is stopped", file=sys.stderr)
                break
            self.lines.append(line)
            if self.workspace and (b'"prism.result"' in line or b'"message.complete"' in line):
                self.tell_changes(line)
        if not self.stopping:
            status = self.process.poll()
            self.process.kill()
            # What was said last is given a moment to reach the gateway.
            time.sleep(0.5)
            end(f"the agent ended ({status})")

    def tell_changes(self, line):
        try:
            event = json.loads(line)["params"]
            session = event["session_id"] if event["type"] in ("prism.result", "message.complete") else None
        except (ValueError, TypeError, KeyError):
            return
        if session is None:
            return
        for change, path, about in self.workspace.changes():
            payload = {"change": change, "path": path}
            if about:
                payload.update(mtime=about[0], size=about[1])
            params = {"type": "prism.file", "session_id": session, "payload": payload}
            # Names need not be text; those that are not cannot be told.
            text = json.dumps({"method": "event", "params": params})
            self.lines.append(text.encode() + b"\n")

    def send(self, line):
        try:
            with self.writing:
                self.process.stdin.write(line + b"\n")
                self.process.stdin.flush()
        except OSError:
            pass  # It ended, which its reader tells.

    def stop(self):
        self.stopping = True
        self.process.stdin.close()
        try:
            self.process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.lines.wake()


def talk(agent, gateway):
    """Serves one connection of the gateway; returns the agent, which is another one after `restart`."""
    lines = agent.lines
    hello = {"boot": lines.boot, "digest": agent.digest, "first": lines.first, "next": lines.next}
    gateway.sendall(b"hello " + json.dumps(hello).encode() + b"\n")
    ended = threading.Event()

    def send_lines(number):
        try:
            while not ended.is_set():
                taken = lines.after(number, ended.is_set)
                gateway.sendall(b"".join(b"%d %s" % numbered for numbered in taken))
                number = taken[-1][0] + 1 if taken else number
        except OSError:
            pass

    sender = None
    try:
        for line in gateway.makefile("rb"):
            command, _, rest = line.strip().partition(b" ")
            if command == b"send":
                agent.send(rest)
            elif command == b"ack":
                number, *but = rest.split()
                lines.acknowledge(int(number), set(but))
            elif command == b"told":
                if agent.workspace:
                    agent.workspace.told(json.loads(rest))
            elif command == b"from" and sender is None:
                sender = threading.Thread(target=send_lines, args=(int(rest),), daemon=True)
                sender.start()
            elif command == b"restart":
                agent.stop()
                return Agent(agent.port)
    finally:
        ended.set()
        lines.wake()
        gateway.close()
    return agent


def forward(client):
    """Joins a connection of the agent with the gateway's HTTP."""

    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    try:
        gateway = connect("gateway.sock")
    except OSError:
        client.close()
        return
    with client, gateway:
        answers = threading.Thread(target=copy, args=(gateway, client), daemon=True)
        answers.start()
        copy(client, gateway)
        answers.join()


def listen():
    """A port on the loopback that leads to the gateway."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        try:
            while True:
                client, _ = listener.accept()
                # What is written in small pieces must not wait for the other end's acknowledgement.
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=forward, args=(client,), daemon=True).start()
        except (OSError, RuntimeError) as error:
            end(f"there is no room for one more connection: {error}")

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def main():
    agent = Agent(listen())
    while True:
        try:
            agent = talk(agent, connect("agent.sock"))
        except OSError:
            time.sleep(RECONNECT)
        except RuntimeError as error:
            end(f"there is no room for one more thread: {error}")


if __name__ == "__main__":
    main()
