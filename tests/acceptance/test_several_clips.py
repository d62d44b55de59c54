"""A question that shows two clips and an image, from the file to the model, the row, the dashboard and the workbook."""

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from dashboard import backend as shared
from tests.acceptance.conftest import Home
from tests.dashboards import Open, said
from tests.dashboards import opens_pages as opens_pages
from tests.dashboards import settings_of_this_test as settings_of_this_test
from videval.db import browse, runs
from videval.db.browse import RequestDetail
from videval.db.session import open_database
from videval.settings import Settings


def asked(clips: list[str]) -> list[dict[str, object]]:
    """A question about two clips and one about one, over real clips."""
    first, second, _ = clips
    part = {"video": second, "start": 1, "end": 2.5, "frames": 3}
    return [
        {"index": "two", "video": [first, part], "image": "i.png", "question": "Which is brighter?", "answer": "one"},
        {"index": "one", "video": first, "image": None, "question": "What is it?", "answer": "bikes"},
    ]


def stored(home: Home, sample: str) -> RequestDetail:
    """What is stored of the request about a sample."""
    database = open_database(Settings(home=Path(home.environ["VIDEVAL_HOME"]), _env_file=None), read_only=True)  # type: ignore[call-arg]
    try:
        with database.read() as connection:
            (run,) = runs.list_runs(connection)
            line = browse.sample_line(connection, run, sample)
            assert line is not None
            (detail,) = browse.requests_of_sample(connection, run.run_id, line.row_id)
    finally:
        database.close()
    return detail


def test_two_clips_go_from_the_file_to_the_model_the_row_the_page_and_the_workbook(
    home: Home, clips: list[str], opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (64, 48), "red").save(home.data / "i.png")
    rows = asked(clips)
    home.run("enqueue", home.questions(rows), "fake", "--frames", "4")
    home.worker()
    assert home.wait()["done"] == 2

    detail = stored(home, "two")
    assert [clip["num_frames"] if "num_frames" in clip else len(clip["frame_numbers"]) for clip in detail.clips] == [
        4,
        3,
    ]
    assert all(1 <= time <= 2.5 for time in detail.clips[1]["timestamps"])
    assert [part["type"] for part in detail.prompt] == ["text", "video", "text", "video", "image", "text"]
    assert [part.get("clip") for part in detail.prompt if part["type"] == "video"] == [0, 1]
    assert [part["path"] for part in detail.prompt if part["type"] == "image"] == ["i.png"]

    monkeypatch.setenv("VIDEVAL_HOME", home.environ["VIDEVAL_HOME"])
    try:
        page = said(at := opened("samples", sample="two"))
    finally:
        shared.backend().close()
        shared._backend.clear()
    assert f"Clip 1: {clips[0]}" in page and f"Clip 2: {clips[1]}, asked about 1 s to 2.5 s" in page
    assert "4 frames of" in page and "3 frames of" in page and "i.png" in page
    assert "[clip 2]" in "".join(code.value for code in at.code)

    home.run("export", "questions")
    sheet = pd.read_excel(next(home.folder.glob("outputs/*/*.xlsx")))
    assert [json.loads(sheet["video"][0]), sheet["video"][1]] == [rows[0]["video"], rows[1]["video"]]
    assert list(sheet["prediction"]) == [detail.response, stored(home, "one").response]
