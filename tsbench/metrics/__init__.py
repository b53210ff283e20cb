"""Image metrics, one per file. Adding one: a file here and a line in `METRICS`."""

from collections.abc import Iterable
from functools import cache

from tsbench.errors import UserError
from tsbench.metrics import clip_score, flip, lpips, ms_ssim, psnr, ssim
from tsbench.metrics.base import Metric, Score

METRICS = {
    metric.name: metric
    for metric in (
        psnr.METRIC, ssim.METRIC, lpips.METRIC, lpips.VGG, lpips.SQUEEZE, ms_ssim.METRIC, flip.METRIC,
        clip_score.METRIC,
    )
}  # fmt: skip


def metric_of(name: str) -> Metric:
    """The metric of a name as it is typed: `psnr`, or `clip_score:CHECKPOINT`.

    Raises:
        UserError: if there is none of that name.
    """
    base = name.partition(":")[0]
    if base not in METRICS:
        raise UserError(f"There is no metric {name!r}; there are: {', '.join(METRICS)} (type metrics=[psnr,lpips]).")
    return METRICS[base]


@cache
def scorer(name: str) -> Score:
    """The function that scores an image in the metric of a name, loaded once."""
    _, _, checkpoint = name.partition(":")
    return metric_of(name).load(checkpoint) if checkpoint else metric_of(name).load()


def check_names(names: Iterable[str]) -> None:
    """Raise `UserError` for a metric that does not exist, and for two in one column."""
    names = list(names)
    check_columns(names)
    for name in names:
        base, _, checkpoint = name.partition(":")
        metric = metric_of(name)
        if metric.needs_checkpoint and not checkpoint:
            raise UserError(f"{base} needs a model: metrics=[{base}:openai/clip-vit-large-patch14], or a folder.")
        if ":" in name and not metric.needs_checkpoint:
            raise UserError(f"The metric {base!r} takes no model, but was given as {name!r}; type metrics=[{base}].")


def check_metrics(names: Iterable[str]) -> None:
    """Raise `UserError` for a metric that does not exist or cannot be computed here, and for two in one column."""
    names = list(names)
    check_names(names)
    for name in names:
        metric = metric_of(name)
        if missing := metric.missing():
            raise UserError(f"The metric {metric.name!r} cannot be computed here: {missing}.")
        if metric.needs_checkpoint:
            scorer(name)  # a model that is not there is said before anything is drawn


def check_columns(names: Iterable[str]) -> None:
    """Raise `UserError` if two checkpoints of a metric would share its column."""
    first: dict[str, str] = {}
    for name in names:
        base = name.partition(":")[0]
        if first.setdefault(base, name) != name:
            raise UserError(
                f"A run has only one {base}, but {first[base]!r} and {name!r} were given; draw or score a run of "
                f"another name for the second, such as name=second metrics=[{name}]."
            )


__all__ = ["METRICS", "Metric", "check_columns", "check_metrics", "check_names", "metric_of", "scorer"]
