"""`infer_data_job_video`: a dataset answered by a model, and the file of its predictions.

Under torchrun each rank makes this call. None waits for a message of another one: all look at the same rows, each
answers with what it has as long as something is left, and whoever comes first writes the file. So a rank that dies
holds nobody up, and no question is asked twice.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from videval import changes, runs
from videval.compat.datasets import Dataset
from videval.compat.models import NamedModel
from videval.compat.objects import Telling, adjusted, check_dataset, check_model, order_here
from videval.compat.results import ResultFile
from videval.db import results
from videval.db import runs as run_rows
from videval.db import workers as worker_rows
from videval.db.records import Claim, RunInfo
from videval.db.runs import Counts
from videval.db.schema import ensure_schema
from videval.db.session import Database, open_database
from videval.errors import EnvironmentProblem, Incomplete, UsageError
from videval.models.objects import ObjectModel, ObjectServer
from videval.options import Asked
from videval.order import Order
from videval.orders import order_unread
from videval.settings import Settings
from videval.types import Response
from videval.words import plural
from workers import desk
from workers.broker import using
from workers.engine.batcher import Batcher
from workers.fleet import Fleet
from workers.inprocess import ServerHere, serve

__all__ = ["infer_data_job_video"]

log = logging.getLogger(__name__)
TICK = 0.5
"""Seconds between two looks at a fleet."""
SOME = 500
"""Answers that are read at once to be printed."""


def infer_data_job_video(
    model: Any,
    work_dir: str | os.PathLike[str],
    model_name: str,
    dataset: Any,
    result_file_name: str,
    verbose: bool = False,
    api_nproc: int = 4,
    use_vllm: bool = False,
    *,
    keep_failed: bool = False,
) -> Any:
    """Have a dataset answered and write `work_dir/result_file_name` (xlsx, tsv or json); returns the model for reuse.

    `model`: a name, what an earlier call returned, or an object with `generate(message, dataset=...)`. `dataset`: of
    `build_dataset`, or an object as VLMEvalKit's VideoBaseDataset. `verbose` prints each answer; `api_nproc`: requests
    at once of an object that says `is_api`. A file that is there is the result: nothing is done. What was stopped goes
    on, and what failed is asked again, as long as there is no file. Failed questions stand in it without an answer,
    with their reasons on the third sheet; `keep_failed` puts VLMEvalKit's words in place of an answer.

    Raises UsageError, EnvironmentProblem; Incomplete if nothing was answered.
    """
    if use_vllm:
        raise UsageError("use_vllm: this videval has no vLLM engine yet", hint="leave use_vllm out")
    model = NamedModel(model) if isinstance(model, str) else model
    result = ResultFile.of(work_dir, result_file_name)
    if result.is_there:
        log.info("%s is there: nothing to do", result.path)
        return model
    result.check()
    check_dataset(dataset)
    settings = Settings()
    with _opened(settings) as database:
        answered = _answered(settings, database, model, model_name, dataset, verbose=verbose, api_nproc=api_nproc)
        _check_end(database, answered)
        result.write(settings, database, answered, dataset, keep_failed=keep_failed)
    return model


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    database = open_database(settings)
    try:
        ensure_schema(database)
        yield database
    finally:
        database.close()


def _answered(
    settings: Settings, database: Database, model: Any, name: str, dataset: Any, *, verbose: bool, api_nproc: int
) -> RunInfo:
    """The run of this dataset and model, once nothing of it is left."""
    if not isinstance(model, NamedModel):
        check_model(model)
        with adjusted(model, dataset, name):
            order = order_here(dataset, settings, spec=None, model=model, model_name=name)
            is_api = bool(getattr(model, "is_api", False))
            server = ObjectServer(ObjectModel(model), int(api_nproc)) if is_api else Batcher(ObjectModel(model), 1)
            return _here(settings, database, order, server, Telling(dataset, model), verbose=verbose)
    if not isinstance(dataset, Dataset):
        order = order_here(dataset, settings, spec=model.spec, model=model, model_name=name)
        own = Batcher(model.here(settings), settings.batch_size)
        return _here(settings, database, order, own, Telling(dataset, None), verbose=verbose)
    return _by_fleet(settings, database, _order(model, dataset, settings), model, verbose=verbose)


def _order(model: NamedModel, dataset: Dataset, settings: Settings) -> Order:
    """The order of a variant by name, about the questions that the dataset has."""
    asked = Asked(what=dataset.variant.name, model=model.name, prompts=dataset.prompts)
    return Order(
        **{f: getattr(order_unread(asked), f) for f in Order.__dataclass_fields__}
        | {
            "samples": dataset.samples,
            "root": dataset.root,
            "left_out": dataset.benchmark.left_out(dataset.root, dataset.variant),
            "max_attempts": settings.max_attempts,
            "allow_symlinks": settings.allow_symlinks,
        }
    )


# in this process


def _here(
    settings: Settings, database: Database, order: Order, server: ServerHere, telling: Telling, *, verbose: bool
) -> RunInfo:
    run = runs.enqueue(database, order).run
    if _ended_with_failures(database, run):
        changes.retry(database, run)
    serve(settings, run, server, order.spec, answers=telling, on_answer=_print_answer if verbose else _say_nothing)
    return run


def _print_answer(claim: Claim, response: Response) -> None:
    _print(response.text)


def _say_nothing(claim: Claim, response: Response) -> None:
    """Not verbose."""


# by workers


def _by_fleet(settings: Settings, database: Database, order: Order, model: NamedModel, *, verbose: bool) -> RunInfo:
    fleet = model.fleet(settings)
    with using(settings):
        placed = desk.enqueue(settings, database, order)
        if placed.rung.away:
            raise placed.rung.away
        for remark in placed.remarks:
            log.warning(remark)
        run = placed.run
        if _ended_with_failures(database, run):
            desk.retry(settings, database, run)
        try:
            _wait(database, run, fleet, _Printed(database, run).tell if verbose else lambda: None)
        except BaseException:
            model.close()
            raise
    return run


def _wait(database: Database, run: RunInfo, fleet: Fleet, tell: Callable[[], None]) -> None:
    """Until nothing of the run is left; EnvironmentProblem if no worker can be started, or none can load the model."""
    said: set[str] = set()
    while not _counts(database, run).finished:
        fleet.tick()
        if fleet.hopeless:
            raise EnvironmentProblem(f"no worker can be started:\n{fleet.hopeless}", hint="videval doctor")
        _warn(database, said)
        tell()
        time.sleep(TICK)
    tell()


def _warn(database: Database, said: set[str]) -> None:
    """Say what keeps workers from their work, each message once."""
    with database.read() as connection:
        messages = {f"{w.name}: {w.message}" for w in worker_rows.live_workers(connection) if w.message}
    for message in messages - said:
        said.add(message)
        log.warning(message)


class _Printed:
    """Prints the answers of a run that came since this call began."""

    def __init__(self, database: Database, run: RunInfo) -> None:
        self._database = database
        self._run = run
        with database.read() as connection:
            self._known = set(results.answered_ids(connection, run.run_id))

    def tell(self) -> None:
        """Print what is new."""
        with self._database.read() as connection:
            new = [i for i in results.answered_ids(connection, self._run.run_id) if i not in self._known]
            for start in range(0, len(new), SOME):
                for answered in results.answered(connection, new[start : start + SOME]):
                    _print(answered.said.text)
        self._known.update(new)


# both


def _print(text: str) -> None:
    """An answer on standard output, whatever characters that has."""
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()


def _counts(database: Database, run: RunInfo) -> Counts:
    with database.read() as connection:
        return run_rows.counts(connection, run.run_id)


def _ended_with_failures(database: Database, run: RunInfo) -> bool:
    """Whether a run that has no file yet is over and has failures: then what failed is asked again."""
    counts = _counts(database, run)
    return counts.finished and counts.failed > 0


def _check_end(database: Database, run: RunInfo) -> None:
    """Raise Incomplete if there is nothing to write; say how many failed."""
    counts = _counts(database, run)
    if counts.done == counts.total:
        return
    with database.read() as connection:
        first = next((row["message"] for row in results.failures(connection, run.run_id)), "it was cancelled")
    if not counts.done or counts.cancelled:
        raise Incomplete(
            f"{run.name}: {counts.done:,} of {plural(counts.total, 'request')} answered: {first}",
            hint=f"videval errors {run.name}; the same call asks again",
        )
    log.warning("%s: %s failed, such as: %s", run.name, plural(counts.failed, "request"), first)
