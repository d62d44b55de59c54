"""What makes two orders the same run: a key that every version of videval computes alike, from values alone.

The text that is hashed names its format, and fields at their default are left out (see `videval.plain`), so that an
upgrade never makes a finished run look new. Tests pin keys and digests. A key of another format needs a FORMAT of its
own, and a migration that gives the runs that are there their new keys.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from videval.plain import plain
from videval.types import FrameSampling, GenerationSettings, Pixels, PromptSet, Sample, Wording

__all__ = ["FORMAT", "Content", "KeyParts", "content_of", "run_key", "sampling_of_key", "snapshot_digest"]

FORMAT = 1
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyParts:
    """All that an answer depends on: another value of any of them is another run.

    `content`: the snapshot's digest. Whether a variant is packed or has subtitles is in its name too. `pixels`: what
    the model's processor is told; `wording`: what a recipe says in place of the page.
    """

    content: str
    variant: str
    sampling: FrameSampling
    load_key: str
    generation: GenerationSettings
    form: str = "video"
    max_pixels: int | None = None
    pack: bool = False
    subtitles: bool = False
    prompts: str = PromptSet.PAPER
    protocol: int = 1
    pixels: Pixels = field(default_factory=Pixels)
    wording: Wording | None = None


def run_key(parts: KeyParts) -> str:
    """The key of a run, 64 hex digits."""
    return hashlib.sha256(_line({"format": FORMAT, "run": _exact(plain(parts))})).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What the questions of a benchmark come to: all that must be known of them to find the run that asks them.

    `digest`: of all of it, 64 hex digits; `columns`, `files`: each once, in order of first sight; `has_spans`: whether
    one is about some seconds of a video.
    """

    digest: str
    questions: int
    columns: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    has_spans: bool = False


def content_of(benchmark: str, samples: Iterable[Sample]) -> Content:
    """Go through the questions of a benchmark, once."""
    digest = hashlib.sha256(_line({"format": FORMAT, "snapshot": benchmark}))
    questions, has_spans, columns, files = 0, False, dict[str, None](), dict[str, None]()
    for sample in samples:
        questions += 1
        digest.update(_line(_content(sample)))
        columns |= dict.fromkeys(sample.row)
        files |= dict.fromkeys(sample.files)
        has_spans = has_spans or sample.has_spans
    return Content(
        digest=digest.hexdigest(),
        questions=questions,
        columns=tuple(columns),
        files=tuple(files),
        has_spans=has_spans,
    )


def sampling_of_key(sampling: FrameSampling, *, has_spans: bool) -> FrameSampling:
    """The sampling as it enters a key: what a second is matters where seconds are asked for, in a rate or a span."""
    if sampling.fps is not None or sampling.by_length or has_spans:
        return sampling
    return replace(sampling, times="nominal")


def snapshot_digest(benchmark: str, samples: Iterable[Sample]) -> str:
    """The content of a snapshot, 64 hex digits: its questions in order, with their own columns in theirs."""
    return content_of(benchmark, samples).digest


def _content(sample: Sample) -> dict[str, Any]:
    """A cell is its text, as files have no numbers: 3 is "3", whoever read it, and 3.0 is not."""
    said = plain(sample)
    cells = said.pop("row", None)
    content: dict[str, Any] = _exact(said)
    if cells:
        content["row"] = [(name, value if value is None else str(value)) for name, value in cells.items()]
    return content


def _exact(value: Any) -> Any:
    """The same number in one way: 8.0 is 8, as it may come back from a database."""
    if value.__class__ is str:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _exact(v) for name, v in value.items()}
    return [_exact(v) for v in value] if isinstance(value, list) else value


def _line(value: Any) -> bytes:
    return _JSON.encode(value).encode() + b"\n"
