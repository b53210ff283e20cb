"""Caching methods, one a file. Adding one: a file here, a line in `METHODS`, a YAML in conf/method/."""

from tsbench.methods.base import Method
from tsbench.methods.taylorseer import TaylorSeer

METHODS: dict[str, type[Method]] = {"none": Method, "taylorseer": TaylorSeer}

__all__ = ["METHODS", "Method"]
