"""VLMEvalKit's rating tables (`get_dimension_rating`) for MVBench, Video-MME and MMBench-Video, as recorded.

Rows are mappings with the benchmark's own columns and `score`. See `vlmevalkit` for where scores come from.
"""

import ast
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from videval.errors import UsageError

__all__ = ["mmbench_video_rating", "mvbench_rating", "videomme_rating"]

Row = Mapping[str, object]


def mvbench_rating(rows: Sequence[Row]) -> dict[str, list[int | str]]:
    """MVBench's table, task -> [correct, total, percent], from rows with `task_type` and `score`.

    As there, every score but 0 counts as correct: failed (-1) and missing (None, NaN) ones too.
    """
    counts: dict[str, list[int]] = {}
    for row in rows:
        count = counts.setdefault(str(row["task_type"]), [0, 0])
        count[0] += row["score"] is None or bool(row["score"])
        count[1] += 1
    counts["overall"] = [sum(c[0] for c in counts.values()), sum(c[1] for c in counts.values())]
    return {task: [right, total, _percent(right, total)] for task, (right, total) in counts.items()}


def _percent(right: int, total: int) -> str:
    return f"{right / total * 100:.2f}%" if total else "nan%"


VIDEOMME_DURATIONS = ("short", "medium", "long")
VIDEOMME_GROUPS: Mapping[str, tuple[str, ...]] = {
    "domain": (
        "Knowledge", "Film & Television", "Sports Competition", "Artistic Performance", "Life Record", "Multilingual",
    ),
    "sub_category": (
        "Humanity & History", "Literature & Art", "Biology & Medicine", "Finance & Commerce", "Astronomy",
        "Geography", "Law", "Life Tip", "Technology", "Animation", "Movie & TV Show", "Documentary", "News Report",
        "Esports", "Basketball", "Football", "Athletics", "Other Sports", "Stage Play", "Magic Show", "Variety Show",
        "Acrobatics", "Handicraft", "Food", "Fashion", "Daily Life", "Travel", "Pet & Animal", "Exercise",
        "Multilingual",
    ),
    "task_type": (
        "Temporal Perception", "Spatial Perception", "Attribute Perception", "Action Recognition",
        "Object Recognition", "OCR Problems", "Counting Problem", "Temporal Reasoning", "Spatial Reasoning",
        "Action Reasoning", "Object Reasoning", "Information Synopsis",
    ),
}  # fmt: skip


def videomme_rating(rows: Sequence[Row]) -> dict[str, dict[str, object]]:
    """Video-MME's table, duration or "overall" -> overall, domain, sub_category, task_type -> mean, 3 decimals.

    Rows have these columns, `duration` and `score`; negative and missing scores are left out. UsageError for a
    name that is not Video-MME's.
    """
    for row in rows:
        _check_names(row, {"duration": VIDEOMME_DURATIONS, **VIDEOMME_GROUPS})
    table = {d: _videomme_part([r for r in rows if r["duration"] == d]) for d in VIDEOMME_DURATIONS}
    return {**table, "overall": _videomme_part(rows)}


def _videomme_part(rows: Sequence[Row]) -> dict[str, object]:
    part: dict[str, object] = {"overall": _mean(_valid(map(_number, (r["score"] for r in rows))), 3)}
    for column, names in VIDEOMME_GROUPS.items():
        scores = {name: [_number(r["score"]) for r in rows if r[column] == name] for name in names}
        part[column] = {name: _mean(_valid(found), 3) for name, found in scores.items()}
    return part


MMBENCH_VIDEO_DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    "CP": ("Video Topic", "Video Emotion", "Video Scene", "Video Style"),
    "FP-S": (
        "OCR", "Object Recognition", "Attribute Recognition", "Event Recognition", "Human Motion", "Counting",
    ),
    "FP-C": ("Spatial Relationship", "Human-object Interaction", "Human Interaction"),
    "HL": ("Hallucination",),
    "LR": ("Structuralized Image-Text Understanding", "Mathematical Calculation"),
    "AR": ("Physical Property", "Function Reasoning", "Identity Reasoning"),
    "RR": ("Natural Relation", "Physical Relation", "Social Relation"),
    "CSR": ("Common Sense Reasoning",),
    "TR": ("Counterfactual Reasoning", "Causal Reasoning", "Future Prediction"),
}  # fmt: skip
_FINE = tuple(name for names in MMBENCH_VIDEO_DIMENSIONS.values() for name in names)
_COARSE: Mapping[str, tuple[str, ...]] = {
    **MMBENCH_VIDEO_DIMENSIONS,
    "Perception": tuple(n for k in ("CP", "FP-C", "FP-S", "HL") for n in MMBENCH_VIDEO_DIMENSIONS[k]),
    "Reasoning": tuple(n for k in ("LR", "AR", "RR", "CSR", "TR") for n in MMBENCH_VIDEO_DIMENSIONS[k]),
    "Overall": _FINE,
}


def mmbench_video_rating(rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    """MMBench-Video's four tables from rows with `dimensions` (a list, or its text) and `score` (0..3, -1 failed).

    `*_all` counts a failed score as 0, `*_valid` leaves it out; a question counts in each of its dimensions.
    """
    scored = [(_dimensions(row), _number(row["score"])) for row in rows]
    fine = {name: [score for names, score in scored for n in names if n == name] for name in _FINE}
    coarse = {key: [s for names, s in scored if set(names) & set(group)] for key, group in _COARSE.items()}
    return {
        "coarse_all": {k: _mean([max(x, 0.0) for x in v], 2) for k, v in coarse.items()},
        "coarse_valid": {k: _mean(_valid(v), 2) for k, v in coarse.items()},
        "fine_all": {k: _mean([max(x, 0.0) for x in v], 2) for k, v in fine.items()},
        "fine_valid": {k: _mean(_valid(v), 2) for k, v in fine.items()},
    }


def _dimensions(row: Row) -> list[str]:
    named = row["dimensions"]
    try:
        names = ast.literal_eval(named) if isinstance(named, str) else named
    except (ValueError, SyntaxError):
        names = None
    if not isinstance(names, list | tuple):
        raise UsageError(f"dimensions {named!r} is not a list of MMBench-Video's dimensions")
    for name in names:
        _check_names({"dimensions": name}, {"dimensions": _FINE})
    return list(names)


def _check_names(row: Row, known: Mapping[str, Sequence[str]]) -> None:
    for column, names in known.items():
        if row[column] not in names:
            raise UsageError(f"{column} {row[column]!r} is not one of this benchmark's: {', '.join(names)}")


def _number(score: object) -> float:
    return float(score) if isinstance(score, int | float | np.number) else math.nan


def _valid(scores: Iterable[float]) -> list[float]:
    return [score for score in scores if score >= 0]


def _mean(scores: Sequence[float], decimals: int) -> str:
    return f"{np.mean(scores):.{decimals}f}" if scores else "nan"
