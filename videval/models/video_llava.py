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
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, VideoLlavaForConditionalGeneration, VideoLlavaProcessor

from videval.errors import ContextExceeded, ModelFailure
from videval.models import generating, hf
from videval.models.catalog import concrete_dtype
from videval.models.hf_chat.processing import rendered
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

__all__ = ["VideoLlava", "VideoLlavaInputs", "load", "prompt_text"]

FRAMES = 8
VIDEO_TOKEN = "<video>"


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoLlavaInputs:
    """One request on the CPU: token ids [n] and pixels [1, 8, 3, height, width], normalised, float32."""

    input_ids: torch.Tensor
    pixels: torch.Tensor
    settings: GenerationSettings
    seen: tuple[Seen, ...] = ()
    rendered: str = ""


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


class VideoLlava:
    """A loaded Video-LLaVA."""

    def __init__(self, model: Any, processor: Any, *, about: Mapping[str, str]) -> None:
        self._model, self._processor, self._about = model, processor, about
        self._tokenizer = processor.tokenizer
        self._plain = hf.neutraliser([*self._tokenizer.all_special_tokens, VIDEO_TOKEN, processor.image_token])
        self._context = int(model.config.text_config.max_position_embeddings)
        self._eos = generating.token_ids(model.generation_config.eos_token_id, self._tokenizer.eos_token_id)
        self._pad = generating.token_ids(self._tokenizer.pad_token_id, self._eos[0])[0]
        model.generation_config = GenerationConfig()
        self._tokenizing = Lock()

    def prepare(self, prompt: Prompt, settings: GenerationSettings) -> VideoLlavaInputs:
        """Frames to pixels and text to token ids. Raises ModelFailure for what the model cannot take."""
        frames = np.array(load_frames(_only_clip(prompt)))
        text = _encodable(prompt_text(prompt, self._plain))
        with self._tokenizing, hf.explained_run(torch.device("cpu"), "the prompt"):
            made = self._processor(text=text, videos=[frames], return_tensors="pt")
        ids = made["input_ids"][0]
        self._check_length(len(ids), settings)
        return VideoLlavaInputs(
            input_ids=ids,
            pixels=made["pixel_values_videos"],
            settings=settings,
            seen=(self._seen(ids, made["pixel_values_videos"]),),
            rendered=rendered(self._tokenizer, ids.tolist()),
        )

    def generate(self, batch: Sequence[VideoLlavaInputs]) -> list[Generation]:
        """Answer a batch. What is sampled (temperature > 0) runs alone, so that its seed decides, not its company."""
        answers: dict[int, Generation] = {}
        for places in generating.together([i.settings for i in batch], [i.pixels.shape for i in batch]):
            answers.update(zip(places, self._generate([batch[place] for place in places]), strict=True))
        return [answers[place] for place in range(len(batch))]

    def describe(self) -> Mapping[str, str]:
        """dtype, device, checkpoint with its commit, versions of the libraries."""
        return dict(self._about)

    def _generate(self, batch: Sequence[VideoLlavaInputs]) -> list[Generation]:
        settings, device = batch[0].settings, self._model.device
        ids, mask = generating.left_padded([inputs.input_ids for inputs in batch], self._pad)
        stops = generating.StopTexts(self._tokenizer, settings.stop, ids.shape[1])
        what = f"a batch of {len(batch)} x {ids.shape[1]} tokens + {settings.max_new_tokens} new ones"
        with hf.explained_run(device, what), torch.inference_mode():
            torch.manual_seed(settings.seed)
            out = self._model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                pixel_values_videos=torch.cat([i.pixels for i in batch]).to(device, self._model.dtype),
                generation_config=generating.generation_config(settings, pad=self._pad, eos=self._eos),
                logits_processor=generating.penalties(settings, mask.to(device)),
                stopping_criteria=stops.criteria(),
            )
            new = out[:, ids.shape[1] :].tolist()
        return [
            self._answer(row, inputs, stops.after.get(no))
            for no, (row, inputs) in enumerate(zip(new, batch, strict=True))
        ]

    def _answer(self, new: Sequence[int], inputs: VideoLlavaInputs, stopped: int | None) -> Generation:
        ends = generating.Ends(eos=self._eos, stop=inputs.settings.stop)
        tokens = len(inputs.input_ids)
        said = generating.read_answer(self._tokenizer, new, ends, prompt_tokens=tokens, stopped=stopped)
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
