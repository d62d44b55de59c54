"""What the user sets reaches the order."""

from pathlib import Path
from typing import Any

import pytest

from videval.errors import UsageError
from videval.options import Asked
from videval.orders import make_order
from videval.settings import Settings
from videval.types import FrameSampling


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of one question."""
    path = tmp_path / "asked.jsonl"
    path.write_text('{"index": 1, "video": "a.mp4", "question": "What?", "answer": "x"}\n')
    return path


def test_the_dtype_and_generation_that_the_user_sets_are_what_the_worker_is_told(table: Path) -> None:
    asked = Asked(what=str(table), model="fake", dtype="float16", max_new_tokens=7, temperature=0.5, seed=3)
    spec = make_order(asked, Settings()).spec
    assert spec.dtype == "float16"
    assert (spec.generation.max_new_tokens, spec.generation.temperature, spec.generation.seed) == (7, 0.5, 3)


def test_a_dtype_that_does_not_exist_is_refused_before_any_worker_meets_it(table: Path) -> None:
    with pytest.raises(UsageError, match="unknown dtype 'float8'") as caught:
        make_order(Asked(what=str(table), model="fake", dtype="float8"), Settings())
    assert caught.value.hint == "one of auto, bfloat16, float16, float32"


def test_what_the_user_leaves_open_stays_the_models_own(table: Path) -> None:
    assert make_order(Asked(what=str(table), model="fake", temperature=0.0), Settings()).spec.dtype == "auto"


def test_a_file_in_the_home_folder_is_found_where_no_shell_expands_it(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    order = make_order(Asked(what="~/asked.jsonl", model="fake"), Settings())
    assert order.root == tmp_path and len(order.samples) == 1


def test_the_policy_and_the_limits_that_the_user_sets_count_and_what_they_leave_open_is_said(table: Path) -> None:
    asked = Asked(what=str(table), model="fake", fps=1.0, policy="qwen_vl_utils", min_frames=8, multiple=4)
    assert make_order(asked, Settings()).sampling() == FrameSampling(
        policy="qwen_vl_utils", fps=1.0, min_frames=8, max_frames=768, multiple=4, times="real"
    )


def test_a_user_s_policy_takes_the_place_of_the_model_s_own(table: Path) -> None:
    order = make_order(Asked(what=str(table), model="Video-LLaVA-tiny", policy="uniform"), Settings())
    assert order.sampling() == FrameSampling(policy="uniform", num_frames=8, times="real")


def test_a_limit_alone_leaves_the_policy_as_it_is(table: Path) -> None:
    order = make_order(Asked(what=str(table), model="fake", fps=1.0, min_frames=4), Settings())
    assert order.sampling() == FrameSampling(policy="rate", fps=1.0, min_frames=4, times="real")


@pytest.mark.parametrize(
    ("said", "why", "mended"),
    [
        ({"policy": "smolvlm"}, "takes frames per second, not a frame count", "_1fps"),
        ({"policy": "qwen"}, "unknown sampling policy 'qwen'", "qwen3_vl"),
        ({"min_frames": 4}, "policy interior takes no min_frames", "leave --min-frames out"),
    ],
)
def test_frames_that_the_policy_cannot_give_are_refused_before_anything_is_written(
    table: Path, said: dict[str, Any], why: str, mended: str
) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        make_order(Asked(what=str(table), model="fake", **said), Settings()).sampling()
    assert mended in caught.value.hint
