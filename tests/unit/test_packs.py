"""The tolerant pack reader: reads what a person could, invents nothing, never raises."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from videval.packs import parse_pack_answer, read_pack
from videval.types import PredictionState

IDS = ("0", "1", "2")
FAILED = "Failed to obtain answer via API."
ABC = {"0": "a", "1": "b", "2": "c"}
ONE_TO_THREE = {"1": "a", "2": "b", "3": "c"}


@pytest.mark.parametrize("raw", [None, "", "  \n", FAILED, "{", "[", '{"0": "a red c', "```json\n```", "}{", "..."])
def test_where_nothing_was_said_nothing_is_read(raw: str | None) -> None:
    assert parse_pack_answer(raw) is None
    assert {p.state for p in read_pack(raw, IDS)} == {PredictionState.UNPARSABLE}
    assert {p.text for p in read_pack(raw, IDS)} == {None}


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ('{"0": "a red car", "1": "two do', {"0": "a red car"}),
        ("{'0': 'a red car', '1': 'two do", {"0": "a red car"}),
        ('{"0": "a red car", "1": ', {"0": "a red car"}),
        ('{"0": "a red car", "1"', {"0": "a red car"}),
        ('{"0": "a red car", "1', {"0": "a red car"}),
        ('{"0": "a red car",', {"0": "a red car"}),
        ('{"0": "a red car"', {"0": "a red car"}),
        ('{"0": "a", "1": "b\\', {"0": "a"}),
        ('{"0": "a", "1": ["b", "c', {"0": "a"}),
        ('{"0": "a", "1": {"answer": "b', {"0": "a"}),
        ('{"0": 3, "1": 1', {"0": "3"}),
        ("{0: a, 1: b", {"0": "a"}),
        ('{"answers": {"0": "a", "1": "b', {"0": "a"}),
        ('[{"id": 0, "answer": "a"}, {"id": 1, "ans', {"0": "a"}),
        ('["a red car", "two do', {"0": "a red car"}),
        ('```json\n{"I1": "a", "I2": "b', {"1": "a"}),
    ],
)
def test_a_value_that_was_cut_off_is_left_out(raw: str, read: dict[str, str]) -> None:
    assert parse_pack_answer(raw) == read


@pytest.mark.parametrize(
    "raw",
    [
        '{"0": "a", "1": "b", "2": "c"}',
        "{'0': 'a', '1': 'b', '2': 'c'}",
        '{"0": "a", "1": "b", "2": "c",}',
        '```json\n{"0": "a", "1": "b", "2": "c"}\n```',
        "```\n{'0': 'a', '1': 'b', '2': 'c'}\n```",
        'Sure, in {short}:\n{"0": "a", "1": "b", "2": "c"}\nHope {that} helps!',
        '{"0": "a"}\n{"1": "b"}\n{"2": "c"}',
        '{"0": "x"} No, wait: {"0": "a", "1": "b", "2": "c"}',
        '{"answers": {"0": "a", "1": "b", "2": "c"}}',
        '{"thoughts": "hm", "answers": {"0": "a", "1": "b", "2": "c"}}',
        '{"answers": ["a", "b", "c"]}',
        '["a", "b", "c"]',
        "Answers: ['a', 'b', 'c']",
        '[{"id": 0, "answer": "a"}, {"id": 1, "answer": "b"}, {"id": 2, "answer": "c"}]',
        '[{"0": "a"}, {"1": "b"}, {"2": "c"}]',
        '{"0": {"question": "q", "answer": "a"}, "1": ["b"], "2": "c"}',
        "{“0”: “a”, “1”: “b”, “2”: “c”}",
        "{0: a, 1: b, 2: c}",
        "{\n0: a\n1: b\n2: c\n}",
        '{\n"0": "a"\n"1": "b"\n"2": "c"\n}',
        '"0": "a", "1": "b", "2": "c"}',
        '{"0": "a, "1": "b", "2": "c"}',
        "0: a\n1: b\n2: c",
        "0: a, 1: b, 2: c",
        "Answers:\n  0. a\n  1. b\n  2. c",
        "**0**: a\n**1:** b\n- 2: **c**",
        "| 0 | a |\n| 1 | b |\n| 2 | c |",
        "<think>{'0': 'x'}</think>{'0': 'a', '1': 'b', '2': 'c'}",
        "so {'0': 'x'} </think>\n0: a\n1: b\n2: c",
    ],
)
def test_every_form_gives_the_same_answers(raw: str) -> None:
    assert parse_pack_answer(raw) == ABC
    predictions = read_pack(raw, IDS)
    assert {p.sample_id: p.text for p in predictions} == ABC
    assert {p.state for p in predictions} == {PredictionState.ANSWERED}


@pytest.mark.parametrize(
    "raw",
    [
        "{'I1': 'a', 'I2': 'b', 'I3': 'c'}",
        '{"Q1": "a", "Q2": "b", "Q3": "c"}',
        '{"Question 1": "a", "Question 2": "b", "Question 3": "c"}',
        "I1: a\nI2: b\nI3: c",
        "I1: a, I2: b; I3: c",
        "1. a\n2. b\n3. c\n\nHope this helps!",
        "1) a\n2) b\n3) c",
        "Question 1: Where is it?\nAnswer: a\n\nQuestion 2: How many?\nAnswer: b\n\nQuestion 3: Why?\nAnswer: c",
        '{"1": "a", "2": "b", "3": "c"}',
    ],
)
def test_keys_that_count_from_one_are_positions(raw: str) -> None:
    assert parse_pack_answer(raw) == ONE_TO_THREE
    assert [p.text for p in read_pack(raw, IDS)] == ["a", "b", "c"]
    assert [p.text for p in read_pack(raw, ("17", "4", "9"))] == ["a", "b", "c"]
    assert all("by position" in p.how for p in read_pack(raw, IDS))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("{'0': 'the man's hat', '1': 'no'}", "the man's hat"),
        ("{'0': 'the dogs' bowl, isn't it', '1': 'no'}", "the dogs' bowl, isn't it"),
        ('{"0": "he said "hi", then left", "1": "no"}', 'he said "hi", then left'),
        ("{'0': 'time: {3 pm}, sharp', '1': 'no'}", "time: {3 pm}, sharp"),
        ("{'0': 'at 3: red, at 4: blue', '1': 'no'}", "at 3: red, at 4: blue"),
        ("{'0': 'one\ntwo', '1': 'no'}", "one\ntwo"),
        (r"{'0': 'it\'s \u00e9', '1': 'no'}", "it's é"),
        (r'{"0": "\ud83d\ude00 \q", "1": "no"}', "😀 q"),
        ('{"0": ["a", 2, true], "1": "no"}', "a, 2, true"),
        ('{"0": {"x": "y", "z": 1.50}, "1": "no"}', "x: y, z: 1.50"),
        ("0: a red car\n   with a roof\n1: no", "a red car\n   with a roof"),
    ],
)
def test_what_an_answer_contains_stays_in_it(raw: str, text: str) -> None:
    read = parse_pack_answer(raw)
    assert read is not None
    assert read["0"] == text
    assert read["1"] == "no"


def test_a_failure_message_and_the_prompts_own_example_are_not_answers() -> None:
    assert parse_pack_answer(f'{{"0": "{FAILED}", "1": "b"}}') == {"1": "b"}
    assert parse_pack_answer("{'I1': 'Answer to Question I1', 'I2': 'Answer to Question I2'}") == {}


def test_i_keys_are_the_questions_own_numbers_if_they_can_be() -> None:
    predictions = read_pack("{'I12': 'a', 'I13': 'b'}", ("12", "13"))
    assert [(p.text, p.how) for p in predictions] == [("a", "json repaired, I-keys"), ("b", "json repaired, I-keys")]


def test_what_could_mean_two_questions_is_given_to_neither() -> None:
    assert {p.state for p in read_pack('{"I2": "a"}', IDS)} == {PredictionState.ABSENT}
    assert {p.state for p in read_pack('["a", "b"]', IDS)} == {PredictionState.ABSENT}
    assert {p.state for p in read_pack('["a", "b", "c", "d"]', IDS)} == {PredictionState.ABSENT}


def test_questions_that_were_left_out_are_absent_and_say_why() -> None:
    absent, answered, blank = read_pack('{"1": "b", "2": " ", "9": "z"}', IDS)
    assert (absent.state, absent.how) == (PredictionState.ABSENT, "not in the answer (json)")
    assert (answered.state, answered.text, answered.how) == (PredictionState.ANSWERED, "b", "json")
    assert (blank.state, blank.text) == (PredictionState.ABSENT, None)
    assert [p.how for p in read_pack('{"0": "a", "1": "b', IDS)] == ["json repaired", "cut off", "cut off"]
    assert {p.state for p in read_pack("{}", IDS)} == {PredictionState.ABSENT}


def test_null_is_absent() -> None:
    assert [p.state for p in read_pack('{"0": null}', ["0"])] == [PredictionState.ABSENT]


def test_why_a_response_cannot_be_read_is_said() -> None:
    reasons = [read_pack(raw, IDS)[0].how for raw in (None, "", FAILED, "A man is cooking.")]
    assert reasons == ["no response", "empty response", "failure message", "not readable"]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("A man is cooking.", "A man is cooking."),
        ("1. cut\n2. stir", "1. cut\n2. stir"),
        ("2024: A Space Odyssey", "2024: A Space Odyssey"),
        ("2 - 3 people", "2 - 3 people"),
        ("There are {three} signs", "There are {three} signs"),
        ('["salt", "pepper"]', '["salt", "pepper"]'),
        ("{'I1': 'a man'}", "a man"),
        ('{"0": "a man"}', "a man"),
        ('{"answer": "a man", "why": "he walks"}', "a man"),
        ("I1: a man", "a man"),
        ("<think>hm</think> a man", "a man"),
    ],
)
def test_a_pack_of_one_question_takes_a_plain_answer(raw: str, text: str) -> None:
    (prediction,) = read_pack(raw, ["153"])
    assert (prediction.state, prediction.text) == (PredictionState.ANSWERED, text)
    assert prediction.how.endswith("single")


def test_ids_that_look_like_counts_are_ids_whatever_their_order() -> None:
    found = read_pack('{"q2": "b", "q1": "a"}', ("q2", "q1", "q3"))
    assert [p.text for p in found] == ["b", "a", None]


def test_ids_need_not_be_numbers() -> None:
    assert [p.text for p in read_pack('{"v1_q1": "a", "v1_q2": "b"}', ("v1_q1", "v1_q2"))] == ["a", "b"]
    assert [p.text for p in read_pack('{"I1": "a", "I2": "b"}', ("I1", "I2"))] == ["a", "b"]


messy = st.text(alphabet=st.sampled_from("{}[]\"',:0123I.a b\n\\“’`*|-")) | st.text()


@given(messy)
@example("²: x\n٣: y")
@example('{"' + "9" * 5000 + '": "a"}')
@example('{"\\ud800": "\\udc00"}')
@example("{'0': '\\ud800")
def test_it_never_raises_and_gives_texts_by_text(raw: str) -> None:
    read = parse_pack_answer(raw)
    assert read is None or all(isinstance(k, str) and isinstance(v, str) for k, v in read.items())
    for ids in (IDS, ("7",), ()):
        predictions = read_pack(raw, ids)
        assert [p.sample_id for p in predictions] == list(ids)
        assert all((p.text is not None) == (p.state is PredictionState.ANSWERED) for p in predictions)


@given(st.lists(st.text(), max_size=6))
def test_json_is_read_back_to_the_character(texts: list[str]) -> None:
    answers = {str(i): text for i, text in enumerate(texts)}
    assert parse_pack_answer(json.dumps(answers)) == answers
    assert parse_pack_answer(json.dumps(answers, ensure_ascii=False, indent=1)) == answers


@given(st.lists(st.text(alphabet="abc xyz.!?-", min_size=1).filter(str.strip), min_size=1, max_size=5), st.data())
def test_what_is_read_from_a_cut_response_is_what_the_whole_says(texts: list[str], data: st.DataObject) -> None:
    raw = json.dumps({str(i): text for i, text in enumerate(texts)})
    cut = parse_pack_answer(raw[: data.draw(st.integers(0, len(raw)))]) or {}
    assert cut.items() <= {str(i): text for i, text in enumerate(texts)}.items()


@pytest.mark.parametrize("raw", ["{" * 20000, '{"a":' * 5000, "[" * 20000, '{"0": "x ' * 3000, "0: a\n" * 5000])
def test_a_hostile_response_does_not_hang(raw: str) -> None:
    started = time.monotonic()
    parse_pack_answer(raw)
    parse_pack_answer(raw, strict=True)
    read_pack(raw, IDS)
    assert time.monotonic() - started < 30
