"""The headers of safetensors files: which tensors a file has, and whether it was cut short. Reads no weights.

A file is 8 bytes of length, little-endian, then so many bytes of JSON that give each tensor its type, shape and the
first and last byte of it behind the header (https://github.com/huggingface/safetensors, README, "Format").
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["weights_bytes", "what_is_cut"]

LENGTH = 8
LONGEST = 100_000_000
"""The longest header that the format allows."""
WIDER: Mapping[str, int] = {"F32": 2, "F64": 4}
"""Types of floats -> how many times the 16 bits that a GPU has them in."""


def what_is_cut(path: Path, expected: Sequence[str] = ()) -> str:
    """What is wrong with a file of weights, in words; empty if it is whole and has the tensors that are expected."""
    try:
        header, start = _header(path)
    except (ValueError, KeyError, TypeError) as error:
        return f"{path.name} is no safetensors file, or cut off in its header ({error})"
    size, whole = path.stat().st_size, start + _end(header)
    if size != whole:
        return f"{path.name} has {size:,} bytes, and its header says {whole:,}"
    lacking = [name for name in expected if name not in header]
    return f"{path.name} lacks {len(lacking)} tensors that the index expects, as {lacking[0]}" if lacking else ""


def weights_bytes(path: Path) -> int:
    """How many bytes a file's weights have where they are loaded: wider floats in 16 bits, the others as they are.
    Raises ValueError for one that is no safetensors file."""
    try:
        return sum(_bytes(about) // WIDER.get(about["dtype"], 1) for about in _header(path)[0].values())
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


def _header(path: Path) -> tuple[Mapping[str, Any], int]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        if not 0 < length <= LONGEST:
            raise ValueError(f"a header of {length:,} bytes")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is no table")
    return {name: about for name, about in header.items() if name != "__metadata__"}, LENGTH + length


def _end(header: Mapping[str, Any]) -> int:
    return max((about["data_offsets"][1] for about in header.values()), default=0)


def _bytes(about: Mapping[str, Any]) -> int:
    first, end = about["data_offsets"]
    return int(end - first)
