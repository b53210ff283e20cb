"""Tables from stored cells, on figures that can be worked out by hand."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.helpers import FLOAT32, cell
from tests.stores import (
    ENVIRONMENT,
    FOCA,
    GOOD,
    INFERRED,
    body,
    by_interval,
    drawn_cell,
    image,
    put,
    run,
    timed,
    timing,
)
from tsbench import published
from tsbench.cell import Settings
from tsbench.disturbance import disturbance
from tsbench.methods.cache_dit import CacheDit
from tsbench.methods.taylor_seer import TaylorSeerDecorator
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.present import workload_titles
from tsbench.report import paper
from tsbench.report.plots import quality, speed, steps, style, write_plots
from tsbench.report.plots.style import CONTROL, styles
from tsbench.schedule import official_taylorseer, schedule_note
from tsbench.scoring import score_cells
from tsbench.store import Store
from tsbench.tables import COLUMNS, EXTRA_COLUMNS, cells_table, samples_table


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A reference and three cells: fast and poor, slow and good, fast and poorest."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, "P_1, 2 threads", None, "python -m tsbench sweep", ["psnr", "ssim"])
    reference = cell(steps=4)
    full = [{"batch": 0, "method": timing(1.0, 0.8)}] * 6
    put(store, reference, "ok", body(["CCCC", "CCCC"], full, "CCCC"), [image(0), image(40)])
    for interval, seconds, levels in ((4, 0.4, (32, 72)), (2, 0.8, (16, 40)), (6, 0.4, (64, 104))):
        ratios = [0.9, 0.95, 1.0, 1.05, 1.1, 1.4]
        pairs = [
            {"batch": 0, "reference": timing(1.0 * r, 0.8), "method": timing(seconds, seconds / 2)} for r in ratios
        ]
        parameters = json.dumps(TaylorSeer(cache_interval=interval).resolved(4))
        put(
            store,
            cell("taylorseer", parameters, steps=4),
            "ok",
            body(["C...", "C..." if interval == 4 else "CCCC"], pairs, "C..."),
            [image(level) for level in levels],
        )
    parameters = json.dumps(TaylorSeer(cache_interval=8).resolved(4))
    put(store, cell("taylorseer", parameters, steps=4), "failed", {"reason": "no memory", "traceback": "…"})
    score_cells(store, ["psnr", "ssim"])
    return store


def test_speedups_are_medians_of_paired_ratios(store: Store) -> None:
    row = by_interval(store)[4]
    assert row.speedup == pytest.approx(1.025 / 0.4)
    assert (row.speedup_low, row.speedup_high) == pytest.approx((0.9 / 0.4, 1.4 / 0.4))
    assert row.denoise_speedup == pytest.approx(0.8 / 0.2)
    assert (row.latency_s, row.n_pairs) == (0.4, 6)
    reference = by_interval(store)[0]
    assert (reference.speedup, reference.denoise_speedup, reference.latency_s) == (1, 1, 1)


def test_psnr_is_a_mean_over_images_without_the_identical_ones(store: Store) -> None:
    """Half of the columns differ by 32 levels in both images: 10 log10(255^2 / 512) each.

    The second cell's second image is the reference's own.
    """
    assert by_interval(store)[4].psnr_db == pytest.approx(10 * np.log10(255**2 / 512), abs=1e-4)
    assert by_interval(store)[4].n_identical == 0
    assert by_interval(store)[2].psnr_db == pytest.approx(10 * np.log10(255**2 / 128), abs=1e-4)
    assert by_interval(store)[2].n_identical == 1
    samples = samples_table(store)
    assert list(samples[samples["key"] == by_interval(store)[2].key]["psnr_db"])[1] == np.inf


def test_a_mean_over_images_is_not_a_pooled_one(tmp_path: Path) -> None:
    """40 dB and 10.46 dB are 25.23 dB on average; their pooled error would be 13.46 dB."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, "P", None, "python -m tsbench sweep", [])
    parameters = json.dumps(TaylorSeer().resolved(4))
    black = np.zeros((64, 64, 3), np.uint8)
    near, far = black.copy(), black.copy()
    near[:32, :, 0], far[...] = 6, 76  # squared errors of 6 and 5776
    put(store, cell(steps=4), "ok", body(["CCCC"] * 2, [{"batch": 0, "method": timing(1, 1)}]), [black, black])
    pair = {"batch": 0, "reference": timing(1, 1), "method": timing(1, 1)}
    put(store, cell("taylorseer", parameters, steps=4), "ok", body(["CC.C"] * 2, [pair]), [near, far])
    score_cells(store, ["psnr"])
    expected = (10 * np.log10(255**2 / 6) + 10 * np.log10(255**2 / 5776)) / 2
    assert by_interval(store)[5].psnr_db == pytest.approx(expected, abs=1e-4)


