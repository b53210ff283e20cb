"""Tables for people."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers import cell
from tests.stores import (
    ENVIRONMENT,
    body,
    image,
    put,
    timing,
)
from tsbench.methods.cache_dit import CacheDit
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.report import paper
from tsbench.report.latex import latex, latex_text
from tsbench.schedule import official_taylorseer
from tsbench.scoring import score_cells
from tsbench.store import Store
from tsbench.tables import cells_table


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
    assert "P_1, 2 threads" in text and "torch 2" in text and "by `python -m tsbench sweep`, " in text
    tex = latex(cells, manifest)
    assert (
        r"\toprule" in tex
        and r"\makecell[br]{PSNR \\ (dB)~$\uparrow$}" in tex
        and r"\textbf{2.56x [2.25, 3.50]}" in tex
    )
    assert tex.count(r"\midrule") == 2  # below the head, and between the baseline and the method


def test_the_rows_of_a_series_are_together(store: Store) -> None:
    """By its parameters' names the threshold would come before the order, and every row begin a series."""
    for calibrator, threshold in itertools.product((None, "taylorseer"), (0.1, 0.2)):
        method = CacheDit(residual_diff_threshold=threshold, calibrator_type=calibrator)
        failed = {"reason": "no memory", "traceback": "…"}
        put(store, cell("cache_dit", json.dumps(method.resolved(4)), steps=4), "failed", failed)
    table = paper.paper_table(cells_table(store), "")
    drawn_by = "DBCache (cache-dit), F8B0W8"
    shown = [["".join(entry.text for entry in field) for field in row[:2]] for row in table.rows[:5]]
    assert shown[1:] == [[drawn_by, "thr 0.1"], ["", "thr 0.2"], [f"{drawn_by}, order 1", "thr 0.1"], ["", "thr 0.2"]]


def test_a_pattern_stays_in_its_column(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", [])
    pattern = json.dumps(TaylorSeer(cache_identifiers=[r"blocks\.\d+\.(attn|ff)"]).resolved(4))
    pair = {"batch": 0, "reference": timing(1, 1), "method": timing(1, 1)}
    put(store, cell("taylorseer", pattern, steps=4), "ok", body(["CC.C"] * 2, [pair]), [image(0)] * 2)
    text = paper.markdown(cells_table(store), store.manifest())
    lines = [line.replace(r"\|", "") for line in text.splitlines() if line.startswith("|")]
    assert r"(attn\|ff)" in text and len({line.count("|") for line in lines}) == 1
    assert r"(attn\textbar{}ff)" in latex(cells_table(store), store.manifest())


def test_what_is_noted_of_a_row_is_a_footnote_in_latex(store: Store) -> None:
    """A column of sentences would make a table three pages wide; a failed cell says so in its row all the same."""
    tex = latex(cells_table(store), store.manifest())
    (failed,) = (line for line in tex.splitlines() if "& failed &" in line)
    number = failed.split("textsuperscript{")[1].split("}")[0]
    assert f"\n\\textsuperscript{{{number}}}\\,failed: no memory" in tex
    assert "Note" not in tex and {line.count(" & ") for line in tex.splitlines()} == {0, 9}
    assert "\n\\multicolumn{10}{@{}l}{TaylorSeer (diffusers), default, warm-up 3}" in tex


def test_the_latex_fits_a_page(store: Store, tmp_path: Path) -> None:
    packages = ("booktabs", "makecell", "adjustbox")
    if not shutil.which("pdflatex") or any(
        subprocess.run(["kpsewhich", f"{name}.sty"]).returncode for name in packages
    ):
        pytest.skip("needs a TeX with its usual packages")
    table = latex(cells_table(store), store.manifest())
    preamble = r"\documentclass[twocolumn]{article}\usepackage{" + ",".join(packages) + "}"
    (tmp_path / "t.tex").write_text(preamble + "\\begin{document}\n" + table + "\\end{document}\n")
    run = ["pdflatex", "-halt-on-error", "t.tex"]
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
    assert "Overfull" not in (tmp_path / "t.log").read_text()


def test_published_figures_stand_beside_measured_ones_with_their_caveats(tmp_path: Path) -> None:
    """A PSNR from a harness that wraps is shown as not comparable, with the reason in a footnote."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", [])
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
    assert " 3719.50<sup>1</sup>, 3726.87<sup>2,3</sup> |" in text  # each with what is to be said of it
    for number, told in enumerate(
        ("50 steps: L2P", "50 steps, text encoders and V", "50 steps, text encoders and V"), 1
    ):
        assert f"\n{number}. {told}" in text
    tex = latex(cells_table(store), store.manifest())
    assert r"3719.50\textsuperscript{1}, 3726.87\textsuperscript{2,3}" in tex and "\n% Computed: steps in which" in tex
    assert "\n\\textsuperscript{1}\\,50 steps: L2P" in tex
    assert latex_text("τ ≤ 0.1, Δ_1") == r"$\tau$ $\leq$ 0.1, $\Delta$\_1"
    rows = cells_table(store)
    beside = paper.published_beside(list(rows.itertuples())[1], paper.quantities(rows))
    assert {"4.16x", "893.54", "29.328 (not comparable)"} <= {shown["published"] for shown in beside}
    (tflop,) = (shown for shown in beside if shown["published"] == "893.54")
    assert (tflop["figure"], tflop["measured"]) == ("TFLOP", "86.00") and "FoCa" in tflop["of"]


def test_a_table_has_no_column_of_what_nobody_knows(tmp_path: Path) -> None:
    """Memory where the system tells it, in any cell."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", [])

    def first_rows(peak_memory_bytes: int | None) -> list[list[str]]:
        its = {"peak_memory_bytes": peak_memory_bytes}
        drawn = body(["CCCC"] * 2, [{"batch": 0, "method": timing(1, 1)}], "CCCC") | its
        put(store, cell(steps=4), "ok", drawn, [image(0)] * 2)
        text = paper.markdown(cells_table(store), store.manifest())
        lines = [line for line in text.splitlines() if line.startswith("|")]
        return [[part.strip() for part in line.strip("|").split("|")] for line in lines]

    headings = ["Method", "Setting", "Computed", "Latency (s)", "Speed-up ↑", "TFLOP ↓", "FLOPs speed-up ↑"]
    assert first_rows(None)[0] == headings
    head, _, full = first_rows(32_100_000_000)
    assert head == [*headings, "Memory (GB)"] and full[-1] == "32.10"
