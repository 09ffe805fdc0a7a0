"""Servers that scripts/bench-peers does not have: one from PyPI, and one that stalls on purpose."""
import shlex
import sys

import peers
from page import TOP
from peers import Peer
from programs import BuildFailed, LeftOut, call

STALLED = "ws-stalled"
WEBSOCKETS = "17.4"


def build(name):
    """A server by its name, ready to be started."""
    if name == "websockets":
        return websockets()
    if name != STALLED:
        return peers.build(name, "")
    ws = peers.build("ws", "")
    node, *rest = shlex.split(ws.command)
    command = shlex.join([node, "--require", str(peers.NPM / "stall.cjs"), *rest])
    return Peer(STALLED, "200 ms each second", command, ws.environment)


def websockets():
    """Python's websockets, in an environment of its own below target/."""
    venv = TOP / "target" / "compare-servers" / f"websockets-{WEBSOCKETS}"
    python = venv / "bin" / "python"
    try:
        if not (venv / "ready").exists():
            call([sys.executable, "-m", "venv", "--clear", str(venv)], TOP)
            call([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                  f"websockets=={WEBSOCKETS}"], TOP)
            (venv / "ready").touch()
        version = call([str(python), "--version"], TOP).strip()
    except BuildFailed as why:
        raise LeftOut(f"websockets can't be installed: {why}") from why
    command = shlex.join([str(python), str(peers.PEERS / "pypi" / "websockets_echo.py")])
    return Peer("websockets", f"{WEBSOCKETS} on {version}", command)
