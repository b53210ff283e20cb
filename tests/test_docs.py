"""Documents that name what is in the code."""

from __future__ import annotations

import json
import re

import pandas as pd

from tests.helpers import ROOT
from tsbench.methods.registry import method_class


def test_the_map_of_the_code_names_every_module_and_no_other() -> None:
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", (ROOT / "docs" / "code.md").read_text()))
    package = ROOT / "tsbench"
    places = [path for folder in ("", "drawing", "report") for path in (package / folder).iterdir()]
    there = {path.name for path in places if path.suffix == ".py"}
    there |= {f"{path.name}/" for path in places if (path / "__init__.py").is_file()}
    elsewhere = {
        "assets/report/",
        "base.py",
        "registry.py",
        "benchmarks/",
        "conf/",
        "tests/",
        "tests/stores.py",
        "tsbench/",
    }
    assert named - elsewhere == there - {"__init__.py"}


def test_links_between_the_documents_lead_somewhere() -> None:
    """To files that are there, and to headings as GitHub names them."""
    links = 0
    for document in (ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", document.read_text()):
            path, _, anchor = target.partition("#")
            page = (document.parent / path).resolve() if path else document
            assert page.exists(), f"{document.name}: {target}"
            headings = re.findall(r"^#+ (.*)", page.read_text(), re.M) if anchor else []
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert not anchor or anchor in anchors, f"{document.name}: {target}"
            links += 1
    assert links > 20


def test_the_methods_that_are_compared_are_chosen_by_the_rule() -> None:
    """From the table that it links to, so that no setting is shown because it does well."""
    cells = pd.read_csv(ROOT / "results" / "reference" / "amd-epyc" / "methods" / "cells.csv")
    nearest: dict[str, tuple[float, float, str]] = {}
    for row in cells[cells["method"] != "none"].itertuples():
        method, params = method_class(row.backend, row.method), json.loads(row.params)
        series, _ = method.series_and_label(params)
        shown = f"{row.computed_steps:g} | {method.full_name(params)} | {row.speedup:.2f}x | {row.psnr_db:.1f} dB"
        place = (abs(row.computed_steps - 10), row.computed_steps, shown)
        if place[0] <= 2:
            nearest[series] = min(place, nearest.get(series, place))
    page = (ROOT / "docs" / "methods.md").read_text()
    table = page.split("| computed | setting | speed-up | PSNR to full compute |\n")[1].split("\n\n")[0]
    assert {line.strip("| ") for line in table.splitlines()[1:]} == {shown for _, _, shown in nearest.values()}
