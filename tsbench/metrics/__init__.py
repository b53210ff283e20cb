"""Image metrics, one a file. Adding one: a file here and a line in `METRICS`."""

from collections.abc import Iterable

from tsbench.errors import UserError
from tsbench.metrics import lpips, psnr, ssim
from tsbench.metrics.base import Metric

METRICS = {metric.name: metric for metric in (psnr.METRIC, ssim.METRIC, lpips.METRIC, lpips.VGG, lpips.SQUEEZE)}


def check_metrics(names: Iterable[str]) -> None:
    """Raise `UserError` for a metric that does not exist or cannot be computed here."""
    for name in names:
        if name not in METRICS:
            raise UserError(
                f"There is no metric {name!r}; there are: {', '.join(METRICS)} (type metrics=[psnr,lpips])."
            )
        missing = METRICS[name].missing()
        if missing:
            raise UserError(f"The metric {name!r} cannot be computed here: {missing}.")


__all__ = ["METRICS", "Metric", "check_metrics"]
