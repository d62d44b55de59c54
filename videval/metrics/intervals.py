"""Intervals of scores, and of differences between two runs: pure functions of numbers.

Questions about one video are not independent of each other, so every interval is clustered by video.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

__all__ = [
    "Codes",
    "Difference",
    "Estimate",
    "Floats",
    "interval",
    "mcnemar",
    "mean_with_interval",
    "median",
    "numbered",
    "paired_difference",
    "quantile",
    "resampled_difference",
    "t_quantile",
]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
_Z = 1.959963984540054
_CONFIDENCE = 0.975
RESAMPLES, FEWEST = 2000, 200
DRAWS = 40_000_000
"""Numbers that a bootstrap draws at most: a few seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number in 0..1 with its 95 % interval, of `n` values in `clusters` clusters; None where there are no values."""

    mean: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The mean of a - b over the same questions with its 95 % interval; see `Estimate`."""

    mean: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int


def interval(value: float, *, clustered: float, independent: float, n: int, clusters: int) -> Estimate:
    """A number in 0..1 that is a smooth function of sums, with its 95 % interval.

    A Wilson interval with the effective sample size m(1-m)/variance, where the variance is the cluster-robust one
    with factor G/(G-1), at least that of independent values, and t with G-1 degrees of freedom stands for z
    (Korn and Graubard 1998; Franco, Little, Louis and Slud 2019). Where nothing varies, or there is one cluster
    only, the clusters count as the sample, so that even an all-right score has a width.
    """
    value = min(max(value, 0.0), 1.0)  # sums of fractions may be off by their last bit
    varies = clusters > 1 and independent > 0 and 0 < value < 1
    size = value * (1 - value) / max(clustered, independent) if varies else float(clusters)
    low, high = _wilson(value, size, t_quantile(clusters - 1) if varies else _Z)
    return Estimate(mean=value, low=min(low, value), high=max(high, value), n=n, clusters=clusters)


def mean_with_interval(values: Sequence[float] | Floats, clusters: Sequence[str] | Codes) -> Estimate:
    """Mean of values in 0..1 with its `interval`: one cluster (video) per value.

    Clusters are names, or for millions of values an array of numbers from 0.
    ValueError: lengths differ, or a value lies outside of 0..1.
    """
    codes, count = numbered(values, clusters)
    if count == 0:
        return Estimate(mean=None, low=None, high=None, n=0, clusters=0)
    worth = np.asarray(values, dtype=np.float64)
    if not np.all((worth >= 0) & (worth <= 1)):
        raise ValueError("a value lies outside of 0..1")
    n, mean = len(worth), float(worth.mean())
    residuals = np.bincount(codes, weights=worth - mean)
    return interval(
        mean,
        clustered=count / max(count - 1, 1) * float(residuals @ residuals) / n**2,
        independent=0.0 if np.all(worth == worth[0]) else float(worth.var(ddof=1)) / n,
        n=n,
        clusters=count,
    )


def numbered(values: Sequence[float] | Floats, clusters: Sequence[str] | Codes) -> tuple[Codes, int]:
    """A number from 0 for each value's cluster, and how many clusters there are; ValueError if lengths differ."""
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values but {len(clusters)} clusters")
    if not len(values):
        return np.zeros(0, dtype=np.int64), 0
    if isinstance(clusters, np.ndarray):
        return clusters, int(np.count_nonzero(np.bincount(clusters)))
    names, codes = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    return codes, len(names)


