"""What large question files come to, remembered by the hash of their bytes: one that is as it was is not read again to
find its run.

A small file each below the home; whatever is wrong with one, the questions are read.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import overload

from videval import __version__
from videval.benchmarks.table import TableBenchmark
from videval.errors import UsageError
from videval.order import Order
from videval.plain import plain, restored
from videval.runkey import Content, content_of
from videval.settings import Settings
from videval.types import Sample

__all__ = ["with_questions"]

LEAST, MOST = 1000, 100
"""Questions that are worth remembering, since reading fewer takes no time; and files of which it is remembered."""


def with_questions(order: Order, settings: Settings) -> Order:
    """The order with its benchmark's questions, which are not read until somebody looks at them where it is remembered
    what they come to. Raises what reading them raises."""
    load = partial(order.benchmark.load, order.root, order.variant)
    file = order.benchmark.file if isinstance(order.benchmark, TableBenchmark) else None
    name = _name_of(file) if file else None
    if file is None or name is None:
        return replace(order, samples=load())
    path = settings.home_path / "questions" / f"{name}.json"
    if content := _recalled(path):
        return replace(order, samples=_Later(file, content, load), remembered=content)
    read = replace(order, samples=load())
    if len(read.samples) >= LEAST and _name_of(file) == name:  # else it was changed while it was read
        _remember(path, read.content)
    return read


def _name_of(file: Path) -> str | None:
    """The hash of a file as this videval reads it; None of what is no file, or cannot be read."""
    if not file.is_file():  # what is read from a pipe is gone
        return None
    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256")
    except OSError:
        return None
    digest.update(f"{__version__} {file.suffix.casefold()}".encode())
    return digest.hexdigest()


def _recalled(path: Path) -> Content | None:
    try:
        return restored(Content, json.loads(path.read_text(encoding="ascii")))
    except (OSError, ValueError, TypeError, AttributeError):  # not there, damaged, or another videval's
        return None


def _remember(path: Path, content: Content) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    with suppress(OSError):  # a full disk, a home that cannot be written: then it is read again
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(plain(content)), encoding="ascii")
        part.replace(path)
        for old in sorted(path.parent.iterdir(), key=lambda file: -file.stat().st_mtime)[MOST:]:
            old.unlink()


class _Later(Sequence[Sample]):
    """Questions that are read once somebody looks at them; UsageError if they are others by then."""

    def __init__(self, file: Path, content: Content, load: Callable[[], Sequence[Sample]]) -> None:
        self._file = file
        self._content = content
        self._load = load

    @cached_property
    def _samples(self) -> Sequence[Sample]:
        found = self._load()
        if content_of(TableBenchmark.name, found).digest != self._content.digest:
            raise UsageError(f"{self._file} was changed while it was read", hint="the same again")
        return found

    def __len__(self) -> int:
        return self._content.questions

    @overload
    def __getitem__(self, at: int) -> Sample: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Sample]: ...

    def __getitem__(self, at: int | slice) -> Sample | Sequence[Sample]:
        return self._samples[at]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._samples)
