// Any two axes against each other, with the front, the intervals and what others published.
const { places: PLACES, widest: WIDEST, crowd: CROWD } = specs.names; // see place.py

// ---- charts out of the shapes that Python made: see template.py, whose `fill` this is
function filled(name, define, datasets) {
  const shape = specs.templates[name], style = getComputedStyle(document.body), merged = { ...shape.define };
  for (const ink of ["ink", "soft", "paper"]) merged[ink] = style.getPropertyValue(`--${ink}`).trim();
  for (const [key, value] of Object.entries(define)) merged[key] = typeof value === "object" ? { ...merged[key], ...value } : value;
  return { datasets: { ...shape.datasets, ...datasets }, layer: resolved(shape.layer, merged) };
}

function resolved(value, define) {
  if (Array.isArray(value)) return value.map((one) => resolved(one, define));
  if (typeof value !== "object" || value === null) return value;
  const { use, ...own } = value, made = Object.fromEntries(Object.entries(own).map(([key, one]) => [key, resolved(one, define)]));
  if (use === undefined) return made;
  const meant = define[use];
  return typeof meant === "object" ? structuredClone({ ...meant, ...made }) : meant;
}

// What must not be missed stands in the chart too, which may leave the page as a file.
function noted(spec, track) {
  const warn = getComputedStyle(document.body).getPropertyValue("--warn").trim();
  return track.note ? { ...spec, title: { text: track.note, color: warn, fontSize: 12, anchor: "start", offset: 8 } } : spec;
}

// Sorting a table or opening a row changes no chart: what would be drawn as it stands stays.
const standing = new WeakMap();
function embedNew(host, spec, label, options) {
  const key = JSON.stringify([spec, label, dark.matches, host.clientWidth]);
  if (standing.get(host) === key) return;
  standing.set(host, key);
  embed(host, spec, label, options);
}

function titleOf(axis, track, up) {
  const length = axis.by_length ? track.lengths[axis.key] : null, at = missing(length) ? "" : ` at ${length} tokens`;
  const side = up ? (axis.less ? "less is better ↓" : "more is better ↑") : axis.less ? "← less is better" : "more is better →";
  return narrow.matches && up ? `${axis.title}${at}` : `${axis.title}${at} (${side})`;
}

const ends = (row, key) => (key === "mean" ? [row.low, row.high] : [row[`${key}_low`] ?? null, row[`${key}_high`] ?? null]);
const fits = (value, log) => !missing(value) && (!log || value > 0);

function pointsOf(track, rows, x, y) {
  const kept = frontOf(rows, x, y); // of all, for a row that a scale cannot show still beats others
  const able = rows.filter((row) => fits(row[x.key], state.log) && fits(row[y.key], state.logy));
  const names = shortened(able.map((row) => row.label));
  return able.map((row, i) => {
    const [xlow, xhigh] = ends(row, x.key), [ylow, yhigh] = ends(row, y.key);
    return {
      label: row.label, name: names[i], family: row.family, x: row[x.key], y: row[y.key],
      xlow: fits(xlow, state.log) ? xlow : null, xhigh, ylow: fits(ylow, state.logy) ? ylow : null, yhigh,
      front: kept.has(row), picked: state.picked.includes(row.label), shown: false, align: "left", dx: 0, dy: 0,
    };
  }).sort((a, b) => a.front - b.front); // the front is drawn over the rest
}

// Without the words that all of them begin with; none is left empty.
function shortened(labels) {
  const words = labels.map((label) => label.split(" "));
  let same = 0;
  while (words.length > 1 && words.every((one) => same < one.length - 1 && one[same] === words[0][same])) same += 1;
  return words.map((one) => one.slice(same).join(" "));
}

// Values from papers at our row's cost: what others scored with the mixer that costs this here.
function hollowOf(track, points, x, y) {
  if (!state.hollow || y.key !== "mean") return [];
  const at = new Map(points.map((point) => [point.label, point])), found = [];
  for (const row of board.published.rows ?? []) {
    for (const ours of row.ours) {
      const point = ours.track === track.track && row.metric === track.headline ? at.get(ours.label) : undefined;
      if (!point || !fits(row.value, state.logy)) continue;
      found.push({ x: point.x, y: row.value, family: point.family, label: point.label, model: row.model, source: row.source, text: row.text, comparable: ours.comparable, because: ours.because, hollow: true });
    }
  }
  return found;
}

