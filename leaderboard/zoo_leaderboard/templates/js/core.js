// What every view uses: state in the address, words and figures, colours, charts, the one table.
// Text from records enters the page by textContent only, never as markup.
const { document: board, specs } = JSON.parse(document.getElementById("island").textContent);
const tracks = new Map(board.tracks.map((track) => [track.track, track]));
const columns = new Map(board.columns.map((column) => [column.key, column]));
const views = {}; // name -> {title, has(board), draw(host)}, filled by the files that follow
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 40rem)");
const find = (id) => document.getElementById(id);

// ---- state lives in the address, so that a view can be sent to someone
const DEFAULTS = {
  view: "board", track: "", x: "train_tokens_per_s", y: "mean", log: true, logy: false, filter: "", sort: "",
  only: false, hollow: true, open: "", picked: [], family: [], hide: [],
};
const state = structuredClone(DEFAULTS);

function address() {
  const found = new URLSearchParams();
  for (const [key, usual] of Object.entries(DEFAULTS)) {
    const value = state[key];
    if (Array.isArray(usual)) for (const one of value) found.append(key, one);
    else if (value !== usual || key === "track") found.set(key, typeof usual === "boolean" ? Number(value) : value);
  }
  for (const [key, value] of Object.entries(state)) if (!(key in DEFAULTS) && value) found.set(key, value);
  return `#${found}`;
}

function recall() {
  const found = new URLSearchParams(location.hash.slice(1));
  const axis = (key) => key === "mean" || columns.has(key);
  for (const [key, usual] of Object.entries(DEFAULTS)) {
    if (Array.isArray(usual)) state[key] = [...new Set(found.getAll(key))];
    else if (typeof usual === "boolean") state[key] = found.has(key) ? found.get(key) === "1" : usual;
    else state[key] = found.get(key) ?? usual;
  }
  for (const key of Object.keys(state)) if (!(key in DEFAULTS) && !found.has(key)) delete state[key];
  for (const [key, value] of found) if (!(key in DEFAULTS) && /^[a-z]+$/.test(key)) state[key] = value; // a view's own words
  const first = board.tracks.find((track) => !track.note) ?? board.tracks[0];
  if (!tracks.has(state.track)) state.track = first?.track ?? "";
  for (const key of ["x", "y"]) if (!axis(state[key])) state[key] = DEFAULTS[key];
  if (!Object.hasOwn(views, state.view) || !views[state.view].has(board)) state.view = "board";
}

// A new view or track is a step that "back" undoes; everything else is a change of the same step.
function go(change) {
  const step = ["view", "track"].some((key) => key in change && change[key] !== state[key]);
  Object.assign(state, change);
  history[step ? "pushState" : "replaceState"](null, "", address());
  redraw();
}

// ---- elements, words, figures
function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// A name out of a record: whatever direction it is written in, it turns nothing around it.
const named = (text, className) => element("bdi", text, className);

function button(text, pressed, onclick, className = "") {
  const made = element("button", text, className);
  made.type = "button";
  if (pressed !== null) made.setAttribute("aria-pressed", pressed);
  made.addEventListener("click", onclick);
  return made;
}

// For attributes and options, which take no <bdi>: what cannot be seen is written out.
function visible(text) {
  const code = (one) => `\\u${one.codePointAt(0).toString(16).padStart(4, "0")}`;
  return String(text).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, code);
}

const missing = (value) => value === null || value === undefined;
const digits = (value) => (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e7) ? value.toExponential(2) : String(Number(value.toPrecision(3))));
const score = (value) => (missing(value) ? "–" : value !== 0 && Math.abs(value) < 1e-3 ? digits(value) : Math.abs(value) < 100 ? value.toFixed(3) : String(Number(value.toPrecision(4))));

function figures(value, unit = "") {
  if (missing(value)) return "–";
  let step = unit === "ms" || Math.abs(value) < 1000 ? 0 : Math.min(Math.floor(Math.log10(Math.abs(value)) / 3), 5);
  if (unit !== "ms" && Math.abs(Number((value / 1000 ** step).toPrecision(3))) >= 1000) step = Math.min(step + 1, 5);
  const text = `${digits(value / 1000 ** step)}${unit ? " " : ""}${["", "k", "M", "G", "T", "P"][step]}${unit}`;
  return text.trim();
}

