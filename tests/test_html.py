"""report.html by parsing it: whole, escaped, and free of the network. A browser opens it in test_browser.py."""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import cell
from tests.stores import FAIR, GOOD, PROMPTS, body, image, parameters, put, run, timed
from tsbench.grid import expand
from tsbench.paths import ASSETS
from tsbench.prompts import read_prompts
from tsbench.report import html
from tsbench.report.html import write_html
from tsbench.report.plots.style import CONTROL, MARKERS, styles, with_series
from tsbench.store import Store
from tsbench.tables import cells_table

TIMING = timed(1.0, [0.2] * 4)
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
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    keys = {json.loads(row.params).get("cache_interval"): row.key for row in cells_table(store).itertuples()}
    assert links == [f"#{keys[2]}", f"#{keys[3]}"]
    assert any(text.startswith("nothing qualifies; nearest: TaylorSeer") for text in page.texts)  # at LPIPS 0.05


def test_an_answer_to_several_levels_is_said_once(tmp_path: Path) -> None:
    """N=2 meets them all, and N=3, which is faster, none of them."""
    far = [value + 0.5 for value in FAIR]
    store = run(tmp_path / "r", {2: [value / 10 for value in GOOD], 3: far}, {2: 0.5, 3: 0.4})
    (answer,) = html.answers(store, cells_table(store))
    assert answer["wanted"].count("LPIPS up to") == 3 and "N=2: 2.00x" in answer["text"]
    (beside,) = answer["beside"]
    assert "N=3 is faster (2.50x), but LPIPS is 0.59, its 95 % interval goes up to 0.6" in beside


def test_a_setting_that_cannot_be_judged_is_not_none(store: Store) -> None:
    """It may well be the answer: of three pairs nothing says how sure its speed-up is."""
    pair = {"batch": 0, "reference": TIMING, "method": timed(0.3, [0.06] * 4)}
    method = cell("taylorseer", parameters(4), steps=4, prompts=PROMPTS)
    put(store, method, "ok", body(["CC.C"] * 6, [pair] * 3), [image(0)] * 6)
    store.write_scores(method.key, {"lpips": [0.01] * 6})
    _, page = written(store)
    assert "not known: 3 pairs: an interval of the speed-up needs 6" in page.texts  # the others miss LPIPS 0.05
    assert not any(text.startswith("none") for text in page.texts)


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
    pairs = [{"batch": 0, "method": TIMING}]
    put(store, cell(**work), "ok", body(["CCCC"], pairs, "CCCC") | {"model_path": EVIL}, [image(0)])
    text, page = written(store)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert "<script>alert" not in text and "<b>run" not in text
    assert any(c["workload"].startswith(EVIL) for c in json.loads(page.data)["cells"])
    assert any(EVIL in shown for shown in page.texts)


def test_a_setting_can_be_drawn_and_measured_with_what_the_report_says(store: Store) -> None:
    """The Python compiles, and the overrides make the same method again."""
    _, page = written(store)
    for shown in json.loads(page.data)["cells"]:
        compile(shown["python"], "report", "exec")
        (point,) = expand(shlex.split(shown["command"])[4:], read_prompts("captions", 1))
        assert json.loads(point.cell("").parameters) == store.drawn(shown["key"]).params


