"""`python -m tsbench explain RESULTS [SETTING]`: why a speed-up is what it is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from tsbench.chain import chain, limits
from tsbench.errors import UserError
from tsbench.flags import Arguments
from tsbench.present import workload_titles
from tsbench.progress import output
from tsbench.store import Store, opened
from tsbench.tables import cells_table

USAGE = """\
usage: python -m tsbench explain RESULTS [SETTING]

Shows the chain from full compute to the measured latency, for each setting on a front (for all, if none is on one), or
for those whose name contains SETTING or whose key begins with it. Latencies are means over the timed pairs, and each
factor is the ratio of two neighbours. The last factor leads to the median of the pairs' ratios, so that their product
is the table's speed-up."""


def main(arguments: list[str]) -> int:
    """The verb `explain`."""
    parser = Arguments(USAGE)
    parser.add_argument("RESULTS")
    parser.add_argument("SETTING", nargs="?")
    given = parser.parse_args(arguments)
    store = opened(given.RESULTS)
    table = cells_table(store)
    rows = explained(list(table.itertuples()), given.SETTING, store)
    console = output()
    titles, title = workload_titles(table), None
    for row in rows:
        if titles[row.reference] != title:
            title = titles[row.reference]
            console.print(title, style="bold", soft_wrap=True)
        for line in explanation(store, row):
            console.print(line, soft_wrap=True)
    others = sum(row.key != row.reference for row in table.itertuples()) - len(rows)
    if given.SETTING is None and others > 0:
        console.print(
            f"{others} more on no front; by name: python -m tsbench explain {shlex.quote(given.RESULTS)} SETTING",
            soft_wrap=True,
        )
    return 0


def explained(rows: Sequence[Any], wanted: str | None, store: Store) -> list[Any]:
    """The cells that are asked for; without a wish those on a front, or all but the references where none is.

    Raises:
        UserError: if there are none.
    """
    if wanted is None:
        settings = [row for row in rows if row.key != row.reference]
        if not settings:
            raise UserError(f"{store.folder} has full compute only; draw a setting, such as method.cache_interval=3.")
        return [row for row in settings if row.on_front] or settings
    found = [row for row in rows if row.key.startswith(wanted) or wanted.lower() in row.setting.lower()]
    if not found:
        example = next((row for row in rows if row.key != row.reference), rows[0])
        raise UserError(
            f"{store.folder} has no setting {wanted!r}; type a part of a name, such as {example.setting!r}, or the "
            f"beginning of a key, such as {example.key[:6]}."
        )
    return found


def explanation(store: Store, row: Any) -> list[str]:
    """The chain of one cell and what it says, line by line."""
    if row.status != "ok":
        return [f"  {row.setting}: {row.status}: {row.reason}"]
    if row.key == row.reference:
        return [f"  {row.setting}: everything else is compared with it, {row.latency_s:.4g} s"]
    lines = [f"  {row.setting}: {row.speedup:.3f}x (cell {row.key[:6]})"]
    cell = store.drawn(row.key)
    for number, link in enumerate(chain(cell)):
        lines.append(f"    {link.latency_s:10.4g} s  {f'x {link.factor:.3f}' if number else '':9} {link.what}")
    return lines + [f"    {sentence}" for sentence in limits(cell)]
