"""VLMEvalKit's rule for pack answers and its statistics (MMBench-Video), as tests/golden/pack.json records them.

Source of the rule: `robust_json_load` and `load_pack_answers` of VLMEvalKit's mmbench_video.py, 2026.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from videval.words import FAIL_MSG

__all__ = ["StrictAnswers", "pack_statistics", "robust_json_load", "strict_answers"]

_DECODER = json.JSONDecoder()


def robust_json_load(text: str) -> dict[str, str] | None:
    """The only JSON object of a text; else, if it has one brace, its `key: value` lines; else None.

    A line is cut at each ": ", the second piece is the value, and commas and quotes are taken off either end.
    """
    objects = _json_objects(text)
    if objects is not None and len(objects) == 1:
        return cast(dict[str, str], _readable_nan(objects[0]))
    return _key_value_lines(text) if text.count("{") == 1 else None


def _json_objects(text: str) -> list[Any] | None:
    """Every JSON object of a text from left to right; None if one is nested too deeply to be read."""
    found = []
    start = text.find("{")
    while start >= 0:
        try:
            value, end = _DECODER.raw_decode(text, start)
            found.append(value)
        except ValueError:
            end = start + 1
        except RecursionError:
            return None
        start = text.find("{", end)
    return found


def _key_value_lines(text: str) -> dict[str, str]:
    found = {}
    for line in text.partition("{")[2].strip().split("\n"):
        pieces = [piece.strip().strip(",\"'") for piece in line.strip().split(": ")]
        if len(pieces) > 1 and pieces[0] and pieces[1]:
            found[pieces[0]] = pieces[1]
    return found


def _readable_nan(value: Any) -> Any:
    try:
        return _nan_as_text(value)
    except RecursionError:
        return value


def _nan_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nan_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_nan_as_text(item) for item in value]
    return "nan" if isinstance(value, float) and value != value else value


@dataclass(frozen=True, kw_only=True, slots=True)
class StrictAnswers:
    """What VLMEvalKit's `load_pack_answers` gives: one prediction for each question in order, and its statistics.

    `statistics` has PARSE_OK, PARSE_FAIL and GEN_FAIL (videos, only those that occur), VALIDQ and INVALIDQ
    (questions).
    """

    predictions: tuple[Any, ...]
    statistics: Mapping[str, int]


def strict_answers(packs: Iterable[tuple[str | None, Sequence[str]]]) -> StrictAnswers:
    """Read each pack, (raw response, its questions' ids), by the strict rule; a raw None is a failed request."""
    statistics: dict[str, int] = {}
    predictions: list[Any] = []
    for raw, sample_ids in packs:
        outcome, answers = _strict_outcome(raw)
        statistics[outcome] = statistics.get(outcome, 0) + 1
        predictions += [answers.get(sample_id) for sample_id in sample_ids]
    valid = sum(p is not None for p in predictions)
    statistics |= {"VALIDQ": valid, "INVALIDQ": len(predictions) - valid}
    return StrictAnswers(predictions=tuple(predictions), statistics=statistics)


def _strict_outcome(raw: str | None) -> tuple[str, Mapping[str, Any]]:
    if raw is None or FAIL_MSG in raw:
        return "GEN_FAIL", {}
    answers = robust_json_load(raw.strip())
    return ("PARSE_FAIL", {}) if answers is None else ("PARSE_OK", answers)


def pack_statistics(packs: Iterable[tuple[str | None, Sequence[str]]]) -> Mapping[str, int]:
    """The numbers that VLMEvalKit prints after reading all packs; see `StrictAnswers`."""
    return strict_answers(packs).statistics
