"""Runs of VLMEvalKit's own models and datasets, answered in this process, on the dashboard's pages."""

from contextlib import closing
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from tests.dashboards import PAGES, Open, its_database, opens_pages, said, settings_of_this_test
from tests.kits import kit
from tests.questions import request_ids, take
from videval.asking import asking
from videval.benchmarks.catalog import find_benchmark
from videval.compat import build_dataset, infer_data_job_video
from videval.db import results
from videval.db.session import Database
from videval.errors import UsageError
from videval.inference import infer
from videval.models.catalog import load_model, model_spec
from videval.options import Asked
from videval.orders import make_order
from videval.runs import enqueue
from videval.settings import Settings
from videval.trying import order_about, try_it
from videval.video.cache import FrameCache, FramesHere
from workers.engine.here import EngineHere

__all__ = ["its_database", "kit", "opens_pages", "settings_of_this_test"]

FILMS, PICTURES = "vlmevalkit:Toy-Films_4frame", "vlmevalkit:Toy-Pictures"


def answered(database: Database, what: str, model: str, folder: Path) -> str:
    """A run with all its answers; its name."""
    run = enqueue(database, make_order(Asked(what=what, model=model), Settings())).run
    spec = model_spec(model)
    with closing(EngineHere(lambda: load_model(spec, devices=["cpu"]))) as engine:
        for request in request_ids(database, run.run_id):
            claim = take(database, request, model=model)
            assert claim is not None
            response = infer(
                claim.key, claim.samples, claim.run, root=Path("/"), frames=FramesHere(FrameCache(folder, 1.0)),
                engine=engine, on_stage=lambda stage: None,
            )  # fmt: skip
            reading = asking(claim.key, find_benchmark(claim.run.benchmark)).read(claim.samples, response.said)
            assert database.write(lambda c, *a: results.complete(c, *a), claim, response, reading)
    return run.name


@pytest.mark.parametrize("model", [PICTURES, "fake"])
def test_every_page_shows_a_run_of_its_own(
    kit: Path, database: Database, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setenv("VIDEVAL_HOME", str(tmp_path))
    run = answered(database, FILMS, model, tmp_path / "frames")
    for page in PAGES:
        shown = opened(page, run=run)
        assert not shown.exception, page
    sample = opened("samples", run=run, sample="1")
    assert not sample.exception
    text = said(sample)
    assert "Look closely. question 1?" in text
    assert model == "fake" or "Toy-Films: 4 images" in text


def test_a_model_that_reads_videos_by_itself_has_no_frames_to_try(kit: Path, tmp_path: Path) -> None:
    video = kit / "films" / "v0.mp4"
    order = order_about(Asked(what=None, model="vlmevalkit:Toy-Watcher-8f"), video, "What moves?", span=None)
    with pytest.raises(UsageError, match="reads videos by itself"):
        try_it(order, engine=EngineHere(lambda: load_model(order.spec, devices=["cpu"])), sheet=tmp_path / "s.png")


def test_the_call_of_its_users_takes_both_by_name_and_its_own_dataset(kit: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="VLMEvalKit's own dataset"):
        build_dataset(FILMS)
    dataset = getattr(import_module("vlmeval.dataset"), "build_dataset")("Toy-Films_4frame")  # noqa: B009
    for model, words in ((PICTURES, "4 images"), ("vlmevalkit:Toy-Watcher-8f", "video,text; 4 frames")):
        infer_data_job_video(model, tmp_path / "out", model, dataset, f"{words[:1]}.tsv")
        found = pd.read_csv(tmp_path / "out" / f"{words[:1]}.tsv", sep="\t")
        assert all(words in text for text in found["prediction"])
