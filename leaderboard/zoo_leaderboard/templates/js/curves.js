// Lines of the rows shown: score by length, loss and validation while training, learning rates.

// Colour and dash of each row's line, by the rule of theme.py: its family's, or one of its own.
function looksOf(rows) {
  const palette = PALETTE[dark.matches ? "dark" : "light"], seen = new Map(), { dashes } = specs;
  const place = rows.map((row) => {
    seen.set(row.family, (seen.get(row.family) ?? -1) + 1);
    return seen.get(row.family);
  });
  const family = place.every((at) => at < dashes.length);
  const domain = rows.map((row) => row.label);
  const range = rows.map((row, i) => (family ? colour(row.family) : palette[i % palette.length]));
  const dash = rows.map((_, i) => (family ? dashes[place[i]] : dashes[Math.floor(i / palette.length) % dashes.length]));
  const legend = { ...specs.templates.training.define.color.legend, columns: narrow.matches ? 1 : 2 };
  return { color: { scale: { domain, range }, legend }, dash: { scale: { domain, range: dash } } };
}

// Picked rows first, then the best.
function bestOf(rows, key) {
  const able = rows.filter((row) => row[key].length > 1), picked = able.filter((row) => state.picked.includes(row.label));
  const kept = new Set([...picked, ...able].slice(0, specs.most));
  return [able.filter((row) => kept.has(row)), able.length];
}

const bands = (rows, key, x, y) => rows.flatMap((row) => row[key].filter((one) => !missing(one[y])).map((one) => ({ label: row.label, x: one[x], y: one[y], low: one.low ?? one[y], high: one.high ?? one[y] })));
const chanceRule = (track) => (missing(track.chance) ? [] : [{ value: track.chance, text: "chance" }]);

function publishedCurves(track, low, high) {
  const same = (board.published.curves ?? []).filter((one) => one.task === track.task);
  return same.flatMap((one) => one.points.filter((at) => !missing(at.value) && at.length >= low && at.length <= high).map((at) => ({ label: `${one.model} (published, ${one.source})`, x: at.length, y: at.value })));
}

function lengthSpec(track, rows) {
  const grid = [...new Set(rows.flatMap((row) => row.curve.map((one) => one.length)))].sort((a, b) => a - b);
  if (grid.length < 2) return null;
  const x = { title: "length", scale: { type: "log", base: 2, nice: false }, axis: { values: grid, grid: false, format: "d", labelOverlap: true } };
  const trained = missing(track.trained_to) ? [] : [{ value: track.trained_to, text: "trained to here" }];
  const published = state.hollow ? publishedCurves(track, grid[0], grid.at(-1)) : [];
  return filled("length", { x, y: { title: track.headline }, ...looksOf(rows) }, { points: bands(rows, "curve", "length", "mean"), chance: chanceRule(track), trained, published });
}

function trainingSpec(track, rows, key, value, title) {
  const x = { title: "step", axis: { format: ",f", grid: false, labelOverlap: true, tickCount: narrow.matches ? 4 : 8 } };
  const chance = key === "validated" ? chanceRule(track) : [];
  return filled("training", { x, y: { title }, ...looksOf(rows) }, { points: bands(rows, key, "step", value), chance });
}

// The good rates around the chosen one without a gap.
function goodWindow(row) {
  const rates = row.sweep.filter((one) => one.lr > 0).sort((a, b) => a.lr - b.lr), at = rates.findIndex((one) => one.chosen);
  if (at < 0 || missing(rates[at].valid)) return [];
  let [first, last] = [at, at];
  while (rates[first - 1]?.good) first -= 1;
  while (rates[last + 1]?.good) last += 1;
  return [{ label: row.label, y: rates[at].valid, from: rates[first].lr, to: rates[last].lr }];
}

function sweepSpec(track, rows) {
  const points = rows.flatMap((row) => row.sweep.filter((one) => !missing(one.valid) && one.lr > 0).map(({ lr, valid, chosen, good, seeds_ok, seeds_planned }) => ({ label: row.label, x: lr, y: valid, chosen, good, seeds_ok, seeds_planned })));
  const rates = [...new Set(points.map((one) => one.x))].sort((a, b) => a - b);
  const x = { axis: { values: rates, format: "~g", grid: false, labelOverlap: true } };
  return filled("sweep", { x, y: { title: `${track.headline} on validation` }, ...looksOf(rows) }, { points, windows: rows.flatMap(goodWindow) });
}

const COURSES = [
  { key: "curve", title: "Score by length", spec: lengthSpec, across: "length",
    words: (track) => `Mean over seeds with its 95 % interval.${missing(track.trained_to) ? "" : ` Training shows lengths up to ${track.trained_to}; beyond it is extrapolation.`}${publishedCurves(track, 0, Infinity).length ? " Hollow and dashed: published curves of the task, not made here." : ""}` },
  { key: "losses", title: "Training loss", spec: (track, rows) => trainingSpec(track, rows, "losses", "loss", "training loss"), across: "step", words: () => "Mean over seeds; the band goes from the least to the greatest." },
  { key: "validated", title: "Score while training", spec: (track, rows) => trainingSpec(track, rows, "validated", "mean", `${track.headline} on validation`), across: "step", words: () => "On the validation split; mean over seeds, from the least to the greatest." },
  { key: "sweep", title: "Learning rates", spec: sweepSpec, across: "learning rate", words: () => "Ringed: the rate chosen, on validation alone. Shaded: the rates around it that score within 5 % of it." },
];

const courseWords = (across) => (datum) => {
  const pairs = [[across, String(datum.x)], ["score", score(datum.y)]];
  if (datum.low !== undefined && datum.low !== datum.high) pairs.push(["from, to", `${score(datum.low)}–${score(datum.high)}`]);
  if (datum.seeds_ok !== undefined) pairs.push(["seeds", `${datum.seeds_ok}/${datum.seeds_planned}`]);
  return [datum.label ?? datum.text, datum.label ? pairs : []];
};

function drawCurves(host, track, rows) {
  host.hidden = false; // what is hidden has no width to draw in
  for (const course of COURSES) {
    let figure = host.querySelector(`:scope > .${course.key}`);
    if (!figure) {
      figure = element("figure", undefined, `course ${course.key}`);
      figure.append(element("h3", course.title), element("div", undefined, "drawing"), element("figcaption"));
      host.append(figure);
    }
    const [kept, count] = bestOf(rows, course.key), spec = kept.length ? course.spec(track, kept) : null;
    figure.hidden = !spec;
    if (!spec) continue;
    const more = count > kept.length ? ` The best ${kept.length} of ${count} rows, those picked first; the search narrows them.` : "";
    figure.querySelector("figcaption").textContent = course.words(track) + more;
    const height = 260 + 17 * Math.ceil(kept.length / (narrow.matches ? 1 : 2)); // the legend takes room of the plot's
    const label = `${track.task}: ${course.title.toLowerCase()}; a line for each of ${kept.map((row) => row.label).join(", ")}`;
    embedNew(figure.querySelector(".drawing"), noted({ height, ...spec }, track), label, { tip: courseWords(course.across) });
  }
  host.hidden = [...host.children].every((figure) => figure.hidden);
}
