"""Runs of objects on the dashboard's pages."""

from pathlib import Path

import pytest

from tests.dashboards import Open, its_database, opens_pages, said, settings_of_this_test
from tests.objects import Clips, Speaker
from tests.trees import frame_folder
from videval.compat import infer_data_job_video
from videval.db.session import Database

__all__ = ["its_database", "opens_pages", "settings_of_this_test"]


def test_a_sample_of_objects_shows_its_message_and_its_images(
    database: Database, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEVAL_LOCK_DIR", str(tmp_path / "locks"))
    dataset = Clips(tmp_path / "clips", 2, nframe=2)
    frame_folder(tmp_path / "images")
    for number, image in enumerate(sorted((tmp_path / "images").iterdir())[:2]):
        for video in dataset.videos:
            (tmp_path / "clips" / f"{video}-{number}.jpg").write_bytes(image.read_bytes())
    infer_data_job_video(Speaker(lambda message: "It is a cat."), tmp_path / "out", "Mine", dataset, "r.xlsx")
    page = opened("samples", run="myclips-2frame--mine--1", sample="0")
    assert not page.exception
    text = said(page)
    assert "It is a cat." in text and "What is 0?" in text and "v0-0.jpg" in text
