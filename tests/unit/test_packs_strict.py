"""Strict mode is VLMEvalKit's rule: every case of tests/golden/pack.json and what follows from the rule."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videval.packs import pack_statistics, parse_pack_answer, strict_answers

CASES = json.loads((Path(__file__).parent.parent / "golden" / "pack.json").read_text(encoding="utf-8"))["cases"]
IDS = ("0", "1", "2")
FAILED = "Failed to obtain answer via API."


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_strict_is_as_recorded(case: dict[str, Any]) -> None:
    assert parse_pack_answer(case["raw"], strict=True) == case["parsed"]


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_predictions_and_statistics_are_as_recorded(case: dict[str, Any]) -> None:
    answers = strict_answers([(case["raw"], IDS)])
    assert list(answers.predictions) == case["load_pack_answers"]["prediction"]
    assert answers.statistics == case["load_pack_answers"]["stats"]


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        (None, None),
        ('{"0": NaN}', {"0": "nan"}),
        ('{"0": [NaN, 1]}', {"0": ["nan", 1]}),
        ('{"0": null, "1": 2}', {"0": None, "1": 2}),
        ('{"0": "a"} {"1": "b"}', None),
        ('{"0": "a",}', {"0": 'a",}'}),
        ("{\n0: a\n0: b\n}", {"0": "b"}),
        ("{\n'time': , \n'1': 'x: y'\n}", {"1": "x"}),
        ("{at time: 3pm", {"at time": "3pm"}),
        ("{", {}),
        ("{nothing here}", {}),
        ("say {\n  'a': 'b'\n} and more: words", {"a": "b", "} and more": "words"}),
        ('  {"0": " kept "}  ', {"0": " kept "}),
        ('{"0": "line\nbreak"}', {"0": "line"}),
        ('{"a": ' * 3000 + "1" + "}" * 3000, None),
    ],
)
def test_the_rule_holds_beside_the_recorded_cases(raw: str | None, parsed: Any) -> None:
    assert parse_pack_answer(raw, strict=True) == parsed


def test_statistics_count_videos_by_outcome_and_questions_by_validity() -> None:
    packs = [('{"0": "a"}', IDS), ("no", ["3"]), (FAILED, ["4"]), (None, ["5"]), ('{"6": null}', ["6"])]
    assert pack_statistics(packs) == {
        "PARSE_OK": 2,
        "PARSE_FAIL": 1,
        "GEN_FAIL": 2,
        "VALIDQ": 1,
        "INVALIDQ": 6,
    }


def test_statistics_of_no_packs_are_zero_questions() -> None:
    assert pack_statistics([]) == {"VALIDQ": 0, "INVALIDQ": 0}


@given(st.text(alphabet=st.sampled_from("{}[]\"':,0I1ab \n\\")) | st.text())
def test_strict_never_raises(raw: str) -> None:
    parsed = parse_pack_answer(raw, strict=True)
    assert parsed is None or isinstance(parsed, dict)
