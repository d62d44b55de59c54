"""How a recipe puts a question: what was published, with the question in it, and nothing else of a page."""

from pathlib import Path
from typing import Any

import pytest

from tests.questions import samples
from videval.asking import One, Pack, asking
from videval.benchmarks.base import Shown
from videval.benchmarks.catalog import find_benchmark, parse_variant
from videval.benchmarks.table import TableBenchmark
from videval.benchmarks.wording import check_wording, worded
from videval.errors import UsageError
from videval.types import Clip, Frame, Image, Part, Sample, Sound, Text, Video, Wording

CLIP = Clip(
    path="c.npy", frame_numbers=(0, 30, 60), timestamps=(0.0, 1.0, 2.002), total_frames=90, fps=30.0, width=64,
    height=48, decoder="test", policy="uniform",
)  # fmt: skip
QUESTION = Sample(id="0", question="Which {options} is {it}?", video="a.mp4", candidates=("{question}", "b \\1 $x"))
SRT = """1
00:00:00,500 --> 00:00:01,500
first
line

2
00:00:01,600 --> 00:00:02,500
second
"""


def shown(**values: Any) -> Shown:
    made: dict[str, Any] = {"clips": (CLIP,), "form": "video", "root": Path()}
    return Shown(**(made | values))


def put(text: str, sample: Sample = QUESTION, at: Shown | None = None, **more: Any) -> tuple[Part, ...]:
    return worded(Wording(text=text, **more), TableBenchmark(), sample, at or shown())


def test_braces_in_a_question_are_words() -> None:
    """What is put in is not read again: no question can put another text into its prompt."""
    *_, said = put("Question: {question}\n{options}")
    assert said == Text(text="Question: Which {options} is {it}?\nA. {question}\nB. b \\1 $x")


def test_braces_that_stand_for_nothing_stay() -> None:
    assert put("\\boxed{A} {} {0} {answer}")[-1] == Text(text="\\boxed{A} {} {0} {answer}")


def test_the_clip_stands_first_between_what_is_said_before_and_the_answers_first_words() -> None:
    parts = put("{question}", system="Watch.", prefix="Best option:(")
    assert parts[0] == Text(text="Watch.", role="system") and parts[1] == Video()
    assert parts[3] == Text(text="Best option:(", role="assistant") and len(parts) == 4


def test_options_are_written_as_the_recipe_says() -> None:
    sample = Sample(id="0", question="?", video="a.mp4", candidates=("one", "two"))
    assert put("{options}!", sample, option="({letter}) {text}\n", joined="")[-1] == Text(text="(A) one\n(B) two\n!")


def test_length_count_and_times_are_those_of_what_is_shown() -> None:
    said = put("lasts {duration} s, {frames} frames, at {times}")[-1]
    assert said == Text(text="lasts 3.00 s, 3 frames, at 0.00s,1.00s,2.00s")


def test_frames_as_images_each_have_their_mark_before_and_behind() -> None:
    parts = put("?", at=shown(form="frames"), frame_mark="Frame{n} at {time}: {frame}\n")
    assert parts[:3] == (Text(text="Frame1 at 0.00: "), Frame(position=0), Text(text="\n"))
    assert parts[6] == Text(text="Frame3 at 2.00: ") and parts[-1] == Text(text="?")


def test_a_model_that_takes_a_video_gets_no_marks() -> None:
    assert put("?", frame_mark="Frame{n}: ") == (Video(), Text(text="?"))


def test_clips_images_and_sounds_of_a_question_stand_in_their_order_before_the_text() -> None:
    sample = Sample(id="0", question="?", video="a.mp4", images=("i.png",), sounds=(Sound(),))
    assert put("{question}", sample) == (Video(), Image(path="i.png"), Sound(), Text(text="?"))


@pytest.fixture
def spoken(tmp_path: Path) -> tuple[Sample, Shown]:
    """A question of Video-MME whose video has subtitles."""
    (tmp_path / "subtitle").mkdir()
    (tmp_path / "subtitle" / "a.srt").write_text(SRT)
    sample = Sample(id="0", question="?", video="a.mp4", row={"subtitle_path": "./subtitle/a.srt"})
    return sample, shown(root=tmp_path, subtitles=True)


def test_subtitles_stand_by_the_pages_rule_or_each_once(spoken: tuple[Sample, Shown]) -> None:
    bench = find_benchmark("Video-MME")
    by_page = worded(Wording(text="{subtitles}"), bench, *spoken)[-1]
    once = worded(Wording(text="{subtitles}", subtitles_once=True), bench, *spoken)[-1]
    assert by_page == Text(text="first line\nsecond") and once == Text(text="first line second")


def test_where_nothing_is_said_nothing_stands_around_it(spoken: tuple[Sample, Shown], tmp_path: Path) -> None:
    sample, at = spoken
    wording = Wording(text="{subtitles}Q", subtitled="Listed below:\n{subtitles}\n", subtitles_once=True)
    bench = find_benchmark("Video-MME")
    assert worded(wording, bench, sample, at)[-1] == Text(text="Listed below:\nfirst line second\nQ")
    silent = Sample(id="1", question="?", video="b.mp4", row={"subtitle_path": "./subtitle/b.srt"})
    assert worded(wording, bench, silent, at)[-1] == Text(text="Q")


def test_a_question_that_has_its_options_in_its_text_is_put_without_them() -> None:
    sample = Sample(id="0", question="What?\n(A) one\n(B) two", video="a.mp4", candidates=("one", "two"))
    said = worded(Wording(text="{question}\n{options}"), find_benchmark("LVBench"), sample, shown())[-1]
    assert said == Text(text="What?\nA. one\nB. two")


@pytest.mark.parametrize(
    ("variant", "text", "what"),
    [
        ("MMBench-Video_8frame_pack", "{question}", "single questions"),
        ("LongVideoBench_8frame_subs", "{question}{subtitles}", "between the frames"),
        ("Video-MME_8frame_subs", "{question}", "has no subtitles"),
    ],
)
def test_what_cannot_be_worded_is_said_before_anything_is_enqueued(variant: str, text: str, what: str) -> None:
    found = parse_variant(variant)
    with pytest.raises(UsageError, match=what) as refused:
        check_wording(Wording(text=text), find_benchmark(found.benchmark), found)
    assert refused.value.hint


def test_only_single_questions_are_put_by_a_recipe() -> None:
    wording, bench = Wording(text="{question}"), TableBenchmark()
    assert asking("sample:0", bench, wording) == One(bench, wording)
    assert asking("pack:a.mp4", bench, wording) == Pack(bench)
    (sample,) = samples(1)
    assert One(bench, wording).prompt([sample], shown()) == (Video(), Text(text="What is 0?"))
