"""Which components of a pipeline can be quantized, and how their libraries call it."""

from __future__ import annotations

from typing import Any

from tsbench.errors import UserError
from tsbench.packages import needs_package

QUANTIZATION_CLASSES = {"bitsandbytes": "BitsAndBytesConfig", "quanto": "QuantoConfig"}  # of both libraries
OF_LAYERS = ("bitsandbytes", "optimum")  # the packages of quantized layers
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
COMPONENTS = ("transformer", *TEXT_ENCODERS, "vae")


def check_installed(backend: str) -> None:
    """Raise `UserError` if the library of a quantization is missing."""
    package = {"bitsandbytes": "bitsandbytes", "quanto": "optimum-quanto"}[backend]
    if missing := needs_package(package, "quantization"):
        raise UserError(f"runtime.quantization.backend={backend} cannot be used here: {missing}.")


def check_is_quantized(name: str, component: Any) -> None:
    """Raise `ValueError` if no layer of a component was quantized: of some kinds and sizes none can be."""
    if not any(type(layer).__module__.partition(".")[0] in OF_LAYERS for layer in component.modules()):
        raise ValueError(f"no layer of the {name} was quantized; leave it out of runtime.quantization.components")


def quantization_call(backend: str, component: str, kwargs: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """How a component of the pipeline is quantized: its library, the class there, and the arguments by its names."""
    if component not in TEXT_ENCODERS:
        return "diffusers", QUANTIZATION_CLASSES[backend], kwargs
    names = {"weights_dtype": "weights"} if backend == "quanto" else {}
    renamed = {names.get(name, name): value for name, value in kwargs.items()}
    return "transformers", QUANTIZATION_CLASSES[backend], renamed
