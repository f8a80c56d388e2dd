// Profiles: what a mixer costs by length on one machine, how that grows, and who overtakes whom.
const COSTS = {
  forward_ms: ["forward", "ms"], train_ms: ["forward and backward", "ms"], prefill_ms: ["prefill", "ms"], decode_ms: ["decode, per token", "ms"],
  forward_bytes: ["peak memory, forward", "B"], train_bytes: ["peak memory, training", "B"], state_bytes: ["state", "B"], state_closed_form: ["state by closed form", "B"],
  flops: ["FLOPs by closed form", ""], flops_counted: ["FLOPs counted", ""], moved_bytes: ["bytes moved", "B"], intensity: ["FLOPs per byte moved", ""],
  mfu: ["share of the measured matmul peak", "%"], bandwidth_share: ["share of the measured bandwidth", "%"], joules: ["energy, forward", "J"],
};
const CHARTS = { time: "Forward", training: "Forward and backward", decode: "Decoding a token", memory: "Peak memory", state: "State", roofline: "Roofline" };
const MISSES = { oom: "out of memory", slow: "too slow", refused: "not offered", untold: "not told", failed: "failed" };

const costTitle = (field) => COSTS[field]?.[0] ?? field;
const costText = (field, value) => (COSTS[field]?.[1] === "%" && !missing(value) ? `${digits(value * 100)} %` : figures(value, COSTS[field]?.[1] ?? ""));

// `4.37–5.48 ms`: what both ends have behind the number is said once.
function costSpan(field, low, high) {
  const [a, b] = [costText(field, low), costText(field, high)], cut = a.indexOf(" ");
  return cut > 0 && b.endsWith(a.slice(cut)) ? `${a.slice(0, cut)}–${b}` : `${a}–${b}`;
}

// A chart made beforehand for a light page takes this page's colours: a family's where it has one.
function recoloured(spec, group) {
  const families = new Map(group.rows.flatMap((row) => [[row.family, row.family], [row.label, row.family], [row.mixer, row.family]]));
  const soft = getComputedStyle(document.body).getPropertyValue("--soft").trim();
  const visit = (value) => {
    if (Array.isArray(value)) return value.map(visit);
    if (typeof value === "string" && dark.matches) return PALETTE.dark[PALETTE.light.indexOf(value.toLowerCase())] ?? value;
    if (typeof value !== "object" || value === null) return value;
    const made = Object.fromEntries(Object.entries(value).map(([key, one]) => [key, key === "values" || key === "datasets" ? one : visit(one)]));
    if (made.legend?.orient) made.legend = { ...made.legend, symbolOpacity: 1, symbolStrokeWidth: 0, orient: "bottom", columns: narrow.matches ? 1 : 3 };
    if (made.shape?.legend) made.shape.legend = { ...made.shape.legend, symbolFillColor: soft, symbolStrokeColor: soft };
    if (made.field === "length" && made.axis) Object.assign(made.axis, { format: "d", labelSeparation: 6 });
    const scale = made.color?.scale;
    if (scale?.domain?.every?.((name) => families.has(name))) scale.range = scale.domain.map((name) => colour(families.get(name)));
    return made;
  };
  const { config, width, height, background, padding, title, ...rest } = visit(structuredClone(spec));
  const lines = Math.ceil(group.rows.length / (narrow.matches ? 1 : 3)); // the legend takes room of the plot's
  return { ...rest, height: (narrow.matches ? 240 : 330) + 17 * lines };
}

function profileWords(datum) {
  const pairs = Object.entries(datum).filter(([key, value]) => !missing(value) && key !== "label" && ["string", "number"].includes(typeof value));
  return [datum.label ?? datum.mixer ?? null, pairs.map(([key, value]) => [COSTS[key]?.[0] ?? key.replaceAll("_", " "), typeof value === "number" ? figures(value) : value])];
}

function fitNode(fit) {
  if (!fit) return element("span", "–");
  if (!missing(fit.refused)) return [element("span", "no fit", "absent"), element("small", fit.refused)];
  const power = element("span", "n"), up = element("sup", fit.p.toFixed(2));
  power.append(up);
  const interval = missing(fit.low) ? "" : `${fit.low.toFixed(2)} to ${fit.high.toFixed(2)}`;
  return [power, element("small", interval), element("small", missing(fit.from) ? "" : `${fit.n} points, ${fit.from}–${fit.to}`)];
}

function claimNode(claim) {
  if (!claim) return element("span", "–");
  const mark = { yes: "✓ yes", no: "✗ no", undecided: "… undecided" }[claim.verdict] ?? claim.verdict;
  return [element("span", mark, `claim ${claim.verdict}`), element("small", claim.reason)];
}

