"""Samples that are kept in a file once they are many, so that a million take no more memory than a thousand."""

import json
import os
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from tempfile import TemporaryFile, gettempdir
from typing import overload

from videval.errors import EnvironmentProblem
from videval.plain import plain, restored
from videval.types import Sample

__all__ = ["IN_MEMORY", "SamplesOnDisk", "kept"]

IN_MEMORY = 100_000
"""Samples that are kept in memory: about a kilobyte each."""
_BESIDE = frozenset(("clips", "images", "sounds"))


def kept(samples: Iterable[Sample]) -> Sequence[Sample]:
    """The same samples, to be gone through as often as one likes; EnvironmentProblem if there is no room for them."""
    rest = iter(samples)
    few = list(islice(rest, IN_MEMORY))
    more = next(rest, None)
    return few if more is None else SamplesOnDisk(chain(few, (more,), rest))


class SamplesOnDisk(Sequence[Sample]):
    """Samples in a file without a name, which is gone with them; each is made when it is looked at."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._file = TemporaryFile(buffering=1 << 20)  # noqa: SIM115 (as long as this list)
        weakref.finalize(self, self._file.close)
        self._ends = array("Q", [0])
        for sample in samples:
            line = json.dumps(plain(sample)).encode()
            self._ends.append(self._ends[-1] + len(line))
            self._write(line)
        self._flush()

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> Sample: ...

    @overload
    def __getitem__(self, at: slice) -> list[Sample]: ...

    def __getitem__(self, at: int | slice) -> Sample | list[Sample]:
        places = range(len(self))[at]
        return self._at(places) if isinstance(places, int) else [self._at(place) for place in places]

    def __iter__(self) -> Iterator[Sample]:
        return map(self._at, range(len(self)))

    def _at(self, place: int) -> Sample:
        start, end = self._ends[place], self._ends[place + 1]
        return _sample(os.pread(self._file.fileno(), end - start, start))

    def _write(self, line: bytes) -> None:
        try:
            self._file.write(line)
        except OSError as error:
            raise _no_room(error) from error

    def _flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            raise _no_room(error) from error


def _sample(line: bytes) -> Sample:
    found = json.loads(line)
    if not _BESIDE.isdisjoint(found):
        return restored(Sample, found)
    found["candidates"] = tuple(found.get("candidates", ()))  # nearly every question, and five times as fast
    return Sample(**found)


def _no_room(error: OSError) -> EnvironmentProblem:
    where = gettempdir()
    return EnvironmentProblem(f"no room in {where} for questions: {error.strerror}", hint="TMPDIR=FOLDER, a larger one")
