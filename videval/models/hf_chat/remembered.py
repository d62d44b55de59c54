"""A video or image processor that makes the pixels of a clip once for all questions about it."""

from collections.abc import Callable, Hashable, Mapping
from copy import copy, deepcopy
from typing import Any

__all__ = ["Check", "Remembered"]

Check = Callable[[Any, Mapping[str, Any]], None]


class Remembered:
    """Stands in for a processor's `video_processor` or `image_processor`, and remembers what it made last.

    Whoever asks says first, by `show`, what it will be shown and how: the same again is not made again. Only the last
    is kept, as the questions about one clip come one after another, and pixels are large.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._key: Hashable = None
        self._made: list[Any] = []
        self._calls = 0
        self._check: Check | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "_processor":
            raise AttributeError(name)  # of a copy, before it has any
        return getattr(self._processor, name)

    def show(self, what: Hashable, check: Check | None = None) -> bool:
        """Say what it is shown next (None: nothing that is known); whether it has made that already.

        `check` is called before it is made, with the processor and all that this is told.
        """
        self._check = check
        if what is None or what != self._key:
            self._key, self._made = what, []
        self._calls = 0
        return bool(self._made)

    def __call__(self, *given: Any, **told: Any) -> Any:
        """As the processor; a copy, as callers add to it and take from it, of the same tensors.

        One that is called several times for a prompt makes something else each time.
        """
        if self._calls == len(self._made):
            if self._check is not None:
                self._check(self._processor, told)
            self._made.append(self._processor(*given, **told))
        self._calls += 1
        return _copied(self._made[self._calls - 1])


def _copied(made: Any) -> Any:
    """A shallow copy, but of the metadata, which processors extend in place."""
    again = copy(made)
    again.data = {name: deepcopy(value) if name == "video_metadata" else value for name, value in _items(made)}
    return again


def _items(made: Any) -> Any:
    data: Mapping[str, Any] = made.data
    return data.items()
