"""`infer_data_job_video`: a dataset answered by a model, and the file of its predictions.

Under torchrun each rank makes this call. None waits for a message of another one: all look at the same rows, each
answers with what it has as long as something is left, and whoever comes first writes the file. So a rank that dies
holds nobody up, and no question is asked twice.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from videval import changes, runs
from videval.compat.datasets import Dataset
from videval.compat.fleets import answer_by_fleet, counts_of, ended_with_failures, print_answer
from videval.compat.models import NamedModel
from videval.compat.objects import adjusted, check_dataset, check_model, order_here
from videval.compat.ranks import is_one_of_several
from videval.compat.results import ResultFile
from videval.compat.telling import Telling
from videval.db import results
from videval.db.records import Claim, RunInfo
from videval.db.schema import ensure_schema
from videval.db.session import Database, open_database
from videval.errors import Incomplete, NoFreeDevice, UsageError
from videval.models.objects import ObjectModel, ObjectServer
from videval.options import Asked
from videval.order import Order
from videval.orders import order_unread
from videval.settings import Settings
from videval.types import Response
from videval.words import plural
from workers.engine.batcher import Batcher
from workers.inprocess import ServerHere, serve

__all__ = ["infer_data_job_video"]

log = logging.getLogger(__name__)


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
            telling = Telling(dataset, model)
            return _here(settings, database, order, lambda: _server_of(model, api_nproc), telling, verbose=verbose)
    if not isinstance(dataset, Dataset):
        order = order_here(dataset, settings, spec=model.spec, model=model, model_name=name)
        telling = Telling(dataset, None)
        return _here(settings, database, order, lambda: _own_server(model, settings), telling, verbose=verbose)
    return answer_by_fleet(settings, database, _order(model, dataset, settings), model, verbose=verbose)


def _order(model: NamedModel, dataset: Dataset, settings: Settings) -> Order:
    """The order of a variant by name, about the questions that the dataset has."""
    return replace(
        order_unread(Asked(what=dataset.variant.name, model=model.name, prompts=dataset.prompts)),
        samples=dataset.samples,
        root=dataset.root,
        left_out=dataset.benchmark.left_out(dataset.root, dataset.variant),
        max_attempts=settings.max_attempts,
        allow_symlinks=settings.allow_symlinks,
    )


def _server_of(model: Any, api_nproc: int) -> ServerHere:
    if getattr(model, "is_api", False):
        return ObjectServer(ObjectModel(model), int(api_nproc))
    return Batcher(ObjectModel(model), 1)


def _own_server(model: NamedModel, settings: Settings) -> ServerHere:
    return Batcher(model.here(settings), settings.batch_size)


def _here(
    settings: Settings,
    database: Database,
    order: Order,
    make: Callable[[], ServerHere],
    telling: Telling,
    *,
    verbose: bool,
) -> RunInfo:
    """Have it answered in this process, by the server that is made."""
    run = runs.enqueue(database, order).run
    if ended_with_failures(database, run):
        changes.retry(database, run)
    server = _when_free(database, run, make)
    if server is not None:
        tell = _print_answer if verbose else _say_nothing
        serve(settings, run, server, order.spec, answers=telling, on_answer=tell)
    return run


def _when_free(database: Database, run: RunInfo, make: Callable[[], ServerHere]) -> ServerHere | None:
    """The server, as soon as there is a device for it: a rank that has none waits for one, or for the run's end (then
    None)."""
    while True:
        try:
            return make()
        except NoFreeDevice:
            if not is_one_of_several():
                raise
        if counts_of(database, run).finished:
            return None
        time.sleep(1.0)


def _print_answer(claim: Claim, response: Response) -> None:
    print_answer(response.text)


def _say_nothing(claim: Claim, response: Response) -> None:
    """Not verbose."""


def _check_end(database: Database, run: RunInfo) -> None:
    """Raise Incomplete if there is nothing to write; say how many failed."""
    counts = counts_of(database, run)
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
