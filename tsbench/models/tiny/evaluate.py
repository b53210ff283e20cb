"""Measure the embedded model: `python -m tsbench.models.tiny.evaluate docs` writes embedded-model.md and its picture.

How well the autoencoder restores unseen pictures, how often a picture shows what its caption says, and whether the
trade-off between skipped steps and quality has the shape that is known from FLUX.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from tsbench.cell import Settings, Workload
from tsbench.drawing.diffusers import DiffusersSession
from tsbench.methods import Method
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.metrics import scorer
from tsbench.models.tiny.check import Verdict, check
from tsbench.models.tiny.pictures import GRAMMAR, parse, picture, scene_of
from tsbench.paths import ASSETS
from tsbench.schedule import computed_steps
from tsbench.stats import finite_mean

UNSEEN = 4  # seed of a collection that training has not touched
STEPS = 28
SIZES = (128, 160, 192)
INTERVALS = (2, 3, 4, 6, 8)


def load() -> DiffusersSession:
    settings = Settings(dtype="float32", offload="none", compile=False, quantization="")
    return DiffusersSession(ASSETS / "tiny", settings, torch.device("cpu"))


def unseen_captions(count: int) -> tuple[str, ...]:
    return tuple(str(scene_of(UNSEEN, number)[0]) for number in range(count))


def drawn(
    session: DiffusersSession, captions: Sequence[str], size: int, method: Method
) -> tuple[list[np.ndarray], str]:
    """One picture a caption, each from noise of its own, and the schedule."""
    pictures, schedule = [], ""
    for seed, caption in enumerate(captions):
        work = Workload("tiny", "tiny", (caption,), (seed,), size, size, STEPS, 3.5, 32, 1)
        result = session.draw(work, work.samples, method)
        pictures.append(result.images[0])
        schedule = result.schedule
    return pictures, schedule


@torch.no_grad()
def restored_psnr_db(session: DiffusersSession, size: int, count: int) -> float:
    """Mean PSNR of unseen pictures after the autoencoder, on 8-bit images."""
    vae, values = session.pipeline.vae, []
    for index in range(count):
        true = picture(UNSEEN, index, size)
        code = vae.encode(torch.from_numpy(true).permute(2, 0, 1)[None] / 127.5 - 1).latent_dist.mode()
        image = (vae.decode(code).sample[0].permute(1, 2, 0) / 2 + 0.5).clamp(0, 1).numpy()
        values.append(scorer("psnr")((image * 255).round().astype(np.uint8), true))
    return statistics.fmean(values)


def verdicts(captions: Sequence[str], pictures: Sequence[np.ndarray]) -> list[Verdict]:
    return [check(image, parse(caption)) for caption, image in zip(captions, pictures, strict=True)]


def shares(found: Sequence[Verdict]) -> dict[str, float]:
    """The share of pictures that are right in everything, and in each part of it."""
    parts = ("everything", "background", "colour", "shape", "place")
    return {part: statistics.fmean(getattr(verdict, part) for verdict in found) for part in parts}


def trade_off(session: DiffusersSession, captions: Sequence[str], methods: dict[str, Method]) -> pd.DataFrame:
    """Mean PSNR in dB against full compute at 128 pixels, and the number of computed steps, of each method."""
    full, _ = drawn(session, captions, 128, Method())
    rows = []
    for name, method in methods.items():
        pictures, schedule = drawn(session, captions, 128, method)
        psnr = finite_mean([scorer("psnr")(a, b) for a, b in zip(pictures, full, strict=True)])
        rows.append({"setting": name, "schedule": schedule, "computed": computed_steps(schedule), "psnr_db": psnr})
    return pd.DataFrame(rows).set_index("setting")


def grid_of_settings() -> dict[str, Method]:
    """The settings of docs/embedded-model.md."""
    methods: dict[str, Method] = {}
    for mode, order, before in (("lite", 0, 3), ("lite", 1, 3), ("lite", 2, 3), ("lite", 1, 6), ("default", 1, 3)):
        for interval in INTERVALS:
            methods[f"{mode}, order {order}, warm-up {before}, N={interval}"] = TaylorSeer(
                cache_interval=interval,
                disable_cache_before_step=before,
                max_order=order,
                use_lite_mode=mode == "lite",
            )
    for when, before, after in (("early", 2, 9), ("late", 21, None)):
        methods[f"six steps skipped, {when}"] = TaylorSeer(
            cache_interval=STEPS, disable_cache_before_step=before, disable_cache_after_step=after, use_lite_mode=True
        )
    return methods


def expectations(psnr: dict[str, float]) -> dict[str, bool]:
    """The shape known from FLUX, and whether it holds here. Keys are sentences; `psnr` is by setting, in dB."""

    def series(mode: str, order: int, before: int) -> list[float]:
        return [psnr[f"{mode}, order {order}, warm-up {before}, N={interval}"] for interval in INTERVALS]

    def falls(values: list[float]) -> bool:
        return all(a > b for a, b in pairwise(values))

    lite, zeroth, longer = series("lite", 1, 3), series("lite", 0, 3), series("lite", 1, 6)
    return {
        "In lite mode the PSNR falls with every longer interval.": falls(lite),
        "In default mode the PSNR falls with every longer interval.": falls(series("default", 1, 3)),
        "In lite mode it falls by 6 dB or more from interval 2 to 8.": lite[0] - lite[-1] >= 6,
        "A longer warm-up helps at every interval.": all(a < b for a, b in zip(lite, longer)),
        "Order 1 beats order 0 at intervals 2 and 3.": lite[0] > zeroth[0] and lite[1] > zeroth[1],
        "Skipping early steps hurts more than skipping late ones.": (
            psnr["six steps skipped, early"] < psnr["six steps skipped, late"]
        ),
    }


def contact_sheet(
    captions: Sequence[str], pictures: Sequence[np.ndarray], found: Sequence[Verdict], path: Path
) -> None:
    """Pictures with their captions; a wrong one's caption is red."""
    import textwrap

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 6
    rows = -(-len(pictures) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(2.1 * columns, 2.75 * rows))
    for axis in axes.flat:
        axis.axis("off")
    for axis, caption, image, verdict in zip(axes.flat, captions, pictures, found):
        axis.imshow(image)
        text = "\n".join(textwrap.wrap(caption, 34))
        axis.set_title(text, fontsize=6, y=-0.07, va="top", color="black" if verdict.everything else "#C00000")
    figure.tight_layout(h_pad=2.2)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def report(folder: Path, count: int) -> dict[str, Any]:
    """Write embedded-model.md and embedded-model.png; return the figures."""
    session = load()
    captions = unseen_captions(count)
    restored = {size: restored_psnr_db(session, size, 64) for size in SIZES}
    right: dict[int, dict[str, float]] = {}
    for size in SIZES:
        pictures, _ = drawn(session, captions, size, Method())
        found = verdicts(captions, pictures)
        right[size] = shares(found)
        if size == SIZES[0]:
            contact_sheet(captions[:24], pictures[:24], found[:24], folder / "embedded-model.png")
    ceiling = shares(verdicts(captions, [picture(UNSEEN, number, SIZES[0]) for number in range(count)]))
    table = trade_off(session, captions[:8], grid_of_settings())
    holds = expectations(table["psnr_db"].to_dict())
    lines = [DOCUMENT.format(grammar=GRAMMAR, count=count)]
    shares_table = pd.DataFrame({"true pictures": ceiling} | {f"drawn at {size}": right[size] for size in SIZES})
    lines += [(100 * shares_table).to_markdown(floatfmt=".1f"), ""]
    lines += [
        f"Autoencoder, unseen pictures: {', '.join(f'{db:.1f} dB at {size}' for size, db in restored.items())}.",
        "",
    ]
    lines += ["## The trade-off", "", TRADE_OFF, "", table.round(2).to_markdown(), ""]
    lines += [f"- {'Holds' if held else '**Does not hold**'}: {sentence}" for sentence, held in holds.items()]
    lines.append(TRAINING)
    (folder / "embedded-model.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"restored_psnr_db": restored, "right": right, "ceiling": ceiling, "holds": holds}


DOCUMENT = """\
# The embedded model

`model=tiny` is a Flux in diffusers' own format, loaded by the same code as FLUX.1-dev, for pictures of 128 to 192
pixels. Its transformer has 4.6 million parameters (8.6 million with text encoders and autoencoder). This page was
written by `python -m tsbench.models.tiny.evaluate docs`.

![Pictures of the embedded model](embedded-model.png)

It draws captions of this grammar, and nothing else (`python -m tsbench.models.tiny.pictures` shows it too):

```
{grammar}
```

## Does it draw what the caption says?

{count} captions that training has not seen, 28 full steps; shares in percent, read off the pictures by a program
(`tsbench/models/tiny/check.py`), which reads the true pictures as the first column says. Captions of wrong pictures
are red above. Thin lines are not read: many come out faint, broken or not at all.
"""

TRAINING = """\

## Training

`python -m tsbench.models.tiny.train WORK` trains the model from nothing and a seed, on pictures that it draws itself:
3,000 steps of the autoencoder, 33,000 of the transformer by flow matching and 600 with distilled guidance. On 2 cores
of an AMD EPYC that took about three hours. The embedded model was trained in three runs, to step 14,000, 30,000 and
33,000, each distilled anew; `--start tsbench/assets/tiny` continues from it. `--export FOLDER` writes the trained model
as a folder for `model.path=FOLDER`."""

TRADE_OFF = """\
Mean PSNR in dB of eight pictures of 128 pixels, of unseen captions and each with its own seed, against the same ones in
28 full steps. The tables of a sweep draw other captions, so that their figures differ."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the table and the plots go")
    parser.add_argument("--captions", type=int, default=100, help="drawn at each size (default: 100)")
    arguments = parser.parse_args()
    figures = report(arguments.folder, arguments.captions)
    for name, value in figures.items():
        print(name, value)


if __name__ == "__main__":
    main()
