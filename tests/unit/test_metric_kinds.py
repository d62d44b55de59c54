"""What a page may declare: means, thresholds, ratings, means of groups, whole groups, detection, with intervals."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videval.benchmarks.catalog import benchmark_names, find_benchmark
from videval.metrics import (
    VIDEO,
    AllOfGroup,
    Codes,
    Detection,
    Estimate,
    Figure,
    Floats,
    GroupMean,
    Mask,
    Mean,
    MeanRelativeAccuracy,
    Metric,
    Questions,
    Rating,
    ShareAbove,
    Tally,
    figure_table,
    mean_with_interval,
    tally_of,
    worth,
)


class Made:
    """Scores made for a test: what each question is worth, its video, its groups by column."""

    def __init__(
        self, values: Sequence[float] | Floats, videos: Sequence[int] | Codes, **columns: Sequence[str]
    ) -> None:
        self.values = np.asarray(values, dtype=np.float64)
        self.videos = np.asarray(videos, dtype=np.int64)
        self.labels = columns
        self.columns = tuple(columns)

    def groups(self, column: str) -> list[tuple[str, Mask]]:
        if not column:
            return [("", np.ones(len(self.values), dtype=np.bool_))]
        label = np.asarray(self.labels[column])
        return [(str(name), label == name) for name in np.unique(label)]

    def tally(self, column: str = "", least: float | None = None) -> Tally:
        codes = np.where(self.values == 1, 0, 1)
        return tally_of(worth(self.values, least), codes, self.videos, self.groups(column))

    def questions(self) -> Questions:
        _, unit = np.unique(self.videos, return_inverse=True)
        return Questions(
            values=self.values,
            videos=self.videos,
            groups={column: self.groups(column) for column in self.columns},
            units={VIDEO: (unit, np.bincount(unit))},
        )


def of_counts(counts: dict[str, tuple[int, int]]) -> Made:
    """Questions of their own videos: of each group so many right, of so many."""
    values = [float(i < right) for right, n in counts.values() for i in range(n)]
    return Made(values, range(len(values)), kind=[group for group, (_, n) in counts.items() for _ in range(n)])


def numbers(figures: Sequence[Figure], group: str) -> list[float | None]:
    return [f.estimate.mean for f in figures if f.group == group]


def only(figures: Sequence[Figure]) -> Estimate:
    (figure,) = figures
    return figure.estimate


DETECT = Detection(column="kind", negative="original")


def test_each_kind_is_found_among_all_negatives_and_the_mean_is_over_kinds() -> None:
    found = DETECT.of(of_counts({"dropping": (5, 6), "masking": (4, 6), "original": (2, 6), "rotation": (5, 6)}))
    assert [f.name for f in found[:3]] == ["precision", "recall", "F1"]
    assert numbers(found, "masking") == pytest.approx([4 / 8, 4 / 6, 8 / 14])
    assert numbers(found, "mean")[2] == pytest.approx((10 / 15 + 8 / 14 + 10 / 15) / 3)
    assert {f.group for f in found} == {"dropping", "masking", "rotation", "mean"}


def test_what_has_no_denominator_is_zero_and_all_right_is_one() -> None:
    assert numbers(DETECT.of(of_counts({"masking": (0, 3), "original": (3, 3)})), "masking") == [0.0, 0.0, 0.0]
    assert numbers(DETECT.of(of_counts({"masking": (3, 3), "original": (3, 3)})), "masking") == [1.0, 1.0, 1.0]
    assert numbers(DETECT.of(of_counts({"masking": (3, 3), "original": (0, 3)})), "masking") == [0.5, 1.0, 2 / 3]


@pytest.mark.parametrize("counts", [{}, {"original": (1, 2)}, {"masking": (1, 2), "dropping": (1, 2)}])
def test_nothing_is_detected_before_both_sides_are_scored(counts: dict[str, tuple[int, int]]) -> None:
    assert DETECT.of(of_counts(counts)) == ()


def test_averages_count_groups_or_questions_the_same() -> None:
    made = of_counts({"plotQA": (1, 1), "ego": (0, 3), "summary": (4, 4)})
    (groups,) = GroupMean(column="kind", name="M-Avg").of(made)
    (questions,) = Mean(column="kind", name="all", only=("plotQA", "ego", "count")).of(made)
    assert groups.estimate.mean == pytest.approx(2 / 3)
    assert questions.estimate.mean == 0.25
    assert (groups.about, questions.about) == ("mean of the kind scores", "all questions of 3 kind groups together")
    assert only(Mean(column="kind", only=("count",)).of(made)).mean is None
    assert GroupMean(column="kind").of(of_counts({})) == ()


def test_the_mean_of_the_first_columns_groups_needs_several_that_share_no_question() -> None:
    assert only(GroupMean().of(of_counts({"a": (1, 2), "b": (2, 2)}))).mean == 0.75
    assert GroupMean().of(of_counts({"a": (1, 2)})) == () == GroupMean().of(Made([1, 0], [0, 1]))

    class Twice(Made):
        def groups(self, column: str) -> list[tuple[str, Mask]]:
            return [(name, np.ones(2, dtype=np.bool_)) for name in ("a", "b")] if column else super().groups("")

    twice = Twice([1, 0], [0, 1], kind=["a", "b"])
    assert GroupMean().of(twice) == () and GroupMean().difference(twice.questions(), twice.questions()) is None
    assert only(GroupMean(column="kind").of(twice)).mean == 0.5


def test_a_threshold_counts_what_reaches_it_and_a_rating_says_what_one_stands_for() -> None:
    made = Made([0.2, 0.5, 0.7, 1.0], range(4))
    (share,) = ShareAbove(0.5).of(made)
    assert (share.name, share.estimate.mean, share.top) == ("share of at least 0.5", 0.75, None)
    (rating,) = Rating(top=3.0).of(made)
    assert (rating.about, rating.top) == ("mean rating of 0 to 3", 3.0)
    assert rating.estimate.mean == pytest.approx(0.6)
    assert MeanRelativeAccuracy().of(made)[0].name == "MRA"
    assert ShareAbove(0.5).difference(made.questions(), Made([0.9, 0.6, 0.7, 0.1], range(4)).questions()) is not None


@pytest.mark.parametrize(("power", "worth_of"), [(np.inf, [1.0, 0.0]), (2.0, [1.0, 0.25])])
def test_a_whole_group_is_worth_its_share_to_a_power(power: float, worth_of: list[float]) -> None:
    made = Made([1, 1, 1, 0], [0, 0, 1, 1])
    found = only(AllOfGroup(power=power).of(made))
    assert (found.mean, found.n, found.clusters) == (sum(worth_of) / 2, 2, 2)
    assert found == mean_with_interval(worth_of, ["a", "b"])


def test_a_group_of_which_a_question_is_not_scored_does_not_count() -> None:
    made = Made([1, 1, 0], [0, 0, 1]).questions()
    units = {VIDEO: (made.units[VIDEO][0], np.array([2, 4]))}
    half = Questions(values=made.values, videos=made.videos, groups={}, units=units)

    class Half(Made):
        def questions(self) -> Questions:
            return half

    found = only(AllOfGroup().of(Half([], [])))
    assert (found.mean, found.n) == (1.0, 1)
    difference = AllOfGroup().difference(half, half)
    assert difference is not None and (difference.mean, difference.n) == (0.0, 1)


ROWS = st.lists(st.tuples(st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 6), st.sampled_from("abc")), min_size=1)


@given(ROWS)
def test_sums_give_the_interval_that_the_values_give(rows: list[tuple[float, int, str]]) -> None:
    values, videos = np.array([v for v, _, _ in rows]), np.array([c for _, c, _ in rows])
    found, wanted = only(Mean().of(Made(values, videos))), mean_with_interval(values, videos)
    assert (found.n, found.clusters) == (wanted.n, wanted.clusters)
    assert [found.mean, found.low, found.high] == pytest.approx([wanted.mean, wanted.low, wanted.high], rel=1e-9)


@given(ROWS)
def test_tallies_of_different_videos_add_up_and_take_away(rows: list[tuple[float, int, str]]) -> None:
    def made(some: list[tuple[float, int, str]]) -> Tally:
        found = Made([v for v, _, _ in some], [c for _, c, _ in some], kind=[g for _, _, g in some]).tally("kind")
        return Tally.from_json(json.loads(json.dumps(found.to_json())))

    odd, even, both = made([r for r in rows if r[1] % 2]), made([r for r in rows if not r[1] % 2]), made(rows)
    whole = odd.plus(even)
    assert (whole.videos, set(whole.cells), set(whole.pairs)) == (both.videos, set(both.cells), set(both.pairs))
    assert all(whole.pairs[names] == pytest.approx(both.pairs[names]) for names in both.pairs)
    nothing = both.plus(odd, -1).plus(even, -1)
    assert nothing == Tally()


def drawn(seed: int) -> Made:
    """Groups of unlike rates and sizes, in videos of unlike difficulty that have questions of two groups each."""
    random = np.random.default_rng(seed)
    hard = random.uniform(-0.25, 0.25, size=40)
    rows = [
        (float(random.random() < rate + hard[video]), video, group)
        for video in range(40)
        for group, rate, count in (("a", 0.7, 3), ("b" if video % 2 else "original", 0.4, 2))
        for _ in range(count)
    ]
    return Made([v for v, _, _ in rows], [c for _, c, _ in rows], kind=[g for _, _, g in rows])


@pytest.mark.parametrize(("metric", "truth"), [
    (GroupMean(), 0.5),
    (Mean(column="kind", only=("a", "b")), 0.625),
    (Detection(column="kind", negative="original"), 84 / 108),
])  # fmt: skip
def test_an_interval_covers_the_truth_about_as_often_as_it_says(metric: Metric, truth: float) -> None:
    found = [metric.of(drawn(seed))[0].estimate for seed in range(200)]
    covered = sum(e.low is not None and e.high is not None and e.low <= truth <= e.high for e in found)
    assert 0.9 <= covered / 200 <= 1.0


def test_the_difference_of_group_means_is_paired() -> None:
    a, b = drawn(1), drawn(1)
    b.values = np.where(np.arange(len(b.values)) % 7 == 0, 0.0, b.values)
    found = GroupMean().difference(a.questions(), b.questions())
    means = [only(GroupMean().of(made)).mean or 0.0 for made in (a, b)]
    assert found is not None and found.low is not None and found.high is not None and found.mean is not None
    assert found.mean == pytest.approx(means[0] - means[1])
    assert 0 < found.low < found.mean < found.high
    assert GroupMean().difference(a.questions(), b.questions()) == found, "seeded"


def test_figures_of_groups_are_a_table_and_those_of_the_run_are_none_of_it() -> None:
    made = of_counts({"x": (1, 2), "original": (2, 2)})
    names, rows = figure_table((*GroupMean().of(made), *DETECT.of(made)))
    assert names == ("precision", "recall", "F1")
    assert [(group, [f and f.estimate.mean for f in found]) for group, found in rows] == [
        ("x", [1.0, 0.5, pytest.approx(2 / 3)]),
        ("mean", [1.0, 0.5, pytest.approx(2 / 3)]),
    ]
    assert figure_table([]) == ((), [])


def test_what_a_page_declares_rests_on_a_column_that_it_reports_by() -> None:
    for name in benchmark_names():
        page = find_benchmark(name)
        assert {m.column for m in page.metrics} <= {"", VIDEO, *page.groups}, name
    assert Detection(column="tamper_type", negative="original") in find_benchmark("MVTamperBenchEnd").metrics


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
    assert find_benchmark(name).groups_of(column, value) == groups
