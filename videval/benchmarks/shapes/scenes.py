"""Scenes: what a drawn clip shows, and its frames.

A `Scene` says what a clip shows, `render` draws it; both are pure functions of their arguments, so a seed is a data
set. Two kinds of scene:

- a *parade*: four figures, one after another, each for the same time, on one background;
- a *change*: one figure that moves, grows, shrinks, appears or disappears while its colour and the background may
  turn into others.

Clip time is `u` in [0, 8): with 8 frames chosen by the stride policy (frame `int(i * n / 8)` of n) frame i is at
u = i. Everything that happens at once happens half way between two of these, so that a frame number that is off by one
still shows the same thing, and what is shown is shown for equally many of the 8 (or the time of the event is drawn
symmetrically), so that frames without their order do not tell it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

SAMPLED = 8
SIDE = 96
FPS = 8.0
LENGTH = 32

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (225, 35, 35),
    "green": (40, 190, 60),
    "blue": (45, 85, 240),
    "yellow": (245, 225, 40),
    "purple": (165, 50, 215),
    "white": (248, 248, 248),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "gray": (128, 128, 128),
    "pink": (255, 170, 185),
    "brown": (115, 72, 38),
    "teal": (10, 120, 120),
    "navy": (22, 26, 78),
}
SHAPES = ("circle", "square", "triangle", "cross")
DIRECTIONS: dict[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
ACTIONS = ("grows", "shrinks", "appears", "disappears")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One coloured shape; `x`, `y` (centre) and `radius` are parts of the frame's side."""

    colour: str
    shape: str
    x: float
    y: float
    radius: float

    @property
    def name(self) -> str:
        """The figure in words, such as `red circle`."""
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a single frame shows: a background and at most one figure."""

    background: str
    figure: Figure | None


@dataclass(frozen=True, kw_only=True)
class Parade:
    """Four figures, each for a quarter of the clip."""

    background: str
    figures: tuple[Figure, ...]

    def look(self, u: float) -> Look:
        """What is seen at clip time u."""
        turn = int((u + 0.5) * len(self.figures) / SAMPLED)
        return Look(background=self.background, figure=self.figures[min(turn, len(self.figures) - 1)])


@dataclass(frozen=True, kw_only=True)
class Change:
    """One figure and what becomes of it: `action` is a direction, one of ACTIONS or None.

    `colours` and `backgrounds` hold one or two names; the second holds from `recolour_at` and `transition_at` on,
    an appearing or disappearing figure does so at `switch_at` (clip times).
    """

    figure: Figure
    action: str | None
    colours: tuple[str, ...]
    backgrounds: tuple[str, ...]
    recolour_at: float
    transition_at: float
    switch_at: float

    def look(self, u: float) -> Look:
        """What is seen at clip time u."""
        background = self.backgrounds[-1 if u >= self.transition_at else 0]
        if (self.action == "appears" and u < self.switch_at) or (self.action == "disappears" and u >= self.switch_at):
            return Look(background=background, figure=None)
        colour = self.colours[-1 if u >= self.recolour_at else 0]
        part = min(u, SAMPLED - 1.0) / (SAMPLED - 1.0) - 0.5
        x, y, radius = self.figure.x, self.figure.y, self.figure.radius
        if self.action in DIRECTIONS:
            dx, dy = DIRECTIONS[self.action]
            x, y = x + dx * part * TRAVEL, y + dy * part * TRAVEL
        elif self.action == "grows":
            radius += part * GROWTH
        elif self.action == "shrinks":
            radius -= part * GROWTH
        figure = Figure(colour=colour, shape=self.figure.shape, x=x, y=y, radius=radius)
        return Look(background=background, figure=figure)


Scene = Parade | Change

TRAVEL = 0.56
GROWTH = 0.24


def random_parade(rng: random.Random) -> Parade:
    """A parade of four figures of different colours and any shapes."""
    names = [(c, rng.choice(SHAPES)) for c in rng.sample(list(COLOURS), 4)]
    figures = tuple(
        Figure(colour=c, shape=s, x=rng.uniform(0.3, 0.7), y=rng.uniform(0.3, 0.7), radius=rng.uniform(0.2, 0.28))
        for c, s in names
    )
    return Parade(background=rng.choice(list(BACKGROUNDS)), figures=figures)


def random_change(rng: random.Random) -> Change:
    """A change: always an action, mostly a second background and, if the figure is there all the time, colour."""
    action = rng.choice([*DIRECTIONS, *DIRECTIONS, *ACTIONS, *ACTIONS])
    radius = rng.uniform(0.2, 0.26)
    x, y = rng.uniform(0.32, 0.68), rng.uniform(0.32, 0.68)
    if action in DIRECTIONS:
        dx, _ = DIRECTIONS[action]
        x, y = (rng.uniform(0.47, 0.53), y) if dx else (x, rng.uniform(0.47, 0.53))
    there = action not in ("appears", "disappears")
    colours = rng.sample(list(COLOURS), 2 if there and rng.random() < 0.85 else 1)
    backgrounds = rng.sample(list(BACKGROUNDS), 2 if rng.random() < 0.85 else 1)
    when = (2.5, 3.5, 3.5, 4.5)
    return Change(
        figure=Figure(colour=colours[0], shape=rng.choice(SHAPES), x=x, y=y, radius=radius),
        action=action,
        colours=tuple(colours),
        backgrounds=tuple(backgrounds),
        recolour_at=rng.choice(when),
        transition_at=rng.choice(when),
        switch_at=rng.choice(when),
    )


def frame_times(length: int) -> list[float]:
    """Clip time of each of a clip's `length` frames."""
    return [f * SAMPLED / length for f in range(length)]


