// Rows that were picked, against one of them: difference, interval, test, Holm over those shown, ratios of costs.
function comparisons(track) {
  const rows = state.picked.map((label) => track.rows.find((row) => row.label === label)).filter(Boolean);
  const [base, ...others] = rows;
  const found = others.map((row) => ({ row, ...difference(row.values, base.values, track.range) }));
  const adjusted = holm(found.map(({ p }) => p));
  return { rows, base, found: found.map((one, i) => ({ ...one, holm: adjusted[i] })) };
}

const chances = (p) => (missing(p) ? "–" : p < 0.001 ? "< 0.001" : p >= 0.0495 && p < 0.05 ? "< 0.05" : p.toFixed(3));
const LOGARITHMS = ["time_exponent", "lr_window"]; // of these a ratio says nothing
const signed = (value) => (missing(value) ? "–" : `${value < 0 ? "−" : "+"}${digits(Math.abs(value))}`);

function ratioOf(row, base, column) {
  const [a, b] = [row[column.key], base[column.key]];
  return missing(a) || missing(b) || b === 0 ? null : a / b;
}

function verdict(track, one) {
  if (missing(one.holm)) return one.n_a < 2 || one.n_b < 2 ? "needs two seeds each" : "no spread to test against";
  if (one.holm >= 0.05) return "no difference shown";
  return (one.difference > 0) === track.higher_is_better ? "better" : "worse";
}

function drawCompare(host, track) {
  const { rows, base, found } = comparisons(track), bar = find("picked");
  host.hidden = !rows.length;
  bar.hidden = rows.length < 1;
  bar.replaceChildren();
  if (!rows.length) return host.replaceChildren();
  bar.append(
    button(rows.length < 2 ? "1 row picked: pick another to compare" : `Compare ${rows.length} rows ↓`, null, () => host.scrollIntoView({ block: "center" })),
    button("clear", null, () => go({ picked: [] }), "small"),
  );
  host.replaceChildren(element("h3", "Comparison"));
  if (rows.length < 2) return host.append(element("p", `${visible(base.label)} is picked; pick one or more rows to compare with it.`, "notes"));
  const label = element("label", "Against "), select = element("select");
  for (const row of rows) {
    const option = element("option", visible(row.label));
    option.value = row.label;
    select.append(option);
  }
  select.dataset.focus = "baseline";
  select.addEventListener("change", () => go({ picked: [select.value, ...state.picked.filter((one) => one !== select.value)] }));
  label.append(select);
  const place = element("div");
  host.append(label, place, element("p", `Difference: the row's mean ${track.headline} minus that of ${visible(base.label)}, with a 95 % interval. Paired t where both have the same seeds, which see the same data in the same order; else Welch. Holm: p corrected over the ${found.length} comparison${found.length === 1 ? "" : "s"} shown. Ratios of costs: the row over the baseline.`, "notes"));
  table(place, comparedColumns(track, base), found, { label: `Comparison with ${base.label}`, className: "compare" });
}

function comparedColumns(track, base) {
  const words = { className: "words" };
  return [
    { key: "label", title: "mixer", small: `against ${base.label}`, head: true, className: "name", best: "ascending", value: ({ row }) => row.label, node: ({ row }) => [named(row.label)] },
    { key: "verdict", title: "says", ...words, node: (one) => [verdict(track, one)] },
    { key: "difference", title: "difference", best: track.higher_is_better ? "descending" : "ascending", className: "score", value: (one) => one.difference, text: (one) => signed(one.difference) },
    { key: "interval", title: "95 % interval", node: (one) => [missing(one.low) ? "–" : `${signed(one.low)} to ${signed(one.high)}`] },
    { key: "test", title: "test", ...words, node: (one) => [one.test ?? "–"] },
    { key: "p", title: "p", best: "ascending", value: (one) => one.p, text: (one) => chances(one.p) },
    { key: "holm", title: "p, Holm", best: "ascending", value: (one) => one.holm, text: (one) => chances(one.holm) },
    { key: "n", title: "seeds", node: (one) => [`${one.n_a} and ${one.n_b}`] },
    ...measured(track).filter((column) => !LOGARITHMS.includes(column.key)).map((column) => ({
      key: column.key, title: column.title, small: "ratio", best: column.less ? "ascending" : "descending",
      value: ({ row }) => ratioOf(row, base, column), text: ({ row }) => { const ratio = ratioOf(row, base, column); return missing(ratio) ? "–" : `×${digits(ratio)}`; },
    })),
  ];
}
