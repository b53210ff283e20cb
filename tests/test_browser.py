"""The report in headless Chromium; run by `make test-browser`."""

from __future__ import annotations

import base64
import json
import math
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import cell
from tests.stores import FAIR, GOOD, PROMPTS, body, by_interval, image, parameters, put, run, timed
from tsbench.report.html import write_html
from tsbench.scoring import score_cells
from tsbench.tables import cells_table

DRIVER = shutil.which("chromedriver")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(DRIVER is None, reason="needs Debian's chromium-driver")]
PORT = 9515


class Browser:
    """The few words of the WebDriver protocol that the tests need."""

    def __init__(self) -> None:
        options = {
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1300,1800",
            ]
        }  # fmt: skip
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = self._ask("POST", "session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{PORT}/{path}", method=method, data=None if body is None else json.dumps(body).encode()
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]

    def open(self, path: Path, fragment: str = "") -> None:
        self._ask("POST", f"session/{self.session}/url", {"url": "about:blank"})  # the same page is not loaded again
        self._ask("POST", f"session/{self.session}/url", {"url": path.resolve().as_uri() + fragment})

    def resize(self, width: int, height: int) -> None:
        """What the page has, without the frame of a window, which cannot be as narrow."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
        command = {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics}
        self._ask("POST", f"session/{self.session}/goog/cdp/execute", command)

    def run(self, script: str) -> Any:
        return self._ask("POST", f"session/{self.session}/execute/sync", {"script": script, "args": []})

    def errors(self) -> list[str]:
        log = self._ask("POST", f"session/{self.session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("GET", f"session/{self.session}/screenshot")))

    def close(self) -> None:
        self._ask("DELETE", f"session/{self.session}")


@pytest.fixture(scope="module")
def driver() -> Iterator[None]:
    process = subprocess.Popen([str(DRIVER), f"--port={PORT}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/status", timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield
    process.terminate()


@pytest.fixture
def browser(driver: None) -> Iterator[Browser]:
    opened = Browser()
    yield opened
    opened.close()


@pytest.fixture
def report(tmp_path: Path) -> Path:
    store = run(tmp_path / "r", {2: GOOD, 3: FAIR}, {2: 0.5, 3: 0.4})
    write_html(store, cells_table(store), store.manifest())
    return store.folder / "report.html"


def test_it_opens_without_an_error(browser: Browser, report: Path) -> None:
    browser.open(report)
    assert browser.run("return document.querySelectorAll('.point').length") == 2
    assert browser.run("return document.querySelectorAll('#cells tbody tr').length") == 3
    assert browser.errors() == []


def test_the_recommended_setting_is_open_from_the_start(browser: Browser, report: Path) -> None:
    """With its worst image, below what is read first: the page does not jump there."""
    browser.open(report)
    title = browser.run("return document.getElementById('cell-title').textContent")
    assert browser.run("return document.querySelector('table.answers a').textContent").startswith(title)
    assert browser.run("return [scrollY, location.hash]") == [0, ""]
    assert browser.run("return document.querySelectorAll('#cell figure img').length") == 3
    chosen = "return [...document.querySelectorAll('#cells tr.chosen')].map(r => r.children[0].textContent)"
    assert browser.run(chosen) == [title]
    browser.run("document.querySelector('#cells th button').click()")  # sorted anew
    assert browser.run(chosen) == [title]


def test_the_filter_and_the_sorting_work(browser: Browser, report: Path) -> None:
    browser.open(report)
    type_in = "const f = document.getElementById('filter'); f.value = '{}'; f.dispatchEvent(new Event('input'));"
    browser.run(type_in.format("N=3"))
    assert browser.run("return document.querySelectorAll('#cells tbody tr').length") == 1
    assert browser.run("return document.getElementById('count').textContent") == "1 of 3"
    browser.run(type_in.format(""))
    sort = "[...document.querySelectorAll('#cells th button')].find(b => b.textContent.startsWith('Speed-up')).click();"
    speeds = "return [...document.querySelectorAll('#cells tbody tr')].map(r => r.children[2].textContent)"
    sorted_speeds = ["1.00", "2.00 [1.94, 2.06]", "2.50 [2.43, 2.58]"]
    assert browser.run(sort + speeds) == sorted_speeds
    assert browser.run(sort + speeds) == sorted_speeds[::-1]
    computed = "return [...document.querySelectorAll('#cells tbody tr')].map(r => r.children[1].textContent)"
    assert browser.run(computed) == ["1/4", "1/4", "4/4"]


def test_a_point_opens_its_cell_by_keyboard_and_the_slider_works(browser: Browser, report: Path) -> None:
    browser.open(report)
    press = (
        "document.querySelector('.point').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}));"
    )
    browser.run(press)
    assert "N=" in browser.run("return document.getElementById('cell-title').textContent")
    slide = (
        "const r = document.querySelector('#cell input[type=range]'); r.value = 20;"
        "r.dispatchEvent(new Event('input'));"
        "return document.querySelector('.slider .over').style.width"
    )
    assert browser.run(slide) == "20%"
    time.sleep(0.5)
    assert browser.run("return [...document.querySelectorAll('#cell figure img')].map(i => i.naturalWidth)") == [64] * 3
    assert browser.run("return document.querySelectorAll('ol.prompts button').length") == 6
    assert browser.errors() == []


def test_every_kind_of_cell_opens_whole(browser: Browser, tmp_path: Path) -> None:
    """Full compute and fewer steps have no errors of the latents, what failed or was skipped nothing but a reason."""
    work = {"steps": 4, "prompts": PROMPTS}
    store = run(tmp_path / "r", {2: GOOD}, {2: 0.5})
    pairs = [{"batch": 0, "reference": timed(1.0, [0.2] * 4), "method": timed(1.0, [0.2] * 4)}]
    fewer = cell("fewer_steps", '{"num_inference_steps":2}', **work)
    put(store, fewer, "ok", body(["CC"] * 6, pairs, "CC"), [image(level) for level in range(6)])
    put(store, cell("taylorseer", parameters(3), **work), "failed", {"reason": "no memory", "traceback": ""})
    put(store, cell("taylorseer", parameters(4), **work), "skipped", {"reason": "impossible"})
    score_cells(store, ["lpips", "psnr"])
    write_html(store, cells_table(store), store.manifest())
    browser.open(store.folder / "report.html")
    opened = {}
    for row in range(5):
        browser.run(f"document.querySelectorAll('#cells tbody tr')[{row}].click()")
        time.sleep(0.3)
        opened[browser.run("return document.getElementById('cell-title').textContent")] = (
            browser.run("return [...document.querySelectorAll('#cell-body h3')].map(h => h.textContent)"),
            browser.run("return [...document.querySelectorAll('#cell-body img')].map(i => i.naturalWidth)"),
            browser.run("return document.querySelectorAll('#cell-body .sample').length"),
        )
    assert browser.errors() == []
    code = ["Draw with it in Python", "Measure it again"]
    why, spread, images = "Why it is as fast as it is", "Spread over the images", "Images, the worst first"
    errors = "Error of the latents after every step, relative to full compute (first batch)"
    nothing = ([], [], 0)
    taylorseer = "TaylorSeer (diffusers), default, warm-up 3"
    assert opened == {
        "Full compute": (["Steps", "Images", *code], [64], 0),
        "Fewer steps, 2 steps": (["Steps", why, spread, images, *code], [64, 64, 64], 11),  # one image is identical
        f"{taylorseer}, N=2": (["Steps", errors, why, spread, images, *code], [64, 64, 64], 6),
        f"{taylorseer}, N=3": nothing,
        f"{taylorseer}, N=4": nothing,
    }


def test_a_setting_has_an_address(browser: Browser, report: Path) -> None:
    """The second row's is in the address bar once it is open, and a report opened there shows it at once."""
    browser.open(report)
    browser.run("document.querySelectorAll('#cells tbody tr')[1].click()")
    time.sleep(0.3)
    address = browser.run("return [location.hash, document.querySelectorAll('#cells tbody tr')[1].dataset.key]")
    assert address[0] == f"#{address[1]}"
    browser.open(report, address[0])
    assert "N=" in browser.run("return document.getElementById('cell-title').textContent")
    assert browser.errors() == []


