"""The servers under comparison: where each comes from, how it is built, and how it is started.

A peer that can't be had here is left out with the reason; it is never counted as measured.
"""
import json
import pathlib
import platform
import re
import shlex
import shutil
import subprocess

from page import TOP

RIG = TOP / "benches" / "rig"
PEERS = TOP / "benches" / "peers"
NPM = PEERS / "npm"
# Long enough for a first download and build on a slow machine, and an end to one that hangs.
BUILD_S = 1800

RUST_PEERS = ["fastwebsockets", "tokio-tungstenite", "tokio-websockets", "sockudo-ws",
              "sockudo-ws-raw"]
NAMES = ["raw", "plimsoll", "uWebSockets", *RUST_PEERS, "bun", "ws"]
# Those that only echo: the protocol alone has nobody to publish to.
NO_BROADCAST = {"sockudo-ws-raw"}


class LeftOut(Exception):
    """Why a peer is not measured."""


class Peer:
    """A name, a version, and how to start it: a command, or the URL of one that runs already."""

    def __init__(self, name, version, command, environment=None):
        self.name, self.version, self.command = name, version, command
        self.environment = environment or {}


def build_all(names, server_args):
    """(peers that can be had, {name: why not})."""
    found, left_out = [], {}
    for name in names:
        try:
            found.append(build(name, server_args))
        except LeftOut as why:
            left_out[name] = str(why)
    return found, left_out


def build(name, server_args):
    if name == "raw":
        return Peer(name, version(TOP / "Cargo.lock", "plimsoll"),
                    shlex.quote(cargo(RIG)) + " raw")
    if name == "plimsoll":
        program = cargo(TOP, "--bin", "plimsoll")
        return Peer(name, version(TOP / "Cargo.lock", "plimsoll"),
                    f"{shlex.quote(program)} --listen 127.0.0.1:0 --admin off --threads 1 "
                    f"--max-message 4MiB {server_args}")
    if name in RUST_PEERS:
        crate = name.removesuffix("-raw")
        return Peer(name, version(PEERS / "Cargo.lock", crate),
                    shlex.quote(cargo(PEERS, "--bin", name)))
    return {"uWebSockets": uwebsockets, "bun": bun, "ws": ws}[name]()


def cargo(where, *what):
    """Builds a release program and returns its path."""
    need("cargo", "rustup or the Debian package cargo")
    run = call(["cargo", "build", "--release", "--quiet", "--locked",
                "--message-format=json-render-diagnostics", *what], where)
    built = [json.loads(line).get("executable") for line in run.splitlines()]
    return [path for path in built if path][-1]


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
    newest = max(path.stat().st_mtime for path in [host, PEERS / "Cargo.lock"])
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
        call(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], NPM)
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
    return Peer("ws", f"{number} on node {runtime}",
                shlex.join([node, "--expose-gc", str(NPM / "ws.cjs")]),
                {"UV_THREADPOOL_SIZE": "1"})


def need(program, source):
    path = shutil.which(program)
    if not path:
        raise LeftOut(f"{program} is missing: install {source}")
    return path


def call(command, where):
    """Its output; or LeftOut with the end of what it said."""
    try:
        run = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=BUILD_S)
    except subprocess.TimeoutExpired as late:
        raise LeftOut(f"{command[0]} took more than {BUILD_S} s") from late
    if run.returncode != 0:
        said = " / ".join((run.stderr or run.stdout).strip().splitlines()[-4:])
        raise LeftOut(f"`{' '.join(command[:3])}` failed in {where.relative_to(TOP)}: {said[-400:]}")
    return run.stdout
