// The track as it stands, filtered and sorted, as a file for a spreadsheet, a program, a README or a paper.
const RISKY = /^[=+\-@\t\r\n]/;
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
  return sorted(columnsOf(track, new Map()), found.rows, state.sort);
}

function asCsv(track, rows) {
  const conditions = ["task", "protocol", "budget", "device", "precision", "id", "headline", "note"], costs = measured(track).map(({ key }) => key);
  const head = [...conditions, ...FLAT, ...costs, "seeds", "statuses", "runs"];
  const lines = rows.map((row) => [
    ...conditions.map((key) => track[key]), ...FLAT.map((key) => row[key]), ...costs.map((key) => row[key]),
    ...["seed", "status", "run_id"].map((key) => row.runs.map((run) => run[key]).join(" ")),
  ]);
  return [head, ...lines].map((line) => `${line.map(safe).join(",")}\r\n`).join("");
}

const asJson = (track, rows) => `${JSON.stringify({ format: board.format, ...track, rows }, null, 1)}\n`;

function grid(track, rows) {
  const costs = measured(track).filter(({ key }) => !state.hide.includes(key));
  const head = ["#", "mixer", track.headline, "95 % interval", "seeds", ...costs.map((one) => `${one.title}${missing(track.lengths[one.key]) ? "" : ` at ${track.lengths[one.key]}`}`)];
  const lines = rows.map((row) => [String(row.rank ?? "–"), row.label, missing(row.mean) ? row.outcome : score(row.mean), interval(row) || "–", `${row.seeds_ok}/${row.seeds_planned}`, ...costs.map((one) => figures(row[one.key], one.unit))]);
  return [head, lines];
}

function asMarkdown(track, rows) {
  const clean = (text) => visible(text).replace(/[\\|`*_<>[\]]/g, "\\$&"), [head, lines] = grid(track, rows);
  const line = (cells) => `| ${cells.map(clean).join(" | ")} |\n`;
  return line(head) + `|${head.map((_, i) => (i === 1 ? ":--" : "--:")).join("|")}|\n` + lines.map(line).join("");
}

function asLatex(track, rows) {
  const special = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "–": "--" };
  const clean = (text) => visible(text).replace(/[\\{}$&#_%~^–]/g, (one) => special[one] ?? `\\${one}`);
  const [head, lines] = grid(track, rows), line = (cells) => `${cells.map(clean).join(" & ")} \\\\\n`;
  return `% ${visible(track.task)}, protocol ${visible(track.protocol)}, budget ${visible(track.budget)}, ${visible(track.device)}\n` +
    `\\begin{tabular}{${head.map((_, i) => (i === 1 ? "l" : "r")).join("")}}\n\\toprule\n${line(head)}\\midrule\n${lines.map(line).join("")}\\bottomrule\n\\end{tabular}\n`;
}

function exported(kind) {
  const track = tracks.get(state.track), rows = ordered(track);
  const [make, ending, type] = {
    csv: [asCsv, "csv", "text/csv"], json: [asJson, "json", "application/json"],
    markdown: [asMarkdown, "md", "text/markdown"], latex: [asLatex, "tex", "application/x-tex"],
  }[kind];
  download(make(track, rows), type, `leaderboard-${track.task}-${track.protocol}-${track.budget}-${track.track}.${ending}`);
}