def test_the_front_and_the_schedule(store: Store) -> None:
    rows = by_interval(store)
    assert rows[4].on_front == "psnr;ssim" and rows[2].on_front == "psnr;ssim"
    assert rows[6].on_front == "" and rows[0].on_front == "" and rows[8].on_front == ""
    assert (rows[4].schedule, rows[4].computed_steps) == ("C...", 1)
    assert (rows[2].schedule, rows[2].computed_steps) == ("varies", 2.5)
    assert rows[4].note is None or np.isnan(rows[4].note)
    assert rows[2].note == "did not follow its rule, C..."
    assert (rows[8].status, rows[8].reason) == ("failed", "no memory")


def test_runs_that_compute_other_steps_of_one_image_are_noted(tmp_path: Path) -> None:
    """A cache that is on in the first run alone is as slow as full compute, whatever its first schedule says."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, "P", None, "python -m tsbench sweep", [])
    pair = {"batch": 0, "reference": timing(1, 1), "method": timing(1, 1)}
    drawn = body(["CC.C"], [pair | {"schedule": schedule} for schedule in ("CC.C", "CCCC")])
    put(store, cell("taylorseer", json.dumps(TaylorSeer().resolved(4)), steps=4), "ok", drawn, [image(0)] * 2)
    assert by_interval(store)[5].note == "the schedule of an image differed between runs"


def test_schedules_of_a_batch_are_held_against_its_own_images(tmp_path: Path) -> None:
    """Two batches of two: the second pair drew the third and the fourth image."""
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, "P", None, "python -m tsbench sweep", [])
    drawn = cell("taylorseer", '{"cache_interval":2}', prompts=("a", "b", "c", "d"), batch_size=2, steps=4)
    pairs = [{"batch": number, "reference": timing(2, 2), "method": timing(1, 1)} for number in (0, 1)]
    both = [pair | {"schedule": schedule} for pair, schedule in zip(pairs, ("CC.C", "CCCC"))]
    put(store, drawn, "ok", body(["CC.C", "CC.C", "CCCC", "CCCC"], both, None), [image(0)] * 4)
    assert "differed between runs" not in str(cells_table(store).note[0])
    swapped = [pair | {"schedule": schedule} for pair, schedule in zip(pairs, ("CC.C", "CC.C"))]
    put(store, drawn, "ok", body(["CC.C", "CC.C", "CCCC", "CCCC"], swapped, None), [image(0)] * 4)
    assert "differed between runs" in cells_table(store).note[0]


def test_identical_images_share_no_place_with_an_equal_psnr(tmp_path: Path) -> None:
    """Both show 40.00 dB, of which one leaves out an identical image: that one is the better, alone."""
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, "P", None, "python -m tsbench sweep", [])
    prompts = ("a", "b")
    put(store, cell(prompts=prompts, steps=4), "ok", body(["CCCC"] * 2, [{"batch": 0, "method": timing(2, 2)}], "CCCC"))
    pairs = [{"batch": 0, "reference": timing(2, 2), "method": timing(1, 1)}]
    for interval, psnr in ((2, [40.0, 40.0]), (3, [40.0, float("inf")])):
        drawn = cell("taylorseer", f'{{"cache_interval":{interval}}}', prompts=prompts, steps=4)
        put(store, drawn, "ok", body(["C..C"] * 2, pairs, "C..C"))
        store.write_scores(drawn.key, {"psnr": psnr})
    cells = cells_table(store)
    quantity = next(quantity for quantity in paper.quantities(cells) if quantity.column == "psnr_db")
    assert paper.ranked(list(cells.itertuples()), quantity) == [0, 2, 1]


def test_what_is_said_of_a_schedule() -> None:
    assert schedule_note("CC.C", ["CC.C"], 4) is None
    assert schedule_note("CC.C", ["CCCC", "CCCC"], 4) == "inert: every step was computed"
    assert schedule_note("CCCC", ["CCCC"], 4) == "inert: every step was computed, as its rule has it for these settings"
    assert schedule_note("CCC", ["CCC"], 4) is None  # fewer steps
    assert schedule_note(None, ["C..C"], 4) is None


def test_tables_for_people(store: Store) -> None:
    cells, manifest = cells_table(store), store.manifest()
    text = paper.markdown(cells, manifest)
    assert "## tiny, 64 x 64, 4 steps, 2 images, float32" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert "Full compute" in lines[2] and "**" not in lines[2]  # the baseline comes first and takes no part
    cells_of = {line.split("|")[2].strip(): [part.strip() for part in line.split("|")] for line in lines}
    assert cells_of["N=2"][1] == "TaylorSeer (diffusers), default, warm-up 3" and cells_of["N=4"][1] == ""
    assert cells_of["N=4"][3] == "1/4"
    assert cells_of["N=4"][5] == "**2.56x [2.25, 3.50]**" and cells_of["N=2"][5] == "<u>1.28x [1.12, 1.75]</u>"
    assert cells_of["N=4"][6] == "**7.00**" and cells_of["N=4"][7] == "**2.29x**"
    assert cells_of["N=2"][8].startswith("**27.")
    assert "failed: no memory" in text
    assert "1 of 2 images identical" in text and "PSNR (dB) ↑" in text
    assert "P_1, 2 threads" in text and "torch 2" in text and "`python -m tsbench sweep`" in text
    latex = paper.latex(cells, manifest)
    assert r"\toprule" in latex and r"PSNR (dB) $\uparrow$" in latex and r"\textbf{2.56x [2.25, 3.50]}" in latex
    assert latex.count(r"\midrule") == 2  # below the head, and between the baseline and the method


def test_the_rows_of_a_series_are_together(store: Store) -> None:
    """By its parameters' names the threshold would come before the order, and every row begin a series."""
    for calibrator, threshold in itertools.product((None, "taylorseer"), (0.1, 0.2)):
        method = CacheDit(residual_diff_threshold=threshold, calibrator_type=calibrator)
        failed = {"reason": "no memory", "traceback": "…"}
        put(store, cell("cache_dit", json.dumps(method.resolved(4)), steps=4), "failed", failed)
    table = paper.paper_table(cells_table(store), "")
    drawn_by = "DBCache (cache-dit), F8B0W8"
    shown = [[entry.text for entry in row[:2]] for row in table.rows[:5]]
    assert shown[1:] == [[drawn_by, "thr 0.1"], ["", "thr 0.2"], [f"{drawn_by}, order 1", "thr 0.1"], ["", "thr 0.2"]]


