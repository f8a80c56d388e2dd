// The board's controls: track, search, families, the front alone, columns, the link, files.
function drawControls(host, track, found) {
  const bar = host.querySelector(".controls");
  if (!bar.dataset.ready) furnishControls(bar);
  bar.querySelector("#track").value = state.track;
  const search = bar.querySelector("#search");
  if (search.value !== state.filter) search.value = state.filter;
  bar.querySelector("#only").checked = state.only;
  bar.querySelector("#only").parentElement.title = `Front of ${axisOf(track, state.x).title} and ${axisOf(track, state.y).title}`;
  drawChips(host.querySelector(".chips"), track);
  drawChooser(bar.querySelector(".chooser"), track);
}

function furnishControls(bar) {
  bar.dataset.ready = "yes";
  const select = bar.querySelector("#track"), groups = new Map();
  for (const track of board.tracks) {
    if (!groups.has(track.task)) groups.set(track.task, element("optgroup"));
    const option = element("option", visible([track.task, track.protocol, track.budget, track.device, track.precision, track.id].join(" · ") + (track.note ? ` (${track.note})` : "")));
    option.value = track.track;
    groups.get(track.task).label = visible(track.task);
    groups.get(track.task).append(option);
  }
  select.append(...groups.values());
  select.addEventListener("change", () => go({ track: select.value, open: "" }));
  bar.querySelector("#search").addEventListener("input", (event) => go({ filter: event.target.value }));
  bar.querySelector("#only").addEventListener("change", (event) => go({ only: event.target.checked }));
  bar.querySelector("#link").addEventListener("click", (event) => copy(new URL(address(), location.href).href, event.currentTarget));
  for (const kind of ["csv", "json", "markdown", "latex"]) bar.querySelector(`#${kind}`).addEventListener("click", () => exported(kind));
  for (const menu of bar.querySelectorAll("details")) {
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  }
}

// Where the clipboard is refused, the old way of selecting and copying still works.
async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", text, "unseen");
    from.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    from.focus();
  }
  const before = from.textContent;
  if (before === "copied") return;
  from.textContent = "copied";
  setTimeout(() => { from.textContent = before; }, 1200);
}

function drawChips(host, track) {
  const here = [...new Set(track.rows.map((row) => row.family))].sort();
  const toggle = (family) => go({ family: state.family.includes(family) ? state.family.filter((one) => one !== family) : [...state.family, family] });
  host.hidden = here.length < 2;
  host.replaceChildren(...here.map((family) => {
    const chip = button("", state.family.includes(family), () => toggle(family), "chip"), mark = element("span", undefined, "family");
    mark.style.background = colour(family);
    chip.dataset.focus = `family:${family}`;
    chip.append(mark, named(family), element("small", track.rows.filter((row) => row.family === family).length));
    return chip;
  }));
}

function drawChooser(host, track) {
  const toggle = (key) => go({ hide: state.hide.includes(key) ? state.hide.filter((one) => one !== key) : [...state.hide, key] });
  host.replaceChildren(...[{ key: "interval", title: "95 % interval" }, { key: "seeds", title: "seeds" }, ...measured(track), { key: "published", title: "published" }].map(({ key, title }) => {
    const label = element("label", undefined, "check"), one = element("input");
    one.type = "checkbox";
    one.checked = !state.hide.includes(key);
    one.dataset.focus = `column:${key}`;
    one.addEventListener("change", () => toggle(key));
    label.append(one, title);
    return label;
  }));
}
