// The board of one track: what is shown of it, its columns, its controls.
const haystacks = new WeakMap(); // row -> what the search looks through

function haystack(row) {
  if (!haystacks.has(row)) haystacks.set(row, [row.label, row.mixer, row.family, row.kernel, JSON.stringify(row.options)].join(" ").toLowerCase());
  return haystacks.get(row);
}

// Rows that the search, the families and "front only" leave; fronts are over the first two alone.
function shown(track) {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = track.rows.filter((row) => (!state.family.length || state.family.includes(row.family)) && words.every((word) => haystack(row).includes(word)));
  const chosen = frontOf(kept, axisOf(track, state.x), axisOf(track, state.y));
  return { rows: state.only ? kept.filter((row) => chosen.has(row)) : kept, kept, chosen };
}

const measured = (track) => board.columns.filter(({ key }) => track.rows.some((row) => !missing(row[key])));

// Ends of the interval marks; chance lies inside unless it is far from every row.
function limits(track) {
  const ends = track.rows.flatMap((row) => [row.mean, row.low, row.high]).filter((value) => !missing(value));
  if (!ends.length) return [0, 1];
  let [low, high] = [ends.reduce((a, b) => Math.min(a, b)), ends.reduce((a, b) => Math.max(a, b))];
  if (!missing(track.chance) && track.chance >= 2 * low - high && track.chance <= 2 * high - low) [low, high] = [Math.min(low, track.chance), Math.max(high, track.chance)];
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}

function forest(row, [low, high]) {
  const mark = element("span", undefined, "forest"), at = (value) => `${(((value - low) / (high - low)) * 100).toFixed(2)}%`;
  if (missing(row.mean) || row.mean < low || row.mean > high) return "";
  mark.style.setProperty("--low", at(row.low ?? row.mean));
  mark.style.setProperty("--high", at(row.high ?? row.mean));
  mark.style.setProperty("--mean", at(row.mean));
  return mark;
}

const interval = (row) => (missing(row.low) ? "" : `${score(row.low)}–${score(row.high)}`);

// ---- what others printed for the same mixer and task, the nearest first
const printed = new Map();
for (const one of board.published.rows) {
  for (const our of one.ours) {
    const key = JSON.stringify([our.track, our.label]);
    printed.set(key, [...(printed.get(key) ?? []), { ...our, row: one }]);
  }
}

function publishedOf(track, row) {
  const near = (one) => (missing(one.difference) ? Math.abs((row.mean ?? 0) - one.row.value) : Math.abs(one.difference));
  return (printed.get(JSON.stringify([track.track, row.label])) ?? []).sort((a, b) => b.comparable - a.comparable || near(a) - near(b));
}

function hollow({ row, comparable, because, standard_errors: errors }) {
  const mark = element("span", undefined, comparable ? "printed comparable" : "printed");
  const words = comparable ? `comparable${missing(errors) ? "" : `: ours is ${score(errors)} standard errors from it`}` : `not comparable because ${because}`;
  mark.title = visible(`${row.model}, ${row.source}, printed as ${row.text}: ${words}`);
  mark.append(score(row.value), element("span", ` (${mark.title})`, "unseen"));
  return mark;
}

// ---- columns of the table
function nameOf(track, row) {
  if (row.chance) return [named("chance")];
  const open = button("", null, () => go({ open: row.label }), "open"), mark = element("span", undefined, "family");
  open.tabIndex = -1; // Enter on the row does the same; a stop for every row would make Tab useless
  mark.style.background = colour(row.family);
  open.append(mark, named(row.label));
  const under = element("small");
  under.append(named([row.family, row.kernel].filter(Boolean).join(" · ")));
  return [open, ...row.tags.flatMap((tag) => [" ", element("span", tag, "tag")]), under];
}

function pick(label) {
  const picked = state.picked.includes(label) ? state.picked.filter((one) => one !== label) : [...state.picked, label];
  go({ picked });
}

function box(row) {
  if (row.chance) return [];
  const made = element("input");
  made.type = "checkbox";
  made.tabIndex = -1; // Space on the row does the same
  made.checked = state.picked.includes(row.label);
  made.setAttribute("aria-label", `Compare ${visible(row.label)}`);
  made.addEventListener("change", () => pick(row.label));
  return [made];
}

function columnsOf(track, fronts) {
  const span = limits(track), better = track.higher_is_better ? "descending" : "ascending";
  const length = (key) => (missing(track.lengths[key]) ? "" : `at ${track.lengths[key]} tokens`);
  const list = [
    { key: "pick", title: "pick", className: "pick", node: box },
    { key: "rank", title: "#", best: "ascending", className: "rank", value: (row) => row.rank, text: (row) => (row.chance ? "" : row.rank ?? "–") },
    { key: "label", title: "mixer", best: "ascending", head: true, className: "name", value: (row) => row.label, node: (row) => nameOf(track, row) },
    { key: "mean", title: track.headline, best: better, className: "score", value: (row) => row.mean, text: (row) => (missing(row.mean) ? row.outcome : score(row.mean)) },
    { key: "interval", title: "95 % interval", className: "range", node: (row) => [forest(row, span), element("small", interval(row))] },
    { key: "seeds", title: "seeds", best: "descending", value: (row) => (row.chance ? null : row.seeds_ok), text: (row) => (row.chance ? "" : `${row.seeds_ok}/${row.seeds_planned}`) },
    ...measured(track).map((column) => ({
      ...column, small: length(column.key), best: column.less ? "ascending" : "descending", className: `cost c-${column.key}`,
      value: (row) => row[column.key], text: (row) => (row.chance ? "" : figures(row[column.key], column.unit)), front: fronts.get(column.key),
    })),
  ];
  if (track.rows.some((row) => publishedOf(track, row).length)) {
    const first = (row) => (row.chance ? undefined : publishedOf(track, row).find((one) => !missing(one.row.value)));
    list.push({ key: "published", title: "published", small: "nearest", best: better, className: "cost", value: (row) => first(row)?.row.value, node: (row) => [first(row) ? hollow(first(row)) : row.chance ? "" : "–"] });
  }
  return list;
}