def test_quality_is_plotted_by_its_distance_to_identical_images(browser: Browser, report: Path) -> None:
    """LPIPS 0.05 and 0.09: intervals and points lie within the plot, ticks at round values."""
    browser.open(report)
    texts = browser.run("return [...document.querySelectorAll('#plot text')].map(t => t.textContent)")
    assert "0.05" in texts and not any("e-" in text or "NaN" in text for text in texts)
    heights = browser.run("return [...document.querySelectorAll('#plot .point')].map(p => p.getCTM().f)")
    assert len(set(heights)) == 2
    ends = browser.run("return [...document.querySelectorAll('#plot line')].map(l => l.y1.baseVal.value)")
    assert all(0 <= end <= 460 for end in ends)


def test_identical_images_are_in_the_plots_of_psnr(browser: Browser, tmp_path: Path) -> None:
    """A setting that changes no image lies at the upper edge; of another the unchanged ones are counted."""
    store = run(tmp_path / "r", {2: GOOD, 3: FAIR}, {2: 0.5, 3: 0.4})
    rows = by_interval(store)
    for interval, psnr in ((2, [math.inf] * 6), (3, [math.inf] * 2 + [40.0, 41.0, 42.0, 43.0])):
        store.write_scores(rows[interval].key, {"psnr": psnr})
    write_html(store, cells_table(store), store.manifest())
    browser.open(store.folder / "report.html")
    points = browser.run(
        "return [...document.querySelectorAll('#plot .point')].map(p => [p.textContent, p.getCTM().f])"
    )
    assert len(points) == 2 and points[0][0].endswith("N=2: 2.00x, identical images")
    texts = browser.run("return [...document.querySelectorAll('#plot text')].map(t => t.textContent)")
    assert "identical" in texts
    assert points[0][1] < points[1][1] and "PSNR (dB) 41.50" in points[1][0]
    browser.run(f"location.hash = '{rows[3].key}'")
    time.sleep(0.3)
    texts = browser.run("return [...document.querySelectorAll('#cell-body .chart text')].map(t => t.textContent)")
    assert "2 identical" in texts and browser.errors() == []


def test_nothing_is_wider_than_a_telephone(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.resize(400, 800)
    assert browser.run("return [window.innerWidth, document.documentElement.scrollWidth]") == [400, 400]
