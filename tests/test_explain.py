"""explain: the chain of factors, on figures that can be worked out by hand, and on a real run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import cell
from tests.stores import ENVIRONMENT, FAIR, GOOD, body, by_interval, image, keys, parameters, put, run, timed
from tsbench.__main__ import main
from tsbench.chain import chain, limits
from tsbench.store import Store


def test_the_chain_multiplies_out(tmp_path: Path) -> None:
    """Full compute 1 s with four steps of 0.2 s; three of four steps computed, forecast steps counted at a quarter and
    measured at half of a full one, 0.1 s outside denoising, and 0.82 s in all."""
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, None, "x", [])
    pair = {"batch": 0, "reference": timed(1.0, [0.2] * 4), "method": timed(0.82, [0.21, 0.2, 0.1, 0.21])}
    put(store, cell("taylorseer", parameters(2), steps=4), "ok", body(["CC.C", "CC.C"], [pair]), [image(0)] * 2)
    (drawn,) = store.all_drawn()
    links = chain(drawn)
    assert [link.latency_s for link in links] == pytest.approx(
        [1, 0.75, (3 + 0.25) / 4, (0.6 + 0.1) / 0.8, 0.7 + 0.1, 0.82, 0.82]
    )
    assert [link.what for link in links[1:5]] == [
        "3 of 4 steps computed",
        "forecast steps at 25 % of a full one, as counted",
        "at 50 %, as measured",
        "plus 0.1 s outside denoising, which no cache shortens",
    ]
    assert np.prod([link.factor for link in links]) == pytest.approx(1 / 0.82, rel=1e-12)


def test_steps_that_were_all_computed_take_what_full_ones_take(tmp_path: Path) -> None:
    """A forecast step's share is counted of every method; here there was none."""
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, None, "x", [])
    pair = {"batch": 0, "reference": timed(1.0, [0.2] * 4), "method": timed(1.0, [0.2] * 4)}
    put(store, cell("taylorseer", parameters(2), steps=4), "ok", body(["CCCC"] * 2, [pair]), [image(0)] * 2)
    (drawn,) = store.all_drawn()
    assert not [link.what for link in chain(drawn) if "forecast" in link.what]


def test_the_factors_multiply_to_the_speedup_of_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One slow pair moves the ratio of means to 1.83 and not the median of the ratios, 2."""
    store = Store(here / "results" / "r")
    store.open_run(ENVIRONMENT, None, "x", [])
    pairs = [{"batch": 0, "reference": timed(1.0, [0.2] * 4), "method": timed(0.5, [0.1] * 4)} for _ in range(4)]
    pairs += [{"batch": 0, "reference": timed(1.0, [0.2] * 4), "method": timed(0.73, [0.1] * 4)}]
    put(store, cell("taylorseer", parameters(2), steps=4), "ok", body(["CC.C"] * 2, pairs), [image(0)] * 2)
    (drawn,) = store.all_drawn()
    (row,) = by_interval(store).values()
    assert np.prod([link.factor for link in chain(drawn)]) == pytest.approx(row.speedup) == 2.0
    assert main(["explain", "r"]) == 0
    text = capsys.readouterr().out
    assert "N=2: 2.000x" in text and "x 1.092   by the median of the pairs' ratios, as in the table" in text


def test_what_limits_a_speedup_is_said(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, None, "x", [])
    pair = {"batch": 0, "reference": timed(1.0, [0.2] * 4), "method": timed(0.75, [0.2, 0.2, 0.0, 0.2])}
    half = body(["CC.C"] * 2, [pair]) | {"cost": {"full_flop": 4.0, "forecast_flop": 2.0, "cache_bytes": 0}}
    put(store, cell("taylorseer", parameters(2), steps=4), "ok", half, [image(0)] * 2)
    (drawn,) = store.all_drawn()
    assert limits(drawn) == [
        "a forecast step still takes 50 % of a full one's FLOPs: by these, skipping more steps never passes 2.00x",
        "text encoder and VAE are now 20 % of an image",
        "the first 2 of 4 steps are computed",
    ]
    offloaded = replace(drawn, settings=replace(drawn.settings, offload="model"))
    assert "text encoder, the VAE and moving weights are now 20 % of an image" in limits(offloaded)
    assert (
        limits(replace(drawn, schedules=["CCCC"] * 2))[0] == "inert: every step was computed, although its rule is CC.C"
    )


def test_what_hardly_limits_a_speedup_is_not_said(tmp_path: Path) -> None:
    """A forecast step at exactly 30 % of a full one's FLOPs, 14 % of an image outside denoising, and the steps that
    every image computes first at 30 % of all, although one image computes more."""
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, None, "x", [])
    rule = "CCC" + "." * 7
    pair = {"batch": 0, "reference": timed(1.0, [0.09] * 10), "method": timed(1.0, [0.25] * 3 + [0.0] * 6 + [0.11])}
    cost = {"full_flop": 10.0, "forecast_flop": 3.0, "cache_bytes": 0}
    kept = body([rule, "CCCC" + "." * 6], [pair], None) | {"cost": cost}
    put(store, cell("taylorseer", parameters(2), steps=10), "ok", kept, [image(0)] * 2)
    (drawn,) = store.all_drawn()
    assert limits(drawn) == []
    assert limits(replace(drawn, cost=None)) == []
    assert not [link.what for link in chain(replace(drawn, cost=None)) if "as counted" in link.what]


def test_explain_on_a_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = run(here / "results" / "r", {2: GOOD}, {2: 0.5})
    assert main(["explain", "r"]) == 0
    text = capsys.readouterr().out
    assert "2.000x" in text and "x 4.000   1 of 4 steps computed" in text
    key = keys(store)[0]
    assert main(["explain", "r", key[:6]]) == 0
    assert "everything else is compared with it" in capsys.readouterr().out
    assert main(["explain", "r", "WARM-UP 3, n=2"]) == 0
    assert "2.000x" in capsys.readouterr().out
    assert main(["explain", "r", "zz"]) == 2
    error = capsys.readouterr().err
    assert "results/r has no setting 'zz'; type a part of a name, such as 'TaylorSeer (diffusers), default" in error


def test_explain_of_full_compute_alone_says_what_is_lacking(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(here / "r", {}, {})
    assert main(["explain", "r"]) == 2
    assert "r has full compute only; draw a setting, such as method.cache_interval=3." in capsys.readouterr().err


def test_explain_speaks_of_the_fronts_where_nothing_is_asked_for(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(here / "results" / "r", {2: GOOD, 3: FAIR}, {2: 0.5, 3: 0.6})
    assert main(["explain", "r"]) == 0
    text = capsys.readouterr().out
    assert "N=2" in text and "N=3" not in text
    assert "1 more on no front; by name: python -m tsbench explain r SETTING" in text
