"""How a score is made and how sure it is: pure functions of values, videos and groups.

`kinds.py` has what a page may declare, `metric.py` what each of these is, `tally.py` the sums that they rest on,
`intervals.py` the statistics.
"""

from videval.metrics.intervals import (
    Codes,
    Difference,
    Estimate,
    Floats,
    mcnemar,
    mean_with_interval,
    median,
    paired_difference,
    quantile,
    t_quantile,
)
from videval.metrics.kinds import (
    AllOfGroup,
    Detection,
    GroupMean,
    Mean,
    MeanRelativeAccuracy,
    Rating,
    ShareAbove,
    worth,
)
from videval.metrics.metric import VIDEO, Figure, Metric, Questions, Scored, figure_table
from videval.metrics.tally import Cell, Mask, Tally, tally_of

__all__ = [
    "VIDEO",
    "AllOfGroup",
    "Cell",
    "Codes",
    "Detection",
    "Difference",
    "Estimate",
    "Figure",
    "Floats",
    "GroupMean",
    "Mask",
    "Mean",
    "MeanRelativeAccuracy",
    "Metric",
    "Questions",
    "Rating",
    "Scored",
    "ShareAbove",
    "Tally",
    "figure_table",
    "mcnemar",
    "mean_with_interval",
    "median",
    "paired_difference",
    "quantile",
    "t_quantile",
    "tally_of",
    "worth",
]
