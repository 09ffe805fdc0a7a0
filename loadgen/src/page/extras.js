// What only some runs have: a search, phases, a fragment matrix, storms; then counts and notes.

function search() {
  const { find } = result, unit = find.axis === "rate" ? "messages/s" : "connections";
  const load = (value) => (value === null ? "none" : `${decimal(value)} ${unit}`);
  const gave = find.gave_way ? `; there gave way: ${find.gave_way}: ${find.gave_way_reason}` : "";
  page.append(section("The answer", `Highest load that passes: ${load(find.highest_passing)}. Lowest that fails: ${load(find.lowest_failing)}${gave}.`,
    find.interrupted ? make("p", { class: "doubt" }, "Interrupted: the search did not come to its end.") : null));
  if (find.curve_error) page.append(make("p", { class: "doubt" }, `The curve ends early: ${find.curve_error}`));
  const points = find.curve.filter((point) => point.latency);
  if (points.length < 2) return;
  const line = (name, key, k) => ({ name, color: color(k), dots: true, points: points.map((point) => [point.load, point.latency[key], false, !point.passed]) });
  const series = [line("p50", "p50", 0), line("p99", "p99", 1), line("p99.9", "p999", 5)];
  const values = series.flatMap((one) => one.points.map((point) => point[1])).filter((value) => value > 0);
  const loads = points.map((point) => point.load);
  page.append(figure({
    title: `${points[0].kind} against load`, words: "Each point a run of its own; hollow where an objective was not kept or the run is not valid.",
    x: { scale: linear(0, Math.max(...loads), 6), format: short, read: load, name: unit },
    y: { scale: logarithmic(Math.min(...values), Math.max(...values)), format: tick, name: "latency" }, series,
    head: [unit, "passes", "verdict", "sent/s", "p50", "p99", "p99.9", "errors"],
    rows: find.curve.map((point) => [decimal(point.load), point.passed ? "yes" : "no", point.verdict, decimal(point.rate_achieved),
      ...["p50", "p99", "p999"].map((key) => (point.latency ? time(point.latency[key]) : "-")), percent(point.errors)]),
  }));
  if (find.usl) {
    const peak = find.usl.peak === null ? "" : ` Extrapolated peak: ${decimal(find.usl.peak)} messages/s${find.usl.peak_interval ? ` (95 %: ${find.usl.peak_interval.map(decimal).join(" to ")})` : ""}.`;
    page.append(section("Universal Scalability Law", "Fitted to the curve; what lies beyond it was not measured.",
      make("p", {}, `${decimal(find.usl.lambda)} messages/s for one at a time, contention ${find.usl.sigma.toFixed(4)}, coherency ${find.usl.kappa.toExponential(2)}, R\u00b2 ${find.usl.r_squared.toFixed(3)}.${peak}`)));
  }
  if (find.sizing.length) {
    page.append(section("Users and machines", "Multiplied, not measured: machines like this one at 70 % of what was found.",
      table(["users", "messages/s", "machines", "memory"], find.sizing.map((row) => [count(row.users), decimal(row.messages_per_second), count(row.machines), bytes(row.memory_bytes)]), true)));
  }
}

function phases() {
  const { connect_s, warmup_s, measure_s } = result.phases;
  const parts = [["connect", connect_s, 5], ["warm-up", warmup_s, 2], ["measured", measure_s, 0]];
  const all = connect_s + warmup_s + measure_s || 1;
  const bar = parts.map(([name, s, k]) => make("span", { title: `${name} ${seconds(s)}`, style: `width:${(100 * s) / all}%;background:${color(k)}` }));
  const key = parts.map(([name, s, k]) => make("li", {}, make("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" },
    make("line", { x1: 0, x2: 22, y1: 4, y2: 4, stroke: color(k), "stroke-width": 6 })), `${name} ${seconds(s)}`));
  page.append(section("Parts of the run", null, make("div", { class: "bar", "aria-hidden": "true" }, ...bar), make("ul", { class: "legend" }, ...key)));
  const named = result.phase_results || [];
  if (named.length && !(result.fragment_matrix || []).length) {
    const row = (phase) => {
      const latency = phase.latency[answered];
      return [phase.name, seconds(phase.begins_s), seconds(phase.duration_s), decimal(phase.rate_achieved), count(phase.messages.unanswered),
        ...(latency ? [count(latency.count), starred(latency, "p50", 0.5), starred(latency, "p99", 0.99), starred(latency, "p999", 0.999), time(latency.max)] : ["-", "-", "-", "-", "-"])];
    };
    page.append(section("Phases", `Latencies are of ${answered}.`, table(["phase", "from", "length", "sent/s", "unanswered", "samples", "p50", "p99", "p99.9", "max"], named.map(row), true)));
  }
}

