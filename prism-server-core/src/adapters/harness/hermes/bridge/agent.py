"""The Hermes agent as Prism runs it: its TUI gateway, and the few methods that a control plane needs besides.

The gateway's own protocol was made for a human before a screen. It tells a tool's arguments only when the tool
has ended, loses a message that comes too late for the turn it was meant for, does not say when a session is
through with all that was queued, and answers to approvals have no names. What is added here:

    prism.ready   {}                           waits until the spare session can take a message
    prism.status  {session_id?}                how many sessions work, whether any ever did, and whether this one does
    prism.open    {thread, run}                the live session of a thread: found, resumed, or the spare one; what it
                                               still does for another run ends
    prism.interrupt {thread, run}              ends what a session does for a run
    prism.message {session_id, id, text}       hands a message over, exactly once for an id
    prism.answer  {session_id, question, ...}  answers one question, at most once

What the agent remembers is in `prism_memories.py`. This script says:

    prism.taken  {id, how}                a message was handed over: it starts a turn (`new`) or joins one (`joined`)
    prism.tool   {tool_id, name, args}    a tool starts
    prism.result {tool_id, name, result}  a tool has ended
    prism.idle   {}                       nothing is queued any more; the session waits for a message

It relies on private parts of exactly one version of Hermes, which the tests of the harness pin.
"""

import functools
import inspect
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path

import policy
import prism_memories
from tui_gateway import entry, git_probe, server

WORKSPACE = os.environ["PRISM_WORKSPACE"]
JOURNAL = Path(os.environ["HERMES_HOME"]) / "prism"
# How long the agent waits for a human. Prism asks again for as long as the run lives.
PATIENCE = 30 * 24 * 60 * 60
BUILD_TIMEOUT = 120
INTERRUPT_TIMEOUT = 10
NICENESS = 19
REMEMBERED = 1024
# Most bytes of the arguments or the result of a tool, as JSON, and most characters of an answer that was not streamed.
MOST_TOOL = 256 * 1024
MOST_TEXT = 256 * 1024
# What the gateway listens to; the rest is for people at a screen.
HEARD = {
    "message.start",
    "message.delta",
    "message.complete",
    "approval.request",
    "clarify.request",
    "error",
    "prism.taken",
    "prism.tool",
    "prism.result",
    "prism.idle",
}

# What the operating system says when there is no room for one more thread, process or page.
EXHAUSTED = ("can't start new thread", "Cannot allocate memory", "Resource temporarily unavailable", "MemoryError")

_opening = threading.Lock()
_messages = threading.Lock()
_spare = None
_worked = False


def _end_if_exhausted(reason):
    """When the sandbox is full of what the agent once started, the agent ends: the sandbox is made again, without all
    that, and the work goes on."""
    if any(sign in reason for sign in EXHAUSTED):
        print(f"the agent ends: {reason}", file=sys.stderr, flush=True)
        os._exit(1)


def _method(name):
    """Registers a method."""

    def register(handler):
        def handle(rid, params):
            try:
                threading.Thread(target=int).start()
                answer = handler(rid, params)
                reason = str(answer.get("error", ""))
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                answer = server._err(rid, -32000, reason)
            _end_if_exhausted(reason)
            return answer

        return server.method(name)(handle)

    return register


# ── Sessions ─────────────────────────────────────────────────────────────────


def _request(method, **params):
    return server.handle_request({"jsonrpc": "2.0", "id": None, "method": method, "params": params})


def _new_session():
    return _request("session.create", cwd=WORKSPACE)["result"]["session_id"]


def _live(thread):
    for sid, session in list(server._sessions.items()):
        if session.get("prism_thread") == thread and not session.get("_finalized"):
            return sid
    return None


def _open(thread):
    """The session of a thread. A thread's id is the title under which its session is stored."""
    global _spare
    with _opening:
        if sid := _live(thread):
            return sid
        resumed = _request("session.resume", session_id=thread)
        if "result" in resumed:
            sid = resumed["result"]["session_id"]
            # Its system prompt is made anew: skills and memory may be others by now.
            server._get_db().update_system_prompt(server._sessions[sid]["session_key"], None)
        elif resumed["error"]["code"] == 4007:
            sid, _spare = _spare or _new_session(), None
            if server._sessions.get(sid) is None:
                sid = _new_session()
            server._sessions[sid]["pending_title"] = thread
        else:
            raise RuntimeError(resumed["error"]["message"])
        server._sessions[sid]["prism_thread"] = thread
        return sid


