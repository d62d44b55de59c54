"""VLMEvalKit's rules without a judge beside the recorded cases: whole text forms, failed requests, tables."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videval.benchmarks.catalog import benchmark_names, find_benchmark
from videval.errors import UsageError
from videval.scorers.vlmevalkit import RULES
from videval.types import Sample
from videval.words import FAIL_MSG

OPTIONS = ("the rake", "a hose", "red bucket", "nothing", "a bench")
CAPTIONS = ("Caption A: It rises: slowly.", "Caption B: It falls.")


def sample(answer: str, candidates: tuple[str, ...] = OPTIONS, question: str = "What?", **row: Any) -> Sample:
    return Sample(id="7", video="v.mp4", question=question, answer=answer, candidates=candidates, row=row)


def tempcompass(task: str, answer: str, *candidates: str) -> Sample:
    return sample(answer, task_type=task, candidates=candidates)


def test_every_rule_that_a_page_names_is_there_and_each_is_named() -> None:
    named = {name: find_benchmark(name).vlmevalkit for name in benchmark_names() if find_benchmark(name).vlmevalkit}
    assert set(named.values()) == set(RULES)
    assert {"MVTamperBench", "MVTamperBenchStart", "MVTamperBenchEnd", "MVBench_MP4", "VideoMMMU"} <= set(named)


@pytest.mark.parametrize("text", [" B", "\n(B)", "\t\tb. \n", "  (b) a hose"])
def test_mvbench_strips_before_it_looks_at_the_first_word(text: str) -> None:
    rule = RULES["mvbench"]
    assert rule.score(sample("a hose"), text) == 1
    assert rule.score(sample("nothing"), text) == 0


@pytest.mark.parametrize(
    ("text", "score"),
    [("C", 1), ("(C) or (D)", 1), (")C", 1), ("c", 0), ("C is it, not D and not E, nor A, nor B", 0),
     ("red bucket", 1), ("the rake or the red bucket", 0), ("", 0), (FAIL_MSG, -1), (None, -1)],
)  # fmt: skip
def test_mlvu_takes_the_letter_before_the_first_bracket_or_infers(text: str | None, score: int) -> None:
    assert RULES["mlvu"].score(sample("red bucket", task_type="plotQA"), text) == score


def test_what_only_a_judge_can_tell_has_no_score_and_no_row() -> None:
    free = sample("a long story", candidates=(), task_type="summary")
    assert RULES["mlvu"].score(free, "a story") is None
    assert RULES["tempcompass"].score(tempcompass("captioning", "A. up"), "It rises.") is None
    rows: list[dict[str, Any]] = [
        {"task_type": "summary", "score": None},
        {"task_type": "ego", "score": 1},
        {"task_type": "ego", "score": -1},
    ]
    assert RULES["mlvu"].rating(rows) == {"ego": [0, 2, 0.0], "M-Avg": [0, 2, 0.0]}


@pytest.mark.parametrize(
    ("text", "score"),
    [("B. down", 1), ("B", 1), ("B.", 1), ("B)", 1), ("B.x", 1), ("(B)", 0), ("B: down", 0), ("b", 0), ("down", 0),
     (" B", 0), ("A", 0), ("A. down", 0), ("", 0), (None, 0)],
)  # fmt: skip
def test_tempcompass_takes_options_in_its_own_forms_only(text: str | None, score: int) -> None:
    asked = tempcompass("multi-choice", "B. down", "A. up", "B. down")
    assert RULES["tempcompass"].score(asked, text) == score


@pytest.mark.parametrize(
    ("text", "score"),
    [("Caption A: It rises: slowly.", 1), ("Caption A", 1), ("Caption A.", 1), ("A", 1), ("A.", 1), ("It rises", 1),
     ("(A) It rises", 1), ("A) It rises", 1), ("It rises: slowly.", 0), ("caption a", 0), (" A", 0), ("A ", 0),
     ("Caption B", 0), ("B", 0), ("It falls.", 0), ("Caption C", 0), ("", 0), (None, 0)],
)  # fmt: skip
def test_tempcompass_reads_a_caption_by_head_mark_and_sentence(text: str | None, score: int) -> None:
    """A sentence ends at its own colon there."""
    asked = tempcompass("caption_matching", CAPTIONS[0], *CAPTIONS)
    assert RULES["tempcompass"].score(asked, text) == score


@pytest.mark.parametrize("answer", ["", "Caption", "no colon here", "Caption A:"])
def test_a_caption_without_its_parts_is_no_crash(answer: str) -> None:
    asked = tempcompass("caption_matching", answer, "one", "two")
    assert RULES["tempcompass"].score(asked, "Caption A") == 0


@pytest.mark.parametrize(
    ("text", "answer", "score"),
    [("Yes.", "yes", 1), ("YESTERDAY", "yes", 1), ("nothing", "no", 1), (" yes", "yes", 0), ("It is yes", "yes", 0),
     ("no", "yes", 0), (None, "no", 0)],
)  # fmt: skip
def test_tempcompass_reads_yes_and_no_at_the_very_beginning(text: str | None, answer: str, score: int) -> None:
    assert RULES["tempcompass"].score(tempcompass("yes_no", answer), text) == score


def test_longvideobench_knows_a_fifth_letter_and_video_mme_does_not() -> None:
    asked = sample("E")
    assert (RULES["longvideobench"].score(asked, "E"), RULES["worldsense"].score(asked, "E")) == (1, 0)
    assert RULES["longvideobench"].score(sample("A"), None) == RULES["worldsense"].score(sample("A"), None) == 1


def test_options_are_inferred_from_the_lines_of_the_question() -> None:
    asked = sample("B", question="What?\nA. a dog.\nB. a cat.")
    assert RULES["longvideobench"].score(asked, "it is a cat") == 1
    assert RULES["worldsense"].score(asked, "it is a dog") == 0


def lecture(answer: str, kind: str = "multiple-choice", options: str = '["up", "down", "far away"]') -> Sample:
    return sample(answer, question_type=kind, options=options)


@pytest.mark.parametrize(
    ("text", "score"),
    [("A. or C. up", 1), ("A: or C: up", 1), ("(C) not (A)", 0), ("C A", 0), ("(A) and C. up", 1), ("C.", 1),
     ("A. or C.", 0), ("Answer: A\nAnswer: C", 1),
     ("it lies far away from all of this", 1), ("far away", 0), ("c", 0), ("Answer:", -1), ("", -1), (None, 0)],
)  # fmt: skip
def test_video_mmmu_takes_the_last_letter_of_the_first_form_it_finds(text: str | None, score: int) -> None:
    assert RULES["videommmu"].score(lecture("C"), text) == score


def test_video_mmmu_reads_open_answers_by_containment_and_perception_not_at_all() -> None:
    rule = RULES["videommmu"]
    assert rule.score(lecture("12.5", "open", "[]"), "so x = 12.50") == 1
    assert rule.score(lecture("12.5", "open", "[]"), "12.5 at first.\nAnswer: 13") == 0
    assert rule.score(lecture("up", "perception", "[]"), "up") == 0


def test_what_video_mmmu_could_not_read_is_no_part_of_its_table() -> None:
    rows = [{"category": "Adaptation", "score": s} for s in (1, 0, -1)] + [{"category": "Perception", "score": -1}]
    adaptation = {"total": 2, "hit": 1, "acc": 50.0}
    assert RULES["videommmu"].rating(rows) == {"Adaptation": adaptation, "Overall": adaptation}
    assert RULES["videommmu"].rating([])["Overall"] == {"total": 0, "hit": 0, "acc": None}


def test_mvtamperbench_is_rated_by_task_by_tampering_and_by_both() -> None:
    row = {"task_type": "Action", "tamper_type": "original", "task_tamper_type": "Action_original"}
    rating = RULES["mvtamperbench"].rating([{**row, "score": 1}, {**row, "score": 0}])
    half = [1, 2, "50.00%"]
    assert rating == {"Action": half, "original": half, "Action_original": half, "overall": half}


def test_worldsense_counts_a_question_in_each_of_its_audio_classes() -> None:
    row = {"duration": "<1min", "domain": "Games", "sub_category": "Racing", "task_domain": "Reasoning"}
    row |= {"task_type": "Audio Change", "audio_class": "['Speech', 'Music']"}
    rating = RULES["worldsense"].rating([{**row, "score": 1}])
    assert rating["<1min"]["audio_class"] == {"Speech": "1.000", "Event": "nan", "Music": "1.000"}
    with pytest.raises(UsageError, match="audio_class 'Noise'"):
        RULES["worldsense"].rating([{**row, "audio_class": "['Noise']", "score": 1}])


@pytest.mark.parametrize("duration", [15, 15.0, "15"])
def test_longvideobench_takes_durations_as_tables_write_them(duration: object) -> None:
    rating = RULES["longvideobench"].rating([{"duration_group": duration, "question_category": "S2E", "score": 1}])
    assert rating["15"]["overall"] == rating["overall"]["overall"] == "1.000"


def test_tables_of_no_rows_do_not_crash() -> None:
    for rule in RULES.values():
        rule.rating([])


FORMS = st.sampled_from(
    ["A", "B", "(", ")", ".", ":", " ", "\n", "Answer:", "Caption A", "yes", "12.5", "1,000", "is "]
)


@settings(max_examples=60)
@given(st.text() | st.lists(FORMS).map("".join), st.sampled_from(sorted(RULES)))
def test_no_text_breaks_a_rule(text: str, name: str) -> None:
    kinds = [
        ("plotQA", "red bucket"),
        ("caption_matching", "Caption A: up"),
        ("multi-choice", "A. up"),
        ("yes_no", "no"),
    ]
    for task, answer in kinds:
        for kind in ("multiple-choice", "open"):
            asked = sample(answer, task_type=task, question_type=kind, options='["up", "down"]')
            assert RULES[name].score(asked, text) in (-1, 0, 1, None)
