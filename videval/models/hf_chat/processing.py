"""From a prompt to a model's inputs: the chat template's text, the processor's tensors, and what was seen."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pictures
from PIL import UnidentifiedImageError
from transformers.video_utils import VideoMetadata

from videval.errors import ContextExceeded, ModelFailure, VideoFailure
from videval.models import hf
from videval.models.batches import ChatInputs, split_behind
from videval.models.beginnings import Beginnings
from videval.models.families import Family
from videval.models.hf_chat.fitted import check_fitted
from videval.models.hf_chat.messages import Chat, Visual, visuals
from videval.models.hf_chat.remembered import Remembered
from videval.models.hf_chat.seen import read_back, visual_tokens
from videval.models.hf_chat.thinking import check_unswitched, is_opened, switches
from videval.models.hf_chat.ways import asked_way, seen_way
from videval.models.rendering import rendered
from videval.models.sizes import size_told, soft_tokens_told
from videval.types import Clip, GenerationSettings, Pixels, Prompt, Seen
from videval.video.clips import load_frames

__all__ = ["Processing", "Worded", "metadata", "picture"]

KINDS = ("video", "image")
OFFSETS = "text_replacement_offsets"
"""Of what the processor puts into the text; no input of a model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Worded:
    """A prompt as text, with a placeholder for each thing that is shown, and what the processor is told of these;
    `opened`: it ends inside thinking; `starts`: whether the tokenizer is to put its first token in front."""

    text: str
    shown: Sequence[Visual]
    told: Mapping[str, Any]
    opened: bool = False
    starts: bool = True


