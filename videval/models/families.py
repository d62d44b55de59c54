"""The families of models that `hf_chat` loads, as data: what differs from one architecture to another.

A family is found by the `model_type` of a checkpoint's config.json; one without an entry here is asked as the default
Family says, which is right where the processor takes videos. No torch here: these facts are needed at enqueue too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

__all__ = ["FAMILIES", "UNKNOWN", "Family", "PixelRule", "Thinking", "family_of"]


PixelRule = Literal["", "frame", "clip", "share", "tokens"]
"""What limits in pixels are of, see `Family.pixels`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thinking:
    """How a reasoning model marks what it thinks: the texts around it, and the chat template's switch for it.

    `switch`: the template's variable that turns thinking on and off (empty: it cannot be turned); `ended`: what is said
    for the model where its thinking is ended before it ends it; `unasked`: it thinks although its template opens no
    thinking for it.
    """

    open: str = "<think>"
    close: str = "</think>"
    switch: str = ""
    ended: str = "\n</think>\n\n"
    unasked: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """How the models of one `model_type` are loaded, shown a clip, and read.

    - `form`: whether the processor takes a clip as a video, or its frames as images, each behind `frame_mark` ({n}
      from 1, {time} in seconds).
    - `time_mark`: a regular expression for the times that the processor writes before the tokens of a frame, with a
      group `s` for seconds, and `m` and `h` where it has them (empty: it writes none).
    - `videos`: the most videos that can be shown with one question (None: any number); `even`: whether these must have
      one number of frames, as the processor stacks them; `mixed`: whether images can be shown beside a video.
    - `pixels`: what the least and the most in the processor's `size` are of: one "frame", the whole "clip", or the
      least of a frame and the most of the clip ("share": its frames share that). Or the most pixels of a frame are
      said in "tokens", of which it takes some numbers only. Empty: limits in pixels mean nothing to it.
    - `patch_token`: the token in whose place the model sees a patch, where it is not the processor's own video or image
      token.
    - `places`: inputs that hold places among the patches of another input, by name.
    - `seen`, `asked`: a function of `videval.models.hf_chat.ways` where the general rule does not do: what the
      processor made of each clip, and what else it is told.
    - `least_frames`: the fewest frames of a clip that its processor takes.
    - `model`: the class of transformers that loads it, where AutoModelForImageTextToText does not.
    - `joined_last`: inputs that are laid end to end along their last axis in a batch, not along their first.
    - `unshared`: why its questions about a clip are computed apart from the beginning (empty: they go on from what is
      computed once; a test for each family shows that the answers are the same).
    - `needs`: packages beyond videval's own.
    - `fits`: whether frames may be kept at the size that its processor of videos makes them: it resizes them first of
      all, once, and leaves alone what has that size already, so that the model's inputs are the same to the last bit.
      Not so where it draws on frames (ERNIE 4.5 VL), resizes twice (SmolVLM), by another filter (Molmo 2) or in slices
      (MiniCPM-V), where its size depends on what it is told at each call (Omni), or what it drops on pixels (Video-
      LLaMA 3); and not worth it for eight frames (Video-LLaVA).
    """

    form: Literal["video", "frames"] = "video"
    frame_mark: str = ""
    time_mark: str = ""
    videos: int | None = None
    even: bool = False
    mixed: bool = True
    pixels: PixelRule = ""
    thinking: Thinking | None = None
    patch_token: str = ""
    places: Mapping[str, str] = field(default_factory=dict)
    seen: str = ""
    asked: str = ""
    least_frames: int = 1
    model: str = ""
    joined_last: tuple[str, ...] = ()
    unshared: str = ""
    needs: tuple[str, ...] = ()
    fits: bool = False

    @property
    def image_pixels(self) -> PixelRule:
        """What `pixels` says, of its processor of images: where there is one of videos too, each image is its own."""
        return "frame" if self.pixels in ("clip", "share") and self.form == "video" else self.pixels


