// Sorting, filtering and the chart. Text from records enters the page by textContent only.
const { document: board, axes, curves, csv } = JSON.parse(document.getElementById("island").textContent);
const tracks = new Map(board.tracks.map((track) => [track.track, track]));
const find = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 40rem)");
const PALETTE = {
  light: ["#0b6aa8", "#c8561b", "#2a8a68", "#a34d8d", "#8a6d00", "#4457c0", "#b3303f", "#5f6b76"],
  dark: ["#6cb4ee", "#f09a63", "#63c9a2", "#dc94ca", "#d9bb4e", "#9aa8f5", "#f08a94", "#aab4bd"],
};
const state = { track: "", x: "train_tokens_per_s", log: true, filter: "" };

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// ---- the front, by the same rule as pareto.py: more is better on both axes, ties stay
function front(points) {
  const order = points.map((_, i) => i).sort((a, b) => points[b][0] - points[a][0] || points[b][1] - points[a][1]);
  const kept = [];
  let best = -Infinity;
  for (const i of order) {
    const last = kept.length ? points[kept.at(-1)] : null;
    if (points[i][1] > best || (last && last[0] === points[i][0] && last[1] === points[i][1])) {
      kept.push(i);
      best = points[i][1];
    }
  }
  return kept;
}

function frontRows(track, axis, rows) {
  const known = rows.filter((row) => row.mean !== null && row[axis.key] !== null);
  const thrift = axis.less ? -1 : 1, quality = track.higher_is_better ? 1 : -1;
  return new Set(front(known.map((row) => [thrift * row[axis.key], quality * row.mean])).map((i) => known[i]));
}

// ---- tables
function sortBy(th) {
  const table = th.closest("table"), column = th.cellIndex, now = th.getAttribute("aria-sort");
  const other = { ascending: "descending", descending: "ascending" };
  const wanted = now ? other[now] : th.dataset.best;
  for (const one of table.tHead.rows[0].cells) one.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", wanted);
  const sign = wanted === "ascending" ? 1 : -1, words = th.classList.contains("name");
  const value = (tr) => tr.cells[column].dataset.v;
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === ""); // what is missing stays last
    return sign * (words ? x.localeCompare(y) : x - y);
  });
  table.tBodies[0].append(...rows);
}

for (const th of document.querySelectorAll("th[data-best]")) {
  const button = element("button"), title = element("span", undefined, "title");
  button.type = "button";
  title.append(...[...th.childNodes].filter((node) => node.nodeName !== "SMALL"));
  button.append(title, ...th.childNodes);
  button.addEventListener("click", () => sortBy(th));
  th.replaceChildren(button);
}

function shown(track) {
  const wanted = state.filter.trim().toLowerCase();
  return track.rows.filter((row) => `${row.label} ${row.family} ${row.kernel ?? ""}`.toLowerCase().includes(wanted));
}

function markTable(section, track, rows) {
  const fronts = new Map(axes.map((axis) => [axis.key, frontRows(track, axis, rows)]));
  const kept = new Set(rows);
  const columns = [...section.querySelectorAll("table.board th[data-key]")];
  for (const tr of section.querySelectorAll("table.board tr[data-row]")) {
    const row = track.rows[tr.dataset.row];
    tr.hidden = !kept.has(row);
    for (const th of columns) tr.cells[th.cellIndex].classList.toggle("front", fronts.get(th.dataset.key).has(row));
  }
}

// ---- the chart
function figures(value, unit = "") {
  if (value === null) return "–";
  const small = unit === "ms" || Math.abs(value) < 1000;
  const step = small ? 0 : Math.min(Math.floor(Math.log10(Math.abs(value)) / 3), 5);
  return `${Number((value / 1000 ** step).toPrecision(3))} ${["", "k", "M", "G", "T", "P"][step]}${unit}`.trim();
}