const nameColumn = { key: "label", title: "mixer", head: true, className: "name", best: "ascending", value: (row) => row.label, node: (row) => [named(row.label), element("small", [row.family, row.kernel].filter(Boolean).join(" · "))] };

function drawGrowth(host, group) {
  const measured = (field) => group.rows.some((row) => row.points.some((point) => !missing(point[field])));
  const fields = [...new Set(group.rows.flatMap((row) => Object.keys(row.fits ?? {})))].filter(measured), claims = [...new Set(group.rows.flatMap((row) => Object.keys(row.claims ?? {})))];
  const list = [
    nameColumn,
    { key: "complexity", title: "claimed", className: "name", best: "ascending", value: (row) => row.complexity, node: (row) => (missing(row.complexity) ? element("span", "nothing", "absent") : [element("span", `O(${row.complexity.replaceAll("l^2", "n²").replaceAll("sqrt l", "√n").replace(/\bl\b/g, "n")})`)]) },
    ...claims.map((field) => ({ key: `claim-${field}`, title: `as claimed: ${costTitle(field)}`, className: "name text", best: "ascending", value: (row) => row.claims?.[field]?.verdict, node: (row) => claimNode(row.claims?.[field]) })),
    ...fields.map((field) => ({ key: `fit-${field}`, title: costTitle(field), className: "text", best: "ascending", value: (row) => row.fits?.[field]?.p, node: (row) => fitNode(row.fits?.[field]) })),
  ];
  partOf(host, "title", () => element("h3", "How costs grow with the length n"));
  table(partOf(host, "rows", () => element("div")), list, group.rows, { label: "Growth of costs, by mixer", className: "growth" });
  partOf(host, "words", () => element("p", "Each cost is fitted as overhead + c·nᵖ; the 95 % interval of the exponent p stands below it. As claimed: the growth measured is not above what the mixer states; slower than claimed is yes.", "notes"));
}

function missNode(point, field) {
  const miss = point.missing?.[field];
  if (!miss) return element("span", "–", "absent");
  const word = element("span", MISSES[miss.kind] ?? miss.kind, "absent miss");
  word.title = visible(miss.reason);
  return [word, element("span", ` (${visible(miss.reason)})`, "unseen")];
}

function drawByLength(host, group) {
  const fields = Object.keys(COSTS).filter((field) => group.rows.some((row) => row.points.some((point) => !missing(point[field]) || point.missing?.[field])));
  const field = fields.includes(state.cost) ? state.cost : fields[0];
  host.hidden = !field;
  if (!field) return;
  partOf(host, "title", () => element("h3", "Costs by length"));
  const bar = partOf(host, "pick", () => element("div", undefined, "controls"));
  if (!bar.firstElementChild) {
    const label = element("label", "Quantity");
    label.append(element("select"));
    bar.append(label);
    label.lastChild.dataset.focus = "profile-cost";
    label.lastChild.addEventListener("change", (event) => go({ cost: event.target.value }));
  }
  const select = bar.querySelector("select");
  select.replaceChildren(...fields.map((key) => Object.assign(element("option", costTitle(key)), { value: key })));
  select.value = field;
  const lengths = [...new Set(group.rows.flatMap((row) => row.points.map((point) => point.length)))].sort((a, b) => a - b);
  const at = (row, length) => row.points.find((point) => point.length === length);
  const less = !["mfu", "bandwidth_share", "intensity"].includes(field);
  const list = [nameColumn, ...lengths.map((length) => ({
    key: `l${length}`, title: String(length), best: less ? "ascending" : "descending", value: (row) => at(row, length)?.[field],
    node: (row) => {
      const point = at(row, length);
      if (!point) return element("span", "not measured", "absent");
      if (missing(point[field])) return missNode(point, field);
      const low = point[`${field}_low`], high = point[`${field}_high`], text = element("span", costText(field, point[field]));
      return missing(low) ? text : [text, element("small", costSpan(field, low, high))];
    },
  }))];
  const tops = list.map((column) => (column.head ? () => false : bestIn(group.rows, column.value, less)));
  table(partOf(host, "rows", () => element("div")), list, group.rows, {
    label: `${costTitle(field)} by length`, className: "lengths",
    decorate: (tr, row) => tops.forEach((top, i) => top(row) && field !== "intensity" && markBest(tr.cells[i], " (best at this length)")),
  });
  partOf(host, "words", () => element("p", "Medians with their quartiles below. A word in place of a figure says why there is none; pointing at it gives the reason.", "notes"));
}

