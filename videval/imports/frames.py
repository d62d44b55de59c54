"""What a pickle of pandas and numpy says, as plain columns: arrays, scalars and tables out of the notes of `pickles`.

pandas is not asked, so that a table can be read whichever version of it wrote the file.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from videval.imports.pickles import Made, Name, RefusedPickle
from videval.imports.rows import text_of

__all__ = ["MOST_MADE", "plain_value", "table_of"]

MOST_MADE = 1 << 28
"""Bytes of cells and texts that a table may become: a pickle can name one array a million times in two bytes each."""

_CODE = re.compile(r"([iufb])(\d{1,2})|O8?|U\d{1,6}")
_MISSING = ("pandas.NA", "pandas._libs.missing.NA")


class _Room:
    """How many more bytes a table may become."""

    def __init__(self) -> None:
        self._left = MOST_MADE

    def take(self, size: int) -> None:
        """Make a table larger by so many bytes; ValueError if that is too large."""
        self._left -= size
        if self._left < 0:
            raise ValueError(f"more than {MOST_MADE:,} bytes when it is unfolded")


def plain_value(value: Any) -> Any:
    """A numpy scalar or pandas' NA as a plain value; anything else as it stands. ValueError for no scalar."""
    if isinstance(value, Name):
        return None if value.name in _MISSING else value
    if not (isinstance(value, Made) and value.name.endswith(".scalar")):
        return value
    dtype, data = value.args
    return _numbers(_bytes(data), _code(dtype), 1)[0]


def table_of(value: Any) -> dict[str, list[Any]] | None:
    """The columns of a DataFrame by name, in their order; None if the value is none."""
    if not (isinstance(value, Made) and value.name.endswith(".DataFrame")):
        return None
    try:
        return _columns(value, _Room())
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, UnicodeDecodeError) as error:
        raise RefusedPickle(f"a table of pandas in a form that is not known here: {error}") from error


def _columns(frame: Made, room: _Room) -> dict[str, list[Any]]:
    state = frame.state
    manager = state.get("_mgr", state.get("_data"))
    names, blocks = _parts(manager, room)
    found: dict[int, list[Any]] = {}
    for values, places in blocks:
        rows = _rows(values, room)
        found |= dict(zip(_places(places, len(names), room), rows, strict=True))
    return {text_of(name): found[i] for i, name in enumerate(names)}


def _parts(manager: Made, room: _Room) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """The names of the columns, and the blocks as (values, places of their columns)."""
    if manager.args:
        blocks, axes = manager.args
        return _index(axes[0], room), [(block.args[0], block.args[1]) for block in blocks]
    kept = manager.state[3]["0.14.1"]  # as pandas before 1.3 wrote it
    return _index(kept["axes"][0], room), [(block["values"], block["mgr_locs"]) for block in kept["blocks"]]


def _places(places: Any, count: int, room: _Room) -> Sequence[int]:
    if isinstance(places, Made) and places.name == "builtins.slice":
        return range(count)[slice(*places.args)]
    found: list[int] = _array(places, room)[1]
    return found


def _index(index: Made, room: _Room) -> list[Any]:
    said = index.args[1]
    if "data" in said:
        return _array(said["data"], room)[1]
    span = range(said["start"], said["stop"], said["step"])
    if len(span) > 100_000:
        raise ValueError(f"{len(span)} columns")
    return list(span)


def _rows(values: Any, room: _Room) -> list[list[Any]]:
    """A block's columns, each as its cells."""
    shape, flat = _array(values, room)
    if len(shape) == 1:
        return [flat]
    columns, cells = shape
    return [flat[i * cells : (i + 1) * cells] for i in range(columns)]


