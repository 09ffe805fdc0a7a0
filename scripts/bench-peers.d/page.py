"""What every report of a benchmark needs: its machine, and its place in docs/BENCHMARKS.md."""
import datetime
import os
import pathlib
import platform
import re
import subprocess

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
DOCS = TOP / "docs"


def read(path):
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return "unknown"


def machine(load):
    """The machine as a report names it; `load` is /proc/loadavg's first figure before the runs."""
    model = re.search(r"model name\s*: (.*)", read("/proc/cpuinfo"))
    return {"cpu": model[1] if model else platform.machine(),
            "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "congestion": read("/proc/sys/net/ipv4/tcp_congestion_control"), "load": load,
            "date": datetime.date.today().isoformat()}


def version():
    """The commit that is measured, and whether it has changed since."""
    try:
        said = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=TOP,
                              capture_output=True, text=True).stdout.strip()
    except OSError:
        said = ""
    return said or "of an unknown commit"


def siblings(core, other):
    """Whether both are threads of one core; no where the kernel does not tell."""
    said = read(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    if core == other or said == "unknown":
        return False
    ranges = (part.split("-") for part in said.split(","))
    return any(int(ends[0]) <= other <= int(ends[-1]) for ends in ranges)


def load_now():
    return read("/proc/loadavg").split()[0]


def publish(name, shown, at="BENCHMARKS.md"):
    """Puts `shown` between the two marks of `name` in a page of docs/."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = DOCS / at
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{name}: docs/{at} has lost its marks {begin} and {end}")
    page.write_text(f"{before}{begin}\n{shown}{end}{after}")
