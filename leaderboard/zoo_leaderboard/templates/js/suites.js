// A suite in one table: means and the mean rank, and for each task a score or the word that says why not.
const STATES = {
  ok: "", provisional: "provisional", failed: "failed", missing: "missing", ambiguous: "ambiguous",
};

// Parts of a view by name: made at the first drawing, kept for the next, so that focus and sorting stay.
function partOf(host, name, make) {
  let found = [...host.children].find((one) => one.dataset.part === name);
  if (!found) {
    found = make();
    found.dataset.part = name;
    host.append(found);
  }
  return found;
}

function conditionsOf(pairs) {
  const list = element("dl", undefined, "conditions");
  for (const [name, value] of pairs) {
    const pair = element("div"), words = element("dd");
    words.append(named(value));
    pair.append(element("dt", name), words);
    list.append(pair);
  }
  return list;
}

function suiteCell(row, i) {
  const cell = row.cells[i], seeds = cell.seeds ? ` ${cell.seeds}` : "";
  if (missing(cell.mean)) return [element("span", STATES[cell.state] || cell.state, "absent"), element("small", seeds.trim())];
  const rank = missing(cell.rank) ? "" : `rank ${figures(cell.rank)}`;
  const small = element("small", [rank, cell.state === "ok" ? "" : `${STATES[cell.state]}${seeds}`].filter(Boolean).join(", "));
  return [element("span", score(cell.mean)), small];
}

// The best of a column, ties together; a row that lacks the value is not in it.
function bestIn(rows, value, less) {
  const known = rows.map(value).filter((one) => !missing(one));
  if (!known.length) return () => false;
  const best = known.reduce((a, b) => (less ? Math.min(a, b) : Math.max(a, b)));
  return (row) => value(row) === best;
}

function markBest(cell, words) {
  cell.classList.add("front");
  cell.append(element("span", words, "unseen"));
}

function suiteColumns(suite) {
  const [first] = suite.tracks.map((anchor) => tracks.get(anchor)).filter(Boolean), up = first?.higher_is_better ?? true;
  const list = [
    { key: "label", title: "mixer", best: "ascending", head: true, className: "name", value: (row) => row.label, node: (row) => [named(row.label), ...(row.provisional ? [" ", element("span", "provisional", "tag")] : [])] },
  ];
  const add = (column, less) => list.push({ ...column, less, best: less ? "ascending" : "descending" });
  if (suite.rows.some((row) => !missing(row.rank_mean))) {
    const over = (suite.rank_tasks ?? suite.tasks).length;
    add({ key: "rank_mean", title: "mean rank", small: `${over} task${over === 1 ? "" : "s"}`, value: (row) => row.rank_mean, node: (row) => wordsOr(row.rank_mean, figures) }, true);
  }
  if (suite.comparable) {
    for (const [name, tasks] of Object.entries(suite.averages)) {
      add({ key: `mean-${name}`, title: name, small: `${tasks.length} task${tasks.length === 1 ? "" : "s"}`, className: "score", value: (row) => row.means[name], node: (row) => wordsOr(row.means[name], score) }, !up);
    }
  }
  suite.tasks.forEach((task, i) => {
    const here = suite.tracks.map((anchor) => tracks.get(anchor)).find((track) => track?.task === task);
    const less = !(here?.higher_is_better ?? up), small = here ? here.headline : "no record here";
    add({ key: `task-${task}`, title: task.slice(task.indexOf("/") + 1), small, value: (row) => row.cells[i].mean, node: (row) => suiteCell(row, i) }, less);
  });
  return list;
}

const wordsOr = (value, write) => element("span", missing(value) ? "incomplete" : write(value), missing(value) ? "absent" : "");

function drawSuite(host, suite) {
  const first = tracks.get(suite.tracks[0]);
  partOf(host, "head", () => {
    const head = element("div"), title = element("h2");
    title.append(named(suite.title));
    head.append(title);
    if (first) head.append(conditionsOf([["budget", first.budget], ["device", first.device], ["precision", first.precision]]));
    if (suite.note) {
      const banner = element("p", suite.note, "banner");
      banner.setAttribute("role", "note");
      head.append(banner);
    }
    return head;
  });
  const list = suiteColumns(suite), tops = list.map((column) => (column.head ? () => false : bestIn(suite.rows, column.value, column.less)));
  const leading = list.find((column) => column.key.startsWith("mean-") || column.key === "rank_mean");
  table(partOf(host, "rows", () => element("div")), list, suite.rows, {
    label: `Table of ${suite.title}`, className: "suite",
    sort: leading ? (leading.less ? leading.key : `-${leading.key}`) : "",
    decorate: (tr, row) => tops.forEach((top, i) => {
      if (top(row)) markBest(tr.cells[i], " (best of the column)");
    }),
  });
  partOf(host, "words", () => {
    const parts = ["A mean, and the mean rank, are over all their tasks or not given (incomplete): nothing is averaged over what is missing. Marked: the best of a column. Failed: no seed ended well; ambiguous: several settings of one mixer, none of which may be picked by its score; provisional: fewer than three seeds."];
    if (!suite.comparable) parts.push("No means: the tasks are scored by different metrics.");
    const old = suite.outdated.map((anchor) => tracks.get(anchor)).filter(Boolean).map((track) => `${visible(track.task)} id ${visible(track.id)}`);
    if (old.length) parts.push(`Left out: ${old.join(", ")}, which a newer id supersedes.`);
    return element("p", parts.join(" "), "notes");
  });
}

views.suites = {
  title: "Suites",
  has: (whole) => whole.suites.length > 0,
  draw(host) {
    board.suites.forEach((suite, i) => drawSuite(partOf(host, `suite-${i}`, () => element("section", undefined, "suite")), suite));
  },
};
