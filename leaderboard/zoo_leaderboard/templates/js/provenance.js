// Where a row comes from: every seed, the config, versions, the data, and what to type to run it again.
let opened = ""; // the row in the dialog, so that a redraw behind it does not throw its reader back

function provenance() {
  const dialog = find("provenance"), track = tracks.get(state.track);
  const row = state.view === "board" && track?.rows.find((one) => one.label === state.open), key = row ? JSON.stringify([state.track, row.label]) : "";
  if (!row) {
    if (dialog.open) dialog.close();
    opened = "";
    return;
  }
  const body = dialog.querySelector(".body");
  if (opened !== key) drawProvenance(body, track, row);
  if (!dialog.open) dialog.showModal();
  if (opened !== key) body.scrollTop = 0;
  opened = key;
}

function drawProvenance(host, track, row) {
  const title = find("provenance-title"), command = rerun(track, row);
  title.replaceChildren(named(row.label));
  const parts = [facts(row, track), section("Run it again", typed(command), element("p", "The same words with --dry-run show the whole config, the size of the model and the run id, and start nothing.", "notes"))];
  const seeds = element("div");
  table(seeds, seedColumns(track, row), row.runs, { label: `Runs of ${row.label}`, className: "runs" });
  parts.push(section("Seeds", seeds, ...missed(row)));
  if (row.sweep.length) {
    const place = element("div");
    table(place, sweepColumns(track), row.sweep, { label: `Learning rates of ${row.label}`, className: "runs" });
    parts.push(section("Learning rates", place, element("p", "The rate is chosen by its mean score on validation, never on test; good: within 5 % of the best.", "notes")));
  }
  const near = publishedOf(track, row);
  if (near.length) parts.push(section("Published for this mixer and task", listed(near.map((one) => printedWords(one)))));
  const text = JSON.stringify(row.config, null, 1), code = element("pre", text);
  code.tabIndex = 0;
  code.setAttribute("role", "region");
  code.setAttribute("aria-label", "Config as JSON");
  parts.push(section("Config of every seed", code, copyButton(text, "copy the config")));
  host.replaceChildren(...parts);
}

function section(title, ...content) {
  const made = element("section");
  made.append(element("h3", title), ...content);
  return made;
}

function listed(items) {
  const list = element("ul");
  for (const text of items) {
    const item = element("li");
    item.append(named(text));
    list.append(item);
  }
  return list;
}

function copyButton(text, title) {
  return button(title, null, (event) => copy(text, event.currentTarget), "small");
}

function typed(text) {
  const made = element("div", undefined, "typed"), code = element("pre", text);
  code.tabIndex = 0;
  code.setAttribute("role", "region");
  code.setAttribute("aria-label", "Command");
  made.append(code, copyButton(text, "copy"));
  return made;
}

// Of all runs, so that nothing in which they differ is hidden behind the first.
function facts(row, track) {
  const list = element("dl", undefined, "facts");
  const all = (of) => [...new Set(row.runs.map(of).filter((value) => !missing(value) && value !== ""))].join("; ") || "–";
  const each = (key) => all((run) => run[key]);
  const pairs = {
    task: `${track.task}, id ${track.id}, protocol ${track.protocol}, budget ${track.budget}`,
    options: Object.entries(row.options).map(([key, value]) => `${key}=${word(value)}`).join("  ") || "none",
    "code": `commit ${each("commit")}${row.runs.some((one) => one.dirty) ? ", with uncommitted changes" : ""}`,
    versions: `Python ${each("python")}, torch ${each("torch")}, ${all((run) => Object.entries(run.plugins).map(([name, version]) => `${name} ${version}`).join(", "))}`,
    device: `${each("device")}, ${each("precision")}, ${all((run) => (run.deterministic ? "deterministic" : "not deterministic"))}`,
    kernel: row.kernel ?? "–",
    data: all((run) => `${run.data.name} (${run.data.source ?? "no source told"})`),
    checksum: all((run) => (run.data.sha256 ? `SHA-256 ${run.data.sha256}` : run.missing["data.sha256"] ?? "not recorded")),
    "scored on": all((run) => (missing(run.split) ? null : `${run.split}${missing(run.items) ? "" : `, ${run.items} items`}`)),
    "learning rate": missing(row.lr) ? "–" : digits(row.lr),
  };
  for (const [name, text] of Object.entries(pairs)) {
    const words = element("dd");
    words.append(named(text));
    list.append(element("dt", name), words);
  }
  return list;
}

