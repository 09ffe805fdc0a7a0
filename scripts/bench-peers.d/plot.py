"""A result as an SVG: for each row, a bar for each server, as long as its ratio to raw."""
from html import escape

from report import median_of, names, paired, rows_of, short

# Colours that are read on white and on black.
INK, OWN, OTHER = "#7d8590", "#2f81f7", "#8b949e"
WIDTH, COLUMNS, MARGIN = 1000, 2, 24
LABEL, VALUE = 128, 52
BAR, GAP, HEAD = 11, 4, 34
# A longer bar is cut here, and its figure says so.
MOST = 3.0
# The rows whose targets are set with a core for each are drawn from there.
TWO_CORES = {"64 KiB", "1 MiB"}


def placement_of(result, row):
    wanted = "different" if row in TWO_CORES else "same"
    return wanted if wanted in result["figures"] else next(iter(result["figures"]))


def panels(result):
    """[(title, [(server, ratio to raw)])], cheapest first."""
    found = []
    for row in rows_of(result, next(iter(result["figures"]))):
        placement = placement_of(result, row)
        ratios = [(name, median_of(paired(result, placement, row, name, "raw")))
                  for name in names(result) if name != "raw"]
        ratios = sorted(((name, at) for name, at in ratios if at), key=lambda pair: pair[1])
        if ratios:
            cores = "one core" if placement == "same" else "two cores"
            found.append((f"{row}, {cores}", ratios))
    return found


def text(x, y, said, anchor="start", fill=INK, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" '
            f'font-weight="{weight}">{escape(said)}</text>')


def panel(x, y, width, title, ratios):
    """The drawing of one row, and its height."""
    full = width - LABEL - VALUE
    height = len(ratios) * (BAR + GAP)
    raw = x + LABEL + full / MOST
    parts = [text(x, y + 14, title, weight="bold")]
    top = y + HEAD - 8
    for at, (name, ratio) in enumerate(ratios):
        line = top + at * (BAR + GAP)
        fill, weight = (OWN, "bold") if name == "plimsoll" else (OTHER, "normal")
        length = full * min(ratio, MOST) / MOST
        label = INK if name != "plimsoll" else OWN
        parts.append(text(x + LABEL - 6, line + BAR - 2, name, "end", label, weight))
        parts.append(f'<rect x="{x + LABEL:.1f}" y="{line:.1f}" width="{length:.1f}" '
                     f'height="{BAR}" rx="2" fill="{fill}"/>')
        cut = " »" if ratio > MOST else ""
        # A figure never lies on the dashed line.
        after = max(x + LABEL + length, raw if raw - VALUE < x + LABEL + length else 0) + 5
        parts.append(text(after, line + BAR - 2, short(ratio) + cut, "start", label, weight))
    parts.append(f'<line x1="{raw:.1f}" y1="{top - 4}" x2="{raw:.1f}" y2="{top + height}" '
                 f'stroke="{INK}" stroke-dasharray="3 2"/>')
    return parts, HEAD + height + 14


def svg(result):
    drawn, heights = [], [MARGIN + 40] * COLUMNS
    width = (WIDTH - MARGIN * (COLUMNS + 1)) / COLUMNS
    for title, ratios in panels(result):
        column = heights.index(min(heights))
        x = MARGIN + column * (width + MARGIN)
        parts, height = panel(x, heights[column], width, title, ratios)
        drawn += parts
        heights[column] += height
    head = [text(MARGIN, MARGIN + 6, "Server CPU per message, as a multiple of a raw TCP echo",
                 weight="bold"),
            text(MARGIN, MARGIN + 24, "Shorter is cheaper; the dashed line is raw. Medians of "
                 f"{result['rounds']} rounds, {result['machine']['cpu']}.")]
    height = max(heights) + MARGIN
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif" '
            f'font-size="11">\n<title>Server CPU per message against raw</title>\n'
            + "\n".join(head + drawn) + "\n</svg>\n")
