"""The policies of models' authors: each function is one library's own formula, down to its rounding.

A function gets the stretch that is shown, the video's frames per second, and a sampling whose constants are filled in
(see `policies.explicit`). Where a library fails, as with fewer frames in the video than asked for, these give as many
as there are.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from videval.types import FrameSampling
from videval.video.sampling.spans import Stretch

__all__ = ["glm4v", "glm46v", "internvl", "minicpmv4_6", "molmo2", "qwen2_vl", "qwen3_vl", "qwen_vl_utils", "smolvlm"]

Numbers = npt.NDArray[np.float64]


def qwen2_vl(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """i*N/n, n rounded to a multiple (down for a rate).

    Source: transformers 5.24, Qwen2VLVideoProcessor.sample_frames.
    """
    multiple = wanted.multiple or 1
    if wanted.num_frames is not None:
        count = round(wanted.num_frames / multiple) * multiple
    else:
        most = _floor(min(wanted.max_frames or part.length, part.length), multiple)
        count = _floor(min(max(_frames(part, fps, wanted), wanted.min_frames or 1), most), multiple)
    return _arange(part, _possible(count, part.length, multiple))


def qwen_vl_utils(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """From the first frame to the last, rounded, n rounded to a multiple (down for a rate).

    Source: qwen-vl-utils 0.0.14, smart_nframes and _read_video_decord.
    """
    multiple = wanted.multiple or 1
    if wanted.num_frames is not None:
        count = round(wanted.num_frames / multiple) * multiple
    else:
        least = math.ceil((wanted.min_frames or 1) / multiple) * multiple
        most = _floor(wanted.max_frames or part.length, multiple)
        count = _floor(min(max(_frames(part, fps, wanted), least), most, part.length), multiple)
    return _linspace(part, _possible(count, part.length, multiple))


def qwen3_vl(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """From the first frame to the last, rounded; a count is taken as it is, so that a short video repeats frames.

    Source: transformers 5.24, Qwen3VLVideoProcessor.sample_frames.
    """
    count = wanted.num_frames
    if count is None:
        most = min(wanted.max_frames or part.length, part.length)
        count = min(max(int(_frames(part, fps, wanted)), wanted.min_frames or 1), most)
    return _shown(part, np.linspace(0, part.length - 1, count).round())


def glm46v(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """The first frame of each step of 1/rate seconds, each once; the last one is repeated up to a multiple.

    If that gives too few or too many, equal steps instead. Beyond 2,400 s no more frames are wanted.
    Source: transformers 5.24, Glm46VVideoProcessor.sample_frames.
    """
    rate, duration, multiple = wanted.fps or 0.0, part.length / fps, wanted.multiple or 1
    count = min(int(min(duration, _GLM_LONGEST) * rate), _floor(wanted.max_frames or part.length, multiple))
    numbers = [] if part.length < count else _steps(part.length, 1 / fps, 1 / rate, int(duration))
    if len(numbers) < count:
        start, end = (numbers[0], numbers[-1]) if numbers else (0, part.length - 1)
        numbers = np.linspace(start, end, count, dtype=int).tolist()
    elif len(numbers) > count:
        numbers = np.linspace(0, part.length - 1, count, dtype=int).tolist()
    once = list(dict.fromkeys(numbers)) or [0]
    return [part.first + n for n in once + once[-1:] * (-len(once) % multiple)]


def glm4v(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """The first frame at or after each step of 1/rate seconds; of more than 300 s as many as of 300, over all of it.

    Each once, the last one repeated up to a multiple. Source: transformers 5.24, Glm4vVideoProcessor.sample_frames.
    """
    rate, duration, multiple = wanted.fps or 0.0, part.length / fps, wanted.multiple or 1
    if duration <= _GLM4_DENSE:
        numbers = [math.ceil(i * fps / rate) for i in range(max(math.floor(duration * rate), 1))]
    elif int(_GLM4_DENSE * rate) >= part.length:
        numbers = list(range(part.length))
    else:
        numbers = [math.ceil(t * fps) for t in np.linspace(0, duration, int(_GLM4_DENSE * rate))]
    once = list(dict.fromkeys(min(part.length - 1, n) for n in numbers))
    most = _floor(wanted.max_frames, multiple) if wanted.max_frames else len(once)
    if len(once) > most:
        once = [once[int(i)] for i in np.linspace(0, len(once) - 1, most)]
    return [part.first + n for n in once + once[-1:] * (-len(once) % multiple)]


def minicpmv4_6(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """A frame every 1/rate seconds; if these are more than `max_frames` so many, in equal steps of tenths of seconds.

    Source: transformers 5.24, MiniCPMV4_6VideoProcessor.sample_frames with its stack_frames of 1, whose rate is 1.
    """
    rate, duration = wanted.fps or 0.0, part.length / fps
    most, last = wanted.max_frames or part.length, part.length - 1
    if duration * rate <= most:
        return [part.first + min(int(k / rate * fps), last) for k in range(math.ceil(duration * rate))]
    tenths = [min(int(round(i * 0.1, 1) * fps), last) for i in range(int(duration / 0.1))]
    if len(tenths) > most:
        tenths = [tenths[i] for i in np.linspace(0, len(tenths) - 1, most, dtype=int)]
    return [part.first + n for n in tenths]


def molmo2(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """By rate from the first frame on, and the last one, if these are no more than `max_frames`; else equal steps.

    Source: the processor of the checkpoints Molmo2-4B and 8B, mode uniform_last_frame, as vLLM 0.32 has it
    (Molmo2ProcessingInfo._sample_frames). transformers 5.24 samples otherwise: it leaves the last frame out.
    """
    length, most = part.length, wanted.num_frames or wanted.max_frames or part.length
    if wanted.num_frames is None and length <= 2:
        return _shown(part, np.arange(length))
    if wanted.num_frames is not None or length / fps > (most - 1) / (wanted.fps or 0.0):
        return _shown(part, np.linspace(0, length - 1, min(most, length)))
    steps = np.arange(0.0, length - 1, fps / (wanted.fps or 0.0))
    steps = steps if np.round(steps[-1]) == length - 1 else np.append(steps, length - 1)
    return _shown(part, np.round(steps))


def internvl(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """The midpoints of n equal segments. Source: transformers 5.24, InternVLVideoProcessor.sample_frames."""
    count = wanted.num_frames
    if count is None:
        count = min(int(_frames(part, fps, wanted)), wanted.max_frames or part.length)
    count = _possible(count, part.length, 1)
    return _arange(part, count, shift=part.length / count / 2)


def smolvlm(part: Stretch, fps: float, wanted: FrameSampling) -> list[int]:
    """In equal steps, each frame once; a long video is shown without its first and its last second.

    Source: transformers 5.24, SmolVLMVideoProcessor.sample_frames with its skip_secs of 1.
    """
    rate, most, duration = wanted.fps or 0.0, wanted.max_frames or part.length, part.length / fps
    count = max(1, min(round(rate * duration), most))
    first, last = 0, part.length - 1
    if duration - 2 > most * rate:
        first, last = int(fps), min(int(part.length - fps), last)
    if first >= last:
        first, last = 0, part.length - 1
    return _shown(part, np.unique(np.linspace(first, last, count, dtype=int)))


_GLM_LONGEST = 2400
_GLM4_DENSE = 300


def _frames(part: Stretch, fps: float, wanted: FrameSampling) -> float:
    """How many frames a rate asks for, before it is rounded."""
    return part.length / fps * (wanted.fps or 0.0)


def _floor(count: float, multiple: int) -> int:
    return math.floor(count / multiple) * multiple


def _possible(count: int, length: int, multiple: int) -> int:
    """The count, but at least one multiple, and no more than the video has."""
    return min(max(count, multiple), _floor(length, multiple) or length)


def _shown(part: Stretch, positions: npt.NDArray[Any]) -> list[int]:
    return [part.first + int(position) for position in positions]


def _steps(length: int, frame_s: float, step_s: float, end_s: int) -> list[int]:
    """The first frame at or after each step, up to `end_s`; a step is taken where the one before was reached."""
    found: list[int] = []
    reached = 0.0
    for number in range(length):
        if number * frame_s >= reached:
            reached += step_s
            found.append(number)
            if reached >= end_s:
                break
    return found


def _arange(part: Stretch, count: int, shift: float = 0.0) -> list[int]:
    """shift + i*N/n as `torch.arange(shift, N, N/n).int()` has it on a CPU.

    torch computes in 32 bits, most of it in lanes of eight that start from a number rounded already; where rounding
    gives it one more, which lies past the video's end, that is left out here.
    """
    step = part.length / count
    steps = math.ceil((part.length - shift) / step)
    places = np.arange(steps)
    starts = np.where(places < steps // 16 * 16, places // 8 * 8, places)
    values = (shift + step * starts).astype(np.float32) + step * (places - starts)
    return _shown(part, values.astype(np.float32)[:count])


def _linspace(part: Stretch, count: int) -> list[int]:
    """From the first frame to the last as `torch.linspace(first, last, n).round()` has it on a CPU.

    torch computes in 32 bits, with fused multiplication and addition, each half from its own end.
    """
    if count == 1:
        return [part.first]
    step = float(np.float32(part.length - 1) / np.float32(count - 1))
    places = np.arange(count)
    ahead, back = part.first + step * places, part.last - step * (count - 1 - places)
    return [int(n) for n in np.where(places < count // 2, ahead, back).astype(np.float32).round()]
