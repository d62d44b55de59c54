"""MMBench-Video's rating tables as VLMEvalKit makes them of a judge's scores.

Source: its `mmbench_video.py`, as recorded in tests/golden/scoring.json.
"""

from collections.abc import Mapping, Sequence

from videval.errors import UsageError
from videval.scorers.options import literal_list
from videval.scorers.vlmevalkit.tables import Row, check_names, mean, number, valid

__all__ = ["mmbench_video_rating"]

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
    scored = [(_dimensions(row), number(row["score"])) for row in rows]
    fine = {name: [score for names, score in scored for n in names if n == name] for name in _FINE}
    coarse = {key: [s for names, s in scored if set(names) & set(group)] for key, group in _COARSE.items()}
    return {
        "coarse_all": {k: mean([max(x, 0.0) for x in v], 2) for k, v in coarse.items()},
        "coarse_valid": {k: mean(valid(v), 2) for k, v in coarse.items()},
        "fine_all": {k: mean([max(x, 0.0) for x in v], 2) for k, v in fine.items()},
        "fine_valid": {k: mean(valid(v), 2) for k, v in fine.items()},
    }


def _dimensions(row: Row) -> list[str]:
    named = row["dimensions"]
    names = literal_list(named) if isinstance(named, str) else named
    if not isinstance(names, list | tuple):
        raise UsageError(f"dimensions {named!r} is not a list of MMBench-Video's dimensions")
    check_names({"dimensions": names}, {"dimensions": _FINE})
    return list(names)
