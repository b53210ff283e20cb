"""Documents that name what is in the code."""

from __future__ import annotations

import re

from tests.helpers import ROOT


def test_the_map_of_the_code_names_every_module_and_no_other() -> None:
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", (ROOT / "docs" / "code.md").read_text()))
    places = [path for path in (ROOT / "tsbench").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    there = {path.name if path.suffix else f"{path.name}/" for path in places} - {"__init__.py"}
    elsewhere = {"assets/report/", "base.py", "benchmarks/", "conf/", "tests/", "tests/stores.py", "tsbench/"}
    assert named - elsewhere == there
