"""A result as Markdown: every figure is a median of rounds."""
import statistics

from report import grid, short

# Fewer connections than this tell nothing about bytes or setup: one page more or less decides.
LEAST_FOR_EACH = 1000
# What loadgen says of a generator, or a machine, whose cores were full.
FULL_CORES = "over 85 %"


def middle(runs, key):
    """The median over the rounds that have the figure; None if none has."""
    found = [run[key] for run in runs if run.get(key) is not None]
    return statistics.median(found) if found else None


def spread(runs, key):
    found = [run[key] for run in runs if run.get(key) is not None]
    if not found:
        return "-"
    least, most = short(min(found)), short(max(found))
    return short(statistics.median(found)) + (f" ({least}-{most})" if len(found) > 1 else "")


def time_of(us):
    if us is None:
        return "-"
    return f"{us:.0f} us" if us < 1000 else f"{us / 1000:.3g} ms" if us < 1e6 else \
        f"{us / 1e6:.3g} s"


def named(result, kind):
    """[(number, runs)] of the jobs of one kind."""
    found = [(name.split()[1], runs) for name, runs in result["figures"].items()
             if name.split()[0] == kind]
    return sorted((int(number), runs) for number, runs in found)


def cost(result):
    body = []
    for (n, closed), (_, opened) in zip(named(result, "closed"), named(result, "open")):
        body.append([f"{n:,}", spread(closed, "server_us"), spread(closed, "generator_us"),
                     short(middle(closed, "per_second")), spread(opened, "server_us"),
                     spread(opened, "generator_us"), time_of(middle(opened, "p50_us")),
                     time_of(middle(opened, "p99_us"))])
    return grid(["connections", "server us", "generator us", "messages/s",
                 "server us, fixed rate", "generator us, fixed rate", "p50", "p99"], body)


def both(result):
    """[(number, runs of both kinds)]: setup and memory are measured in each of them."""
    pairs = zip(named(result, "closed"), named(result, "open"))
    return [(n, closed + opened) for (n, closed), (_, opened) in pairs if n >= LEAST_FOR_EACH]


def memory(result):
    body = [[f"{n:,}", spread(runs, "server_bytes"), spread(runs, "generator_bytes"),
             spread(runs, "kernel_bytes")] for n, runs in both(result)]
    return grid(["connections", "server, user", "generator, user", "kernel, both ends"], body)


def setup(result):
    body = [[f"{n:,}", spread(runs, "setups_per_second"), spread(runs, "server_setup_us"),
             spread(runs, "generator_setup_us")] for n, runs in both(result)]
    return grid(["connections", "a second", "server us each", "generator us each"], body)


def shards(result):
    body = [[str(n), spread(runs, "server_us"), spread(runs, "generator_us"),
             time_of(middle(runs, "p50_us")), time_of(middle(runs, "p99_us"))]
            for n, runs in named(result, "shards")]
    return grid(["shards", "server us", "generator us", "p50", "p99"], body)


def million(result):
    def of(run, key):
        return "-" if run[key] is None else f"{run[key]:,.0f}"

    def user(run):
        if run["shared_process"]:
            return f"{of(run, 'server_bytes')} together"
        return f"{of(run, 'server_bytes')} / {of(run, 'generator_bytes')}"

    lines = [
        ("established / failed / closed early", lambda run: " / ".join(
            of(run, key) for key in ("established", "failed", "closed_early"))),
        ("seconds to connect", lambda run: short(run["connect_s"])),
        ("heartbeats sent / unanswered", lambda run: " / ".join(
            of(run, key) for key in ("pings", "pings_unanswered"))),
        ("answer p50 / p99 / p99.9", lambda run: " / ".join(
            time_of(run[key]) for key in ("p50_us", "p99_us", "p999_us"))
         + (f" ({run['latency']})" if run["latency"] else "")),
        ("server / generator, % of one core", lambda run: " / ".join(
            short(run[key]) for key in ("server_percent", "generator_percent"))),
        ("user bytes a connection, server / generator", user),
        ("kernel bytes a connection, both ends", lambda run: of(run, "kernel_bytes")),
        ("verdict", lambda run: run["verdict"]),
    ]
    runs = result["million"]
    body = [[title, *(cell(run) for run in runs.values())] for title, cell in lines]
    table = grid(["", *runs], body)
    reasons = [f"{name}: {reason}" for name, run in runs.items() for reason in run["reasons"]]
    return table + "".join(f"\n\n{reason}." for reason in reasons)


def header(result):
    machine = result["machine"]
    lines = [f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux "
             f"{machine['kernel']}, hard limit of {machine['open_files']:,} open files, load "
             f"{machine['load']} at the start, {machine['date']}; plimsoll {result['version']}. "
             f"Median of {result['rounds']} interleaved rounds of {result['seconds']:g} s "
             f"(least-greatest). `{result['command']}`"]
    lines += [f"\n**Failed: {failure}.**" for failure in result["failures"]]
    return "\n".join(lines)


def unsure(result):
    """Runs that loadgen itself does not trust, with its verdicts. A closed loop fills the cores,
    which is its purpose: that alone is no reason there."""
    found = {}
    for name, runs in result["figures"].items():
        for run in runs:
            reasons = [reason for reason in run["reasons"]
                       if not (name.startswith("closed") and FULL_CORES in reason)]
            if run["verdict"] != "valid" and reasons:
                found.setdefault((name, run["verdict"]), []).append(reasons[0])
    lines = [f"\n- {name}: `{verdict}` in {len(reasons)} of {len(result['figures'][name])} rounds; "
             f"{reasons[0]}." for (name, verdict), reasons in sorted(found.items())]
    if not lines:
        return ""
    return ("\n\nloadgen does not trust these runs, whose times are not the server's alone:\n"
            + "".join(lines))


def sections(result):
    """(title, explanation, table) of all that was measured."""
    if named(result, "closed"):
        yield ("Cost of a message by connections", "CPU of 125-byte echoes, user and system, in "
               "microseconds: a closed loop with one in flight on each connection, and "
               f"{result['rate']:,} a second over all of them, with the response time of those.",
               cost(result) + unsure(result))
    if both(result):
        yield ("Bytes of a connection", "Growth from no connection to all, before any message: "
               "resident memory of each process, and slab of the whole machine.", memory(result))
        yield ("Setup", "TCP and upgrade, as fast as they complete.", setup(result))
    if named(result, "shards"):
        yield ("Shards", f"{result['shard_connections']:,} connections, {result['shard_rate']:,} "
               "echoes a second, on as many server threads.", shards(result))
    if result.get("million"):
        yield ("A million connections", "Heartbeats every 60 s, two minutes measured, one run each.",
               million(result))


def markdown(result):
    parts = [header(result)]
    parts += [f"### {title}\n\n{said}\n\n{table}" for title, said, table in sections(result)]
    return "\n\n".join(parts) + "\n"
