// What the server says of itself: /metrics once a second, differences as rates.
"use strict";
const at = id => document.getElementById(id);
const make = (name, text, attributes = {}) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};
const SECONDS = 120;
const history = { connections: [], received: [], delivered: [], load: [] };

// Samples by name, each a list of [labels, value].
function parse(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const found = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(/([a-z_]+)="([^"]*)"/g)]
      .map(([, key, value]) => [key, value]));
    if (!samples.has(found[1])) samples.set(found[1], []);
    samples.get(found[1]).push([labels, Number(found[3])]);
  }
  return samples;
}

const sum = (samples, name) =>
  samples.has(name) ? samples.get(name).reduce((total, [, value]) => total + value, 0) : undefined;
const ofShard = (samples, name, shard) =>
  samples.get(name)?.find(([labels]) => labels.shard === shard)?.[1];

function short(value) {
  if (value === undefined || Number.isNaN(value)) return "–";
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]])
    if (value >= size) return (value / (unit === "k" ? 1e3 : size)).toFixed(1) + unit;
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}
function bytes(value) {
  if (value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (value >= 1024 && unit < 3) { value /= 1024; unit += 1; }
  return (unit && value < 100 ? value.toFixed(1) : Math.round(value)) + " " + units[unit];
}
function time(seconds) {
  if (!(seconds >= 0)) return "–";
  if (seconds < 1e-3) return (seconds * 1e6).toFixed(1) + " µs";
  return seconds < 1 ? (seconds * 1e3).toFixed(1) + " ms" : seconds.toFixed(1) + " s";
}
function span(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2).map(([size, unit], index) =>
    `${Math.floor((index ? seconds % parts[first][0] : seconds) / size)} ${unit}`).join(" ");
}
const percent = share => share === undefined || Number.isNaN(share) ? "–" : Math.round(100 * share) + " %";

function tiles(rows) {
  const tile = ([name, value, unit]) => {
    const made = make("div", undefined, { class: "tile" });
    made.append(make("span", name), make("b", value));
    if (unit) made.append(make("small", unit));
    return made;
  };
  at("tiles").replaceChildren(...rows.map(tile));
}

const CHARTS = [
  ["connections", "connections", short], ["received", "messages received /s", short],
  ["delivered", "messages sent /s", short], ["load", "busiest shard", percent],
];
function charts() {
  at("charts").replaceChildren(...CHARTS.map(([key, name, word]) => {
    const values = history[key];
    const most = Math.max(key === "load" ? 1 : 1e-9, ...values.map(([, value]) => value));
    const now = values.at(-1) ?? [0, 0];
    const points = values.map(([when, value]) =>
      `${(SECONDS - (now[0] - when)).toFixed(2)},${(100 - 94 * value / most).toFixed(2)}`);
    const figure = make("figure");
    const caption = make("figcaption", name);
    caption.append(make("span", `${word(now[1])} (most ${word(Math.max(0, ...values.map(([, v]) => v)))})`));
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", `0 0 ${SECONDS} 100`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `${name}: now ${word(now[1])}`);
    if (points.length > 1) {
      const [first, last] = [points[0].split(",")[0], points.at(-1).split(",")[0]];
      for (const [kind, path] of [["area", `M${first},100L${points.join("L")}L${last},100Z`], ["stroke", "M" + points.join("L")]]) {
        const drawn = document.createElementNS(space, "path");
        drawn.setAttribute("class", kind);
        drawn.setAttribute("d", path);
        svg.append(drawn);
      }
    }
    figure.append(caption, svg);
    return figure;
  }));
}

function shards(now, before, seconds) {
  const ids = (now.get("plimsoll_connections_open") ?? []).map(([labels]) => labels.shard);
  let busiest;
  const rows = ids.map(id => {
    const value = name => ofShard(now, name, id);
    const rate = name => (value(name) - ofShard(before, name, id)) / seconds;
    const load = rate("plimsoll_shard_cpu_seconds_total");
    if (load >= 0) busiest = Math.max(busiest ?? 0, load);
    const row = make("tr");
    const meter = make("td");
    if (load >= 0) meter.append(make("meter", undefined, { max: 1, low: .7, high: .9, optimum: 0, value: Math.min(load, 1), "aria-label": "load" }));
    meter.append(percent(load));
    row.append(make("td", id), meter, ...[
      short(value("plimsoll_connections_open")), short(rate("plimsoll_messages_received_total")),
      short(rate("plimsoll_messages_sent_total")), time(load / rate("plimsoll_turns_total")),
      percent(rate("plimsoll_shard_waiting_seconds_total")), bytes(value("plimsoll_buffered_bytes")),
    ].map(text => make("td", text)));
    return row;
  });
  at("shards").replaceChildren(...rows);
  return busiest;
}

