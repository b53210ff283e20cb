"""Do two runs of the same cells agree? `python benchmarks/agreement.py RUN OTHER OUT.json`: schedules and pictures."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np

from tsbench.store import Store
from tsbench.stored import DrawnCell


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    """Of two uint8 images; infinite if they are equal."""
    error = np.square(one.astype(float) - other).mean()
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def main(run: str, other: str, out: str) -> int:
    """Write the least PSNR of every common cell; 1 if a schedule differs or a picture is below 40 dB."""
    one, two = Store(Path(run)), Store(Path(other))
    rows = []
    for cell in one.all_drawn():
        counterpart = two.cell(cell.key)
        if not isinstance(counterpart, DrawnCell):
            continue
        pairs = zip(one.images(cell.key), two.images(cell.key), strict=True)
        rows.append(
            {
                "key": cell.key,
                "method": cell.method,
                "params": cell.params,
                "same_schedules": cell.schedules == counterpart.schedules,
                "least_psnr_db": min(psnr_db(a, b) for a, b in pairs),
            }
        )
    Path(out).write_text(json.dumps(rows, indent=1).replace("Infinity", '"inf"'))
    agree = [row["same_schedules"] and row["least_psnr_db"] >= 40 for row in rows]
    print(f"{sum(agree)} of {len(rows)} cells agree")
    return int(not rows or not all(agree))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("other")
    parser.add_argument("out")
    sys.exit(main(**vars(parser.parse_args())))
