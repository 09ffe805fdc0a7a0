"""One run of plimsoll under loadgen, and the runs that make up a round."""
import json
import pathlib
import re
import select
import signal
import subprocess
import tempfile
import time

from page import TOP
from programs import cargo

READY_S = 20
# Most that a run may take: a million connections at 20,000 a second, two minutes, and their closes.
RUN_S = 600
# loadgen's exit codes that carry a result: valid, and measured but the generator's own.
MEASURED = (0, 4)
SHARD_CONNECTIONS, SHARD_RATE = 1000, 20_000
MILLION = 1_000_000


class Failed(Exception):
    """A run that gave no figures, and why."""


class Job:
    """One cell of the tables: what the server and loadgen are told."""

    def __init__(self, name, server, loadgen, inside=False):
        self.name, self.server, self.loadgen, self.inside = name, server, loadgen, inside


def jobs(args):
    """What every round measures, the same in each."""
    window = ["--warmup", "1s", "--drain", "1s", "--duration", f"{int(args.seconds * 1000)}ms",
              "--heartbeat", "off", "--ramp", "off"]
    found = []
    for n in args.connections:
        server = ["--max-connections", str(max(n, 1000))]
        load = ["--connections", str(n), *window]
        found.append(Job(f"closed {n}", server, load))
        found.append(Job(f"open {n}", server, [*load, "--rate", str(args.rate)]))
    load = ["--connections", str(SHARD_CONNECTIONS), "--rate", str(SHARD_RATE), *window]
    found += [Job(f"shards {n}", ["--threads", str(n)], load) for n in args.shards]
    return found


def million_jobs():
    """A million, held for two minutes: in two processes, in one, and with echoes beside."""
    load = ["--connections", str(MILLION), "--heartbeat", "60s", "--duration", "120s"]
    server = ["--max-connections", str(MILLION)]
    idle = [*load, "--mode", "idle"]
    return [Job("two processes", server, idle), Job("one process", [], idle, inside=True),
            Job("2,000 echoes a second", server, [*load, "--rate", "2000"])]


def build():
    """plimsoll and loadgen, from one build."""
    return cargo(TOP, "plimsoll", "loadgen", more=["--workspace"])


def ready(server):
    """The URL that the server says it listens on."""
    end, said = time.monotonic() + READY_S, ""
    while time.monotonic() < end:
        if select.select([server.stdout], [], [], 0.2)[0]:
            line = server.stdout.readline()
            said += line
            url = re.search(r"ws://\S+", line)
            if url:
                return url[0]
            if not line:
                break
    raise Failed(f"plimsoll did not say that it listens: {said.strip() or 'nothing'}")


def run(programs, job):
    """Runs one job and gives loadgen's result file."""
    plimsoll, loadgen = programs
    if job.inside:
        return drive([loadgen], job)
    command = [plimsoll, "--listen", "127.0.0.1:0", "--admin", "off", *job.server]
    # Its log would be read by nobody, and a full pipe would stop it.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as server:
        try:
            return drive([loadgen, ready(server), "--server-pid", str(server.pid)], job)
        finally:
            # Whoever is still there has been given up by loadgen: a second signal cuts them.
            server.send_signal(signal.SIGTERM)
            server.send_signal(signal.SIGINT)
            try:
                server.wait(READY_S)
            except subprocess.TimeoutExpired:
                server.kill()


def drive(command, job):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "result.json"
        try:
            done = subprocess.run([*command, *job.loadgen, "--quiet", "--json", file],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  timeout=RUN_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"{job.name}: no result after {RUN_S} s") from None
        if done.returncode not in MEASURED or not file.exists():
            said = done.stderr.strip().splitlines() or ["it said nothing"]
            raise Failed(f"{job.name}: loadgen ended with {done.returncode}: {said[-1]}")
        return json.loads(file.read_text())


def whole(job, connections):
    """Fewer connections than the row says are another row."""
    asked, made = connections["requested"], connections["established"]
    failed, early = connections["failed"], connections["closed_early"]
    if made != asked or failed or early:
        raise Failed(f"{job.name}: {made:,} of {asked:,} connections were established, {failed:,} "
                     f"failed and {early:,} closed early: its figures would be of another load")


def figures(job, result):
    """What the tables need of a result file; Failed where the run is another than was asked for."""
    whole(job, result["connections"])
    made = result["connections"]["established"]
    server, own, latency = result["server"] or {}, result["generator"], result["latency"]
    growth = server.get("kernel_growth", {})
    wall = result["phases"]["measure_s"]
    kind = next((kind for kind in ("response", "ping") if latency.get(kind)), None)
    answers = latency.get(kind)

    def each(value, scale=1.0):
        return value * scale / made if value is not None and made else None

    def quantile(name):
        return answers[name] / 1000 if answers else None

    return {
        "verdict": result["verdict"], "reasons": result["verdict_reasons"],
        "established": made, "failed": result["connections"]["failed"],
        "closed_early": result["connections"]["closed_early"],
        "per_second": result["messages"]["received"] / wall if wall else None,
        "pings": result["pings"]["sent"], "pings_unanswered": result["pings"]["unanswered"],
        "server_us": server.get("cpu_us_per_message"), "generator_us": own["cpu_us_per_message"],
        "server_percent": 100 * server["cpu_seconds"] / wall if server and wall else None,
        "generator_percent": 100 * own["cpu_seconds"] / wall if wall else None,
        "latency": kind, "p50_us": quantile("p50"), "p99_us": quantile("p99"), "p999_us": quantile("p999"),
        "connect_s": result["phases"]["connect_s"],
        "setups_per_second": made / result["phases"]["connect_s"],
        "server_setup_us": each(server.get("connect_cpu_seconds"), 1e6),
        "generator_setup_us": each(own["connect_cpu_seconds"], 1e6),
        "shared_process": server.get("shared_process", False),
        "server_bytes": server.get("bytes_per_connection"),
        "generator_bytes": own["bytes_per_connection"],
        "kernel_bytes": each(growth.get("slab_bytes")),
        "generator_threads": own["threads"],
    }
