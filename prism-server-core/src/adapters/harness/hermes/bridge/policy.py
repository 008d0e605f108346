"""Which of its tools the agent has, and which it may call only when a human has allowed the call.

What runs in the sandbox can change what is decided here: for the agent's own tools this is a rule for the model and no
border. Calls of MCP servers pass the gateway, which decides again, by what the human has seen.

Like `agent.py` it relies on private parts of exactly one version of Hermes.
"""

import contextvars
import json
import os
import re
import threading
from pathlib import Path

MOST_ARGUMENTS = 256 * 1024
# Tools that the loop of the agent carries out by itself: they are asked about before the loop begins with them.
OF_THE_LOOP = ("todo", "memory", "session_search")

POLICY = json.loads((Path(os.environ["PRISM_FILES"]) / "policy.json").read_text())
HIDDEN = frozenset(POLICY["hidden"])

# Set while a tool of the agent's own does what a human has allowed: what the agent finds dangerous about it is not asked
# once more.
_allowed = contextvars.ContextVar("prism_allowed", default=False)
_asking = {}


def apply():
    """Called once, before anything is started."""
    from tools.registry import registry

    if HIDDEN:
        definitions = registry.get_definitions
        registry.get_definitions = lambda names, quiet=False: definitions(set(names) - HIDDEN, quiet)
    if HIDDEN or POLICY["asks"] or POLICY["servers"]:
        registry.dispatch = _wrap_dispatch(registry)
    if any(tool in POLICY["asks"] for tool in OF_THE_LOOP):
        _wrap_block_of_loop()


def _wrap_dispatch(registry):
    original = registry.dispatch

    def dispatch(name, args, **kwargs):
        if name in HIDDEN:
            return json.dumps({"error": f"Unknown tool: {name}"})
        asks, call = _subject(registry, name, args)
        if not asks:
            return original(name, args, **kwargs)
        if refused := _ask(call):
            return json.dumps({"error": refused}, ensure_ascii=False)
        token = _allowed.set("server" not in call)
        try:
            return original(name, args, **kwargs)
        finally:
            _allowed.reset(token)

    return dispatch


def _wrap_block_of_loop():
    from hermes_cli import plugins

    original = plugins.resolve_pre_tool_block

    def resolve(tool_name, args, *rest, **named):
        # Whoever calls this goes on when it fails.
        try:
            if tool_name in OF_THE_LOOP and tool_name in POLICY["asks"]:
                call = {"tool": POLICY["asks"][tool_name], "arguments": args or {}}
                if refused := _ask(call):
                    return refused
        except Exception as error:
            return f"BLOCKED: asking a human failed: {error}"
        return original(tool_name, args, *rest, **named)

    plugins.resolve_pre_tool_block = resolve


def _subject(registry, name, args):
    """Whether a human is to be asked about a call, and what of."""
    if name in POLICY["asks"]:
        return True, {"tool": POLICY["asks"][name], "arguments": args}
    if not POLICY["servers"] or not name.startswith("mcp__"):
        return False, None
    # The names that the server goes by outside are only in the closure of its handler.
    handler = registry.get_entry(name).handler
    known = dict(zip(handler.__code__.co_freevars, (cell.cell_contents for cell in handler.__closure__)))
    server, tool = known["server_name"], known.get("tool_name")
    if tool is None:
        return False, None
    asks = any(_matches(s, server) and _matches(t, tool) for s, t in POLICY["servers"])
    return asks, {"server": server, "tool": tool, "arguments": args}


def _matches(pattern, text):
    """`*` stands for any characters."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def _ask(call):
    """Asks a human; answers why the call must not be done, or `None`.

    One question of a session after the other: the agent keeps no names for them and takes answers in their order.
    """
    from tools import approval

    _wrap_decision(approval)
    if len(json.dumps(call["arguments"], ensure_ascii=False).encode(errors="replace")) > MOST_ARGUMENTS:
        return "BLOCKED: a human has to approve this call, and its arguments are too long to be shown."
    session = approval.get_current_session_key()
    notify = approval._gateway_notify_cbs.get(session)
    if notify is None:
        return "BLOCKED: a human has to approve this call, and nobody can be asked here."
    rule = f"prism:{os.urandom(8).hex()}"
    question = {"description": "", "pattern_key": rule, "pattern_keys": [rule], "call": call}
    with _asking.setdefault(session, threading.Lock()):
        decision = approval._await_gateway_decision(session, notify, question, surface="gateway")
    if decision.get("resolved") and decision.get("choice") in ("once", "session"):
        return None
    reason = decision.get("reason")
    reason = f' The reason: "{reason}".' if reason else ""
    return (
        f"BLOCKED: a human has to approve each call of this tool, and has denied this one.{reason} "
        "Do not repeat it, and do not try to get the same in another way."
    )


def _wrap_decision(approval):
    original = approval._await_gateway_decision
    if getattr(original, "prism", False):
        return

    def decide(*args, **kwargs):
        if _allowed.get():
            return {"resolved": True, "choice": "once", "reason": None}
        return original(*args, **kwargs)

    decide.prism = True
    approval._await_gateway_decision = decide