def test_a_pattern_stays_in_its_column(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, "P", None, "python -m tsbench sweep", [])
    pattern = json.dumps(TaylorSeer(cache_identifiers=[r"blocks\.\d+\.(attn|ff)"]).resolved(4))
    pair = {"batch": 0, "reference": timing(1, 1), "method": timing(1, 1)}
    put(store, cell("taylorseer", pattern, steps=4), "ok", body(["CC.C"] * 2, [pair]), [image(0)] * 2)
    text = paper.markdown(cells_table(store), store.manifest())
    lines = [line.replace(r"\|", "") for line in text.splitlines() if line.startswith("|")]
    assert r"(attn\|ff)" in text and len({line.count("|") for line in lines}) == 1
    assert r"(attn\textbar{}ff)" in paper.latex(cells_table(store), store.manifest())


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs a TeX")
def test_the_latex_compiles(store: Store, tmp_path: Path) -> None:
    table = paper.latex(cells_table(store), store.manifest())
    source = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n" + table + "\\end{document}\n"
    (tmp_path / "t.tex").write_text(source)
    subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True, capture_output=True)


def test_a_figure_has_a_panel_a_metric_and_a_line_a_series(store: Store) -> None:
    figure = quality.pareto(cells_table(store), "P_1")
    assert [axis.get_ylabel() for axis in figure.axes] == ["PSNR (dB), higher is better", "SSIM, higher is better"]
    assert all(len(axis.get_lines()) == 3 for axis in figure.axes)  # the front, the series, and a line at 1x
    labels = [text.get_text() for text in figure.axes[0].texts]
    assert labels.count("N=2") == labels.count("N=4") == 1 and "N=6" not in labels


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
    store.open_run(ENVIRONMENT, "P", None, "x", ["psnr"])
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
    figure = speed.scaling(pd.concat([cells, larger, longer], ignore_index=True), "P")
    assert [axis.get_xlabel() for axis in figure.axes] == ["size (pixels)", "denoising steps"]
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
    store.open_run(ENVIRONMENT, "P", None, "python -m tsbench sweep", [])
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
    assert next(label.get_text() for label in strips.get_yticklabels()).endswith("N=2 (1.28x)")


