from videval.report.arrived import frames_lost
from videval.report.book import ScoreBook
from videval.report.card import run_card
from videval.report.comparing import (
    CardDifference,
    Comparison,
    GroupDifference,
    MetricDifference,
    card_differences,
    compare,
)
from videval.report.details import Moment, TimeSpent, failed_videos, failures, time_spent, timeline
from videval.report.endpoints import (
    BUDGET,
    ended_in_words,
    endpoint_cost,
    endpoint_in_words,
    endpoint_trouble,
    endpoints_asked,
    of_limit,
)
from videval.report.index import SampleIndex, group_columns, index_columns, load_index, load_verdicts
from videval.report.published import Outcome, Reproduction
from videval.report.rating import vlmevalkit_rating
from videval.report.scores import GroupScore, Point, ScoreReport, converging, metric_rows, score_report
from videval.report.spent import Spent, WorkerTime, spent_of_run
from videval.report.status import RunStatus, busy_share, heard_workers, run_status, run_statuses
from videval.report.sums import fold, fold_all
from videval.report.used import halted_in_words, is_paid, used_in_words

__all__ = [
    "BUDGET",
    "CardDifference",
    "Comparison",
    "GroupDifference",
    "GroupScore",
    "MetricDifference",
    "Moment",
    "Outcome",
    "Point",
    "Reproduction",
    "RunStatus",
    "SampleIndex",
    "ScoreBook",
    "ScoreReport",
    "Spent",
    "TimeSpent",
    "WorkerTime",
    "busy_share",
    "card_differences",
    "compare",
    "converging",
    "ended_in_words",
    "endpoint_cost",
    "endpoint_in_words",
    "endpoint_trouble",
    "endpoints_asked",
    "failed_videos",
    "failures",
    "fold",
    "fold_all",
    "frames_lost",
    "group_columns",
    "halted_in_words",
    "heard_workers",
    "index_columns",
    "is_paid",
    "load_index",
    "load_verdicts",
    "metric_rows",
    "of_limit",
    "run_card",
    "run_status",
    "run_statuses",
    "score_report",
    "spent_of_run",
    "time_spent",
    "timeline",
    "used_in_words",
    "vlmevalkit_rating",
]
