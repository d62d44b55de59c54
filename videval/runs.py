"""Runs: made from a benchmark and a model, gone on with by the same command, found by name. Rows only: who rings the
bell for them is not known here. What else may be done to a run: `changes.py`."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from videval import __version__
from videval.benchmarks.base import Benchmark
from videval.db import runs as rows
from videval.db import snapshots
from videval.db.records import RunInfo
from videval.db.runs import NewRun, RequestPlan
from videval.db.session import Database
from videval.errors import DataMissing, UnknownName, UsageError, VideoFailure
from videval.models.catalog import check_frames, load_key
from videval.registry import RULE
from videval.types import FrameSampling, GenerationSettings, ModelSpec, PromptSet, RunState, Sample, Variant
from videval.video.paths import resolve_video
from videval.words import plural

__all__ = ["Enqueued", "Order", "enqueue", "find", "missing_videos"]

T = TypeVar("T")
CHUNK = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a user asks for: these questions, sampled and worded like this, of that model.

    `max_frames` and `max_pixels` cap what the model sees; `limit`: so many requests, as a trial that can grow later;
    `in_order`: as the benchmark has them, its videos not shuffled; `allow_missing`: go on without the questions whose
    videos are not here. `prompts`: whose wording and frames, None is the benchmark's default; `left_out`: rows that
    cannot be asked, named.
    """

    benchmark: Benchmark
    variant: Variant
    samples: Sequence[Sample]
    root: Path
    spec: ModelSpec
    dtype: str = "auto"
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    max_frames: int | None = None
    max_pixels: int | None = None
    max_attempts: int = 3
    priority: int = 0
    limit: int | None = None
    in_order: bool = False
    allow_missing: bool = False
    allow_symlinks: bool = False
    prompts: PromptSet | None = None
    left_out: tuple[str, ...] = ()

    @property
    def prompt_set(self) -> PromptSet:
        """Whose wording and frames; UsageError if the benchmark does not have them."""
        return self.benchmark.prompt_set(self.prompts)

    @property
    def form(self) -> Literal["video", "frames"]:
        """How the model is shown the clip."""
        return self.spec.form

    def sampling(self) -> FrameSampling:
        """The frames that will be shown: count by the variant, policy by the model if it has one of its own.

        UsageError if benchmark or model cannot do that; nothing is clamped silently.
        """
        check_frames(self.spec, self.variant)
        told = self.variant.subtitles and self.prompt_set != PromptSet.VLMEVALKIT  # which leaves them out, as said
        if told and self.benchmark.subtitles_need_frames and self.form == "video":
            raise UsageError(
                f"{self.variant.name} puts subtitles between the frames; {self.spec.name} takes a whole video",
                hint="use the variant without _subs, or a model that takes images",
            )
        base = self.benchmark.sampling(self.variant, self.prompt_set)
        cap = min((c for c in (self.max_frames, self.spec.max_frames) if c), default=None)
        if base.num_frames is not None and self.max_frames is not None and base.num_frames > self.max_frames:
            raise UsageError(
                f"{self.variant.name} asks for {base.num_frames} frames, --max-frames allows {self.max_frames}",
                hint="choose a smaller variant; --max-frames caps variants by rate",
            )
        policy = self.spec.policy if self.spec.policy and base.num_frames is not None else base.policy
        return replace(base, policy=policy, max_frames=cap if base.fps is not None else None)

    def remarks(self) -> list[str]:
        """What is not asked, not shown or cannot be answered, to be said before anybody waits for it."""
        said = [f"left out: {row}" for row in self.left_out]
        return [*said, *self.benchmark.remarks(self.samples, self.variant, self.spec, self.prompt_set)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Enqueued:
    """What `enqueue` did: the run, whether it is new, how many requests were added or reopened."""

    run: RunInfo
    created: bool
    added: int
    reopened: int


def _digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _run_key(order: Order, sampling: FrameSampling, content: str) -> str:
    """What makes two orders the same run. A default prompt set and a first protocol leave no trace in it, so that it
    is what it was before there were others."""
    asked = (order.variant.name, sampling.to_json(), _load_key(order), asdict(order.generation), order.form)
    version, prompts = order.benchmark.protocol_version, order.prompt_set
    other: dict[str, Any] = {"protocol": version} if version != 1 else {}
    other |= {"prompts": prompts} if prompts != order.benchmark.prompt_set() else {}
    return _digest(content, *asked, order.max_pixels, *([other] if other else []))


def _snapshot_digest(order: Order) -> str:
    return _digest(order.benchmark.name, [asdict(s) | {"row": list(s.row.items())} for s in order.samples])


def missing_videos(order: Order) -> list[str]:
    """The videos (relative paths) that are not below the root; UsageError for a path that leaves it."""
    videos = dict.fromkeys(s.video for s in order.samples)
    try:
        paths = {v: resolve_video(order.root, v, allow_symlinks=order.allow_symlinks) for v in videos}
    except VideoFailure as error:
        raise UsageError(f"{order.variant.name}: {error}; nothing was enqueued", hint=error.hint) from error
    return [v for v, path in paths.items() if not _exists(path)]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for the file system, a folder that may not be entered
        return False


def _refuse_missing(order: Order, missing: Sequence[str]) -> None:
    shown = "\n".join(f"  {v}" for v in missing[:20]) + (f"\n  ... and {len(missing) - 20} more" * (len(missing) > 20))
    gone = plural(len(missing), "video")
    raise DataMissing(
        f"{gone} of {order.variant.name} not below {order.root}, nothing was enqueued:\n{shown}",
        hint="fetch them, or go on without their questions: --allow-missing",
    )


def _turn(digest: str, video: str) -> bytes:
    """Where a video of a snapshot stands when it is shuffled: the same in every process, for every run on it."""
    return hashlib.sha256(f"{digest}\0{video}".encode("utf-8", "surrogatepass")).digest()


def _plans(order: Order, ids: dict[str, int], missing: set[str], digest: str) -> list[RequestPlan]:
    """One request per sample, or per video in pack mode; those of one video stand together.

    Videos are shuffled, since a benchmark is often sorted by task or length: what is answered first (a trial, the
    score so far) is then a sample of it all.
    """
    present = [s for s in order.samples if s.video not in missing]
    by_video: dict[str, list[Sample]] = {}
    for sample in present:
        by_video.setdefault(sample.video, []).append(sample)
    plans: list[RequestPlan] = []
    videos = by_video if order.in_order else sorted(by_video, key=lambda video: _turn(digest, video))
    for video in videos:
        samples = by_video[video]
        groups = [samples] if order.variant.pack else [[s] for s in samples]
        for group in groups:
            key = f"pack:{video}" if order.variant.pack else f"sample:{group[0].id}"
            row_ids = tuple(ids[s.id] for s in group)
            plans.append(RequestPlan(key=key, position=len(plans), video=video, sample_row_ids=row_ids))
    return plans[: order.limit]


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def enqueue(
    database: Database, order: Order, *, new: bool = False, on_progress: Callable[[int, int], None] | None = None
) -> Enqueued:
    """Make the rows of a run, in chunks; the same order again finds the same run and adds only what it lacks.

    `new` makes another run although one exists. Raises UsageError, DataMissing, DatabaseUnavailable before any row
    is written; when it is cut off later, the same call finishes the work.
    """
    sampling = order.sampling()
    if not order.samples:
        raise UsageError(f"{order.variant.name} has no questions")
    missing = missing_videos(order)
    if missing and not order.allow_missing:
        _refuse_missing(order, missing)
    if len(missing) == len({s.video for s in order.samples}):
        _refuse_missing(order, missing)
    snapshot_id, digest = _store_snapshot(database, order)
    key = _run_key(order, sampling, digest)
    copies = _read(database, lambda c: rows.find_copies(c, key))
    created = new or not copies
    if created:
        make = _new_run(order, sampling, key, len(copies), snapshot_id, digest, missing)
        run_id = database.write(lambda c: _create(c, order, make))
    else:
        run_id = copies[-1].run_id
    ids = _read(database, lambda c: snapshots.sample_ids(c, snapshot_id))
    plans, added = _plans(order, ids, set(missing), digest), 0
    for chunk in _chunks(plans):
        added += database.write(lambda c, chunk=chunk: rows.add_requests(c, run_id, chunk))  # type: ignore[misc]
        if on_progress:
            on_progress(added, len(plans))
    reopened = database.write(lambda c: _activate(c, run_id))
    run = _read(database, lambda c: next(r for r in rows.list_runs(c) if r.run_id == run_id))
    return Enqueued(run=run, created=created, added=added, reopened=reopened)


def _read(database: Database, query: Callable[[Any], T]) -> T:
    with database.read() as connection:
        return query(connection)


def _load_key(order: Order) -> str:
    return load_key(order.spec, order.dtype)


def _store_snapshot(database: Database, order: Order) -> tuple[int, str]:
    digest = _snapshot_digest(order)
    columns = list(dict.fromkeys(c for s in order.samples for c in s.row))
    snapshot_id = database.write(
        lambda c: snapshots.add_snapshot(
            c, digest=digest, benchmark=order.benchmark.name, columns=columns, num_samples=len(order.samples)
        )
    )
    stored = _read(database, lambda c: len(snapshots.sample_ids(c, snapshot_id)))
    if stored < len(order.samples):
        for chunk in _chunks(list(enumerate(order.samples))):
            database.write(lambda c, chunk=chunk: snapshots.add_samples(c, snapshot_id, chunk))  # type: ignore[misc]
    return snapshot_id, digest


def _new_run(
    order: Order, sampling: FrameSampling, key: str, copy: int, snapshot_id: int, digest: str, missing: Sequence[str]
) -> NewRun:
    lost = set(missing)
    return NewRun(
        name="",
        key=key,
        copy=copy,
        snapshot_id=snapshot_id,
        benchmark=order.benchmark.name,
        variant=order.variant.name,
        spec=order.spec,
        load_key=_load_key(order),
        sampling=sampling,
        generation=order.generation,
        pack=order.variant.pack,
        subtitles=order.variant.subtitles,
        form=order.form,
        scorer=RULE,
        data_root=str(order.root.absolute()),
        max_pixels=order.max_pixels,
        max_attempts=order.max_attempts,
        priority=order.priority,
        limit=order.limit,
        missing=tuple(s.id for s in order.samples if s.video in lost),
        card=_card(order, sampling, digest),
        prompts=order.prompt_set,
        protocol=order.benchmark.protocol_version,
    )


def _card(order: Order, sampling: FrameSampling, digest: str) -> dict[str, Any]:
    """All that the numbers depend on; hardware and library versions are added from the attempts when it is shown."""
    return {
        "videval": __version__,
        "benchmark": {
            "name": order.benchmark.name,
            "title": order.benchmark.title,
            "paper": order.benchmark.paper,
            "variant": order.variant.name,
            "questions": len(order.samples),
            "content": digest,
            "pack": order.variant.pack,
            "subtitles": order.variant.subtitles,
            "prompts": order.prompt_set,
            "protocol": order.benchmark.protocol_version,
            "remarks": order.remarks(),
        },
        "model": asdict(order.spec) | {"dtype": order.dtype},
        "frames": sampling.to_json() | {"form": order.form, "max_pixels": order.max_pixels},
        "generation": asdict(order.generation),
    }


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "x"


def _create(connection: Any, order: Order, new: NewRun) -> int:
    """Insert the run under the next free name of its kind; two at once: the second finds the first's."""
    known = rows.find_copies(connection, new.key)
    if len(known) > new.copy:
        return known[-1].run_id
    stem = f"{_slug(order.variant.name)}--{_slug(order.spec.name)}--"
    taken = [r.name.removeprefix(stem) for r in rows.find_run(connection, stem)]
    number = max((int(t) for t in taken if t.isdigit()), default=0) + 1
    return rows.create_run(connection, NewRun(**{**_fields(new), "name": f"{stem}{number}"}))


def _fields(new: NewRun) -> dict[str, Any]:
    return {name: getattr(new, name) for name in NewRun.__dataclass_fields__}


def _activate(connection: Any, run_id: int) -> int:
    run = next(r for r in rows.list_runs(connection) if r.run_id == run_id)
    reopened = rows.reopen_cancelled(connection, run_id) if run.state == RunState.CANCELLED else 0
    if run.state != RunState.ACTIVE:
        rows.set_state(connection, run_id, RunState.ACTIVE)
    return reopened


def find(database: Database, name: str) -> RunInfo:
    """The run called `name`, or the only one whose name starts so. UnknownName, or UsageError if several do."""
    found = _read(database, lambda c: rows.find_run(c, name))
    if not found:
        raise UnknownName("run", name, [r.name for r in _read(database, rows.list_runs)])
    if len(found) > 1:
        names = "\n".join(f"  {r.name}" for r in found[:10])
        raise UsageError(f"{len(found)} runs start with {name!r}:\n{names}", hint="give more of the name")
    return found[0]
