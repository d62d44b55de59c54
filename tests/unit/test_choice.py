"""Which letter a text chooses: what cannot be read is None, and no letter is read out of a word."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videval.scorers.choice import extract_choice

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "scoring.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "(",
        ".",
        "Failed to obtain answer via API.",
        "CUDA out of memory",
        "None of these",
        "I cannot tell",
        "Because the man ...",
        "Because A Dog Barks",
        "A man walks",
        "A's hat",
        "D-day landing",
        "A-frame house",
        "a man",
        "b. the cup",
        "The cup.",
        "BAD",
        "AB",
        "E",
        "Answer: A phone is shown",
        "It is a man",
        "It is A man",
        "so a man walks",
        "The answer is A man",
        "The answer is Bright",
        "The answer is D'Artagnan",
    ],
)
def test_where_no_letter_is_chosen_none_is_read(text: str) -> None:
    assert extract_choice(text, "ABCD") is None


@pytest.mark.parametrize(
    "text",
    [
        "A or B",
        "A and C",
        "A, B",
        "A/B",
        "(A) or (B)",
        "The answer is A or B",
        "The answer is (A) or (B)",
        "The answer is B and C.",
        "A. the book\nB. the cup",
        "The man in (A) walks; (B) does too",
    ],
)
def test_two_letters_are_ambiguous(text: str) -> None:
    assert extract_choice(text, "ABCD") is None


@pytest.mark.parametrize(
    "text",
    [
        "(A) is wrong",
        "not (B)",
        "not B",
        "Option B is wrong",
        "The correct answer is not A",
        "I would not choose B",
        "so C is wrong",
        "A is wrong",
    ],
)
def test_a_letter_that_is_ruled_out_is_not_chosen(text: str) -> None:
    assert extract_choice(text, "ABCD") is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A", "A"),
        ("a", "A"),
        ("A.", "A"),
        ("A)", "A"),
        ("(B)", "B"),
        ("(b", "B"),
        ("(b)", "B"),
        ("b) the cup", "B"),
        ("B.", "B"),
        ("[C]", "C"),
        ("{D}", "D"),
        ('"B"', "B"),
        ("**C**", "C"),
        ("*(C)*", "C"),
        ("B) the cup", "B"),
        ("(B) the cup", "B"),
        ("B: the cup", "B"),
        ("B. the cup", "B"),
        ("B - the cup", "B"),
        ("B, because it is red", "B"),
        ("B\n\nExplanation: A man walks", "B"),
        ("Option B", "B"),
        ("Answer: B", "B"),
        ("Answer: (b)", "B"),
        ("Answer - B", "B"),
        ("**Answer:** B", "B"),
        ("**Answer: B**", "B"),
        ("Final Answer: C", "C"),
        ("My choice: C", "C"),
        ("Best option:(B)", "B"),
        ("The answer is D", "D"),
        ("The answer is A.", "A"),
        ("The answer is option C", "C"),
        ("The answer is **(C) a phone**", "C"),
        ("The best answer is: (B)", "B"),
        ("the answer is B, the cup", "B"),
        ("Because a man walks in a park, the answer is D", "D"),
        ("The answer is A. Wait, the answer is B", "B"),
        ("The correct option is B) the cup", "B"),
        ("Therefore, the correct answer is B. the cup", "B"),
        ("I think it is (C) because A is wrong", "C"),
        ("it is C, not D", "C"),
        ("It is A", "A"),
        ("A is wrong. B is correct.", "B"),
        ("C is correct", "C"),
        ("(A) is wrong, (B) is right", "B"),
        ("I would go with B.", "B"),
        ("A man (B) walks", "B"),
        ("not (A) but (B)", "B"),
        ("First a man walks.\nThen he sits.\nB", "B"),
        (r"\boxed{B}", "B"),
        (r"So we get $\boxed{\text{C}}$.", "C"),
        (r"\boxed{A} no, \boxed{(D)}", "D"),
        ("<answer>D</answer>", "D"),
        ("A man. <answer>(D) bag</answer>", "D"),
        ("<answer>D", "D"),
        ("<answer>D</answer> as the answer is not A", "D"),
        ("<think>A?</think> B", "B"),
        ("A or C, so </think> B", "B"),
        ("（A）", "A"),
        ("Ａ．", "A"),
        ("选项B", "B"),
        ("答案是C", "C"),
        ("答案：C", "C"),
        ("正确选项是 D。", "D"),
    ],
)
def test_the_letter_that_was_chosen_is_read(text: str, letter: str) -> None:
    assert extract_choice(text, "ABCD") == letter


def test_letters_are_given_back_as_they_were_given() -> None:
    assert extract_choice("(B)", ["a", "b"]) == "b"
    assert extract_choice("G", "ABCDEFGH") == "G"
    assert extract_choice("C", "AB") is None
    assert extract_choice("A", "") is None


READ = ("A", "B", "B", "B", "B", "B", None, "B", None, None, None, None, None, "B", "B", None, "D", None, "B", "B", "B")


@pytest.mark.parametrize(("row", "letter"), list(zip(GOLDEN["pairs"], READ, strict=False)))
def test_each_recorded_answer_is_read_as_a_person_would(row: dict[str, str], letter: str | None) -> None:
    assert extract_choice(row["prediction"], "ABCD") == letter


talk = st.lists(
    st.sampled_from(
        ["A", "B", "(", ")", "the", "answer", "is", "option", "or", ":", ".", "\n", "**", "a", "\\boxed{", "}", "not"]
    )
)


@given(st.text() | talk.map(" ".join) | talk.map("".join), st.sampled_from(["ABCD", "AB", "", "ABCDEFGHIJ"]))
def test_only_given_letters_are_ever_read(text: str, letters: str) -> None:
    read = extract_choice(text, letters)
    assert read is None or read in letters


@given(st.text(alphabet="bcdefghijklmnopqrstuvwxyz ", min_size=3).filter(lambda t: " " not in t.strip()[:2]))
def test_no_letter_is_read_from_words_alone(text: str) -> None:
    words = " ".join(word for word in text.split() if len(word) > 1)
    assert extract_choice(words, "ABCD") is None


@pytest.mark.parametrize(
    "text",
    [
        " " * 50000 + "x",
        "(" * 50000,
        "*" * 50000,
        "answer is " + " " * 50000 + "x",
        "\n" * 20000 + "x",
        "answer " * 5000,
        "<think>" * 5000,
        "<answer>" * 5000,
        "(A" * 20000,
    ],
)
def test_a_hostile_text_does_not_hang(text: str) -> None:
    started = time.monotonic()
    extract_choice("x" + text + "x", "ABCD")
    assert time.monotonic() - started < 30
