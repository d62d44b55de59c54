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
from dataclasses import dataclass, replace
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
from videval.types import ModelSpec, Response
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
    at once of an object that says `is_api`; `use_vllm`: vLLM answers in place of transformers. A file that is there is
    the result: nothing is done. What was stopped goes on, and what failed is asked again, as long as there is no file.
    Failed questions stand in it without an answer, with their reasons on the third sheet; `keep_failed` puts
    VLMEvalKit's words in place of an answer.

    Raises UsageError, EnvironmentProblem; Incomplete if nothing was answered.
    """
    model = NamedModel(model) if isinstance(model, str) else model
    result = ResultFile.of(work_dir, result_file_name)
    if result.is_there:
        log.info("%s is there: nothing to do", result.path)
        return model
    result.check()
    check_dataset(dataset)
    if use_vllm and not (isinstance(model, NamedModel) and isinstance(dataset, Dataset)):
        raise UsageError("vLLM answers for a model and a dataset by their names", hint="leave use_vllm out")
    settings = Settings()
    with _opened(settings) as database:
        call = _Call(
            settings=settings, database=database, name=model_name, dataset=dataset, verbose=verbose, use_vllm=use_vllm
        )
        run = call.by_objects(model, result, api_nproc) if call.is_of_objects(model) else call.by_name(model)
        if run is not None:
            _check_end(database, run)
            result.write(settings, database, run, dataset, keep_failed=keep_failed)
    return model


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    database = open_database(settings)
    try:
        ensure_schema(database)
        yield database
    finally:
        database.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """What is asked, and where it is kept."""

    settings: Settings
    database: Database
    name: str
    dataset: Any
    verbose: bool
    use_vllm: bool

    def is_of_objects(self, model: Any) -> bool:
        """Whether only this process can answer."""
        return not (isinstance(model, NamedModel) and isinstance(self.dataset, Dataset))

    def by_name(self, model: NamedModel) -> RunInfo:
        """The run of a variant and a model by name, once nothing of it is left."""
        what, prompts = self.dataset.variant.name, self.dataset.prompts
        asked = Asked(what=what, model=model.name, prompts=prompts, use_vllm=self.use_vllm)
        order = replace(
            order_unread(asked),
            samples=self.dataset.samples,
            root=self.dataset.root,
            left_out=self.dataset.benchmark.left_out(self.dataset.root, self.dataset.variant),
            max_attempts=self.settings.max_attempts,
            allow_symlinks=self.settings.allow_symlinks,
        )
        return answer_by_fleet(self.settings, self.database, order, model, verbose=self.verbose)

    def by_objects(self, model: Any, result: ResultFile, api_nproc: int) -> RunInfo | None:
        """The run of what is here, once nothing of it is left; None if others of this call have written its file."""
        if not isinstance(model, NamedModel):
            check_model(model)
        ticket = result.ticket()
        if result.is_there:
            result.tear_ticket()
            return None
        if isinstance(model, NamedModel):
            order = self._order(ticket, spec=model.spec, model=model)
            return self._here(order, lambda: Batcher(model.here(self.settings), self.settings.batch_size), None)
        with adjusted(model, self.dataset, self.name):
            order = self._order(ticket, spec=None, model=model)
            return self._here(order, lambda: _server_of(model, api_nproc), model)

    def _order(self, ticket: str, *, spec: ModelSpec | None, model: Any) -> Order:
        return order_here(self.dataset, self.settings, spec=spec, model=model, model_name=self.name, ticket=ticket)

    def _here(self, order: Order, make: Callable[[], ServerHere], model: Any | None) -> RunInfo:
        """Have it answered in this process, by the server that is made."""
        run = runs.enqueue(self.database, order).run
        if ended_with_failures(self.database, run):
            changes.retry(self.database, run)
        server = _when_free(self.database, run, make)
        if server is not None:
            tell = _print_answer if self.verbose else _say_nothing
            telling = Telling(self.dataset, model)
            serve(self.settings, run, server, order.spec, answers=telling, on_answer=tell)
        return run


def _server_of(model: Any, api_nproc: int) -> ServerHere:
    if getattr(model, "is_api", False):
        return ObjectServer(ObjectModel(model), int(api_nproc))
    return Batcher(ObjectModel(model), 1)


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
