// Line charts in SVG, drawn at the width they have, each with its table and its words.

const NS = "http://www.w3.org/2000/svg";

function make(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "rect", "circle", "title"].includes(name) || attributes.svg;
  const element = svg ? document.createElementNS(NS, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key !== "svg" && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const label = (x, y, text, anchor = "middle") => make("text", { svg: true, x, y, "text-anchor": anchor }, text);

// Scales: from a value to 0..1, and the values that are named.
function linear(low, high, wanted = 5) {
  if (!(high > low)) high = low + 1;
  const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((step) => step >= rough * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-9) + 1e-12; k++) ticks.push(k * step + 0);
  return { at: (value) => (value - low) / (high - low), ticks };
}

function logarithmic(low, high) {
  low = Math.max(low, 1e-9);
  const from = Math.floor(Math.log10(low) + 1e-9), to = Math.max(Math.ceil(Math.log10(high) - 1e-9), from + 1);
  const ticks = [];
  for (let power = from; power <= to; power++) ticks.push(10 ** power);
  return { at: (value) => Math.max(Math.log10(Math.max(value, 1e-9)) - from, 0) / (to - from), ticks };
}

// 0 %, 90 %, 99 %, 99.9 %: each step as wide as the one before.
function nines(most) {
  const decades = Math.max(Math.ceil(Math.log10(1 / (1 - most)) - 1e-9), 2);
  const ticks = [0, 0.5];
  for (let k = 1; k <= decades; k++) ticks.push(1 - 10 ** -k);
  return { at: (share) => Math.min(-Math.log10(Math.max(1 - share, 1e-12)) / decades, 1), ticks };
}

// chart: { x, y: {scale, format, name}, series: [{name, color, points: [[x, y, few]], style, dots}], shade }
function draw(svg, chart, width) {
  const narrow = width < 520, height = narrow ? 230 : 290;
  const box = { left: narrow ? 52 : 62, right: 14, top: 22, bottom: 40 };
  const inner = { width: width - box.left - box.right, height: height - box.top - box.bottom };
  const X = (value) => box.left + chart.x.scale.at(value) * inner.width;
  const Y = (value) => box.top + (1 - chart.y.scale.at(value)) * inner.height;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.replaceChildren(make("title", {}, chart.title));
  if (chart.shade) {
    const [from, to] = chart.shade.map(X);
    svg.append(make("rect", { class: "after", x: from, y: box.top, width: Math.max(to - from, 0), height: inner.height }));
  }
  for (const tick of chart.y.scale.ticks) {
    const y = Y(tick);
    svg.append(make("line", { class: "grid", x1: box.left, x2: width - box.right, y1: y, y2: y }));
    svg.append(label(box.left - 8, y + 4, chart.y.format(tick), "end"));
  }
  let last = -Infinity;
  for (const tick of chart.x.scale.ticks) {
    const x = X(tick), text = chart.x.format(tick), half = text.length * 3.4;
    if (x - half < last + 8) continue;
    last = x + half;
    svg.append(make("line", { class: "axis", x1: x, x2: x, y1: height - box.bottom, y2: height - box.bottom + 4 }));
    svg.append(label(Math.min(x, width - half), height - box.bottom + 18, text));
  }
  svg.append(make("line", { class: "axis", x1: box.left, x2: width - box.right, y1: height - box.bottom, y2: height - box.bottom }));
  svg.append(label(box.left - 8, 11, chart.y.name, "start"));
  svg.append(label(width - box.right, height - 6, chart.x.name, "end"));
  for (const series of chart.series) lines(svg, series, X, Y);
  return { X, box, inner, height };
}

