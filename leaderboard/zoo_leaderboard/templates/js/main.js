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
  find("tip").hidden = true;
  for (const name of ORDER) {
    const shown = name === state.view, tab = find(`tab-${name}`);
    tab.setAttribute("aria-selected", shown);
    tab.tabIndex = shown ? 0 : -1;
    find(`view-${name}`).hidden = !shown;
  }
  refocus(() => views[state.view].draw(find(`view-${state.view}`)));
  provenance();
}

function problems() {
  const host = find("problems");
  host.hidden = !board.problems.length;
  host.querySelector("summary").textContent = `Records with problems: ${board.problems.length}`;
  for (const problem of board.problems) host.querySelector("ul").append(named(problem, "")).append;
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
recall();
redraw();
document.documentElement.dataset.ready = "yes";
