"""The interval of `videval.metrics.mean_with_interval` for arrays with one cluster number per value.

The same formulas (a test holds them equal) without turning a million clusters into texts first.
"""

import math

import numpy as np
import numpy.typing as npt

from videval.metrics import Estimate, t_quantile

__all__ = ["Codes", "Floats", "estimate"]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
_Z = 1.959963984540054


def estimate(values: Floats, clusters: Codes) -> Estimate:
    """Mean of values in 0..1 with its 95 % interval, clustered by `clusters` (0-based numbers, one per value)."""
    n = len(values)
    if n == 0:
        return Estimate(mean=None, low=None, high=None, n=0, clusters=0)
    sizes = np.bincount(clusters).astype(np.float64)
    sums = np.bincount(clusters, weights=values)
    mean, count = float(values.mean()), int(np.count_nonzero(sizes))
    size, z = float(count), _Z
    if count > 1 and not np.all(values == values[0]):
        residuals = sums - sizes * mean
        clustered = count / (count - 1) * float(residuals @ residuals) / n**2
        independent = float(values.var(ddof=1)) / n
        size, z = mean * (1 - mean) / max(clustered, independent), t_quantile(count - 1)
    low, high = _wilson(mean, size, z)
    return Estimate(mean=mean, low=min(low, mean), high=max(high, mean), n=n, clusters=count)


def _wilson(mean: float, size: float, z: float) -> tuple[float, float]:
    weight = z * z / size
    centre = (mean + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(mean * (1 - mean) / size + weight / (4 * size))
    return max(0.0, centre - half), min(1.0, centre + half)
