"""Which clips a worker goes on with: those that had more questions than it had room for."""

from types import SimpleNamespace
from typing import Any

from workers.claiming import MOST_CLIPS, Clips


def claims(video: str, count: int = 1, run_id: int = 1) -> list[Any]:
    """Claims about one video."""
    return [SimpleNamespace(run=SimpleNamespace(run_id=run_id), samples=[SimpleNamespace(video=video)])] * count


def test_a_clip_that_filled_its_claim_is_gone_on_with_until_it_gives_fewer() -> None:
    clips = Clips()
    clips.note({}, claims("a", 2), 2)
    assert clips.by_run() == {1: "a"}
    clips.note({1: "a"}, claims("a", 1), 2)
    assert clips.by_run() == {}


def test_a_clip_that_gave_nothing_is_used_up_whatever_was_claimed_instead() -> None:
    clips = Clips()
    clips.note({}, claims("a", 2), 2)
    clips.note({1: "a"}, claims("b", 2), 2)
    assert clips.by_run() == {1: "b"}


def test_of_two_that_were_claimed_at_once_none_is_forgotten() -> None:
    clips = Clips()
    for video in ("a", "b"):
        clips.note({}, claims(video, 2), 2)
    assert clips.by_run() == {1: "b"}
    clips.note({1: "b"}, claims("b", 1), 2)
    assert clips.by_run() == {1: "a"}


def test_each_run_has_clips_of_its_own() -> None:
    clips = Clips()
    clips.note({}, claims("a"), 1)
    clips.note({1: "a"}, claims("b", run_id=2), 1)
    assert clips.by_run() == {1: "a", 2: "b"}


def test_clips_of_runs_that_ended_are_forgotten_some_time() -> None:
    clips = Clips()
    for run_id in range(100):
        clips.note({}, claims("a", run_id=run_id), 1)
    assert len(clips.by_run()) == MOST_CLIPS + 1 and 99 in clips.by_run()
