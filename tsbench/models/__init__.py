"""Models: the embedded one, and any Flux of a hub or a folder."""