def _array(made: Made, room: _Room) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of an array and its values, the last axis first."""
    if made.name.endswith("._reconstruct"):
        _, shape, dtype, fortran, data = made.state
        return _shaped(shape, dtype, data, room, by_columns=bool(fortran))
    if made.name.endswith("._frombuffer"):
        data, dtype, shape, order = made.args
        return _shaped(shape, dtype, data, room, by_columns=order == "F")
    if made.name.endswith("__pyx_unpickle_NDArrayBacked"):
        return _array(next(part for part in made.state if _is_array(part)), room)
    kept = made.state
    texts = _texts(kept.get("_pa_array", kept.get("_data")) if isinstance(kept, dict) else None, room)
    return (len(texts),), texts


def _is_array(part: Any) -> bool:
    return isinstance(part, Made) and part.name.endswith(("._reconstruct", "._frombuffer"))


def _shaped(
    shape: tuple[int, ...], dtype: Made, data: Any, room: _Room, *, by_columns: bool
) -> tuple[tuple[int, ...], list[Any]]:
    if len(shape) not in (1, 2) or any(type(side) is not int or side < 0 for side in shape):
        raise ValueError("an array that is no column and no block of columns")
    count = math.prod(shape)
    room.take(8 * (count + sum(shape)))
    flat = [plain_value(v) for v in data] if isinstance(data, list) else _stored(data, _code(dtype), count, room)
    if len(flat) != count:
        raise ValueError(f"{len(flat)} values in an array of shape {shape}")
    if by_columns and len(shape) == 2:
        flat = [flat[column * shape[0] + row] for row in range(shape[0]) for column in range(shape[1])]
    return shape, flat


def _stored(data: Any, code: str, count: int, room: _Room) -> list[Any]:
    stored = _bytes(data)
    room.take(len(stored))
    return _numbers(stored, code, count)


def _code(dtype: Any) -> str:
    """The type of an array's values with its byte order; ValueError for one that no result file has."""
    code = dtype.args[0] if isinstance(dtype, Made) else None
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise ValueError(f"an array of type {text_of(code)[:20]!r}")
    order = dtype.state[1] if isinstance(dtype.state, tuple) else "|"
    return (order if order in ("<", ">") else "") + code


def _numbers(data: bytes, code: str, count: int) -> list[Any]:
    if "O" in code:
        raise ValueError("objects as bytes")
    kind = np.dtype(code)
    if len(data) != count * kind.itemsize:
        raise ValueError(f"{len(data)} bytes for {count} values of type {code}")
    found: list[Any] = np.frombuffer(data, dtype=kind).tolist() if count else []
    return found


def _bytes(data: Any) -> bytes:
    """Bytes, also as a pickle of protocol 2 has them."""
    if isinstance(data, Made) and data.name == "_codecs.encode" and isinstance(data.args[0], str):
        return data.args[0].encode("latin-1")
    if isinstance(data, Made) and data.name in ("builtins.bytearray", "pyarrow.lib.py_buffer"):
        return _bytes(data.args[0])
    if not isinstance(data, bytes | bytearray):
        raise ValueError("an array without its values")
    return bytes(data)


def _texts(made: Any, room: _Room) -> list[str | None]:
    """The texts of an array of pyarrow: where each ends stands in a second buffer, which are there in a first."""
    if made.name == "pyarrow.lib.chunked_array":
        return [text for chunk in made.args[0] for text in _texts(chunk, room)]
    kind, length, _, offset, buffers, *_ = made.args[0]
    wide = kind.args[0] if isinstance(kind, Made) and kind.args else ""
    if wide not in ("large_string", "string", "large_utf8", "utf8"):
        raise ValueError(f"an array of {text_of(wide)[:20] or 'another type'}")
    there, ends, data = buffers
    place = np.frombuffer(_bytes(ends), dtype="<i8" if wide.startswith("large") else "<i4").tolist()
    text = _bytes(data) if data is not None else b""
    if place != sorted(place):
        raise ValueError("texts that lie over each other")
    room.take(8 * len(place) + len(text))
    bits = _bytes(there) if there is not None else None
    return [
        text[place[i] : place[i + 1]].decode() if bits is None or bits[i >> 3] >> (i & 7) & 1 else None
        for i in range(offset, offset + length)
    ]
