// Student's t without a library: the same digits as zoo_leaderboard.statistics, which the tests hold it to.
function lnGamma(x) { // Lanczos, g = 7, to about 1e-15 for x > 0
  const weights = [676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905, -0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7];
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - lnGamma(1 - x);
  const t = x + 6.5, sum = weights.reduce((total, weight, i) => total + weight / (x + i), 0.9999999999998099);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

function betaFraction(x, a, b) { // the continued fraction, by Lentz
  const tiny = 1e-300, safe = (value) => (Math.abs(value) < tiny ? tiny : value);
  let c = 1, d = 1 / safe(1 - ((a + b) * x) / (a + 1)), result = d;
  for (let m = 1; m < 500; m++) {
    let step = 1;
    for (const part of [(m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)), (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))]) {
      d = 1 / safe(1 + part * d);
      c = safe(1 + part / c);
      step = c * d;
      result *= step;
    }
    if (Math.abs(step - 1) < 1e-15) break;
  }
  return result;
}

function incompleteBeta(x, a, b) { // regularised
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  const front = Math.exp(lnGamma(a + b) - lnGamma(a) - lnGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  return x < (a + 1) / (a + b + 2) ? (front * betaFraction(x, a, b)) / a : 1 - (front * betaFraction(1 - x, b, a)) / b;
}

const twoSided = (t, freedom) => incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);

// The t that leaves `outside` beyond both ends, by bisection: monotone, so it cannot go astray.
function quantile(freedom, outside = 0.05) {
  let [low, high] = [0, 1];
  while (twoSided(high, freedom) > outside) high *= 2;
  for (let i = 0; i < 200 && high - low > 1e-14 * high; i++) {
    const middle = (low + high) / 2;
    [low, high] = twoSided(middle, freedom) > outside ? [middle, high] : [low, middle];
  }
  return (low + high) / 2;
}

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const variance = (values, mean = average(values)) => values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);

// How far two means can be apart where the metric has ends and all values keep to them.
function widest(values, [low, high]) {
  if (missing(low) || missing(high)) return Infinity;
  return values.every((value) => low <= value && value <= high) ? high - low : Infinity;
}

// Two rows' {seed: value}: paired where the seeds are the same, else Welch; nulls where no spread is defined.
function difference(a, b, range) {
  const [x, y] = [Object.values(a), Object.values(b)], seeds = Object.keys(a);
  const found = { difference: null, low: null, high: null, p: null, test: null, n_a: x.length, n_b: y.length };
  if (!x.length || !y.length) return found;
  found.difference = average(x) - average(y);
  if (x.length < 2 || y.length < 2) return found;
  const paired = x.length === y.length && seeds.every((seed) => seed in b);
  let error, freedom;
  if (paired) {
    error = Math.sqrt(variance(seeds.map((seed) => a[seed] - b[seed])) / x.length);
    freedom = x.length - 1;
  } else {
    const [s, t] = [variance(x) / x.length, variance(y) / y.length];
    error = Math.sqrt(s + t);
    freedom = (s + t) ** 2 / (s ** 2 / (x.length - 1) + t ** 2 / (y.length - 1));
  }
  const size = [...x, ...y].reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (!(error > 1e-12 * size) || !Number.isFinite(freedom)) return found; // what rounding leaves is no spread
  const half = quantile(freedom) * error, most = widest([...x, ...y], range);
  const [low, high] = [Math.max(found.difference - half, -most), Math.min(found.difference + half, most)];
  return { ...found, test: paired ? "paired t" : "Welch", low, high, p: twoSided(found.difference / error, freedom) };
}

// Holm's step-down over the comparisons that have a p; the others stay null.
function holm(ps) {
  const order = ps.map((_, i) => i).filter((i) => !missing(ps[i])).sort((i, j) => ps[i] - ps[j]);
  const adjusted = ps.map(() => null);
  let worst = 0;
  order.forEach((i, place) => {
    worst = Math.max(worst, Math.min(1, ps[i] * (order.length - place)));
    adjusted[i] = worst;
  });
  return adjusted;
}
