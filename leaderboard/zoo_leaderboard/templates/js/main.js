// The tabs, the keys, and the first drawing.
const ORDER = ["board", "suites", "efficiency", "published", "findings"].filter((name) => views[name]?.has(board) || name === "board");

function furnish() {
  for (const name of ORDER) {
    const tab = button(views[name].title, null, () => go({ view: name })), panel = element("section", undefined, "view");
    tab.id = `tab-${name}`;
    tab.dataset.focus = tab.id;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", `view-${name}`);
    panel.id = `view-${name}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    find("tabs").append(tab);
    find("views").append(panel);
  }
  find("tabs").hidden = ORDER.length < 2;
  find("tabs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], here = ORDER.indexOf(state.view);
    const at = { Home: 0, End: ORDER.length - 1 }[event.key] ?? (step && (here + step + ORDER.length) % ORDER.length);
    if (at === undefined) return;
    event.preventDefault();
    go({ view: ORDER[at] });
    find(`tab-${ORDER[at]}`).focus();
  });
}

function redraw() {
  const turned = find(`view-${state.view}`).hidden;
  find("tip").hidden = find("picked").hidden = true; // the board shows its own again
  for (const name of ORDER) {
    const shown = name === state.view, tab = find(`tab-${name}`);
    tab.setAttribute("aria-selected", shown);
    tab.tabIndex = shown ? 0 : -1;
    find(`view-${name}`).hidden = !shown;
    if (shown) find("tabs").scrollLeft = tab.offsetLeft - 24;
  }
  refocus(() => views[state.view].draw(find(`view-${state.view}`)));
  if (turned) dispatchEvent(new Event("resize")); // charts that were out of sight had no width to follow
  provenance();
}

function problems() {
  const host = find("problems");
  host.hidden = !board.problems.length;
  host.querySelector("summary").textContent = `Records with problems: ${board.problems.length}`;
  for (const problem of board.problems) {
    const item = element("li");
    item.append(named(problem));
    host.querySelector("ul").append(item);
  }
}

function words() {
  const { records, newest, commits, zoo } = board.made, count = board.tracks.length;
  find("lead").textContent = `${records} run${records === 1 ? "" : "s"} on ${count} track${count === 1 ? "" : "s"}${newest ? `, the newest of ${newest.slice(0, 10)}` : ""}. A track is one task under one protocol and budget on one kind of hardware; rows of two tracks are never compared.`;
  find("made").textContent = `mixer-zoo ${zoo}${commits.length ? `; commit${commits.length === 1 ? "" : "s"} ${commits.map((one) => one.slice(0, 10)).join(", ")}` : ""}.`;
}

// The browser closes a dialog on Escape; a click beside it does the same.
function dialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }
  document.addEventListener("click", (event) => { // the path as it was: what was clicked may be gone by now
    for (const menu of document.querySelectorAll(".menu[open]")) if (!event.composedPath().includes(menu)) menu.open = false;
  });
  find("provenance").addEventListener("close", () => state.open && go({ open: "" }));
  find("keys").addEventListener("click", () => find("help").showModal());
}

const typing = (event) => event.target.closest?.("input, select, textarea, dialog");
addEventListener("keydown", (event) => {
  if (typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    if (state.view !== "board") go({ view: "board" });
    find("search")?.focus();
  } else if (event.key === "?") find("help").showModal();
  else return;
  event.preventDefault();
});
addEventListener("popstate", () => { recall(); redraw(); });
for (const query of [dark, narrow]) query.addEventListener("change", redraw);
furnish();
problems();
words();
dialogs();
recall();
redraw();
document.documentElement.dataset.ready = "yes";
