"""The frames that every recipe shows of five made-up videos: writes tests/golden/recipes.json.

    python -m tools.golden.recipes [FILE]

Without a FILE it prints. Long lists are kept as their count, ends and digest: they are exact all the same.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from videval.errors import UsageError
from videval.orders import order_of_recipe
from videval.recipes import Recipe, recipes
from videval.types import FrameSampling
from videval.video.sampling import frame_indices

__all__ = ["VIDEOS", "frames_of_recipes"]

VIDEOS: Mapping[str, tuple[int, float]] = {
    "3 frames": (3, 30.0),
    "11 s": (330, 30.0),
    "95.1 s, 23.976 fps": (2280, 23.976),
    "8 min": (12_000, 25.0),
    "67 min": (120_600, 29.97),
}
"""Made-up videos: how many frames they have, and how many in a second."""

WHOLE = 12
"""Frames of a list that is kept as it is."""


def frames_of_recipes() -> dict[str, Any]:
    """What each recipe shows of each video; recipes that leave the frames to the variant that is asked are left out."""
    return {
        recipe.name: {name: _kept(frame_indices(total, fps, sampling)) for name, (total, fps) in VIDEOS.items()}
        for recipe in recipes()
        if (sampling := _sampling(recipe))
    }


def _sampling(recipe: Recipe) -> FrameSampling | None:
    """The frames as a run would have them; of a recipe that cannot be run here, as it says them."""
    try:
        return order_of_recipe(recipe).sampling()
    except UsageError:
        return recipe.sampling


def _kept(frames: Sequence[int]) -> dict[str, Any]:
    if len(frames) <= WHOLE:
        return {"frames": list(frames)}
    digest = hashlib.sha256(json.dumps(list(frames)).encode()).hexdigest()
    return {"count": len(frames), "first": list(frames[:4]), "last": list(frames[-4:]), "sha256": digest}


def main(arguments: Sequence[str]) -> None:
    """Write the file, or print it."""
    text = json.dumps(frames_of_recipes(), indent=1) + "\n"
    if arguments:
        Path(arguments[0]).write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main(sys.argv[1:])