function tip(_handler, event, _item, row) {
  const box = find("tip");
  if (!row || !row.label) { box.hidden = true; return; }
  const { track, axis } = tip;
  const list = element("dl");
  const add = (name, text) => list.append(element("dt", name), element("dd", text));
  add(track.headline, row.mean.toFixed(3));
  if (row.low !== null) add("95 %", `${row.low.toFixed(3)}–${row.high.toFixed(3)}`);
  add("seeds", `${row.seeds_ok}/${row.seeds_planned}`);
  for (const one of axes) if (row[one.key] !== null) add(one.title, figures(row[one.key], one.unit));
  box.replaceChildren(element("strong", row.label + (row.front ? " ◆" : "")), list);
  box.hidden = false;
  const wide = box.offsetWidth, room = document.documentElement.clientWidth;
  const left = event.pageX + 14 + wide > room ? event.pageX - 14 - wide : event.pageX + 14;
  box.style.left = `${Math.max(4, left)}px`;
  box.style.top = `${event.pageY + 14}px`;
}

function caption(track, axis, points, rows, far) {
  const missing = rows.filter((row) => !points.some((point) => point.label === row.label)).map((row) => row.label);
  const parts = ["Step line: the front. No other row is at least as good on both axes and better on one."];
  if (points.some((point) => point.low !== null)) parts.push("Bars: 95 % interval over seeds.");
  if (far) parts.push(`Chance, ${figures(track.chance)}, is off the chart.`);
  if (missing.length) parts.push(`No score, or no value that this scale can show: ${missing.join(", ")}.`);
  return parts.join(" ");
}

// Rows that all score the same leave no range to draw: Vega then writes 0 beside them.
function around(points) {
  const all = points.flatMap((point) => [point.mean, point.low, point.high]).filter((value) => value !== null);
  const room = Math.max(0.02, Math.abs(all[0]) / 10);
  return all.every((value) => value === all[0]) ? { domain: [all[0] - room, all[0] + room] } : {};
}

function spec(track, axis, points, near, style) {
  const colours = PALETTE[dark.matches ? "dark" : "light"];
  const ink = style.getPropertyValue("--ink").trim(), soft = style.getPropertyValue("--soft").trim();
  const line = style.getPropertyValue("--line").trim(), paper = style.getPropertyValue("--paper").trim();
  const at = axis.by_length ? ` at ${track.lengths[axis.key]} tokens` : "";
  const title = axis.less ? `${axis.title}${at} (← less is better)` : `${axis.title}${at} (more is better →)`;
  const x = { field: "x", type: "quantitative", title, axis: { format: axis.unit === "ms" ? "~g" : "~s", grid: false, tickCount: narrow.matches ? 4 : 8, labelOverlap: true }, scale: { type: state.log ? "log" : "linear", ...(state.log ? {} : { zero: false }), nice: !state.log, padding: narrow.matches ? 24 : 44 } };
  const y = { field: "mean", type: "quantitative", title: narrow.matches ? track.headline : `${track.headline} (${track.higher_is_better ? "more is better →" : "← less is better"})`, axis: { tickCount: 6 }, scale: { zero: false, padding: 12, ...around(points) } };
  const families = [...new Set(track.rows.map((row) => row.family))].sort();
  const color = { field: "family", type: "nominal", title: null, scale: { domain: families, range: families.map((_, i) => colours[i % colours.length]) }, legend: { orient: "bottom", columns: narrow.matches ? 3 : 0, symbolType: "circle", symbolStrokeWidth: 0, symbolOpacity: 1 } };
  const layer = [
    { transform: [{ filter: "datum.front" }], mark: { type: "line", interpolate: axis.less ? "step-after" : "step-before", strokeWidth: 1.5, color: soft, opacity: 0.7 }, encoding: { x, y, order: { field: "x", type: "quantitative" } } },
    { transform: [{ filter: "datum.low !== null" }], mark: { type: "rule", strokeWidth: 1.5, opacity: 0.45 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color } },
    { mark: { type: "point", filled: true, size: 95, stroke: paper, strokeWidth: 1.5, opacity: 1, tooltip: { content: "data" } }, encoding: { x, y, color } },
    ...[{ stroke: paper, strokeWidth: 3, strokeJoin: "round" }, {}].map((halo) => ({
      transform: [{ filter: "datum.shown" }],
      mark: { type: "text", align: { expr: "datum.align" }, dx: { expr: "datum.dx" }, dy: { expr: "datum.dy" }, baseline: "middle", fontSize: 11.5, color: ink, limit: 150, ...halo },
      encoding: { x, y, text: { field: "label" } },
    })),
  ];
  if (near) {
    layer.unshift(
      { data: { values: [{ y: track.chance }] }, mark: { type: "rule", strokeDash: [4, 4], color: soft }, encoding: { y: { ...y, field: "y" } } },
      { data: { values: [{ y: track.chance, text: "chance" }] }, mark: { type: "text", align: "left", x: 4, dy: -7, fontSize: 11, color: soft }, encoding: { y: { ...y, field: "y" }, text: { field: "text" } } },
    );
  }
  return {
    width: "container", height: narrow.matches ? 260 : 340, background: null, data: { name: "points", values: structuredClone(points) }, layer,
    autosize: { type: "fit", contains: "padding" },
    config: theme(style),
  };
}

