"""Whether the longest videos fit into what a model takes is said with the numbers, before anybody asks it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.questions import order
from videval.errors import UsageError
from videval.models import context
from videval.models.catalog import model_spec
from videval.models.context import Asking, context_of, too_long
from videval.types import FrameSampling, LengthRule, ModelSpec, Pixels, Sample
from videval.video.readers import VideoInfo

EIGHT = FrameSampling(policy="uniform", num_frames=8)
RATE = FrameSampling(policy="rate", fps=1.0)
INTERN = ModelSpec(name="intern", adapter="hf_chat", checkpoint="X/Y", family="internvl", context=32_768)
QWEN = replace(INTERN, name="qwen", family="qwen2_5_vl", resizes=True)
LONG, SHORT = "long.mp4", "short.mp4"
SECONDS = {LONG: 600, SHORT: 10}


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The videos that were opened; none of them is there."""
    opened: list[str] = []

    def look(path: Path) -> VideoInfo | None:
        opened.append(path.name)
        seconds = SECONDS.get(path.name)
        return VideoInfo(total_frames=25 * seconds, fps=25.0, width=1280, height=720, decoder="x") if seconds else None

    monkeypatch.setattr(context, "looked_at", look)
    monkeypatch.setattr(context, "_bytes", lambda path: SECONDS.get(path.name, 0))
    return opened


def asked(*videos: str, sampling: FrameSampling = EIGHT, new: int = 512, pixels: Pixels | None = None) -> Asking:
    about = [(f"{n}", video) for n, video in enumerate(videos)]
    samples = [Sample(id=i, video=v, question="What happens?", candidates=("a", "b")) for i, v in about]
    limits = pixels or Pixels()
    return Asking(samples=samples, root=Path("/videos"), sampling=sampling, pixels=limits, new_tokens=new)


def test_no_video_is_opened_where_the_numbers_fit_whatever_they_are(looked: list[str]) -> None:
    assert too_long(INTERN, asked(LONG)) == []
    assert too_long(replace(QWEN, context=200_000), asked(LONG, pixels=Pixels(max_pixels=768 * 28 * 28))) == []
    assert looked == []


def test_questions_that_are_all_too_long_are_refused_with_the_numbers_and_what_would_fit(looked: list[str]) -> None:
    with pytest.raises(UsageError) as raised:
        too_long(replace(INTERN, context=2_048), asked(LONG, SHORT))
    said = str(raised.value)
    assert "intern cannot be asked these questions: 2 of 2 questions" in said
    assert "8 frames x 256.0 tokens + about 105 of text + 512 new ones = 2,665, and it takes 2,048" in said
    assert raised.value.hint == "at most 5 frames"


def test_where_only_long_videos_do_not_fit_that_is_a_remark(looked: list[str]) -> None:
    (said,) = too_long(replace(INTERN, context=32_768), asked(LONG, SHORT, sampling=RATE))
    assert said.startswith("1 of 2 questions about the largest videos are too long for intern: long.mp4 is 600 frames")
    assert "they will fail -> at most 125 frames" in said


def test_what_is_only_likely_to_be_too_long_is_a_remark(looked: list[str]) -> None:
    (said,) = too_long(replace(INTERN, context=2_600), asked(LONG))
    assert "about 105 of text + 512 new ones = 2,665, and it takes 2,600: they may fail" in said
    (said,) = too_long(replace(QWEN, family="video_llama_3", context=9_000), asked(LONG, sampling=RATE))
    assert "they may fail" in said


def test_the_limits_in_pixels_of_a_rule_by_length_are_counted(looked: list[str]) -> None:
    large, small = (Pixels(max_pixels=tokens * 28 * 28) for tokens in (768, 16))
    rules = (LengthRule(up_to=60, pixels=large), LengthRule(num_frames=16, pixels=small))
    sampling = replace(EIGHT, by_length=rules)
    assert too_long(replace(QWEN, context=4_000), asked(LONG, LONG, sampling=sampling, pixels=large)) == []
    (said,) = too_long(replace(QWEN, context=3_000), asked(LONG, SHORT, sampling=sampling, pixels=small))
    assert "1 of 2" in said and "short.mp4 is 8 frames x 360.0 tokens" in said


