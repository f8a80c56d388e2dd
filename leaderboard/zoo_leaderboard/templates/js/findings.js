// What is claimed in the literature, and whether the runs here say so too.
const VERDICTS = {
  supported: ["✓", "supported"], contradicted: ["✗", "contradicted"], "not enough runs": ["…", "not enough runs"],
};

function sourceOf(id) {
  return (board.published.sources ?? []).find((one) => one.id === id);
}

// An address is followed by whoever clicks it; nothing is loaded for the page.
function linkTo(source) {
  const address = source.url ?? (source.arxiv ? `https://arxiv.org/abs/${source.arxiv}` : "");
  if (!/^https?:\/\//.test(address)) return [];
  const link = element("a", address.replace(/^https?:\/\//, ""));
  link.href = address;
  link.rel = "noreferrer";
  return [link];
}

function cite(id) {
  const source = sourceOf(id), line = element("span", undefined, "cite");
  if (!source) {
    if (id) line.append(named(id));
    return line;
  }
  line.append(named(`${source.authors} ${source.year}, ${source.title}. `), ...linkTo(source));
  return line;
}

function copier(text, name) {
  const made = copyButton(text, "copy");
  made.setAttribute("aria-label", `Copy: ${name}`);
  return made;
}

const spanOf = (low, high) => (missing(low) || missing(high) ? "–" : `${score(low)} to ${score(high)}`);

const SAYS = { supports: "✓ for it", contradicts: "✗ against it", open: "… open" };

// Where a comparison was made: a track of runs, or a group of profiles.
function placeOf(anchor) {
  const track = tracks.get(anchor), group = board.profiles.find((one) => one.group === anchor);
  return track ? [track.task, track.protocol, track.budget].join(" · ") : group ? groupTitle(group) : anchor;
}

function evidenceTable(host, finding) {
  const pValue = (p) => (missing(p) ? "–" : p < 0.001 ? p.toExponential(1) : p.toFixed(3));
  const counts = (one) => (one.b ? [one.n_a, one.n_b] : [one.n_a]).filter((n) => !missing(n)).join(" and ");
  const where = (one) => `${placeOf(one.track)}${missing(one.length) ? "" : `, length ${one.length}`}${one.test ? `; ${one.test}` : ""}`;
  const under = (...texts) => texts.filter(Boolean).map((text) => {
    const small = element("small");
    small.append(named(text));
    return small;
  });
  const list = [
    { key: "pair", title: "what", small: "on which track", head: true, className: "name text", best: "ascending", value: where, node: (one) => [named([one.a, one.b].filter(Boolean).join(finding.measure === "ratio" ? " / " : " − ")), ...under(where(one), one.note)] },
    { key: "difference", title: finding.measure ?? "difference", best: "descending", value: (one) => one.difference, text: (one) => score(one.difference) },
    { key: "interval", title: "95 %", text: (one) => spanOf(one.low, one.high) },
    { key: "p", title: "p", small: "after Holm", best: "ascending", value: (one) => one.p, node: (one) => [element("span", pValue(one.p)), ...under(missing(one.p_holm) ? "" : pValue(one.p_holm))] },
    { key: "n", title: "seeds", text: counts },
    { key: "says", title: "says", className: "name", best: "ascending", value: (one) => one.says, node: (one) => element("span", SAYS[one.says] ?? "–", `says ${one.says ?? ""}`) },
  ];
  table(host, list, finding.evidence, { label: `Evidence: ${finding.claim}`, className: "evidence" });
}

function findingCard(finding) {
  const card = element("article", undefined, `finding ${finding.verdict.replace(/\W+/g, "-")}`), title = element("h3"), reason = element("p", undefined, "reason");
  const [sign, word] = VERDICTS[finding.verdict] ?? ["?", finding.verdict], mark = element("span", undefined, "sign");
  const verdict = element("p", undefined, "verdict");
  mark.textContent = sign;
  mark.setAttribute("aria-hidden", "true");
  verdict.append(mark, element("span", word));
  title.append(named(finding.claim));
  reason.append(named(finding.reason));
  card.append(verdict, title, reason);
  const source = cite(finding.source);
  if (source.textContent) card.append(element("p", "", "source"));
  card.querySelector(".source")?.append("claimed by ", source);
  if (finding.test) {
    const words = element("p", "asked here: ", "source");
    words.append(named(finding.test));
    card.append(words);
  }
  if (finding.evidence.length) {
    const more = element("details"), host = element("div");
    more.append(element("summary", `Evidence: ${finding.evidence.length} comparison${finding.evidence.length === 1 ? "" : "s"}`), host);
    more.open = finding.evidence.length <= 4;
    evidenceTable(host, finding);
    card.append(more);
  }
  if (finding.command) {
    const line = element("div", undefined, "command"), code = element("code", finding.command);
    code.tabIndex = 0;
    code.setAttribute("role", "group");
    code.setAttribute("aria-label", "The command");
    line.append(element("span", finding.verdict === "not enough runs" ? "would settle it:" : "to run it again:", "small"), code, copier(finding.command, visible(finding.claim)));
    card.append(line);
  }
  if (finding.missing) {
    const lack = element("p", "", "source");
    lack.append(named(`Not to be run today: ${finding.missing}`));
    card.append(lack);
  }
  return card;
}

views.findings = {
  title: "Findings",
  has: (whole) => whole.findings.length > 0,
  draw(host) {
    partOf(host, "cards", () => {
      const whole = element("div"), counts = Object.keys(VERDICTS).map((verdict) => [verdict, board.findings.filter((one) => one.verdict === verdict).length]);
      whole.append(element("h2", "What the literature claims, and what these runs say"));
      whole.append(element("p", `${counts.map(([verdict, count]) => `${count} ${verdict}`).join(", ")}. A claim is judged within one track at a time, by the interval of a difference over seeds; one seed, or a smoke run, supports nothing.`, "notes"));
      const cards = element("div", undefined, "cards"), order = Object.keys(VERDICTS);
      const sorted = [...board.findings].sort((a, b) => order.indexOf(a.verdict) - order.indexOf(b.verdict));
      cards.append(...sorted.map(findingCard));
      whole.append(cards);
      return whole;
    });
  },
};
