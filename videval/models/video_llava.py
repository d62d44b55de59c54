"""Video-LLaVA as ported to Hugging Face transformers: one video of 8 frames and a question.

Paper: Video-LLaVA: Learning United Visual Representation by Alignment Before Projection (Lin et al., 2023),
https://arxiv.org/abs/2311.10122. How the texts of a prompt are joined is the prompt set's:

- `paper`: as the model card of LanguageBind/Video-LLaVA-7B-hf does, system text in front, the answer's first words
  behind;
- `vlmevalkit`: all texts, whatever their role, with a line break between them (VLMEvalKit e8e78f0 of 2026-08-18,
  `vlm/base.py` and `vlm/video_llm/video_llava.py`, Video-LLaVA-7B-HF). An image beside the clip is left out, as there;
- `lmms-eval`: the texts as they stand, and a question mark (lmms-eval 75571cf of 2026-08-06,
  `models/simple/video_llava.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
import torch
from transformers import VideoLlavaForConditionalGeneration, VideoLlavaProcessor

from videval.errors import ContextExceeded, ModelFailure
from videval.models import generating, hf
from videval.models.answering import Answering
from videval.models.batches import IDS, ChatInputs, split_behind
from videval.models.beginnings import Beginnings
from videval.models.catalog import concrete_dtype
from videval.models.hf_chat.remembered import Remembered
from videval.models.rendering import rendered
from videval.types import (
    Clip,
    Generation,
    GenerationSettings,
    Image,
    ModelSpec,
    Part,
    Prompt,
    PromptSet,
    Seen,
    Text,
    Video,
)
from videval.video.clips import load_frames

__all__ = ["VideoLlava", "load", "prompt_text"]

FRAMES = 8
VIDEO_TOKEN = "<video>"


def prompt_text(prompt: Prompt, plain: Callable[[str], str] = str) -> str:
    """The prompt as its prompt set joins it; `plain` is applied to every text that is not the form's own."""
    texts = [plain(part.text) for part in prompt.parts if isinstance(part, Text)]
    if prompt.prompts == PromptSet.VLMEVALKIT:
        return f"USER: {VIDEO_TOKEN}\n" + "\n".join(texts) + " ASSISTANT:"
    if prompt.prompts == PromptSet.LMMS_EVAL:
        return f"USER: {VIDEO_TOKEN}{''.join(texts)}? ASSISTANT:"
    system, user, prefix = (plain(prompt.text(role)) for role in ("system", "user", "assistant"))
    start = f"{system.strip()} " if system.strip() else ""
    return f"{start}USER: {VIDEO_TOKEN}\n{user} ASSISTANT:" + (f" {prefix}" if prefix else "")


def load(spec: ModelSpec, *, devices: Sequence[str], dtype: str) -> "VideoLlava":
    """Load processor and weights on one device. Raises ModelUnavailable."""
    target = hf.use_device(hf.only_device(spec, devices))
    kind = concrete_dtype(dtype, target.type)
    with hf.explained_load(spec):
        hf.require_architecture(spec, "video_llava")
        processor = hf.load_processor(VideoLlavaProcessor, spec)
        model = hf.load_weights(VideoLlavaForConditionalGeneration, spec, dtype=kind, devices=[target])
    return VideoLlava(model, processor, about=hf.provenance(spec, dtype=kind, device=target))


class VideoLlava(Answering):
    """A loaded Video-LLaVA."""

    def __init__(self, model: Any, processor: Any, *, about: Mapping[str, str]) -> None:
        super().__init__(model, processor.tokenizer, about=about, shares=True)
        self._processor = processor
        processor.video_processor = Remembered(processor.video_processor)
        self._plain = hf.neutraliser([*self._tokenizer.all_special_tokens, VIDEO_TOKEN, processor.image_token])
        self._context = int(model.config.text_config.max_position_embeddings)
        self._beginnings = Beginnings(self._tokenizer, [model.config.video_token_id])
        self._tokenizing = Lock()

    def prepare(self, prompt: Prompt, settings: GenerationSettings) -> ChatInputs:
        """Frames to pixels [1, 8, 3, height, width], normalised, float32, and text to token ids [1, n].

        Raises ModelFailure for what the model cannot take.
        """
        clip = _only_clip(prompt)
        text = _encodable(prompt_text(prompt, self._plain))
        with self._tokenizing, hf.explained_run(torch.device("cpu"), "the prompt"):
            inputs = self._beginnings.gone_on(clip, text, settings, opened=False) or self._whole(clip, text, settings)
        self._check_length(inputs.tokens, settings)
        return inputs

    def _whole(self, clip: Clip, text: str, settings: GenerationSettings) -> ChatInputs:
        """The inputs of a clip and a text, and what the next question about the clip can begin with."""
        is_known = self._processor.video_processor.show(clip.path)
        frames = load_frames(clip) if is_known else np.array(load_frames(clip))
        made = self._processor(text=text, videos=[frames], return_text_replacement_offsets=True, return_tensors="pt")
        put = made.pop("text_replacement_offsets")[0]
        tensors = dict(made)
        inputs = ChatInputs(
            tensors=tensors,
            settings=settings,
            seen=(self._seen(tensors[IDS][0], tensors["pixel_values_videos"]),),
            rendered=rendered(self._tokenizer, tensors[IDS][0].tolist()),
            shown=clip.path,
            split=split_behind(tensors, [self._model.config.video_token_id]),
        )
        self._beginnings.learn(clip, text, inputs, put)
        return inputs

    def _answer(self, new: Sequence[int], inputs: ChatInputs, stopped: int | None) -> Generation:
        ends = generating.Ends(eos=self._eos, stop=inputs.settings.stop)
        said = generating.read_answer(self._tokenizer, new, ends, prompt_tokens=inputs.tokens, stopped=stopped)
        return replace(said, seen=inputs.seen, rendered=inputs.rendered)

    def _seen(self, ids: torch.Tensor, pixels: torch.Tensor) -> Seen:
        """What the processor made of the clip; the model is told no times."""
        _, frames, _, height, width = pixels.shape
        patch = int(self._model.config.vision_config.patch_size)
        return Seen(
            frames=frames,
            width=width,
            height=height,
            tokens=int((ids == self._model.config.video_token_id).sum()),
            grid=(frames, height // patch, width // patch),
        )

    def _check_length(self, tokens: int, settings: GenerationSettings) -> None:
        if tokens + settings.max_new_tokens > self._context:
            raise ContextExceeded.of(tokens, settings.max_new_tokens, self._context)


def _shown(prompt: Prompt) -> list[Part]:
    """What is shown; VLMEvalKit leaves images out in silence, and so does its prompt set (it is said at enqueue)."""
    left_out = (Text, Image) if prompt.prompts == PromptSet.VLMEVALKIT else (Text,)
    return [part for part in prompt.parts if not isinstance(part, left_out)]


def _only_clip(prompt: Prompt) -> Clip:
    """The clip of a prompt that shows it as one video of 8 frames and shows nothing else."""
    shown = _shown(prompt)
    if len(shown) != 1 or not isinstance(shown[0], Video) or not prompt.clips:
        kinds = ", ".join(type(part).__name__ for part in shown) or "nothing"
        raise ModelFailure(f"Video-LLaVA takes exactly one video with each question; it was shown: {kinds}")
    clip = prompt.clips[shown[0].clip]
    if clip.num_frames != FRAMES:
        raise ModelFailure(f"Video-LLaVA takes exactly {FRAMES} frames, not {clip.num_frames}")
    return clip


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ModelFailure(f"the prompt is not valid Unicode: {error.reason} at {error.start}") from error
    return text
