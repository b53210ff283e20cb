"""Plots: what is in them, and that it can be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from tests.helpers import cell
from tests.stores import ENVIRONMENT, GOOD, body, document, image, keys, put, rewrite, run, timed, timing
from tsbench.cell import Settings
from tsbench.methods.taylor_seer import TaylorSeerDecorator
from tsbench.present import workload_titles
from tsbench.report.plots import quality, speed, steps, style, write_plots
from tsbench.report.plots.style import CONTROL, styles
from tsbench.scoring import score_cells
from tsbench.store import Store
from tsbench.tables import cells_table


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    """Or matplotlib warns of too many."""
    yield
    pyplot.close("all")


def test_a_figure_has_a_panel_a_metric_and_a_line_a_series(store: Store) -> None:
    figure = quality.pareto(cells_table(store), "P_1")
    assert [axis.get_ylabel() for axis in figure.axes] == ["PSNR (dB), higher is better", "SSIM, higher is better"]
    assert all(len(axis.get_lines()) == 3 for axis in figure.axes)  # the front, the series, and a line at 1x
    labels = [text.get_text() for text in figure.axes[0].texts]
    assert labels.count("N=2, 1 of 2 images identical") == labels.count("N=4") == 1 and "N=6" not in labels


def test_a_metric_is_plotted_by_its_distance_to_identical_images(store: Store) -> None:
    """SSIM 0.99 lies as far above 0.9 as 0.9 above 0; identical images are at the edge, LPIPS 0 at the lower one."""
    cells = cells_table(store)
    drawn = cells[(cells["status"] == "ok") & (cells["key"] != cells["reference"])].index
    ssim, lpips = [0.9, 0.99, 1.0], [0.1, 0.001, 0.0]
    for row, one, other in zip(drawn, ssim, lpips):
        cells.loc[row, ["ssim", "lpips", "n_identical"]] = one, other, cells.loc[row, "n_samples"] * (one == 1)
    panels = dict(zip(("psnr", "ssim", "lpips"), quality.pareto(cells, "P").axes))
    for name, sign in (("ssim", 1), ("lpips", -1)):
        axis = panels[name]
        (series,) = (line for line in axis.get_lines() if len(line.get_ydata()) == 3)
        assert list(series.get_ydata()) == pytest.approx([1 * sign, (2 if sign > 0 else 3) * sign, np.inf * sign])
        ticks = {label.get_text(): height for label, height in zip(axis.get_yticklabels(), axis.get_yticks())}
        assert ticks["0.99" if sign > 0 else "0.01"] == pytest.approx(2 * sign)
        assert [text.xy[1] for text in axis.texts if text.get_text() == "identical"] == [sign > 0]


def test_identical_images_are_marked_where_no_psnr_has_counted_them(store: Store) -> None:
    cells = cells_table(store).drop(columns="psnr_db").assign(n_identical=None, on_front="")
    drawn = cells[(cells["status"] == "ok") & (cells["key"] != cells["reference"])].index
    cells.loc[drawn, "ssim"] = [0.9, 0.99, 1.0]
    (axis,) = quality.pareto(cells, "P").axes
    assert [text.xy[1] for text in axis.texts if text.get_text() == "identical"] == [1]


def test_names_and_titles_lie_within_the_plot_of_steps(tmp_path: Path) -> None:
    """Of a workload with a long title, and a setting that is a whole step map."""
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, None, "x", ["psnr"])
    work, schedule = {"steps": 28, "height": 1024, "width": 1024}, "CCCC.C..C...C....C.....C...."
    reference = replace(cell(**work), settings=Settings("bfloat16", "model", True, ""))
    parameters = json.dumps(TaylorSeerDecorator(step_map=schedule).resolved(28))
    drawn = replace(reference, method="taylor_seer", parameters=parameters)
    full = [{"batch": 0, "method": timed(1.0, [0.03] * 28)}]
    pairs = [{"batch": 0, "reference": full[0]["method"], "method": timed(0.5, [0.015] * 28)}]
    put(store, reference, "ok", body(["C" * 28] * 2, full, "C" * 28), [image(0, 1024)] * 2)
    errors = {"step_errors": [0.0] * 4 + [0.1] * 24}
    put(store, drawn, "ok", body([schedule] * 2, pairs, schedule) | errors, [image(8, 1024)] * 2)
    score_cells(store, ["psnr"])
    figure = steps.steps(cells_table(store), store)
    figure.canvas.draw()
    for axis in figure.axes:
        for text in (axis.title, axis._left_title, axis.xaxis.label, *axis.get_yticklabels()):
            box = text.get_window_extent()
            assert not text.get_text() or (box.x0 >= 0 and box.x1 <= figure.bbox.width), text.get_text()


def test_speed_against_size_and_steps(store: Store) -> None:
    """Nothing to draw from one workload; a panel per dimension from several, the fewer-steps control left out."""
    cells = cells_table(store)
    assert speed.scaling(cells, "P") is None
    larger = cells.assign(height=128, width=128, reference=cells["reference"] + "l", key=cells["key"] + "l")
    longer = cells.assign(steps=8, reference=cells["reference"] + "s", key=cells["key"] + "s")
    others = larger.assign(steps=6, reference=cells["reference"] + "o", key=cells["key"] + "o")
    figure = speed.scaling(pd.concat([cells, larger, longer, others], ignore_index=True), "P")
    assert [axis.get_xlabel() for axis in figure.axes] == ["size (pixels)", "denoising steps", "denoising steps"]
    assert [axis.get_title(loc="left").split(", ")[1] for axis in figure.axes] == ["4 steps", "64 x 64", "128 x 128"]
    line = figure.axes[0].get_lines()[0]
    assert [round(x) for x in line.get_xdata()] == [0, 1] and len(line.get_ydata()) == 2
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["64 x 64", "128 x 128"]


def test_sizes_are_in_order_where_a_line_lacks_one(store: Store) -> None:
    """Three sizes, of which the first setting has failed at the middle one."""
    cells = cells_table(store)
    sizes = [
        cells.assign(height=size, width=size, reference=cells["reference"] + str(size), key=cells["key"] + str(size))
        for size in (64, 96, 128)
    ]
    drawn = pd.concat(sizes, ignore_index=True)
    first = drawn.index[(drawn["height"] == 96) & (drawn["status"] == "ok") & (drawn["method"] != "none")][0]
    figure = speed.scaling(drawn.drop(index=first), "P")
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["64 x 64", "96 x 96", "128 x 128"]
    positions = [[round(x) for x in line.get_xdata()] for line in figure.axes[0].get_lines()[:3]]
    assert sorted(positions) == [[0, 1, 2], [0, 1, 2], [0, 2]]


@pytest.mark.parametrize(
    ("column", "value", "ends"),
    [
        ("compile", True, ["", ", compiled"]),
        ("prompts", "abc", [", prompts sha256:7f913ac2", ", prompts abc"]),
        ("weights", "abc", [", weights sha256:tiny", ", weights abc"]),
        ("random_weights", True, [", random weights: False", ", random weights: True"]),
        ("text_encoders", False, [", text encoders: True", ", text encoders: False"]),
    ],
)
def test_settings_of_other_workloads_are_not_on_one_line(
    store: Store, column: str, value: object, ends: list[str]
) -> None:
    """Compiled or not, of some prompts or others: each has a panel, in which only the size or the steps change."""
    cells = cells_table(store)
    larger = cells.assign(height=128, width=128, reference=cells["reference"] + "l", key=cells["key"] + "l")
    both = pd.concat([cells, larger], ignore_index=True)
    other = both.assign(reference=both["reference"] + "o", key=both["key"] + "o", **{column: value})
    figure = speed.scaling(pd.concat([both, other], ignore_index=True), "P")
    title = "tiny, 4 steps, 2 images, float32"
    assert [axis.get_title(loc="left").replace("\n", " ") for axis in figure.axes] == [title + end for end in ends]
    assert [len(line.get_ydata()) for axis in figure.axes for line in axis.get_lines()[:3]] == [2] * 6


def test_backends_share_a_panel_of_one_workload(store: Store) -> None:
    """Two dtypes at one size are two workloads, and only the backend is what the panel compares."""
    cells = cells_table(store)
    other = cells.assign(backend="openvino", reference=cells["reference"] + "o", key=cells["key"] + "o")
    halved = cells.assign(dtype="bfloat16", reference=cells["reference"] + "b", key=cells["key"] + "b")
    figure = quality.implementations(pd.concat([cells, other, halved], ignore_index=True))
    assert [axis.get_title(loc="left") for axis in figure.axes] == [
        "tiny, 64 x 64, 4 steps, 2 images, float32", "tiny, 64 x 64, 4 steps, 2 images, bfloat16",
    ]  # fmt: skip


def test_titles_tell_the_workloads_of_a_run_apart(tmp_path: Path) -> None:
    """What differs is named, and nothing else; where only later prompts differ, what they hash to has to do."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", [])
    same = {"prompts": ("a", "b"), "seeds": (0,), "guidance_scale": 3.5, "batch_size": 1, "max_sequence_length": 32}
    changes = [
        {}, {"guidance_scale": 1.0}, {"batch_size": 2}, {"max_sequence_length": 64}, {"prompts": ("c", "b")},
        {"prompts": ("a",), "seeds": (0, 1)}, {"prompts": ("a", "d")},
    ]  # fmt: skip
    full = [{"batch": 0, "method": timing(1, 1)}]

    def titles(changed: list[dict[str, object]]) -> list[str]:
        keys = [cell(**(same | change)).key for change in changed]
        table = cells_table(store)
        found = workload_titles(table[table["key"].isin(keys)])
        return [found[key].removeprefix("tiny, 64 x 64, 8 steps, 2 images, float32") for key in keys]

    for change in changes:
        put(store, cell(**(same | change)), "ok", body(["C" * 8] * 2, full, "C" * 8))
    assert titles(changes[:1]) == [""]
    assert titles(changes[:2]) == [", guidance 3.5", ", guidance 1"]
    assert titles([changes[0], changes[2]]) == [", batches of 1", ", batches of 2"]
    assert titles([changes[0], changes[3]]) == [", 32 text tokens", ", 64 text tokens"]
    assert titles([changes[0], changes[4]]) == [', prompts from "a"', ', prompts from "c"']
    assert titles([changes[0], changes[5]]) == [", seeds [0]", ", seeds [0,1]"]
    assert titles([changes[0], changes[6]]) == [", prompts sha256:0473ef2d", ", prompts sha256:a741ad8c"]
    assert len(set(titles(changes))) == len(changes)