// ---- the score against the length: the chart is made beforehand, here it takes the page's colours
function theme(style) {
  const ink = style.getPropertyValue("--ink").trim(), soft = style.getPropertyValue("--soft").trim();
  const line = style.getPropertyValue("--line").trim();
  return {
    font: style.getPropertyValue("font-family"), view: { stroke: null },
    axis: { labelColor: soft, titleColor: soft, titleFontWeight: "normal", titlePadding: 10, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 11.5, titleFontSize: 12 },
    legend: { labelColor: ink, labelFontSize: 12, labelLimit: 240 },
  };
}

async function drawCurve(section, track, rows) {
  const holder = section.querySelector(".curve"), made = curves[track.track];
  if (!made) return;
  const kept = new Set(rows.map((row) => row.label)), chart = structuredClone(made);
  chart.data.values = chart.data.values.filter((point) => kept.has(point.label));
  const colours = PALETTE[dark.matches ? "dark" : "light"];
  for (const { encoding } of chart.layer) {
    if (!encoding.color) continue;
    encoding.color.scale.range = encoding.color.scale.domain.map((_, i) => colours[i % colours.length]);
    if (encoding.color.legend) encoding.color.legend.columns = narrow.matches ? 1 : 3;
  }
  const far = track.trained_to === null ? "" : ` Training shows lengths up to ${track.trained_to}; beyond it is extrapolation.`;
  holder.querySelector("figcaption").textContent = `${track.headline} against length, the mean over seeds with its 95 % interval.${far}`;
  const plot = holder.querySelector(".plot");
  plot.setAttribute("aria-label", `${track.headline} against length, a line for each mixer`);
  const legend = 16 * Math.ceil(kept.size / (narrow.matches ? 1 : 3)); // it takes room of the plot's
  await window.vegaEmbed(plot, { width: "container", height: (narrow.matches ? 260 : 340) + legend, background: null, autosize: { type: "fit", contains: "padding" }, config: theme(getComputedStyle(document.body)), ...chart }, { ast: true, renderer: "svg", actions: false, tooltip: false, logLevel: 1 });
}

const PLACES = [
  ["left", 8, -10], ["right", -8, -10], ["center", 0, -16], ["left", 9, 0], ["left", 8, 10], ["right", -9, 0], ["right", -8, 10], ["center", 0, 16],
];

// Names stand where they cover neither a point nor another name; those on the front come first.
function place(points, view, up) { // `up`: to the side without the other rows
  const [x, y] = [view.scale("x"), view.scale("y")], width = view.width();
  const spots = points.map((point) => [x(point.x), y(point.mean)]);
  const taken = spots.map(([px, py]) => [px - 5, px + 5, py - 5, py + 5]);
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
  const crowd = points.length > 60; // then only the front is named
  const order = points.map((_, i) => i).filter((i) => !crowd || points[i].front).sort((a, b) => points[b].front - points[a].front);
  for (const i of order) {
    const [px, py] = spots[i], wide = Math.min(150, pen.measureText(points[i].label).width);
    for (const [align, dx, away] of PLACES) {
      const dy = (points[i].front ? up : -up) * away;
      const left = px + dx - wide * { left: 0, center: 0.5, right: 1 }[align];
      const box = [left, left + wide, py + dy - 7, py + dy + 7];
      const clear = left > 0 && left + wide < width + 20 && box[2] > 0 && box[3] < view.height();
      if (!clear || taken.some((other) => box[0] < other[1] && other[0] < box[1] && box[2] < other[3] && other[2] < box[3])) continue;
      taken.push(box);
      Object.assign(points[i], { shown: true, align, dx, dy });
      break;
    }
  }
}