def draw(looks: Sequence[Look], side: int) -> Frames:
    """Paint frames, uint8 [n, side, side, 3], edges softened over one pixel."""
    ground = np.array([BACKGROUNDS[k.background] for k in looks], np.float32)[:, None, None, :]
    figures = [k.figure for k in looks]
    ink = np.array([COLOURS[f.colour] if f else (0, 0, 0) for f in figures], np.float32)[:, None, None, :]
    x, y, r = (
        np.array([getattr(f, k) if f else -9.0 for f in figures], np.float32)[:, None, None] * side
        for k in ("x", "y", "radius")
    )
    shape = np.array([SHAPES.index(f.shape) if f else 0 for f in figures])
    at = np.arange(side, dtype=np.float32) + 0.5
    dx, dy = np.abs(at[None, None, :] - x), at[None, :, None] - y
    distance = np.empty((len(looks), side, side), np.float32)
    for number, name in enumerate(SHAPES):
        chosen = shape == number
        distance[chosen] = _distance(name, dx[chosen], dy[chosen], r[chosen])
    cover = np.clip(0.5 - distance, 0.0, 1.0)[..., None]
    painted: Frames = (ground + cover * (ink - ground) + 0.5).astype(np.uint8)
    return painted


def _distance(shape: str, dx: Floats, dy: Floats, r: Floats) -> Floats:
    """Signed distance to a shape's edge in pixels, negative inside; dx is |x - centre|, dy is y - centre."""
    distance: Floats
    if shape == "circle":
        distance = np.sqrt(dx * dx + dy * dy) - r
    elif shape == "square":
        distance = np.maximum(dx, np.abs(dy)) - 0.88 * r
    elif shape == "triangle":
        distance = np.maximum(dy, 0.866 * dx - 0.5 * dy) - 0.62 * r
    else:
        tall, wide = np.maximum(dx - r / 3, np.abs(dy) - r), np.maximum(dx - r, np.abs(dy) - r / 3)
        distance = np.minimum(tall, wide)
    return distance


def render(scene: Scene, *, length: int = LENGTH, side: int = SIDE) -> Frames:
    """All frames of a clip, uint8 [length, side, side, 3]."""
    return draw([scene.look(u) for u in frame_times(length)], side)
