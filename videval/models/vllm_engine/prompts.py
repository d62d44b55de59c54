"""From a prompt to vLLM's input, and back from that to what the model sees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from videval.models.hf_chat.messages import Visual
from videval.models.hf_chat.processing import Processing, Worded, metadata, picture
from videval.models.rendering import rendered
from videval.models.vllm_engine.identity import clip_identity, image_identity
from videval.models.vllm_engine.sampling import sampling
from videval.types import GenerationSettings, Prompt, Seen
from videval.video.clips import load_frames

__all__ = ["Prepared", "Prompts"]

KINDS = ("video", "image")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prepared:
    """A prompt as vLLM takes it, how it is to be answered, and what is said of it; `tokens`: of the prompt."""

    input: Mapping[str, Any]
    params: Any
    settings: GenerationSettings
    tokens: int
    seen: tuple[Seen, ...] = ()
    rendered: str = ""
    opened: bool = False


class Prompts:
    """Makes inputs with hf_chat's wording and vLLM's `renderer`; `eos`: the tokens that end an answer."""

    def __init__(self, processing: Processing, renderer: Any, tokenizer: Any, *, eos: Sequence[int]) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        self._processing, self._renderer, self._tokenizer = processing, renderer, tokenizer
        self._eos = tuple(eos)
        self._params, self._deltas = SamplingParams, RequestOutputKind.DELTA

    def prepare(self, prompt: Prompt, settings: GenerationSettings) -> Prepared:
        """What vLLM gets. Raises ModelFailure for what it cannot take, ContextExceeded, VideoFailure."""
        with self._processing.one_at_a_time():
            params = self._params(output_kind=self._deltas, **sampling(settings, eos=self._eos))
            worded = self._processing.worded(prompt, settings)
            text = self._tokenizer.encode(worded.text, add_special_tokens=worded.starts)
            self._processing.check_length(len(text), settings)  # which vLLM would refuse in words of its own
            made = self._made(text, worded, prompt)
            ids = made["prompt_token_ids"]
            self._processing.check_length(len(ids), settings)
            return Prepared(
                input=made,
                params=params,
                settings=settings,
                tokens=len(ids),
                seen=self._processing.seen(_as_processed(made, self._tokenizer), prompt, worded),
                rendered=rendered(self._tokenizer, ids),
                opened=worded.opened,
            )

    def _made(self, text: Sequence[int], worded: Worded, prompt: Prompt) -> Mapping[str, Any]:
        """The tokens of the text with all that is shown put into their places, and the tensors of that."""
        given: dict[str, Any] = {"prompt_token_ids": list(text)}
        if worded.shown:
            told = _told(worded.told)
            given["multi_modal_data"] = _shown(worded.shown, prompt)
            given["multi_modal_uuids"] = _identities(worded.shown, prompt, told)
            given["mm_processor_kwargs"] = told
        # the cache that skips nothing: of the other one the engine keeps a copy that must be filled in the same order
        (made,) = self._renderer.render_cmpl([given], skip_mm_cache=True)
        found: Mapping[str, Any] = made
        return found


def _told(told: Mapping[str, Any]) -> dict[str, Any]:
    """What the processor is told of videos and images; what is said of each video goes with its frames."""
    videos = {name: value for name, value in told["videos_kwargs"].items() if name != "video_metadata"}
    return {name: value for name, value in {**told, "videos_kwargs": videos}.items() if value}


def _shown(shown: Sequence[Visual], prompt: Prompt) -> dict[str, list[Any]]:
    """Frames [n, height, width, 3] with their numbers and the source's rate, and images, mapped and not copied."""
    found: dict[str, list[Any]] = {}
    for visual in shown:
        found.setdefault(visual.kind, []).append(_item(visual, prompt))
    return found


def _item(visual: Visual, prompt: Prompt) -> Any:
    if visual.clip is None:
        return picture(visual.path)
    clip = prompt.clips[visual.clip]
    frames = load_frames(clip)
    if visual.kind == "image":
        return frames[visual.position or 0]
    about = metadata(clip)
    told = {name: getattr(about, name) for name in ("total_num_frames", "fps", "width", "height", "duration")}
    return frames, {**told, "frames_indices": list(clip.frame_numbers), "do_sample_frames": False}


def _identities(shown: Sequence[Visual], prompt: Prompt, told: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for visual in shown:
        if visual.clip is None:
            name = image_identity(visual.path, told)
        else:
            name = clip_identity(prompt.clips[visual.clip], told, visual.position)
        found.setdefault(visual.kind, []).append(name)
    return found


def _as_processed(made: Mapping[str, Any], tokenizer: Any) -> dict[str, Any]:
    """vLLM's input as a processor of transformers would have given it: tensors by name, and what was put in places."""
    ids = made["prompt_token_ids"]
    put = [
        {"type": kind, "replacement": tokenizer.decode(ids[place.offset : place.offset + place.length])}
        for kind in KINDS
        for place in made.get("mm_placeholders", {}).get(kind, ())
    ]
    tensors = made["mm_kwargs"].get_data() if "mm_kwargs" in made else {}
    return {**tensors, "input_ids": torch.tensor([ids]), "text_replacement_offsets": [put]}
