"""Reads JSON lines: the object of each line, and its values as they are written there."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["JsonText", "Text", "as_written", "read_objects"]

Text = Callable[[], Iterator[str]]
"""The lines of a text, each with its end, from the first one on whenever it is called."""

_DECODER = json.JSONDecoder()
_COLON = re.compile(r"\s*:\s*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


class JsonText(str):
    """A list or an object as its JSON text."""

    __slots__ = ()


def read_objects(text: Text, problems: list[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Each line's number, text and object; what cannot be read is added to `problems`."""
    if _is_one_list(text):
        problems.append("line 1: the whole file is a list, not an object a line -> jq -c '.[]' OLD > NEW.jsonl")
        return
    for number, ended in enumerate(text(), start=1):
        line = ended.rstrip("\r\n")
        if line.strip():
            try:
                yield number, line, _object(line)
            except json.JSONDecodeError as error:
                problems.append(f"line {number}: no JSON at character {error.colno}: {error.msg}")
                if line.strip() == "{":
                    problems[-1] += "; one object stands on one line -> jq -c . OLD > NEW.jsonl"
                    return
            except (ValueError, RecursionError) as error:
                problems.append(f"line {number}: {error}")


def _is_one_list(text: Text) -> bool:
    first = next((line for line in text() if line.strip()), "")
    try:
        return first.lstrip()[:1] == "[" and isinstance(json.loads("".join(text())), list)
    except (ValueError, RecursionError):
        return False


def _object(line: str) -> dict[str, Any]:
    found = json.loads(line, object_pairs_hook=_without_repeats, parse_constant=_refuse)
    if not isinstance(found, dict):
        raise ValueError(f"a {type(found).__name__}, not an object with video and question")
    return found


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = next(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
        raise ValueError(f"the key {repeated!r} is there twice")
    return found


def as_written(line: str, found: dict[str, Any]) -> dict[str, Any]:
    """The values of a line's object: a list or an object as its JSON text, a number as a number only if Python would
    write it as it stands (1.5, but not 1.50)."""
    if not any(isinstance(value, float | list | dict) for value in found.values()):
        return found
    texts = _texts(line)
    return {name: _as_written(value, texts[name]) for name, value in found.items()}


def _as_written(value: Any, text: str) -> Any:
    if isinstance(value, list | dict):
        return JsonText(_STRING.sub(_plain, text) if "\\u" in text else text)
    if isinstance(value, float) and math.isfinite(value) and repr(value) != text:
        return text
    return value


def _plain(string: re.Match[str]) -> str:
    return json.dumps(json.loads(string[0]), ensure_ascii=False)


def _texts(line: str) -> dict[str, str]:
    """The text of each value of the one object on a line, which is known to be JSON."""
    texts, end = {}, 0
    while (start := line.find('"', end)) >= 0:
        name, end = _DECODER.raw_decode(line, start)
        colon = _COLON.match(line, end)
        start = colon.end() if colon else end
        _, end = _DECODER.raw_decode(line, start)
        texts[name] = line[start:end]
    return texts
