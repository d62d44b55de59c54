"""Reads what was meant as a JSON object or list, in whatever quotes, and stops where the text was cut off.

JSON is tried first at every brace. What is not JSON is read by one rule: a quote ends a text only if what follows
could follow a text (a comma and the next key, a closing brace, the end). So apostrophes, quotes and commas inside an
answer stay in it, and a last value whose quote never comes is left out, not guessed.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

__all__ = ["Broken", "Container", "read_container"]

_DEPTH = 12

_CLOSERS = {'"': '"”“', "'": "'’‘", "“": '”"', "‘": "’'", "`": "`'"}
_MARKS = {opener: re.compile(rf"\\.|[{closers}]|,", re.DOTALL) for opener, closers in _CLOSERS.items()}
_QUOTED_KEY = r"""["'“‘`](?:(?!["'”’`]\s*[,}\]\n])[^\n]){1,300}?["'”’`]\s*[:：]"""
_NUMBERED_KEY = r"""(?:[A-Za-z]{1,8}[ _]?)?\d{1,9}\s*[:：]"""
_BARE_KEY = r"""\w[\w .#-]{0,40}?\s*[:：]"""
_CUT_KEY = r"""["'“‘`]?(?:[A-Za-z]?|[Qq]uestion ?|[Aa]nswer ?|[Ii]ndex ?)\d{0,9}["'”’`]?\s*$"""
_CUT_BARE = r"""["'“‘`][^\n"'“”‘’]{0,40}["'”’`]?\s*$"""
_SEPARATORS = re.compile(r"[\s,;]*")
_SPACE = re.compile(r"\s*")
_KEY = re.compile(rf"(?P<quoted>{_QUOTED_KEY})|(?P<bare>{_BARE_KEY})")
_TEXT_ENDS = re.compile(rf"\s*(?:$|\}}|,\s*(?:\}}|{_QUOTED_KEY}|{_NUMBERED_KEY}|{_CUT_KEY})|\n\s*{_QUOTED_KEY})")
_TEXT_ENDS_BEFORE_BARE = re.compile(rf"\s*(?:$|\}}|,\s*(?:\}}|{_BARE_KEY}|{_CUT_KEY})|\n\s*{_BARE_KEY})")
_ITEM_ENDS = re.compile(r"""\s*(?:$|\]|[,\n]\s*(?:$|["'“‘`{\[\]]))""")
_LIST_STARTS = re.compile(r"""\[\s*["'“‘`{]""")
_MISSING_QUOTE = re.compile(r"""\s*,\s*(["'])(?:[A-Za-z]{1,8}[ _]?)?\d{1,9}\1\s*:\s*["'{\[]""")
_KEY_AT_END = re.compile(r"""["'“‘`]?[\w .#-]{0,40}["'”’`]?\s*$""")
_BARE_ENDS = re.compile(rf"\s*(?:,\s*(?:\}}|{_QUOTED_KEY}|{_NUMBERED_KEY}|{_CUT_BARE})|\n|\}})")
_BARE_ITEM_ENDS = re.compile(r"\s*[,\]\n]")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_ESCAPE = re.compile(r"""\\(?:u([0-9a-fA-F]{4})|(.))""", re.DOTALL)


class Broken(Exception):
    """What stands here is not an object or list at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """An object (dict) or list as it was read from text[start:end].

    `is_json`: it is JSON as it stands; `cut`: the text ends inside it, and what was cut is left out.
    """

    value: dict[str, Any] | list[Any]
    start: int
    end: int
    is_json: bool
    cut: bool


def read_container(text: str, start: int) -> Container:
    """The object or list that begins at `text[start]`; Broken if there is none."""
    try:
        value, end = _JSON.raw_decode(text, start)
        return Container(value=value, start=start, end=end, is_json=True, cut=False)
    except (ValueError, RecursionError):
        if text[start] == "[" and not _LIST_STARTS.match(text, start):
            raise Broken from None
        reader = _Reader(text, start)
        value = reader.value_at(depth=0, ends=_TEXT_ENDS)
        return Container(value=value, start=start, end=reader.at, is_json=False, cut=reader.cut)


_JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


class _Cut(Exception):
    """The text ends inside a value."""


class _Reader:
    """A place in a text; `cut` once the text has ended inside a container."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at
        self.cut = False

    def value_at(self, *, depth: int, ends: re.Pattern[str]) -> Any:
        """The value that begins here; _Cut if it does not end."""
        here = self.text[self.at : self.at + 1]
        if depth > _DEPTH:
            raise Broken
        if here == "{":
            return self.object_at(depth)
        if here == "[":
            return self.list_at(depth)
        if here in _CLOSERS:
            return self.text_at(here, ends)
        return self.bare_at(_BARE_ITEM_ENDS if ends is _ITEM_ENDS else _BARE_ENDS)

    def object_at(self, depth: int) -> dict[str, Any]:
        """Key and value pairs up to the closing brace or to where the text was cut."""
        self.at += 1
        pairs: dict[str, Any] = {}
        while not self.closes("}"):
            key = _KEY.match(self.text, self.at)
            if key is None:
                return self.give_up(pairs)
            self.at = key.end()
            self.skip_space(commas=False)
            name = _unescaped(key[0].rstrip(":： \t\r\n").strip("\"'“”‘’` "))
            ends = _TEXT_ENDS if key["quoted"] or _is_numbered(key[0]) else _TEXT_ENDS_BEFORE_BARE
            try:
                value = self.value_at(depth=depth + 1, ends=ends)
            except _Cut:
                break
            if not (self.cut and _is_numbered(key[0].lstrip("\"'“‘`"))):
                pairs[name] = value
        return pairs

    def list_at(self, depth: int) -> list[Any]:
        """Items up to the closing bracket or to where the text was cut."""
        self.at += 1
        items: list[Any] = []
        while not self.closes("]"):
            try:
                item = self.value_at(depth=depth + 1, ends=_ITEM_ENDS)
            except _Cut:
                break
            if item or not self.cut:
                items.append(item)
        return items

    def closes(self, mark: str) -> bool:
        """Step over white space and commas, and over the closing mark if it is there; true at the end as well."""
        self.skip_space(commas=True)
        if self.at >= len(self.text):
            self.cut = True
            return True
        if self.text[self.at] != mark:
            return self.cut
        self.at += 1
        return True

    def give_up(self, pairs: dict[str, Any]) -> dict[str, Any]:
        """Neither a key nor the end: what was read so far stands if there is any."""
        if not pairs:
            raise Broken
        if _KEY_AT_END.match(self.text, self.at):
            self.cut = True
            self.at = len(self.text)
        return pairs

    def skip_space(self, *, commas: bool) -> None:
        """Step over white space, and over separators if `commas`."""
        found = (_SEPARATORS if commas else _SPACE).match(self.text, self.at)
        self.at = found.end() if found else self.at

    def text_at(self, opener: str, ends: re.Pattern[str]) -> str:
        """A quoted text up to the first quote that can end it; _Cut if there is none."""
        start = self.at = self.at + 1
        closers = _CLOSERS[opener]
        for mark in _MARKS[opener].finditer(self.text, start):
            at, after = mark.span()
            if mark[0] == "," and ends is not _ITEM_ENDS and _MISSING_QUOTE.match(self.text, at):
                self.at = at
                return _unescaped(self.text[start:at])
            if mark[0] in closers and ends.match(self.text, after):
                self.at = after
                return _unescaped(self.text[start:at])
        raise self.cut_here()

    def bare_at(self, ends: re.Pattern[str]) -> str | None:
        """A value without quotes; None for null. _Cut if it runs to the end of the text."""
        found = ends.search(self.text, self.at)
        if found is None:
            raise self.cut_here()
        value = self.text[self.at : found.start()].strip(" \t\r\n,")
        if not value and found[0].strip() in ("", ","):
            raise Broken
        self.at = found.start()
        return None if value in ("null", "None", "") else value

    def cut_here(self) -> _Cut:
        self.cut = True
        self.at = len(self.text)
        return _Cut()


def _is_numbered(key: str) -> bool:
    return re.match(r"(?:[A-Za-z]{1,8}[ _]?)?\d{1,9}\W", key) is not None


def _unescaped(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else _ESCAPES.get(found[2], found[2])

    joined = _ESCAPE.sub(plain, text)
    return joined.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") if "\\u" in text else joined
