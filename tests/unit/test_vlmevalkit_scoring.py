"""Every recorded row of tests/golden/scoring.json, and what the rule does beside them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from videval.errors import UsageError
from videval.scorers import vlmevalkit as vek
from videval.types import Sample

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "scoring.json").read_text(encoding="utf-8"))
OPTIONS = ("the book", "the cup.", "a phone", "bag")
PAIRS = [pytest.param(p, id=f"{i}-{p['prediction'].strip()[:20]}") for i, p in enumerate(GOLDEN["pairs"])]


def sample(answer: str, **more: Any) -> Sample:
    return Sample(id="7", video="v.mp4", question="What?", answer=answer, **{"candidates": OPTIONS, **more})


@pytest.mark.parametrize("pair", PAIRS)
def test_check_ans_is_as_recorded(pair: dict[str, Any]) -> None:
    expected = pair["mvbench_check_ans"]
    if isinstance(expected, dict):
        with pytest.raises(IndexError) as caught:
            vek.check_ans(pair["prediction"], pair["mvbench_answer"])
        assert f"IndexError: {caught.value}" == expected["raises"]
    else:
        assert vek.check_ans(pair["prediction"], pair["mvbench_answer"]) is expected


@pytest.mark.parametrize("pair", [p for p in PAIRS if "answer_letter" in p.values[0]])
def test_the_rule_without_a_judge_and_both_regexes_are_as_recorded(pair: dict[str, Any]) -> None:
    text, answer = pair["prediction"], pair["mvbench_answer"]
    expected = pair["mvbench_check_ans_with_model_None"]
    assert vek.check_ans_with_model_none(text, answer, OPTIONS) is expected
    if vek.FAIL_MSG not in text:
        assert vek.mvbench_score(sample(OPTIONS["ABCD".index(pair["answer_letter"])]), text) == int(expected)
    assert vek.extract_characters_regex(text) == pair["videomme_extract_characters_regex"]
    assert vek.extract_characters_regex_v2(text) == pair["videomme_extract_characters_regex_v2"]


def test_rating_tables_are_as_recorded() -> None:
    for name in ("videomme", "mvbench", "mmbench_video"):
        table = GOLDEN[f"table_{name}"]
        assert getattr(vek, f"{name}_rating")(table["rows"]) == table["rating"]


def test_an_unknown_group_says_what_is_known() -> None:
    row = {"duration": "endless", "domain": "Knowledge", "sub_category": "Law", "task_type": "OCR Problems"}
    with pytest.raises(UsageError, match=r"duration 'endless'.*short, medium, long"):
        vek.videomme_rating([{**row, "score": 1}])
    with pytest.raises(UsageError, match="'Smell'"):
        vek.mmbench_video_rating([{"dimensions": "['Smell']", "score": 1}])


def test_dimensions_are_never_evaluated() -> None:
    with pytest.raises(UsageError, match="not a list"):
        vek.mmbench_video_rating([{"dimensions": "__import__('os').getcwd()", "score": 1}])


def test_dimensions_may_be_a_list_already() -> None:
    rows = [{"dimensions": ["OCR"], "score": 3}]
    assert vek.mmbench_video_rating(rows)["fine_all"]["OCR"] == "3.00"


def test_a_missing_score_is_correct_in_mvbench_and_left_out_of_video_mme() -> None:
    assert vek.mvbench_rating([{"task_type": "A", "score": math.nan}])["A"] == [1, 1, "100.00%"]
    row = {"duration": "short", "domain": "Knowledge", "sub_category": "Law", "task_type": "OCR Problems"}
    rating = vek.videomme_rating([{**row, "score": None}, {**row, "score": 1}])
    assert rating["overall"]["overall"] == "1.000"


def test_tables_of_no_rows_do_not_crash() -> None:
    assert vek.mvbench_rating([]) == {"overall": [0, 0, "nan%"]}
    assert vek.videomme_rating([])["overall"]["overall"] == "nan"


def test_a_failed_request_is_minus_one_in_mvbench_and_reads_as_a_in_video_mme() -> None:
    assert vek.mvbench_score(sample("the cup."), None) == -1
    assert vek.videomme_score(sample("A"), None) == 1
    assert vek.videomme_score(sample("B"), None) == 0


def test_an_empty_answer_is_an_error_that_names_the_sample() -> None:
    with pytest.raises(UsageError, match="sample 7"):
        vek.mvbench_score(sample("", candidates=("", "x")), "B")


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B is what I see here among all of these options", None),
        ("The correct answer is B. Here is why: the man holds C for all of the clip", "B"),
        ("I'm sorry, but without the image provided B", "Z"),
        ("bag", "D"),
        ("a phone and the book", None),
        ("it is in the bag, of that I am sure, whatever else they may say", None),
        ("Z", "Z"),
    ],
)
def test_inference_without_a_judge(text: str, letter: str | None) -> None:
    assert vek.can_infer(text, dict(zip("ABCD", OPTIONS, strict=True))) == letter


def test_video_mme_looks_for_options_in_the_lines_of_the_question() -> None:
    asked = Sample(id="1", video="v", question="What?\nA. a dog.\nB. a cat.", answer="B")
    assert vek.videomme_score(asked, "it is a cat") == 1
    assert vek.videomme_score(sample("B"), "it is the cup") == 0