def test_speed_against_interval(store: Store) -> None:
    (axis,) = speed.intervals(cells_table(store), "P").axes
    line = axis.get_lines()[0]
    assert list(line.get_xdata()) == [2, 4, 6] and list(line.get_ydata()) == pytest.approx([1.28125, 2.5625, 2.5625])
    (bars,) = axis.collections
    assert [bar[:, 1].tolist() for bar in bars.get_segments()] == [
        [pytest.approx(ratio * 0.9), pytest.approx(ratio * 1.4)] for ratio in (1.25, 2.5, 2.5)
    ]


def test_a_cell_is_in_its_place_whole_or_not_at_all(store: Store) -> None:
    """A crash while writing leaves the old state; a failed cell gives way to its second try."""

    def broken() -> object:
        yield image(0)
        raise RuntimeError

    new = cell("taylorseer", json.dumps(TaylorSeer(cache_interval=9).resolved(4)), steps=4)
    with pytest.raises(RuntimeError):
        put(store, new, "ok", body(["CC.C"], []), broken())
    assert store.cell(new.key) is None
    assert not list(store.cells.glob(".*"))
    failed = cell("taylorseer", json.dumps(TaylorSeer(cache_interval=8).resolved(4)), steps=4)
    assert not store.is_done(failed.key)
    put(store, failed, "ok", body(["CC.C"], []), [image(0)])
    assert store.is_done(failed.key)


def flux_row(method: str, params: dict[str, object], schedule: str, **changes: object) -> dict[str, object]:
    row = {"model": "flux1-dev", "height": 1024, "width": 1024, "steps": 50, "compile": False, "method": method}
    row |= {"backend": "diffusers", "quantization": "", "dtype": "bfloat16", "offload": "none"}
    row |= {"max_sequence_length": 512, "batch_size": 1}
    return row | {"params": json.dumps(params), "schedule": schedule, "tflop": 893.48} | changes


def test_a_published_row_is_of_the_same_method_and_order_or_says_so() -> None:
    settings = {"first_enhance": 3, "cache_interval": 4, "max_order": 2}
    four, five = official_taylorseer(50, 3, 4), official_taylorseer(50, 3, 5)
    assert published.matches(flux_row("taylorseer_official", settings, four))[0].title == "TaylorSeer N=4 O=2"
    first = published.matches(flux_row("taylorseer_official", settings | {"max_order": 1}, four))[0]
    assert first.title == "same schedule, TaylorSeer N=4 O=2"
    columns = published.columns(flux_row("taylorseer_official", settings | {"cache_interval": 5}, five))
    assert columns["published"] == f"same schedule, FoCa N=5: {FOCA}; {INFERRED}"
    assert columns["published_tflop"] == 893.54
    assert columns["published_difference"] == pytest.approx(893.48 / 893.54 - 1)


