"""report.html by parsing it: whole, escaped, and free of the network. A browser opens it in test_browser.py."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.helpers import cell
from tests.test_answers import FAIR, GOOD, run
from tests.test_tables import body, image
from tsbench.html import write_html
from tsbench.store import Store
from tsbench.tables import cells_table

EVIL = '<script>alert(1)</script> & "quotes" </script>'


class Page(HTMLParser):
    """Tags with their attributes, the text outside scripts, and the data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.data = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, text: str) -> None:
        tag, attributes = self.tags[-1] if self.tags else ("", {})
        if attributes.get("id") == "data":
            self.data += text
        elif tag not in ("script", "style"):
            self.texts.append(text)


def written(store: Store) -> tuple[str, Page]:
    text = write_html(store, cells_table(store), store.manifest()).read_text()
    return text, Page(text)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return run(tmp_path / "a run", {2: GOOD, 3: FAIR}, {2: 0.5, 3: 0.4})


def test_the_answer_is_at_the_top(store: Store) -> None:
    """0.09 +- 0.05 is surely a similar image, but not surely a close one."""
    _, page = written(store)
    links = [attributes["data-key"] for tag, attributes in page.tags if tag == "a"]
    keys = {json.loads(row.params).get("cache_interval"): row.key for row in cells_table(store).itertuples()}
    assert links == [keys[2], keys[3]]
    assert "none: see the nearest in the table" in page.texts  # at LPIPS 0.05


def test_it_holds_every_cell_and_needs_no_network(store: Store) -> None:
    text, page = written(store)
    data = json.loads(page.data)
    assert [c["key"] for c in data["cells"]] == list(cells_table(store)["key"])
    assert all(len(c["images"]) == 6 for c in data["cells"])
    assert all(image.startswith("data:image/webp;base64,") for c in data["cells"] for image in c["images"])
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?!#|data:)\w+:", text) and "@import" not in text
    worst = [sample["number"] for sample in data["cells"][2]["samples"]]
    assert worst[:2] == [4, 2] and worst[-1] == 3  # the worst prompts first, by LPIPS
    assert data["cells"][1]["explanation"][0].startswith("1.005 s (1.000x): full compute")


def test_prompts_and_names_are_text(tmp_path: Path) -> None:
    store = run(tmp_path / "<b>run</b>", {2: GOOD}, {2: 0.5})
    work = {"prompts": (EVIL,), "model_name": EVIL, "steps": 4}
    pair = {"batch": 0, "method": {"latency_s": 1, "encode_s": 0, "denoise_s": 1, "decode_s": 0, "step_s": [0.25] * 4}}
    store.write(cell(**work), "ok", body(["CCCC"], [pair], "CCCC") | {"model_path": EVIL}, [image(0)])
    text, page = written(store)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert "<script>alert" not in text and "<b>run" not in text
    assert any(c["workload"].startswith(EVIL) for c in json.loads(page.data)["cells"])
    assert any(EVIL in shown for shown in page.texts)


def test_many_cells_stay_small(tmp_path: Path) -> None:
    """200 cells of eight noisy pictures: at most 30 MB."""
    import numpy as np

    store = Store(tmp_path / "r")
    store.open_run({"platform": "x", "python": "3", "libraries": {}}, "P", None, "x", [])
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (512, 512, 3), np.uint8) for _ in range(8)]
    timing = {"latency_s": 1.0, "encode_s": 0.1, "denoise_s": 0.8, "decode_s": 0.1, "step_s": [0.2] * 4}
    work = {"prompts": tuple("abcdefgh"), "steps": 4}
    pairs = [{"batch": 0, "reference": timing, "method": timing}]
    store.write(cell(**work), "ok", body(["CCCC"] * 8, pairs, "CCCC"), noise)
    from tsbench.html import _picture

    one = len(_picture(noise[0], 160))
    assert one * 8 * 200 < 30e6  # what `_data` chooses for so many


def test_failed_and_random_cells_are_shown_without_images(tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    store.open_run({"platform": "x", "python": "3", "libraries": {}}, "P", None, "x", [])
    timing = {"latency_s": 1.0, "encode_s": 0.1, "denoise_s": 0.8, "decode_s": 0.1, "step_s": [0.1] * 8}
    changes = {"random_weights": True}
    store.write(cell(**changes), "ok", body(["C" * 8] * 2, [{"batch": 0, "method": timing}], "C" * 8))
    store.write(cell("auto", '{"max_gap":8,"max_order":1,"tolerance":0.2}', **changes), "skipped", {"reason": "why"})
    _, page = written(store)
    full, skipped = json.loads(page.data)["cells"]
    assert full["images"] == [] and skipped["status"] == "skipped" and "why" in skipped["says"]
    assert "images of random weights mean nothing" in page.texts
