"""Samples that show several things, how they are asked together, and what a model refuses."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.questions import samples
from videval.asking import One, Pack, asking, is_pack, one_by_one, packed
from videval.benchmarks.table import TableBenchmark
from videval.errors import UsageError
from videval.models.catalog import model_spec
from videval.models.limits import refuse_thinking, refused
from videval.plain import plain, restored
from videval.runkey import snapshot_digest
from videval.types import (
    ClipRef,
    FrameSampling,
    Generation,
    GenerationSettings,
    ModelSpec,
    PredictionState,
    Said,
    Sample,
    Sound,
    Verdict,
)

A, B = ClipRef(video="a.mp4"), ClipRef(video="b.mp4", start=1.0, end=2.0)
BENCH = TableBenchmark()


def question(number: int, *clips: ClipRef, **values: Any) -> Sample:
    return Sample(id=str(number), question="?", clips=clips, **values)


# a sample


def test_a_question_about_one_video_says_nothing_of_what_came_later() -> None:
    """So it has the digest that it always had (`test_runkey` pins some)."""
    (sample,) = samples(1, {0: {"note": "x"}})
    assert set(plain(sample)) == {"id", "video", "question", "answer", "candidates", "row"} and not sample.beside()


def test_whatever_else_a_question_shows_is_another_question() -> None:
    sample = Sample(id="0", question="?", video="a.mp4")
    others = [
        replace(sample, clips=(A,)), replace(sample, clips=(A, B)), replace(sample, clips=(A, replace(B, start=1.5))),
        replace(sample, images=("i.png",)), replace(sample, sounds=(Sound(),)),
        replace(sample, sounds=(Sound(path="s.wav"),)),
        replace(sample, clips=(replace(A, sampling=FrameSampling(policy="rate", fps=1.0)),)),
    ]  # fmt: skip
    assert len({snapshot_digest("table", [s]) for s in (sample, *others)}) == 1 + len(others)


@pytest.mark.parametrize(
    "values",
    [
        {"video": "b.mp4", "clips": (A,)},
        {"start": 1.0, "end": 2.0, "clips": (A,)},
        {"video": "a.mp4", "sounds": (Sound(clip=1),)},
    ],
)
def test_a_question_that_contradicts_itself_is_no_question(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="sample 0"):
        Sample(id="0", question="?", **values)


def test_every_file_of_a_question_is_named_once() -> None:
    sample = question(0, A, B, A, images=("i.png",), sounds=(Sound(), Sound(path="s.wav")))
    assert sample.files == ("a.mp4", "b.mp4", "i.png", "s.wav")


def test_a_clip_comes_back_as_it_was_stored() -> None:
    for ref in (A, B, replace(B, sampling=FrameSampling(policy="rate", fps=1.0, times="real"))):
        assert restored(ClipRef, json.loads(json.dumps(plain(ref)))) == ref


# what is asked together


def test_a_request_asks_what_its_key_says() -> None:
    (single,) = one_by_one([question(0, A)])
    (pack,) = packed([question(0, A)])
    assert (asking(single, BENCH), asking(pack, BENCH)) == (One(BENCH), Pack(BENCH))
    assert (is_pack(single), is_pack(pack)) == (False, True)


def test_packs_about_whole_videos_are_named_as_they_always_were() -> None:
    found = packed(samples(6, videos=2))
    assert {key: [s.id for s in group] for key, group in found.items()} == {
        "pack:v0.mp4": ["0", "2", "4"],
        "pack:v1.mp4": ["1", "3", "5"],
    }


def test_a_pack_holds_only_what_shows_the_same() -> None:
    alone = Sample(id="4", question="?", video="a.mp4")
    asked = [question(0, A, B), question(1, A, B), question(2, B, A), question(3, A, B, images=("i.png",)), alone]
    groups = [[s.id for s in group] for group in packed(asked).values()]
    assert groups == [["0", "1"], ["2"], ["3"], ["4"]]
    spans = [Sample(id=str(i), question="?", video="a.mp4", start=float(i % 2), end=5.0) for i in range(4)]
    assert [[s.id for s in group] for group in packed(spans).values()] == [["0", "2"], ["1", "3"]]


def test_a_response_is_read_as_it_was_asked() -> None:
    asked = samples(2)
    one = One(BENCH).read(asked[:1], Said(text="(A) one"))
    assert [(p.text, p.how) for p in one.predictions] == [("(A) one", "response")]
    assert one.scores["0"].value == 1.0
    both = Pack(BENCH).read(asked, Said(text='{"0": "A"}'))
    assert [p.state for p in both.predictions] == [PredictionState.ANSWERED, PredictionState.ABSENT]
    assert set(both.scores) == {"0"}


CUT = Said(text="", cut_thinking=True)


def test_an_answer_that_was_cut_off_while_thinking_is_truncated_and_neither_wrong_nor_unparsed() -> None:
    asked = samples(2)
    one, pack = One(BENCH).read(asked[:1], CUT), Pack(BENCH).read(asked, CUT)
    for reading in (one, pack):
        assert {(s.verdict, s.value, s.scorer) for s in reading.scores.values()} == {
            (Verdict.TRUNCATED, None, "choice@1")
        }
        assert {p.how for p in reading.predictions} == {"cut off while thinking"}
    assert set(pack.scores) == {"0", "1"}
    assert [(p.state, p.text) for p in one.predictions] == [(PredictionState.TRUNCATED, "")]
    assert {p.state for p in pack.predictions} == {PredictionState.UNPARSABLE}, "so that each can be asked alone"


def test_what_no_rule_can_score_has_no_score_when_it_is_truncated_either() -> None:
    (sample,) = samples(1)
    assert not One(BENCH).read([replace(sample, answer=None)], CUT).scores


@pytest.mark.parametrize(
    ("said", "is_cut"),
    [
        (Generation(text="", thinking="Let me see", truncated=True), True),
        (Generation(text="", thinking="", truncated=True), True),
        (Generation(text="", thinking="Let me see", truncated=False), False),
        (Generation(text="", truncated=True), False),
        (Generation(text="(A", thinking="Let me see", truncated=True), False),
    ],
)
def test_only_an_answer_that_ended_inside_its_thinking_is_cut(said: Generation, is_cut: bool) -> None:
    assert said.cut_thinking == is_cut


# what a model can be shown


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"clips": (A, B)}, "several clips, and Video-LLaVA-7B takes 1"),
        ({"video": "a.mp4", "images": ("i.png",)}, "images, and Video-LLaVA-7B takes none"),
        ({"video": "a.mp4", "sounds": (Sound(),)}, "sound, which Video-LLaVA-7B cannot hear"),
        (
            {"clips": (replace(A, sampling=FrameSampling(policy="interior", num_frames=4)),)},
            "a clip of its own frames, and Video-LLaVA-7B takes 8",
        ),
    ],
)
def test_what_a_model_cannot_be_shown_is_said_before_it_is_asked(values: dict[str, Any], words: str) -> None:
    spec = model_spec("Video-LLaVA-7B")
    odd, plain = Sample(id="0", question="?", **values), Sample(id="1", question="?", video="a.mp4")
    assert refused(spec, [odd, plain]) == [f"1 of 2 question(s) show {words}: they cannot be answered"]
    with pytest.raises(UsageError, match=words):
        refused(spec, [odd, odd])
    assert refused(spec, [plain]) == refused(model_spec("fake"), [odd]) == []


@pytest.mark.parametrize(
    ("family", "frames", "own", "words"),
    [
        ("qwen3_vl", 1, None, r"a clip of 1 frame\(s\), and it takes 2 or more"),
        ("glm4v", 4, 1, r"a clip of 1 frame\(s\), and it takes 2 or more"),
        ("internvl", 8, 4, "clips of 4 and 8 frames, and it takes clips of one number of frames"),
    ],
)
def test_what_the_processor_of_a_family_cannot_be_shown_is_said_before_it_is_asked(
    family: str, frames: int, own: int | None, words: str
) -> None:
    spec = ModelSpec(name="it", adapter="hf_chat", checkpoint="X/Y", family=family)
    sampling, other = FrameSampling(policy="uniform", num_frames=frames), B
    if own:
        other = replace(B, sampling=replace(sampling, num_frames=own))
    asked = question(0, A, other)
    with pytest.raises(UsageError, match=words):
        refused(spec, [asked], sampling=sampling)
    assert refused(replace(spec, family="qwen2_5_vl"), [asked], sampling=sampling) == []
    assert refused(spec, [question(0, A, B)], sampling=FrameSampling(policy="rate", fps=1.0)) == []


@pytest.mark.parametrize(
    "model", ["Video-LLaVA-tiny", "Qwen/Qwen2.5-VL-7B-Instruct", "llava-hf/LLaVA-NeXT-Video-7B-hf"]
)
@pytest.mark.parametrize("told", [{"thinking": True}, {"thinking_budget": 100}])
def test_a_model_that_does_not_think_is_not_told_to(model: str, told: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="does not think"):
        refuse_thinking(model_spec(model), GenerationSettings(**told))
    refuse_thinking(model_spec(model), GenerationSettings(thinking=False))
    refuse_thinking(model_spec("Qwen/Qwen3.5-9B"), GenerationSettings(**told))


def test_a_thinking_budget_leaves_room_for_the_answer() -> None:
    spec = model_spec("Qwen/Qwen3.5-9B")
    with pytest.raises(UsageError, match="a thinking budget of 512 leaves nothing of 512 new tokens") as caught:
        refuse_thinking(spec, GenerationSettings(max_new_tokens=512, thinking_budget=512))
    assert caught.value.hint == "--max-new-tokens 1024, or a smaller budget"


def test_no_clip_has_more_frames_of_its_own_than_are_allowed() -> None:
    many = question(0, replace(A, sampling=FrameSampling(policy="interior", num_frames=9)))
    with pytest.raises(UsageError, match="a clip of 9 frames, and at most 8 are allowed"):
        refused(model_spec("fake"), [many], max_frames=8)


def test_a_budget_for_thinking_that_is_turned_off_is_refused_and_not_ignored() -> None:
    told = GenerationSettings(thinking=False, thinking_budget=10)
    with pytest.raises(UsageError, match="means nothing without thinking"):
        refuse_thinking(model_spec("Qwen/Qwen3.5-9B"), told)