function download(content, type, stem, ending) {
  const link = element("a"), place = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.href = place;
  link.download = `${stem.replace(/[^\w.+-]+/g, "-").replace(/^[.-]+/, "").slice(0, 150)}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(place), 1000);
}

// ---- colours: a family has the same one everywhere on the page
const { families, palette: PALETTE } = specs;

function colour(family) {
  const range = PALETTE[dark.matches ? "dark" : "light"];
  return range[Math.max(0, families.indexOf(family)) % range.length];
}

// ---- charts
function theme() {
  const style = getComputedStyle(document.body), ink = style.getPropertyValue("--ink").trim();
  const soft = style.getPropertyValue("--soft").trim(), line = style.getPropertyValue("--line").trim();
  return {
    font: style.getPropertyValue("font-family"), view: { stroke: null }, background: null, title: { color: ink },
    axis: { labelColor: soft, titleColor: soft, titleFontWeight: "normal", titlePadding: 10, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 11.5, titleFontSize: 12 },
    legend: { labelColor: ink, titleColor: soft, labelFontSize: 12, labelLimit: 240 },
    header: { labelColor: ink, titleColor: soft },
    rule: { color: soft }, text: { color: ink },
  };
}

const drawn = new WeakMap(); // host -> the newest call; an older one that ends later is thrown away
const charts = new WeakMap(); // host -> what Vega made there, which listens to the window until it is let go

// `options.tip(datum)` gives [title, [[name, text], ...]] for the card beside the pointer; `options.after(made)`,
// with vega-embed's result, is awaited before the chart counts as drawn.
async function embed(host, spec, label, options = {}) {
  const mine = Symbol(label);
  drawn.set(host, mine);
  let plot = host.querySelector(":scope > .plot"), tools = host.querySelector(":scope > .tools");
  if (!plot) {
    plot = element("div", undefined, "plot");
    tools = element("div", undefined, "tools");
    host.replaceChildren(plot, tools);
  }
  plot.classList.toggle("night", dark.matches); // paper turns its colours around
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", visible(label));
  const none = (why) => plot.replaceChildren(element("p", `No chart: ${why}`, "notes"));
  if (!window.vegaEmbed) return none("this page was made without Vega.");
  plot.setAttribute("aria-busy", "true");
  await new Promise((then) => setTimeout(then, 20)); // the table is painted first, and whoever types waits for no chart
  if (drawn.get(host) !== mine) return;
  const whole = { width: "container", autosize: { type: "fit", contains: "padding" }, ...spec, background: null, config: { ...spec.config, ...theme() } };
  let made;
  try {
    made = await window.vegaEmbed(plot, whole, {
      mode: "vega-lite", ast: true, renderer: "svg", actions: false, defaultStyle: false, logLevel: 1, tooltip: card(options.tip),
    });
    if (drawn.get(host) !== mine) return made.finalize();
    await options.after?.(made);
  } catch (error) {
    console.error(error);
    none(error.message);
  }
  if (drawn.get(host) !== mine) return;
  plot.removeAttribute("aria-busy");
  charts.get(host)?.finalize();
  charts.set(host, made);
  if (!made) return;
  plot.querySelector("svg")?.setAttribute("aria-hidden", "true"); // the label counts, not its hundreds of marks
  const [stem] = label.split(";");
  const paint = async (kind) => {
    const own = made.view.background();
    made.view.background(getComputedStyle(document.body).backgroundColor); // else dark on nothing
    if (kind === "svg") download(await made.view.toSVG(), "image/svg+xml", stem, "svg");
    else (await made.view.toCanvas(2)).toBlob((blob) => download(blob, "image/png", stem, "png"));
    made.view.background(own);
  };
  tools.replaceChildren(...["SVG", "PNG"].map((kind) => {
    const one = button(kind, null, () => paint(kind.toLowerCase()), "small");
    one.setAttribute("aria-label", `Save as ${kind}: ${visible(label)}`);
    return one;
  }));
}

const plain = (datum) => [null, Object.entries(datum).map(([key, value]) => [key, String(value)])];

function card(words = plain) {
  return (_handler, event, _item, datum) => {
    const box = find("tip");
    box.hidden = !datum;
    if (!datum) return;
    const [title, pairs] = words(typeof datum === "object" ? datum : { value: datum }), list = element("dl");
    for (const [name, text] of pairs) list.append(element("dt", name), element("dd", text));
    box.replaceChildren(...(title ? [element("strong", title)] : []), list);
    const wide = box.offsetWidth, room = document.documentElement.clientWidth;
    const left = event.pageX + 14 + wide > room ? event.pageX - 14 - wide : event.pageX + 14;
    box.style.left = `${Math.max(4, left)}px`;
    box.style.top = `${event.pageY + 14}px`;
  };
}
