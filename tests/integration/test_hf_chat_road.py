"""Every family of `hf_chat` on the whole road: enqueued, decoded, batched, answered, stored and exported."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.questions import make_run, request_ids, samples, take
from tests.servers import settings_for
from tests.tiny import TINY
from videval.asking import asking
from videval.benchmarks.catalog import find_benchmark
from videval.db import results
from videval.db.runs import list_runs
from videval.db.schema import upgrade
from videval.db.session import Database, open_database
from videval.export import export_table, run_table
from videval.inference import infer
from videval.models.catalog import load_model, model_spec
from videval.protocols import Model
from videval.types import Answer, GenerationSettings, Prompt, Stage
from videval.types import Ask as Asked
from videval.video.cache import FrameCache
from videval.video.clips import Fetched, Wanted
from workers.engine.batcher import Batcher


class Heard:
    """A caller that waits for its answer."""

    def __init__(self, on_stage: Callable[[Stage], None]) -> None:
        self.ended: queue.Queue[Answer | BaseException] = queue.Queue()
        self.entered = on_stage
        self.answered = self.ended.put
        self.failed = self.ended.put


class Served:
    """A Batcher over a loaded model, asked as a worker asks its engine process."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._count = 0

    def ask(
        self, prompt: Prompt, settings: GenerationSettings, *, on_stage: Callable[[Stage], None], **how: Any
    ) -> Answer:
        self._count += 1
        heard = Heard(on_stage)
        self._batcher.ask(Asked(id=self._count, prompt=prompt, settings=settings), heard)
        ended = heard.ended.get(timeout=60)
        if isinstance(ended, BaseException):
            raise ended
        return ended


class Frames:
    """The frame cache, without decoder processes."""

    def __init__(self, folder: Path) -> None:
        self._cache = FrameCache(folder, 1.0)

    def hold(
        self, wanted: Wanted, *, on_decode: Callable[[], None], at_once: bool = False
    ) -> AbstractContextManager[Fetched]:
        return self._cache.hold(wanted)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Database]:
    database = open_database(settings_for(tmp_path))
    upgrade(database)
    yield database
    database.close()


@pytest.mark.parametrize("family", TINY)
def test_a_family_goes_from_enqueue_to_export(
    family: str, tiny: Callable[[str], Path], home: Database, tmp_path: Path
) -> None:
    name = f"hf_chat:{tiny(family)}"
    run_id = make_run(home, tmp_path / "data", samples(2, videos=1), model=name)
    model = load_model(model_spec(name), devices=["cpu"])
    assert isinstance(model, Model)
    batcher = Batcher(model, 2)
    threading.Thread(target=batcher.run, daemon=True).start()
    served, frames = Served(batcher), Frames(tmp_path / "frames")
    for request in request_ids(home, run_id):
        claim = take(home, request, model=name)
        assert claim is not None
        response = infer(
            claim.key, claim.samples, claim.run, root=tmp_path / "data", frames=frames, engine=served,
            on_stage=lambda stage: None,
        )  # fmt: skip
        reading = asking(claim.key, find_benchmark(claim.run.benchmark)).read(claim.samples, response.said)
        assert home.write(lambda c, *a: results.complete(c, *a), claim, response, reading)
    batcher.close()
    (seen,) = response.generation.seen
    assert seen.frames == response.prompt.clips[0].num_frames == 4
    assert response.generation.rendered and response.generation.prompt_tokens
    with home.read() as connection:
        (run,) = list_runs(connection)
    export_table(run_table(home, run), tmp_path / "run.jsonl", "jsonl")
    assert (tmp_path / "run.jsonl").read_text().count('"prediction"') == 2
