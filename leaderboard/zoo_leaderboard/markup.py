r"""Tables as Markdown and LaTeX; a name from a record is text there, never markup.

Every character that could start markup is written as what cannot: HTML entities in Markdown,
commands in LaTeX. A name with a line break, a pipe or ``\input`` stays one cell.
"""

import re
from collections.abc import Iterable

from zoo_leaderboard.tables import Table
from zoo_leaderboard.wording import visible

RISKY = re.compile(
    r"[^\w\s/.,;:%'()=+?!\u2013-]"  # every sign but these
    r"|(?<![a-z0-9])_|_(?![a-z0-9])"  # one between letters is no emphasis
    r"|:(?=\S)"  # an emoji, or the start of a link
    r"|(?<=www)\."
    r"|^[-+=]|^\d+[.)](?=\s|$)",  # a list or a heading
    re.IGNORECASE,
)
"""What is written by its number in Markdown, `&#64;`; letters of any script stay as they are."""
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "\u2013": "--",
    "\u2026": r"\ldots{}",
    "\u2248": r"\ensuremath{\approx}",
    "\u00b7": r"\ensuremath{\cdot}",
    "-": "{-}",  # two of them would be joined into a dash
    **{character: f"\\{character}" for character in "{}$&#%_"},
    # a star or a bracket behind the end of a line would be its argument
    **{character: f"{{{character}}}" for character in "[]*"},
}


def markdown(tables: Iterable[Table]) -> str:
    """GitHub's tables, each under a heading with its notes below."""
    return "\n".join(part for table in tables for part in markdown_table(table))


def markdown_table(table: Table) -> Iterable[str]:
    """The lines of one."""
    yield from (f"### {entities(table.title)}", "")
    yield markdown_line(map(entities, table.header))
    yield markdown_line(":--" if i == table.left else "--:" for i in range(len(table.header)))
    for row in table.rows:
        yield markdown_line(map(entities, row))
    yield ""
    for note in table.notes:
        yield from (entities(note), "")


def markdown_line(cells: Iterable[str]) -> str:
    """Cells that are escaped already, between pipes."""
    return f"| {' | '.join(cells)} |"


def entities(text: str) -> str:
    """Text as it is, but for signs that could mean something, each written by its number."""
    return RISKY.sub(lambda found: "".join(f"&#{ord(c)};" for c in found[0]), visible(text))


def latex(tables: Iterable[Table]) -> str:
    """Table environments with the rules of booktabs."""
    lines = [r"% \usepackage{booktabs}", r"% \usepackage[T1]{fontenc}", r"% \usepackage{textcomp}"]
    return "\n".join([*lines, *(line for table in tables for line in latex_table(table)), ""])


def latex_table(table: Table) -> Iterable[str]:
    """The lines of one."""
    caption = "; ".join((table.title, *table.notes))
    columns = "".join("l" if i == table.left else "r" for i in range(len(table.header)))
    yield from ("", r"\begin{table}", r"\centering", rf"\caption{{{commands(caption)}}}")
    yield from (rf"\begin{{tabular}}{{{columns}}}", r"\toprule")
    yield latex_line(table.header)
    yield r"\midrule"
    yield from map(latex_line, table.rows)
    yield from (r"\bottomrule", r"\end{tabular}", r"\end{table}")


def latex_line(cells: Iterable[str]) -> str:
    """One line of a tabular."""
    return " & ".join(map(commands, cells)) + r" \\"


def commands(text: str) -> str:
    """Signs that mean something to TeX as commands; beyond Latin letters, the number of a sign."""
    return "".join(
        LATEX.get(c) or (c if ord(c) < 0x180 else f"U+{ord(c):04X}") for c in visible(text)
    )