def test_an_answer_as_long_as_the_context_is_refused_whatever_is_shown(looked: list[str]) -> None:
    with pytest.raises(UsageError, match="answers may have 5,000 tokens, and intern takes 4,096 with the question"):
        too_long(replace(INTERN, family="unknown", context=4_096), asked("absent.mp4", new=5_000))


def test_limits_that_a_model_cannot_keep_are_left_to_the_requests(looked: list[str]) -> None:
    gemma = replace(QWEN, family="gemma4", context=1_000)
    assert too_long(gemma, asked(LONG, pixels=Pixels(max_pixels=6_000))) == []
    with pytest.raises(UsageError, match=r"8 frames x \d+\.0 tokens"):
        too_long(gemma, asked(LONG, new=900, pixels=Pixels(max_pixels=200_000)))


def test_smaller_frames_are_named_where_the_processor_takes_limits(looked: list[str]) -> None:
    with pytest.raises(UsageError) as raised:
        too_long(QWEN, asked(LONG, sampling=RATE))
    assert "600 frames x 598.0 tokens" in str(raised.value)  # 46 x 26 tokens for each two frames of 1280 x 720
    assert raised.value.hint.endswith("or smaller ones (--max-pixels)")
    assert too_long(QWEN, asked(LONG, sampling=RATE, pixels=Pixels(total_pixels=20_000_000))) == []


def test_at_most_sixty_four_videos_are_opened_the_largest_first(looked: list[str]) -> None:
    names = [f"{n}.mp4" for n in range(100)]
    assert too_long(INTERN, asked(*names, LONG, sampling=RATE)) != []
    assert len(set(looked)) == 64 and LONG in looked


def test_videos_that_cannot_be_read_are_left_to_their_own_requests(looked: list[str]) -> None:
    assert too_long(INTERN, asked("broken.mp4", sampling=RATE)) == []


def test_a_cap_on_a_rate_bounds_the_frames_and_rules_by_length_do_too(looked: list[str]) -> None:
    capped = replace(RATE, max_frames=64)
    ruled = replace(capped, by_length=(LengthRule(up_to=60.0, num_frames=16), LengthRule(fps=0.5)))
    assert too_long(INTERN, asked(LONG, sampling=capped)) == too_long(INTERN, asked(LONG, sampling=ruled)) == []
    assert looked == []


def test_nothing_is_said_where_too_little_is_known(looked: list[str]) -> None:
    assert too_long(replace(INTERN, context=None), asked(LONG, sampling=RATE)) == []
    assert too_long(replace(INTERN, family="never_seen"), asked(LONG, sampling=RATE)) == []
    assert too_long(replace(INTERN, family="smolvlm"), asked(LONG)) == []
    assert too_long(model_spec("fake"), asked(LONG)) == []


def test_the_context_is_the_entry_s_else_what_config_json_says(tmp_path: Path) -> None:
    spec = replace(INTERN, checkpoint=str(tmp_path), context=None)
    for config in (
        {"max_position_embeddings": 7},
        {"text_config": {"max_position_embeddings": 7}, "max_position_embeddings": 3},
        {"thinker_config": {"text_config": {"max_position_embeddings": 7}}},
    ):
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert context_of(spec) == 7
    assert context_of(replace(spec, context=9)) == 9
    (tmp_path / "config.json").write_text("{}")
    assert context_of(spec) is None


def test_an_order_whose_questions_are_too_long_is_refused_before_a_row_is_written(tmp_path: Path) -> None:
    made = order(tmp_path, 2)
    assert made.refused() == []
    small = replace(made, spec=replace(INTERN, context=600))
    with pytest.raises(UsageError, match=r"4 frames x 256\.0 tokens"):
        small.refused()