function lines(svg, series, X, Y) {
  // Runs of points, broken where there is none and where a line changes its manner.
  let run = [], few = false;
  const flush = () => {
    if (run.length > 1) {
      const d = run.map(([x, y], k) => `${k ? "L" : "M"}${X(x).toFixed(1)} ${Y(y).toFixed(1)}`).join("");
      const manner = `curve ${few ? "few" : ""} ${series.style || ""}`;
      svg.append(make("path", { class: manner, d, stroke: series.color }));
    } else if (run.length === 1 && !series.dots) {
      svg.append(make("circle", { cx: X(run[0][0]), cy: Y(run[0][1]), r: 2.5, fill: series.color }));
    }
  };
  for (const point of series.points) {
    if (point[1] === null) {
      flush();
      run = [];
      continue;
    }
    if (run.length && Boolean(point[2]) !== few) {
      const joint = run[run.length - 1];
      flush();
      run = [joint];
    }
    few = Boolean(point[2]);
    run.push(point);
  }
  flush();
  if (!series.dots) return;
  for (const [x, y, , hollow] of series.points.filter((point) => point[1] !== null)) {
    const fill = hollow ? "var(--card)" : series.color;
    svg.append(make("circle", { cx: X(x), cy: Y(y), r: 3.5, fill, stroke: series.color, "stroke-width": 2 }));
  }
}

function legend(chart) {
  const entry = ({ name, color, style }) =>
    make("li", {}, make("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" },
      make("line", { class: style || "", x1: 0, x2: 22, y1: 4, y2: 4, stroke: color, "stroke-width": 3 })), name);
  return make("ul", { class: "legend" }, ...chart.series.map(entry));
}

// The values nearest to the pointer, or to the place that the arrow keys chose.
function readout(svg, chart, place, output) {
  const xs = [...new Set(chart.series.flatMap((series) => series.points.map((point) => point[0])))].sort((a, b) => a - b);
  let chosen = -1, cursor = null;
  const show = (index) => {
    if (!xs.length) return;
    chosen = Math.min(Math.max(index, 0), xs.length - 1);
    const x = xs[chosen], { X, box, inner } = place();
    cursor?.remove();
    cursor = make("line", { class: "cursor", x1: X(x), x2: X(x), y1: box.top, y2: box.top + inner.height });
    svg.append(cursor);
    const near = (series) => series.points.find((point) => point[0] === x && point[1] !== null);
    const values = chart.series.map((series) => [series, near(series)]).filter(([, point]) => point)
      .map(([series, point]) => `${series.name} ${chart.y.format(point[1])}${point[2] ? " *" : ""}`);
    output.textContent = `${chart.x.read(x)}: ${values.join(", ")}`;
  };
  svg.addEventListener("pointermove", (event) => {
    const { X } = place(), at = event.clientX - svg.getBoundingClientRect().left;
    let best = 0;
    xs.forEach((x, k) => { if (Math.abs(X(x) - at) < Math.abs(X(xs[best]) - at)) best = k; });
    show(best);
  });
  svg.addEventListener("pointerleave", () => { cursor?.remove(); output.textContent = ""; });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show(chosen + step);
  });
}

function table(head, rows, whole) {
  const cells = (row) => row.map((cell, k) => (k === 0 ? make("th", { scope: "row" }, String(cell)) : cellOf(cell)));
  const cellOf = (cell) => (cell instanceof Node ? cell : make("td", {}, String(cell)));
  return make("div", { class: whole ? "scroll whole" : "scroll", tabindex: "0" }, make("table", {},
    head.length ? make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)))) : null,
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...cells(row))))));
}

// A section with a chart, what it says in words, and the table behind it.
function figure(chart) {
  const svg = make("svg", { role: "img", tabindex: "0", "aria-label": `${chart.title}. ${chart.words}` });
  const output = make("output", { "aria-live": "polite" });
  let place = null;
  const redraw = (width) => { place = draw(svg, chart, Math.max(width, 240)); };
  readout(svg, chart, () => place, output);
  new ResizeObserver(([entry]) => redraw(entry.contentRect.width)).observe(
    chart.host = make("figure", {}, svg, output));
  return make("section", {}, make("h2", {}, chart.title), make("p", { class: "soft" }, chart.words),
    legend(chart), chart.host, ...(chart.notes || []).map((note) => make("p", { class: "soft" }, note)),
    make("details", {}, make("summary", {}, "Table of this chart"), table(chart.head, chart.rows)));
}
