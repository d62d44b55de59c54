"""What a file of recorded cases holds.

`{"about", "references", "cases": [...]}`. A case has `id`, `benchmark`, `variant`, `reference`, `expected`, and what
its kind needs, which follows from what is expected:

- prompt (`parts`): the message in order: {"text", "role"}, {"frames": n} (n images of the clip in a row),
  {"video": true}, {"image": path}; `frame_numbers`: the 0-based frames of the clip;
- model text (`text`): what the reference's adapter of `model` makes of the message;
- score (`score`): of one `prediction` to `row`, under `protocol` "videval" or "vlmevalkit";
- rating (`rating`): the reference's whole table for `rows` and `predictions`;
- means (`means`): percentages that the report has to show under these names;
- variants (`names`): published variant names, each of which has to parse to itself;
- unknown: anything else; counted as differing.

`row` (or `rows`) is of the question table, or with `published` of that published file; `files` are written beside it.

Whose prompts a case is about: what its `prompts` says, else those of its `reference` (VLMEvalKit, lmms-eval), if the
benchmark's page has them, else the page's default.

A family's file (`{"family", "cases": {kind: [...]}}`) is about a benchmark that videval does not have yet: its cases
are counted as differing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videval.benchmarks.base import Benchmark
from videval.types import PromptSet

__all__ = ["Case", "NotCases", "Unreadable", "files_in", "prompts_of", "read_cases"]

_KINDS = {
    "parts": "prompt",
    "text": "model text",
    "score": "score",
    "rating": "rating",
    "means": "means",
    "names": "variants",
}
_SETS = {"VLMEvalKit": PromptSet.VLMEVALKIT, "lmms-eval": PromptSet.LMMS_EVAL}


class Unreadable(Exception):
    """A file that is not there or is not JSON."""


class NotCases(Unreadable):
    """A file that holds something else than cases."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One recorded case; `kind` with its protocol if it has one, `family`: of a benchmark that is not here."""

    id: str
    benchmark: str
    kind: str
    body: Mapping[str, Any]
    family: bool = False

    @property
    def expected(self) -> Mapping[str, Any]:
        """What the reference gives."""
        found: Mapping[str, Any] = self.body["expected"]
        return found

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        """The rows that the case is about."""
        found = self.body["rows"] if "rows" in self.body else self.body["row"]
        return list(found) if isinstance(found, list) else [found]


def files_in(path: Path) -> list[Path]:
    """The file itself, or the JSON files of a folder. Raises Unreadable for what is neither."""
    if path.is_dir():
        return sorted(path.glob("*.json"))
    return [path]


def read_cases(file: Path) -> list[Case]:
    """The cases of a file, in order. Raises Unreadable, or NotCases for JSON of another form."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unreadable(f"{file}: cannot be read: {error}") from error
    try:
        return list(_family(found) if "family" in found else _cases(found["cases"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise NotCases(f"{file}: not a file of cases") from error


def prompts_of(case: Case, benchmark: Benchmark) -> PromptSet:
    """Whose wording and frames the case was recorded from."""
    named = case.body.get("prompts") or _SETS.get(case.body.get("reference", ""))
    return benchmark.prompt_set(named if named in benchmark.prompt_sets else None)


def _cases(found: Sequence[Mapping[str, Any]]) -> Iterator[Case]:
    for body in found:
        kind = next((_KINDS[field] for field in _KINDS if field in body["expected"]), "unknown")
        kind += f" ({body['protocol']})" if "protocol" in body else ""
        yield Case(id=body["id"], benchmark=body["benchmark"], kind=kind, body=body)


def _family(found: Mapping[str, Any]) -> Iterator[Case]:
    for kind, bodies in found["cases"].items():
        for number, body in enumerate(bodies):
            name = f"{found['family']}/{kind}/{number}"
            yield Case(id=name, benchmark=found["family"], kind=kind, body=body, family=True)
