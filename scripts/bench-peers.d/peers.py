"""The servers under comparison: where each comes from, how it is built, and how it is started.

A peer that can't be had here is left out with the reason; it is never counted as measured.
"""
import json
import pathlib
import platform
import re
import shlex

import page
from page import TOP
from programs import RIG, BuildFailed, LeftOut, call, cargo, need

PEERS = TOP / "benches" / "peers"
NPM = PEERS / "npm"

RUST_PEERS = ["fastwebsockets", "tokio-tungstenite", "tokio-websockets", "sockudo-ws",
              "sockudo-ws-raw"]
NAMES = ["raw", "plimsoll", "uWebSockets", *RUST_PEERS, "bun", "ws"]
# Those that only echo: the protocol alone has nobody to publish to.
NO_BROADCAST = {"sockudo-ws-raw"}
# Those that pass text on unseen: in a row of text they would be compared for what they leave out.
NO_VALIDATION = {"sockudo-ws-raw"}
PLIMSOLL = "--listen 127.0.0.1:0 --admin off --threads 1 --max-message 4MiB"


class Peer:
    """A name, a version, and how to start it: a command, or the URL of one that runs already."""

    def __init__(self, name, version, command, environment=None):
        self.name, self.version, self.command = name, version, command
        self.environment = environment or {}
        self.started_here = not command.startswith("ws://")


def build_all(names, server_args):
    """(peers that can be had, {name: why it can't}, builds that failed)."""
    found, left_out, failures = [], {}, []
    for name in names:
        try:
            found.append(build(name, server_args))
        except BuildFailed as why:
            failures.append(f"{name}, build: {why}")
        except LeftOut as why:
            left_out[name] = str(why)
    return found, left_out, failures


def build(name, server_args):
    if name == "raw":
        return Peer(name, page.version(), shlex.join([*cargo(RIG, "rig"), "raw"]))
    if name == "plimsoll":
        own = f"{version(TOP / 'Cargo.lock', 'plimsoll')} ({page.version()})"
        program = shlex.join(cargo(TOP, "plimsoll"))
        return Peer(name, own, f"{program} {PLIMSOLL} {server_args}")
    if name in RUST_PEERS:
        crate = name.removesuffix("-raw")
        return Peer(name, version(PEERS / "Cargo.lock", crate),
                    shlex.join(cargo(PEERS, name)))
    return {"uWebSockets": uwebsockets, "bun": bun, "ws": ws}[name]()


def version(lock, crate):
    match = re.search(rf'name = "{re.escape(crate)}"\nversion = "([^"]+)"', lock.read_text())
    if not match:
        raise LeftOut(f"{lock.relative_to(TOP)} does not know {crate}")
    return match[1]


def uwebsockets():
    """uWebSockets from the sources in a crate, with its own flags: its epoll loop, no TLS."""
    need("g++", "the Debian package g++")
    need("gcc", "the Debian package gcc")
    crate = "libuwebsockets-sys"
    known = json.loads(call(["cargo", "metadata", "--locked", "--format-version", "1"], PEERS))
    at = next(package for package in known["packages"] if package["name"] == crate)
    source = pathlib.Path(at["manifest_path"]).parent / "uWebSockets"
    host = PEERS / "uwebsockets" / "host.cc"
    to = PEERS / "target" / "uwebsockets"
    program = to / "host"
    # This file too: it holds the flags.
    made_of = [host, PEERS / "Cargo.lock", pathlib.Path(__file__)]
    newest = max(path.stat().st_mtime for path in made_of)
    if not program.exists() or program.stat().st_mtime < newest:
        to.mkdir(parents=True, exist_ok=True)
        flags = ["-O3", "-flto", "-march=native", "-w", "-DLIBUS_NO_SSL", "-DUWS_NO_ZLIB",
                 f"-I{source}/src", f"-I{source}/uSockets/src"]
        sockets = source / "uSockets" / "src"
        parts = [*sorted(sockets.glob("*.c")), sockets / "eventing" / "epoll_kqueue.c"]
        call(["gcc", "-std=c11", *flags, "-c", *map(str, parts)], to)
        objects = [f"{part.stem}.o" for part in parts]
        call(["g++", "-std=c++20", *flags, str(host), *objects, "-o", str(program)], to)
    return Peer("uWebSockets", f"in {crate} {at['version']}", shlex.quote(str(program)))


def npm(package):
    """The folder of an npm package at the locked version, and that version."""
    need("npm", "the Debian packages nodejs and npm")
    lock = json.loads((NPM / "package-lock.json").read_text())
    wanted = lock["packages"].get(f"node_modules/{package}")
    if not wanted:
        raise LeftOut(f"npm has no {package} in {NPM.relative_to(TOP)}/package-lock.json")
    folder = NPM / "node_modules" / package
    if installed(folder) != wanted["version"]:
        try:
            call(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], NPM)
        except BuildFailed as why:
            raise LeftOut(f"npm can't install {package}: {why}") from why
    if installed(folder) != wanted["version"]:
        raise LeftOut(f"npm installs no {package} on {platform.machine()}")
    return folder, wanted["version"]


def installed(folder):
    try:
        return json.loads((folder / "package.json").read_text())["version"]
    except OSError:
        return None


def bun():
    machine = {"x86_64": "x64"}.get(platform.machine(), platform.machine())
    folder, number = npm(f"@oven/bun-linux-{machine}")
    program = folder / "bin" / "bun"
    program.chmod(0o755)
    return Peer("bun", number, shlex.join([str(program), str(NPM / "bun.js")]))


def ws():
    _, number = npm("ws")
    node = need("node", "the Debian package nodejs")
    runtime = call([node, "--version"], NPM).strip()
    # Without a binary for this machine it masks in JavaScript, and says nothing.
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    prebuilt = NPM / "node_modules" / "bufferutil" / "prebuilds" / f"linux-{machine}"
    masks = "" if prebuilt.is_dir() else ", masking in JavaScript: bufferutil has no binary here"
    return Peer("ws", f"{number} on node {runtime}{masks}",
                shlex.join([node, "--expose-gc", str(NPM / "ws.cjs")]),
                {"UV_THREADPOOL_SIZE": "1"})
