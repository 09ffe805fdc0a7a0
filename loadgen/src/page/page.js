// The page: everything on it is read from the result inside it.

const result = JSON.parse(document.getElementById("result").textContent);
const page = document.getElementById("page");
const color = (k) => `var(--s${k})`;

function time(ns) {
  if (ns === null || ns === undefined) return "-";
  if (ns < 1000) return `${Math.round(ns)} ns`;
  const [scale, unit] = [[1e3, "\u00b5s"], [1e6, "ms"], [1e9, "s"]].find(([scale]) => ns < scale * 999.5) || [1e9, "s"];
  const value = ns / scale;
  return `${value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2)} ${unit}`;
}
const tick = (ns) => time(ns).replace(/\.0+(?= )/, "").replace(/(\.\d*?)0+(?= )/, "$1");
const count = (n) => Math.round(n).toLocaleString("en-US");
const decimal = (n) => (n >= 999.95 ? count(n) : n >= 99.95 ? n.toFixed(1) : n.toFixed(2));
const short = (n) => (n >= 1e6 ? `${+(n / 1e6).toPrecision(3)}M` : n >= 1e4 ? `${+(n / 1e3).toPrecision(3)}k` : count(n));
function bytes(n) {
  if (n === null || n === undefined) return "-";
  const unit = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]].find(([size]) => Math.abs(n) >= size);
  return unit ? `${(n / unit[0]).toFixed(1)} ${unit[1]}` : `${Math.round(n)} B`;
}
const percent = (share) => `${+(share * 100).toFixed(6)} %`;
const seconds = (s) => `${+s.toFixed(2)} s`;
const section = (title, words, ...children) =>
  make("section", {}, make("h2", {}, title), words ? make("p", { class: "soft" }, words) : null, ...children);

const KINDS = ["response", "service", "delivery", "fragmented", "ping", "interleaved_ping", "send_lag"];
const LADDER = [["p50", 0.5], ["p90", 0.9], ["p95", 0.95], ["p99", 0.99], ["p999", 0.999], ["p9999", 0.9999]];
const named = { p999: "p99.9", p9999: "p99.99" };
const answered = ["response", "delivery", "ping"].find((kind) => result.latency[kind]);
const starred = (summary, key, share) => time(summary[key]) + (isFew(summary.count, share) ? " *" : "");

function header() {
  const words = {
    valid: "Valid: the figures are the server\u2019s.",
    generator_bound: "Generator bound: the figures are the generator\u2019s, not the server\u2019s.",
    inconclusive: "Inconclusive: the figures show neither side by itself.",
  };
  const reasons = result.verdict_reasons.map((reason) => make("li", {}, reason));
  const load = [
    result.mode, { open: "open loop", closed: "closed loop", none: "no messages" }[result.loop_kind],
    `${count(result.connections.requested)} connections`, `${seconds(result.phases.measure_s)} measured`,
  ];
  page.append(
    make("p", { class: "eyebrow" }, result.find ? "loadgen find: the confirmed run" : "loadgen: a run"),
    make("h1", {}, result.target, result.embedded ? " (inside the generator)" : ""),
    make("p", { class: "soft" }, load.join(", ")),
    make("div", { class: `verdict ${result.verdict}`, role: "status" }, words[result.verdict],
      reasons.length ? make("ul", {}, ...reasons) : null,
      result.loopback ? make("p", { class: "soft" }, "Loopback: both ends on one machine; no network capacity was measured.") : null),
  );
  if (result.slo.length) page.append(objectives());
}

function objectives() {
  const value = (held) => {
    if (held.value === null) return "not measured";
    if (held.latency) return time(held.value);
    return held.clause.startsWith("bytes_") ? bytes(held.value) : percent(held.value);
  };
  const line = (held) => make("li", { class: held.passed ? "good" : "bad" },
    `${held.passed ? "\u2713 kept" : "\u2717 not kept"}  ${held.clause}: ${value(held)}`);
  return section("Objectives", null, make("ul", { class: "objectives" }, ...result.slo.map(line)));
}

