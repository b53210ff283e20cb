"""Captioned pictures, drawn from a seed: all that the embedded model has ever seen.

A caption says exactly what is there, in a small fixed grammar (`GRAMMAR`); where it is silent (the exact place,
size, tilt and shade of a thing) the random generator decides. A scene is drawn from signed distances, so the same
scene can be drawn at any size with sharp, antialiased edges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

COLOURS = {
    "red": (214, 40, 40),
    "orange": (245, 133, 24),
    "yellow": (248, 216, 54),
    "green": (34, 148, 74),
    "blue": (38, 84, 200),
    "purple": (132, 48, 160),
    "white": (242, 242, 242),
    "black": (24, 24, 28),
}
SIZES = {"small": 0.17, "large": 0.25}  # radius, in picture heights
FILLS = ("plain", "striped", "shaded")
PLACES = {  # x, y of the centre
    "top-left": (0.28, 0.28),
    "top-right": (0.72, 0.28),
    "bottom-left": (0.28, 0.72),
    "bottom-right": (0.72, 0.72),
    "centre": (0.5, 0.5),
}
LINES = ("horizontal", "vertical", "diagonal")
BACKGROUNDS = ("plain", "gradient", "checkered")

GRAMMAR = f"""\
caption    = thing [", thin " colour " " line " line"], " background
thing      = size " " [fill " "] colour " " shape " at " place
background = colour " background" | colour " checkered background" | colour " to " colour " gradient background"
size       = {" | ".join(SIZES)}
fill       = {" | ".join(FILLS[1:])}
colour     = {" | ".join(COLOURS)}
shape      = circle | square | triangle | ring | cross | star
place      = {" | ".join(PLACES)}
line       = {" | ".join(LINES)}
nothing has a colour of the background
example: large striped red circle at top-right, thin white diagonal line, blue to green gradient background"""

Plane = np.ndarray  # float32 [H, W]


@dataclass(frozen=True)
class Thing:
    """What a picture shows; every field is a word of the grammar."""

    size: str
    fill: str
    colour: str
    shape: str
    place: str

    def __str__(self) -> str:
        fill = "" if self.fill == "plain" else f"{self.fill} "
        return f"{self.size} {fill}{self.colour} {self.shape} at {self.place}"


@dataclass(frozen=True)
class Line:
    """A thin line across the whole picture."""

    colour: str
    direction: str

    def __str__(self) -> str:
        return f"thin {self.colour} {self.direction} line"


@dataclass(frozen=True)
class Background:
    """What lies behind everything; a gradient runs from its first colour (top) to its second (bottom)."""

    kind: str
    colours: tuple[str, ...]

    def __str__(self) -> str:
        kind = "" if self.kind == "plain" else f" {self.kind}"
        return f"{' to '.join(self.colours)}{kind} background"


@dataclass(frozen=True)
class Scene:
    """What a caption says; `str(scene)` is the caption."""

    thing: Thing
    line: Line | None
    background: Background

    def __str__(self) -> str:
        return ", ".join(str(part) for part in (self.thing, self.line, self.background) if part is not None)


def _circle(x: Plane, y: Plane) -> Plane:
    return np.hypot(x, y) - 1


def _ring(x: Plane, y: Plane) -> Plane:
    return np.abs(np.hypot(x, y) - 0.78) - 0.22


def _square(x: Plane, y: Plane) -> Plane:
    return np.maximum(np.abs(x), np.abs(y)) - 0.86


def _triangle(x: Plane, y: Plane) -> Plane:
    y = y - 0.15
    return np.maximum(np.abs(x) * 0.866 - y * 0.5, y) - 0.6


def _cross(x: Plane, y: Plane) -> Plane:
    x, y = np.abs(x), np.abs(y)
    return np.minimum(np.maximum(x - 0.3, y - 1), np.maximum(x - 1, y - 0.3))


def _star(x: Plane, y: Plane) -> Plane:
    """Five points: fold the plane into one half point, then the distance to its one edge."""
    wedge = np.pi / 5
    angle = np.abs((np.arctan2(x, -y) + wedge) % (2 * wedge) - wedge)
    radius = np.hypot(x, y)
    px, py = radius * np.cos(angle), radius * np.sin(angle)
    tip, notch = np.array([1.1, 0.0]), 0.48 * np.array([np.cos(wedge), np.sin(wedge)])
    edge = (notch - tip) / np.hypot(*(notch - tip))
    return (px - tip[0]) * edge[1] - (py - tip[1]) * edge[0]


SHAPES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "ring": _ring,
    "cross": _cross,
    "star": _star,
}


def random_scene(rng: np.random.Generator) -> Scene:
    """A scene in which nothing has a colour of the background."""
    kind = str(rng.choice(BACKGROUNDS, p=(0.45, 0.3, 0.25)))
    colours = [str(colour) for colour in rng.permutation(list(COLOURS))]
    background = Background(kind, tuple(colours[: 2 if kind == "gradient" else 1]))
    free = [colour for colour in COLOURS if colour not in background.colours]
    thing = Thing(
        str(rng.choice(list(SIZES))),
        str(rng.choice(FILLS, p=(0.5, 0.25, 0.25))),
        str(rng.choice(free)),
        str(rng.choice(list(SHAPES))),
        str(rng.choice(list(PLACES))),
    )
    line = Line(str(rng.choice(free)), str(rng.choice(LINES))) if rng.random() < 0.2 else None
    return Scene(thing, line, background)


def parse(caption: str) -> Scene:
    """Read a caption back into the scene it describes.

    Raises:
        ValueError: if the caption leaves the grammar; the message names the phrase.
    """
    *phrases, last = [phrase.strip() for phrase in caption.strip().split(",")]
    background = _parse_background(last)
    things, line = [], None
    for phrase in phrases:
        match phrase.split():
            case ["thin", colour, direction, "line"] if colour in COLOURS and direction in LINES and line is None:
                line = Line(colour, direction)
            case [size, *fill, colour, shape, "at", place] if place in PLACES:
                things.append(_thing(phrase, size, fill, colour, shape, place))
            case _:
                raise _unknown(phrase)
    if len(things) != 1:
        raise ValueError(f"{len(things)} things are not in the grammar of the embedded model, only one")
    if hidden := {part.colour for part in (things[0], line) if part is not None} & set(background.colours):
        raise ValueError(f"something {min(hidden)} on a {background} is not in the grammar of the embedded model")
    return Scene(things[0], line, background)


def _thing(phrase: str, size: str, fill: list[str], colour: str, shape: str, place: str) -> Thing:
    known = size in SIZES and colour in COLOURS and shape in SHAPES and (not fill or fill[0] in FILLS[1:])
    if not known or len(fill) > 1:
        raise _unknown(phrase)
    return Thing(size, fill[0] if fill else "plain", colour, shape, place)


def _parse_background(phrase: str) -> Background:
    match phrase.split():
        case [colour, "background"] if colour in COLOURS:
            return Background("plain", (colour,))
        case [colour, "checkered", "background"] if colour in COLOURS:
            return Background("checkered", (colour,))
        case [top, "to", bottom, "gradient", "background"] if top in COLOURS and bottom in COLOURS:
            return Background("gradient", (top, bottom))
    raise _unknown(phrase)


def _unknown(phrase: str) -> ValueError:
    return ValueError(f"{phrase!r} is not in the grammar of the embedded model")


def draw(scene: Scene, size: int | tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw a scene.

    Args:
        scene: what to draw.
        size: height and width in pixels, or one number for both.
        rng: decides what the caption leaves open; the same generator state gives the same scene at any size.

    Returns:
        uint8 [height, width, 3], RGB.
    """
    height, width = (size, size) if isinstance(size, int) else size
    rows = (np.arange(height, dtype=np.float32) + 0.5) / height
    columns = (np.arange(width, dtype=np.float32) + 0.5) / height  # one unit both ways: shapes keep their proportions
    x, y = np.meshgrid(columns, rows)
    aspect = width / height
    canvas = _draw_background(scene.background, x, y, rng)
    _draw_thing(canvas, scene.thing, x, y, aspect, height, rng)
    if scene.line is not None:
        _draw_line(canvas, scene.line, x, y, aspect, height, rng)
    return (canvas.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _colour(name: str, rng: np.random.Generator) -> np.ndarray:
    return (np.array(COLOURS[name], np.float32) / 255 + rng.normal(0, 0.02, 3).astype(np.float32)).clip(0, 1)


def second_tone(colour: np.ndarray) -> np.ndarray:
    """The other tone of a stripe or a check: the same colour, clearly darker, or lighter where it is dark."""
    return colour * 0.62 if colour.max() > 0.45 else colour * 0.6 + 0.32


def checker_tone(colour: np.ndarray) -> np.ndarray:
    """The tone of every other square of a checkered background, nearer to the colour than a thing's second tone."""
    return colour * 0.8 if colour.max() > 0.45 else colour * 0.8 + 0.14


def _draw_background(background: Background, x: Plane, y: Plane, rng: np.random.Generator) -> np.ndarray:
    colours = [_colour(name, rng) for name in background.colours]
    cells, phase_x, phase_y = rng.uniform(5, 7), *rng.uniform(0, 1, 2)
    if background.kind == "gradient":
        weight = y[..., None]
        return colours[0] * (1 - weight) + colours[1] * weight
    if background.kind == "checkered":
        odd = (np.floor(x * cells + phase_x) + np.floor(y * cells + phase_y)) % 2
        return np.where(odd[..., None] == 1, checker_tone(colours[0]), colours[0]).astype(np.float32)
    return np.broadcast_to(colours[0], (*x.shape, 3)).astype(np.float32)


def _draw_thing(
    canvas: np.ndarray, thing: Thing, x: Plane, y: Plane, aspect: float, height: int, rng: np.random.Generator
) -> None:
    centre_x, centre_y = PLACES[thing.place]
    shift_x, shift_y = rng.uniform(-0.03, 0.03, 2)
    radius = SIZES[thing.size] * rng.uniform(0.95, 1.05)
    tilt = np.deg2rad(rng.uniform(-10, 10))
    stripes, stripe_angle = rng.uniform(2.2, 2.8), rng.uniform(0, np.pi)
    colour = _colour(thing.colour, rng)

    dx, dy = (x - (centre_x + shift_x) * aspect) / radius, (y - centre_y - shift_y) / radius
    u, v = dx * np.cos(tilt) + dy * np.sin(tilt), dy * np.cos(tilt) - dx * np.sin(tilt)
    coverage = (0.5 - SHAPES[thing.shape](u, v) * radius * height).clip(0, 1)[..., None]
    paint: np.ndarray = colour
    if thing.fill == "striped":
        wave = np.sin((dx * np.cos(stripe_angle) + dy * np.sin(stripe_angle)) * stripes * np.pi)
        edge = (wave * radius * height / (stripes * np.pi) + 0.5).clip(0, 1)[..., None]
        paint = colour * edge + second_tone(colour) * (1 - edge)
    elif thing.fill == "shaded":
        light = (1.1 - 0.5 * np.hypot(dx + 0.4, dy + 0.4))[..., None].clip(0.25, 1.1)
        paint = colour * light + 0.25 * (light - 0.6).clip(0)
    canvas += coverage * (paint - canvas)


def _draw_line(
    canvas: np.ndarray, line: Line, x: Plane, y: Plane, aspect: float, height: int, rng: np.random.Generator
) -> None:
    angle = {"horizontal": 0.0, "vertical": 90.0, "diagonal": 45.0}[line.direction] + rng.uniform(-6, 6)
    offset = rng.uniform(-0.15, 0.15)
    normal = np.deg2rad(angle + 90)
    distance = np.abs((x - aspect / 2) * np.cos(normal) + (y - 0.5) * np.sin(normal) - offset) - 0.008
    canvas += (0.5 - distance * height).clip(0, 1)[..., None] * (_colour(line.colour, rng) - canvas)


def scene_of(seed: int, index: int) -> tuple[Scene, np.random.Generator]:
    """Picture `index` of the endless collection `seed`: its scene, and the generator to draw it with."""
    rng = np.random.default_rng((seed, index))
    return random_scene(rng), rng


def picture(seed: int, index: int, size: int) -> np.ndarray:
    """Picture `index` of the collection `seed`, uint8 [size, size, 3]."""
    scene, rng = scene_of(seed, index)
    return draw(scene, size, rng)


if __name__ == "__main__":
    print(GRAMMAR)
