"""The demo as `make demo` runs it: drawn clips, two CPU workers, the shipped model, a score that means something."""

import json
from pathlib import Path

from tests.acceptance.conftest import Home
from videval.export import read_export


def test_the_demo_ends_with_a_score_above_95_percent_and_its_table(home: Home) -> None:
    assert "complete" in home.run("prepare", "MovingShapes").stdout
    said = home.run("run", "MovingShapes_8frame", "Video-LLaVA-tiny", "--devices", "cpu*2", timeout=280).stdout
    assert "coverage: 300 of 300" in said
    status = home.status()
    assert status["score"]["mean"] > 0.95 and status["score"]["low"] > 0.9
    rows = read_export(next(home.folder.glob("outputs/Video-LLaVA-tiny/*.xlsx")))
    assert len(rows) == 300 and {"task_type", "candidates", "answer", "prediction"} <= rows[0].keys()
    card = json.loads(home.run("card", "moving").stdout)
    assert card["frames"]["policy"] == "stride"


def test_bounds_choose_the_scene_that_is_asked_about(home: Home) -> None:
    home.run("prepare", "MovingShapesBounded")
    command = ["run", "MovingShapesBounded_8frame", "Video-LLaVA-tiny", "--devices", "cpu:0", "--limit", "60"]
    home.run(*command, timeout=280)
    assert home.status()["score"]["mean"] > 0.9


def test_the_makefile_runs_this_very_demo() -> None:
    text = (Path(__file__).parents[2] / "Makefile").read_text()
    assert "videval prepare MovingShapes" in text
    assert "videval run MovingShapes_8frame Video-LLaVA-tiny --devices 'cpu*2'" in text
