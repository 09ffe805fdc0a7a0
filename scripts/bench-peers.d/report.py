"""A result as Markdown: every figure is a median of rounds, every ratio is taken within a round."""
import statistics

from rows import HELD, ROWS

TITLES = {"same": "server and client on one core", "different": "server and client on two cores"}
# A client that works this much of the time may be what limits messages/s.
CLIENT_BOUND = 0.90


def runs(result, placement, row, name):
    """One entry for each round; None where there is no figure."""
    return result["figures"].get(placement, {}).get(row, {}).get(name, [])


def values(result, placement, row, name, key):
    return [run[key] for run in runs(result, placement, row, name) if run and run[key]]


def paired(result, placement, row, name, other):
    """Ratios of server CPU, one for each round in which both have a figure."""
    both = zip(runs(result, placement, row, name), runs(result, placement, row, other))
    return [a["server_us"] / b["server_us"] for a, b in both
            if a and b and a["server_us"] and b["server_us"]]


def median_of(numbers):
    return statistics.median(numbers) if numbers else None


def spread(numbers, digits):
    if not numbers:
        return "-"
    return (f"{statistics.median(numbers):.{digits}f} "
            f"({min(numbers):.{digits}f}-{max(numbers):.{digits}f})")


def short(number):
    """Three digits, as far as there are as many."""
    if number is None:
        return "-"
    return f"{number:.3f}" if number < 1 else f"{number:.2f}" if number < 10 else \
        f"{number:.1f}" if number < 100 else f"{number:,.0f}"


def grid(head, body):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def names(result):
    return list(result["versions"])


def rows_of(result, placement):
    return [row for row in ROWS if row in result["figures"].get(placement, {})]


def per_row(result, placement, cell):
    """A table with a row for each row and a column for each server."""
    head = ["row", *names(result)]
    return grid(head, [[row, *(cell(row, name) for name in names(result))]
                       for row in rows_of(result, placement)])


def cost(result, placement):
    return per_row(result, placement, lambda row, name: short(
        median_of(values(result, placement, row, name, "server_us"))))


def against_raw(result, placement):
    return per_row(result, placement, lambda row, name: short(
        median_of(paired(result, placement, row, name, "raw"))))


def against_each(result, placement):
    others = [name for name in names(result) if name not in ("raw", "plimsoll")]
    body = [[row, *(spread(paired(result, placement, row, "plimsoll", other), 2)
                    for other in others)] for row in rows_of(result, placement)]
    return grid(["row", *others], body)


def client_bound(result, row, name):
    """Whether the client was busy and the server was not, with a core for each."""
    client = median_of(values(result, "different", row, name, "client_busy"))
    server = median_of(values(result, "different", row, name, "server_busy"))
    return bool(client and server and client >= CLIENT_BOUND > server)


def rate(result, placement):
    def cell(row, name):
        middle = median_of(values(result, placement, row, name, "per_second"))
        mark = "†" if placement == "different" and client_bound(result, row, name) else ""
        return "-" if middle is None else f"{middle:,.0f}{mark}"
    return per_row(result, placement, cell)


def busy(result):
    def cell(row, name):
        client = median_of(values(result, "different", row, name, "client_busy"))
        server = median_of(values(result, "different", row, name, "server_busy"))
        return "-" if not client or not server else f"{client:.0%} / {server:.0%}"
    return per_row(result, "different", cell)


def header(result):
    machine = result["machine"]
    versions = "; ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines = [f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, congestion "
             f"control {machine['congestion']} for all, load {machine['load']} at the start, "
             f"{machine['date']}. Times are medians of {result['rounds']} rounds of "
             f"{result['seconds']:g} s, each in an order of its own (seed {result['seed']}); "
             f"system calls are one run each. `{result['command']}`", "", f"Versions: {versions}."]
    if machine["siblings"]:
        lines += ["", "**The two cores are two threads of one core**: client and server share it "
                  "in the rows of two cores as well."]
    for name, why in result["left_out"].items():
        lines += ["", f"**Left out: {name}**: {why}."]
    for failure in result["failures"]:
        lines += ["", f"**Failed: {failure}.**"]
    return "\n".join(lines)


def sections(result):
    """(title, explanation, table) of all that was measured."""
    has_raw, has_own = "raw" in names(result), "plimsoll" in names(result)
    for placement in result["figures"]:
        title = TITLES[placement]
        yield (f"Server CPU per message, {title}", "Microseconds, user and system; a broadcast's "
               "message is one delivery.", cost(result, placement))
        if has_raw:
            yield (f"Ratio to raw, {title}", "Server CPU against the raw TCP echo or relay of the "
                   "same round, median.", against_raw(result, placement))
        if has_own and len(names(result)) > 1:
            yield (f"plimsoll against each, {title}", "Server CPU of plimsoll divided by the "
                   "other's, median (least-greatest); below 1 plimsoll is cheaper.",
                   against_each(result, placement))
        if placement == "different":
            yield ("Messages per second, two cores", "† the client was busy at least "
                   f"{CLIENT_BOUND:.0%} of the time and the server was not: the rate is the "
                   "client's.", rate(result, placement))
            yield ("How busy client and server were, two cores", "Share of a core, client / "
                   "server.", busy(result))
    if any(result["calls"].values()):
        body = [[row, *(short(by.get(name)) for name in names(result))]
                for row, by in result["calls"].items()]
        yield ("System calls per message", "Under strace, each server alone, one run each.",
               grid(["row", *names(result)], body))
    if result["memory"]:
        cells = [spread(result["memory"].get(name), 0) for name in names(result)]
        yield ("Bytes per idle connection", f"Growth of the server's anonymous memory over "
               f"{HELD:,} connections that have echoed one message, median (least-greatest), each "
               "in a fresh process; the kernel's part is not in it.",
               grid(["", *names(result)], [["bytes", *cells]]))


def markdown(result):
    parts = [header(result)]
    parts += [f"### {title}\n\n{said}\n\n{table}" for title, said, table in sections(result)]
    return "\n\n".join(parts) + "\n"
