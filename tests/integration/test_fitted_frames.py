"""Frames that are kept at the size that a model sees are, to the last bit, what its processor makes of whole ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import TINY
from tests.tiny._shown import SHORT, ChatModel, MakeClip, ask, spec
from videval.errors import ModelFailure
from videval.models import fitting
from videval.models.families import FAMILIES
from videval.models.fitting import Fitting, fit_of
from videval.types import Clip, FrameSampling, Pixels
from videval.video.clips import load_frames

FITS = sorted(name for name, family in FAMILIES.items() if family.fits and name in TINY)
SHAPES = [(4, (720, 1280)), (5, (300, 170)), (16, (97, 331))]
"""Frames, and their height and width."""
LIMITS = [Pixels(), Pixels(max_pixels=20_000), Pixels(min_pixels=3_000, total_pixels=100_000)]
BY_COUNT = FrameSampling(policy="uniform", num_frames=4)


@pytest.fixture(autouse=True)
def small_clips_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "WORTH", 0.0)


def fitted(clip: Clip, folder: Path, pixels: Pixels = LIMITS[0]) -> Clip | None:
    """The clip as it would be kept for the model in a folder; None: whole."""
    fit = fit_of(replace(spec(folder), pixels=pixels))
    assert fit is not None
    made = Fitting(fit)
    of = {"frames": clip.num_frames, "width": clip.width, "height": clip.height}
    size = made.size(BY_COUNT, clip.total_frames / clip.fps, **of)
    if size is None:
        return None
    path = Path(clip.path).with_suffix(f".{len(list(Path(clip.path).parent.iterdir()))}.npy")
    np.save(path, np.stack([made.resized(frame, *size) for frame in load_frames(clip)]))
    return replace(
        clip, path=str(path), width=size[0], height=size[1], source_width=clip.width, source_height=clip.height
    )


@pytest.mark.parametrize("family", FITS)
def test_a_model_gets_the_same_to_the_last_bit(
    family: str, tiny: Callable[[str], Path], chat_model: ChatModel, made_clip: MakeClip
) -> None:
    model, folder, compared = chat_model(family), tiny(family), 0
    for count, size in SHAPES:
        for limits in LIMITS if FAMILIES[family].pixels else LIMITS[:1]:
            whole = made_clip(range(count), size=size)
            small = fitted(whole, folder, limits)
            if small is None:
                continue
            compared += 1
            told = (limits,) if FAMILIES[family].pixels else ()
            one, other = (model.prepare(replace(ask(clip), pixels=told), SHORT) for clip in (whole, small))
            assert one.seen == other.seen and one.rendered == other.rendered
            assert one.tensors.keys() == other.tensors.keys()
            assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    assert compared >= 2


def test_every_family_that_says_so_is_compared() -> None:
    assert {name for name, family in FAMILIES.items() if family.fits} == set(FITS)


@pytest.mark.parametrize(
    "family", ["gemma4", "smolvlm", "ernie4_5_vl_moe", "molmo2", "video_llama_3", "gemma3", "qwen3_omni_moe"]
)
def test_frames_are_kept_whole_where_that_is_not_proven(family: str, tiny: Callable[[str], Path]) -> None:
    assert fit_of(spec(tiny(family))) is None


def test_frames_that_were_kept_too_small_are_refused(
    tiny: Callable[[str], Path], chat_model: ChatModel, made_clip: MakeClip
) -> None:
    whole = made_clip(range(4), size=(720, 1280))
    small = fitted(whole, tiny("qwen2_5_vl"), Pixels(max_pixels=20_000))
    assert small is not None
    with pytest.raises(ModelFailure, match=r"which is not what this processor makes of 1280x720") as raised:
        chat_model("qwen2_5_vl").prepare(replace(ask(small), pixels=(Pixels(max_pixels=40_000),)), SHORT)
    assert "VIDEVAL_FIT_FRAMES" in str(raised.value.hint)