function seedColumns(track, row) {
  const cell = (key, title, more) => ({ key, title, best: "ascending", value: (run) => run[key], ...more });
  return [
    cell("seed", "seed", { head: true, className: "name", text: (run) => String(run.seed) }),
    ...(row.sweep.length ? [cell("lr", "learning rate", { text: (run) => (missing(run.lr) ? "–" : digits(run.lr)) })] : []),
    cell("value", track.headline, { className: "score", text: (run) => score(run.value) }),
    cell("status", "ended", { className: "words", node: (run) => ended(run) }),
    cell("run_id", "run", { className: "words", node: (run) => element("code", run.run_id) }),
    cell("best_step", "best step"), cell("steps", "steps"), cell("tokens", "tokens"),
    cell("seconds", "seconds", { text: (run) => run.seconds.toFixed(0) }),
    cell("started", "started", { className: "words", text: (run) => run.started.slice(0, 16).replace("T", " ") }),
    cell("commit", "commit", { className: "words", node: (run) => [element("code", (run.commit ?? "–").slice(0, 10)), run.dirty ? " + changes" : ""] }),
    cell("config_sha256", "config", { className: "words", node: (run) => { const code = element("code", run.config_sha256.slice(0, 10)); code.title = `SHA-256 ${visible(run.config_sha256)}`; return code; } }),
    { key: "resumed", title: "resumed", value: (run) => run.resumed.length, text: (run) => (run.resumed.length ? `at step ${run.resumed.join(", ")}` : "no") },
  ];
}

function ended(run) {
  if (!run.failure) return [run.status];
  const why = element("small");
  why.append(named(`${run.failure.phase}: ${run.failure.type}: ${run.failure.message}`));
  return [run.status, why];
}

// Reasons for what some run lacks, each told once.
function missed(row) {
  const told = new Set(row.runs.flatMap((run) => Object.entries(run.missing).map(([name, why]) => `${name}: ${why}`)));
  if (!told.size) return [];
  const made = element("details");
  made.append(element("summary", `Not measured: ${told.size}`), listed([...told].sort()));
  return [made];
}

function sweepColumns(track) {
  return [
    { key: "lr", title: "learning rate", head: true, className: "name", best: "ascending", value: (one) => one.lr, text: (one) => digits(one.lr) },
    { key: "valid", title: `${track.headline} on validation`, best: track.higher_is_better ? "descending" : "ascending", value: (one) => one.valid, text: (one) => score(one.valid) },
    { key: "mean", title: `${track.headline} on test`, value: (one) => one.mean, text: (one) => score(one.mean) },
    { key: "seeds", title: "seeds", node: (one) => [`${one.seeds_ok}/${one.seeds_planned}`] },
    { key: "said", title: "", className: "words", node: (one) => [[one.chosen && "chosen", one.good && "good"].filter(Boolean).join(", ")] },
  ];
}

function printedWords({ row, comparable, because, difference: apart, standard_errors: errors }) {
  const beside = comparable ? `ours minus published ${signed(apart)}${missing(errors) ? "" : `, ${score(errors)} standard errors`}` : `not comparable because ${because}`;
  return `${row.model}: ${row.metric} ${row.text} (${row.source}, ${row.where}; ${row.protocol}, ${row.budget}); ${beside}${row.caveat ? `. ${row.caveat}` : ""}`;
}

// ---- the command: every word of the config, so that nothing depends on today's defaults
const word = (value) => (typeof value === "string" ? value : JSON.stringify(value).replaceAll('"', ""));
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);
const said = (value) => !missing(value) && value !== "" && !(Array.isArray(value) && !value.length);

function rerun(track, row) {
  const words = [];
  for (const [key, value] of Object.entries({ task: track.task, mixer: row.mixer, budget: track.budget, ...row.config })) {
    if (!said(value)) continue;
    if (typeof value !== "object" || Array.isArray(value)) words.push(`${key}=${word(value)}`);
    else {
      if (value.name) words.push(`${key}=${value.name}`);
      for (const [option, set] of Object.entries(value)) if (option !== "name" && said(set)) words.push(`${key}.${option}=${word(set)}`);
    }
  }
  const seeds = [...new Set(row.runs.filter((run) => run.shown !== false).map((run) => run.seed))].sort((a, b) => a - b);
  return ["zoo run", seeds.length > 1 ? "-m" : "", ...words.map(quoted), `seed=${seeds.join(",")}`].filter(Boolean).join(" ");
}
