"""The rule-based scorers: three verdicts, errors that name the sample, names as registered."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videval import registry
from videval.asking import rule_scorer
from videval.benchmarks.catalog import find_benchmark
from videval.errors import UsageError
from videval.protocols import Scorer
from videval.scorers.choice import ChoiceScorer, WordsScorer, answer_letter
from videval.scorers.exact import (
    ExactScorer,
    NumberScorer,
    YesNoScorer,
    mean_relative_accuracy,
    read_number,
    read_yes_no,
)
from videval.scorers.options import match_option, normalised, option_texts
from videval.types import Sample, Verdict

OPTIONS = ("the book", "the cup.", "a phone", "a red phone")
RIGHT, WRONG, UNPARSED = Verdict.RIGHT, Verdict.WRONG, Verdict.UNPARSED


def sample(answer: str | None, candidates: tuple[str, ...] = OPTIONS, **more: Any) -> Sample:
    return Sample(id="7", video="v.mp4", question="What?", answer=answer, candidates=candidates, **more)


@pytest.mark.parametrize("name", sorted(registry.SCORERS))
def test_every_registered_scorer_is_made_without_arguments_and_knows_its_name(name: str) -> None:
    scorer = registry.load("scorer", "scorers", registry.SCORERS, name)()
    assert scorer.name == name
    assert isinstance(scorer, Scorer)


@pytest.mark.parametrize("answer", ["Z", "(Z) the cup", "(A) the cup", "a spoon", "", None])
def test_an_answer_that_is_not_among_the_candidates_names_the_sample(answer: str | None) -> None:
    with pytest.raises(UsageError, match=r"sample 7 \(v\.mp4\).*not among its candidates") as caught:
        answer_letter(sample(answer))
    assert "'the book'" in caught.value.hint


def test_more_candidates_than_letters_is_an_error() -> None:
    with pytest.raises(UsageError, match="27 candidates"):
        answer_letter(sample("x", tuple(f"x{i}" for i in range(27))))


@pytest.mark.parametrize("scorer", [YesNoScorer(), ExactScorer(), NumberScorer()])
def test_a_sample_that_cannot_be_scored_is_named(scorer: Scorer) -> None:
    with pytest.raises(UsageError, match=r"sample 7 \(v\.mp4\)"):
        scorer.score(sample(" "), "yes")


@pytest.mark.parametrize(
    "answer", ["B", "b", "(B)", "B.", "(B) the cup.", "B. the cup", "the cup.", "The cup", "THE  CUP!"]
)
def test_an_answer_is_a_letter_or_a_text_or_both(answer: str) -> None:
    assert answer_letter(sample(answer)) == "B"


def test_an_answer_that_is_an_options_whole_text_is_that_option() -> None:
    assert answer_letter(sample("A", ("B", "A"))) == "B"
    assert answer_letter(sample("C", ())) == "C"


@pytest.mark.parametrize(
    "name", ["EgoSchema", "LongVideoBench", "LVBench", "NExT-QA", "Video-MME", "VideoMMMU", "WorldSense"]
)
def test_where_answers_are_published_as_letters_a_letter_is_never_another_options_text(name: str) -> None:
    asked = sample("A", ("C", "A", "D", "B"))
    scorer = rule_scorer(find_benchmark(name).scorer_for(asked) or "")
    assert [scorer.score(asked, text).verdict for text in ("A", "(A) C", "B", "(B) A")] == [RIGHT, RIGHT, WRONG, WRONG]


def test_letters_written_into_the_candidates_are_no_part_of_them() -> None:
    lettered = ("A. the book", "B. the cup.", "C. a phone")
    assert option_texts(lettered) == ("the book", "the cup.", "a phone")
    assert option_texts(("A. Lincoln", "G. Washington")) == ("A. Lincoln", "G. Washington")
    assert answer_letter(sample("B. the cup.", lettered)) == answer_letter(sample("the cup", lettered)) == "B"
    assert ChoiceScorer().score(sample("B", lettered), "the cup").verdict is RIGHT


@pytest.mark.parametrize(
    ("text", "verdict", "read"),
    [
        ("", UNPARSED, None),
        ("I cannot tell", UNPARSED, None),
        ("A or B", UNPARSED, None),
        ("the book and the cup", UNPARSED, None),
        ("It is not the cup", UNPARSED, None),
        ("I don't see the cup", UNPARSED, None),
        ("the cupboard", UNPARSED, None),
        ("CUDA out of memory", UNPARSED, None),
        ("B", RIGHT, "B"),
        ("(b) THE CUP", RIGHT, "B"),
        ("B the cup", RIGHT, "B"),
        ("the cup", RIGHT, "B"),
        ("He takes  The Cup!", RIGHT, "B"),
        ("A", WRONG, "A"),
        ("a phone", WRONG, "C"),
        ("it is a red phone", WRONG, "D"),
        ("B) the book", RIGHT, "B"),
        ("E", UNPARSED, None),
    ],
)
def test_choice_reads_letter_then_text(text: str, verdict: Verdict, read: str | None) -> None:
    score = ChoiceScorer().score(sample("the cup."), text)
    assert (score.verdict, score.read) == (verdict, read)
    assert score.value == {RIGHT: 1.0, WRONG: 0.0, UNPARSED: None}[verdict]


def test_the_longer_option_is_not_also_the_shorter_inside_it() -> None:
    assert match_option("a red car", ("red", "a red car")) == "B"
    assert match_option("red, no: a red car", ("red", "a red car")) is None
    assert match_option("10 cups", ("1", "10", "0")) == "B"
    assert match_option("1.5", ("1", "5")) is None
    assert match_option("anything", ("", "?")) is None


def test_the_same_text_in_two_options_is_right_by_either_letter() -> None:
    assert ChoiceScorer().score(sample("left", ("left", "right", "left")), "C").verdict is RIGHT


@pytest.mark.parametrize(
    ("text", "verdict", "read"),
    [
        ("It moves LEFT.", RIGHT, "left"),
        ("right", WRONG, "right"),
        ("A", UNPARSED, None),
        ("left or right", UNPARSED, None),
        ("leftover", UNPARSED, None),
        ("", UNPARSED, None),
    ],
)
def test_words_reads_an_options_text_and_no_letter(text: str, verdict: Verdict, read: str | None) -> None:
    score = WordsScorer().score(sample("left", ("right", "left", "up")), text)
    assert (score.verdict, score.read) == (verdict, read)


def test_words_without_candidates_are_the_answer_itself() -> None:
    assert WordsScorer().score(sample("red circle", ()), "Red circle.").verdict is RIGHT
    assert WordsScorer().score(sample("red circle", ()), "a circle").verdict is WRONG
    assert WordsScorer().score(sample("red circle", ()), "...").verdict is UNPARSED


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", None),
        ("yes or no", None),
        ("Yes/No", None),
        ("I know nothing", None),
        ("There is no way to say", None),
        ("No one knows", None),
        ("Failed to obtain answer via API.", None),
        ("Yes", "yes"),
        ("no.", "no"),
        ("**No**, he does not", "no"),
        ("No, but yes to the other", "no"),
        ("True", "yes"),
        ("Nope.", "no"),
        ("Yeah, it does", "yes"),
        ("I would say yes", "yes"),
        ("yes at first, but the answer is no", "no"),
        ("Answer: **Yes**", "yes"),
        ("<think>yes</think> no", "no"),
        (" \n\n\n\n\n\n\n no, it does not; yes is wrong", "no"),
    ],
)
def test_yes_and_no_are_read_from_where_they_are_said(text: str, read: str | None) -> None:
    assert read_yes_no(text) == read


def test_yes_no_scores() -> None:
    verdicts = [YesNoScorer().score(sample("No", ()), text).verdict for text in ("no", "Yes.", "maybe")]
    assert verdicts == [RIGHT, WRONG, UNPARSED]


def test_exact_compares_words_only() -> None:
    verdicts = [ExactScorer().score(sample("A red car.", ()), t).verdict for t in ("a RED  car", "red car", " .. ")]
    assert verdicts == [RIGHT, WRONG, UNPARSED]


@pytest.mark.parametrize("answer", ["→", "😀", "?", "...", "👍🏽"])
def test_an_answer_without_words_is_compared_as_it_stands(answer: str) -> None:
    texts = (f" {answer}\n", "←", "to the left", "")
    assert [ExactScorer().score(sample(answer, ()), t).verdict for t in texts] == [RIGHT, WRONG, WRONG, UNPARSED]


@pytest.mark.parametrize("options", [("←", "→", "↑"), ("😀", "😢", "😡"), ("!", "?", "…")])
def test_options_without_words_are_not_all_the_same(options: tuple[str, ...]) -> None:
    verdicts = [ChoiceScorer().score(sample("B", options), t).verdict for t in ("B", "A", options[1], options[2])]
    assert verdicts == [RIGHT, WRONG, RIGHT, WRONG]
    verdicts = [WordsScorer().score(sample(options[1], options), t).verdict for t in (options[1], options[2], "-")]
    assert verdicts == [RIGHT, WRONG, UNPARSED]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", None),
        ("none", None),
        ("from 2 to 3", None),
        ("10:30", None),
        ("1/2", None),
        ("v2x", None),
        ("3", 3.0),
        ("3.5 metres", 3.5),
        ("There are 3.", 3.0),
        ("-4", -4.0),
        ("1,200", 1200.0),
        ("about .5", 0.5),
        ("three people", 3.0),
        ("2 cups and 3 bags, so the answer is 5", 5.0),
        (r"2 and 3: \boxed{6}", 6.0),
        ("2 and again 2", 2.0),
        ("1e999", float("inf")),
    ],
)
def test_a_number_is_read_only_where_it_is_clear(text: str, number: float | None) -> None:
    assert read_number(text) == number


@pytest.mark.parametrize(
    ("said", "answer", "value"),
    [(100, 100, 1.0), (95, 100, 1.0), (105, 100, 1.0), (94, 100, 0.9), (70, 100, 0.5), (50, 100, 0.1), (49, 100, 0.0),
     (0, 0, 1.0), (1, 0, 0.0), (-10, -10, 1.0), (float("inf"), 3, 0.0)],
)  # fmt: skip
def test_mean_relative_accuracy_counts_thresholds(said: float, answer: float, value: float) -> None:
    assert mean_relative_accuracy(said, answer) == value


def test_number_scores_are_in_tenths_and_right_from_the_half() -> None:
    scores = [NumberScorer().score(sample("10", ()), text) for text in ("10", "7", "6", "many")]
    assert [s.value for s in scores] == [1.0, 0.5, 0.3, None]
    assert [s.verdict for s in scores] == [RIGHT, RIGHT, WRONG, UNPARSED]


def test_normalised_keeps_what_makes_numbers_differ() -> None:
    assert normalised("The CUP!") == normalised(" the   cup ") == "the cup"
    assert len({normalised(text) for text in ("3.5", "35", "-3.5", "1/2", "10:30", "1030", "50%")}) == 7
    assert normalised("don’t") == normalised("don't")


ANSWERS = {"choice": "B", "letter": "B", "final_choice": "B", "words": "the cup.", "yes_no": "yes", "number": "3"}
WEIRD = st.sampled_from(["Answer:", "=", "is ", "1e400", "nan", "-", ",", ".", "<think>", "</answer>", "\0", "B", "\n"])


@given(st.text() | st.lists(WEIRD).map("".join), st.sampled_from(sorted(registry.SCORERS)))
def test_no_text_breaks_a_scorer(text: str, name: str) -> None:
    scorer = registry.load("scorer", "scorers", registry.SCORERS, name)()
    candidates = OPTIONS if name in ("choice", "letter", "final_choice", "words") else ()
    score = scorer.score(sample(ANSWERS.get(name, "x"), candidates), text)
    assert (score.value is None) == (score.verdict is UNPARSED)
    assert score.value is None or 0 <= score.value <= 1
