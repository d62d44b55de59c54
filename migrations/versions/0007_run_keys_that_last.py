"""run keys that last: what every run and every snapshot is known by, in a form that new fields do not change.

The keys of format 1 are written out here, as they were when this was: what videval computes may be another by now, and
then a later migration goes on from these. An earlier schema knows keys of another kind: taken back to one, runs stay,
and are not found by the same order.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic import op

from videval.db.tables import ExactText

revision = "0007"
down_revision = "0006"

CHUNK = 1000
SAMPLING: dict[str, Any] = {"num_frames": None, "fps": None, "max_frames": None, "times": "nominal"}
GENERATION: dict[str, Any] = {"max_new_tokens": 512, "temperature": 0.0, "top_p": 1.0, "seed": 0}
SAMPLE: dict[str, Any] = {"answer": None, "candidates": [], "start": None, "end": None, "row": {}}
RUN: dict[str, Any] = {
    "form": "video",
    "max_pixels": None,
    "pack": False,
    "subtitles": False,
    "prompts": "paper",
    "protocol": 1,
}
"""What each field is at its default, where it is left out."""

snapshots = sa.table(
    "snapshots",
    sa.column("id", sa.Integer),
    sa.column("digest", ExactText),
    sa.column("benchmark", ExactText),
    sa.column("num_samples", sa.Integer),
)
samples = sa.table(
    "samples",
    sa.column("snapshot_id", sa.Integer),
    sa.column("position", sa.Integer),
    *(sa.column(name, ExactText) for name in ("key", "video", "question", "answer")),
    *(sa.column(name, sa.JSON) for name in ("candidates", "row", "beside")),
    *(sa.column(name, sa.Double) for name in ("start", "end")),
)
runs = sa.table(
    "runs",
    *(sa.column(name, sa.Integer) for name in ("id", "copy", "snapshot_id", "max_pixels", "protocol")),
    *(sa.column(name, ExactText) for name in ("key", "variant", "load_key", "form", "prompts")),
    *(sa.column(name, sa.JSON) for name in ("sampling", "generation")),
    *(sa.column(name, sa.Boolean) for name in ("pack", "subtitles")),
)


def upgrade() -> None:
    connection = op.get_bind()
    contents = _new_contents(connection)
    copies: dict[str, int] = {}
    for run in connection.execute(sa.select(runs).order_by(runs.c.id)).all():
        key = _run_key(run, contents[run.snapshot_id])
        copy = copies.get(key, 0)
        copies[key] = copy + 1
        connection.execute(runs.update().where(runs.c.id == run.id).values(key=key, copy=copy))


def downgrade() -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a snapshot holds: `is_whole` if all of its samples are there, `has_spans` if some ask for seconds."""

    digest: str
    is_whole: bool
    has_spans: bool


def _new_contents(connection: sa.Connection) -> dict[int, Content]:
    """Each snapshot by its id. Of two that are the same by now the later one keeps its old digest in its row, as does
    one that was never stored whole, which no run is on."""
    contents: dict[int, Content] = {}
    for snapshot in connection.execute(sa.select(snapshots).order_by(snapshots.c.id)).all():
        content = _content_of(connection, snapshot)
        if content.is_whole and content.digest not in {c.digest for c in contents.values()}:
            values = {"digest": content.digest}
            connection.execute(snapshots.update().where(snapshots.c.id == snapshot.id).values(values))
        contents[snapshot.id] = content
    return contents


def _content_of(connection: sa.Connection, snapshot: Any) -> Content:
    digest, count, has_spans = hashlib.sha256(_line({"format": 1, "snapshot": snapshot.benchmark})), 0, False
    mine = sa.select(samples).where(samples.c.snapshot_id == snapshot.id).order_by(samples.c.position)
    for sample in connection.execute(mine.execution_options(yield_per=CHUNK)):
        digest.update(_line(_content(sample)))
        count += 1
        clips = sample.beside.get("clips", [])
        spans = [(sample.start, sample.end), *((clip.get("start"), clip.get("end")) for clip in clips)]
        has_spans = has_spans or any(None not in span for span in spans)
    return Content(digest=digest.hexdigest(), is_whole=count == snapshot.num_samples, has_spans=has_spans)


def _content(sample: Any) -> dict[str, Any]:
    said = {"id": sample.key, "video": sample.video, "question": sample.question}
    said |= _not_default({name: getattr(sample, name) for name in SAMPLE}, SAMPLE) | sample.beside
    cells = [(name, value if value is None else str(value)) for name, value in said.pop("row", {}).items()]
    return {**_exact(said), **({"row": cells} if cells else {})}


def _run_key(run: Any, content: Content) -> str:
    said = {"content": content.digest, "variant": run.variant, "load_key": run.load_key}
    said |= {"sampling": _sampling(run.sampling, content), "generation": _not_default(run.generation, GENERATION)}
    said |= _not_default({name: getattr(run, name) for name in RUN}, RUN)
    return hashlib.sha256(_line({"format": 1, "run": _exact(said)})).hexdigest()


def _sampling(sampling: dict[str, Any], content: Content) -> dict[str, Any]:
    """What a second is matters where seconds are asked for, in a rate or a span."""
    seconds = content.has_spans or sampling.get("fps") is not None
    return _not_default(sampling if seconds else sampling | {"times": "nominal"}, SAMPLING)


def _not_default(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}


def _exact(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _exact(v) for name, v in value.items()}
    return [_exact(v) for v in value] if isinstance(value, list) else value


def _line(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
