"""Moving shapes: short drawn clips whose questions can be answered from the right frames in the right order only.

A `Scene` says what a clip shows, `render` draws it, `questions` asks about it. All three are pure functions of their
arguments, so a seed is a data set. Two kinds of scene:

- a *parade*: four figures, one after another, each for the same time, on one background;
- a *change*: one figure that moves, grows, shrinks, appears or disappears while its colour and the background may
  turn into others.

Clip time is `u` in [0, 8): with 8 frames chosen by the stride policy (frame `int(i * n / 8)` of n) frame i is at
u = i. Everything that happens at once happens half way between two of these, so that a frame number that is off by one
still shows the same thing, and what is shown is shown for equally many of the 8 (or the time of the event is drawn
symmetrically), so that frames without their order do not tell it.
"""

from __future__ import annotations

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
TASKS = (
    "Action Antonym", "Action Localization", "Action Sequence", "Moving Direction",
    "Object Existence", "Scene Transition", "State Change",
)  # fmt: skip
QUARTERS = ["in the first quarter", "in the second quarter", "in the third quarter", "in the last quarter"]
ACTIONS = ("grows", "shrinks", "appears", "disappears")
OPPOSITE = {
    "left": "right", "right": "left", "up": "down", "down": "up",
    "grows": "shrinks", "shrinks": "grows", "appears": "disappears", "disappears": "appears",
}  # fmt: skip


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


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question about a scene, with the odds that its controls are held against.

    `reversed_answer` is right when the frames run backwards (None: their order does not matter); `order_free` is the
    best possible share of right answers without the order of the frames.
    """

    task: str
    text: str
    options: tuple[str, ...]
    answer: str
    reversed_answer: str | None
    order_free: float

    @property
    def chance(self) -> float:
        """The share of right answers by choosing an option blindly."""
        return 1 / len(self.options)


def questions(scene: Scene, rng: random.Random) -> list[Question]:
    """Every question that a scene can answer, options in random order, in random order."""
    found = _parade_questions(scene, rng) if isinstance(scene, Parade) else _change_questions(scene, rng)
    rng.shuffle(found)
    return found


def _parade_questions(scene: Parade, rng: random.Random) -> list[Question]:
    names = [f.name for f in scene.figures]
    other = _absent(names, rng)
    found = [
        _question("Action Sequence", "Which shape is shown first?", names, names[0], names[-1], 0.25, rng),
        _question("Action Sequence", "Which shape is shown last?", names, names[-1], names[0], 0.25, rng),
    ]
    for k in (1, 2):
        options = [n for n in names if n != names[k]] + [other]
        for word, step in (("after", 1), ("before", -1)):
            text = f"Which shape is shown right {word} the {names[k]}?"
            found.append(_question("Action Sequence", text, options, names[k + step], names[k - step], 1 / 3, rng))
    for k, name in enumerate(names):
        text = f"When is the {name} shown?"
        found.append(_question("Action Localization", text, QUARTERS, QUARTERS[k], QUARTERS[3 - k], 0.25, rng))
    for name, answer in ((rng.choice(names), "yes"), (_absent(names, rng), "no")):
        found.append(_question("Object Existence", f"Is a {name} shown?", ["yes", "no"], answer, None, 1.0, rng))
    return found


def _absent(names: list[str], rng: random.Random) -> str:
    """A figure of a colour that a parade does not show."""
    shown = {name.split()[0] for name in names}
    return f"{rng.choice([c for c in COLOURS if c not in shown])} {rng.choice(SHAPES)}"


def _change_questions(scene: Change, rng: random.Random) -> list[Question]:
    found = []
    shape = scene.figure.shape
    if len(scene.backgrounds) == 2:
        text = "How does the background change?"
        found.append(_turn("Scene Transition", text, scene.backgrounds, list(BACKGROUNDS), rng))
    if len(scene.colours) == 2:
        text = f"How does the color of the {shape} change?"
        found.append(_turn("State Change", text, scene.colours, list(COLOURS), rng))
    if scene.action in DIRECTIONS:
        text = f"In which direction does the {shape} move?"
        opposite = OPPOSITE[scene.action]
        found.append(_question("Moving Direction", text, list(DIRECTIONS), scene.action, opposite, 0.5, rng))
    elif scene.action:
        text = f"What does the {shape} do?"
        options = [f"it {a}" for a in ACTIONS]
        opposite = f"it {OPPOSITE[scene.action]}"
        found.append(_question("Action Antonym", text, options, f"it {scene.action}", opposite, 0.5, rng))
    return found


def _turn(task: str, text: str, pair: tuple[str, ...], words: list[str], rng: random.Random) -> Question:
    """Which of two words turned into which; the wrong options are the way back and another pair, both ways."""
    a, b = pair
    c, d = rng.sample([w for w in words if w not in pair], 2)
    options = [f"from {p} to {q}" for p, q in ((a, b), (b, a), (c, d), (d, c))]
    return _question(task, text, options, options[0], options[1], 0.5, rng)


def _question(
    task: str, text: str, options: list[str], answer: str, back: str | None, order_free: float, rng: random.Random
) -> Question:
    mixed = tuple(rng.sample(options, len(options)))
    return Question(task=task, text=text, options=mixed, answer=answer, reversed_answer=back, order_free=order_free)


def user_text(question: str, options: Sequence[str]) -> str:
    """The words of the prompt after the video."""
    return f"{question}\nChoose one: {'; '.join(options)}."


CODEC_SUFFIX = {"h264": ".mp4", "av1": ".mp4", "vp9": ".webm", "gif": ".gif", "frames": ""}
HELD_OUT = 20_000_003


@dataclass(frozen=True, kw_only=True)
class DemoClip:
    """A clip of the demo benchmark: its scene, the scenes shown before and after it, its questions and its file.

    `video` is a file name, or a folder's where `codec` is `frames`; the other codecs are those of `write_video`.
    """

    video: str
    codec: str
    scene: Scene
    before: tuple[Scene, ...]
    after: tuple[Scene, ...]
    questions: tuple[Question, ...]

    @property
    def span(self) -> tuple[float, float] | None:
        """Start and end of the scene in seconds; None if it is the whole clip."""
        if not self.before and not self.after:
            return None
        return len(self.before) * LENGTH / FPS, (len(self.before) + 1) * LENGTH / FPS

    def frames(self) -> Frames:
        """All frames, uint8 [32 per scene, 96, 96, 3], to be shown at FPS."""
        return np.concatenate([render(scene) for scene in (*self.before, self.scene, *self.after)])


@dataclass(frozen=True, kw_only=True)
class DemoRow:
    """One question in MVBench's column layout."""

    index: int
    video: str
    question: str
    answer: str
    candidates: str
    task_type: str
    prefix: str
    data_type: str
    bound: bool
    start: float | None
    end: float | None


