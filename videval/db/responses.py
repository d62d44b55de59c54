"""What models said, thought and were shown over a whole run: read in spans of request ids.

The rendered prompt is long and is not among it: `browse.requests_of_sample` reads it with the response that is shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Text, case, cast, func, or_, select

from videval.db.tables import RequestRow, RequestSampleRow, ResponseRow, SampleRow
from videval.db.timings import in_span
from videval.plain import Unreadable, restored
from videval.types import Seen

__all__ = [
    "CUT_THINKING",
    "PromptCost",
    "SeenClips",
    "StoredResponse",
    "endings_in",
    "prompt_costs",
    "responses_in",
    "saw_in",
    "seen_of",
]

THOUGHT = ResponseRow.thinking.is_not(None)
CUT_THINKING = ResponseRow.truncated & THOUGHT & (ResponseRow.text == "")
"""`Generation.cut_thinking` of a stored response, whose thinking need not be read for it."""
SAW = cast(ResponseRow.seen, Text) != "[]"
"""Whether it is known what the processor made of the clips; not every adapter has one that says."""
REFUSED = ResponseRow.refused != ""
USAGE = ("cached_tokens", "reasoning_tokens", "cost")
"""What servers say of an answer beside its tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredResponse:
    """A response with the ids of the samples that it was asked about, as it is exported."""

    samples: tuple[str, ...]
    video: str
    text: str
    thinking: str | None
    truncated: bool
    refused: str
    prompt_tokens: int | None
    cached_tokens: int | None
    new_tokens: int | None
    reasoning_tokens: int | None
    cost: float | None
    seen: tuple[Seen, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptCost:
    """The tokens of a prompt as the server counted them, with the frames that it had, in pixels."""

    frames: int
    width: int
    height: int
    tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenClips:
    """What a processor made of the clips of one response, of so many frames in all; of the first clip: the size of its
    frames before that, its video's frame count and rate, and how many frames its shown part has if that is not all."""

    seen: tuple[Seen, ...]
    num_frames: int
    width: int
    height: int
    total_frames: int
    fps: float
    span_frames: int | None


def endings_in(connection: Connection, run_id: int, low: int, high: int) -> dict[str, int]:
    """Of the responses to requests with ids low..high: how many thought, ended at the token limit, ended there
    while they thought, and were refused."""
    asked = {"thought": THOUGHT, "truncated": ResponseRow.truncated, "truncated_thinking": CUT_THINKING}
    asked["refused"] = REFUSED
    counts = (func.sum(case((is_so, 1), else_=0)).label(name) for name, is_so in asked.items())
    row = connection.execute(select(*counts).where(in_span(run_id, low, high))).one()
    return {name: row._mapping[name] or 0 for name in asked}


def saw_in(connection: Connection, run_id: int, low: int, high: int) -> Iterator[SeenClips]:
    """What was seen with the requests with ids low..high, as far as it is known."""
    first = {name: ResponseRow.clips[(0, name)] for name in ("width", "height", "total_frames", "span_frames", "fps")}
    query = select(ResponseRow.seen, ResponseRow.num_frames).add_columns(
        *(v.as_float().label(n) if n == "fps" else v.as_integer().label(n) for n, v in first.items())
    )
    for row in connection.execute(query.where(in_span(run_id, low, high), SAW, ResponseRow.num_frames > 0)):
        yield SeenClips(**(dict(row._mapping) | {"seen": seen_of(row.seen)}))


def prompt_costs(connection: Connection, run_id: int, *, limit: int) -> list[PromptCost]:
    """What the prompts of a run's newest answers took, as far as the server said it; of several clips, none."""
    size = {name: ResponseRow.clips[(0, name)].as_integer() for name in ("width", "height")}
    another = ResponseRow.clips[(1, "width")].as_integer().label("another")
    query = select(ResponseRow.num_frames.label("frames"), ResponseRow.prompt_tokens.label("tokens"))
    query = query.add_columns(another, *(column.label(name) for name, column in size.items()))
    newest = query.where(ResponseRow.run_id == run_id).order_by(ResponseRow.created_at.desc()).limit(limit)
    found = [dict(row._mapping) for row in connection.execute(newest)]
    return [PromptCost(**row) for row in found if row.pop("another") is None and None not in row.values()]


def responses_in(connection: Connection, run_id: int, low: int, high: int) -> Iterator[StoredResponse]:
    """The responses to requests with ids low..high of which more is known than their text and tokens, in the order of
    these: what was thought or seen, what it cost, why it was refused."""
    names = [name for name in StoredResponse.__dataclass_fields__ if name not in ("samples", "video", "seen")]
    told = or_(THOUGHT, SAW, REFUSED, *(getattr(ResponseRow, name).is_not(None) for name in USAGE))
    rows = connection.execute(
        select(RequestRow.id, RequestRow.video, SampleRow.key, ResponseRow.seen)
        .add_columns(*(getattr(ResponseRow, name) for name in names))
        .join(ResponseRow, ResponseRow.request_id == RequestRow.id)
        .join(RequestSampleRow, RequestSampleRow.request_id == RequestRow.id)
        .join(SampleRow, SampleRow.id == RequestSampleRow.sample_id)
        .where(in_span(run_id, low, high), told)
        .order_by(RequestRow.id, RequestSampleRow.position)
    )
    for _, group in groupby(rows, key=lambda row: row.id):
        first, *others = group
        yield StoredResponse(
            samples=(first.key, *(row.key for row in others)),
            video=first.video,
            seen=seen_of(first.seen),
            **{name: getattr(first, name) for name in names},
        )


def seen_of(stored: Sequence[Mapping[str, Any]]) -> tuple[Seen, ...]:
    """What a processor made of each clip, as it is stored; nothing of what only a newer videval can read."""
    try:
        return tuple(restored(Seen, clip) for clip in stored)
    except Unreadable:
        return ()
