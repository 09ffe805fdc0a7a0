"""Builds the programs that are measured, and says what to do where one can't be built."""
import json
import shlex
import shutil
import subprocess

from page import TOP

RIG = TOP / "benches" / "rig"
# Long enough for a first download and build on a slow machine, and an end to one that hangs.
BUILD_S = 1800


class LeftOut(Exception):
    """Why a program can't be had here."""


class BuildFailed(LeftOut):
    """What went wrong in a build that has all that it needs."""


def cargo(where, *names, more=()):
    """Builds release programs of the workspace at `where`; their paths, in the same order."""
    need("cargo", "rustup or the Debian package cargo")
    wanted = [word for name in names for word in ("--bin", name)]
    said = call(["cargo", "build", "--release", "--quiet", "--locked", *wanted, *more,
                 "--message-format=json-render-diagnostics"], where)
    built = [json.loads(line) for line in said.splitlines()]
    paths = {made["target"]["name"]: made["executable"]
             for made in built if made.get("executable")}
    return [paths[name] for name in names]


def need(program, source):
    path = shutil.which(program)
    if not path:
        raise LeftOut(f"{program} is missing: install {source}")
    return path


def call(command, where):
    """Its output; or BuildFailed with the end of what it said, and how to see the whole."""
    kept = [word for word in command if not word.startswith(("-I", "--message-format"))]
    again = f"run `{shlex.join(kept)[:160]}` in {where.relative_to(TOP)}/ to see the whole"
    try:
        run = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=BUILD_S)
    except subprocess.TimeoutExpired as late:
        raise BuildFailed(f"{command[0]} took more than {BUILD_S} s; {again}") from late
    if run.returncode != 0:
        said = " / ".join((run.stderr or run.stdout).strip().splitlines()[-4:])
        raise BuildFailed(f"{command[0]} failed: {said[-400:]}; {again}")
    return run.stdout