@pytest.mark.parametrize(
    "change",
    [
        {"height": 512},
        {"steps": 27},
        {"model": "tiny"},
        {"backend": "openvino"},
        {"quantization": "quanto"},
        {"max_sequence_length": 128},
    ],
)
def test_nothing_published_of_another_workload_is_shown(change: dict[str, object]) -> None:
    assert published.matches(flux_row("none", {}, "C" * 50)) != []
    assert published.matches(flux_row("none", {}, "C" * 50, **change)) == []


def test_another_methods_figures_are_shown_as_far_as_they_follow_from_the_steps() -> None:
    """And seconds only beside a run like the published one; FoCa's images say nothing of TaylorSeer's."""
    schedule = official_taylorseer(50, 3, 6)
    row = flux_row("taylorseer_official", {"first_enhance": 3, "cache_interval": 6, "max_order": 1}, schedule)
    assert published.speed_columns(row)["published_speedup"] == 3.53
    assert "the authors' own FLUX code" in published.speed_columns(row)["published_speed"]
    for other in (row | {"dtype": "float32"}, row | {"batch_size": 2}, row | {"offload": "model"}):
        assert published.speed_columns(other)["published_speedup"] is None
    second = row | {"params": json.dumps({"first_enhance": 3, "cache_interval": 6, "max_order": 2})}
    forecaster = flux_row("taylor_seer", {"step_map": schedule}, schedule)
    for other in (second, forecaster):
        assert published.speed_columns(other)["published_speedup"] is None
        figures = {c: m.figure(c) for m in published.matches(other) for c in m.row if m.figure(c) is not None}
        assert figures == {"flops_speedup": 4.99}


def test_what_a_published_row_does_not_say_itself_is_in_its_caveat() -> None:
    """Figures of other sources than their row's, of parameters that were inferred, and of a baseline that differs."""
    four = {"first_enhance": 3, "cache_interval": 4, "max_order": 2}
    found = published.matches(flux_row("taylorseer_official", four, official_taylorseer(50, 3, 4)))
    assert INFERRED in found[0].footnote
    other = found[1].row
    assert other["imagereward"] == 0.7864 and "its own baseline has an ImageReward of 0.8069" in other["caveat"]
    said = [match.row["imagereward"] for match in published.matches(flux_row("none", {}, "C" * 50))]
    assert [value for value in said if value is not None] == [1.0412, 0.9898, 0.8069]
    for row in published.rows():
        inferred = row["source"] == "TaylorSeer official README" or ("#12648" in row["source"] and row["compile"])
        assert not inferred or "inferred" in row["caveat"] or "derived" in row["caveat"]


def test_published_dbcache_is_found_by_its_parameters() -> None:
    """61 settings of the cache-dit benchmark, whose names write the parameters once more, and 5 masks of its manual."""
    rows = [row for row in published.rows() if row["method"] == "cache_dit"]
    assert [len(row["params"]["steps_computation_mask"] or "") for row in rows] == [0] * 61 + [28] * 5
    for row in rows:
        method = CacheDit(**row["params"])
        if row["steps"] == 50:
            longest = max(0, method.max_continuous_cached_steps)
            order = method.taylorseer_order if method.calibrator_type else 0
            name = f"F{method.Fn_compute_blocks}B{method.Bn_compute_blocks}_W{method.max_warmup_steps}M0MC{longest}"
            name += f"_R{method.residual_diff_threshold}_T{int(order > 0)}O{order}"
            assert row["label"] == f"DBCache {name}, text encoders and VAE included"
        assert not (row["psnr_db"] and row["psnr_comparable"])
        drawn = flux_row("cache_dit", method.resolved(row["steps"]), "varies")
        found = published.matches(drawn | {"steps": row["steps"], "compile": bool(row["compile"])})
        assert [match.row for match in found] == [row]


