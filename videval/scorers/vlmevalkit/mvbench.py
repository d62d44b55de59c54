"""MVBench, MVTamperBench and MLVU as VLMEvalKit scores and rates them: an option by its first word, else inferred.

Source: its `mvbench.py`, `tamperbench.py` and `mlvu.py`. A failed request (None) is the text that VLMEvalKit stores.
"""

from collections.abc import Sequence

from videval.errors import UsageError
from videval.scorers.vlmevalkit.infer import answer_among, can_infer, lettered
from videval.scorers.vlmevalkit.tables import Row, percent_table, rounded_table
from videval.types import Sample
from videval.words import FAIL_MSG

__all__ = [
    "check_ans",
    "check_ans_with_model_none",
    "mlvu_rating",
    "mlvu_score",
    "mvbench_rating",
    "mvbench_score",
    "tamperbench_rating",
]

_MLVU_TASKS = ("plotQA", "needle", "ego", "count", "order", "anomaly_reco", "topic_reasoning")


def check_ans(prediction: str, answer: str) -> bool:
    """MVBench's rule: the first word of the prediction lies in that of the answer "(B) the cup", or the other way.

    So "", ".", "(" and ")" are right. Raises IndexError, as there, when the answer has no text after its letter.
    """
    said = prediction.lower().strip().split(" ")[0]
    option, *content = answer.lower().strip().split(" ")
    _ = " ".join(content)[-1]
    return said.replace(".", "") in option or option in said


def check_ans_with_model_none(
    prediction: str, answer: str, candidates: Sequence[str], letter: str | None = None
) -> bool:
    """`check_ans`, else what `can_infer` reads is `letter`: how MVBench is scored when there is no judge.

    `letter` is that of the answer by default: B of "(B) the cup".
    """
    if check_ans(prediction, answer):
        return True
    return can_infer(prediction, lettered(candidates)) == (answer[1:2] if letter is None else letter)


def mvbench_score(sample: Sample, text: str | None) -> int:
    """1 right, 0 wrong, -1 failed. UsageError where VLMEvalKit itself would crash."""
    if text is None or FAIL_MSG in text:
        return -1
    answer, letter = answer_among(sample)
    try:
        return int(check_ans_with_model_none(text, answer, sample.candidates, letter))
    except IndexError:
        raise UsageError(f"sample {sample.id}: VLMEvalKit's MVBench rule has no score for an empty answer") from None


def mvbench_rating(rows: Sequence[Row]) -> dict[str, list[int | str]]:
    """MVBench's table, task -> [correct, total, percent], from rows with `task_type` and `score`.

    As there, every score but 0 counts as correct: failed (-1) and missing (None, NaN) ones too.
    """
    return percent_table(rows, "task_type")


def tamperbench_rating(rows: Sequence[Row]) -> dict[str, list[int | str]]:
    """MVTamperBench's table: MVBench's by task, by kind of tampering, and by both, under one `overall`."""
    columns = ("task_type", "tamper_type", "task_tamper_type")
    return {name: counts for column in columns for name, counts in percent_table(rows, column).items()}


def mlvu_score(sample: Sample, text: str | None) -> int | None:
    """1 right, 0 wrong, -1 failed, None for the free-text tasks, which a judge scores.

    The character before the first ")" or the whole text is compared with the answer's letter, then the rest is
    inferred.
    """
    if sample.row.get("task_type") not in _MLVU_TASKS:
        return None
    if text is None or FAIL_MSG in text:
        return -1
    answer, letter = answer_among(sample)
    end = text.find(")")
    said = text if end < 0 else text[:end][-1:]
    return int(said == answer[1:2] or can_infer(text, lettered(sample.candidates)) == letter)


def mlvu_rating(rows: Sequence[Row]) -> dict[str, list[float]]:
    """MLVU's table, task -> [right, all, percent]; M-Avg is over all questions of the seven tasks with options.

    As there, a failed request takes 1 from what is right. The free-text tasks (G-Avg) need a judge and are left out.
    """
    scored = [row for row in rows if row["score"] is not None]
    average = [{"task_type": "M-Avg", "score": row["score"]} for row in scored]
    return rounded_table([*scored, *average], ("task_type",), decimals=1)
