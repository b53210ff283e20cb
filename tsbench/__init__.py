"""tsbench: speed against quality of caching methods for diffusion transformers."""

__version__ = "0.1.0"
