"""Frames that an endpoint dropped or made smaller are found by what it counts of prompts, and said with numbers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.cli import Said, caller
from tests.dashboards import Open, its_database, opens_pages, said, settings_of_this_test
from tests.questions import CLIP, make_run, samples, say
from videval import report
from videval.db.records import RunInfo
from videval.db.responses import PromptCost
from videval.db.session import Database
from videval.db.tables import RunRow
from videval.models.served import tokens_served
from videval.report.arrived import lost_of
from videval.runs import find
from videval.types import Generation

__all__ = ["its_database", "opens_pages", "settings_of_this_test"]

QWEN = "Qwen/Qwen2.5-VL-3B-Instruct"
SIZE = 224
"""Pixels along a side: two frames are 8 x 8 tokens of Qwen2.5-VL, which has one for 28 x 28 pixels."""


def costs(*found: tuple[int, int], answers: int = 3) -> Sequence[PromptCost]:
    """Answers of (frames, tokens)."""
    return [PromptCost(frames=f, tokens=t, width=SIZE, height=SIZE) for f, t in found for _ in range(answers)]


def test_a_published_model_is_known_by_its_names_and_others_are_not() -> None:
    assert tokens_served(QWEN, frames=40, height=SIZE, width=SIZE) == 20 * 8 * 8
    assert tokens_served("lab/our-own", frames=40, height=SIZE, width=SIZE) is None
    assert tokens_served("", frames=40, height=SIZE, width=SIZE) is None


@pytest.mark.parametrize(("tokens", "is_lost"), [(1350, False), (1280, False), (1094, True)])
def test_prompts_that_take_less_than_their_frames_alone_are_found_where_the_model_is_known(
    tokens: int, is_lost: bool
) -> None:
    found = lost_of(costs((40, tokens)), QWEN)
    assert bool(found) is is_lost and not lost_of(costs((40, tokens)))
    if is_lost:
        assert found == (
            f"3 questions with 40 frames of 224x224 pixels took {tokens:,} tokens each, "
            f"and the frames alone are 1,280 of {QWEN}"
        )


@pytest.mark.parametrize(
    ("found", "is_lost"),
    [
        ([(32, 2374), (40, 2374)], True),
        ([(32, 2374), (64, 2350)], True),
        ([(32, 2374), (40, 2950)], False),
        ([(32, 2374), (36, 2374)], False),
    ],
    ids=["no more", "even less", "more", "hardly more frames"],
)
def test_prompts_that_take_no_more_than_those_with_fewer_frames_are_found_of_any_model(
    found: list[tuple[int, int]], is_lost: bool
) -> None:
    said_now = lost_of(costs(*found))
    assert bool(said_now) is is_lost
    assert not lost_of(costs(*found, answers=2)), "two answers say nothing"
    if found[1][0] == 40 and is_lost:
        assert said_now.endswith("40 frames of 224x224 pixels took 2,374 tokens each, those with 32 took 2,374")


def test_frames_of_other_sizes_are_not_compared() -> None:
    small = [replace(cost, width=112) for cost in costs((40, 2374))]
    assert not lost_of([*costs((32, 2374)), *small])


@pytest.fixture
def run(database: Database, tmp_path: Path) -> RunInfo:
    """A run at an endpoint, which took as much of four frames as of two."""
    make_run(database, tmp_path / "data", samples(7, videos=7))
    found = find(database, "questions")
    endpoint = {"name": "lab", "transport": "video", "sampled_by": "videval"}
    database.write(lambda c: c.execute(update(RunRow).values(card={**found.card, "endpoint": endpoint})))
    more = replace(CLIP, frame_numbers=(0, 2, 4, 6), timestamps=(0.0, 0.2, 0.4, 0.6))
    for number in range(6):
        say(database, found, number, Generation(text="(A)", prompt_tokens=500), clip=more if number % 2 else CLIP)
    return find(database, "questions")


def test_status_card_and_dashboard_say_it_with_numbers_and_what_looks_closer(
    database: Database,
    run: RunInfo,
    opened: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    warning = (
        "questions with 4 frames of 64x48 pixels took 500 tokens each, those with 2 took 500: the server drops frames "
        "or makes them smaller -> videval endpoint check lab"
    )
    assert report.frames_lost(database, run) == warning
    assert report.run_card(database, run)["usage"]["warnings"] == [warning]
    videval: Callable[..., Said] = caller(tmp_path, monkeypatch, capsys)
    assert f"{run.name}: {warning}" in videval("status").lines
    assert warning in said(opened("run", run=run.name))


@pytest.mark.parametrize("more", [{"sampled_by": "the server"}, None], ids=["its own sampling", "no endpoint"])
def test_nothing_is_said_where_the_frames_are_not_ours_or_no_endpoint_answers(
    database: Database, run: RunInfo, more: dict[str, str] | None
) -> None:
    card = {key: value for key, value in run.card.items() if key != "endpoint"}
    card |= {"endpoint": run.card["endpoint"] | more} if more else {}
    assert report.frames_lost(database, replace(run, card=card)) == ""