// The ends of the upright axis; rows that all score the same would leave no range to draw.
function extent(points, hollow) {
  const all = [...points.flatMap((one) => [one.y, one.ylow, one.yhigh]), ...hollow.map((one) => one.y)].filter((value) => !missing(value));
  return [all.reduce((a, b) => Math.min(a, b), Infinity), all.reduce((a, b) => Math.max(a, b), -Infinity)];
}

function paretoSpec(track, points, hollow, x, y, near) {
  const [low, high] = extent(points, hollow), room = Math.max(0.02, Math.abs(high) / 10);
  const families = [...new Set(track.rows.map((row) => row.family))].sort();
  const axis = (one, log, up) => ({
    title: titleOf(one, track, up),
    axis: { format: one.unit === "ms" || one.key === "mean" ? "~g" : "~s", grid: up, labelOverlap: true, tickCount: up ? 6 : narrow.matches ? 4 : 8 },
    scale: { type: log ? "log" : "linear", ...(log ? {} : { zero: false }), nice: false, padding: up ? 20 : narrow.matches ? 24 : 44 },
  });
  const define = { x: axis(x, state.log, false), y: axis(y, state.logy, true), step: x.less ? "step-after" : "step-before" };
  define.size = points.length <= 100 ? 95 : points.length <= 500 ? 50 : 24; // a crowd is made of small ones
  if (low === high) define.y.scale.domain = state.logy ? [low / 2, low * 2] : [low - room, low + room];
  const legend = { ...specs.templates.pareto.define.color.legend, columns: narrow.matches ? 2 : 0, symbolStrokeWidth: 0 };
  define.color = { scale: { domain: families, range: families.map(colour) }, legend };
  const rule = near ? [{ value: track.chance, text: "chance" }] : [];
  const chance = { chance_y: y.key === "mean" ? rule : [], chance_x: x.key === "mean" ? rule : [] };
  return noted({ height: narrow.matches ? 280 : 360, ...filled("pareto", define, { points, published: hollow, ...chance }) }, track);
}

// Chance is drawn unless it would push the rows into a corner.
function chanceNear(track, points, x, y) {
  const key = y.key === "mean" ? "y" : x.key === "mean" ? "x" : "";
  if (!key || missing(track.chance) || !points.length || !fits(track.chance, key === "y" ? state.logy : state.log)) return false;
  const all = points.flatMap((one) => [one[key], one[`${key}low`], one[`${key}high`]]).filter((value) => !missing(value));
  const low = all.reduce((a, b) => Math.min(a, b)), high = all.reduce((a, b) => Math.max(a, b));
  return track.chance >= 2 * low - high && track.chance <= 2 * high - low;
}

// ---- names stand where they cover neither a point nor another name; the front's come first
function placeNames(points, view, up) {
  const [x, y] = [view.scale("x"), view.scale("y")], width = view.width(), height = view.height();
  const spots = points.map((point) => [x(point.x), y(point.y)]);
  const taken = spots.map(([px, py]) => [px - 5, px + 5, py - 5, py + 5]);
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
  const first = (one) => one.picked * 2 + one.front;
  const order = points.map((_, i) => i).filter((i) => points.length <= CROWD || first(points[i])).sort((a, b) => first(points[b]) - first(points[a])).slice(0, CROWD);
  for (const i of order) {
    const [px, py] = spots[i], wide = Math.min(WIDEST, pen.measureText(points[i].name).width);
    for (const [align, dx, away] of PLACES) {
      const dy = (points[i].front === up ? 1 : -1) * away;
      const left = px + dx - wide * { left: 0, center: 0.5, right: 1 }[align];
      const box = [left, left + wide, py + dy - 7, py + dy + 7];
      const clear = left > 0 && left + wide < width && box[2] > 0 && box[3] < height;
      if (!clear || taken.some((other) => box[0] < other[1] && other[0] < box[1] && box[2] < other[3] && other[2] < box[3])) continue;
      taken.push(box);
      Object.assign(points[i], { shown: true, align, dx, dy });
      break;
    }
  }
}