let latest = 0;
async function draw(section, track, rows) {
  const holder = section.querySelector(".chart");
  if (!holder.firstElementChild) holder.append(furnish());
  const axis = axes.find((one) => one.key === state.x), kept = frontRows(track, axis, rows);
  holder.querySelector(".axis").value = state.x;
  holder.querySelector(".log").checked = state.log;
  const points = rows
    .filter((row) => row.mean !== null && row[axis.key] !== null && (!state.log || row[axis.key] > 0))
    .map((row) => ({ ...row, runs: null, options: null, x: row[axis.key], front: kept.has(row), shown: false, align: "left", dx: 0, dy: 0 }));
  const ends = points.flatMap((point) => [point.mean, point.low ?? point.mean, point.high ?? point.mean]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const near = track.chance !== null && track.chance >= 2 * low - high && track.chance <= 2 * high - low;
  holder.querySelector("figcaption").textContent = caption(track, axis, points, rows, track.chance !== null && !near);
  const plot = holder.querySelector(".plot");
  plot.setAttribute("aria-label", `${track.headline} against ${axis.title}; the table below holds the same figures`);
  tip.track = track;
  tip.axis = axis;
  const mine = ++latest;
  const embedded = await window.vegaEmbed(plot, spec(track, axis, points, near, getComputedStyle(document.body)), {
    ast: true, renderer: "svg", actions: false, tooltip: tip, logLevel: 1,
  });
  if (mine !== latest) return embedded.finalize();
  place(points, embedded.view, track.higher_is_better ? 1 : -1);
  await embedded.view.data("points", structuredClone(points)).runAsync();
}

function furnish() {
  const figure = find("figure").content.cloneNode(true), select = figure.querySelector(".axis");
  for (const axis of axes) {
    const option = element("option", axis.title);
    option.value = axis.key;
    select.append(option);
  }
  select.addEventListener("change", () => go({ x: select.value }));
  const log = figure.querySelector(".log");
  log.addEventListener("change", () => go({ log: log.checked }));
  return figure;
}

// ---- state lives in the address, so that a view can be sent to someone
function go(change) {
  Object.assign(state, change);
  history.replaceState(null, "", `#${new URLSearchParams({ ...state, log: state.log ? "1" : "0" })}`);
  show();
}

function recall() {
  const found = new URLSearchParams(location.hash.slice(1));
  const first = board.tracks.find((track) => !track.note) ?? board.tracks[0];
  state.track = tracks.has(found.get("track")) ? found.get("track") : first.track;
  state.x = axes.some((axis) => axis.key === found.get("x")) ? found.get("x") : state.x;
  if (found.has("log")) state.log = found.get("log") === "1";
  state.filter = found.get("filter") ?? state.filter;
}

function show() {
  find("tip").hidden = true;
  find("track").value = state.track;
  find("filter").value = state.filter;
  for (const section of document.querySelectorAll("section.track")) section.hidden = section.id !== state.track;
  const track = tracks.get(state.track), section = find(state.track), rows = shown(track);
  markTable(section, track, rows);
  if (!window.vegaEmbed) return;
  draw(section, track, rows);
  drawCurve(section, track, rows);
}

function download(text, type, name) {
  const link = element("a"), address = URL.createObjectURL(new Blob([text], { type }));
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}

find("track").addEventListener("change", (event) => go({ track: event.target.value }));
find("filter").addEventListener("input", (event) => go({ filter: event.target.value }));
find("csv").addEventListener("click", () => download(csv, "text/csv", "leaderboard.csv"));
find("json").addEventListener("click", () => download(JSON.stringify(board, null, 1), "application/json", "leaderboard.json"));
addEventListener("hashchange", () => { recall(); show(); });
for (const query of [dark, narrow]) query.addEventListener("change", show);
find("pick").hidden = false;
recall();
show();
