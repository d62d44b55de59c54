"""How many tokens a clip costs, counted from the checkpoint's files before anything is loaded. Pure, and no torch.

Source of each rule: the processor of that family in transformers 5.24 (`models/FAMILY/video_processing_FAMILY.py`,
`processing_FAMILY.py`); tests compare every number with the real processor's.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from videval.models.checkpoints import read_json
from videval.models.families import Family, PixelRule, family_of
from videval.models.sizes import size_told, soft_tokens_told
from videval.types import Pixels

__all__ = ["AT_MOST", "RULES", "Processing", "most_tokens", "processing_of", "visual_tokens"]

LONGEST_STRIP = 14.3
"""Height plus width by the root of their product, of the longest frame that a processor takes (200 to 1)."""
SAID_AT_EACH_CALL: Mapping[str, Mapping[str, Any]] = {
    "qwen2_5_omni": {"size": {"shortest_edge": 128 * 28 * 28, "longest_edge": 768 * 28 * 28}},
    "qwen3_omni_moe": {"size": {"shortest_edge": 128 * 32 * 32, "longest_edge": 768 * 32 * 32}},
}
"""`model_type` -> what its processor takes in place of its files' settings, unless it is told otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Processing:
    """What a checkpoint's processor does with frames, as its files say: `settings` by their names there."""

    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> Mapping[str, int]:
        """How large it makes a frame; Qwen's older files have the limits beside it."""
        least, most = self.settings.get("min_pixels"), self.settings.get("max_pixels")
        own = dict(self.settings.get("size") or {})
        return own | ({"shortest_edge": least} if least else {}) | ({"longest_edge": most} if most else {})

    @property
    def temporal_patch_size(self) -> int:
        """How many frames are one step of time."""
        return int(self.settings.get("temporal_patch_size") or 1)

    def number(self, *names: str) -> int:
        """A whole number by the first of its names that is there; LookupError if none is."""
        found = [self.settings[name] for name in names if self.settings.get(name) is not None]
        return int(found[0])


def processing_of(model_type: str, folder: Path | None, known: Mapping[str, Any]) -> Processing:
    """The settings of the processor in a folder; `known` of a published checkpoint whose files are not here."""
    family = family_of(model_type) or Family()
    if folder is None:
        return Processing(settings=known)
    whole = read_json(folder / "processor_config.json")
    kinds = ("image_processor",) if family.form == "frames" else ("image_processor", "video_processor")
    flat = {name: value for name, value in whole.items() if name not in kinds}
    parts = [read_json(folder / "preprocessor_config.json"), flat]
    parts += [whole.get(kind) or {} for kind in kinds[-1:]]
    parts += [read_json(folder / "video_preprocessor_config.json")] if family.form == "video" else []
    settings = dict(known)
    for part in [*parts, SAID_AT_EACH_CALL.get(model_type, {})]:
        settings.update({name: value for name, value in part.items() if value is not None})
    return Processing(settings=settings)


def visual_tokens(
    model_type: str, processing: Processing, pixels: Pixels, *, frames: int, height: int, width: int
) -> int:
    """How many tokens a clip of so many frames of that size becomes, without the texts that stand between them.

    Raises LookupError for a family without a rule, and for settings that are not known.
    """
    told = _told(model_type, processing, pixels, frames)
    return RULES[model_type](_limits_of(model_type), told, frames, height, width)


def most_tokens(model_type: str, processing: Processing, pixels: Pixels, *, frames: int) -> int:
    """The most tokens that so many frames can become, whatever their size; LookupError as of `visual_tokens`."""
    rule, limits, told = RULES[model_type], _limits_of(model_type), _told(model_type, processing, pixels, frames)
    return MOST[rule](limits, told, frames) if rule in MOST else rule(limits, told, frames, 1, 1)


def _limits_of(model_type: str) -> PixelRule:
    return (family_of(model_type) or Family()).pixels


def frame_size(
    model_type: str, processing: Processing, pixels: Pixels, *, frames: int, height: int, width: int
) -> tuple[int, int]:
    """Height and width that the processor gives the frames of a clip; raises as `visual_tokens` does."""
    told = _told(model_type, processing, pixels, frames)
    return SIZES[RULES[model_type]](_limits_of(model_type), told, frames, height, width)


