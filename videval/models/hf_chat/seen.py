"""What a processor made of each clip, read back from the inputs that the model gets, and compared with the clip."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from videval.errors import ModelFailure
from videval.models.families import Family
from videval.models.hf_chat.messages import Visual
from videval.types import Clip, Seen

__all__ = ["POSITIONS", "Shape", "read_back", "shapes_of", "unreadable", "visual_tokens"]

POSITIONS = ("second_per_grid_ts", "video_second_per_grid")
"""Inputs that say how many seconds one step of time is, for models that are told of time by positions."""


DRAWN_TO = 0.005
"""How exact a time is that is drawn into a frame: half of its last digit, seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What one video or image became: frames (padded ones too), how many are one step, pixels of one, and the grid.

    `drawn`: the seconds that the processor drew into its frames, one for each that it was given.
    """

    frames: int
    height: int
    width: int
    per_step: int = 1
    grid: tuple[int, ...] = ()
    drawn: tuple[float, ...] = ()


ShapesOf = Callable[[Mapping[str, Any], Any, Sequence[Visual]], list[Shape]]


def shapes_of(made: Mapping[str, Any], processor: Any, shown: Sequence[Visual]) -> list[Shape]:
    """The shape of each thing that is shown, in order, from the names and sizes of the processor's outputs."""
    videos = iter(_videos(made, processor, [v for v in shown if v.kind == "video"]))
    images = iter(_images(made, processor, [v for v in shown if v.kind == "image"]))
    return [next(videos if visual.kind == "video" else images) for visual in shown]


def read_back(
    made: Mapping[str, Any], processor: Any, family: Family, clips: Sequence[Clip], shown: Sequence[Visual],
    shapes: Sequence[Shape],
) -> tuple[Seen, ...]:  # fmt: skip
    """What the model sees of each clip. Raises ModelFailure if it is not what was shown."""
    pieces = _pieces(made, shown)
    tokens = [max(visual_tokens(processor, family), key=piece.count) for piece in pieces]
    counts = [piece.count(token) for piece, token in zip(pieces, tokens, strict=True)]
    _check_tokens(made, processor, set(tokens), sum(counts))
    seen = []
    for number, clip in enumerate(clips):
        places = [place for place, visual in enumerate(shown) if visual.clip == number]
        own = _Own(
            clip=clip,
            shown=[shown[place] for place in places],
            shapes=[shapes[place] for place in places],
            text="".join(pieces[place] for place in places),
        )
        if places:
            _check_frames(own)
            video = sum(visual.kind == "video" for visual in shown[: places[0]])
            seen.append(_seen(own, sum(counts[place] for place in places), _times(own, made, family, video)))
    return tuple(seen)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Own:
    """What is shown of one clip, the shapes of it, and the text that the processor put in its place."""

    clip: Clip
    shown: Sequence[Visual]
    shapes: Sequence[Shape]
    text: str

    @property
    def is_video(self) -> bool:
        return self.shown[0].kind == "video"

    @property
    def steps(self) -> int:
        """How many steps of time it has."""
        return self.shapes[0].frames // self.shapes[0].per_step if self.is_video else len(self.shown)


def _seen(own: _Own, tokens: int, times: tuple[float, ...]) -> Seen:
    shape = own.shapes[0]
    return Seen(
        frames=own.clip.num_frames if own.is_video else len(own.shown),
        width=shape.width,
        height=shape.height,
        tokens=tokens,
        timestamps=times,
        grid=shape.grid,
    )


def _videos(made: Mapping[str, Any], processor: Any, shown: Sequence[Visual]) -> list[Shape]:
    if not shown:
        return []
    if "video_grid_thw" in made:
        step = int(processor.video_processor.temporal_patch_size)
        return [_of_grid(row, processor.video_processor, step) for row in made["video_grid_thw"].tolist()]
    pixels = made.get("pixel_values_videos", made.get("pixel_values"))
    if pixels is not None and pixels.ndim == 4 and len(shown) == 1:
        pixels = pixels[None]
    if pixels is None or pixels.ndim != 5 or len(pixels) != len(shown):
        raise unreadable(made)
    return [_of_pixels(video, len(video)) for video in pixels]


def _images(made: Mapping[str, Any], processor: Any, shown: Sequence[Visual]) -> list[Shape]:
    """An image that is cut into tiles has the size of one."""
    if not shown:
        return []
    if "image_grid_thw" in made:
        return [_of_grid(row, processor.image_processor, 1) for row in made["image_grid_thw"].tolist()]
    pixels = made.get("pixel_values_images", made.get("pixel_values"))
    if pixels is None or pixels.ndim < 4 or len(shown) not in (len(pixels), len(pixels.flatten(0, -4))):
        raise unreadable(made)
    return [_of_pixels(pixels, 1) for _ in shown]


def _of_grid(row: Sequence[int], processor: Any, step: int) -> Shape:
    time, height, width = row
    patch = int(processor.patch_size)
    return Shape(
        frames=time * step, height=height * patch, width=width * patch, per_step=step, grid=(time, height, width)
    )


def _of_pixels(pixels: Any, frames: int) -> Shape:
    return Shape(frames=frames, height=int(pixels.shape[-2]), width=int(pixels.shape[-1]))


