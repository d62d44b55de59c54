"""Small pickles that would fill the memory, or take for ever, if what they name was written out."""

import struct
from typing import Any

import pytest

from videval.imports import frames
from videval.imports.frames import plain_value, table_of
from videval.imports.pickles import Made, RefusedPickle, read_pickle
from videval.imports.rows import index_of, text_of

TEXT = Made("pyarrow.lib.type_for_alias", ("string",))


def laugh(depth: int = 100) -> list[Any]:
    """A list of lists of lists, each there twice: a few kilobytes, and without end when it is written out."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found, found]
    return found


def array(shape: tuple[Any, ...], data: Any, code: str = "i1") -> Made:
    return Made("numpy._core.numeric._frombuffer", (data, Made("numpy.dtype", (code,)), shape, "C"))


def names(*found: Any) -> Made:
    objects = Made("numpy._core.multiarray._reconstruct", ())
    objects.state = (1, (len(found),), Made("numpy.dtype", ("O8",)), False, list(found))
    return Made("pandas.core.indexes.base._new_Index", ("pandas.Index", {"data": objects}))


def table(columns: Made, *blocks: Any) -> Made:
    """A table whose blocks hold a column each."""
    placed = tuple(
        Made("pandas._libs.internals._unpickle_block", (block, Made("builtins.slice", (i, i + 1, 1))))
        for i, block in enumerate(blocks)
    )
    manager = Made("pandas.core.internals.managers.BlockManager", (placed, (columns,)))
    return Made("pandas.core.frame.DataFrame", (), {"_mgr": manager})


def arrow(*chunks: Made) -> Made:
    held = {"_pa_array": Made("pyarrow.lib.chunked_array", (list(chunks),))}
    return Made("pandas.arrays.ArrowStringArray", (), held)


def texts(ends: list[int], text: bytes) -> Made:
    buffers = (None, struct.pack(f"<{len(ends)}i", *ends), text)
    return Made("pyarrow.lib._restore_array", ((TEXT, len(ends) - 1, 0, 0, buffers),))


def test_the_tables_of_these_tests_would_be_read() -> None:
    found = table(names("a", "b"), array((1, 2), b"\x01\x02"), arrow(texts([0, 1, 3], b"xyz")))
    assert table_of(found) == {"a": [1, 2], "b": ["x", "yz"]}


@pytest.mark.parametrize("shape", [(10**12, 0), (0, 10**12), (10**12,), ("a", 10**12), (-1, -2), (1, 1, 2)])
def test_an_array_of_another_size_than_its_data_is_refused(shape: tuple[Any, ...]) -> None:
    with pytest.raises(RefusedPickle):
        table_of(table(names("a"), array(shape, b"")))


@pytest.mark.parametrize(
    "blocks",
    [
        [array((1, 1000), bytes(1000))] * 50,
        [array((1, 1), bytes(4000), "U1000")] * 50,
        [arrow(*[texts([0, 1000], b"a" * 1000)] * 50)],
    ],
)
def test_data_that_is_named_again_and_again_is_refused(blocks: list[Made], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MOST_MADE", 40_000)
    with pytest.raises(RefusedPickle, match="more than 40,000 bytes when it is unfolded"):
        table_of(table(names(*range(len(blocks))), *blocks))


def test_texts_that_lie_over_each_other_are_refused() -> None:
    with pytest.raises(RefusedPickle, match="over each other"):
        table_of(table(names("a"), arrow(texts([0, 3, 0, 3], b"xyz"))))


@pytest.mark.timeout(20)
def test_lists_without_end_are_never_written_out() -> None:
    assert text_of(laugh()) == index_of(laugh()) == "a list"
    assert table_of(table(names(laugh()), array((1, 1), b"\x01"))) == {"a list": [1]}
    for kind in (Made("numpy.dtype", (laugh(),)), laugh()):
        with pytest.raises(RefusedPickle):
            table_of(table(names("a"), Made("numpy._core.numeric._frombuffer", (b"a", kind, (1,), "C"))))
    with pytest.raises(RefusedPickle, match="what is no name"):
        read_pickle(b"\x80\x04\x8c\x05numpy]q\x00" + b"0](h\x00h\x00eq\x00" * 100 + b"\x93.")


@pytest.mark.parametrize("args", [("x", b"y"), (laugh(), b"y"), (Made("numpy.dtype", ("i8",)), b"\x00" * 800)])
def test_a_scalar_that_is_none_is_refused(args: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"type|bytes for 1"):
        plain_value(Made("numpy.core.multiarray.scalar", args))
