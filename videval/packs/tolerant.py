"""Finds the answers in whatever form a model gave them: objects, a list, lines, or plain text.

`read_entries` keeps the keys as they were written and says which form was found; which question a key means is
decided in `matching`, where the questions are known.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from videval.packs.objects import Broken, Container, read_container
from videval.words import FAIL_MSG

__all__ = ["Entries", "KeyStyle", "is_answer", "parse_tolerant", "plain_key", "read_entries"]


class KeyStyle(Enum):
    """How the answers of one response name their questions."""

    KEY = "key"
    PREFIXED = "I-keys"
    NUMBERED = "numbered"
    POSITION = "list"
    PLAIN = "plain"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entries:
    """The answers of one response by the keys as written; `form` says how they were read.

    `cut`: the response ended inside an answer, which was left out.
    """

    answers: Mapping[str, str]
    style: KeyStyle
    form: str
    cut: bool = False


_PREFIX = r"(?:I|Q|A|No\.?|Question|Answer|Index|Item)"
_PREFIXED_KEY = re.compile(rf"\s*{_PREFIX}[\s_#.-]*(\d{{1,9}})\s*", re.IGNORECASE)
_NUMBER_KEY = re.compile(r"\s*#?\s*(\d{1,9})\s*")
_PLACEHOLDER = re.compile(r"\s*Answer to Question I?\d+\s*", re.IGNORECASE)
_THINK = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_THINK_OPEN = re.compile(r"<(?:think|thinking|reasoning)>", re.IGNORECASE)
_THINK_CLOSE = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)
_FENCE = re.compile(r"```[\w-]*")
_WRAPPERS = ("answers", "answer", "results", "result", "responses", "response", "output", "data", "predictions")
_ID_FIELDS = ("index", "id", "key", "question_id", "question_index", "question_number", "number")
_TEXT_FIELDS = ("answer", "response", "prediction", "text", "value")
_LINE = re.compile(
    rf"""[ \t]*(?:[-*+•>]\s+)?\|?[ \t]*[*_]{{0,2}}\(?["'`]?
        (?P<key>(?:{_PREFIX}[ \t_#.-]*)?\d{{1,9}})["'`]?[*_]{{0,2}}
        [ \t]*(?P<mark>[:：=|]|[.)\]](?=\s)|\s[-–](?=\s+\D))(?!\d)[*_]{{0,2}}[ \t]*(?P<value>.*)""",
    re.VERBOSE | re.IGNORECASE,
)
_INLINE = re.compile(rf"(?<![\w]){_PREFIX}[ _#]?\d{{1,9}}\s*[:：=]", re.IGNORECASE)
_INLINE_NUMBER = re.compile(r"[,;]\s*(?=\d{1,9}\s*[:：]\s)")
_ANSWER_LINE = re.compile(r"\A.*?^\s*[*_]{0,2}(?:Answer|A)[*_]{0,2}\s*[:：][*_]{0,2}\s*", re.DOTALL | re.MULTILINE)
_BODY_WITHOUT_BRACE = re.compile(r"""^\s*["'][\w ]{1,40}["']\s*:""", re.MULTILINE)
_MAX_STARTS = 200


def parse_tolerant(raw: str) -> dict[str, str] | None:
    """`parse_pack_answer` in its default mode."""
    entries = read_entries(raw)
    return None if entries is None else {plain_key(key): text for key, text in entries.answers.items()}


def plain_key(key: str) -> str:
    """The number in a key such as I12 or "Question 12"; any other key as it stands."""
    found = _PREFIXED_KEY.fullmatch(key) or _NUMBER_KEY.fullmatch(key)
    return found[1] if found else key


def is_answer(text: str) -> bool:
    """Whether a text says anything: not blank, not a failure message, not the prompt's own example."""
    return bool(text.strip()) and FAIL_MSG not in text and not _PLACEHOLDER.fullmatch(text)


def read_entries(raw: str) -> Entries | None:
    """The answers in a response, or None if it has none that can be told apart; never raises."""
    try:
        return _read_entries(raw)
    except RecursionError:
        return None


def _read_entries(raw: str) -> Entries | None:
    whole = _containers(raw.strip())
    if len(whole) == 1 and whole[0].is_json and whole[0].end == len(raw.strip()) and whole[0].start == 0:
        return _from_objects(whole) or _from_lists(whole)
    text = _said(raw)
    if not re.search(r"\w", text):
        return None
    containers = _containers(text)
    numbered = [c for c in containers if isinstance(c.value, dict) and _has_numbers(_unwrapped(c.value))]
    lines = _from_lines(text)
    return (
        _from_objects(numbered)
        or _from_body(text)
        or _from_lists([c for c in containers if c.start == 0])
        or (lines if lines and len(lines.answers) > 1 else None)
        or _from_objects(containers)
        or _from_lists(containers)
        or lines
        or _plain(text)
    )


def _said(raw: str) -> str:
    """What was said, without what was thought before and without fences."""
    text = _THINK_CLOSE.split(_THINK.sub("", raw))[-1]
    text = _THINK_OPEN.split(text)[0]
    return _FENCE.sub("\n", text).strip()


def _containers(text: str) -> list[Container]:
    """The outermost objects and lists from left to right."""
    found: list[Container] = []
    at = 0
    for _ in range(_MAX_STARTS):
        start = re.compile(r"[{\[]").search(text, at)
        if start is None:
            break
        try:
            found.append(read_container(text, start.start()))
            at = max(found[-1].end, start.end())
        except Broken:
            at = start.end()
    return found


def _from_objects(containers: list[Container]) -> Entries | None:
    """All objects as one; of two answers to a question the later one counts."""
    objects = [c for c in containers if isinstance(c.value, dict)]
    merged: dict[str, Any] = {}
    for container in objects:
        merged |= _as_dict(_unwrapped(container.value))
    return _keyed(merged, objects) if objects else None


def _from_lists(containers: list[Container]) -> Entries | None:
    """The last list: answers in the questions' order, or objects that each name their question."""
    lists = [c for c in containers if isinstance(c.value, list) and c.value]
    if not lists:
        return None
    value = _unwrapped(lists[-1].value)
    if isinstance(value, dict):
        return _keyed(value, [lists[-1]])
    answers = {str(i): _as_text(item) for i, item in enumerate(value)}
    return Entries(answers=_answers(answers), style=KeyStyle.POSITION, form="list", cut=lists[-1].cut)


def _keyed(found: Mapping[str, Any], used: list[Container]) -> Entries | None:
    cut = any(c.cut for c in used)
    if not found and (cut or not all(c.is_json for c in used)):
        return None
    form = "json" if all(c.is_json for c in used) else "json repaired"
    answers = {key: _as_text(value) for key, value in found.items() if value is not None}
    return Entries(answers=_answers(answers), style=_style(answers), form=form, cut=cut)


def _answers(found: Mapping[str, str]) -> dict[str, str]:
    """Without failure messages and the prompt's own examples."""
    return {k: v for k, v in found.items() if FAIL_MSG not in v and not _PLACEHOLDER.fullmatch(v)}


def _style(keys: Mapping[str, Any]) -> KeyStyle:
    return KeyStyle.PREFIXED if any(_PREFIXED_KEY.fullmatch(key) for key in keys) else KeyStyle.KEY


def _has_numbers(value: Any) -> bool:
    return isinstance(value, dict) and any(plain_key(key).isdigit() for key in value)


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {str(i): item for i, item in enumerate(value)}


def _unwrapped(value: Any) -> Any:
    """The answers inside {"answers": ...} and of a list of objects; else the value as it stands."""
    if isinstance(value, list):
        return _joined(value) or value
    if _has_numbers(value):
        return value
    for key, inner in value.items():
        if isinstance(inner, dict | list) and inner:
            opened = _unwrapped(inner)
            if _has_numbers(opened) or key.strip().casefold() in _WRAPPERS:
                return opened
    return value


def _joined(items: list[Any]) -> dict[str, Any] | None:
    """[{"id": 0, "answer": "a"}, ...] and [{"0": "a"}, {"1": "b"}] as one object."""
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    joined: dict[str, Any] = {}
    for item in items:
        name, text = _field(item, _ID_FIELDS), _field(item, _TEXT_FIELDS)
        if name is not None and text is not None:
            joined[str(name)] = text
        elif _has_numbers(item):
            joined |= item
        elif name is None:
            return None
    return joined


def _field(item: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    folded = {key.strip().casefold(): value for key, value in item.items()}
    return next((folded[name] for name in names if name in folded), None)


def _as_text(value: Any) -> str:
    """A value as one text: a list's items with commas, an object's answer, or its pairs."""
    if isinstance(value, list):
        return ", ".join(_as_text(item) for item in value)
    if isinstance(value, dict):
        answer = _field(value, _TEXT_FIELDS)
        if answer is not None:
            return _as_text(answer)
        return ", ".join(f"{key}: {_as_text(item)}" for key, item in value.items())
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _from_body(text: str) -> Entries | None:
    """`"0": "a", "1": "b"`: an object whose opening brace is missing."""
    start = _BODY_WITHOUT_BRACE.search(text)
    if start is None:
        return None
    try:
        return _from_objects([read_container("{" + text[start.start() :], 0)])
    except Broken:
        return None


def _from_lines(text: str) -> Entries | None:
    """`0: a` or `1. a`, a line for each, or `I1: a, I2: b` in one line."""
    if len(_INLINE.findall(text)) > 1:
        text = _INLINE.sub(lambda found: "\n" + found[0], text)
    elif "\n" not in text:
        text = _INLINE_NUMBER.sub("\n", text)
    answers: dict[str, list[str]] = {}
    current: list[str] = []
    marks = set()
    for line in text.split("\n"):
        if found := _LINE.fullmatch(line):
            current = answers[found["key"]] = [found["value"]]
            marks.add(found["mark"])
        elif not line.strip() and current != [""]:
            current = []
        else:
            current.append(line)
    if not answers:
        return None
    texts = _answers({key: _line_value(lines) for key, lines in answers.items()})
    style = KeyStyle.NUMBERED if marks <= {".", ")", "]"} and _style(texts) is KeyStyle.KEY else _style(texts)
    return Entries(answers=texts, style=style, form="lines")


def _line_value(lines: list[str]) -> str:
    text = _ANSWER_LINE.sub("", "\n".join(lines), count=1).strip().rstrip(",;|").strip()
    for mark in ("**", "__", '"', "'", "`"):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            text = text[len(mark) : -len(mark)].strip()
    return text


def _plain(text: str) -> Entries | None:
    """The text itself, unless it began an object of which nothing is left."""
    if re.search(r"""^\s*[{\[]|\{\s*["'“‘]?(?:I|Q)?\d{1,9}["'”’]?\s*:""", text) or FAIL_MSG in text:
        return None
    return Entries(answers={"0": text}, style=KeyStyle.PLAIN, form="plain")
