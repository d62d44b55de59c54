"""What a pickle of pandas and numpy says, as plain columns: arrays, scalars and tables out of the notes of `pickles`.

pandas is not asked, so that a table can be read whichever version of it wrote the file.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from videval.imports.pickles import Made, Name, RefusedPickle

__all__ = ["plain_value", "table_of"]

_CODE = re.compile(r"([iufb])(\d{1,2})|O8?|U\d{1,6}")
_MISSING = ("pandas.NA", "pandas._libs.missing.NA")


def plain_value(value: Any) -> Any:
    """A numpy scalar or pandas' NA as a plain value; anything else as it stands."""
    if isinstance(value, Name):
        return None if value.name in _MISSING else value
    if not (isinstance(value, Made) and value.name.endswith(".scalar")):
        return value
    dtype, data = value.args
    return _numbers(_bytes(data), _code(dtype))[0]


def table_of(value: Any) -> dict[str, list[Any]] | None:
    """The columns of a DataFrame by name, in their order; None if the value is none."""
    if not (isinstance(value, Made) and value.name.endswith(".DataFrame")):
        return None
    try:
        return _columns(value)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, UnicodeDecodeError) as error:
        raise RefusedPickle(f"a table of pandas in a form that is not known here: {error}") from error


def _columns(frame: Made) -> dict[str, list[Any]]:
    state = frame.state
    manager = state.get("_mgr", state.get("_data"))
    names, blocks = _parts(manager)
    found: dict[int, list[Any]] = {}
    for values, places in blocks:
        rows = _rows(values)
        found |= dict(zip(_places(places, len(names)), rows, strict=True))
    return {str(name): found[i] for i, name in enumerate(names)}


def _parts(manager: Made) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """The names of the columns, and the blocks as (values, places of their columns)."""
    if manager.args:
        blocks, axes = manager.args
        return _index(axes[0]), [(block.args[0], block.args[1]) for block in blocks]
    kept = manager.state[3]["0.14.1"]  # as pandas before 1.3 wrote it
    return _index(kept["axes"][0]), [(block["values"], block["mgr_locs"]) for block in kept["blocks"]]


def _places(places: Any, count: int) -> Sequence[int]:
    if isinstance(places, Made) and places.name == "builtins.slice":
        return range(count)[slice(*places.args)]
    found: list[int] = _array(places)[1]
    return found


def _index(index: Made) -> list[Any]:
    said = index.args[1]
    if "data" in said:
        return _array(said["data"])[1]
    span = range(said["start"], said["stop"], said["step"])
    if len(span) > 100_000:
        raise ValueError(f"{len(span)} columns")
    return list(span)


def _rows(values: Any) -> list[list[Any]]:
    """A block's columns, each as its cells."""
    shape, flat = _array(values)
    if len(shape) == 1:
        return [flat]
    columns, cells = shape
    return [flat[i * cells : (i + 1) * cells] for i in range(columns)]


def _array(made: Made) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of an array and its values, the last axis first."""
    if made.name.endswith("._reconstruct"):
        _, shape, dtype, fortran, data = made.state
        return _shaped(shape, dtype, data, by_columns=bool(fortran))
    if made.name.endswith("._frombuffer"):
        data, dtype, shape, order = made.args
        return _shaped(shape, dtype, data, by_columns=order == "F")
    if made.name.endswith("__pyx_unpickle_NDArrayBacked"):
        return _array(next(part for part in made.state if _is_array(part)))
    kept = made.state
    texts = _texts(kept.get("_pa_array", kept.get("_data")) if isinstance(kept, dict) else None)
    return (len(texts),), texts


def _is_array(part: Any) -> bool:
    return isinstance(part, Made) and part.name.endswith(("._reconstruct", "._frombuffer"))


def _shaped(shape: tuple[int, ...], dtype: Made, data: Any, *, by_columns: bool) -> tuple[tuple[int, ...], list[Any]]:
    code = _code(dtype)
    flat = [plain_value(v) for v in data] if isinstance(data, list) else _numbers(_bytes(data), code)
    if len(flat) != math.prod(shape) or len(shape) not in (1, 2):
        raise ValueError(f"{len(flat)} values in an array of shape {shape}")
    if by_columns and len(shape) == 2:
        flat = [flat[column * shape[0] + row] for row in range(shape[0]) for column in range(shape[1])]
    return shape, flat


def _code(dtype: Made) -> str:
    """The type of an array's values with its byte order; ValueError for one that no result file has."""
    code = str(dtype.args[0])
    if not _CODE.fullmatch(code):
        raise ValueError(f"an array of type {code[:20]!r}")
    order = dtype.state[1] if isinstance(dtype.state, tuple) else "|"
    return (order if order in ("<", ">") else "") + code


def _numbers(data: bytes, code: str) -> list[Any]:
    if "O" in code:
        raise ValueError("objects as bytes")
    found: list[Any] = np.frombuffer(data, dtype=np.dtype(code)).tolist()
    return found


def _bytes(data: Any) -> bytes:
    """Bytes, also as a pickle of protocol 2 has them."""
    if isinstance(data, Made) and data.name == "_codecs.encode":
        return str(data.args[0]).encode("latin-1")
    if isinstance(data, Made) and data.name in ("builtins.bytearray", "pyarrow.lib.py_buffer"):
        return _bytes(data.args[0])
    if not isinstance(data, bytes | bytearray):
        raise ValueError("an array without its values")
    return bytes(data)


def _texts(made: Any) -> list[str | None]:
    """The texts of an array of pyarrow: where each ends stands in a second buffer, which are there in a first."""
    if made.name == "pyarrow.lib.chunked_array":
        return [text for chunk in made.args[0] for text in _texts(chunk)]
    kind, length, _, offset, buffers, *_ = made.args[0]
    wide = str(kind.args[0]) if isinstance(kind, Made) and kind.args else ""
    if wide not in ("large_string", "string", "large_utf8", "utf8"):
        raise ValueError(f"an array of {wide or 'another type'}")
    there, ends, data = buffers
    place = np.frombuffer(_bytes(ends), dtype="<i8" if wide.startswith("large") else "<i4").tolist()
    text = _bytes(data) if data is not None else b""
    bits = _bytes(there) if there is not None else None
    return [
        text[place[i] : place[i + 1]].decode() if bits is None or bits[i >> 3] >> (i & 7) & 1 else None
        for i in range(offset, offset + length)
    ]