def test_labels_cover_neither_points_nor_each_other() -> None:
    """Of two settings at one place the second is named below; in a crowd most have no room."""
    figure, axes = style.panels(1, 1, 4, 3)
    axis = axes[0][0]
    near = [(1.0, 1.0), (3.0, 1.0), (2.0, 2.0), (2.0, 2.0)]
    crowd = [(1 + place / 100, 3.0) for place in range(40)]
    axis.plot(*zip(*near, *crowd), label="points")
    axis.margins(0.1)
    style.finish(figure, axes.flat, "title")
    labels = [style.Label(x, y, f"label {place}", "black") for place, (x, y) in enumerate([*near, *crowd])]
    style.label_points(axis, np.array([*near, *crowd]), labels, 1)
    figure.canvas.draw()
    boxes = {text.get_text(): text.get_window_extent() for text in axis.texts}
    assert {f"label {place}" for place in range(4)} <= set(boxes) and 5 <= len(boxes) <= 10
    assert all(not box.count_overlaps([o for o in boxes.values() if o is not box]) for box in boxes.values())
    points = axis.transData.transform(np.array([*near, *crowd]))
    assert not any(box.contains(x, y) for box in boxes.values() for x, y in points)


def test_dollars_begin_no_formula(store: Store) -> None:
    """As in a prompt of a price, which is in the title that tells workloads apart, and in patterns of modules."""
    cells = cells_table(store)
    odd = cells.assign(
        first_prompt="$$$ SALE $$$", params=cells["params"].str.replace('"max_order":1', '"max_order":2')
    )
    figure, axes = style.panels(1, 1, 4, 3)
    axes[0][0].plot([0, 1], label="['^a_b$', '^c_d$']")
    style.name_panel(axes[0][0], "$$$ SALE $$$")
    style.finish(figure, axes.flat, "on $GPU_0$")
    style.label_points(axes[0][0], np.array([[0.5, 0.5]]), [style.Label(0.5, 0.5, "$a_b$", "black")], 1)
    strips = steps.steps(odd, store).axes[1]
    (legend,) = figure.legends
    shown = [axes[0][0].title, *figure.texts, *axes[0][0].texts, *legend.get_texts(), *strips.get_yticklabels()]
    assert len(shown) >= 6 and not any(text.get_parse_math() for text in shown if text.get_text())
    figure.canvas.draw()


