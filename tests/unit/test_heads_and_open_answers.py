"""Options that name themselves, and the open answers of the MMMU family: what is read, and what is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videval.errors import UsageError
from videval.scorers.choice import ChoiceScorer, FinalChoiceScorer
from videval.scorers.heads import heads_of
from videval.scorers.mmmu import after_answer, contains_answer, read_multiple_choice, read_open
from videval.scorers.open_answer import OpenAnswerScorer
from videval.types import Sample, Verdict

CAPTIONS = ("Caption A: The bear catches 2 fish.", "Caption B: The bear sleeps.")
NUMBERED = ("Option 1: The lift is rising.", "Option 2: The lift is not moving.")
CLIPS = ("Clip 3: red", "Clip 1: blue", "Clip 2: green")


def read(candidates: tuple[str, ...], text: str) -> str | None:
    asked = Sample(id="7", video="v.mp4", question="Which?", answer=candidates[0], candidates=candidates)
    return ChoiceScorer().score(asked, text).read


@pytest.mark.parametrize("text", [
    "Caption B", "caption b", "CAPTION B.", "B", "b", "(B)", "B.", "**Caption B**", " \nCaption B\n",
    "The bear sleeps.", "the bear sleeps", "Caption B: The bear sleeps.", "(B) The bear sleeps.",
    "Caption B is the better one.",
    "Caption B matches the video better as it shows a bear.", "The best option is Caption B.",
    "Based on the video, the best option is:\n\nCaption B: The bear sleeps.\n\n1. It lies there.\n2. So it sleeps.",
    "The best caption for the video is **Caption B: The bear sleeps.** It lies there.",
    "<think>Caption A</think>Caption B",
    "Caption A is wrong, Caption B is right.", "Caption B fits. That is why caption A is no match.",
])  # fmt: skip
def test_a_caption_is_read_by_head_mark_and_sentence(text: str) -> None:
    assert read(CAPTIONS, text) == "B"


@pytest.mark.parametrize("text", [
    "Option 2", "option 2.", "2", "2.", "(2)", "2)", "2) The lift is not moving.", "(2) The lift is not moving.",
    "The answer is 2.", "Answer: 2", r"\boxed{2}", "The lift is not moving", "Option 2 is the better one.",
    "Option 2: The lift is not moving.\n\nThis one is good, so option 1 is not an accurate description.", "I choose 2.",
])  # fmt: skip
def test_an_option_with_a_number_is_read_by_it(text: str) -> None:
    assert read(NUMBERED, text) == "B"


@pytest.mark.parametrize(("candidates", "text"), [
    (CAPTIONS, "Both"), (CAPTIONS, "neither fits"), (CAPTIONS, "Caption A and Caption B"), (CAPTIONS, "not Caption A"),
    (CAPTIONS, "Neither Caption A nor Caption B"), (CAPTIONS, "A man sleeps"), (CAPTIONS, "Caption C"), (CAPTIONS, "2"),
    (NUMBERED, "There are 2 lifts"), (NUMBERED, "1.5"), (NUMBERED, "12"), (NUMBERED, "Options 1 and 2"),
    (NUMBERED, "Option 1 or 2"), (NUMBERED, "1. It is a lift.\n2. It is red."), (NUMBERED, ""), (CAPTIONS, " "),
])  # fmt: skip
def test_what_names_no_option_or_two_is_unparsed(candidates: tuple[str, ...], text: str) -> None:
    assert read(candidates, text) is None


@pytest.mark.parametrize("text", ["(2) It is 1", "2) It is 1", "2. It is 1", "Option 2: It is 1", "It is 1"])
def test_a_sentence_that_ends_in_another_options_number_is_read_as_a_whole(text: str) -> None:
    assert read(("Option 1: It is 2", "Option 2: It is 1"), text) == "B"


def test_numbers_count_as_they_stand_and_not_by_their_place() -> None:
    assert [read(CLIPS, text) for text in ("3", "Clip 1", "clip 2, the green one", "blue")] == ["A", "B", "C", "B"]


@pytest.mark.parametrize("options", [
    (), ("Caption A: one",), ("Caption A: one", "two"), ("Caption A: one", "Sentence B: two"),
    ("Caption B: one", "Caption A: two"), ("Clip 1: one", "Clip 1: two"), ("Clip 1: one", "Clip B: two"),
    ("A. one", "B. two"), ("at 10: the cup", "at 10: the bag"),
])  # fmt: skip
def test_options_that_do_not_name_themselves_alike_have_no_heads(options: tuple[str, ...]) -> None:
    assert heads_of(options) is None


def test_a_question_whose_sentences_are_the_same_is_right_by_either() -> None:
    same = ("Caption A: It rises.", "Caption B: It rises.")
    asked = Sample(id="7", video="v.mp4", question="Which?", answer=same[0], candidates=same)
    assert ChoiceScorer().score(asked, "Caption B").verdict is Verdict.RIGHT


def lecture(answer: str, *candidates: str) -> Sample:
    return Sample(id="7", video="v.mp4", question="What?", answer=answer, candidates=candidates)


@pytest.mark.parametrize(("text", "verdict", "letter"), [
    ("First (A), then (B).\nAnswer: (C)", Verdict.RIGHT, "C"), ("Answer: C. down", Verdict.RIGHT, "C"),
    ("(C)\nAnswer:", Verdict.RIGHT, "C"), ("Answer: {C}", Verdict.RIGHT, "C"), ("Answer: down", Verdict.RIGHT, "C"),
    ("<think>Answer: A</think> Answer: C", Verdict.RIGHT, "C"), ("C it may be.\nAnswer: A", Verdict.WRONG, "A"),
    ("Answer: A or C", Verdict.UNPARSED, None), ("", Verdict.UNPARSED, None),
])  # fmt: skip
def test_a_choice_is_read_from_what_follows_the_last_answer(text: str, verdict: Verdict, letter: str | None) -> None:
    score = FinalChoiceScorer().score(lecture("C", "up", "left", "down"), text)
    assert (score.verdict, score.read) == (verdict, letter)


@pytest.mark.parametrize(("text", "answer"), [
    ("12.5", "12.5"), ("Answer: 12.5", "12.5"), ("Answer: 12.50 kg", "12.5"), ("The result is 12.499", "12.5"),
    ("1.25e1", "12.5"), ("x = 1,250", "1250"), ("so it is 1250.0 m", "1,250"), ("-3", "-3"),
    ("Answer: dark blue", "blue"),
    ("BLUE", "blue"), ("It is blueish", "blue"), ("12 at first.\nAnswer: 13", "13"), ("Answer: x", "x"),
    ("two", "['2', 'two']"), ("\n\n Answer:\n 7\n", "7"),
])  # fmt: skip
def test_an_open_answer_is_right_if_the_right_one_stands_in_it(text: str, answer: str) -> None:
    assert OpenAnswerScorer().score(lecture(answer), text).verdict is Verdict.RIGHT


@pytest.mark.parametrize(("text", "answer"), [
    ("13", "12.5"), ("12,5", "12.5"), ("between 12 and 13", "12.5"), ("red", "blue"),
    ("12.5 at first.\nAnswer: 13", "12.5"),
    ("Answer: xy", "x"), ("<think>12.5</think>13", "12.5"), ("112.5", "12.5"),
])  # fmt: skip
def test_an_open_answer_that_says_something_else_is_wrong(text: str, answer: str) -> None:
    assert OpenAnswerScorer().score(lecture(answer), text).verdict is Verdict.WRONG


@pytest.mark.parametrize("text", ["", " \n", "12.5\nAnswer:", "Answer: ...", "<think>12.5"])
def test_an_open_answer_that_says_nothing_is_unparsed(text: str) -> None:
    score = OpenAnswerScorer().score(lecture("12.5"), text)
    assert (score.verdict, score.value, score.read) == (Verdict.UNPARSED, None, None)


def test_an_open_question_without_an_answer_names_itself() -> None:
    with pytest.raises(UsageError, match=r"sample 7 \(v\.mp4\)"):
        OpenAnswerScorer().score(lecture(" "), "12.5")


def test_mmmu_reads_the_shortest_end_after_a_key_word_on_each_line() -> None:
    assert read_open("The mass is 3 kg\nso the result is found to be 12 N") == ("3 kg", "12 n", 3.0, 12.0)
    assert read_open("mass = 3\nforce = 4") == ("4", 4.0)[1:]
    assert after_answer("Answer: 1 Answer:  2 ") == "2"
    assert contains_answer((" x", "x "), ["x"]) and not contains_answer(("xy",), ["x"])


def test_mmmu_takes_the_last_of_several_letters() -> None:
    options = {"A": "up", "B": "down", "C": "far away"}
    said = ["A. or B. it is", "(A) or (B)", "A or B then", "down, and then up again it goes", "A, B"]
    assert [read_multiple_choice(text, options) for text in said] == ["B", "B", "B", "A", "B"]


HEADS = st.sampled_from(
    ["Caption", "Option", "A", "B", "1", "2", "10", ".", ":", ")", " ", "\n", "is", "the answer is "]
)


@settings(max_examples=100)
@given(st.text() | st.lists(HEADS).map(" ".join), st.sampled_from([CAPTIONS, NUMBERED, CLIPS]))
def test_only_the_letters_of_the_options_are_ever_read(text: str, candidates: tuple[str, ...]) -> None:
    letter = read(candidates, text)
    assert letter is None or letter in "ABC"[: len(candidates)]
