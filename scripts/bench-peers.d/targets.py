"""The ratios that plimsoll is to reach, and whether a run reached them."""
from report import grid, median_of, paired, spread

# Row, placement, the most against raw, the most against uWebSockets (None: no target).
RATIOS = [
    ("20 B", "same", 1.03, 1.00),
    ("20 B (16 in flight)", "same", 1.05, 0.96),
    ("1 KiB", "same", 1.03, 0.98),
    ("16 KiB binary", "same", 1.03, 0.94),
    ("16 KiB text", "same", 1.04, 0.90),
    ("4 x 256 B fragments", "same", 1.03, 0.98),
    ("64 KiB", "different", 1.06, 0.82),
    ("1 MiB", "different", 1.15, 0.75),
    ("broadcast to 1000", "same", None, 0.90),
    ("broadcast to 1000 (16 in flight)", "same", None, 0.85),
]
CALLS = ("20 B (16 in flight)", 0.14)
BYTES = 256


def judged(result):
    """[(what, figure, target, reached or None where it was not measured)]."""
    lines = []
    for row, placement, raw, uws in RATIOS:
        for peer, most in (("raw", raw), ("uWebSockets", uws)):
            if most is None:
                continue
            pairs = paired(result, placement, row, "plimsoll", peer)
            middle = median_of(pairs)
            lines.append((f"{row}, {placement} core{'s' * (placement != 'same')}, against {peer}",
                          spread(pairs, 3), f"<= {most:.2f}", middle and middle <= most))
    row, most = CALLS
    count = result["calls"].get(row, {}).get("plimsoll")
    lines.append((f"system calls per message, {row}", figure(count, 3), f"<= {most}",
                  count and count <= most))
    own, other = (median_of(result["memory"].get(name)) for name in ("plimsoll", "uWebSockets"))
    lines.append(("bytes per idle connection", figure(own, 0), f"<= {BYTES}",
                  None if own is None else own <= BYTES))
    lines.append(("bytes per idle connection, against uWebSockets", figure(own, 0),
                  f"< {figure(other, 0)}",
                  None if own is None or other is None else own < other))
    return lines


def figure(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def table(result):
    lines = judged(result)
    words = {True: "reached", False: "**missed**", None: "not measured"}
    body = [[what, got, most, words[reached if reached is None else bool(reached)]]
            for what, got, most, reached in lines]
    met = sum(reached is not None and bool(reached) for *_, reached in lines)
    return ("### Targets\n\nPaired medians (least-greatest) of plimsoll's server CPU.\n\n"
            + grid(["row", "plimsoll", "target", ""], body)
            + f"\n\n{met} of {len(lines)} reached.\n")
