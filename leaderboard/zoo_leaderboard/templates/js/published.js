// Numbers from papers beside ours: hollow marks and filled ones, and whether they may be compared.
const publishedTasks = () => [...new Set((board.published.rows ?? []).map((row) => JSON.stringify([row.task, row.metric])))];

function dotSpec(rows) {
  const able = rows.filter((row) => !missing(row.value)).sort((a, b) => b.value - a.value), narrowed = narrow.matches;
  if (!able.length) return null;
  const line = (row) => `${row.model} · ${row.source}`, spread = (row) => (missing(row.spread) ? [null, null] : [row.value - row.spread, row.value + row.spread]);
  const theirs = able.map((row) => ({ line: line(row), x: row.value, low: spread(row)[0], high: spread(row)[1], text: row.text, id: row.id }));
  const ours = able.flatMap((row) => row.ours.flatMap((one) => {
    const mine = tracks.get(one.track)?.rows.find((other) => other.label === one.label);
    if (!mine || missing(mine.mean)) return [];
    return [{ line: line(row), x: mine.mean, low: mine.low, high: mine.high, family: mine.family, comparable: one.comparable, id: row.id, label: one.label, track: one.track }];
  }));
  const families = [...new Set(ours.map((one) => one.family))].sort();
  const define = {
    x: { title: rows[0].metric },
    y: { scale: { domain: [...new Set(theirs.map((one) => one.line))] }, axis: { grid: true, ticks: false, domain: false, labelLimit: narrowed ? 130 : 280 } },
    color: { scale: { domain: families, range: families.map(colour) }, legend: { ...specs.templates.published.define.color.legend, columns: narrowed ? 2 : 0 } },
  };
  if (!families.length) define.color.legend = null;
  // Height by hand: a fitted chart takes no steps, and axis, title and legend need their room.
  return { ...filled("published", define, { theirs, ours }), height: 19 * new Set(theirs.map((one) => one.line)).size + 70 + (families.length ? 50 : 0) };
}

function dotWords(rows) {
  const known = new Map(rows.map((row) => [row.id, row]));
  return (datum) => {
    const row = known.get(datum.id);
    if (!row) return [null, []];
    if (datum.family === undefined) {
      const pairs = [["published", row.text], ["source", `${row.source}, ${row.where}`], ["protocol", row.protocol]];
      if (row.caveat) pairs.push(["caveat", row.caveat]);
      return [row.model, pairs];
    }
    const mine = row.ours.find((one) => one.track === datum.track && one.label === datum.label), pairs = [["ours", score(datum.x)]];
    if (!missing(datum.low)) pairs.push(["95 %", spanOf(datum.low, datum.high)]);
    pairs.push(["published", row.text], ["comparable", mine.comparable ? "yes" : `no: ${mine.because}`]);
    return [datum.label, pairs];
  };
}

// One cell for all of ours on a row: the difference where it is fair, else why it is not.
function oursNode(row) {
  if (!row.ours.length) return element("span", "no run of ours", "absent");
  return row.ours.slice(0, 4).map((one) => {
    const line = element("div", undefined, "pair"), track = tracks.get(one.track);
    const figure = missing(one.standard_errors) ? "" : `, ${score(one.standard_errors)} standard errors`;
    const sign = one.difference > 0 ? "+" : "";
    const difference = missing(one.difference) ? "" : ` (${sign}${score(one.difference)}${figure})`;
    const open = button("", null, () => go({ view: "board", track: one.track, open: one.label }), "open");
    open.append(named(one.label));
    line.append(open, element("span", ` ${score(one.mean)}${difference}`));
    const where = track ? `${track.protocol}, ${track.budget}` : "";
    const words = one.comparable ? `comparable${one.because ? `; ${one.because}` : ""}` : `not comparable because ${one.because}`;
    const small = element("small");
    small.append(named(`${where ? `${where}: ` : ""}${words}`));
    line.append(small);
    return line;
  }).concat(row.ours.length > 4 ? [element("small", `and ${row.ours.length - 4} more of ours, in the chart and on the board`)] : []);
}

const tagsOf = (flags) => (flags ?? []).flatMap((flag) => [" ", element("span", flag, "tag")]);

