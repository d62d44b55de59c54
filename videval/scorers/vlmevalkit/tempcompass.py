"""TempCompass as VLMEvalKit scores and rates it without a judge: answers in exactly the forms that its rules know.

Source: its `tempcompass.py`, which has the rules of the benchmark's own `eval_*.py`. What fits no rule is 0 there;
captioning is left out, since only a judge scores it. White space around an answer makes it fit none, as there.
"""

from collections.abc import Sequence

from videval.scorers.options import literal_list
from videval.scorers.vlmevalkit.tables import Row, rounded_table
from videval.types import Sample
from videval.words import FAIL_MSG

__all__ = ["tempcompass_rating", "tempcompass_score"]


def tempcompass_score(sample: Sample, text: str | None) -> int | None:
    """1 right, 0 wrong or not readable by rule, None for captioning."""
    said, answer = FAIL_MSG if text is None else text, sample.answer or ""
    match sample.row.get("task_type"):
        case "multi-choice":
            return _multi_choice(said, answer)
        case "caption_matching":
            options = literal_list(str(sample.row.get("candidates") or "")) or sample.candidates
            return _caption_matching(said, answer, [str(option) for option in options])
        case "yes_no":
            return _yes_no(said, answer)
    return None


def _multi_choice(said: str, answer: str) -> int:
    """The whole option, its letter alone, or a text that begins with "A." or "A)"."""
    is_letter = said in tuple("ABCD") or (said[:1] in tuple("ABCD") and said[1:2] in (".", ")"))
    return int(said == answer or (is_letter and said[0] == answer[:1]))


def _caption_matching(said: str, answer: str, options: Sequence[str]) -> int:
    """The whole option, its sentence (also after the first ") "), its head ("Caption A") or its mark ("A")."""
    parts = [option.split(": ") for option in options]
    heads = [head for head, *_ in parts]
    sentences = [part[1] for part in parts if len(part) > 1]
    read = None
    read = said if said in options else read
    after = said.split(") ")[1] if ") " in said else said
    read = next((s for s in reversed(sentences) if s in (said, after)), read)
    read = next((h for h in reversed([*heads, *map(_mark, heads)]) if h in (said, said.replace(".", ""))), read)
    return int(read is not None and read in _readings(answer))


def _mark(head: str) -> str:
    for word in ("Sentence ", "Option ", "Caption "):
        head = head.replace(word, "")
    return head


def _readings(answer: str) -> tuple[str, ...]:
    head, *sentence = answer.split(": ")
    return (answer, answer.split(":")[0], *sentence[:1], *head.split()[1:2])


def _yes_no(said: str, answer: str) -> int:
    """What the text begins with, in any case: so "Yesterday" is yes and "nothing" is no."""
    said = said.lower()
    read = next((word for word in ("yes", "no") if said.startswith(word)), None)
    return int(read == answer)


def tempcompass_rating(rows: Sequence[Row]) -> dict[str, list[float]]:
    """ "dim. form", then dim, form and `overall` -> [right, all, percent]."""
    scored = [{**row, "overall": "overall"} for row in rows if row["score"] is not None]
    columns = (("dim", "task_type"), ("dim",), ("task_type",), ("overall",))
    return {k: v for chosen in columns for k, v in rounded_table(scored, chosen, decimals=2).items()}