def test_a_compiled_cell_of_a_cache_that_stays_eager_says_so(tmp_path: Path) -> None:
    """Its speed-up is against full compute that was compiled."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, "P", None, "x", [])
    for name, compiled in (("mag_cache", True), ("mag_cache", False), ("first_block_cache", True)):
        drawn = replace(cell(name, "{}", steps=4), settings=replace(FLOAT32, compile=compiled))
        pair = {"batch": 0, "reference": timing(1, 1), "method": timing(0.5, 0.5)}
        put(store, drawn, "ok", body(["CC.C"] * 2, [pair]), [image(0)] * 2)
    notes = {(row.method, row.compile): row.note for row in cells_table(store).itertuples()}
    assert "diffusers keeps torch.compile off the blocks" in notes["mag_cache", True]
    assert pd.isna(notes["mag_cache", False]) and pd.isna(notes["first_block_cache", True])


def test_both_published_baselines_are_shown() -> None:
    columns = published.columns(flux_row("none", {}, "C" * 50, tflop=3719.23))
    assert columns["published_tflop"] == 3719.5
    with_encoders = "3726.87: 50 steps, text encoders and VAE included: "
    assert columns["published"] == (
        "50 steps: L2P (arXiv:2604.26365), secondary, https://arxiv.org/abs/2604.26365; A100; quoted from L2P "
        f"(arXiv:2604.26365) by a secondary source, resolution not stated; {with_encoders}cache-dit benchmark "
        "(DrawBench, 200 prompts), "
        "https://github.com/vipshop/cache-dit/blob/f86744af/bench/cache/README.md; NVIDIA L20; 3726.87 TFLOP count "
        f"text encoders and VAE too; {with_encoders}{FOCA}; its ImageReward of the baseline is 0.9898, that of the "
        "cache-dit benchmark 1.0412"
    )


def test_published_figures_stand_beside_measured_ones_with_their_caveats(tmp_path: Path) -> None:
    """A PSNR from a harness that wraps is shown as not comparable, with the reason in a footnote."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, "P", None, "python -m tsbench sweep", [])
    changes = {"model_name": "flux1-dev", "height": 1024, "width": 1024, "steps": 50, "prompts": ("a",)}
    changes |= {"max_sequence_length": 512}
    put(
        store,
        cell(**changes),
        "ok",
        body(["C" * 50], [{"batch": 0, "method": timing(1, 1)}], "C" * 50),
        [image(0, 1024)],
    )
    settings = json.dumps({"first_enhance": 3, "cache_interval": 5, "max_order": 1})
    schedule = official_taylorseer(50, 3, 5)
    pair = {"batch": 0, "reference": timing(1, 1), "method": timing(0.25, 0.25)}
    official = cell("taylorseer_official", settings, **changes)
    put(store, official, "ok", body([schedule], [pair], schedule), [image(16, 1024)])
    score_cells(store, ["psnr"])
    text = paper.markdown(cells_table(store), store.manifest())
    assert "4.16x<sup>" in text and "893.54<sup>" in text
    assert "29.328 (not comparable)<sup>" in text and "29.413" not in text  # which is FoCa's
    assert ". TaylorSeer N=5, order not stated: L2P" in text and "subtracts 8-bit images" in text
    assert ". same schedule, FoCa N=5: FoCa" in text and "1.0029" not in text
    latex = paper.latex(cells_table(store), store.manifest())
    assert r"\textsuperscript{" in latex and r"\par\footnotesize" in latex
    rows = cells_table(store)
    beside = paper.published_beside(list(rows.itertuples())[1], paper.quantities(rows))
    assert {"4.16x", "893.54", "29.328 (not comparable)"} <= {shown["published"] for shown in beside}
    (tflop,) = (shown for shown in beside if shown["published"] == "893.54")
    assert (tflop["figure"], tflop["measured"]) == ("TFLOP", "86.00") and "FoCa" in tflop["of"]