def test_a_legend_is_as_wide_as_its_figure_at_most() -> None:
    """Long names in one narrow panel, in which two columns would run over the edges."""
    figure, axes = style.panels(1, 1, 4, 3)
    for number in range(5):
        axes[0][0].plot([0, 1], label=f"a method with a name that is far from short, setting {number}")
    style.finish(figure, axes.flat, "title")
    figure.canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= axes[0][0].get_window_extent().y0


def test_errors_and_schedules_of_the_front(store: Store) -> None:
    """Two of the three settings are on a front: two lines of the steps with an error, two strips of four steps."""
    errors, strips = steps.steps(cells_table(store), store).axes
    assert [list(line.get_xdata()) for line in errors.get_lines()] == [[2, 3], [2, 3]]
    assert len(strips.patches) == 8
    assert " ".join(next(label.get_text() for label in strips.get_yticklabels()).split()).endswith("N=2 (1.28x)")


def test_speed_against_interval(store: Store) -> None:
    (axis,) = speed.intervals(cells_table(store), "P").axes
    line = axis.get_lines()[0]
    assert list(line.get_xdata()) == [2, 4, 6] and list(line.get_ydata()) == pytest.approx([1.28125, 2.5625, 2.5625])
    (bars,) = axis.collections
    assert [bar[:, 1].tolist() for bar in bars.get_segments()] == [
        [pytest.approx(ratio * 0.9), pytest.approx(ratio * 1.4)] for ratio in (1.25, 2.5, 2.5)
    ]


