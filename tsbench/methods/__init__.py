"""Caching methods, one per file; `registry.py` lists them.

Nothing of the registry is imported here: a package with methods of its own imports this, and the registry imports it.
"""

from tsbench.methods.base import Method

__all__ = ["Method"]
