"""What `videval list recipes` and `videval recipe` print."""

import json
import re
from pathlib import Path

import pytest

from tests.cli import Call, caller
from videval.cli import complete

TEAM = "qwen2.5-vl-7b/lvbench@team-2025-02"


@pytest.fixture
def videval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(tmp_path, monkeypatch, capsys)


def test_a_recipe_that_is_not_there_is_refused_with_those_that_come_close(videval: Call) -> None:
    said = videval("recipe", "qwen2.5-vl-7b/lvbench")
    assert said.code == 2 and f"did you mean {TEAM}" in said.err
    assert "videval list recipes" in videval("recipe", "zzz").err


def test_a_recipe_that_cannot_be_run_here_is_shown_with_what_it_lacks(videval: Call) -> None:
    said = videval("recipe", "llava-video-7b/videomme@llava-video")
    assert said.code == 0 and "it cannot be run here: an adapter for LLaVA-NeXT's own code" in said.out + said.err
    assert "it sets" in said.lines and re.search(r"frames\.num_frames +64", said.out)


def test_recipes_are_listed_with_their_number_source_and_date(videval: Call) -> None:
    found = videval("list", "recipes", "qwen2.5 lvbench", columns=200)
    (row,) = [line for line in found.lines if line.startswith(TEAM)]
    assert re.search(r"LVBench_2fps +45\.3 +yes +2025-02-05 +QwenLM/Qwen3-VL#715", row)
    assert len([line for line in found.lines if "@" in line]) == 1
    assert "no recipe says 'nothing of the kind'" in videval("list", "recipes", "nothing of the kind").out


def test_scripts_read_all_that_a_recipe_says(videval: Call) -> None:
    (found,) = json.loads(videval("list", "recipes", TEAM, "--json").out)
    assert found["published"][0]["value"] == 45.3 and len(found["digest"]) == 16
    shown = json.loads(videval("recipe", TEAM, "--json").out)
    assert shown["settled"]["frames.max_frames"] == 768 and shown["sampling"]["policy"] == "qwen_vl_utils"
    differs = json.loads(videval("recipe", TEAM, "--diff", "qwen2.5-vl-7b/videomme@timechat-online", "--json").out)
    assert differs["frames.fps"] == [2.0, 1.0] and "frames.policy" not in differs


def test_a_recipe_for_any_benchmark_shows_what_it_sets(videval: Call) -> None:
    said = videval("recipe", "qwen2.5-vl-7b@vlmevalkit")
    assert "it sets" in said.lines and "cannot" not in said.out + said.err
    assert re.search(r"pixels\.total_pixels +19267584", said.out) and "harness: VLMEvalKit" in said.out


def test_what_a_recipe_says_and_what_it_leaves_to_others_stand_apart(videval: Call) -> None:
    lines = videval("recipe", TEAM).lines
    others = lines.index("it leaves to model, benchmark and policy")
    (own,) = (i for i, line in enumerate(lines) if "pixels.max_pixels" in line)
    (penalty,) = (i for i, line in enumerate(lines) if "generation.repetition_penalty" in line)
    assert lines.index("it sets") < own < others < penalty


def test_a_difference_is_of_what_is_said(videval: Call) -> None:
    said = videval("recipe", TEAM, "--diff", "qwen2.5-vl-7b@vlmevalkit", columns=200)
    assert "None" not in said.out and "()" not in said.out and "wording.joined" not in said.out
    assert re.search(r"pixels\.total_pixels +- +19267584", said.out)
    assert "without what they leave to model and benchmark" in said.out


def test_a_tab_offers_recipes() -> None:
    assert complete.recipes("qwen2.5-vl-7b/lvb") == [TEAM]