def unreadable(made: Mapping[str, Any]) -> ModelFailure:
    """The failure to read sizes out of what a processor made."""
    sizes = ", ".join(f"{name} {list(value.shape)}" for name, value in made.items() if hasattr(value, "shape"))
    return ModelFailure(
        f"what the processor made of the frames cannot be read back from {sizes}",
        hint="name a function for it in the family's `seen`, see CONTRIBUTING.md",
    )


def _pieces(made: Mapping[str, Any], shown: Sequence[Visual]) -> list[str]:
    """The text that the processor put in the place of each thing that is shown."""
    put: dict[str, list[str]] = {"video": [], "image": []}
    for replaced in made["text_replacement_offsets"][0]:
        put[replaced["type"]].append(replaced["replacement"])
    kinds: list[str] = [visual.kind for visual in shown]
    if any(len(put[kind]) != kinds.count(kind) for kind in put):
        said = " and ".join(f"{len(texts)} {kind}(s)" for kind, texts in put.items())
        raise ModelFailure(f"the processor put {said} into the prompt, and {len(shown)} were shown")
    texts = {kind: iter(found) for kind, found in put.items()}
    return [next(texts[kind]) for kind in kinds]


def visual_tokens(processor: Any, family: Family) -> list[str]:
    """The tokens in whose place the model sees something, the likeliest first."""
    named = [getattr(processor, "video_token", None), getattr(processor, "image_token", None)]
    found = [family.patch_token, *named, getattr(processor.tokenizer, "image_token", None)]
    return [token for token in found if isinstance(token, str) and token]


def _check_tokens(made: Mapping[str, Any], processor: Any, tokens: set[str], expected: int) -> None:
    """Raise ModelFailure unless the model gets the tokens that the processor put in: a prompt may have been cut."""
    ids = {processor.tokenizer.convert_tokens_to_ids(token) for token in tokens}
    got = sum(token in ids for token in made["input_ids"][0].tolist())
    if got != expected:
        raise ModelFailure(f"the prompt has {got} tokens of what is shown, and the processor made {expected}")


def _check_frames(own: _Own) -> None:
    """Raise ModelFailure unless every frame is used once; the last may be repeated to fill a step of time."""
    given = own.clip.num_frames
    if not own.is_video:
        return
    shape = own.shapes[0]
    if not 0 <= shape.frames - given < shape.per_step:
        raise ModelFailure(f"the processor made {shape.frames} frames of the {given} that it was given")


def _times(own: _Own, made: Mapping[str, Any], family: Family, video: int) -> tuple[float, ...]:
    """The times that the model is told, one for each step; ModelFailure if they are not the frames'."""
    if not own.is_video:
        is_told = "{time" in family.frame_mark and own.shown[0].mark
        return tuple(own.clip.timestamps[v.position or 0] for v in own.shown) if is_told else ()
    if family.time_mark:
        return _marked(own, family.time_mark)
    if own.shapes[0].drawn:
        return _drawn(own)
    step = next((float(made[name][video]) for name in POSITIONS if name in made), None)
    return () if step is None else _positions(own, step)


def _marked(own: _Own, mark: str) -> tuple[float, ...]:
    """The times in the text, each within what its last digit says of the times of its step's frames."""
    found = list(re.finditer(mark, own.text))
    if len(found) != own.steps:
        raise ModelFailure(f"the processor told {len(found)} times of {own.steps} steps of time")
    times = tuple(_seconds(match) for match in found)
    for number, (match, time) in enumerate(zip(found, times, strict=True)):
        first, last = _of_step(own, number)
        exact = 10.0 ** -len(match["s"].partition(".")[2])
        if not first - exact <= time <= last + exact:
            raise ModelFailure(f"the processor told {time} s of frames that are at {first:.2f} to {last:.2f} s")
    return times


def _drawn(own: _Own) -> tuple[float, ...]:
    """The times in the frames; ModelFailure unless each is its frame's."""
    drawn, clip = own.shapes[0].drawn, own.clip
    times = [number / clip.fps for number in clip.frame_numbers]
    if len(drawn) != len(times) or any(abs(a - b) > DRAWN_TO for a, b in zip(drawn, times, strict=True)):
        raise ModelFailure("the processor drew other times than theirs into the frames")
    return drawn


def _seconds(match: re.Match[str]) -> float:
    parts = {name: float(text) for name, text in match.groupdict().items() if text}
    return parts.get("h", 0.0) * 3600 + parts.get("m", 0.0) * 60 + parts["s"]


def _of_step(own: _Own, number: int) -> tuple[float, float]:
    """The times of the first and the last frame of a step, as their numbers at the source's rate say."""
    size, numbers = own.shapes[0].per_step, own.clip.frame_numbers
    times = [n / own.clip.fps for n in numbers[number * size : (number + 1) * size] or numbers[-1:]]
    return min(times), max(times)


def _positions(own: _Own, step: float) -> tuple[float, ...]:
    """The times that a model is told as so many seconds a step: those of frames that are evenly spread."""
    clip, size = own.clip, own.shapes[0].per_step
    expected = size * (clip.span_frames or clip.total_frames) / clip.fps / clip.num_frames
    if abs(step - expected) > 1e-3 * expected:
        raise ModelFailure(f"the processor told {step:.3f} s a step of time, and the frames have {expected:.3f} s")
    return tuple(number * step for number in range(own.steps))
