"""tsbench: speed against quality of caching methods for diffusion transformers."""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`taylor_seer`, imported when it is asked for: the command line stays quick."""
    if name != "taylor_seer":
        raise AttributeError(f"module 'tsbench' has no attribute {name!r}")
    from tsbench.forecast import taylor_seer

    return taylor_seer