function tiles() {
  const { messages, connections, latency, server, generator } = result;
  const tile = (name, value, small, bad) => make("div", { class: "tile" }, make("dt", {}, name),
    make("dd", bad ? { class: "bad" } : {}, value, make("small", {}, small || "")));
  const found = [];
  if (result.loop_kind !== "none") {
    const asked = messages.rate_requested > 0 ? `of ${decimal(messages.rate_requested)}/s requested` : "at the server\u2019s pace";
    found.push(tile("Rate sent, in total", `${decimal(messages.rate_achieved)}/s`, asked));
  }
  if (answered) {
    const summary = latency[answered];
    for (const [key, share] of LADDER.filter(([key]) => ["p50", "p99", "p999"].includes(key))) {
      const few = isFew(summary.count, share) ? "few samples beyond it" : `of ${count(summary.count)} samples`;
      found.push(tile(`${answered} ${named[key] || key}`, starred(summary, key, share), few));
    }
  }
  found.push(tile("Connections", count(connections.established), `of ${count(connections.requested)} requested`,
    connections.established < connections.requested));
  const faults = messages.unanswered + connections.failed + connections.closed_early + result.integrity.corrupt;
  found.push(tile("Faults", count(faults), "unanswered, failed, closed early, corrupt", faults > 0));
  if (server && server.cpu_us_per_message !== null) {
    found.push(tile("Server CPU", `${server.cpu_us_per_message.toFixed(2)} \u00b5s`, "a message"));
  }
  if (server && server.bytes_per_connection !== null && server.bytes_per_connection !== undefined) {
    found.push(tile("Server memory", bytes(server.bytes_per_connection), "a connection, resident"));
  }
  found.push(tile("Generator", `${generator.busiest_thread_percent.toFixed(0)} %`, "its busiest thread of a core"));
  page.append(make("dl", { class: "tiles" }, ...found));
}