// Opening or picking a row leaves the table as it stands: a long one would jump back to its start.
function drawTable(host, track, found) {
  const key = JSON.stringify([track.track, state.filter, state.family, state.only, state.sort, state.hide, state.x, state.y, dark.matches]);
  if (host.dataset.drawn !== key) makeTable(host, track, found);
  host.dataset.drawn = key;
  for (const tr of host.querySelectorAll("tbody tr[data-focus]")) {
    const picked = state.picked.includes(tr.dataset.focus.slice("row:".length));
    tr.classList.toggle("picked", picked);
    const box = tr.querySelector(".pick input");
    if (box) box.checked = picked;
  }
}

function makeTable(host, track, { rows, kept, chosen }) {
  const fronts = new Map(board.columns.map((column) => [column.key, frontOf(kept, column, axisOf(track, "mean"))]));
  const all = columnsOf(track, fronts).filter(({ key }) => !state.hide.includes(key)), lines = [...rows];
  if (!missing(track.chance) && !state.only) {
    const sign = track.higher_is_better ? 1 : -1, ahead = lines.filter((row) => !missing(row.mean) && sign * row.mean > sign * track.chance);
    lines.splice(ahead.length, 0, { chance: true, label: "chance", mean: track.chance, runs: [], tags: [] });
  }
  const places = all.flatMap((column, i) => (column.front ? [[i, column.front]] : []));
  table(host, all, lines, {
    label: `Table of ${track.task}`, className: "board", sort: state.sort, onsort: (sort) => go({ sort }),
    id: (row) => (row.chance ? null : row.label),
    decorate: (tr, row) => {
      if (row.chance) return tr.classList.add("chance");
      for (const [i, front] of places) if (front.has(row)) mark(tr.cells[i]);
      if (chosen.has(row)) tr.classList.add("chosen");
      if (state.picked.includes(row.label)) tr.classList.add("picked");
      if (missing(row.mean)) tr.classList.add("failed");
    },
    onkey: (row, key) => {
      if (key === "Enter") go({ open: row.label });
      else if (key === " ") pick(row.label);
      else return false;
      return true;
    },
  });
}

function mark(cell) {
  cell.classList.add("front");
  cell.append(element("span", " on the front", "unseen"));
}

// ---- the view: furnished once, its parts drawn anew at every change
views.board = {
  title: "Board",
  has: () => true,
  draw(host) {
    const track = tracks.get(state.track);
    if (!track) return host.replaceChildren(element("p", "No record of a run yet. zoo run task=copy mixer=mamba budget=smoke writes the first one.", "notes"));
    if (!host.querySelector("#track")) host.replaceChildren(find("board").content.cloneNode(true));
    const part = (name) => host.querySelector(`.${name}`), found = shown(track);
    drawControls(host, track, found);
    drawConditions(part("head"), track);
    drawTable(part("rows"), track, found);
    part("count").textContent = `${found.rows.length === track.rows.length ? "" : `${found.rows.length} of `}${track.rows.length} row${track.rows.length === 1 ? "" : "s"}`;
    drawNotes(part("explain"), track);
    drawCompare(part("comparison"), track);
    drawPareto(part("pareto"), track, found.rows);
    drawCurves(part("courses"), track, found.rows);
  },
};

function drawConditions(host, track) {
  const list = element("dl", undefined, "conditions"), title = element("h2");
  title.append(named(track.task));
  for (const [name, value] of [["protocol", track.protocol], ["budget", track.budget], ["device", track.device], ["precision", track.precision], ["task id", track.id]]) {
    const pair = element("div"), words = element("dd");
    words.append(named(value));
    pair.append(element("dt", name), words);
    list.append(pair);
  }
  host.replaceChildren(title, list);
  if (!track.note) return;
  const banner = element("p", track.note, "banner");
  banner.setAttribute("role", "note");
  host.append(banner);
}

function drawNotes(host, track) {
  const absent = board.columns.filter((column) => !measured(track).includes(column)).map((column) => column.title);
  const parts = [
    `: ${track.higher_is_better ? "more" : "less"} is better; mean over the seeds that ended well, out of all that were started, with Student's 95 % interval. ${missing(track.chance) ? "" : `Chance: ${score(track.chance)}. `}Costs are medians over seeds. `,
    element("span", "Marked", "front"),
    " costs lie on the front of the rows shown: no other row is at least as good in score and in that cost, and better in one. Fewer than three seeds make a row provisional.",
    track.rows.some((row) => publishedOf(track, row).length) ? " Published, ◇: the nearest printed value of the same mixer on this task; the row's page says whether the two may be compared." : "",
    absent.length ? ` Not measured on this track: ${absent.join(", ")}.` : "",
  ];
  host.replaceChildren(named(track.headline), ...parts);
}