QWEN_THINKING = Thinking(
    ended="\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly "
    "now.\n</think>\n\n"
)
"""How Qwen3 thinks, and how its thinking is ended (Qwen3 Technical Report, https://arxiv.org/abs/2505.09388, 4.3)."""
QWEN3_VL = Family(
    fits=True, pixels="clip", time_mark=r"<(?P<s>\d+\.\d) seconds>", least_frames=2, thinking=QWEN_THINKING
)
QWEN3_5 = replace(QWEN3_VL, thinking=replace(QWEN_THINKING, switch="enable_thinking"))

GEMMA4 = Family(
    pixels="tokens",
    seen="patches",
    time_mark=r"(?P<m>\d\d+):(?P<s>\d\d) <\|image>",
    thinking=Thinking(open="<|channel>thought\n", close="<channel|>", switch="enable_thinking", ended="\n<channel|>"),
)
GLM4V = Family(
    fits=True,
    pixels="clip",
    least_frames=2,
    mixed=False,
    time_mark=r"<\|end_of_image\|>(?P<s>\d+(?:\.\d)?)",
    thinking=Thinking(switch="enable_thinking", ended="</think><answer>", unasked=True),
)
"""Of GLM-4.1V, whose template has no switch; how its thinking is ended: zai-org/GLM-V, inference/trans_infer_bench.py.
Whether times are whole seconds or have a digit is the processor's: checkpoints of one `model_type` have either."""
GLM45V = replace(GLM4V, thinking=Thinking(switch="enable_thinking", unasked=True))
MINICPMV = Family(
    seen="slices", asked="one_slice", thinking=Thinking(), joined_last=("pixel_values", "pixel_values_videos")
)

FAMILIES: Mapping[str, Family] = {
    "ernie4_5_vl_moe": Family(
        pixels="frame", seen="drawn", asked="metadata_back", thinking=Thinking(switch="enable_thinking")
    ),
    "exaone4_5": Family(fits=True, pixels="frame", thinking=Thinking(switch="enable_thinking")),
    "gemma3": Family(form="frames"),
    "gemma4": GEMMA4,
    "gemma4_unified": GEMMA4,
    "glm46v": GLM45V,
    "glm4v": GLM4V,
    "glm4v_moe": GLM45V,
    "glmga": GLM45V,
    "internvl": Family(fits=True, seen="tiles", even=True, thinking=Thinking()),
    "llava_next_video": Family(even=True),
    "llava_onevision": Family(fits=True, even=True),
    "minicpmv4_6": MINICPMV,
    "minicpmv4_7": MINICPMV,
    "mistral3": Family(form="frames"),
    "molmo2": Family(
        time_mark=r"(?P<s>\d+\.\d) <(?:frame|im)_start>",
        patch_token="<im_patch>",
        places={"image_token_pooling": "pixel_values", "video_token_pooling": "pixel_values_videos"},
        seen="pooled",
        videos=1,
        mixed=False,
    ),
    "perception_lm": Family(fits=True, even=True, needs=("timm",)),
    "qwen2_5_omni": Family(pixels="frame", asked="sampled_rate", model="Qwen2_5OmniThinkerForConditionalGeneration"),
    "qwen2_5_vl": Family(fits=True, pixels="frame"),
    "qwen2_vl": Family(fits=True, pixels="frame"),
    "qwen3_5": QWEN3_5,
    "qwen3_5_moe": QWEN3_5,
    "qwen3_omni_moe": Family(
        pixels="frame",
        asked="sampled_rate",
        model="Qwen3OmniMoeThinkerForConditionalGeneration",
        thinking=QWEN_THINKING,
    ),
    "qwen3_vl": QWEN3_VL,
    "qwen3_vl_moe": QWEN3_VL,
    "smolvlm": Family(
        time_mark=r"Frame from (?P<m>\d+):(?P<s>\d\d):<fake_token_around_image>",
        seen="tiles",
        even=True,
        mixed=False,
        needs=("num2words",),
    ),
    "video_llama_3": Family(pixels="share", time_mark=r"Time (?P<s>\d+\.\d)s:"),
    "video_llava": Family(even=True),
}
"""`model_type` -> its family, sorted."""
UNKNOWN = Family(unshared="nobody has shown that its answers stay the same")
"""How one without an entry is asked."""


def family_of(model_type: str) -> Family | None:
    """The family of a `model_type`; None if there is no entry for it."""
    return FAMILIES.get(model_type)