def _keep_spare():
    global _spare
    with _opening:
        if _spare is None or _spare not in server._sessions:
            _spare = _new_session()
        return _spare


@_method("prism.ready")
def _ready(rid, _params):
    session = server._sessions[_keep_spare()]
    # The first call of the model would wait for it.
    import openai.resources  # noqa: F401

    return server._wait_agent(session, rid, BUILD_TIMEOUT) or server._ok(rid, {})


@_method("prism.status")
def _status(rid, params):
    busy = sum(1 for session in list(server._sessions.values()) if session.get("running"))
    works = _works(server._sessions.get(params.get("session_id")) or {})
    return server._ok(rid, {"busy": busy, "worked": _worked, "works": works})


def _works(session):
    """Whether a turn is under way; one whose thread has ended says nothing any more."""
    thread = session.get("_run_thread")
    return bool(session.get("prism_due") or (session.get("running") and thread and thread.is_alive()))


@_method("prism.open")
def _open_method(rid, params):
    thread = str(params["thread"])
    sid = _open(thread)
    session = server._sessions[sid]
    server._start_agent_build(sid, session)
    if failed := server._wait_agent(session, rid, BUILD_TIMEOUT):
        return failed
    if session.get("prism_run") != params["run"]:
        _interrupt(sid, session, session.get("prism_run"))
    prism_memories.refresh(session)
    if _spare is None:
        threading.Timer(1.0, _keep_spare).start()
    usage = server._get_usage(session["agent"])
    return server._ok(
        rid,
        {
            "session_id": sid,
            "unfinished": _journal(thread),
            "input": usage["input"],
            "output": usage["output"],
        },
    )


def _interrupt(sid, session, run):
    """Ends the turn of a session that works for a run, and what is queued behind it, and waits for that."""
    deadline = time.monotonic() + INTERRUPT_TIMEOUT
    while time.monotonic() < deadline:
        # Under the lock of messages, so that it does not hit the turn of the next run.
        with _messages:
            if not session.get("running") or session.get("prism_run") != run:
                return
            session.pop("prism_late", None)
            session["agent"]._drain_pending_steer()
            _request("session.interrupt", session_id=sid)
        time.sleep(0.05)


@_method("prism.interrupt")
def _interrupt_method(rid, params):
    sid = _live(str(params["thread"]))
    session = server._sessions.get(sid)
    if session is not None:
        _interrupt(sid, session, params["run"])
    return server._ok(rid, {})


# ── Messages ─────────────────────────────────────────────────────────────────


def _journal_file(thread):
    return JOURNAL / (thread.encode().hex() + ".json")