def test_images_are_scaled_to_a_bounded_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three cells of two noisy pictures each, the worst that there is to compress, in a twentieth of their size."""
    store = Store(tmp_path / "r")
    store.open_run({"platform": "x", "python": "3", "libraries": {}}, None, "x", [])
    noise = list(np.random.default_rng(0).integers(0, 255, (2, 256, 256, 3), np.uint8))
    work = {"steps": 4, "height": 256, "width": 256}
    pairs = [{"batch": 0, "reference": TIMING, "method": TIMING}]
    put(store, cell(**work), "ok", body(["CCCC"] * 2, pairs, "CCCC"), noise)
    for interval in (2, 3):
        put(store, cell("taylorseer", parameters(interval), **work), "ok", body(["CC.C"] * 2, pairs), noise)
    assert images_of(store) == ({256}, pytest.approx(375e3, rel=0.1))
    monkeypatch.setattr(html, "IMAGES_SIZE", 20_000)
    (side,), size = images_of(store)  # all alike, beside each other
    assert side < 256 and 5_000 < size <= 20_000


def test_differences_are_those_of_the_stored_images(tmp_path: Path) -> None:
    """One grey row 12 levels brighter: 48 in the difference, though lossy previews of noise differ everywhere."""
    store = Store(tmp_path / "r")
    store.open_run({"platform": "x", "python": "3", "libraries": {}}, None, "x", [])
    noise = np.random.default_rng(0).integers(0, 200, (64, 64, 3), np.uint8)
    brighter = noise.copy()
    brighter[16] += np.uint8(12)
    pairs = [{"batch": 0, "reference": TIMING, "method": TIMING}]
    put(store, cell(steps=4), "ok", body(["CCCC"] * 2, pairs, "CCCC"), [noise] * 2)
    put(store, cell("taylorseer", parameters(2), steps=4), "ok", body(["CC.C"] * 2, pairs), [brighter] * 2)
    full, method = json.loads(written(store)[1].data)["cells"]
    assert full["differences"] == []
    shown = np.asarray(opened(method["differences"][0]), dtype=int)
    assert abs(np.delete(shown, range(14, 19), axis=0)).max() <= 4  # far from the row, what the compression leaves
    assert abs(shown[16] - 48).max() <= 16


def opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2])))


def images_of(store: Store) -> tuple[set[int], int]:
    """The sides of the images of a report, and the characters that they take."""
    cells = json.loads(written(store)[1].data)["cells"]
    texts = [text for cell_of_report in cells for text in cell_of_report["images"] + cell_of_report["differences"]]
    assert len(texts) == 6 + 4
    return {opened(text).width for text in texts}, sum(map(len, texts))


def test_a_series_looks_as_in_the_plots(store: Store) -> None:
    """The control is drawn in black, which in the report is the colour of the text, also on a dark background."""
    fewer = cell("fewer_steps", '{"num_inference_steps":2}', steps=4, prompts=PROMPTS)
    pairs = [{"batch": 0, "reference": TIMING, "method": TIMING}]
    put(store, fewer, "ok", body(["CC"] * 6, pairs, "CC"), [image(0)] * 6)
    name = "TaylorSeer (diffusers), default, warm-up 3"
    plotted = styles(with_series(cells_table(store))["series"])[name]
    looks = json.loads(written(store)[1].data)["looks"]
    assert looks[name] == {"colour": plotted["color"], "marker": plotted["marker"], "dashed": False}
    assert looks["Fewer steps"] == {"colour": "currentColor", "marker": "x", "dashed": True}


def test_every_marker_of_the_plots_has_an_outline_in_the_report() -> None:
    script = (ASSETS / "report" / "elements.js").read_text(encoding="utf-8")
    outlines = re.findall(r'^  "?(.)"?: "M', script, re.MULTILINE)
    assert {look["marker"] for look in styles([*map(str, range(len(MARKERS))), CONTROL]).values()} == set(outlines)


def test_failed_and_random_cells_are_shown_without_images(tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    store.open_run({"platform": "x", "python": "3", "libraries": {}}, None, "x", [])
    changes = {"random_weights": True}
    put(store, cell(**changes), "ok", body(["C" * 8] * 2, [{"batch": 0, "method": TIMING}], "C" * 8))
    put(store, cell("auto", '{"max_gap":8,"max_order":1,"tolerance":0.2}', **changes), "skipped", {"reason": "why"})
    _, page = written(store)
    full, skipped = json.loads(page.data)["cells"]
    assert full["images"] == [] and skipped["status"] == "skipped" and "why" in skipped["says"]
    assert "images of random weights mean nothing" in page.texts
