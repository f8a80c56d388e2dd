// The front, by the same rule as pareto.py: more is better on both axes, ties stay together.
function front(points) {
  const order = points.map((_, i) => i).sort((a, b) => points[b][0] - points[a][0] || points[b][1] - points[a][1]);
  const kept = [];
  let best = -Infinity;
  for (const i of order) {
    const last = kept.length ? points[kept.at(-1)] : null;
    if (points[i][1] > best || (last && last[0] === points[i][0] && last[1] === points[i][1])) {
      kept.push(i);
      best = points[i][1];
    }
  }
  return kept;
}

// Rows on the front of two axes {key, less}; those that miss one of the two are not on it.
function frontOf(rows, xAxis, yAxis) {
  const known = rows.filter((row) => !missing(row[xAxis.key]) && !missing(row[yAxis.key]));
  const better = (row, axis) => (axis.less ? -row[axis.key] : row[axis.key]);
  return new Set(front(known.map((row) => [better(row, xAxis), better(row, yAxis)])).map((i) => known[i]));
}

// An axis by its name in the address: the score of this track or one of the costs.
function axisOf(track, key) {
  return key === "mean" ? { key, title: track.headline, unit: "", less: !track.higher_is_better } : columns.get(key);
}