def test_a_table_has_no_column_of_what_nobody_knows(tmp_path: Path) -> None:
    """Where the system tells no memory, of any cell."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, "P", None, "python -m tsbench sweep", [])
    drawn = body(["CCCC"] * 2, [{"batch": 0, "method": timing(1, 1)}], "CCCC") | {"peak_memory_bytes": None}
    put(store, cell(steps=4), "ok", drawn, [image(0)] * 2)
    (head,) = (line for line in paper.markdown(cells_table(store), store.manifest()).splitlines() if "Method" in line)
    headings = [heading.strip() for heading in head.strip("|").split("|")]
    assert headings == ["Method", "Setting", "Computed", "Latency (s)", "Speed-up ↑", "TFLOP ↓", "FLOPs speed-up ↑"]


def test_a_disturbed_timing_is_told(tmp_path: Path) -> None:
    """Full compute that takes three times as long in one pair, and a denoising faster than half of its steps can be."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, "P", None, "python -m tsbench sweep", [])
    put(store, cell(steps=4), "ok", body(["CCCC"] * 2, [{"batch": 0, "method": timing(1, 1)}], "CCCC"), [image(0)] * 2)
    steady = [{"batch": 0, "reference": timing(1, 1), "method": timing(0.52, 0.52)}] * 2
    for interval, first in ((2, timing(1, 1)), (3, timing(3, 3)), (4, timing(1.9, 1.9))):
        pairs = [steady[0] | {"reference": first}, steady[1]]
        method = cell("taylorseer", json.dumps(TaylorSeer(cache_interval=interval).resolved(4)), steps=4)
        put(store, method, "ok", body(["C..C"] * 2, pairs), [image(0)] * 2)
    rows = by_interval(store)
    assert pd.isna(rows[0].timing_disturbed) and pd.isna(rows[2].timing_disturbed)
    both = "took from 1 to 3 s, denoising was 1.92 times as fast as its computed steps allow"
    assert rows[3].timing_disturbed == f"timing disturbed: full compute {both}"
    assert rows[4].timing_disturbed == "timing disturbed: denoising was 1.39 times as fast as its computed steps allow"
    assert both in paper.markdown(cells_table(store), store.manifest())


def test_prompts_of_which_more_is_computed_are_no_disturbance() -> None:
    """A method that decides by the image: a tenth of a second for every computed step."""
    runs = [4, 4, 4, 4, 28, 28]
    schedules = ["C" * computed + "." * (28 - computed) for computed in runs]
    pairs = [
        {"batch": i, "schedule": schedule, "reference": timing(2.8, 2.8), "method": timing(n / 10, n / 10)}
        for i, (schedule, n) in enumerate(zip(schedules, runs))
    ]
    decides = cell("auto", steps=28)
    assert disturbance(drawn_cell(decides, schedules, pairs)) is None
    pairs.append(pairs[0] | {"method": timing(1.2, 1.2)})
    assert disturbance(drawn_cell(decides, schedules, pairs)) == "timing disturbed: it took from 0.4 to 1.2 s"


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


def test_fronts_of_other_speeds_are_their_own(store: Store) -> None:
    """N=4 denoises four times and N=2 twice as fast; by FLOPs N=6 is as fast as N=2, and poorer."""
    rows = by_interval(store)
    assert rows[4].on_front_denoise == "psnr;ssim" and rows[2].on_front_denoise == "psnr;ssim"
    assert rows[4].on_front_flops == "psnr;ssim" and rows[6].on_front_flops == ""


def test_every_column_is_explained() -> None:
    """What stands in cells.csv and nowhere in the documents is a figure nobody can read."""
    document = (Path(__file__).parents[1] / "docs" / "reading-results.md").read_text(encoding="utf-8")
    assert [column for column in (*COLUMNS, *EXTRA_COLUMNS) if f"`{column}`" not in document] == []
