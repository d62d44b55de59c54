"""What data cannot say of a family: the functions that entries of `videval.models.families` name.

- one for `seen` has the signature of `videval.models.hf_chat.seen.shapes_of`, the general rule;
- one for `asked` is given the processor and the clips that are shown as videos, and returns what the processor is told
  beyond the rest, as `{"videos_kwargs": {...}}`; what is for the whole of it stands beside that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from math import isqrt
from typing import Any

from videval.errors import ModelFailure
from videval.models.families import Family
from videval.models.hf_chat.messages import Visual
from videval.models.hf_chat.seen import Shape, shapes_of, unreadable
from videval.types import Clip

__all__ = ["asked_way", "seen_way"]

SeenWay = Callable[[Mapping[str, Any], Any, Sequence[Visual]], list[Shape]]
Asked = Callable[[Any, Sequence[Clip]], Mapping[str, Any]]


def seen_way(family: Family) -> SeenWay:
    """How the shapes of what is shown are read back for a family."""
    return SEEN[family.seen] if family.seen else shapes_of


def asked_way(family: Family) -> Asked:
    """What else a family's processor is told."""
    return ASKED[family.asked] if family.asked else _nothing


def _nothing(processor: Any, clips: Sequence[Clip]) -> Mapping[str, Any]:
    return {}


def _patches(made: Mapping[str, Any], processor: Any, shown: Sequence[Visual]) -> list[Shape]:
    """Where the last patch of each frame or image is, of patches that say their place and are padded with -1."""
    rows = {kind: iter(made[name]) for kind, name in PLACES.items() if name in made}
    counts = iter(made.get("num_frames_per_video", ()))
    shapes = []
    for visual in shown:
        frames = int(next(counts)) if visual.kind == "video" else 1
        first, *_ = islice(rows[visual.kind], frames)
        pixels = made["pixel_values_videos" if visual.kind == "video" else "pixel_values"]
        width, height = (isqrt(pixels.shape[-1] // 3) * (place + 1) for place in first.amax(dim=0).tolist())
        patch = int(getattr(processor, f"{visual.kind}_processor").patch_size)
        shapes.append(Shape(frames=frames, height=height, width=width, grid=(frames, height // patch, width // patch)))
    return shapes


def _slices(made: Mapping[str, Any], processor: Any, shown: Sequence[Visual]) -> list[Shape]:
    """The sizes of whole frames, among those of the slices that they are shown in again."""
    rows = {kind: iter(made[name].tolist()) for kind, name in SLICES.items() if name in made}
    marks = processor.tokenizer.image_start_token, processor.tokenizer.slice_start_token
    shapes = []
    for put in made["text_replacement_offsets"][0]:
        frames, slices = (put["replacement"].count(mark) for mark in marks)
        if not frames:
            raise unreadable(made)
        (height, width), *_ = islice(rows[put["type"]], frames + slices)
        patch = int(getattr(processor, f"{put['type']}_processor").patch_size)
        shapes.append(Shape(frames=frames, height=height * patch, width=width * patch, grid=(frames, height, width)))
    return shapes


def _drawn(made: Mapping[str, Any], processor: Any, shown: Sequence[Visual]) -> list[Shape]:
    """Grids that count frames, not steps of time, and the times in the frames."""
    step, told = int(processor.video_processor.temporal_patch_size), iter(made.get("video_metadata", ()))
    shapes = []
    for visual, shape in zip(shown, shapes_of(made, processor, shown), strict=True):
        if visual.kind == "video":
            times = tuple(round(time, 2) for time in next(told).timestamps)
            drawn = times if processor.video_processor.draw_on_frames else ()
            shape = replace(shape, frames=shape.frames // step, drawn=drawn)
        shapes.append(shape)
    return shapes


def _metadata_back(processor: Any, clips: Sequence[Clip]) -> Mapping[str, Any]:
    """What the processor knew of its videos is given back (ERNIE 4.5 VL draws times by it)."""
    return {"return_metadata": True}


def _one_slice(processor: Any, clips: Sequence[Clip]) -> Mapping[str, Any]:
    """Frames of a video are shown whole, without a number before it, as the README of MiniCPM-V 4.6 has it.

    By default each frame would be shown again in up to nine slices.
    """
    return {"videos_kwargs": {"max_slice_nums": 1}, "use_image_id": False} if clips else {}


def _sampled_rate(processor: Any, clips: Sequence[Clip]) -> Mapping[str, Mapping[str, Any]]:
    """The frames a second that are shown, for a processor that reads no metadata (Qwen2.5-Omni, Qwen3-Omni)."""
    rates = {clip.num_frames / (clip.span_frames or clip.total_frames) * clip.fps for clip in clips}
    if len(rates) > 1:
        told = ", ".join(f"{rate:.3g}" for rate in sorted(rates))
        raise ModelFailure(f"the processor takes one rate for all clips of a question, and these have {told} frames/s")
    return {"videos_kwargs": {"fps": min(rates)} if rates else {}}


def _pooled(made: Mapping[str, Any], processor: Any, shown: Sequence[Visual]) -> list[Shape]:
    """Frames are squares of patches, and so is an image as a whole: its crops are not counted (Molmo2)."""
    is_video = "video_grids" in made
    of, pixels = ("video_processor", "pixel_values_videos") if is_video else ("image_processor", "pixel_values")
    patches = isqrt(made[pixels].shape[1])
    side = patches * int(getattr(processor, of).patch_size)
    counts = made["video_grids"][:, 0].tolist() if is_video else [1] * len(shown)
    return [Shape(frames=n, height=side, width=side, grid=(n, patches, patches)) for n in counts]


def _tiles(made: Mapping[str, Any], processor: Any, shown: Sequence[Visual]) -> list[Shape]:
    """Frames of videos and tiles of images, so many as the text has places for (InternVL, SmolVLM)."""
    of_tile = getattr(processor, "image_seq_length", None) or processor.image_seq_len
    counts: dict[str, list[int]] = {"video": [], "image": []}
    for put in made["text_replacement_offsets"][0]:
        counts[put["type"]].append(put["replacement"].count(processor.image_token) // of_tile)
    pixels, told = made["pixel_values"].flatten(0, -4), sum(map(sum, counts.values()))
    if told != len(pixels):
        raise ModelFailure(f"the processor made {len(pixels)} frames or tiles, and put {told} into the prompt")
    frames = iter(counts["video"])
    height, width = pixels.shape[-2:]
    return [Shape(frames=next(frames) if v.kind == "video" else 1, height=height, width=width) for v in shown]


PLACES = {"video": "video_position_ids", "image": "image_position_ids"}
SLICES = {"video": "target_sizes_videos", "image": "target_sizes"}
SEEN: Mapping[str, SeenWay] = {
    "drawn": _drawn,
    "patches": _patches,
    "pooled": _pooled,
    "slices": _slices,
    "tiles": _tiles,
}
ASKED: Mapping[str, Asked] = {
    "metadata_back": _metadata_back,
    "one_slice": _one_slice,
    "sampled_rate": _sampled_rate,
}
