"""Video-MMMU as VLMEvalKit scores and rates it: the rules of MMMU on what follows the last `Answer:`.

Source: its `videommmu.py`. As its functions compute it in memory: through its default xlsx file the list of readings
becomes a text there, and no open answer is right.
"""

from collections.abc import Sequence

from videval.scorers.mmmu import after_answer, contains_answer, read_multiple_choice, read_open
from videval.scorers.options import literal_list
from videval.scorers.vlmevalkit.infer import lettered
from videval.scorers.vlmevalkit.tables import Row, number
from videval.types import Sample
from videval.words import FAIL_MSG

__all__ = ["videommmu_rating", "videommmu_score"]


def videommmu_score(sample: Sample, text: str | None) -> int:
    """1 right, 0 wrong, -1 where nothing follows the last `Answer:`, which is left out of the table."""
    said = after_answer(FAIL_MSG if text is None else text)
    if said in ("", "API Error"):
        return -1
    kind, answer = sample.row.get("question_type"), sample.answer or ""
    if kind == "multiple-choice":
        options = [str(option) for option in literal_list(str(sample.row.get("options") or "")) or ()]
        return int(read_multiple_choice(said, lettered(options)) == answer)
    return int(kind != "perception" and contains_answer(read_open(said), [answer]))


def videommmu_rating(rows: Sequence[Row]) -> dict[str, dict[str, float | None]]:
    """Category -> total, hit, acc (percent), and Overall over all questions."""
    scored = [row for row in rows if number(row["score"]) >= 0]
    categories = dict.fromkeys(str(row["category"]) for row in scored)
    table = {name: _counted([row for row in scored if str(row["category"]) == name]) for name in categories}
    return {**table, "Overall": _counted(scored)}


def _counted(rows: Sequence[Row]) -> dict[str, float | None]:
    hits = sum(number(row["score"]) for row in rows)
    return {"total": len(rows), "hit": hits, "acc": hits / len(rows) * 100 if rows else None}
