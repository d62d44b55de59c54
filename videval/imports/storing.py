"""Answers from files as rows of a run: scored by our rules in the transaction that stores them.

The run is the one that the same order would make, so that enqueuing it asks only what is missing. What was stored
stays, whenever the import is cut off; the same import again stores the rest.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from videval import runs
from videval.asking import asking, one_by_one, packed
from videval.db import runs as run_rows
from videval.db import snapshots
from videval.db.imported import ImportedAnswer, store_imported
from videval.db.plans import RequestPlan
from videval.db.records import RunInfo, StoredSample
from videval.db.session import Database
from videval.errors import UsageError
from videval.imports.matching import Matched
from videval.imports.rows import ResultFile
from videval.order import Order
from videval.plans import plans
from videval.report import fold
from videval.types import RunState, Said, Sample

__all__ = ["Stored", "run_for", "said_to", "store"]

CHUNK = 500
"""Requests in a transaction; workers can write between two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What an import did: the run, whether it is new, how many requests it answered, and how many were answered;
    `again`: whether the run had these very files before."""

    run: RunInfo
    created: bool
    stored: int
    known: int
    again: bool


def said_to(order: Order, matched: Matched) -> dict[str, str]:
    """What was said to each request of the order, by its key; a pack's answers are one response again.

    A pack of which a file has some answers is answered: so it is where the model left the others out.
    """
    requests = packed(order.samples) if order.variant.pack else one_by_one(order.samples)
    said = {}
    for key, samples in requests.items():
        text = _said(order, samples, matched)
        if text is not None:
            said[key] = text
    return said


def _said(order: Order, samples: Sequence[Sample], matched: Matched) -> str | None:
    answers = {s.id: matched.answers[s.id] for s in samples if s.id in matched.answers}
    if not order.variant.pack:
        return answers.get(samples[0].id)
    names = (samples[0].video, str(samples[0].row.get("video", "")))
    whole = next((matched.packs[name] for name in names if name in matched.packs), None)
    return whole or (json.dumps(answers, ensure_ascii=False) if answers else None)


def run_for(database: Database, order: Order, files: Sequence[ResultFile], *, new: bool) -> RunInfo | None:
    """The run that takes these answers in, None if one is to be made.

    UsageError if the order's run has answers of its own: they are not mixed unasked.
    """
    found = runs.copies_of(database, order)
    same = [run for run in found if _has(run, files)]
    if new or not found:
        return same[-1] if same else None
    if same or found[-1].is_imported:
        return (same or found)[-1]
    raise UsageError(
        f"{found[-1].name} is of the same order, and was not imported: its answers are not mixed with a file's",
        hint="--new imports into a run beside it",
    )


def _has(run: RunInfo, files: Sequence[ResultFile]) -> bool:
    """Whether a run was imported from these very files, among others."""
    known = run.card["imported"]["files"] if run.is_imported else ()
    return {file.sha256 for file in files} <= {file["sha256"] for file in known}


def store(
    database: Database,
    order: Order,
    files: Sequence[ResultFile],
    said: Mapping[str, str],
    *,
    new: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Stored:
    """Write what files say into the run of the order; raises what `run_for` raises, before anything is written."""
    known = run_for(database, order, files, new=new)
    if known is None:
        run = runs.create(database, order, more={"imported": _note(files, None)})
    else:
        run = known
        database.write(run_rows.set_imported, run.run_id, _note(files, known.card["imported"]))
    stored, done = 0, 0
    for chunk in _chunks(_answers(database, order, run, said)):
        stored += database.write(store_imported, run.run_id, chunk, files[0].tool)
        done += len(chunk)
        on_progress(done, len(said))
    if run.state == RunState.CREATING:
        database.write(run_rows.set_state, run.run_id, RunState.ACTIVE)
    fold(database, run)
    with database.read() as connection:
        run = run_rows.get_run(connection, run.run_id)
    again = known is not None and _has(known, files)
    return Stored(run=run, created=known is None, stored=stored, known=len(said) - stored, again=again)


def _note(files: Sequence[ResultFile], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the card says: which files, who wrote them, since when."""
    kept = list(before["files"]) if before else []
    known = {file["sha256"] for file in kept}
    kept += [{"name": f.name, "sha256": f.sha256, "tool": f.tool} for f in files if f.sha256 not in known]
    at = before["at"] if before else datetime.now(UTC).isoformat(timespec="seconds")
    return {"files": kept, "tool": files[0].tool, "at": at}


def _answers(database: Database, order: Order, run: RunInfo, said: Mapping[str, str]) -> Iterator[ImportedAnswer]:
    """Each answer with its request, in the order in which requests go out."""
    with database.read() as connection:
        ids = snapshots.row_ids(connection, run.snapshot_id)
    content = None if order.in_order else run.card["benchmark"]["content"]
    asked = plans(order.samples, ids, pack=order.variant.pack, shuffled_by=content)
    for plan in asked:
        if plan.key in said:
            yield _answer(order, plan, asked.samples_of(plan), said[plan.key])


def _answer(order: Order, plan: RequestPlan, samples: Sequence[Sample], text: str) -> ImportedAnswer:
    rows = zip(plan.sample_row_ids, samples, strict=True)
    stored = tuple(StoredSample(row_id=row_id, sample=sample) for row_id, sample in rows)
    reading = asking(plan.key, order.benchmark).read(samples, Said(text=text))
    return ImportedAnswer(plan=plan, text=text, stored=stored, reading=reading)


def _chunks(answers: Iterator[ImportedAnswer]) -> Iterator[list[ImportedAnswer]]:
    chunk: list[ImportedAnswer] = []
    for answer in answers:
        chunk.append(answer)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
