// The track as it stands, filtered and sorted, as a file for a spreadsheet, a program, a README or a paper.
const RISKY = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
const CONDITIONS = ["task", "id", "protocol", "budget", "device", "precision", "headline", "note", "higher_is_better", "chance"];
const FLAT = ["rank", "label", "mixer", "family", "kernel", "mean", "low", "high", "sd", "seeds_ok", "seeds_planned", "provisional", "above_chance"];

// A spreadsheet must not take a name for a formula; numbers, which may start with -, stay.
function safe(value) {
  if (missing(value)) return "";
  const text = String(value), harmless = typeof value === "number" || !RISKY.test(text) || (text.trim() !== "" && Number.isFinite(Number(text)));
  const cell = harmless ? text : `'${text}`;
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

function ordered(track) {
  const found = shown(track);
  return sorted(columnsOf(track, new Map()).filter(({ key }) => !state.hide.includes(key)), found.rows, state.sort);
}

// The columns of `zoo leaderboard --csv`: spreadsheet.py.
function asCsv(track, rows) {
  const parts = (one, keys) => keys.map((key) => [key, one[key]]), lengths = board.columns.filter((column) => column.by_length);
  const cells = (row) => {
    const runs = row.runs.filter((run) => run.shown !== false), all = (key) => runs.map((run) => run[key]);
    const once = (key) => [...new Set(all(key).filter((value) => !missing(value)))].sort().join(" ");
    return [
      ...parts(track, CONDITIONS), ...lengths.map(({ key }) => [`${key}_length`, track.lengths[key]]),
      ...parts(row, [...FLAT, ...board.columns.map(({ key }) => key), "time_exponent_low", "time_exponent_high", "lr"]),
      ["rates", row.sweep.map(({ lr }) => lr).join(" ")], ["tags", row.tags.join(", ")],
      ["seeds", all("seed").join(" ")], ["statuses", all("status").join(" ")], ["runs", all("run_id").join(" ")],
      ["commits", once("commit")], ["config_sha256", once("config_sha256")],
    ];
  };
  const head = cells(track.rows[0]).map(([key]) => key), lines = rows.map((row) => cells(row).map(([, value]) => value));
  return [head, ...lines].map((line) => `${line.map(safe).join(",")}\r\n`).join("");
}

const asJson = (track, rows) => `${JSON.stringify({ format: board.format, ...track, rows }, null, 1)}\n`;

function grid(track, rows) {
  const costs = measured(track).filter(({ key }) => !state.hide.includes(key));
  const head = ["#", "mixer", track.headline, "95 % interval", "seeds", ...costs.map((one) => `${one.title}${missing(track.lengths[one.key]) ? "" : ` at ${track.lengths[one.key]}`}`)];
  const lines = rows.map((row) => [String(row.rank ?? "–"), row.label, missing(row.mean) ? row.outcome : score(row.mean), interval(row) || "–", `${row.seeds_ok}/${row.seeds_planned}`, ...costs.map((one) => figures(row[one.key], one.unit))]);
  return [head, lines];
}

// What has to be said beside the figures wherever they are pasted.
function conditionsIn(track) {
  const better = track.higher_is_better ? "more" : "less", chance = missing(track.chance) ? "" : `, chance ${score(track.chance)}`;
  const title = `${track.task}, protocol ${track.protocol}, budget ${track.budget}`;
  return [title, `${track.device}, ${track.precision}, id ${track.id}; ${track.headline}: ${better} is better${chance}`, ...(track.note ? [track.note] : [])];
}

// Every sign that could start markup is written by its number, but for _ between letters: markup.py.
function asMarkdown(track, rows) {
  const risky = /[^\p{L}\p{N}_\s/.,;:%'()=+?!–-]|(?<![a-z0-9])_|_(?![a-z0-9])|:(?=\S)|(?<=www)\.|^[-+=]|^\d+[.)](?=\s|$)/giu;
  const clean = (text) => visible(text).replace(risky, (signs) => [...signs].map((one) => `&#${one.codePointAt(0)};`).join(""));
  const [head, lines] = grid(track, rows), [title, ...notes] = conditionsIn(track), line = (cells) => `| ${cells.map(clean).join(" | ")} |\n`;
  return `### ${clean(title)}\n\n${line(head)}|${head.map((_, i) => (i === 1 ? ":--" : "--:")).join("|")}|\n${lines.map(line).join("")}\n${notes.map((note) => `${clean(note)}\n`).join("\n")}`;
}

function asLatex(track, rows) {
  const special = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", "–": "--" };
  const clean = (text) => visible(text).replace(/[\\{}$&#_%~^<>|–]/g, (one) => special[one] ?? `\\${one}`);
  const [head, lines] = grid(track, rows), line = (cells) => `${cells.map(clean).join(" & ")} \\\\\n`;
  return `${conditionsIn(track).map((one) => `% ${visible(one)}\n`).join("")}\\begin{tabular}{${head.map((_, i) => (i === 1 ? "l" : "r")).join("")}}\n\\toprule\n${line(head)}\\midrule\n${lines.map(line).join("")}\\bottomrule\n\\end{tabular}\n`;
}

function exported(kind) {
  const track = tracks.get(state.track), rows = ordered(track);
  const [make, ending, type] = {
    csv: [asCsv, "csv", "text/csv"], json: [asJson, "json", "application/json"],
    markdown: [asMarkdown, "md", "text/markdown"], latex: [asLatex, "tex", "application/x-tex"],
  }[kind];
  download(make(track, rows), type, `leaderboard-${track.task}-${track.protocol}-${track.budget}-${track.track}`, ending);
}