// Each combination's p99, its ground as long as the longest.
function matrix() {
  const combinations = result.fragment_matrix || [];
  if (!combinations.length) return;
  const cell = (summary, most) => {
    if (!summary) return "-";
    const share = Math.min((100 * summary.p99) / most, 100);
    return make("td", { style: `background:linear-gradient(to left, color-mix(in srgb, var(--s0) 26%, transparent) ${share}%, transparent ${share}%)` },
      starred(summary, "p99", 0.99));
  };
  const most = (key) => Math.max(...combinations.map((one) => (one[key] ? one[key].p99 : 0)), 1);
  const [response, fragmented, pong] = ["response", "fragmented", "pong"].map(most);
  const row = (one) => [count(one.fragments), time(one.gap), one.ping ? "yes" : "no", count(one.messages.received),
    cell(one.response, response), cell(one.fragmented, fragmented), cell(one.pong, pong)];
  page.append(section("Fragment matrix",
    "p99 of each combination. fragmented counts from the last fragment to the reply; pong is the delay of a ping amid a fragmented message.",
    table(["fragments", "gap", "ping between", "answered", "response p99", "fragmented p99", "pong p99"], combinations.map(row), true)));
}

function storms() {
  const found = result.storms || [];
  if (!found.length) return;
  const pair = (survivors, key) => (survivors && survivors[key] ? starred(survivors[key], "p99", 0.99) : "-");
  const row = (storm) => [`${percent(storm.share)} at ${seconds(storm.at_s)}`, storm.begun ? count(storm.dropped) : "not begun", count(storm.returned),
    time(storm.time_to_99), time(storm.time_to_all), pair(storm.survivors, "before"), pair(storm.survivors, "during")];
  page.append(section("Storms", "So many connections dropped at once, and how long until they were back.",
    table(["storm", "dropped", "returned", "99 % back after", "all back after", "survivors\u2019 p99 before", "meanwhile"], found.map(row), true)));
}

function counts() {
  const { connections, messages, integrity, pings, broadcast, generator, server } = result;
  const list = (object) => Object.entries(object).filter(([, value]) => typeof value === "number")
    .map(([name, value]) => [name.replaceAll("_", " "), Number.isInteger(value) ? count(value) : decimal(value)]);
  const group = (name, object) => make("div", {}, make("h3", {}, name), table([], list(object), true));
  page.append(section("Counts", null, make("div", { class: "groups" },
    group("Connections", connections), group("Messages", messages), group("Integrity", integrity), group("Pings", pings),
    ...(broadcast ? [group("Broadcast", broadcast)] : []), group("Generator", generator), ...(server ? [group("Server", server)] : []))));
  const errors = [...Object.entries(connections.errors), ...Object.entries(connections.close_errors || {}).map(([cause, n]) => [`while closing: ${cause}`, n])];
  if (errors.length) {
    page.append(section("Errors", null, table(["times", "cause"],
      errors.sort((a, b) => b[1] - a[1]).map(([cause, n]) => [count(n), make("td", { class: "text" }, cause)]), true)));
  }
  if (result.notes.length) {
    page.append(section("Notes", null, make("ul", { class: "plain" }, ...result.notes.map((note) => make("li", {}, note)))));
  }
  const began = result.record && result.record.began ? ` Measured from ${new Date(result.record.began / 1e6).toISOString()} on.` : "";
  const { machine } = result;
  page.append(make("footer", {}, `Generator on Linux ${machine.kernel}, ${machine.architecture}, ${machine.cores} cores; seed ${result.seed}.${began} `,
    "Schema ", result.schema, "; the page holds the whole result, and nothing was fetched to show it."));
}

async function main() {
  document.title = `${result.verdict}: ${result.target}`;
  header();
  if (result.find) search();
  tiles();
  latencies();
  if (result.record) {
    const curve = await percentiles();
    if (curve) page.append(figure(curve));
    if (answered) {
      const found = await windows();
      for (const chart of found.length ? [overTime(found), throughput(found)] : []) if (chart) page.append(figure(chart));
    }
  }
  const server = serverOverTime().map(figure);
  if (server.length) page.append(make("div", { class: "pair" }, ...server));
  matrix();
  storms();
  phases();
  counts();
  document.documentElement.dataset.ready = "yes";
}

main().catch((error) => {
  page.append(make("section", { role: "alert" }, make("h2", { class: "bad" }, "This page could not draw all of its result"), make("p", {}, String(error))));
  document.documentElement.dataset.ready = "failed";
});
