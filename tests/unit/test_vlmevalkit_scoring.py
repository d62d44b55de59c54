"""Every recorded row of tests/golden/scoring.json, and what the rule does beside them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from videval.errors import UsageError
from videval.scorers.vlmevalkit.infer import can_infer, extract_characters_regex, extract_characters_regex_v2
from videval.scorers.vlmevalkit.mmbench_video import mmbench_video_rating
from videval.scorers.vlmevalkit.mvbench import check_ans, check_ans_with_model_none, mvbench_rating, mvbench_score
from videval.scorers.vlmevalkit.videomme import videomme_rating, videomme_score
from videval.types import Sample
from videval.words import FAIL_MSG

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "scoring.json").read_text(encoding="utf-8"))
OPTIONS = ("the book", "the cup.", "a phone", "bag")
PAIRS = [pytest.param(p, id=f"{i}-{p['prediction'].strip()[:20]}") for i, p in enumerate(GOLDEN["pairs"])]
LETTERED = [param for param, pair in zip(PAIRS, GOLDEN["pairs"], strict=True) if "answer_letter" in pair]


def sample(answer: str, **more: Any) -> Sample:
    return Sample(id="7", video="v.mp4", question="What?", answer=answer, **{"candidates": OPTIONS, **more})


@pytest.mark.parametrize("pair", PAIRS)
def test_check_ans_is_as_recorded(pair: dict[str, Any]) -> None:
    expected = pair["mvbench_check_ans"]
    if isinstance(expected, dict):
        with pytest.raises(IndexError) as caught:
            check_ans(pair["prediction"], pair["mvbench_answer"])
        assert f"IndexError: {caught.value}" == expected["raises"]
    else:
        assert check_ans(pair["prediction"], pair["mvbench_answer"]) is expected


@pytest.mark.parametrize("pair", LETTERED)
def test_the_rule_without_a_judge_and_both_regexes_are_as_recorded(pair: dict[str, Any]) -> None:
    text, answer = pair["prediction"], pair["mvbench_answer"]
    expected = pair["mvbench_check_ans_with_model_None"]
    assert check_ans_with_model_none(text, answer, OPTIONS) is expected
    if FAIL_MSG not in text:
        assert mvbench_score(sample(OPTIONS["ABCD".index(pair["answer_letter"])]), text) == int(expected)
    assert extract_characters_regex(text) == pair["videomme_extract_characters_regex"]
    assert extract_characters_regex_v2(text) == pair["videomme_extract_characters_regex_v2"]


def test_rating_tables_are_as_recorded() -> None:
    ratings = {"videomme": videomme_rating, "mvbench": mvbench_rating, "mmbench_video": mmbench_video_rating}
    for name, rating in ratings.items():
        table = GOLDEN[f"table_{name}"]
        assert rating(table["rows"]) == table["rating"]


def test_an_unknown_group_says_what_is_known() -> None:
    row = {"duration": "endless", "domain": "Knowledge", "sub_category": "Law", "task_type": "OCR Problems"}
    with pytest.raises(UsageError, match=r"duration 'endless'.*short, medium, long"):
        videomme_rating([{**row, "score": 1}])
    with pytest.raises(UsageError, match="'Smell'"):
        mmbench_video_rating([{"dimensions": "['Smell']", "score": 1}])


def test_dimensions_are_never_evaluated() -> None:
    with pytest.raises(UsageError, match="not a list"):
        mmbench_video_rating([{"dimensions": "__import__('os').getcwd()", "score": 1}])


def test_dimensions_may_be_a_list_already() -> None:
    rows = [{"dimensions": ["OCR"], "score": 3}]
    assert mmbench_video_rating(rows)["fine_all"]["OCR"] == "3.00"


def test_a_missing_score_is_correct_in_mvbench_and_left_out_of_video_mme() -> None:
    assert mvbench_rating([{"task_type": "A", "score": math.nan}])["A"] == [1, 1, "100.00%"]
    row = {"duration": "short", "domain": "Knowledge", "sub_category": "Law", "task_type": "OCR Problems"}
    rating = videomme_rating([{**row, "score": None}, {**row, "score": 1}])
    assert rating["overall"]["overall"] == "1.000"


def test_tables_of_no_rows_do_not_crash() -> None:
    assert mvbench_rating([]) == {"overall": [0, 0, "nan%"]}
    assert videomme_rating([])["overall"]["overall"] == "nan"


def test_a_failed_request_is_minus_one_in_mvbench_and_reads_as_a_in_video_mme() -> None:
    assert mvbench_score(sample("the cup."), None) == -1
    assert videomme_score(sample("A"), None) == 1
    assert videomme_score(sample("B"), None) == 0


def test_an_empty_answer_is_an_error_that_names_the_sample() -> None:
    with pytest.raises(UsageError, match="sample 7"):
        mvbench_score(sample("", candidates=("", "x")), "B")


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
    assert can_infer(text, dict(zip("ABCD", OPTIONS, strict=True))) == letter


def test_video_mme_looks_for_options_in_the_lines_of_the_question() -> None:
    asked = Sample(id="1", video="v", question="What?\nA. a dog.\nB. a cat.", answer="B")
    assert videomme_score(asked, "it is a cat") == 1
    assert videomme_score(sample("B"), "it is the cup") == 0
