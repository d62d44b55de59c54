"""One response to all questions of a video, taken apart into one answer for each.

`strict` is VLMEvalKit's own rule, to the character; the tolerant reader takes what a person could read and never
completes what was cut off.
"""

from videval.packs.matching import read_pack
from videval.packs.strict import pack_statistics, robust_json_load, strict_answers
from videval.packs.tolerant import parse_tolerant

__all__ = ["pack_statistics", "parse_pack_answer", "read_pack", "strict_answers"]


def parse_pack_answer(raw: str | None, *, strict: bool = False) -> dict[str, str] | None:
    """Question key -> answer text, or None if nothing can be read; never raises.

    `strict`: exactly what VLMEvalKit's `robust_json_load(raw.strip())` gives, where a value may also be a list, a
    dict, a number or None (a NaN is the text "nan"). Else values are texts; a key such as I12 or "Question 12" is
    "12", a list has the keys "0", "1", ..., and plain text is the answer "0". `read_pack` knows the questions and
    says how each was read.
    """
    if raw is None:
        return None
    return robust_json_load(raw.strip()) if strict else parse_tolerant(raw)