def _wilson(mean: float, size: float, z: float) -> tuple[float, float]:
    """Wilson (1927): the score interval of a proportion."""
    weight = z * z / size
    centre = (mean + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(mean * (1 - mean) / size + weight / (4 * size))
    return max(0.0, centre - half), min(1.0, centre + half)


def t_quantile(degrees: int) -> float:
    """The 97.5 % point of Student's t, exact to 1e-9 up to 500 degrees of freedom.

    Bisection on the closed form for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4); beyond, the
    expansion around the normal (26.7.5), whose error is below 1e-9 there.
    """
    return _t_exact(degrees) if degrees <= 500 else _t_expanded(degrees)


@cache
def _t_exact(degrees: int) -> float:
    low, high = 1.0, 13.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_inside(middle, degrees) < 2 * _CONFIDENCE - 1 else (low, middle)
    return (low + high) / 2


def _t_inside(t: float, degrees: int) -> float:
    """The probability that |T| < t."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine = math.cos(angle) ** 2
    odd = degrees % 2
    term = total = math.cos(angle) if odd else 1.0
    for k in range(2 if odd else 1, degrees - 2, 2):
        term *= cosine * k / (k + 1)
        total += term
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total * (degrees > 1))
    return math.sin(angle) * total


def _t_expanded(degrees: int) -> float:
    z = _Z
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def paired_difference(
    a: Sequence[float] | Floats, b: Sequence[float] | Floats, clusters: Sequence[str] | Codes, *, seed: int = 0
) -> Difference:
    """Mean of a - b, question by question, with the interval of `resampled_difference`. ValueError: lengths differ."""
    if len(a) != len(b):
        raise ValueError(f"{len(a)} scores of a but {len(b)} of b")
    codes, count = numbered(a, clusters)
    if count == 0:
        return Difference(mean=None, low=None, high=None, n=0, clusters=0)
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    _, codes = np.unique(codes, return_inverse=True)
    parts = np.stack([np.bincount(codes, weights=differences), np.bincount(codes).astype(np.float64)], axis=1)
    return resampled_difference(parts, _ratio, n=len(differences), seed=seed)


def _ratio(sums: Floats) -> float:
    return float(sums[0] / sums[1])


def resampled_difference(parts: Floats, value: Callable[[Floats], float], *, n: int, seed: int = 0) -> Difference:
    """What `value` makes of the sums of `parts` [clusters, k]: first half differences, second half counts.

    With a 95 % percentile interval of a bootstrap that draws whole clusters (Efron 1979), fewer times where there are
    very many. Seeded, so the same scores give the same interval. Where all clusters agree there is nothing to draw
    from: then the interval is what a share could still be of which none was seen in so many clusters (Wilson's bound).
    low and high are None for a single cluster.
    """
    count = len(parts)
    mean = value(parts.sum(axis=0))
    low, high = (None, None) if count == 1 else _ends(parts, value, mean, np.random.default_rng(seed))
    return Difference(mean=mean, low=low, high=high, n=n, clusters=count)


def _ends(
    parts: Floats, value: Callable[[Floats], float], mean: float, random: np.random.Generator
) -> tuple[float, float]:
    count, width = parts.shape
    sums, sizes = parts[:, : width // 2], parts[:, width // 2 :]
    if np.allclose(sums, mean * sizes):
        unseen = _Z**2 / (count + _Z**2)
        return max(-1.0, mean - unseen), min(1.0, mean + unseen)
    times = max(FEWEST, min(RESAMPLES, DRAWS // (count * width // 2)))
    drawn = (random.integers(count, size=count) for _ in range(times))  # one by one, to keep memory small
    found = np.array([value(parts[chosen].sum(axis=0)) for chosen in drawn], dtype=np.float64)
    low, high = np.quantile(found, [1 - _CONFIDENCE, _CONFIDENCE])
    return float(low), float(high)


def mcnemar(b: int, c: int) -> float:
    """Exact two-sided p-value that two runs are equally good: `b` only the first got right, `c` only the second.

    The sign test on the b + c questions they disagree on (McNemar 1947, exact binomial form); 1.0 if there are none.
    """
    if b < 0 or c < 0:
        raise ValueError("counts cannot be negative")
    total, term, tail = b + c, 1, 0
    for k in range(min(b, c) + 1):
        tail += term
        term = term * (total - k) // (k + 1)
    return min(1.0, 2 * tail / (1 << total)) if total else 1.0


def median(values: Sequence[float]) -> float | None:
    """The middle value, or None of no values."""
    return quantile(values, 0.5)


def quantile(values: Sequence[float], q: float) -> float | None:
    """The value below which a part `q` (0..1) lies, interpolated; None of no values."""
    return float(np.quantile(np.asarray(values, dtype=np.float64), q)) if len(values) else None