function latencies() {
  const kinds = Object.keys(result.latency);
  if (!kinds.length) return;
  const order = ["connect", "handshake", ...KINDS];
  kinds.sort((a, b) => (order.indexOf(a) + 99) % 99 - (order.indexOf(b) + 99) % 99);
  const row = (kind) => {
    const s = result.latency[kind];
    return [kind, count(s.count), time(s.min), time(s.mean), ...LADDER.map(([key, share]) => starred(s, key, share)), time(s.max)];
  };
  const steady = result.steady_state;
  page.append(section("Latency", "response counts from when a message was due, service from when it was sent",
    table(["", "samples", "min", "mean", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max"], kinds.map(row), true),
    make("p", { class: "soft" }, "* fewer than 100 samples lie beyond it: a few stalls decide it"),
    steady ? make("p", { class: steady.steady ? "soft" : "doubt" },
      `${steady.steady ? "Steady state" : "No steady state"}: over the last three windows p50 differs by ${percent(+steady.p50_spread.toFixed(3))}, p99 by ${percent(+steady.p99_spread.toFixed(3))}.`) : null,
    result.latency_overflow ? make("p", { class: "bad" }, `${count(result.latency_overflow)} samples were over 100 s and count as 100 s.`) : null));
}

// The latencies of each kind from least to greatest, at every share that a sample stands for.
async function percentiles() {
  const coded = result.record.latencies.kinds, series = [];
  for (const kind of KINDS.filter((kind) => coded[kind])) {
    const buckets = await decode(coded[kind]), all = samples(buckets), points = [];
    let seen = 0;
    for (const { value, count } of buckets) {
      points.push([seen / all, value, isFew(all, seen / all)]);
      seen += count;
    }
    series.push({ name: kind, color: color(series.length), points: thin(points), buckets, all });
  }
  if (!series.length) return null;
  const values = series.flatMap((one) => one.points.map((point) => point[1])).filter((value) => value > 0);
  const most = Math.max(...series.map((one) => 1 - 1 / one.all));
  const rows = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999].map((share) => [percent(share),
    ...series.map((one) => time(quantile(one.buckets, share)) + (isFew(one.all, share) ? " *" : ""))]);
  rows.push(["max", ...series.map((one) => time(one.buckets[one.buckets.length - 1].value))]);
  rows.unshift(["samples", ...series.map((one) => count(one.all))]);
  return {
    title: "Latency by percentile",
    words: "How long so large a share of the messages took at most; dotted where fewer than 100 samples lie beyond.",
    x: { scale: nines(Math.min(most, 0.99999999)), format: percent, read: (share) => `${(share * 100).toFixed(4)} % at most`, name: "share of the samples" },
    y: { scale: logarithmic(Math.min(...values), Math.max(...values)), format: tick, name: "latency" },
    series, head: ["", ...series.map((one) => one.name)], rows,
  };
}

// No more points than can be seen: those whose place on either axis moves.
function thin(points) {
  const kept = [];
  for (const point of points) {
    const last = kept[kept.length - 1];
    const moved = !last || Math.log10((1 - last[0]) / (1 - point[0] || 1e-12)) > 0.004 || point[1] > last[1] * 1.01;
    if (moved) kept.push(point);
  }
  const end = points[points.length - 1];
  if (end && kept[kept.length - 1] !== end) kept.push(end);
  return kept;
}

async function windows() {
  const { windows, window_s } = result.record.timeline, found = [];
  for (const [k, window] of windows.entries()) {
    const answers = await decode(window.kinds[answered]);
    found.push({
      at: k * window_s, answers, received: samples(answers),
      sent: window.kinds.send_lag ? window.kinds.send_lag.count : 0,
    });
  }
  // Of the wait for late replies only as long as some came.
  while (found.length && found[found.length - 1].received === 0 && found[found.length - 1].at >= result.phases.measure_s) found.pop();
  return found;
}

// A line that ends with the measured window: what came after it is a few late replies.
function parted(points) {
  const end = result.phases.measure_s, after = points.findIndex(([at]) => at >= end);
  return after < 0 ? points : [...points.slice(0, after), [end, null], ...points.slice(after)];
}

// The time of the measured window and of what came after it.
function clock(found) {
  const { window_s } = result.record.timeline, end = result.phases.measure_s;
  const most = Math.max(end, found[found.length - 1].at);
  return {
    x: { scale: linear(0, most, 8), format: (s) => seconds(s), read: (s) => `${seconds(s)} to ${seconds(s + window_s)}`, name: "since the measured window began" },
    shade: found[found.length - 1].at >= end ? [end, most] : null,
  };
}

function overTime(found) {
  const used = found.filter((one) => one.received > 0 && one.at < result.phases.measure_s);
  if (!used.length) return null;
  const line = (name, k, share) => ({
    name, color: color(k), values: found.map((one) => (one.received ? quantile(one.answers, share) : null)),
    points: parted(found.map((one) => [one.at, one.received ? quantile(one.answers, share) : null])),
  });
  const series = [line("p50", 0, 0.5), line("p99", 1, 0.99), line("max", 5, 1)];
  const values = series.flatMap((one) => one.points.map((point) => point[1])).filter((value) => value > 0);
  const length = result.record.timeline.window_s, least = Math.min(...used.map((one) => one.received));
  const notes = isFew(least, 0.99)
    ? [`A window has as few as ${count(least)} answers: its p99 stands on ${(least * 0.01).toFixed(1)} of them.`] : [];
  return {
    title: `${answered} over time`,
    words: `By when the answer came, in windows of ${length} s; shaded: after the last send.`,
    ...clock(found), y: { scale: logarithmic(Math.min(...values), Math.max(...values)), format: tick, name: "latency" },
    series, notes, head: ["from", "answers", "p50", "p99", "max"],
    rows: found.map((one, k) => [seconds(one.at), count(one.received), ...series.map((s) => time(s.values[k]))]),
  };
}

function throughput(found) {
  const { window_s } = result.record.timeline, end = result.phases.measure_s;
  // The last window of the measured time may be a part of one.
  const length = (one) => (one.at < end ? Math.min(window_s, end - one.at) : window_s);
  const rate = (one, n) => (length(one) >= window_s / 2 ? n / length(one) : null);
  const series = [];
  if (found.some((one) => one.sent)) {
    series.push({ name: "sent", color: color(0), points: found.map((one) => [one.at, one.at < end ? rate(one, one.sent) : null]) });
  }
  const what = { response: "answered", delivery: "delivered", ping: "pongs" }[answered];
  series.push({ name: what, color: color(2), points: found.map((one) => [one.at, one.at < end ? rate(one, one.received) : null]) });
  if (result.messages.rate_requested > 0) {
    const asked = result.messages.rate_requested;
    series.push({ name: "requested", color: color(5), style: "plan", points: [[0, asked], [Math.max(...found.map((one) => one.at).filter((at) => at < end)), asked]] });
  }
  const most = Math.max(...series.flatMap((one) => one.points.map((point) => point[1] || 0)));
  return {
    title: "Throughput", words: "Messages a second, all connections together.",
    ...clock(found), y: { scale: linear(0, most * 1.05), format: short, name: "messages/s" },
    series, head: ["from", ...series.filter((one) => !one.style).map((one) => `${one.name}/s`)],
    rows: found.map((one, k) => [seconds(one.at), ...series.filter((s) => !s.style).map((s) => (s.points[k][1] === null ? "-" : decimal(s.points[k][1])))]),
  };
}

function serverOverTime() {
  const looks = (result.server && result.server.samples) || [];
  if (looks.length < 2) return [];
  const end = result.phases.measure_s, from = Math.min(looks[0].t_s, 0), to = looks[looks.length - 1].t_s;
  const x = { scale: linear(from, to, 8), format: seconds, read: seconds, name: "since the measured window began" };
  const shade = to > end ? [end, to] : null;
  const cores = looks.map((look, k) => [look.t_s,
    k && look.t_s > looks[k - 1].t_s ? Math.max(look.cpu_seconds - looks[k - 1].cpu_seconds, 0) / (look.t_s - looks[k - 1].t_s) : null]);
  const most = Math.max(...cores.map((point) => point[1] || 0));
  const shared = result.server.shared_process;
  const charts = [{
    title: "Server CPU", words: "Cores in use since the look before, user and system.", x, shade,
    y: { scale: linear(0, Math.max(most * 1.1, 0.1)), format: (n) => `${+n.toFixed(2)}`, name: "cores" },
    series: [{ name: "cores in use", color: color(0), points: cores }],
    head: ["at", "cores", "CPU so far"], rows: looks.map((look, k) => [seconds(look.t_s), cores[k][1] === null ? "-" : cores[k][1].toFixed(3), seconds(look.cpu_seconds)]),
  }];
  const kept = [["resident", "rss_bytes"], ["socket buffers, whole machine", "kernel_socket_bytes"], ["slab, whole machine", "kernel_slab_bytes"]]
    .map(([name, key], k) => ({ name, color: color([3, 2, 5][k]), points: looks.map((look) => [look.t_s, look[key] ?? null]) }))
    .filter((one) => one.points.some((point) => point[1] !== null));
  if (kept.length) {
    const most = Math.max(...kept.flatMap((one) => one.points.map((point) => point[1] || 0)));
    charts.push({
      title: "Server memory", words: shared ? "Resident bytes are those of generator and server together." : "Resident bytes of the server\u2019s process.",
      x, shade, y: { scale: linear(0, (most * 1.1) / 2 ** 20), format: (mib) => bytes(mib * 2 ** 20), name: "bytes" },
      series: kept.map((one) => ({ ...one, points: one.points.map(([t, n]) => [t, n === null ? null : n / 2 ** 20]) })),
      head: ["at", ...kept.map((one) => one.name)], rows: looks.map((look, k) => [seconds(look.t_s), ...kept.map((one) => bytes(one.points[k][1]))]),
    });
  }
  return charts;
}