def demo_clips(*, clips: int = 100, asked: int = 300, bounded: bool = False, seed: int = 0) -> list[DemoClip]:
    """The demo benchmark's clips with `asked` questions in all, other than those trained on; the same each time.

    `bounded`: each scene stands somewhere in a clip three times as long, beside two others of the same kind.
    Change scenes are asked all that they can be; parades one question of each task and then more about the order.
    """
    rng = random.Random(f"demo {HELD_OUT} {seed} {bounded}")
    kinds = [random_parade if number * 43 % 100 < 43 else random_change for number in range(clips)]
    scenes = [kind(rng) for kind in kinds]
    found = [_in_turn(questions(scene, rng)) for scene in scenes]
    counts = _shares(scenes, found, asked)
    made = []
    for number, (scene, kind, some, count) in enumerate(zip(scenes, kinds, found, counts, strict=True)):
        codec = _codec(number)
        others = tuple(kind(rng) for _ in range(2)) if bounded else ()
        cut = rng.randrange(3) if bounded else 0
        clip = DemoClip(
            video=f"{number:03d}{CODEC_SUFFIX[codec]}",
            codec=codec,
            scene=scene,
            before=others[:cut],
            after=others[cut:],
            questions=tuple(some[:count]),
        )
        made.append(clip)
    return made


def demo_rows(clips: Sequence[DemoClip], prefix: str) -> list[DemoRow]:
    """The questions of clips whose files lie in the folder `prefix`, in MVBench's column layout."""
    rows: list[DemoRow] = []
    for clip in clips:
        start, end = clip.span or (None, None)
        for question in clip.questions:
            row = DemoRow(
                index=len(rows),
                video=clip.video,
                question=question.text,
                answer=question.answer,
                candidates=str(list(question.options)),
                task_type=question.task,
                prefix=prefix,
                data_type="frame" if clip.codec == "frames" else "video",
                bound=clip.span is not None,
                start=start,
                end=end,
            )
            rows.append(row)
    return rows


def _codec(number: int) -> str:
    """Four clips in 33 are not h264, one of each other kind."""
    return {5: "av1", 13: "vp9", 21: "gif", 29: "frames"}.get(number % 33, "h264")


def _in_turn(some: list[Question]) -> list[Question]:
    """One question of each task, then the others about the order."""
    first = {q.task: q for q in some}
    return [*first.values(), *(q for q in some if q.task == "Action Sequence" and q is not first[q.task])]


def _shares(scenes: Sequence[Scene], found: Sequence[list[Question]], asked: int) -> list[int]:
    """How many questions each clip is asked: what parades get beyond three makes up for changes with fewer."""
    counts = [min(3, len(some)) for some in found]
    parades = [k for k, scene in enumerate(scenes) if isinstance(scene, Parade)]
    spare = asked - sum(counts)
    for turn in range(max(0, spare)):
        counts[parades[turn % len(parades)]] += 1
    return counts