class Processing:
    """A checkpoint's processor, asked for one prompt at a time: its tokenizer is not safe in several threads."""

    def __init__(self, processor: Any, family: Family, *, context: int | None) -> None:
        self._processor, self._family, self._context = processor, family, context
        self._chat = Chat(processor, hf.neutraliser(_special(processor, family)))
        self._shapes, self._asked = seen_way(family), asked_way(family)
        self._visual_ids = processor.tokenizer.convert_tokens_to_ids(visual_tokens(processor, family))
        self._beginnings = Beginnings(processor.tokenizer, self._visual_ids)
        self._lock = Lock()
        for kind in KINDS:
            if getattr(processor, f"{kind}_processor", None) is not None:
                setattr(processor, f"{kind}_processor", Remembered(getattr(processor, f"{kind}_processor")))

    def prepare(self, prompt: Prompt, settings: GenerationSettings) -> ChatInputs:
        """What the model gets. Raises ModelFailure for what it cannot take, ContextExceeded, VideoFailure."""
        with self.one_at_a_time():
            worded = self.worded(prompt, settings)
            known = {kind: _identity(kind, worded.shown, prompt, worded.told[f"{kind}s_kwargs"]) for kind in KINDS}
            what = tuple(known.values()), prompt.clips, worded.starts
            inputs = self._beginnings.gone_on(what, worded.text, settings, opened=worded.opened)
            if inputs is None:
                made = self._made(worded, prompt, known)
                inputs = self._inputs(made, prompt, worded, settings, tuple(known.values()))
                if not self._family.unshared:
                    self._beginnings.learn(what, worded.text, inputs, made[OFFSETS][0] if worded.shown else ())
            self.check_length(inputs.tokens, settings)
            return inputs

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Around what uses the processor; what it raises becomes a ModelFailure."""
        with self._lock, hf.explained_run(torch.device("cpu"), "the prompt"):
            yield

    def worded(self, prompt: Prompt, settings: GenerationSettings) -> Worded:
        """The prompt as text, up to where the answer begins, and what the processor is told."""
        pieces = visuals(prompt, self._family)
        shown = [piece for piece in pieces if isinstance(piece, Visual)]
        turned = switches(self._family.thinking, self._processor.chat_template, settings.thinking)
        said = self._chat.text(prompt, pieces, turned)
        if not turned:
            check_unswitched(self._family.thinking, said.opening, settings.thinking, settings.thinking_budget)
        opened = is_opened(self._family.thinking, said.opening)
        text = said.opening if opened else said.text  # an answer's first words are none of a thought's
        bos = self._processor.tokenizer.bos_token
        starts = not (bos and text.startswith(bos))
        return Worded(text=text, shown=shown, told=self._telling(prompt, shown), opened=opened, starts=starts)

    def seen(self, made: Mapping[str, Any], prompt: Prompt, worded: Worded) -> tuple[Seen, ...]:
        """What the model sees of each clip, read back from what a processor `made`. ModelFailure if it is not what was
        shown."""
        if not worded.shown:
            return ()
        shapes = self._shapes(made, self._processor, worded.shown)
        return read_back(made, self._processor, self._family, prompt.clips, worded.shown, shapes)

    def check_length(self, tokens: int, settings: GenerationSettings) -> None:
        """Raise ContextExceeded for a prompt of so many tokens that leaves no room for the answer."""
        if self._context is not None and tokens + settings.max_new_tokens > self._context:
            raise ContextExceeded.of(tokens, settings.max_new_tokens, self._context)

    def _made(self, worded: Worded, prompt: Prompt, known: Mapping[str, Hashable]) -> Mapping[str, Any]:
        """What the processor makes of a text and what is shown in it; it samples no frames."""
        given = {}
        for kind in KINDS:
            own = [visual for visual in worded.shown if visual.kind == kind]
            frames = self._given(kind, own, prompt, known[kind])
            if own:
                given[f"{kind}s"] = [frames] if kind == "image" else frames
        more = {"text_kwargs": {"add_special_tokens": worded.starts}, f"return_{OFFSETS}": True}
        made: Mapping[str, Any] = self._processor(
            text=[worded.text], **given, **worded.told, **more, return_tensors="pt"
        )
        return made

    def _inputs(
        self, made: Mapping[str, Any], prompt: Prompt, worded: Worded, settings: GenerationSettings, shown: Hashable
    ) -> ChatInputs:
        """What a processor made, as the model gets it, and what is said of it."""
        tensors = {n: value for n, value in made.items() if isinstance(value, torch.Tensor) and n != OFFSETS}
        return ChatInputs(
            tensors=tensors,
            settings=settings,
            seen=self.seen(made, prompt, worded),
            rendered=rendered(self._processor.tokenizer, made["input_ids"][0].tolist()),
            opened=worded.opened,
            joined_last=self._family.joined_last,
            places=self._family.places,
            shown=shown,
            split=split_behind(tensors, self._visual_ids),
        )

    def _telling(self, prompt: Prompt, shown: Sequence[Visual]) -> dict[str, Any]:
        """What the processor is told of videos and of images."""
        told: dict[str, Any] = {"videos_kwargs": {}, "images_kwargs": {}}
        clips = [prompt.clips[v.clip or 0] for v in shown if v.kind == "video"]
        self._check_shown(shown, clips)
        if clips:
            told["videos_kwargs"] = {"video_metadata": [metadata(c) for c in clips], "do_sample_frames": False}
        for kind in KINDS:
            told[f"{kind}s_kwargs"] |= self._limits(kind, prompt, shown)
        for name, more in self._asked(self._processor, clips).items():
            told[name] = {**told[name], **more} if name in told else more
        return told

    def _limits(self, kind: str, prompt: Prompt, shown: Sequence[Visual]) -> dict[str, Any]:
        """How large the frames of the clips may be, in the terms of the processor of their kind."""
        numbers = list(dict.fromkeys(v.clip for v in shown if v.kind == kind and v.clip is not None))
        if not prompt.pixels or not numbers:
            return {}
        limits: list[Pixels] = [prompt.pixels[number] for number in numbers]
        frames = [sum(v.clip == n for v in shown) if kind == "image" else prompt.clips[n].num_frames for n in numbers]
        processor = getattr(self._processor, f"{kind}_processor")
        rule = self._family.pixels if kind == "video" else self._family.image_pixels
        if rule == "tokens":
            return soft_tokens_told(limits, frames, processor.patch_size * processor.pooling_kernel_size) or {}
        step = int(getattr(processor, "temporal_patch_size", None) or 1) if kind == "video" else 1
        size = size_told(rule, limits, frames, processor.size, step=step)
        return {"size": size} if size else {}

    def _given(self, kind: str, own: Sequence[Visual], prompt: Prompt, known: Hashable) -> list[Any]:
        """The frames and images of one kind; those that the processor remembers are mapped and not read."""
        remembered: Remembered | None = getattr(self._processor, f"{kind}_processor", None)
        check = partial(check_fitted, [prompt.clips[v.clip or 0] for v in own]) if kind == "video" else None
        is_known = remembered is not None and remembered.show(known, check)
        clips: dict[str, npt.NDArray[np.uint8]] = {}
        return [_read(visual, prompt, clips, mapped=is_known) for visual in own]

    def _check_shown(self, shown: Sequence[Visual], clips: Sequence[Clip]) -> None:
        if not self._family.mixed and len({visual.kind for visual in shown}) > 1:
            raise ModelFailure("this model takes a video or images with a question, not both")
        if self._family.videos is not None and len(clips) > self._family.videos:
            raise ModelFailure(f"this model takes {self._family.videos} video(s) with a question, not {len(clips)}")
        counts = [clip.num_frames for clip in clips]
        if self._family.even and len(set(counts)) > 1:
            raise ModelFailure(
                f"this model takes clips of one number of frames with a question, and these have {counts}",
                hint="a sampling by count, not by rate",
            )
        least = self._family.least_frames
        short = next((clip.num_frames for clip in clips if clip.num_frames < least), None)
        if short is not None:
            raise ModelFailure(f"a clip of {short} frame(s), and this model takes {least} or more")


def _identity(kind: str, shown: Sequence[Visual], prompt: Prompt, told: Mapping[str, Any]) -> Hashable:
    """What is shown of one kind, and how the processor is told to show it; None if nothing is.

    The file of a clip is named by its source, span and sampling; any other may be overwritten.
    """
    own = [visual for visual in shown if visual.kind == kind]
    files = tuple((_written(v.path) if v.path else prompt.clips[v.clip or 0].path, v.position) for v in own)
    return (files, tuple((name, str(value)) for name, value in told.items())) if own else None


def _written(path: str) -> Hashable:
    with suppress(OSError):  # whoever reads it says what is wrong
        found = Path(path).stat()
        return path, found.st_size, found.st_mtime_ns
    return path


def _special(processor: Any, family: Family) -> list[str]:
    """The tokens that are more than words: in a question they would be places for frames, or end the prompt.

    The marks of thinking are not among them: published prompts ask for them, as `<think> </think>`.
    """
    tokenizer = processor.tokenizer
    added = [str(token.content) for token in tokenizer.added_tokens_decoder.values() if token.special]
    named = [getattr(processor, f"{kind}_token", None) for kind in (*KINDS, "audio")]
    marks = {family.thinking.open, family.thinking.close} if family.thinking else set()
    tokens = {*tokenizer.all_special_tokens, *added, *(token for token in named if isinstance(token, str))}
    return sorted(tokens - marks)


def metadata(clip: Clip) -> VideoMetadata:
    """A clip as transformers is told of one: the numbers of its frames at the source's rate.

    The frames of a span keep the numbers that they have in the video, so its length in seconds is the whole video's:
    a processor that writes both into the prompt would else place frames behind the end.
    """
    return VideoMetadata(
        total_num_frames=clip.span_frames or clip.total_frames,
        fps=clip.fps,
        width=clip.width,
        height=clip.height,
        duration=clip.total_frames / clip.fps,
        frames_indices=list(clip.frame_numbers),
    )


def _read(
    visual: Visual, prompt: Prompt, clips: dict[str, npt.NDArray[np.uint8]], *, mapped: bool
) -> npt.NDArray[np.uint8] | Pictures.Image:
    """A clip [n, height, width, 3], a frame of one, or an image; `clips` holds what is open."""
    if visual.clip is None:
        return picture(visual.path)
    clip = prompt.clips[visual.clip]
    if clip.path not in clips:
        frames = load_frames(clip)
        clips[clip.path] = frames if mapped else np.array(frames)
    frames = clips[clip.path]
    return frames if visual.position is None else frames[visual.position]


def picture(path: str) -> Pictures.Image:
    """An image file, in RGB. VideoFailure if it cannot be read."""
    try:
        with Pictures.open(path) as opened:
            return opened.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise VideoFailure(f"{path}: the image cannot be read: {error}") from error