function sourceNode(row) {
  const small = element("small"), source = sourceOf(row.source);
  small.append(...(source ? linkTo(source) : []));
  return [named(`${source ? `${source.authors} ${source.year}` : row.source}${row.where ? `, ${row.where}` : ""}`), small];
}

function valueNode(row) {
  const plain = Number(row.text) === row.value || missing(row.value) ? "" : `= ${score(row.value)}`; // percent on paper, a share here
  const under = [plain, row.seeds ? `${row.seeds} seeds` : "", missing(row.spread) ? "" : `± is ${row.spread_kind ?? "unstated"}`].filter(Boolean).join(", ");
  if (missing(row.value)) return [element("span", row.text, "absent"), element("small", row.reason ?? "")];
  return [element("span", row.text), element("small", under)];
}

function publishedColumns() {
  const words = (text) => {
    const made = element("span", undefined, "caveat");
    made.append(named(text));
    return made;
  };
  return [
    { key: "model", title: "model", head: true, className: "name", best: "ascending", value: (row) => row.model, node: (row) => [named(row.model), ...tagsOf(row.flags), ...(row.mixer ? [element("small", `zoo: ${row.mixer}`)] : [])] },
    { key: "value", title: "as printed", best: "descending", value: (row) => row.value, node: valueNode },
    { key: "ours", title: "ours", className: "name text", node: oursNode },
    { key: "protocol", title: "protocol", className: "name", best: "ascending", value: (row) => row.protocol, node: (row) => [named(row.protocol)] },
    { key: "source", title: "source", className: "name text", best: "ascending", value: (row) => row.source, node: sourceNode },
    { key: "caveat", title: "caveat", className: "name text", node: (row) => words(row.caveat ?? "") },
  ];
}

// Long tables that few look for stand folded; on paper everything is open.
function folded(host, title) {
  partOf(host, "title", () => {
    const made = element("summary");
    made.append(element("h2", title));
    return made;
  });
}

addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll(".view details:not([open])")) {
    one.open = true;
    addEventListener("afterprint", () => { one.open = false; }, { once: true });
  }
});

function drawAverages(host) {
  const rows = board.published.averages ?? [];
  host.hidden = !rows.length;
  if (!rows.length) return;
  const wrong = rows.filter((row) => row.misprint).length;
  folded(host, `Averages worked out again: ${rows.length}, of which ${wrong} ${wrong === 1 ? "is a misprint" : "are misprints"}`);
  const list = [
    { key: "model", title: "model", head: true, className: "name", best: "ascending", value: (row) => row.model, node: (row) => [named(row.model), ...(row.misprint ? [" ", element("span", "misprint", "tag")] : []), ...(row.invalid ? [" ", element("span", "invalid", "tag")] : [])] },
    { key: "name", title: "average", className: "name", best: "ascending", value: (row) => row.name, node: (row) => [named(row.name)] },
    { key: "printed", title: "printed", best: "descending", value: (row) => row.printed, text: (row) => (missing(row.printed) ? "not printed" : percent(row.printed)) },
    { key: "recomputed", title: "from the rows", best: "descending", value: (row) => row.recomputed, text: (row) => (missing(row.recomputed) ? "incomplete" : percent(row.recomputed)) },
    { key: "source", title: "source", className: "name text", best: "ascending", value: (row) => row.source, node: sourceNode },
    { key: "note", title: "note", className: "name text", node: (row) => [named(row.note ?? "")] },
  ];
  table(partOf(host, "rows", () => element("div")), list, rows, {
    label: "Averages of published scores", className: "published", decorate: (tr, row) => tr.classList.toggle("flagged", row.misprint || Boolean(row.invalid)),
  });
}

const percent = (value) => (Math.abs(value) <= 1 ? `${(value * 100).toFixed(2)} %` : String(value));

