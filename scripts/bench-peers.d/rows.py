"""The rows of the table, and the interleaved measurement of them."""
import sys
import time

from peers import NO_BROADCAST
from servers import Failure, Server, calls_per_message, client

HELD = 10_000


BEGAN = time.monotonic()


def say(what):
    print(f"bench-peers [{(time.monotonic() - BEGAN) / 60:.1f} min]: {what}", file=sys.stderr, flush=True)


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
    return row.mode != "broadcast" or peer.name not in NO_BROADCAST


class Bench:
    """What is measured, and the figures so far. A failed run is noted, and the rest goes on."""

    def __init__(self, rig, peers, rows, window_s):
        self.rig, self.peers = rig, peers
        self.rows = [ROWS[row] for row in rows]
        self.window = ["--window-ms", str(int(window_s * 1000)), "--warmup-ms", "150"]
        self.figures, self.calls, self.memory, self.failures = {}, {}, {}, []

    def fail(self, what, peer, why):
        self.failures.append(f"{peer}, {what}: {why}")
        say(self.failures[-1])

    def start(self, core, environment=None):
        servers = {}
        for peer in self.peers:
            try:
                servers[peer] = Server(peer, core, environment)
            except Failure as why:
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
                    at = turn % max(len(order), 1)
                    for peer in order[at:] + order[:at]:
                        run = self.run(row, servers[peer], client_core, placement)
                        into[row.name].setdefault(peer.name, []).append(run)
                say(f"{placement}: round {turn + 1} of {rounds}")
        finally:
            end(servers)

    def run(self, row, server, core, placement):
        try:
            got = client(self.rig, server, core, row, *self.window)
        except Failure as why:
            self.fail(f"{row.name}, {placement}", server.name, why)
            return None
        if not got["messages"]:
            self.fail(f"{row.name}, {placement}", server.name, "no message within the window")
            return None
        ns = got["seconds"] * 1e9
        return {"server_us": got["server_ns"] / got["messages"] / 1000,
                "client_us": got["client_ns"] / got["messages"] / 1000,
                "server_busy": got["server_ns"] / ns, "client_busy": got["client_ns"] / ns,
                "per_second": got["messages"] / got["seconds"]}

    def count_calls(self, core):
        """{row: {name: system calls for each message}}, each server alone under strace."""
        rows = [row for row in self.rows if row.counted]
        self.calls = {row.name: {} for row in rows}
        for peer in self.peers:
            try:
                server = Server(peer, core)
            except Failure as why:
                self.fail("system calls", peer.name, why)
                continue
            try:
                for row in rows if server.process else []:
                    if does(peer, row):
                        count = calls_per_message(self.rig, server, core, row)
                        self.calls[row.name][peer.name] = count
            except Failure as why:
                self.fail("system calls", peer.name, why)
            finally:
                server.end()
        say("system calls: counted")

    def hold(self, server_core, client_core):
        """{name: bytes of the server's own memory for each connection}, each in a fresh process."""
        for row in [row for row in self.rows if row.mode == "hold"]:
            for peer in self.peers:
                server = None
                try:
                    server = Server(peer, server_core, {"PEER_COLLECT": "1"})
                    if server.process:
                        got = client(self.rig, server, client_core, row)
                        self.memory[peer.name] = got["bytes"] / got["held"]
                except Failure as why:
                    self.fail(row.name, peer.name, why)
                finally:
                    if server:
                        server.end()
            say("idle connections: held")


def end(servers):
    for server in servers.values():
        server.end()
