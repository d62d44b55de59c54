"""Numbers by name beside the score: averages of groups, and what is found of the positives."""

import pytest

from videval.benchmarks.catalog import benchmark, benchmark_names
from videval.measures import Detection, MeanOfGroups, MeanOfQuestions, Measured, Tally, measure_table


def tally(group: str, right: int, n: int) -> Tally:
    return Tally(group=group, n=n, right=right, total=float(right))


def values(found: tuple[Measured, ...], group: str) -> list[float | None]:
    return [m.value for m in found if m.group == group]


DETECT = Detection(column="tamper_type", negative="original")


def test_each_kind_is_found_among_all_negatives_and_the_mean_is_over_kinds() -> None:
    found = DETECT.of(
        [tally("dropping", 5, 6), tally("masking", 4, 6), tally("original", 2, 6), tally("rotation", 5, 6)]
    )
    assert [m.name for m in found[:3]] == ["precision", "recall", "F1"]
    assert values(found, "masking") == pytest.approx([4 / 8, 4 / 6, 8 / 14])
    assert values(found, "mean")[2] == pytest.approx((10 / 15 + 8 / 14 + 10 / 15) / 3)
    assert round(100 * (values(found, "mean")[2] or 0), 1) == 63.5
    assert {m.group for m in found} == {"dropping", "masking", "rotation", "mean"}


def test_what_has_no_denominator_is_zero_and_all_right_is_one() -> None:
    assert values(DETECT.of([tally("masking", 0, 3), tally("original", 3, 3)]), "masking") == [0.0, 0.0, 0.0]
    assert values(DETECT.of([tally("masking", 3, 3), tally("original", 3, 3)]), "masking") == [1.0, 1.0, 1.0]
    assert values(DETECT.of([tally("masking", 3, 3), tally("original", 0, 3)]), "masking") == [0.5, 1.0, 2 / 3]


@pytest.mark.parametrize("tallies", [[], [tally("original", 1, 2)], [tally("masking", 1, 2), tally("dropping", 1, 2)]])
def test_nothing_is_detected_before_both_sides_are_scored(tallies: list[Tally]) -> None:
    assert DETECT.of(tallies) == ()


def test_averages_count_groups_or_questions_the_same() -> None:
    tallies = [tally("plotQA", 1, 1), tally("ego", 0, 3), tally("summary", 4, 4)]
    (groups,) = MeanOfGroups(column="task_type", name="M-Avg").of(tallies)
    (questions,) = MeanOfQuestions(column="task_type", name="all", groups=("plotQA", "ego", "count")).of(tallies)
    assert groups.value == pytest.approx(2 / 3) and questions.value == 0.25
    assert (groups.about, questions.group) == ("mean of the task_type scores", "")
    assert MeanOfQuestions(column="task_type", name="all", groups=("count",)).of(tallies)[0].value is None
    assert MeanOfGroups(column="task_type").of([])[0].value is None


def test_numbers_of_groups_are_a_table_and_averages_are_none_of_it() -> None:
    found = (*MeanOfGroups(column="a").of([tally("x", 1, 2)]), *DETECT.of([tally("x", 1, 2), tally("original", 2, 2)]))
    names, rows = measure_table(found)
    assert names == ("precision", "recall", "F1")
    assert [name for name, _ in rows] == ["x", "mean"]
    assert [values for _, values in rows] == [pytest.approx((1.0, 0.5, 2 / 3))] * 2
    assert measure_table([]) == ((), [])


def test_what_a_page_measures_rests_on_a_column_that_it_reports_by() -> None:
    for name in benchmark_names():
        page = benchmark(name)
        assert {m.column for m in page.measures} <= set(page.groups), name
    assert benchmark("MVTamperBenchEnd").measures == (DETECT,)


@pytest.mark.parametrize(("name", "column", "value", "groups"), [
    ("NExT-QA", "type", "TP", ("T", "TN")), ("NExT-QA", "type", "CW", ("C", "CW")),
    ("LVBench", "question_type", "['reasoning', 'event understanding']", ("reasoning", "event understanding")),
    ("LVBench", "type", "sport", ("sport",)), ("LVBench", "question_type", "reasoning", ("reasoning",)),
    ("WorldSense", "audio_class", '["Speech", "Music"]', ("Speech", "Music")),
    ("WorldSense", "domain", "[odd", ("[odd",)),
    ("MMBench-Video", "dimensions", "['OCR', 'Counting']", ("OCR", "Counting")),
    ("MVBench", "task_type", "['a']", ("['a']",)),
])  # fmt: skip
def test_a_question_counts_in_each_group_that_its_page_says(
    name: str, column: str, value: str, groups: tuple[str, ...]
) -> None:
    assert benchmark(name).groups_of(column, value) == groups
