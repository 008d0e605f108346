"""What the agent remembers, and what it is to forget. A part of `agent.py`.

Hermes keeps two files of memories, and puts both into the prompt of a session when that is made:

    prism.memories {}                   what is in both, with a name of their place and a version
    prism.remember {entries, version}   replaces that, unless it is another version by now
    prism.forget   {threads}            ends the sessions of threads and deletes all that is stored of them

A memory stays in the file in which it is; a new one goes to the agent's notes. What is in the files may be anything:
the agent has a terminal.
"""

import hashlib
import os
from contextlib import contextmanager

from hermes_constants import get_hermes_home
from tui_gateway import server

# Most bytes of a file that are read: more than Hermes writes.
MOST_FILE = 256 * 1024
# Most characters of a memory.
MOST_CONTENT = 2000


def register(agent):
    """Adds the methods to the agent, which is the module that runs."""
    place = agent.JOURNAL / "memories"

    @agent._method("prism.memories")
    def memories(rid, _params):
        with _files() as files:
            raws = [_read(file) for file in files]
        return server._ok(
            rid,
            {
                "home": _home(place, raws),
                "version": _version(raws),
                "entries": [entry for raw in raws for entry in _entries(raw)],
            },
        )

    @agent._method("prism.remember")
    def remember(rid, params):
        from tools.memory_tool import MemoryStore

        entries = [str(entry) for entry in params["entries"]]
        with _files() as files:
            raws = [_read(file) for file in files]
            if _version(raws) != params["version"]:
                return server._ok(rid, {"changed": True})
            home = _home(place, raws) or os.urandom(8).hex()
            about_user = set(_entries(raws[1]))
            MemoryStore._write_file(files[1], [entry for entry in entries if entry in about_user])
            MemoryStore._write_file(files[0], [entry for entry in entries if entry not in about_user])
            agent.JOURNAL.mkdir(exist_ok=True)
            # Last: files without the name of their place are taken for new ones.
            place.write_text(home)
            return server._ok(rid, {"home": home, "version": _version([_read(file) for file in files])})

    @agent._method("prism.forget")
    def forget(rid, params):
        for thread in params["threads"]:
            _forget(agent, str(thread))
        return server._ok(rid, {})

    server._LONG_HANDLERS = server._LONG_HANDLERS | {"prism.memories", "prism.remember", "prism.forget"}


def warm_up():
    """Refuses memories that are longer than those of the gateway, so that the agent shortens them itself."""
    from tools import memory_tool

    original = memory_tool._scan_memory_content

    def scan(content):
        if len(content) > MOST_CONTENT:
            return f"A memory has at most {MOST_CONTENT} characters, and this one has {len(content)}. Shorten it."
        return original(content)

    memory_tool._scan_memory_content = scan


def refresh(session):
    """A session whose prompt tells of other memories than there are gets another prompt. One that works gets it the next
    time."""
    agent = session["agent"]
    if session.get("running") or getattr(agent, "_memory_store", None) is None:
        return
    with _files() as files:
        version = _version([_read(file) for file in files])
    if session.get("prism_memories") != version:
        session["prism_memories"] = version
        agent._invalidate_system_prompt()
        server._get_db().update_system_prompt(agent.session_id, None)


@contextmanager
def _files():
    """The agent's notes and what it knows of the user, under the locks of Hermes."""
    from tools.memory_tool import MemoryStore

    notes, user = MemoryStore._path_for("memory"), MemoryStore._path_for("user")
    with MemoryStore._file_lock(notes), MemoryStore._file_lock(user):
        yield notes, user


def _read(file):
    try:
        with file.open("rb") as opened:
            return opened.read(MOST_FILE)
    except OSError:
        return None


def _entries(raw):
    from tools.memory_tool import ENTRY_DELIMITER

    text = (raw or b"").decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return [entry.strip() for entry in text.split(ENTRY_DELIMITER) if entry.strip()]


def _version(raws):
    return hashlib.sha256(repr(raws).encode()).hexdigest()


def _home(place, raws):
    """The name of the place of these files; files of which one was lost have none."""
    if None in raws:
        return None
    try:
        return place.read_text(errors="replace")[:64] or None
    except OSError:
        return None


def _forget(agent, thread):
    sid = agent._live(thread)
    session = server._sessions.get(sid)
    if session is not None:
        agent._interrupt(sid, session, session.get("prism_run"))
        if session.get("running"):
            raise RuntimeError("the work on a thread that was deleted does not end")
        agent._request("session.close", session_id=sid)
    db = server._get_db()
    for stored in _stored(db, thread):
        db.delete_session(stored, sessions_dir=get_hermes_home() / "sessions")
    agent._write_journal(thread, [])


def _stored(db, thread):
    """The sessions of a thread: the one with its title, and those that went on from it when it became too long."""
    with db._lock:
        rows = db._conn.execute(
            "WITH RECURSIVE line(id) AS ("
            " SELECT id FROM sessions WHERE title = ?1 OR substr(title, 1, length(?1) + 2) = ?1 || ' #'"
            " UNION SELECT s.id FROM sessions s JOIN line ON s.parent_session_id = line.id"
            ") SELECT id FROM line",
            (thread,),
        ).fetchall()
    return [row[0] for row in rows]
