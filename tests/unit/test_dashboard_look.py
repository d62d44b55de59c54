"""What a page must not make people believe: times left of what is over, restarts of what ended, frames that are not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from PIL import Image

from dashboard import charts, video
from dashboard import table as tables
from dashboard.data import Data
from dashboard.frames import Seen
from dashboard.store import Fetched
from tests.dashboards import Open, said, table
from tests.dashboards import its_database as its_database
from tests.dashboards import opens_pages as opens_pages
from tests.dashboards import settings_of_this_test as settings_of_this_test
from tests.seeding import Seed, add_worker, seed_run
from videval.db.session import Database
from videval.report import status
from videval.types import Sample, Sound


def test_only_a_run_that_goes_on_has_a_time_left(database: Database, opened: Open) -> None:
    for name, done in (("active", 60), ("paused", 60), ("finished", 100), ("cancelled", 100)):
        seed_run(database, Seed(done=done, state="active" if name == "finished" else name, variant=name))
    add_worker(database, "gpu0@host")
    runs = table(opened("runs"), "All runs").set_index("benchmark")["time left"]
    assert runs["active"] != "–"
    assert list(runs[["paused", "finished", "cancelled"]]) == ["–"] * 3


def test_a_score_that_is_still_being_read_is_not_called_missing(
    database: Database, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed_run(database, Seed(done=100, model="scored"))
    monkeypatch.setattr(Data, "scores", lambda *_: Fetched(value={}, age_s=0.0))
    matrix = table(opened("runs"), "Models and benchmarks")
    assert list(matrix["table_8frame"]) == ["✓ –"]


def test_workers_that_ended_as_they_should_are_no_restarts_and_make_room(database: Database, opened: Open) -> None:
    for number in range(3):
        add_worker(database, f"ended{number}@host", device="gpu0", state="stopped", silent_s=200)
    for number in range(2):
        add_worker(database, f"lost{number}@host", device="gpu0", state="lost", silent_s=200)
    database.write(lambda c: c.exec_driver_sql("UPDATE workers SET name = 'gpu0@host' WHERE state = 'lost'"))
    add_worker(database, "gpu0@host", device="gpu0")
    add_worker(database, "last@host", device="gpu1", state="stopped", silent_s=200)
    younger = "UPDATE workers SET started_at = started_at + 880 WHERE id = 'gpu0@host'"
    database.write(lambda c: c.exec_driver_sql(younger))
    at = opened("fleet")
    assert said(at).count("restarted") == 1
    assert list(table(at, "Workers")["worker"]) == ["gpu0@host", "gpu0@host", "gpu0@host", "last@host"]


@pytest.mark.parametrize(("seconds", "said"), [(3.0, "done in a few seconds"), (53.0, "done in about 53 s")])
def test_a_sentence_says_about_of_numbers_only(
    database: Database, opened: Open, monkeypatch: pytest.MonkeyPatch, seconds: float, said: str
) -> None:
    seed_run(database, Seed(done=60))
    add_worker(database, "gpu0@host")
    monkeypatch.setattr(status, "_time_left", lambda *_: seconds)
    assert opened("runs").header[0].value.replace("\\", "").endswith(said)


def test_the_clock_below_a_chart_is_whole_however_short_the_run_was() -> None:
    formats = charts.progress([], 100).spec["encoding"]["x"]["axis"]["format"]
    assert {formats[unit] for unit in ("milliseconds", "seconds")} == {"%H:%M:%S"}
    assert formats["hours"] == "%H:%M"


def test_frames_are_promised_only_where_there_are_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(st, "info", lambda text, **_: told.append(text.replace("\\", "")))
    monkeypatch.setattr(video, "_flip_book", lambda *_: None)
    file = tmp_path / "clip.avi"
    file.write_bytes(b"none")
    for seen in (Seen(error="truncated"), Seen(numbers=(1,), times=(0.1,), images=(b"png",))):
        monkeypatch.setattr(video, "_seen", lambda *_, seen=seen: seen)
        video._player(file, SimpleNamespace(), 0)  # type: ignore[arg-type]
    assert told == ["Browsers do not play .avi files.", f"{told[0]} These are the frames that the model saw."]


def test_the_images_and_sounds_of_a_question_are_shown_and_what_lies_outside_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    for name in ("text", "warning"):
        monkeypatch.setattr(st, name, lambda text, **_: told.append(str(text).replace("\\", "")))
    monkeypatch.setattr(st, "image", lambda data, **_: told.append(f"image of {len(data)}"))
    monkeypatch.setattr(st, "audio", lambda path, **_: told.append(f"audio {Path(path).name}"))
    here = SimpleNamespace(settings=SimpleNamespace(allow_symlinks=False))
    monkeypatch.setattr(video, "backend", lambda: here)
    Image.new("RGB", (4, 3)).save(tmp_path / "i.png")
    for name in ("s.wav", "no.png"):
        (tmp_path / name).write_bytes(b"x")
    sounds = (Sound(), Sound(path="s.wav"), Sound(path="gone.wav"))
    sample = Sample(id="0", question="?", video="a.mp4", images=("i.png", "../up.png", "no.png"), sounds=sounds)
    sent = [{"type": "image", "path": "i.png"}, {"type": "text", "text": "?"}]
    config = SimpleNamespace(data_root=str(tmp_path))
    view = SimpleNamespace(
        stored=SimpleNamespace(sample=sample), requests=(SimpleNamespace(prompt=sent),), config=config
    )
    video.beside(view)  # type: ignore[arg-type]
    size = (tmp_path / "i.png").stat().st_size
    assert told[:3] == [f"image of {size}", "i.png", "'../up.png': path must not contain '..'"]
    assert told[3] == "The dashboard cannot read the image." and "no.png" in told[4]
    assert told[5:8] == ["Its sound is heard: a.mp4", "audio s.wav", "s.wav"]
    assert told[8] == "The sound is not on the dashboard's machine."


def test_no_row_is_marked_unless_one_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []

    def draw(*, key: str, data: dict[str, Any], **_: object) -> SimpleNamespace:
        shown.append(data)
        return SimpleNamespace(open=None)

    monkeypatch.setattr(tables, "_component", lambda: draw)
    rows = [tables.Row(cells={"model": "fake"})]
    tables.table(rows, name="t", key="k")
    assert shown[0]["current"] != shown[0]["rows"][0]["id"]
