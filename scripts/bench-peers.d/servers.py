"""Starts a server on one core, drives it with the neutral client, counts its system calls."""
import json
import os
import pathlib
import re
import resource
import select
import shlex
import signal
import socket
import subprocess
import tempfile
import time

READY_S = 20
CLIENT_S = 120


class Failure(Exception):
    """A server or a run that gave no figure, and why."""


class Server:
    """One server on one core, for as long as it is measured."""

    def __init__(self, peer, core, environment=None):
        self.name, self.process = peer.name, None
        self.url = self.relay = peer.command
        if not peer.started_here:
            return
        port = free_port()
        argv = shlex.split(peer.command.replace("{port}", str(port)))
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL,
            env=os.environ | peer.environment | (environment or {}),
            preexec_fn=lambda: place(core))
        fixed = f"ws://127.0.0.1:{port}" if "{port}" in peer.command else None
        self.url = self.wait(fixed, port)

    def wait(self, fixed, port):
        seen, end = b"", time.monotonic() + READY_S
        while time.monotonic() < end and self.process.poll() is None:
            if fixed:
                if opens(port):
                    return fixed
                time.sleep(0.1)
            elif select.select([self.process.stdout], [], [], 0.2)[0]:
                seen += os.read(self.process.stdout.fileno(), 4096)
                ready = re.search(rb"listening on ((?:ws|tcp)://[\w.:\[\]]+)", seen)
                if ready:
                    relay = re.search(rb"relaying on (tcp://[\w.:\[\]]+)", seen)
                    self.relay = relay[1].decode() if relay else None
                    return ready[1].decode()
        ended = self.process.poll()
        self.end()
        self.log.seek(0)
        said = self.log.read().decode(errors="replace")[-400:].strip()
        what = f"not ready after {READY_S} s" if ended is None else f"it ended with {ended}"
        raise Failure(f"{what}: {said or 'it said nothing'}")

    def at(self, mode):
        """Where a row of this mode goes: raw has a port for each, the others have paths."""
        if mode != "broadcast":
            return self.url
        return self.relay if self.url.startswith("tcp://") else self.url.rstrip("/") + "/broadcast"

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def place(core):
    """In the child: on its core, with as many descriptors as the system lets it have."""
    os.sched_setaffinity(0, {core})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def opens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def command(rig, server, row, *options):
    """The client's command line for a row."""
    words = [rig, "client", server.at(row.mode), "--mode", row.mode, *row.options, *options]
    if server.process:
        if server.process.poll() is not None:
            raise Failure(f"the server has ended with {server.process.returncode}")
        if "--gated" not in options:
            words += ["--server-pid", str(server.process.pid)]
    return words


def client(rig, server, core, row, *options):
    """What the client prints of one run."""
    try:
        run = subprocess.run(command(rig, server, row, *options), capture_output=True, text=True,
                             timeout=CLIENT_S, preexec_fn=lambda: place(core))
    except subprocess.TimeoutExpired as late:
        raise Failure(f"the client took more than {CLIENT_S} s") from late
    if run.returncode != 0:
        raise Failure(run.stderr.strip() or f"the client ended with {run.returncode}")
    return json.loads(run.stdout)


def calls_per_message(rig, server, core, row):
    """System calls for each message of the loop, without those of opening and closing."""
    words = command(rig, server, row, "--gated", "true", "--messages", str(row.counted))
    run = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, preexec_fn=lambda: place(core))
    try:
        pass_gate(run, None)
        with tempfile.NamedTemporaryFile("r") as summary:
            calls, said = traced(server, summary, lambda: pass_gate(run, "\n"))
        _, error = run.communicate("\n", timeout=CLIENT_S)
        if run.returncode != 0:
            raise Failure(error.strip() or f"the client ended with {run.returncode}")
    finally:
        if run.poll() is None:
            run.kill()
            run.wait()
    return calls / said["total"]


def pass_gate(run, word):
    """Lets the client go on with `word` and waits for what it says at its next gate."""
    if word:
        run.stdin.write(word)
        run.stdin.flush()
    line = run.stdout.readline()
    if not line:
        raise Failure(run.stderr.read().strip() or "the client ended early")
    return json.loads(line)


def traced(server, summary, work):
    """(the server's system calls during `work`, what it returns)."""
    tracer = subprocess.Popen(
        ["strace", "-c", "-f", "-qq", "-o", summary.name, "-p", str(server.process.pid)],
        stderr=subprocess.PIPE)
    try:
        wait_traced(server.process.pid, tracer)
        said = work()
    finally:
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGINT)
        try:
            tracer.wait(20)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.wait()
    total = [line.split() for line in summary if line.rstrip().endswith(" total")]
    if not total:
        raise Failure("strace counted nothing")
    # "100.00    0.012345    0    4711    17 total": errors may be missing, calls never are.
    return int(total[0][3]), said


def wait_traced(pid, tracer):
    """Returns once every thread has its tracer."""
    for _ in range(100):
        if tracer.poll() is not None:
            raise Failure(f"strace could not attach: {tracer.stderr.read().decode().strip()}")
        if all(has_tracer(task, tracer) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()):
            return
        time.sleep(0.05)
    raise Failure("strace did not attach within 5 s")


def has_tracer(task, tracer):
    try:
        return f"TracerPid:\t{tracer.pid}" in (task / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        # A thread that has just ended needs none.
        return True
