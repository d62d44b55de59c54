"""Open answers of the MMMU family: right if the right answer stands in what follows the last `Answer:`."""

from videval.errors import UsageError
from videval.scorers.mmmu import after_answer, contains_answer, read_open
from videval.scorers.options import literal_list, without_thinking
from videval.types import Sample, Score, Verdict

__all__ = ["OpenAnswerScorer"]


class OpenAnswerScorer:
    """Words or numbers by containment, as MMMU publishes it; a sample's answer may be a list of right ones.

    `read` is what was read as the answer. A response that says nothing after its last `Answer:` is unparsed.
    """

    name = "open_answer"
    version = 1

    def score(self, sample: Sample, text: str) -> Score:
        """Score what was said; UsageError if the sample has no answer."""
        answer = (sample.answer or "").strip()
        if not answer:
            raise UsageError(f"sample {sample.id} ({sample.video}): it has no answer to compare with")
        said = after_answer(without_thinking(text))
        if not any(character.isalnum() for character in said):
            return Score(verdict=Verdict.UNPARSED, value=None)
        several = literal_list(answer) if answer.startswith("[") else None
        readings = read_open(said)
        right = contains_answer(readings, [str(one) for one in several or [answer]])
        read = min((r for r in readings if isinstance(r, str) and r.strip()), key=len, default=said)
        return Score(verdict=Verdict.RIGHT if right else Verdict.WRONG, value=float(right), read=read.strip())
