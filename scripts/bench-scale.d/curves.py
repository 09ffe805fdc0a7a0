"""A result as an SVG: cost and bytes against the number of connections."""
from math import ceil, log10

from plot import INK, OWN, text
from report import short
from tables import both, middle, named

# Colours that are read on white and on black.
COLOURS = (OWN, "#d29922", "#3fb950")
WIDTH, HEIGHT, MARGIN, LEFT = 1000, 330, 24, 56
TOP, BOTTOM = 78, 44


def rule(x1, y1, x2, y2, more=""):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{INK}"{more}/>'


def panel(x, width, title, series):
    """Lines over a logarithmic number of connections. `series`: [(name, [(connections, y)])]."""
    points = [point for _, line in series for point in line if point[1] is not None]
    if not points:
        return []
    decades = max(1, ceil(log10(max(n for n, _ in points))))
    lowest = min(log10(n) for n, _ in points)
    most = max(y for _, y in points) * 1.15
    full, tall = width - LEFT - 16, HEIGHT - TOP - BOTTOM

    def at(n, y):
        share = (log10(n) - lowest) / max(decades - lowest, 1)
        return x + LEFT + full * share, TOP + tall * (1 - y / most)

    parts = [text(x, MARGIN + 30, title, weight="bold")]
    for step in range(5):
        y = at(10 ** lowest, most * step / 4)[1]
        parts.append(rule(x + LEFT, y, x + LEFT + full, y, ' stroke-opacity="0.25"'))
        parts.append(text(x + LEFT - 6, y + 4, short(most * step / 4) if step else "0", "end"))
    for n in sorted({n for n, _ in points}):
        parts.append(text(at(n, 0)[0], TOP + tall + 16, f"{n:,}", "middle"))
    parts.append(text(x + LEFT + full / 2, TOP + tall + 34, "connections", "middle"))
    for place, ((name, line), colour) in enumerate(zip(series, COLOURS)):
        line = [at(n, y) for n, y in line if y is not None]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                     'stroke-width="2"/>')
        parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>'
                  for px, py in line]
        parts.append(text(x + LEFT + place * full / 3, MARGIN + 46, name, "start", colour, "bold"))
    return parts


def svg(result):
    width = (WIDTH - 3 * MARGIN) / 2
    closed, opened = named(result, "closed"), named(result, "open")

    def line(rows, key):
        return [(n, middle(runs, key)) for n, runs in rows]

    cost = [("server, closed", line(closed, "server_us")),
            ("server, fixed rate", line(opened, "server_us")),
            ("generator, closed", line(closed, "generator_us"))]
    rows = both(result)
    if result.get("million"):
        held = result["million"].get("two processes")
        rows = rows + ([(held["established"], [held])] if held else [])
    memory = [("server, user", line(rows, "server_bytes")),
              ("generator, user", line(rows, "generator_bytes"))]
    parts = [text(MARGIN, MARGIN + 6, f"plimsoll and loadgen on {result['machine']['cores']} cores "
                  f"({result['machine']['cpu']}), medians of {result['rounds']} rounds")]
    parts += panel(MARGIN, width, "CPU of an echoed message, us", cost)
    parts += panel(2 * MARGIN + width, width, "User-space bytes of a connection", memory)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, sans-serif" '
            'font-size="11">\n<title>Cost and memory by connections</title>\n'
            + "\n".join(parts) + "\n</svg>\n")