function drawPublishedCosts(host) {
  const rows = board.published.costs ?? [];
  host.hidden = !rows.length;
  if (!rows.length) return;
  folded(host, `Costs as published: ${rows.length}`);
  const word = (key) => ({ key, title: key, className: "name", best: "ascending", value: (row) => String(row[key] ?? ""), node: (row) => [named(String(row[key] ?? "–"))] });
  const list = [
    { ...word("model"), head: true }, word("quantity"),
    { key: "length", title: "length", best: "ascending", value: (row) => row.length, text: (row) => String(row.length ?? "–") },
    { key: "value", title: "as printed", best: "descending", value: (row) => row.value, node: (row) => [element("span", row.text ?? score(row.value)), ...tagsOf(row.flags)] },
    { key: "ratio", title: "ratio", best: "descending", value: (row) => row.ratio, node: (row) => [element("span", missing(row.ratio) ? "–" : `${figures(row.ratio)} ×`), element("small", [row.baseline ? `of ${row.baseline}` : "", missing(row.ratio_printed) ? "" : `printed ${figures(row.ratio_printed)}`].filter(Boolean).join(", "))] },
    word("device"), { key: "source", title: "source", className: "name text", best: "ascending", value: (row) => row.source, node: sourceNode },
    { key: "caveat", title: "caveat", className: "name text", node: (row) => [named(row.caveat ?? "")] },
  ];
  table(partOf(host, "rows", () => element("div")), list, rows, { label: "Published costs", className: "published" });
}

function drawPublishedCurves(host) {
  const every = board.published.curves ?? [], lengths = [...new Set(every.flatMap((one) => one.points.map((at) => at.length)))].sort((a, b) => a - b);
  host.hidden = !every.length;
  if (!every.length) return;
  folded(host, `Scores by length as published: ${every.length}`);
  const at = (row, length) => row.points.find((one) => one.length === length);
  const list = [
    { key: "model", title: "model", head: true, className: "name", best: "ascending", value: (row) => row.model, node: (row) => [named(row.model), element("small", [row.task, row.trained_to ? `trained at ${row.trained_to}` : ""].filter(Boolean).join(", "))] },
    ...lengths.map((length) => ({
      key: `l${length}`, title: figures(length), best: "descending", value: (row) => at(row, length)?.value,
      node: (row) => element("span", at(row, length)?.text ?? "–", missing(at(row, length)?.value) ? "absent" : ""),
    })),
    { key: "source", title: "source", className: "name text", best: "ascending", value: (row) => row.source, node: sourceNode },
  ];
  table(partOf(host, "rows", () => element("div")), list, every, { label: "Published scores by length", className: "published" });
}

views.published = {
  title: "Published",
  has: (whole) => (whole.published.rows ?? []).length > 0,
  draw(host) {
    const keys = publishedTasks(), wanted = keys.includes(state.task) ? state.task : keys[0], [task, metric] = JSON.parse(wanted);
    const rows = board.published.rows.filter((row) => row.task === task && row.metric === metric);
    const select = partOf(host, "pick", () => {
      const bar = element("div", undefined, "controls"), label = element("label", "Task"), made = element("select");
      for (const key of keys) {
        const option = element("option", JSON.parse(key).map(visible).join(" · "));
        option.value = key;
        made.append(option);
      }
      made.dataset.focus = "published-task";
      made.addEventListener("change", () => go({ task: made.value }));
      label.append(made);
      bar.append(label);
      return bar;
    }).querySelector("select");
    select.value = wanted;
    const figure = partOf(host, "figure", () => {
      const made = element("figure", undefined, "dots");
      made.append(element("h2"), element("div", undefined, "drawing"), element("figcaption"));
      return made;
    });
    const spec = dotSpec(rows);
    figure.hidden = !spec;
    figure.querySelector("h2").replaceChildren(named(`${task} · ${metric}`));
    figure.querySelector("figcaption").textContent = "Hollow: as published, with the printed spread. Filled: ours of the same mixer, with the 95 % interval over seeds; pale where protocol, budget or task differ, so that the two may not be compared.";
    if (spec) embedNew(figure.querySelector(".drawing"), spec, `${task}: published ${metric} beside ours; the table below holds the same figures`, { tip: dotWords(rows) });
    table(partOf(host, "rows", () => element("div")), publishedColumns(), rows, { label: `Published scores of ${task}`, className: "published", sort: "-value" });
    for (const [name, draw] of [["averages", drawAverages], ["curves", drawPublishedCurves], ["costs", drawPublishedCosts]]) {
      draw(partOf(host, name, () => element("details", undefined, "fold")));
    }
  },
};