function ends(now) {
  const totals = new Map();
  for (const [{ reason }, value] of now.get("plimsoll_connections_ended_total") ?? [])
    totals.set(reason, (totals.get(reason) ?? 0) + value);
  const rows = [...totals].filter(([, value]) => value > 0).sort((a, b) => b[1] - a[1]);
  at("ends").replaceChildren(...(rows.length ? rows : [["none yet", 0]]).map(([reason, value]) => {
    const row = make("tr");
    row.append(make("td", reason.replaceAll("_", " ")), make("td", value.toLocaleString("en")));
    return row;
  }));
}

function keep(key, when, value) {
  if (value === undefined || Number.isNaN(value)) return;
  history[key].push([when, value]);
  while (when - history[key][0][0] > SECONDS) history[key].shift();
}

let last;
function show(now, when) {
  const open = sum(now, "plimsoll_connections_open") ?? 0;
  const most = sum(now, "plimsoll_max_connections") ?? 0;
  at("open").textContent = open.toLocaleString("en");
  at("most").textContent = most.toLocaleString("en");
  at("level").style.width = `${most ? Math.min(100, 100 * open / most) : 0}%`;
  const version = now.get("plimsoll_build_info")?.[0][0].version ?? "";
  at("about").textContent = `version ${version}, up ${span(sum(now, "plimsoll_uptime_seconds") ?? 0)}`;
  const draining = sum(now, "plimsoll_draining") === 1;
  at("state").className = draining ? "gone" : "ready";
  at("state").textContent = draining ? "draining: nobody is let in" : "ready";
  ends(now);
  keep("connections", when, open);
  if (last) {
    const seconds = when - last.when;
    const rate = name => (sum(now, name) - sum(last.now, name)) / seconds;
    const busiest = shards(now, last.now, seconds);
    const [received, delivered] = [rate("plimsoll_messages_received_total"), rate("plimsoll_messages_sent_total")];
    keep("received", when, received);
    keep("delivered", when, delivered);
    keep("load", when, busiest);
    tiles([
      ["received", short(received), "messages/s"], ["sent", short(delivered), "messages/s"],
      ["in", bytes(rate("plimsoll_received_bytes_total")), "/s"], ["out", bytes(rate("plimsoll_sent_bytes_total")), "/s"],
      ["new", short(rate("plimsoll_handshakes_total")), "connections/s"],
      ["memory", bytes(sum(now, "process_resident_memory_bytes"))],
      ["held for peers", bytes((sum(now, "plimsoll_buffered_bytes") ?? 0) + (sum(now, "plimsoll_broadcast_bytes") ?? 0))],
    ]);
    charts();
  }
  last = { now, when };
}

async function look() {
  try {
    const answer = await fetch("metrics", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.status);
    show(parse(await answer.text()), performance.now() / 1000);
  } catch {
    if (!at("state").classList.contains("gone"))
      at("state").textContent = `not reachable since ${new Date().toLocaleTimeString()}`;
    at("state").className = "gone";
    last = undefined;
  }
  setTimeout(look, 1000);
}
look();

let watching;
async function rooms() {
  const headers = { "X-API-Key": at("key").value, "Content-Type": "application/json" };
  let note = "";
  try {
    const answer = await fetch("api/channels", { method: "POST", headers, body: "{}" });
    const { result, error } = answer.ok ? await answer.json() : {};
    if (!result) note = error?.message ?? (answer.status === 401 ? "This is not the key." : `The server answers ${answer.status}: is it started with --api-key?`);
    const found = Object.entries(result?.channels ?? {}).sort((a, b) => b[1].num_clients - a[1].num_clients);
    at("rooms").replaceChildren(...found.slice(0, 50).map(([name, { num_clients }]) => {
      const row = make("tr");
      row.append(make("td", name), make("td", num_clients.toLocaleString("en")));
      return row;
    }));
    at("rooms-table").hidden = !found.length;
    if (result) note = found.length > 50 ? `The 50 largest of ${found.length.toLocaleString("en")}.` : found.length ? "" : "No room has members.";
    watching = result ? setTimeout(rooms, 2000) : undefined;
  } catch {
    note = "The server is not reachable.";
    watching = setTimeout(rooms, 2000);
  }
  at("rooms-note").textContent = note;
}
at("keyed").addEventListener("submit", event => {
  event.preventDefault();
  clearTimeout(watching);
  rooms();
});
