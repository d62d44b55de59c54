"""The families of models that `hf_chat` loads, as data: what differs from one architecture to another.

A family is found by the `model_type` of a checkpoint's config.json; one without an entry here is asked as the default
Family says, which is right where the processor takes videos. No torch here: these facts are needed at enqueue too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["FAMILIES", "Family", "Thinking", "family_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Thinking:
    """How a reasoning model marks what it thinks: the texts around it, and the chat template's switch for it.

    `switch`: the template's variable that turns thinking on and off (empty: it cannot be turned); `ended`: what is said
    for the model where its thinking is ended before it ends it.
    """

    open: str = "<think>"
    close: str = "</think>"
    switch: str = ""
    ended: str = "\n</think>\n\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """How the models of one `model_type` are loaded, shown a clip, and read.

    - `form`: whether the processor takes a clip as a video, or its frames as images, each behind `frame_mark` ({n}
      from 1, {time} in seconds).
    - `time_mark`: a regular expression for the times that the processor writes before the tokens of a frame, with a
      group `s` for seconds, and `m` and `h` where it has them (empty: it writes none).
    - `pixels`: what the numbers in the processor's `size` are of: one "frame", or the whole "clip"; empty: limits in
      pixels mean nothing to it.
    - `patch_token`: the token in whose place the model sees a patch, where it is not the processor's own video or image
      token.
    - `places`: inputs that hold places among the patches of another input, by name.
    - `shapes`, `told`: a function of `videval.models.hf_chat.ways` where the general rule does not do: what the
      processor made of each clip, and what else it is told.
    - `model`: the class of transformers that loads it, where AutoModelForImageTextToText does not.
    - `visual_tokens`: the rule of `videval.models.budget` by which its tokens are counted before it is loaded.
    - `needs`: packages beyond videval's own.
    """

    form: Literal["video", "frames"] = "video"
    frame_mark: str = ""
    time_mark: str = ""
    pixels: Literal["", "frame", "clip"] = ""
    thinking: Thinking | None = None
    patch_token: str = ""
    places: Mapping[str, str] = field(default_factory=dict)
    shapes: str = ""
    told: str = ""
    model: str = ""
    visual_tokens: str = ""
    needs: tuple[str, ...] = ()


FAMILIES: Mapping[str, Family] = {
    "gemma3": Family(form="frames"),
    "internvl": Family(),
    "llava_next_video": Family(),
    "llava_onevision": Family(),
    "molmo2": Family(
        time_mark=r"(?P<s>\d+\.\d) <(?:frame|im)_start>",
        patch_token="<im_patch>",
        places={"image_token_pooling": "pixel_values", "video_token_pooling": "pixel_values_videos"},
        shapes="molmo2",
    ),
    "perception_lm": Family(needs=("timm",)),
    "qwen2_5_vl": Family(pixels="frame"),
    "smolvlm": Family(time_mark=r"Frame from (?P<m>\d+):(?P<s>\d\d):<fake_token_around_image>", needs=("num2words",)),
    "video_llava": Family(),
}
"""`model_type` -> its family, sorted."""


def family_of(model_type: str) -> Family | None:
    """The family of a `model_type`; None if there is no entry for it."""
    return FAMILIES.get(model_type)
