"""Pickles of result files: what holds data is read, what holds code is refused, and nothing is ever run."""

import copyreg
import os
import pickle
import pickletools
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videval.imports.frames import plain_value, table_of
from videval.imports.pickles import RefusedPickle, read_pickle

FRAME = pd.DataFrame({"index": [3, 4, 5], "question": ["a", "b", None], "prediction": ["A", "x é", "C"]})
PROTOCOLS = range(2, 6)


class Runs:
    """What runs a function when it is unpickled."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self.call, self.args = call, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call, self.args


def attacks(mark: Path) -> list[Any]:
    """Objects whose unpickling would leave the file `mark`."""
    return [
        Runs(os.system, f"touch {mark}"),
        Runs(eval, f"open({str(mark)!r}, 'w')"),
        Runs(exec, f"open({str(mark)!r}, 'w')"),
        Runs(open, str(mark), "w"),
        Runs(os.mkdir, str(mark)),
        Runs(Path.touch, mark),
    ]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("number", range(6))
def test_code_in_a_pickle_is_refused_and_not_run(number: int, protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "was_run"
    data = pickle.dumps({0: "A", 1: attacks(mark)[number]}, protocol=protocol)
    with pytest.raises(RefusedPickle, match=r"no data|opcode|key"):
        read_pickle(data)
    assert not mark.exists()


def test_the_attacks_of_these_tests_would_work(tmp_path: Path) -> None:
    mark = tmp_path / "was_run"
    pickle.loads(pickle.dumps(attacks(mark)[4]))  # noqa: S301
    assert mark.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"(cos\nsystem\nS'true'\no.",
        b"cpandas.io.pickle\nread_pickle\n(S'x'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cpandas\neval\n(S'x'\ntR.",
        b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00P1\n.",
        b"\x82\x01.",
        b"cbuiltins\ngetattr\n(cnumpy\nndarray\nS'x'\ntR.",
    ],
)
def test_other_ways_to_code_are_refused(program: bytes) -> None:
    with pytest.raises(RefusedPickle):
        read_pickle(program)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_answers_by_index_are_read(protocol: int) -> None:
    answers = {0: "A", 1: "B é \ud83d\ude00", "v7": None, 2: 1.5, 3: {"prediction": "C"}, 4: ["x", ("y", True)]}
    assert read_pickle(pickle.dumps(answers, protocol=protocol)) == answers


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numbers_of_numpy_are_plain(protocol: int) -> None:
    found = read_pickle(pickle.dumps({np.int64(7): np.str_("A"), 8: np.float32(0.5)}, protocol=protocol))
    assert {plain_value(k): plain_value(v) for k, v in found.items()} == {7: "A", 8: 0.5}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME.astype(object),
        FRAME.iloc[1:],
        FRAME.assign(second=[1, 2, 3], third=[4, 5, 6]).copy(),
        FRAME.assign(share=[0.5, float("nan"), 2.0], is_long=[True, False, True]),
        FRAME.assign(prediction=pd.array(["A", pd.NA, "C"], dtype=pd.StringDtype("python"))),
        pd.concat([FRAME, FRAME], ignore_index=True),
        FRAME.T.T,
    ],
)
def test_a_table_of_pandas_is_read_cell_by_cell(frame: pd.DataFrame, protocol: int) -> None:
    found = table_of(read_pickle(pickle.dumps(frame, protocol=protocol)))
    assert found is not None and list(found) == list(frame.columns)
    for name in frame.columns:
        mine = [None if pd.isna(plain_value(v)) else plain_value(v) for v in found[name]]
        assert mine == [None if pd.isna(v) else v for v in frame[name].tolist()], name


class Made:
    """Is pickled as an object of `kind` with this state, as older versions of pandas have it."""

    def __init__(self, kind: type, state: Any) -> None:
        self.kind, self.state = kind, state

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return self.kind

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return copyreg.__newobj__, (self.kind,), self.state  # type: ignore[attr-defined]


def test_a_table_of_pandas_before_1_3_is_read() -> None:
    """Its manager has the axes and the blocks in its state, under a version of its own."""
    blocks = [
        {"values": np.array([["a", "b"], ["A", None]], dtype=object), "mgr_locs": slice(1, 3, 1)},
        {"values": np.array([[3, 4]]), "mgr_locs": slice(0, 1, 1)},
    ]
    axes = [pd.Index(["index", "question", "prediction"], dtype=object), pd.RangeIndex(2)]
    kind = import_module("pandas.core.internals.managers").BlockManager
    manager = Made(kind, ([], [], [], {"0.14.1": {"axes": axes, "blocks": blocks}}))
    found = table_of(read_pickle(pickle.dumps(Made(pd.DataFrame, {"_data": manager}), protocol=2)))
    assert found == {"index": [3, 4], "question": ["a", "b"], "prediction": ["A", None]}


@pytest.mark.parametrize("name", ["IntegerArray", "Categorical", "PeriodIndex"])
def test_a_table_of_other_arrays_is_refused(name: str) -> None:
    frames = {
        "IntegerArray": FRAME.convert_dtypes(),
        "Categorical": FRAME.astype({"question": "category"}),
        "PeriodIndex": FRAME.assign(at=pd.period_range("2026", periods=3)),
    }
    with pytest.raises(RefusedPickle):
        table_of(read_pickle(pickle.dumps(frames[name])))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_torn_or_changed_pickle_is_refused_or_read_and_never_anything_else(data: st.DataObject) -> None:
    whole = pickle.dumps({"answers": {i: f"answer {i}" for i in range(5)}, "frame": FRAME})
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    torn = data.draw(st.sampled_from([whole[:at], changed]))
    try:
        found = read_pickle(torn)
        if isinstance(found, dict) and "frame" in found:
            table_of(found["frame"])
    except RefusedPickle:
        pass


def test_a_pickle_that_grows_without_end_in_its_keys_is_refused() -> None:
    """Each tuple holds the one before twice: hashing the last one would take for ever."""
    program = b"\x80\x02(K\x01" + b"q\x000h\x00h\x00\x86" * 60 + b"K\x02d."
    with pytest.raises(RefusedPickle, match="key"):
        read_pickle(program)


def test_a_number_without_end_is_refused() -> None:
    with pytest.raises(RefusedPickle):
        read_pickle(b"L" + b"9" * 5000 + b"L\n.")


def test_every_opcode_is_followed_or_refused() -> None:
    from videval.imports import pickles

    known = {*pickles._VALUES, *pickles._FIXED, *pickles._ACTIONS, *pickles._NOTHING, "STOP"}
    assert known <= {code.name for code in pickletools.opcodes}
