"""Caching methods, one a file. Adding one: a file here, a line in `METHODS`, a YAML in conf/method/."""

from tsbench.methods.base import Method
from tsbench.methods.fewer_steps import FewerSteps
from tsbench.methods.openvino_taylorseer import OpenVinoTaylorSeer
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.methods.taylorseer_official import TaylorSeerOfficial

METHODS: dict[str, dict[str, type[Method]]] = {  # by backend, by name
    "diffusers": {m.name: m for m in (Method, FewerSteps, TaylorSeer, TaylorSeerOfficial)},
    "openvino": {m.name: m for m in (Method, FewerSteps, OpenVinoTaylorSeer)},
}

__all__ = ["METHODS", "Method"]
