"""Whether a run is whole enough to stand in the docs: nobody there sees what it left out."""
from peers import NAMES
from rows import HOLDS, ROWS, does_named

LEAST_ROUNDS = 5
PLACEMENTS = ("same", "different")


def asked_for(args):
    """What in the command line makes the run a partial one."""
    reasons = [(args.rounds < LEAST_ROUNDS, f"--rounds {args.rounds} is below {LEAST_ROUNDS}"),
               (len(args.rows) < len(ROWS), "--rows leaves rows out"),
               (len(args.only) < len(NAMES), "--only leaves servers out"),
               (args.placement != "both", f"--placement {args.placement} is one of two"),
               (args.no_syscalls, "--no-syscalls leaves the system calls out"),
               (args.check, "--check is too short to measure anything"),
               (args.peer, "--peer adds a server that is not in the repository"),
               (args.server_args, "--server-args makes it another plimsoll")]
    return [reason for found, reason in reasons if found]


def lacks(result):
    """What a result lacks. A peer that can't be had here is told in its header, and no lack."""
    servers = list(result["versions"])
    found = [f"only {result['rounds']} rounds"] * (result["rounds"] < LEAST_ROUNDS)
    found += [f"{name} was neither measured nor found to be missing" for name in NAMES
              if name not in servers and name not in result["left_out"]]
    found += [f"{name} is not there" for name in ("raw", "plimsoll") if name not in servers]
    found += [f"{name} is not one of the repository's" for name in servers if name not in NAMES]
    found += [f"failed: {failure}" for failure in result["failures"]]
    for row in ROWS.values():
        for name in servers:
            if does_named(name, row):
                found += [f"{row.name}: {what} of {name}" for what in missing(result, row, name)]
    return found


def missing(result, row, name):
    if row.mode == "hold":
        if len(result["memory"].get(name, [])) < HOLDS:
            yield f"not {HOLDS} figures"
        return
    for placement in PLACEMENTS:
        runs = result["figures"].get(placement, {}).get(row.name, {}).get(name, [])
        if sum(run is not None for run in runs) < result["rounds"]:
            yield f"not every round on the {placement} core{'s' * (placement != 'same')}"
    if name not in result["calls"].get(row.name, {}):
        yield "no system calls"
