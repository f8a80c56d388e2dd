// The one table: sorted by buttons in its head, what is missing last; a long one grows as it is scrolled.
const PIECE = 150; // rows at a time: to lay out 3,000 at once takes a browser seconds
const sorts = new WeakMap(), tails = new Map(); // a host's own sorting; what adds its next rows
const edge = new IntersectionObserver((seen) => seen.forEach((one) => one.isIntersecting && more(one.target)), { rootMargin: "1500px" });

// `columns`: {key, title, small, unit, best, head, className, value(row), text(row), node(row)}; `best` is the
// direction of the first click, and without it the column is not sorted; `head` makes the row's header.
// `options`: {label, sort, onsort(sort), id(row), decorate(tr, row), onkey(row, key) -> handled}.
function table(host, columns, rows, options = {}) {
  const sort = options.onsort ? options.sort : sorts.get(host) ?? options.sort ?? "";
  const onsort = options.onsort ?? ((wanted) => {
    sorts.set(host, wanted);
    refocus(() => table(host, columns, rows, options));
  });
  let wide = host.querySelector(":scope > .wide");
  if (!wide) {
    wide = element("div", undefined, "wide");
    wide.tabIndex = 0;
    wide.setAttribute("role", "region");
    host.replaceChildren(wide);
  }
  wide.setAttribute("aria-label", visible(options.label ?? "Table"));
  const left = wide.scrollLeft, made = element("table", undefined, options.className), body = element("tbody");
  made.append(headOf(columns, sort, onsort), body);
  const order = sorted(columns, rows, sort);
  made.setAttribute("aria-rowcount", order.length + 1);
  wide.replaceChildren(made);
  grow(host, body, order, (rows, first) => fill(body, columns, rows, options, first));
  wide.scrollLeft = left;
  return made;
}

function headOf(columns, sort, onsort) {
  const head = element("thead"), line = element("tr");
  const by = sort.replace(/^-/, ""), down = sort.startsWith("-");
  for (const column of columns) {
    const cell = element("th", undefined, column.className), title = column.best ? button("", null, () => onsort(next(column, by, down))) : element("span");
    cell.scope = "col";
    title.append(named(column.title, "title"), ...(column.small ? [named(column.small, "small")] : []));
    if (column.best) title.dataset.focus = `sort:${column.key}`;
    if (column.help) title.title = column.help;
    if (column.best && column.key === by) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    cell.append(title);
    line.append(cell);
  }
  head.append(line);
  return head;
}

// The best first, then the other way round.
const next = (column, by, down) => ((column.key === by ? !down : column.best === "descending") ? `-${column.key}` : column.key);

function sorted(columns, rows, sort) {
  const column = columns.find((one) => one.best && one.key === sort.replace(/^-/, ""));
  if (!column) return rows;
  const sign = sort.startsWith("-") ? -1 : 1;
  const known = rows.map((row) => [row, column.value(row)]);
  known.sort(([, x], [, y]) => {
    if (missing(x) || missing(y)) return missing(x) - missing(y);
    return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
  });
  return known.map(([row]) => row);
}

function fill(body, columns, rows, options, first) {
  const pieces = document.createDocumentFragment();
  for (const row of rows) {
    const tr = element("tr");
    tr.setAttribute("aria-rowindex", first++ + 2);
    for (const column of columns) tr.append(cellOf(column, row));
    const id = options.id?.(row);
    if (!missing(id)) {
      tr.dataset.focus = `row:${id}`;
      tr.tabIndex = body.dataset.walk ? -1 : 0;
      body.dataset.walk = "yes";
      tr.addEventListener("keydown", (event) => pressed(event, tr, row, options));
    }
    options.decorate?.(tr, row);
    pieces.append(tr);
  }
  body.append(pieces);
}

function cellOf(column, row) {
  const cell = element(column.head ? "th" : "td", undefined, column.className);
  if (column.head) cell.scope = "row";
  const nodes = column.node?.(row);
  if (nodes) cell.append(...[nodes].flat());
  else cell.textContent = column.text ? column.text(row) : figures(column.value(row), column.unit);
  return cell;
}

// Up and down walk the rows, one of which is in the order of the Tab key; the rest is the caller's.
function pressed(event, tr, row, options) {
  if (event.target !== tr) return;
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  if (step) {
    if (!tr.nextElementSibling) more(tr);
    let other = tr[step];
    while (other && !other.hasAttribute("tabindex")) other = other[step];
    if (other) [tr.tabIndex, other.tabIndex] = [-1, 0];
    other?.focus();
  } else if (!options.onkey?.(row, event.key)) return;
  event.preventDefault();
}

// The first rows now, the next when the last of them comes near, all of them for paper.
function grow(host, body, rows, add) {
  let at = 0;
  const piece = (size = PIECE) => {
    add(rows.slice(at, at + size), at);
    at += size;
    if (at < rows.length) edge.observe(body.lastElementChild);
    else tails.delete(host);
  };
  tails.set(host, piece);
  piece();
}

function more(row) {
  edge.unobserve(row);
  if (row.isConnected) for (const [host, piece] of tails) if (host.contains(row)) return piece();
}

addEventListener("beforeprint", () => [...tails.values()].forEach((piece) => piece(Infinity)));

// Whoever had the focus has it still after a drawing that made everything anew.
function refocus(draw) {
  const key = document.activeElement?.dataset?.focus;
  draw();
  if (!key || document.activeElement?.dataset?.focus === key) return;
  [...document.querySelectorAll("[data-focus]")].find((one) => one.dataset.focus === key)?.focus({ preventScroll: true });
}