function paretoWords(track, x, y) {
  const rows = new Map(track.rows.map((row) => [row.label, row]));
  return (datum) => {
    const row = rows.get(datum.label);
    if (!row) return [null, [["", String(datum.text ?? "")]]];
    if (datum.hollow) {
      const whether = datum.comparable ? "same protocol and budget" : `no: ${datum.because}`;
      return [`${datum.model}, published`, [[track.headline, datum.text], ["source", datum.source], ["drawn at the cost of", datum.label], ["comparable", whether]]];
    }
    const pairs = [[track.headline, score(row.mean)]];
    if (!missing(row.low)) pairs.push(["95 %", `${score(row.low)}–${score(row.high)}`]);
    pairs.push(["seeds", `${row.seeds_ok}/${row.seeds_planned}`]);
    for (const one of board.columns) if (!missing(row[one.key]) || one === x || one === y) pairs.push([one.title, figures(row[one.key], one.unit)]);
    return [row.label + (datum.front ? " ◆" : ""), pairs];
  };
}

// ---- the figure: controls once, the chart at every change
function paretoControls(host) {
  const bar = element("div", undefined, "controls"), made = {};
  for (const [key, title] of [["y", "Upright axis"], ["x", "Across"]]) {
    const label = element("label", title), select = element("select");
    for (const one of ["mean", ...board.columns.map((column) => column.key)]) {
      const option = element("option", columns.get(one)?.title ?? "score");
      option.value = one;
      select.append(option);
    }
    // Both on one axis would be a straight line: whoever takes the other's axis changes places.
    select.addEventListener("change", () => {
      const other = key === "x" ? "y" : "x", swap = select.value === state[other] ? { [other]: state[key] } : {};
      go({ ...swap, [key]: select.value });
    });
    select.className = key;
    label.append(select);
    bar.append(label);
    made[key] = select;
  }
  for (const [key, title] of [["logy", "log upright"], ["log", "log across"], ["hollow", "published values"]]) {
    const label = element("label", undefined, "check"), box = element("input");
    box.type = "checkbox";
    box.className = key;
    box.addEventListener("change", () => go({ [key]: box.checked }));
    label.append(box, element("span", title));
    bar.append(label);
    made[key] = box;
  }
  host.append(bar, element("div", undefined, "drawing"), element("figcaption"));
  host.made = made;
}

function paretoCaption(track, rows, points, hollow, near) {
  const drawn = new Set(points.map((point) => point.label)), lost = rows.filter((row) => !drawn.has(row.label)).map((row) => row.label);
  const parts = ["Step line: the front of the rows shown. No other is at least as good on both axes and better on one."];
  if (points.some((one) => !missing(one.ylow) || !missing(one.xlow))) parts.push("Bars: 95 % intervals.");
  if (hollow.length) parts.push("Hollow: published values of the same mixer, at what it costs here; pointing at one says whether they may be compared.");
  if (!missing(track.chance) && !near && [state.x, state.y].includes("mean")) parts.push(`Chance, ${score(track.chance)}, is off the chart.`);
  const more = lost.length > 8 ? `, and ${lost.length - 8} more` : "";
  if (lost.length) parts.push(`No score, or no value that this scale can show: ${lost.slice(0, 8).map((name) => (name.length > 60 ? `${visible(name.slice(0, 59))}…` : visible(name))).join(", ")}${more}.`);
  return parts.join(" ");
}

function drawPareto(host, track, rows) {
  let figure = host.querySelector(":scope > figure");
  if (!figure) {
    figure = element("figure", undefined, "pareto");
    paretoControls(figure);
    host.replaceChildren(figure);
  }
  const { made } = figure, x = axisOf(track, state.x), y = axisOf(track, state.y);
  for (const key of ["x", "y"]) {
    made[key].value = state[key];
    made[key].options[0].textContent = visible(track.headline);
  }
  for (const key of ["log", "logy", "hollow"]) made[key].checked = state[key];
  const points = pointsOf(track, rows, x, y), hollow = hollowOf(track, points, x, y), near = chanceNear(track, points, x, y);
  made.hollow.closest("label").hidden = !(board.published.rows ?? []).some((row) => row.ours.some((one) => one.track === track.track));
  figure.querySelector("figcaption").textContent = paretoCaption(track, rows, points, hollow, near);
  const plot = figure.querySelector(".drawing");
  plot.hidden = !points.length;
  if (!points.length) return;
  const label = `${track.task}: ${y.title} against ${x.title}; the table of rows holds the same figures`;
  const after = ({ view }) => {
    view.addEventListener("click", (_event, item) => {
      if (item?.datum?.label && tracks.get(state.track) === track) go({ open: item.datum.label });
    });
    placeNames(points, view, !y.less);
    return view.data("points", structuredClone(points)).runAsync();
  };
  embedNew(plot, paretoSpec(track, points, hollow, x, y, near), label, { tip: paretoWords(track, x, y), after });
}