def test_a_plot_that_has_nothing_to_show_any_more_is_deleted(tmp_path: Path) -> None:
    """Beside a new table, it would be taken for one of the same cells."""
    store = run(tmp_path / "r", {2: GOOD}, {2: 0.5})
    assert "pareto.png" in write_plots(store, cells_table(store), "P")
    for row in cells_table(store).itertuples():
        store.write_scores(row.key, {})
    assert "pareto.png" not in write_plots(store, cells_table(store), "P")
    assert not list(store.folder.glob("pareto.*"))


def test_looks_of_series_are_all_different() -> None:
    looks = styles([f"series {number}" for number in range(60)] + [CONTROL])
    assert len({(look["color"], look["marker"]) for look in looks.values()}) == 61
    assert looks[CONTROL]["linestyle"] == "--"


def test_colours_of_many_series_tell_methods_apart() -> None:
    """Colours that began again would join what has nothing in common, as in docs/methods.md's plot of all methods."""
    names = [f"method {number}, order {order}" for number in range(5) for order in range(4)]
    looks = styles([CONTROL, *names])
    assert len({(look["color"], look["marker"]) for look in looks.values()}) == 21
    colours = {name.split(",")[0]: looks[name]["color"] for name in names}
    assert len(set(colours.values())) == 5
    assert all(looks[name]["color"] == colours[name.split(",")[0]] for name in names)
    own = styles(names[:8])  # of few, each has its own
    assert len({look["color"] for look in own.values()}) == 8


def test_a_disturbed_timing_is_hollow_at_the_edge_too(tmp_path: Path) -> None:
    """Where the images are full compute's own, and the point would look like the best of all."""
    store = run(tmp_path / "r", {2: GOOD}, {2: 0.5})
    key = keys(store)[2]
    store.write_scores(key, {"lpips": [0.0] * 6})
    first, *others = document(store, key)["pairs"]
    rewrite(store, key, pairs=[first | {"reference": timed(3.0, [0.6] * 4)}, *others])
    (axis,) = quality.pareto(cells_table(store), "P").axes
    hollow = [line for line in axis.lines if line.get_markerfacecolor() == "white"]
    assert [list(line.get_ydata()) for line in hollow if np.isfinite(line.get_ydata()).any()] == [[0]]
