"""Whether frames that were brought to a model's size before are what its processor would have made of whole ones."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from videval.errors import ModelFailure
from videval.types import Clip

__all__ = ["check_fitted"]

NOT_OF_SIZE = ("videos", "video_metadata", "do_sample_frames", "return_tensors")
HINT = "VIDEVAL_FIT_FRAMES=false keeps frames whole"


def check_fitted(clips: Sequence[Clip], processor: Any, told: Mapping[str, Any]) -> None:
    """Raise ModelFailure unless the processor makes the size that the clips' frames have of the size that they had.

    It is shown frames without content, which cost nothing: all that they have is a size.
    """
    size = {name: value for name, value in told.items() if name not in NOT_OF_SIZE}
    for clip in clips:
        if clip.source_width is not None and clip.source_height is not None:
            whole = _made(processor, clip.num_frames, clip.source_height, clip.source_width, size)
            fitted = _made(processor, clip.num_frames, clip.height, clip.width, size)
            if whole != fitted or not _is_resized_to(clip, fitted):
                kept, source = f"{clip.width}x{clip.height}", f"{clip.source_width}x{clip.source_height}"
                said = f"frames were kept at {kept}, which is not what this processor makes of {source}"
                raise ModelFailure(said, hint=HINT)


def _made(processor: Any, frames: int, height: int, width: int, told: Mapping[str, Any]) -> list[Any]:
    """The shape of what it makes of so many frames of that size."""
    shown = torch.empty((frames, 3, height, width), dtype=torch.uint8, device="meta")
    made = processor(videos=[shown], do_sample_frames=False, return_tensors="pt", **told)
    grid = made.get("video_grid_thw")
    return [math.prod(made["pixel_values_videos"].shape), None if grid is None else grid.tolist()]


def _is_resized_to(clip: Clip, made: Sequence[Any]) -> bool:
    """Whether these are the values of its frames at the size that they have; steps of time may be filled up."""
    frames, rest = divmod(made[0], 3 * clip.height * clip.width)
    return not rest and clip.num_frames <= frames <= 2 * clip.num_frames