// Those that cross in view, the many that do not folded away.
function drawCrossovers(host, group) {
  const crossing = group.crossovers.filter((row) => !missing(row.length)), rest = group.crossovers.filter((row) => missing(row.length));
  host.hidden = !group.crossovers.length;
  partOf(host, "title", () => element("h3", "Who overtakes whom"));
  crossoverTable(partOf(host, "rows", () => element("div")), crossing, "Crossover lengths");
  const fold = partOf(host, "rest", () => element("details", undefined, "fold"));
  partOf(fold, "summary", () => element("summary")).textContent = `Pairs that do not cross at the lengths measured: ${rest.length}`;
  crossoverTable(partOf(fold, "rows", () => element("div")), rest, "Pairs that do not cross");
  fold.hidden = !rest.length;
}

function crossoverTable(host, rows, label) {
  host.hidden = !rows.length;
  const list = [
    { key: "field", title: "cost", head: true, className: "name", best: "ascending", value: (row) => costTitle(row.field), node: (row) => [named(costTitle(row.field))] },
    { key: "a", title: "one", className: "name", best: "ascending", value: (row) => row.a, node: (row) => [named(row.a)] },
    { key: "b", title: "other", className: "name", best: "ascending", value: (row) => row.b, node: (row) => [named(row.b)] },
    { key: "length", title: "at length", best: "ascending", value: (row) => row.length, text: (row) => (missing(row.length) ? "none in range" : Math.round(row.length).toLocaleString("en")) },
    { key: "text", title: "in words", className: "name text", node: (row) => [named(row.text)] },
  ];
  table(host, list, rows, { label, className: "crossovers", sort: "field" });
}

function drawProfileCharts(host, group) {
  const made = specs.profiles[group.group] ?? {};
  for (const [name, spec] of Object.entries(made)) {
    const figure = partOf(host, name, () => {
      const one = element("figure", undefined, "course");
      one.append(element("h3", CHARTS[name] ?? name), element("div", undefined, "drawing"), element("figcaption"));
      return one;
    });
    figure.querySelector("figcaption").textContent = [spec.title?.subtitle ?? []].flat().slice(1).join(" "); // the formulas
    embedNew(figure.querySelector(".drawing"), recoloured(spec, group), `${CHARTS[name] ?? name} against length for ${group.rows.map((row) => row.label).join(", ")}; the tables below hold the same figures`, { tip: profileWords });
  }
  for (const child of host.children) child.hidden = !(child.dataset.part in made);
}

const groupTitle = (group) => [group.subject, group.task, `dim ${group.dim}`, `depth ${group.depth}`, `batch ${group.batch}`, group.direction, group.device, group.precision].filter((one) => !missing(one)).join(" · ");

views.efficiency = {
  title: "Efficiency",
  has: (whole) => whole.profiles.length > 0,
  draw(host) {
    const group = board.profiles.find((one) => one.group === state.group) ?? board.profiles[0];
    const select = partOf(host, "pick", () => {
      const bar = element("div", undefined, "controls"), label = element("label", "Measured under"), made = element("select");
      for (const one of board.profiles) made.append(Object.assign(element("option", visible(groupTitle(one))), { value: one.group }));
      made.dataset.focus = "profile-group";
      made.addEventListener("change", () => go({ group: made.value }));
      label.append(made);
      bar.append(label);
      return bar;
    }).querySelector("select");
    select.value = group.group;
    const head = partOf(host, "head", () => element("div")), title = element("h2");
    title.append(named(group.task ? `${group.subject} of ${group.task}` : `One ${group.subject}, no task`));
    const rate = (value, unit) => (missing(value) ? null : figures(value, unit));
    head.replaceChildren(title, conditionsOf([
      ["device", group.device], ["precision", group.precision], ["width", group.dim], ["depth", group.depth], ["batch", group.batch], ["direction", group.direction], ["torch", group.torch],
      ["threads", group.threads], ["matmul peak", rate(group.matmul_flops, "FLOP/s")], ["bandwidth", rate(group.bandwidth, "B/s")],
    ].filter(([, value]) => !missing(value)).map(([name, value]) => [name, String(value)])));
    drawProfileCharts(partOf(host, "charts", () => element("div", undefined, "courses")), group);
    drawGrowth(partOf(host, "growth", () => element("section")), group);
    drawByLength(partOf(host, "lengths", () => element("section")), group);
    drawCrossovers(partOf(host, "crossovers", () => element("section")), group);
  },
};
