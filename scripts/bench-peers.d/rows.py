"""The rows of the table, and the interleaved measurement of them."""
import random
import subprocess
import sys
import time

from peers import NO_BROADCAST, NO_VALIDATION
from programs import LeftOut
from servers import Failure, Server, calls_per_message, client

HELD = 10_000
# Times that idle connections are held, each in a fresh process: a run takes about 7 s.
HOLDS = 3
# What one run may fail by: a server that is gone, a program that is missing, a tracer that hangs.
FAILURES = (Failure, OSError, subprocess.SubprocessError, ValueError)
BEGAN = time.monotonic()


def say(what):
    minutes = (time.monotonic() - BEGAN) / 60
    print(f"bench-peers [{minutes:.1f} min]: {what}", file=sys.stderr, flush=True)


class Row:
    """A name, what the client is told, and how many messages a count of system calls takes."""

    def __init__(self, name, mode, counted, *options):
        self.name, self.mode, self.counted, self.options = name, mode, counted, options


ROWS = {row.name: row for row in [
    Row("20 B", "echo", 4_000, "--size", "20", "--connections", "200"),
    Row("20 B (16 in flight)", "echo", 16_000, "--size", "20", "--connections", "200",
        "--in-flight", "16"),
    Row("1 KiB", "echo", 4_000, "--size", "1024", "--connections", "200"),
    Row("4 x 256 B fragments", "echo", 4_000, "--size", "1024", "--connections", "200",
        "--fragments", "4"),
    Row("16 KiB binary", "echo", 2_000, "--size", "16384", "--connections", "50"),
    Row("16 KiB text", "echo", 2_000, "--size", "16384", "--connections", "50",
        "--payload", "ascii"),
    Row("16 KiB Cyrillic text", "echo", 2_000, "--size", "16384", "--connections", "50",
        "--payload", "letters"),
    Row("64 KiB", "echo", 500, "--size", "65536", "--connections", "10"),
    Row("1 MiB", "echo", 60, "--size", "1048576", "--connections", "2"),
    Row("broadcast to 1000", "broadcast", 5_000, "--size", "64", "--connections", "1000"),
    Row("broadcast to 1000 (16 in flight)", "broadcast", 32_000, "--size", "64",
        "--connections", "1000", "--in-flight", "16"),
    Row("idle connection", "hold", 0, "--size", "20", "--connections", str(HELD)),
]}


def does(peer, row):
    return does_named(peer.name, row)


def does_named(name, row):
    """Whether the peer does what the row measures, and not only something like it."""
    if row.mode == "broadcast":
        return name not in NO_BROADCAST
    return "--payload" not in row.options or name not in NO_VALIDATION


class Bench:
    """What is measured, and the figures so far. A failed run is noted, and the rest goes on.

    `seed` orders the servers of each row and round anew: in one order that only moves on, a server
    would always follow the same one, and pay for what that left in the caches.
    """

    def __init__(self, rig, peers, rows, window_s, seed):
        self.rig, self.peers = rig, peers
        self.rows = [ROWS[row] for row in rows]
        self.random = random.Random(seed)
        self.window = ["--window-ms", str(int(window_s * 1000)), "--warmup-ms", "150"]
        self.figures, self.calls, self.memory, self.failures = {}, {}, {}, []

    def fail(self, what, peer, why):
        self.failures.append(f"{peer}, {what}: {why}")
        say(self.failures[-1])

    def attempt(self, what, who, work):
        try:
            work()
        except (LeftOut, *FAILURES) as why:
            self.fail(what, who, why)

    def start(self, core, environment=None):
        servers = {}
        for peer in self.peers:
            try:
                servers[peer] = Server(peer, core, environment)
            except FAILURES as why:
                self.fail("start", peer.name, why)
            except BaseException:
                end(servers)
                raise
        return servers

    def measure(self, placement, rounds, server_core, client_core):
        """{row: {name: [a run for each round, None where it failed]}}; servers take turns."""
        rows = [row for row in self.rows if row.mode != "hold"]
        into = {row.name: {} for row in rows}
        self.figures[placement] = into
        servers = self.start(server_core)
        try:
            for turn in range(rounds):
                for row in rows:
                    order = [peer for peer in servers if does(peer, row)]
                    self.random.shuffle(order)
                    for peer in order:
                        run = self.run(row, servers[peer], client_core, placement)
                        into[row.name].setdefault(peer.name, []).append(run)
                say(f"{placement}: round {turn + 1} of {rounds}")
        finally:
            end(servers)

    def run(self, row, server, core, placement):
        try:
            got = client(self.rig, server, core, row, *self.window)
        except FAILURES as why:
            self.fail(f"{row.name}, {placement}", server.name, why)
            return None
        if not got["messages"]:
            self.fail(f"{row.name}, {placement}", server.name, "no message within the window")
            return None
        ns, server_ns = got["seconds"] * 1e9, got["server_ns"]
        # A server that runs elsewhere has no processor time that could be read here.
        known = server_ns is not None
        return {"server_us": server_ns / got["messages"] / 1000 if known else None,
                "client_us": got["client_ns"] / got["messages"] / 1000,
                "server_busy": server_ns / ns if known else None,
                "client_busy": got["client_ns"] / ns,
                "per_second": got["messages"] / got["seconds"]}

    def count_calls(self, core):
        """{row: {name: system calls for each message}}, each server alone under strace."""
        rows = [row for row in self.rows if row.counted]
        self.calls.update({row.name: {} for row in rows})
        for peer in self.peers:
            if not peer.started_here:
                continue
            try:
                server = Server(peer, core)
            except FAILURES as why:
                self.fail("system calls", peer.name, why)
                continue
            try:
                for row in rows:
                    if does(peer, row):
                        self.count(row, server, core)
            finally:
                server.end()
        say("system calls: counted")

    def count(self, row, server, core):
        try:
            self.calls[row.name][server.name] = calls_per_message(self.rig, server, core, row)
        except FAILURES as why:
            self.fail(f"system calls, {row.name}", server.name, why)

    def hold(self, server_core, client_core, times=HOLDS):
        """{name: [bytes of the server's own memory for each connection]}, in fresh processes."""
        for row in [row for row in self.rows if row.mode == "hold"]:
            for _ in range(times):
                for peer in self.peers:
                    if peer.started_here:
                        self.hold_once(row, peer, server_core, client_core)
            say("idle connections: held")

    def hold_once(self, row, peer, server_core, client_core):
        server = None
        try:
            # What a peer does for many idle connections: its own advice, and a look by a collector.
            server = Server(peer, server_core, {"PEER_IDLE": "1"})
            got = client(self.rig, server, client_core, row)
            self.memory.setdefault(peer.name, []).append(got["bytes"] / got["held"])
        except FAILURES as why:
            self.fail(row.name, peer.name, why)
        finally:
            if server:
                server.end()


def end(servers):
    for server in servers.values():
        server.end()
