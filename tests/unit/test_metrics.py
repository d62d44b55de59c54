"""Means, intervals and differences, against known values and against what they promise."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videval.metrics import (
    mcnemar,
    mean_with_interval,
    median,
    paired_difference,
    quantile,
    t_quantile,
)


def names(count: int, each: int = 1) -> list[str]:
    return [f"v{i // each}" for i in range(count)]


def test_no_values_give_no_numbers() -> None:
    nothing = mean_with_interval([], [])
    assert (nothing.mean, nothing.low, nothing.high, nothing.n, nothing.clusters) == (None, None, None, 0, 0)
    assert paired_difference([], [], []).mean is None
    assert median([]) is quantile([], 0.9) is None


def test_lengths_that_differ_and_values_out_of_bounds_are_errors() -> None:
    with pytest.raises(ValueError, match="2 values but 1 clusters"):
        mean_with_interval([1, 0], ["a"])
    with pytest.raises(ValueError, match=r"outside of 0\.\.1"):
        mean_with_interval([2.0], ["a"])
    with pytest.raises(ValueError, match="outside"):
        mean_with_interval([math.nan], ["a"])
    with pytest.raises(ValueError, match="2 scores of a but 1 of b"):
        paired_difference([1, 0], [1], ["a", "b"])
    with pytest.raises(ValueError, match="negative"):
        mcnemar(-1, 2)


def test_all_right_has_a_width_that_shrinks_with_videos_not_with_questions() -> None:
    few, many, crowded = (mean_with_interval([1] * n, names(n, each)) for n, each in ((10, 1), (100, 1), (100, 10)))
    assert few.high == many.high == 1.0
    assert few.low == pytest.approx(0.7225, abs=1e-4)
    assert crowded.low == few.low
    assert few.low is not None and many.low is not None and few.low < many.low < 1.0


def test_independent_questions_give_wilsons_interval_with_t() -> None:
    estimate = mean_with_interval([1, 0] * 50, names(100))
    size = 0.25 / (0.25 * 100 / 99 / 100)
    z2 = t_quantile(99) ** 2
    half = t_quantile(99) / (1 + z2 / size) * math.sqrt(0.25 / size + z2 / (4 * size**2))
    assert estimate.low == pytest.approx(0.5 - half)
    assert estimate.high == pytest.approx(0.5 + half)


def test_videos_that_are_right_or_wrong_as_a_whole_widen_the_interval() -> None:
    mixed, whole = (mean_with_interval(v, names(100, 10)) for v in ([1, 0] * 50, [1] * 50 + [0] * 50))
    assert mixed.mean == whole.mean == 0.5
    assert _width(whole) > 2.5 * _width(mixed)


def _width(estimate: Any) -> float:
    return float(estimate.high - estimate.low)


def test_a_single_video_counts_as_one_question() -> None:
    one = mean_with_interval([1, 0, 1, 0], ["a"] * 4)
    assert (one.n, one.clusters) == (4, 1)
    assert _width(one) > 0.85


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from("abcdef")), min_size=1))
def test_the_interval_holds_the_mean_and_is_never_empty(rows: list[tuple[float, str]]) -> None:
    estimate = mean_with_interval([v for v, _ in rows], [c for _, c in rows])
    assert estimate.low is not None and estimate.mean is not None and estimate.high is not None
    assert 0 <= estimate.low <= estimate.mean <= estimate.high <= 1
    assert estimate.low < estimate.high


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        rates = random.beta(4, 2, size=30)
        values = (random.random((30, 5)) < rates[:, None]).ravel().astype(float)
        estimate = mean_with_interval(values.tolist(), names(150, 5))
        assert estimate.low is not None and estimate.high is not None
        covered += estimate.low <= 4 / 6 <= estimate.high
    assert 0.92 <= covered / 400 <= 0.99


@pytest.mark.parametrize(
    ("degrees", "value"),
    [
        (1, 12.7062047),
        (2, 4.3026527),
        (3, 3.1824463),
        (9, 2.2621572),
        (30, 2.0422725),
        (100, 1.9839715),
        (1000, 1.9623391),
    ],
)
def test_t_quantiles_are_those_of_the_tables(degrees: int, value: float) -> None:
    assert t_quantile(degrees) == pytest.approx(value, abs=1e-7)


def test_the_expansion_meets_the_exact_quantile() -> None:
    assert t_quantile(500) - t_quantile(501) == pytest.approx(9.5e-6, rel=0.05)


def test_a_difference_is_paired_and_seeded() -> None:
    a, b = [1, 1, 0, 1] * 25, [0, 1, 0, 1] * 25
    first, again = (paired_difference(a, b, names(100)) for _ in range(2))
    assert first == again
    assert first.mean == 0.25
    assert first.low is not None and first.high is not None
    assert 0.15 < first.low < 0.2 and 0.3 < first.high < 0.36
    swapped = paired_difference(b, a, names(100))
    assert swapped.mean == -0.25


def test_runs_that_agree_everywhere_are_not_proven_equal() -> None:
    same = paired_difference([1, 0, 1], [1, 0, 1], names(3))
    assert same.mean == 0.0
    assert same.low == pytest.approx(-0.5615, abs=1e-4) and same.high == pytest.approx(0.5615, abs=1e-4)


def test_one_video_has_no_interval_of_a_difference() -> None:
    one = paired_difference([1, 0], [0, 0], ["a", "a"])
    assert (one.mean, one.low, one.high) == (0.5, None, None)


@pytest.mark.parametrize(
    ("b", "c", "p"), [(0, 0, 1.0), (0, 5, 0.0625), (3, 9, 0.14599609375), (5, 5, 1.0), (100, 150, 0.00188330093507616)]
)
def test_mcnemar_is_the_exact_binomial(b: int, c: int, p: float) -> None:
    assert mcnemar(b, c) == mcnemar(c, b) == pytest.approx(p, rel=1e-12)


def test_mcnemar_takes_counts_beyond_floats() -> None:
    assert mcnemar(3000, 3100) == pytest.approx(0.2049495446515585, rel=1e-9)
    assert mcnemar(0, 5000) == 0.0


def test_median_and_quantiles_interpolate() -> None:
    assert median([3, 1, 2]) == 2.0
    assert median([1, 2]) == 1.5
    assert quantile([0, 10], 0.9) == pytest.approx(9.0)


@pytest.mark.parametrize("seed", range(20))
def test_numbered_clusters_give_the_interval_of_named_ones(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 400))
    values = random.choice([0.0, 1.0, 0.5] if seed % 2 else [0.0, 1.0], size=n)
    if seed % 5 == 0:
        values[:] = 1.0
    clusters = random.integers(0, max(1, n // 4), size=n)
    wanted = mean_with_interval(values.tolist(), [str(c) for c in clusters])
    found = mean_with_interval(values, clusters)
    assert (found.n, found.clusters) == (wanted.n, wanted.clusters)
    assert [found.mean, found.low, found.high] == pytest.approx([wanted.mean, wanted.low, wanted.high])


def test_no_values_of_numbered_clusters_have_no_interval() -> None:
    found = mean_with_interval(np.zeros(0), np.zeros(0, dtype=np.int64))
    assert (found.mean, found.low, found.high, found.n) == (None, None, None, 0)