def _told(model_type: str, processing: Processing, pixels: Pixels, frames: int) -> Processing:
    """The processor with the limits that the adapter tells it; ModelFailure for limits that it cannot keep."""
    rule, told = _limits_of(model_type), dict[str, Any]()
    if rule == "tokens":
        side = processing.number("patch_size") * processing.number("pooling_kernel_size")
        told = soft_tokens_told([pixels], [frames], side) or {}
    elif size := size_told(rule, [pixels], [frames], processing.size, step=processing.temporal_patch_size):
        told = {"size": size, "min_pixels": None, "max_pixels": None}
    return replace(processing, settings={**processing.settings, **told})


Rule = Callable[[PixelRule, Processing, int, int, int], int]
"""(what the limits of its size are of, processing, frames, height, width) -> tokens."""


def _grid(limits: PixelRule, p: Processing, frames: int, height: int, width: int) -> int:
    """Patches merged to tokens, of steps of time: the frames are resized to whole tokens within the size's limits."""
    unit, step = p.number("patch_size") * p.number("merge_size"), p.temporal_patch_size
    height, width = _of_grid(limits, p, frames, height, width)
    return -(-frames // step) * (height // unit) * (width // unit)


def _of_grid(limits: PixelRule, p: Processing, frames: int, height: int, width: int) -> tuple[int, int]:
    unit, step = p.number("patch_size") * p.number("merge_size"), p.temporal_patch_size
    least, most = p.size["shortest_edge"], p.size["longest_edge"]
    if limits == "clip":
        return _resized(height, width, unit, least, most, frames=max(frames, step), step=step)
    return _resized(height, width, unit, least, most // frames if limits == "share" else most)


def _most_of_grid(limits: PixelRule, p: Processing, frames: int) -> int:
    """A frame of more pixels than the most is rounded down to it; one of fewer than the least is rounded up from it."""
    unit, step = p.number("patch_size") * p.number("merge_size"), p.temporal_patch_size
    counted = max(1, round(max(frames, step) / step) * step) if limits == "clip" else 1
    most = p.size["longest_edge"] / (frames if limits == "share" else counted)
    least = p.size["shortest_edge"] / (max(frames, step) if limits == "clip" else 1)
    rounded = least + LONGEST_STRIP * unit * math.sqrt(least) + unit**2
    return -(-frames // step) * max(1, int(max(most, rounded) // unit**2))


def _most_of_scaled(limits: PixelRule, p: Processing, frames: int) -> int:
    """The worst rounding of the longest strip."""
    side = p.number("scale_resolution") / (p.number("patch_size") * _merged(p))
    return frames * math.ceil(side * side + LONGEST_STRIP * side / 2 + 1)


def _resized(
    height: int, width: int, unit: int, least: int, most: int, *, frames: int = 1, step: int = 1
) -> tuple[int, int]:
    """As `smart_resize` of Qwen2-VL (frames 1), and of Qwen3-VL and GLM-4V, whose limits are of all frames."""
    if step > 1 and min(height, width) < unit:
        scale = max(unit / height, unit / width)
        height, width = int(height * scale), int(width * scale)
    high, wide, long = round(height / unit) * unit, round(width / unit) * unit, round(frames / step) * step
    if long * high * wide > most:
        beta = math.sqrt(frames * height * width / most) * unit
        return max(unit, math.floor(height / beta) * unit), max(unit, math.floor(width / beta) * unit)
    if long * high * wide < least:
        beta = math.sqrt(least / (frames * height * width))
        return math.ceil(height * beta / unit) * unit, math.ceil(width * beta / unit) * unit
    return high, wide


def _each(limits: PixelRule, p: Processing, frames: int, height: int, width: int) -> int:
    """The same for every frame, as the processor's settings say (InternVL, SmolVLM, Gemma 3)."""
    return frames * p.number("image_seq_length", "image_seq_len")


def _pooled(limits: PixelRule, p: Processing, frames: int, height: int, width: int) -> int:
    """A square of each frame at half its side, and one token that ends the clip (LLaVA-OneVision)."""
    side = math.ceil(math.isqrt(p.number("num_image_tokens")) / 2)
    return frames * side * side + 1


def _cropped(limits: PixelRule, p: Processing, frames: int, height: int, width: int) -> int:
    """Patches of the frame as it is cropped or resized, four to a token (LLaVA-NeXT-Video)."""
    high, wide = _fixed(p)
    return high // p.number("patch_size") * (wide // p.number("patch_size")) // 4 * frames


def _whole(limits: PixelRule, p: Processing, frames: int, height: int, width: int) -> int:
    """Every patch of the frame as it is cropped, and what the vision tower adds (Video-LLaVA)."""
    high, wide = _fixed(p)
    more = int(p.settings.get("num_additional_image_tokens") or 0)
    return (high // p.number("patch_size") * (wide // p.number("patch_size")) + more) * frames


def _averaged(limits: PixelRule, p: Processing, frames: int, height: int, width: int) -> int:
    """Patches of the resized frame, pooled (Perception-LM)."""
    (high, wide), patch, pool = _fixed(p), p.number("patch_size"), p.number("pooling_ratio")
    return high // patch // pool * (wide // patch // pool) * frames


def _columns(limits: PixelRule, p: Processing, frames: int, height: int, width: int) -> int:
    """Pooled patches of the resized frame, its rows ended by a token each if the processor says so (Molmo2)."""
    (high, wide), patch, pool = _fixed(p), p.number("patch_size"), p.settings["pooling_size"]
    rows, columns = math.ceil(high // patch / pool[0]), math.ceil(wide // patch / pool[1])
    return int(frames * rows * (columns + bool(p.settings.get("video_use_col_tokens", True))))


def _soft(limits: PixelRule, p: Processing, frames: int, height: int, width: int) -> int:
    """As many tokens of a frame as fit its shape into the most (Gemma 4)."""
    pool, most = p.number("pooling_kernel_size"), p.number("max_soft_tokens")
    unit = pool * p.number("patch_size")
    factor = math.sqrt(most * unit * unit / (height * width))
    high, wide = math.floor(factor * height / unit), math.floor(factor * width / unit)
    if high == 0:
        high, wide = 1, min(width // height, most)
    elif wide == 0:
        high, wide = min(height // width, most), 1
    return frames * high * wide


def _scaled(limits: PixelRule, p: Processing, frames: int, height: int, width: int) -> int:
    """Of a frame that is scaled to about the pixels of a square, as one slice, 16 or 4 patches a token (MiniCPM-V)."""
    unit, shape = p.number("patch_size") * _merged(p), width / height
    high = int(p.number("scale_resolution") / math.sqrt(shape))
    return frames * math.prod(max(round(length / unit), 1) for length in (high, int(high * shape)))


def _merged(p: Processing) -> int:
    """Patches along a side of a token, of MiniCPM-V."""
    return 2 if p.settings.get("downsample_mode") == "4x" else 4


def _fixed(p: Processing) -> tuple[int, int]:
    """Height and width that every frame is given: of the crop if there is one, else of the size."""
    size = (p.settings.get("crop_size") if p.settings.get("do_center_crop") else None) or p.settings["size"]
    side = size.get("shortest_edge")
    return int(size.get("height") or side), int(size.get("width") or side)


def _square(limits: PixelRule, p: Processing, frames: int, height: int, width: int) -> tuple[int, int]:
    """The one size of every frame, where nothing is cropped."""
    if p.settings.get("do_center_crop"):
        raise LookupError("cropped")
    size = p.settings["size"]
    return int(size["height"]), int(size["width"])


RULES: Mapping[str, Rule] = {
    "ernie4_5_vl_moe": _grid,
    "exaone4_5": _grid,
    "gemma3": _each,
    "gemma4": _soft,
    "gemma4_unified": _soft,
    "glm46v": _grid,
    "glm4v": _grid,
    "glm4v_moe": _grid,
    "glmga": _grid,
    "internvl": _each,
    "llava_next_video": _cropped,
    "llava_onevision": _pooled,
    "minicpmv4_6": _scaled,
    "minicpmv4_7": _scaled,
    "molmo2": _columns,
    "perception_lm": _averaged,
    "qwen2_5_omni": _grid,
    "qwen2_5_vl": _grid,
    "qwen2_vl": _grid,
    "qwen3_5": _grid,
    "qwen3_5_moe": _grid,
    "qwen3_omni_moe": _grid,
    "qwen3_vl": _grid,
    "qwen3_vl_moe": _grid,
    "smolvlm": _each,
    "video_llama_3": _grid,
    "video_llava": _whole,
}
"""`model_type` -> how its tokens are counted."""
SIZES: Mapping[Rule, Callable[[PixelRule, Processing, int, int, int], tuple[int, int]]] = {
    _grid: _of_grid,
    _each: _square,
    _pooled: _square,
    _averaged: _square,
}
"""Rule -> how large the frames are that it counts, where they are resized once and no more."""
AT_MOST = frozenset({"video_llama_3"})
"""Those that may have fewer tokens than are counted: it leaves out the patches that do not change."""

MOST: Mapping[Rule, Callable[[PixelRule, Processing, int], int]] = {
    _grid: _most_of_grid,
    _scaled: _most_of_scaled,
    _soft: lambda limits, p, frames: frames * p.number("max_soft_tokens"),
}
"""Rule -> the most that it gives; those that are not here give every frame the same, whatever its size."""
