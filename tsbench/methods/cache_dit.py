"""DBCache as cache-dit ships it (github.com/vipshop/cache-dit; `cache_dit.DBCacheConfig`), an extra of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tsbench.checks import at_least, one_of, step_map, taylor_order
from tsbench.errors import UserError
from tsbench.methods.base import Method, Snippet, keywords
from tsbench.packages import needs_package

BEFORE = "_before_cache_dit"  # of a transformer with the cache on it: its own `forward`, and the order of its parts
POLICIES = ("dynamic", "static")
MASKS = ("slow", "medium", "fast", "ultra")  # of cache_dit.steps_mask
CALIBRATORS = ("taylorseer", "foca")


@dataclass
class CacheDit(Method):
    """The first and last blocks always run; where the residual of the first has changed little, the rest is skipped.

    What the others add is reused, or forecast by a calibrator. A mask says which steps have to be computed; the others
    may be skipped by the same rule or, where the policy is static, always are.
    """

    name: str = "cache_dit"
    Fn_compute_blocks: int = 8
    Bn_compute_blocks: int = 0
    residual_diff_threshold: float = 0.08
    max_warmup_steps: int = 8
    max_cached_steps: int = -1
    max_continuous_cached_steps: int = -1
    steps_computation_mask: str | None = None
    steps_computation_policy: str = "dynamic"
    calibrator_type: str | None = None
    taylorseer_order: int = 1
    title: ClassVar[str] = "DBCache (cache-dit)"
    data_driven: ClassVar[bool] = True
    decides_by: ClassVar[str] = "how much the residual of the first blocks changes"

    @classmethod
    def missing(cls) -> str | None:
        return needs_package("cache-dit", "cache-dit")

    def check(self, steps: int) -> None:
        at_least("method.Fn_compute_blocks", self.Fn_compute_blocks, 1, 8)
        at_least("method.Bn_compute_blocks", self.Bn_compute_blocks, 0, 0)
        at_least("method.residual_diff_threshold", self.residual_diff_threshold, 0, 0.08, "a relative change")
        at_least("method.max_warmup_steps", self.max_warmup_steps, 0, 8)
        at_least("method.max_cached_steps", self.max_cached_steps, -1, -1, "-1 for any number")
        at_least("method.max_continuous_cached_steps", self.max_continuous_cached_steps, -1, -1, "-1 for any number")
        one_of("method.steps_computation_policy", self.steps_computation_policy, POLICIES)
        if self.steps_computation_mask is not None:
            key, otherwise = "method.steps_computation_mask", f"one of cache-dit's: {', '.join(MASKS)}"
            step_map(key, self.steps_computation_mask, self._mask(steps), steps, otherwise)
        if self.calibrator_type is not None:
            one_of("method.calibrator_type", self.calibrator_type, CALIBRATORS)
        if self.calibrator_type == "taylorseer":
            taylor_order("method.taylorseer_order", self.taylorseer_order, steps, least=1)

    def resolved(self, steps: int) -> dict[str, Any]:
        """The mask step by step; what it, its policy or the calibrator leave without effect is not part of the cell."""
        parameters, unused = self.parameters(), []
        if self.steps_computation_mask is None:
            unused += ["steps_computation_policy"]
        else:
            parameters["steps_computation_mask"] = self._mask(steps)
            unused += ["max_warmup_steps"]
            if self.steps_computation_policy == "static":
                unused += ["residual_diff_threshold", "max_cached_steps", "max_continuous_cached_steps"]
        if self.calibrator_type != "taylorseer":
            unused += ["taylorseer_order"]
        return parameters | dict.fromkeys(unused)

    def _mask(self, steps: int) -> str:
        assert self.steps_computation_mask is not None
        if self.steps_computation_mask not in MASKS:
            return self.steps_computation_mask
        try:
            mask = _library().steps_mask(total_steps=steps, mask_policy=self.steps_computation_mask)
        except AssertionError as error:
            raise UserError(
                f"method.steps_computation_mask is {self.steps_computation_mask!r}, which cache-dit does not have for "
                f"{steps} steps; try method.steps_computation_mask={'C' * steps}."
            ) from error
        return "".join("C" if computed else "." for computed in mask)

    def promised_schedule(self, steps: int) -> str | None:
        static = self.steps_computation_mask is not None and self.steps_computation_policy == "static"
        return self._mask(steps) if static else None

    def fewest_computed(self, steps: int) -> str:
        mask = "C" * max(1, self.max_warmup_steps) if self.steps_computation_mask is None else self._mask(steps)
        in_all, in_a_row = (
            steps if limit < 0 else limit for limit in (self.max_cached_steps, self.max_continuous_cached_steps)
        )
        schedule = ""
        for must_compute in (letter == "C" for letter in mask.ljust(steps, ".")[:steps]):
            limited = schedule.count(".") >= in_all or schedule.endswith("." * in_a_row)
            schedule += "C" if must_compute or limited else "."
        return schedule

    def condensed(self, steps: int) -> tuple[Method, int]:
        """With a threshold of 1 cache-dit takes any two residuals for the same, without looking at them."""
        full = 1  # steps, for derivatives and those before
        if self.calibrator_type is not None:
            full = (self.taylorseer_order if self.calibrator_type == "taylorseer" else 1) + 4
        short = replace(
            self,
            residual_diff_threshold=1.0,
            max_warmup_steps=full,
            max_cached_steps=-1,
            max_continuous_cached_steps=-1,
            steps_computation_mask=None,
            steps_computation_policy="dynamic",
        )
        return short, full + 1

    def for_architecture(self, architecture: Mapping[str, Any]) -> Method:
        kinds = architecture["num_layers"], architecture["num_single_layers"]
        if not all(kinds):
            raise UserError(
                f"method=cache_dit needs double and single blocks, but this model has {kinds[0]} and {kinds[1]}; "
                "try method=taylorseer."
            )
        blocks = sum(kinds)
        if self.Fn_compute_blocks + self.Bn_compute_blocks > blocks:
            raise UserError(
                f"method.Fn_compute_blocks and method.Bn_compute_blocks are {self.Fn_compute_blocks} and "
                f"{self.Bn_compute_blocks}, but this model has {blocks} blocks in all; try method.Fn_compute_blocks=1 "
                "method.Bn_compute_blocks=0."
            )
        return self

    def enable(self, pipeline: Any, steps: int) -> None:
        cache_dit, transformer = _library(), pipeline.transformer
        setattr(transformer, BEFORE, (vars(transformer).get("forward"), list(transformer._modules)))
        calibrator, options = self._calibrator()
        cache_dit.enable_cache(
            transformer,
            cache_config=cache_dit.DBCacheConfig(**self._config(steps)),
            calibrator_config=getattr(cache_dit, calibrator)(**options) if calibrator else None,
        )

    def _config(self, steps: int) -> dict[str, Any]:
        """Arguments of `cache_dit.DBCacheConfig`."""
        own = {
            name: value
            for name, value in self.parameters().items()
            if name not in ("calibrator_type", "taylorseer_order")
        }
        if self.steps_computation_mask is not None:
            own["steps_computation_mask"] = [int(letter == "C") for letter in self._mask(steps)]
        return {"num_inference_steps": steps} | own

    def _calibrator(self) -> tuple[str, dict[str, Any]]:
        """The name of cache-dit's configuration of the calibrator, and its arguments; no name where there is none."""
        match self.calibrator_type:
            case "taylorseer":
                return "TaylorSeerCalibratorConfig", {"taylorseer_order": self.taylorseer_order}
            case "foca":
                return "FoCaCalibratorConfig", {}
        return "", {}

    def disable(self, pipeline: Any) -> None:
        """cache-dit's own, and what that leaves: its `forward` in the place of the model's, and its blocks in the last.

        Caches of diffusers take the blocks that come first for the first ones.
        """
        transformer = pipeline.transformer
        if BEFORE not in vars(transformer):
            return
        _library().disable_cache(transformer)
        vars(transformer).pop("_is_patched", None)
        vars(transformer).pop("forward", None)
        forward, names = vars(transformer).pop(BEFORE)
        if forward is not None:
            transformer.forward = forward
        for name in names:
            transformer._modules[name] = transformer._modules.pop(name)

    def states(self, transformer: Any) -> list[Any]:
        return list(getattr(vars(transformer).get("_context_manager"), "_cached_context_manager", {}).values())

    def snippet(self, steps: int) -> Snippet:
        """On the pipeline, where cache-dit begins anew at every image; on a transformer it would not."""
        calibrator, options = self._calibrator()
        arguments = ["pipe", f"cache_config=cache_dit.DBCacheConfig({keywords(self._config(steps))})"]
        if calibrator:
            arguments.append(f"calibrator_config=cache_dit.{calibrator}({keywords(options)})")
        return Snippet(["import cache_dit"], [f"cache_dit.enable_cache({', '.join(arguments)})"])

    @classmethod
    def series(cls, parameters: dict[str, Any]) -> str:
        parts = [cls.title, "F{Fn_compute_blocks}B{Bn_compute_blocks}".format(**parameters)]
        if parameters["max_warmup_steps"] is not None:
            parts[-1] += f"W{parameters['max_warmup_steps']}"
        if parameters["steps_computation_mask"]:
            parts.append("static masks" if parameters["steps_computation_policy"] == "static" else "masks")
        if parameters["calibrator_type"] == "foca":
            parts.append("FoCa")
        if parameters["calibrator_type"] == "taylorseer":
            parts.append(f"order {parameters['taylorseer_order']}")
        return ", ".join(parts)

    @classmethod
    def label(cls, parameters: dict[str, Any]) -> str:
        threshold = parameters["residual_diff_threshold"]
        parts = [] if threshold is None else [f"thr {threshold:.12g}"]
        return ", ".join([*parts, *filter(None, [parameters["steps_computation_mask"]])])


def _library() -> Any:
    """The package, which says on stdout, before each image, what it was told, unless it is kept from it."""
    os.environ.setdefault("CACHE_DIT_LOG_LEVEL", "error")
    import cache_dit

    return cache_dit
