"""A video or image processor that makes the pixels of a clip once for all questions about it."""

from collections.abc import Hashable, Mapping
from copy import copy, deepcopy
from typing import Any

__all__ = ["Remembered"]


class Remembered:
    """Stands in for a processor's `video_processor` or `image_processor`, and remembers what it made last.

    Whoever calls it says first, in `showing`, what it will be shown and how: the same again is not made again. Only the
    last is kept, as the questions about one clip come one after another, and pixels are large.
    """

    def __init__(self, processor: Any) -> None:
        self.showing: Hashable = None
        self._processor = processor
        self._key: Hashable = None
        self._made: Any = None

    def __getattr__(self, name: str) -> Any:
        if name == "_processor":
            raise AttributeError(name)  # of a copy, before it has any
        return getattr(self._processor, name)

    @property
    def knows(self) -> bool:
        """Whether what is in `showing` is what it made last."""
        return self.showing is not None and self.showing == self._key

    def __call__(self, *given: Any, **told: Any) -> Any:
        """As the processor; a copy, as callers add to it and take from it, of the same tensors."""
        if not self.knows:
            self._made, self._key = self._processor(*given, **told), self.showing
        return _copied(self._made)


def _copied(made: Any) -> Any:
    """A shallow copy, but of the metadata, which processors extend in place."""
    again = copy(made)
    again.data = {name: deepcopy(value) if name == "video_metadata" else value for name, value in _items(made)}
    return again


def _items(made: Any) -> Any:
    data: Mapping[str, Any] = made.data
    return data.items()
