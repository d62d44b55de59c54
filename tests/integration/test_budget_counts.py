"""The number of tokens that a clip will have is the number that the real processor makes of it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoProcessor
from transformers.video_utils import VideoMetadata

from tests.tiny import TINY, tiny
from videval.errors import ModelFailure
from videval.models.budget import AT_MOST, RULES, Processing, most_tokens, processing_of, visual_tokens
from videval.models.families import Family, family_of
from videval.models.sizes import size_told, soft_tokens_told
from videval.types import Pixels

__all__ = ["tiny"]

SHAPES = [(1, 64, 48), (2, 90, 160), (3, 31, 97), (5, 200, 120), (8, 58, 58)]
"""(frames, height, width)"""
LIMITS = [Pixels(), Pixels(max_pixels=6_000), Pixels(min_pixels=3_000, total_pixels=30_000)]
OF_TOKENS = [Pixels(), Pixels(max_pixels=200_000), Pixels(total_pixels=2_000_000)]
"""For families that take some numbers of tokens: least 70 of 48 x 48."""
COUNTED = ("image_token_id", "video_token_id")
OF_ROWS = {"molmo2": ("<im_patch>", "<im_col>"), "gemma3": ("<image_soft_token>",)}
"""`model_type` -> the tokens that are counted where they are not the processor's image and video tokens."""
TOLD: Mapping[str, Mapping[str, Any]] = {
    "minicpmv4_6": {"max_slice_nums": 1},
    "minicpmv4_7": {"max_slice_nums": 1},
}
"""What `hf_chat` tells a family's processor, and changes the number of tokens."""
TOO_SHORT = {"qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe", "glm4v", "glm4v_moe", "glm46v", "glmga"}
"""Families whose processors refuse a single frame."""


def made(folder: Path, frames: np.ndarray[Any, Any], told: Mapping[str, Any], *, images: bool) -> list[int]:
    """The token ids of a question about these frames, by the real processor and what it is told."""
    processor = AutoProcessor.from_pretrained(folder)
    shown = [{"type": "image"}] * len(frames) if images else [{"type": "video"}]
    talk = [{"role": "user", "content": [*shown, {"type": "text", "text": "What?"}]}]
    text = processor.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
    if images:
        given = {"images": list(frames), "images_kwargs": dict(told)}
    else:
        count, height, width = frames.shape[:3]
        about = VideoMetadata(
            total_num_frames=count, fps=2.0, width=width, height=height, duration=count / 2.0,
            frames_indices=list(range(count)),
        )  # fmt: skip
        given = {"videos": [frames], "videos_kwargs": {**told, "do_sample_frames": False, "video_metadata": [about]}}
    ids: list[int] = processor(text=[text], **given, return_tensors="pt")["input_ids"][0].tolist()
    return ids


def counted(folder: Path, model_type: str, ids: list[int]) -> int:
    processor = AutoProcessor.from_pretrained(folder)
    rows = {processor.tokenizer.convert_tokens_to_ids(name) for name in OF_ROWS.get(model_type, ())}
    numbers = rows or {getattr(processor, kind, None) for kind in COUNTED}
    return sum(ids.count(number) for number in numbers if number is not None)


def told_of(family: Family, processing: Processing, limits: Pixels, frames: int) -> dict[str, Any]:
    """What the adapter tells the processor of the limits."""
    if family.pixels == "tokens":
        side = processing.number("patch_size") * processing.number("pooling_kernel_size")
        return dict(soft_tokens_told([limits], [frames], side) or {})
    size = size_told(family.pixels, [limits], [frames], processing.size, step=processing.temporal_patch_size)
    return {"size": size} if size else {}


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("way", range(3), ids=["own", "of a frame", "of a clip"])
@pytest.mark.parametrize("model_type", sorted(RULES.keys() & TINY.keys()))
def test_tokens_are_counted_as_the_processor_makes_them(model_type: str, way: int, tiny: Callable[[str], Path]) -> None:
    family = family_of(model_type) or Family()
    limits = (OF_TOKENS if family.pixels == "tokens" else LIMITS)[way]
    if limits != Pixels() and not family.pixels:
        pytest.skip("it takes no limits in pixels")
    folder = tiny(model_type)
    processing = processing_of(model_type, folder, {})
    for frames, height, width in SHAPES:
        if frames == 1 and model_type in TOO_SHORT:
            continue
        shown = np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), np.uint8)
        told = {**TOLD.get(model_type, {}), **told_of(family, processing, limits, frames)}
        ids = made(folder, shown, told, images=family.form == "frames")
        mine = visual_tokens(model_type, processing, limits, frames=frames, height=height, width=width)
        real = counted(folder, model_type, ids)
        assert (mine >= real) if model_type in AT_MOST else (mine == real), (frames, height, width)
        assert mine <= most_tokens(model_type, processing, limits, frames=frames)


def test_limits_that_a_processor_cannot_keep_are_not_counted(tiny: Callable[[str], Path]) -> None:
    processing = processing_of("gemma4", tiny("gemma4"), {})
    with pytest.raises(ModelFailure, match="at most"):
        most_tokens("gemma4", processing, Pixels(max_pixels=6_000), frames=2)
