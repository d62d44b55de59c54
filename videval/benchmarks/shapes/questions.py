"""Questions about a scene: all that it can answer, with the odds that a model's controls are held against."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from videval.benchmarks.shapes.scenes import ACTIONS, BACKGROUNDS, COLOURS, DIRECTIONS, SHAPES, Change, Parade, Scene

TASKS = (
    "Action Antonym", "Action Localization", "Action Sequence", "Moving Direction",
    "Object Existence", "Scene Transition", "State Change",
)  # fmt: skip
QUARTERS = ["in the first quarter", "in the second quarter", "in the third quarter", "in the last quarter"]
OPPOSITE = {
    "left": "right", "right": "left", "up": "down", "down": "up",
    "grows": "shrinks", "shrinks": "grows", "appears": "disappears", "disappears": "appears",
}  # fmt: skip


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
