"""Does a picture show what its caption says? Read off the picture by a program.

A picture is right when its background has the caption's colours, and the thing has its colour, its shape and its
place. The pixels of the thing are those around its place that differ from the background and agree with the thing's
colour, in any of the tones that its stripes or shading give it. They are compared with every shape, moved, scaled
and tilted, and with the tones of every colour: the best shape and the best colour must be the caption's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from tsbench.models.tiny.pictures import (
    COLOURS,
    PLACES,
    SHAPES,
    SIZES,
    Background,
    Scene,
    checker_tone,
    second_tone,
)

GRID = 64  # pictures are read at this size
SAME = 0.17  # largest difference of a channel at which two colours are taken for the same
LEAST_OVERLAP = 0.55  # intersection over union with the best template


@dataclass(frozen=True)
class Verdict:
    """What was found of a caption."""

    background: bool
    colour: bool
    shape: bool
    place: bool

    @property
    def everything(self) -> bool:
        return self.background and self.colour and self.shape and self.place


def check(picture: np.ndarray, scene: Scene) -> Verdict:
    """Compare a square picture, uint8 [size, size, 3], with the scene of its caption."""
    image, thing = _shrink(picture), scene.thing
    x, y = _coordinates()
    from_background = _distance(image, _background_tones(scene.background, y))
    free = ~_template(thing.shape, SIZES[thing.size] * 1.1, *PLACES[thing.place], 0.0)
    background = bool((from_background[free] < SAME).mean() > 0.8)

    centre_x, centre_y = PLACES[thing.place]
    window = np.hypot(x - centre_x, y - centre_y) < SIZES[thing.size] * 1.3 + 0.06
    own = (from_background > SAME * 0.7) & (_distance(image, _tones(thing.colour, thing.fill)) < SAME) & window
    shapes, masks = _templates(thing.size, thing.place)
    seen = masks & window
    overlap = (seen & own).sum(axis=(1, 2)) / np.maximum((seen | own).sum(axis=(1, 2)), 1)
    best = int(overlap.argmax())
    place = bool(overlap[best] > LEAST_OVERLAP)
    pixels = image[seen[best]]
    errors = {name: _distance(pixels, _tones(name, thing.fill)).mean() if len(pixels) else 9.0 for name in COLOURS}
    colour = min(errors, key=lambda name: errors[name]) == thing.colour
    return Verdict(background, colour, place and shapes[best] == thing.shape, place)


def _tones(colour: str, fill: str) -> np.ndarray:
    """[n, 3] in [0, 1]: what the pixels of a thing may look like."""
    rgb = np.array(COLOURS[colour]) / 255
    if fill == "striped":
        other = second_tone(rgb)
        return np.array([rgb, (rgb + other) / 2, other])
    if fill == "shaded":
        return np.array([rgb * light + 0.25 * max(light - 0.6, 0) for light in np.linspace(0.3, 1.1, 9)])
    return rgb[None]


def _background_tones(background: Background, y: np.ndarray) -> np.ndarray:
    """[n, GRID, GRID, 3] in [0, 1]."""
    colours = [np.array(COLOURS[name]) / 255 for name in background.colours]
    if background.kind == "gradient":
        return (colours[0] * (1 - y[..., None]) + colours[1] * y[..., None])[None]
    (rgb,) = colours
    other = checker_tone(rgb)
    tones = [rgb, (rgb + other) / 2, other] if background.kind == "checkered" else [rgb]
    return np.array(tones)[:, None, None, :]


def _distance(pixels: np.ndarray, tones: np.ndarray) -> np.ndarray:
    """Largest difference of a channel from the nearest tone."""
    if tones.ndim == 2:
        tones = tones.reshape(len(tones), *(1,) * (pixels.ndim - 1), 3)
    return np.abs(pixels[None] - tones).max(axis=-1).min(axis=0)


@cache
def _coordinates() -> tuple[np.ndarray, np.ndarray]:
    rows = (np.arange(GRID) + 0.5) / GRID
    x, y = np.meshgrid(rows, rows)
    return x, y


@cache
def _templates(size: str, place: str) -> tuple[list[str], np.ndarray]:
    """Every shape as it may be drawn at a place: names, and bool [n, GRID, GRID]."""
    shapes, masks = [], []
    shifts = np.linspace(-0.075, 0.075, 7)
    for shape, scale, tilt in product(SHAPES, (0.9, 1.0, 1.1), (-10.0, 0.0, 10.0)):
        if tilt and shape in ("circle", "ring"):
            continue
        for dx, dy in product(shifts, shifts):
            centre = PLACES[place][0] + dx, PLACES[place][1] + dy
            shapes.append(shape)
            masks.append(_template(shape, SIZES[size] * scale, *centre, tilt))
    return shapes, np.array(masks)


def _template(shape: str, radius: float, centre_x: float, centre_y: float, tilt: float) -> np.ndarray:
    x, y = _coordinates()
    angle = np.deg2rad(tilt)
    dx, dy = (x - centre_x) / radius, (y - centre_y) / radius
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    return SHAPES[shape](u, v) < 0


def _shrink(picture: np.ndarray) -> np.ndarray:
    """float [GRID, GRID, 3] in [0, 1]."""
    size = picture.shape[0]
    edges = np.linspace(0, size, GRID + 1).round().astype(int)
    sums = np.add.reduceat(np.add.reduceat(picture.astype(float), edges[:-1], axis=0), edges[:-1], axis=1)
    counts = np.diff(edges)[:, None, None] * np.diff(edges)[None, :, None]
    return sums / counts / 255