def _journal(thread):
    """What was handed over and not finished, so that it can be told again after the process was lost."""
    try:
        texts = json.loads(_journal_file(thread).read_text())
    except (OSError, ValueError):
        return []
    return [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []


def _write_journal(thread, texts):
    file = _journal_file(thread)
    if not texts:
        file.unlink(missing_ok=True)
        return
    JOURNAL.mkdir(exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(texts))
    fresh.replace(file)


@_method("prism.message")
def _message_method(rid, params):
    with _messages:
        return _message(rid, params)


def _message(rid, params):
    """A message joins the turn that runs, or starts one.

    Which of the two is decided under the lock under which a turn ends, and told before that lock is released.
    What joins a turn too late to be seen in it starts the next one, see `_wrap_drain`.
    """
    global _worked
    sid, mid, text = params["session_id"], str(params["id"]), str(params["text"])
    session = server._sessions.get(sid)
    if session is None:
        return server._err(rid, 4001, "session not found")
    thread = session["prism_thread"]
    with session["history_lock"]:
        seen = session.setdefault("prism_seen", OrderedDict())
        if mid in seen:
            return server._ok(rid, {"duplicate": True})
        seen[mid] = None
        if len(seen) > REMEMBERED:
            seen.popitem(last=False)
        running = bool(session.get("running"))
        kept = _journal(thread) if running and not params.get("again") else []
        _write_journal(thread, kept + [str(params.get("original", text))])
        how = "joined" if running and session["agent"].steer(text) else "new"
        session["prism_active"] = True
        session["prism_run"] = mid.partition(":")[0]
        if how == "new":
            session["prism_due"] = session.get("prism_due", 0) + 1
        server._emit("prism.taken", sid, {"id": mid, "how": how})
    _worked = True
    if how == "new":
        submitted = _request("prompt.submit", session_id=sid, text=text)
        if "error" in submitted:
            server._emit("error", sid, {"message": submitted["error"]["message"]})
        with session["history_lock"]:
            session["prism_due"] -= 1
        _tell_idle(sid, session)
    return server._ok(rid, {"how": how})


def _tell_idle(sid, session):
    """Told once after the last message that was taken: no turn runs, none is queued and none is about to start."""
    with session["history_lock"]:
        waits = session.get("running") or session.get("queued_prompt") or session.get("prism_due")
        if session.get("prism_active") and not waits:
            session["prism_active"] = False
            _write_journal(session["prism_thread"], [])
            server._emit("prism.idle", sid)


def _wrap_emit(original):
    def emit(event, sid, payload=None):
        """Only what the gateway listens to. A turn that failed for want of room has not ended; the next agent begins it
        again."""
        if event not in HEARD:
            return
        if event == "message.complete":
            payload = {name: payload.get(name) for name in ("text", "status", "usage")}
            payload["text"] = str(payload["text"] or "")[:MOST_TEXT]
        if event == "error" or (event == "message.complete" and payload["status"] == "error"):
            _end_if_exhausted(str(payload))
        original(event, sid, _sendable(payload))

    return emit


def _sendable(value):
    """Half of a surrogate pair is no text that can be sent."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError:
        text = json.dumps(value, ensure_ascii=False)
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _wrap_drain(original):
    def drain(rid, sid, session):
        """After each turn: what joined it too late is queued; when nothing is queued, the session is idle."""
        leftover = session["agent"]._drain_pending_steer()
        with session["history_lock"]:
            late = [text for text in (session.pop("prism_late", None), leftover) if text]
            for text in late:
                server._enqueue_prompt(session, text, session.get("transport"))
        if original(rid, sid, session):
            return True
        _tell_idle(sid, session)
        return False

    return drain


def _wrap_row(original):
    def ensure_row(session):
        """A session is stored under its title from its first message on, not only once a turn went well."""
        original(session)
        title, db = session.get("pending_title"), server._get_db()
        if title and db is not None and db.set_session_title(session["session_key"], title):
            session["pending_title"] = None

    return ensure_row


# ── Tools and questions ──────────────────────────────────────────────────────


def _tool_start(sid, tool_id, name, args):
    server._emit("prism.tool", sid, {"tool_id": tool_id, "name": name, "args": _bounded(args)})


def _tool_complete(sid, tool_id, name, _args, result):
    try:
        result = json.loads(result)
    except ValueError:
        pass
    server._emit("prism.result", sid, {"tool_id": tool_id, "name": name, "result": _bounded(result)})


def _bounded(value):
    text = json.dumps(value, ensure_ascii=False).encode(errors="replace")
    return value if len(text) <= MOST_TOOL else {"truncated": text[:MOST_TOOL].decode(errors="ignore")}


_questions = {}
_questions_lock = threading.Lock()


def _wrap_approval(original):
    def approval_request(sid, data):
        with _questions_lock:
            waiting = _questions.setdefault(sid, [])
            question = os.urandom(8).hex()
            waiting.append(question)
            original(sid, {**(data or {}), "question": question})

    return approval_request


def _wrap_block(original):
    def block(event, sid, payload, timeout=300):
        return original(event, sid, payload, PATIENCE if event == "clarify.request" else 1)

    return block


@_method("prism.answer")
def _answer(rid, params):
    """Approvals are answered in the order in which they were asked: the agent keeps no names for them."""
    from tools.approval import resolve_gateway_approval

    sid, question = params["session_id"], params["question"]
    if params.get("clarify"):
        answered = _request("clarify.respond", request_id=question, answer=params.get("text", ""))
        return server._ok(rid, {"resolved": int("result" in answered)})
    session = server._sessions.get(sid)
    with _questions_lock:
        waiting = _questions.get(sid, [])
        if session is None or question not in waiting:
            return server._ok(rid, {"resolved": 0})
        del waiting[: waiting.index(question) + 1]
        choice, reason = params.get("choice", "deny"), params.get("text")
        resolved = resolve_gateway_approval(session["session_key"], choice, reason=reason)
    return server._ok(rid, {"resolved": resolved})


# ── Start ────────────────────────────────────────────────────────────────────


class _NoSlashWorker:
    """Commands with a slash are for people at a screen; a process of 50 MB for each session serves them."""

    def __init__(self, *_args, **_kwargs):
        self.stderr_tail = []

    def run(self, _command):
        raise RuntimeError("there are no slash commands here")

    def close(self):
        pass


def _wrap_conversation():
    """What joins a turn after its last tool comes back with the result, where the gateway drops it."""
    from run_agent import AIAgent

    original = AIAgent.run_conversation

    def run_conversation(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        if isinstance(result, dict) and (late := result.get("pending_steer")):
            for session in list(server._sessions.values()):
                if session.get("agent") is self:
                    session["prism_late"] = late
        return result

    run_conversation.__signature__ = inspect.signature(original)
    AIAgent.run_conversation = run_conversation


def _wrap_crash(original):
    def crash(args):
        """A turn whose thread crashed would never end; the next agent begins it again."""
        original(args)
        reason = f"{args.exc_type.__name__}: {args.exc_value}"
        _end_if_exhausted(reason)
        if any(session.get("_run_thread") is args.thread for session in list(server._sessions.values())):
            print(f"the agent ends: a turn crashed: {reason}", file=sys.stderr, flush=True)
            os._exit(1)

    return crash


def _wrap_start_of_process(original):
    def start(self, *args, **kwargs):
        """What the agent starts gets less of the processors than the agent, which can so be talked to whatever that is.
        A command has not begun to work by then, and what it starts inherits it."""
        original(self, *args, **kwargs)
        try:
            os.setpriority(os.PRIO_PROCESS, self.pid, NICENESS)
        except OSError:
            pass  # It has ended.

    return start


def main():
    os.chdir(WORKSPACE)
    # Each call of the model makes three of these, from a file with all root certificates, and uses none: the gateway is
    # reached without TLS.
    ssl.create_default_context = functools.cache(ssl.create_default_context)
    threading.excepthook = _wrap_crash(threading.excepthook)
    subprocess.Popen.__init__ = _wrap_start_of_process(subprocess.Popen.__init__)
    # After each turn, for the line below a prompt.
    git_probe.run_git = lambda *_args, **_kwargs: ""
    server._SlashWorker = _NoSlashWorker
    server._emit = _wrap_emit(server._emit)
    # The endpoint of the model is another one after each start, so it is never taken from the past.
    server._stored_session_runtime_overrides = lambda _row: {}
    server._on_tool_start = _tool_start
    server._on_tool_complete = _tool_complete
    server._emit_approval_request = _wrap_approval(server._emit_approval_request)
    server._block = _wrap_block(server._block)
    server._ensure_session_db_row = _wrap_row(server._ensure_session_db_row)
    server._drain_queued_prompt = _wrap_drain(server._drain_queued_prompt)
    policy.apply()
    server._LONG_HANDLERS = server._LONG_HANDLERS | {"prism.ready", "prism.open", "prism.interrupt"}

    prism_memories.register(sys.modules[__name__])

    write = entry.write_json

    def first_write(message):
        # The first line is written when the tools of MCP servers are already being looked for.
        entry.write_json = write
        threading.Thread(target=_warm_up, daemon=True).start()
        return write(message)

    entry.write_json = first_write
    entry.main()


def _warm_up():
    _wrap_conversation()
    prism_memories.warm_up()
    _keep_spare()


if __name__ == "__main__":
    main()
