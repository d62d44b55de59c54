"""What a cell that lists options says: `["a", "b"]`, `['a', 'b']`, `['a' 'b']` as numpy writes it, `{"A": "a", ...}`.

Nothing is executed, texts and numbers come back as they are written there, and what could be read in two ways is
refused.
"""

import ast
import json
import re
import warnings
from functools import lru_cache
from string import ascii_uppercase

from videval.benchmarks.prompts import literal_list

__all__ = ["read_options"]

_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])"
_ITEM = re.compile(rf"(?:np\.str_\()?u?(?P<text>{_QUOTED})\)?|(?P<number>{_NUMBER})", re.DOTALL)
_BETWEEN = re.compile(r"\s*[,:]?\s*")
_ARRAY = re.compile(r"(?:np\.|numpy\.)?array\(\s*(\[.*\])\s*(?:,\s*dtype=[^()\[\]]*)?\)", re.DOTALL)
_BRACKETS = {"[": "]", "(": ")", "{": "}"}


@lru_cache(maxsize=1024)  # of many questions the options are the same
def read_options(cell: str) -> tuple[str, ...]:
    """The options that a cell lists; ValueError says why it lists none ("are not a list: ...")."""
    array = _ARRAY.fullmatch(cell.strip())
    text = array[1] if array else cell.strip()
    scanned = _scan(text[1:-1].strip()) if text and text[-1] == _BRACKETS.get(text[0]) else None
    if scanned is None:
        raise ValueError(_why_not(text))
    items, between = scanned
    if text[0] == "(" and not any("," in gap for gap in between):
        raise ValueError(_why_not(text))
    options = _values(items, between) if text[0] == "{" else _listed(items, between)
    empty = [option for option in options if not option.strip()]
    if empty:
        raise ValueError(f"hold {empty[0]!r}, which is not text")
    return options


def _scan(body: str) -> tuple[list[str], list[str]] | None:
    """The texts and numbers between two brackets, and what stands between them; None if anything else is there."""
    items, between, at = [], [], 0
    while found := _ITEM.match(body, at):
        items.append(found["number"] or _unquoted(found["text"]))
        gap = _BETWEEN.match(body, found.end())
        between.append(gap[0] if gap else "")
        at = found.end() + len(between[-1])
    return (items, between[:-1]) if at == len(body) else None


def _unquoted(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    if token[0] == '"':
        try:
            return str(json.loads(token, strict=False))
        except ValueError:
            pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a stray backslash in a literal is no news
        return str(ast.literal_eval(token.replace("\n", "\\n").replace("\r", "\\r")))


def _listed(items: list[str], between: list[str]) -> tuple[str, ...]:
    """A list's items. Either there are commas between all of them or, from numpy, white space only."""
    if any(gap.strip() != "," for gap in between) and not all(gap and gap.isspace() for gap in between):
        at = next(i for i, gap in enumerate(between) if gap.strip() != ",")
        raise ValueError(f"lack a comma between {items[at]!r} and {items[at + 1]!r}")
    return tuple(items)


def _values(items: list[str], between: list[str]) -> tuple[str, ...]:
    """An object's values, whose keys are A, B, C or 0, 1, 2 or 1, 2, 3."""
    keys = [key.strip().upper() for key in items[::2]]
    pairs = [gap.strip() for gap in between] == [":", ","] * (len(items) // 2 - 1) + [":"]
    orders = (list(ascii_uppercase), [str(i) for i in range(27)], [str(i) for i in range(1, 28)])
    if not pairs or not any(sorted(keys, key=_natural) == order[: len(keys)] for order in orders):
        raise ValueError(f"are not a list but an object whose keys are not A, B, C: {items[::2][:6]!r}")
    return tuple(value for _, value in sorted(zip(keys, items[1::2], strict=True), key=lambda pair: _natural(pair[0])))


def _natural(key: str) -> tuple[int, str]:
    return len(key), key


def _why_not(text: str) -> str:
    for item in literal_list(text) or ():
        if not isinstance(item, str | int | float) or isinstance(item, bool):
            return f"hold {item!r}, which is not text"
    if "..." in text:
        return f"are not whole, what stood at '...' is lost: {text[:60]!r}"
    return f'are not a list: {text[:60]!r}; write ["one", "two"]'
