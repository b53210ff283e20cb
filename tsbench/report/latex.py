"""`table.tex`: the tables of `paper.py` as LaTeX that fits a page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import pandas as pd

from tsbench.present import footnote, provenance
from tsbench.report.paper import BEST, READING, SECOND, Entry, Field, PaperTable, paper_tables
from tsbench.stored import Manifest

ABOVE = r"% Needs \usepackage{booktabs,makecell,adjustbox}; a table wider or higher than the page is made smaller."


def latex(cells: pd.DataFrame, manifest: Manifest) -> str:
    """A booktabs table a workload."""
    parts = [f"% {provenance(manifest, cells)}", ABOVE, *(f"% {line}" for line in READING.splitlines())]
    for table in paper_tables(cells):
        parts += _table(table)
    return "\n".join(parts) + "\n"


def _table(table: PaperTable) -> list[str]:
    """The lines of a table: a series is a line above its settings, and a note of a row a footnote."""
    footnotes, rows = list(table.footnotes), []
    for place, ((series, label, *figures), note) in enumerate(zip(table.rows, table.notes)):
        if place and series:
            rows.append(r"\midrule")
        if series and label:
            rows.append(rf"\multicolumn{{{1 + len(figures)}}}{{@{{}}l}}{{{_field(series)}}} \\")
        mark = _superscript(footnote(note, footnotes)) if note else ""
        first = r"\quad " + _field(label) if label else _field(series)
        rows.append(" & ".join([first + mark, *map(_field, figures)]) + r" \\")
    return [
        r"\begin{table*}", r"\centering\small\setlength{\tabcolsep}{3pt}", rf"\caption{{{latex_text(table.title)}}}",
        r"\begin{adjustbox}{max width=\linewidth, max totalheight=0.85\textheight}",
        rf"\begin{{tabular}}{{@{{}}l{'r' * (len(table.headings) - 2)}@{{}}}}", r"\toprule",
        " & ".join(["", *map(_heading, table.headings[2:])]) + r" \\", r"\midrule",
        *rows, r"\bottomrule", r"\end{tabular}", r"\end{adjustbox}", *_below(footnotes), r"\end{table*}",
    ]  # fmt: skip


def _heading(text: str) -> str:
    """A heading in short lines, of which an arrow is none."""
    words = text.replace(" ↑", f"{UNBROKEN}↑").replace(" ↓", f"{UNBROKEN}↓")
    lines = r" \\ ".join(map(latex_text, textwrap.wrap(words, 10)))
    return rf"\makecell[br]{{{lines}}}"


def _below(footnotes: list[str]) -> Iterator[str]:
    if footnotes:
        yield r"\par\smallskip\footnotesize\raggedright"
    for place, note in enumerate(footnotes, start=1):
        yield rf"{_superscript(place)}\,{latex_text(note)}\quad"


def _superscript(*places: int) -> str:
    return rf"\textsuperscript{{{','.join(map(str, places))}}}"


def _field(field: Field) -> str:
    return ", ".join(map(_entry, field))


def _entry(entry: Entry) -> str:
    text = latex_text(entry.text)
    text = {BEST: rf"\textbf{{{text}}}", SECOND: rf"\underline{{{text}}}"}.get(entry.rank, text)
    return text + (_superscript(*entry.footnotes) if entry.footnotes else "")


UNBROKEN = "\N{NO-BREAK SPACE}"
LATEX = {
    UNBROKEN: "~",
    "\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "≤": r"$\leq$", "≥": r"$\geq$",
}  # fmt: skip
GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
LATEX |= {
    letter: rf"$\{name}$" for letter, name in zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", GREEK.split(), strict=True)
}


def latex_text(text: str) -> str:
    """Plain text, for LaTeX."""
    return "".join(LATEX.get(letter, letter) for letter in text)
