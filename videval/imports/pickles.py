"""Pickles read without being run: their opcodes are followed, and what they would call is only written down.

A pickle is a program. This reader builds plain containers, numbers and text itself; of the functions and classes that
a pickle names it lets pass those that pandas, numpy and pyarrow write for their data, and keeps each as a `Made`, a
note of what would have been called with what. Nothing is imported, nothing is called. All else is refused.
"""

import pickletools
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Made", "Name", "RefusedPickle", "read_pickle"]

_DATA = {
    "builtins": ("slice", "bytearray"),
    "_codecs": ("encode",),
    "collections": ("OrderedDict",),
    "numpy": ("ndarray", "dtype"),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),
    "numpy.core.numeric": ("_frombuffer",),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.numeric": ("_frombuffer",),
    "pandas": ("DataFrame", "Series", "Index", "RangeIndex", "StringDtype", "NA"),
    "pandas.arrays": ("ArrowStringArray", "StringArray"),
    "pandas._libs.arrays": ("__pyx_unpickle_NDArrayBacked",),
    "pandas._libs.internals": ("_unpickle_block",),
    "pandas._libs.missing": ("NA",),
    "pandas.core.arrays.string_": ("StringArray", "StringDtype", "StringArrayNumpySemantics"),
    "pandas.core.arrays.string_arrow": ("ArrowStringArray", "ArrowStringArrayNumpySemantics"),
    "pandas.core.frame": ("DataFrame",),
    "pandas.core.indexes.base": ("_new_Index", "Index"),
    "pandas.core.indexes.numeric": ("Int64Index",),
    "pandas.core.indexes.range": ("RangeIndex",),
    "pandas.core.internals.managers": ("BlockManager",),
    "pandas.core.series": ("Series",),
    "pyarrow.lib": ("_restore_array", "type_for_alias", "py_buffer", "chunked_array"),
}
"""What pandas, numpy and pyarrow name when they write data: by module."""


class RefusedPickle(ValueError):
    """A pickle that holds more than data, or that is torn; nothing of it was run."""


@dataclass(frozen=True, slots=True)
class Name:
    """A function or a class that a pickle names; never looked up."""

    name: str


@dataclass(eq=False, slots=True)
class Made:
    """What a pickle would have made: the name that it would have called, with what, and its state."""

    name: str
    args: tuple[Any, ...]
    state: Any = None


class _Mark:
    """Where a group of values begins on the stack."""

    __slots__ = ()


def read_pickle(data: bytes) -> Any:
    """What a pickle holds: plain values, and a `Made` for each array or table. RefusedPickle for any other content."""
    with warnings.catch_warnings(action="ignore"):  # a torn text may have odd escapes
        return _Machine().run(data)


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        """Follow the opcodes to the end."""
        try:
            for code, arg, _ in pickletools.genops(data):
                if code.name == "STOP":
                    return self.stack.pop()
                self._step(code.name, arg)
        except RefusedPickle:
            raise
        except (ValueError, TypeError, LookupError, struct.error, AttributeError, OverflowError) as error:
            raise RefusedPickle(f"not a whole pickle: {error}") from error
        raise RefusedPickle("not a whole pickle: it ends early")

    def _step(self, code: str, arg: Any) -> None:
        if code in _VALUES:
            self.stack.append(arg)
        elif code in _FIXED:
            self.stack.append(_FIXED[code]())
        elif code in _ACTIONS:
            _ACTIONS[code](self, arg)
        elif code not in _NOTHING:
            raise RefusedPickle(f"its opcode {code} is none that data needs")

    def marked(self) -> list[Any]:
        """The values since the last mark, taken off the stack with it."""
        at = next((i for i in reversed(range(len(self.stack))) if isinstance(self.stack[i], _Mark)), None)
        if at is None:
            raise RefusedPickle("not a whole pickle: no mark on its stack")
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def last(self, count: int) -> list[Any]:
        """The last values of the stack, taken off it."""
        if len(self.stack) < count:
            raise RefusedPickle("not a whole pickle: too little on its stack")
        found = self.stack[-count:]
        del self.stack[-count:]
        return found

    def name(self, module: Any, name: Any) -> None:
        """Note a name on the stack if it is one of data."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise RefusedPickle("it names what is no name")
        if name not in _DATA.get(module, ()):
            raise RefusedPickle(f"it names {module}.{name}: that is code, or an object of a program, and no data")
        self.stack.append(Name(f"{module}.{name}"))

    def make(self, called: Any, args: Any) -> None:
        """Note a call on the stack."""
        if not isinstance(called, Name) or not isinstance(args, tuple):
            raise RefusedPickle("it calls what is no name")
        self.stack.append(Made(called.name, args))

    def build(self) -> None:
        """Give what was noted last its state."""
        made, state = self.last(2)
        if not isinstance(made, Made):
            raise RefusedPickle("it changes what is no data of pandas or numpy")
        made.state = state
        self.stack.append(made)

    def extend(self, found: list[Any]) -> None:
        """Put values behind those of the list that is last on the stack."""
        target = self.stack[-1]
        if not isinstance(target, list):
            raise RefusedPickle("it fills what is no list")
        target.extend(found)

    def put(self, found: list[Any]) -> None:
        """Put keys and values into the dictionary that is last on the stack."""
        target = self.stack[-1]
        if isinstance(target, Made):  # an OrderedDict is made empty and filled
            target.state = target.state if isinstance(target.state, dict) else {}
            target = target.state
        if not isinstance(target, dict):
            raise RefusedPickle("it fills what is no dictionary")
        target.update(_pairs(found))


def _pairs(found: list[Any]) -> dict[Any, Any]:
    """Keys and values in turn; a key is a plain value, so that comparing it costs nothing."""
    keys = found[::2]
    if len(found) % 2 or any(isinstance(key, tuple | _Mark) for key in keys):
        raise RefusedPickle("a key of its dictionary is no plain value")
    return dict(zip(keys, found[1::2], strict=True))


def _global(machine: _Machine, arg: str) -> None:
    module, _, name = arg.partition(" ")
    machine.name({"__builtin__": "builtins"}.get(module, module), name)


def _memoize(machine: _Machine, _: object) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _remember(machine: _Machine, arg: int) -> None:
    machine.memo[arg] = machine.stack[-1]


_VALUES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
_NOTHING = ("PROTO", "FRAME")
_FIXED: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "MARK": _Mark,
}
_ACTIONS: Mapping[str, Callable[[_Machine, Any], Any]] = {
    "GLOBAL": _global,
    "STACK_GLOBAL": lambda m, _: m.name(*m.last(2)),
    "REDUCE": lambda m, _: m.make(*m.last(2)),
    "NEWOBJ": lambda m, _: m.make(*m.last(2)),
    "BUILD": lambda m, _: m.build(),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.marked())),
    "TUPLE1": lambda m, _: m.stack.append(tuple(m.last(1))),
    "TUPLE2": lambda m, _: m.stack.append(tuple(m.last(2))),
    "TUPLE3": lambda m, _: m.stack.append(tuple(m.last(3))),
    "LIST": lambda m, _: m.stack.append(m.marked()),
    "DICT": lambda m, _: m.stack.append(_pairs(m.marked())),
    "APPEND": lambda m, _: m.extend(m.last(1)),
    "APPENDS": lambda m, _: m.extend(m.marked()),
    "SETITEM": lambda m, _: m.put(m.last(2)),
    "SETITEMS": lambda m, _: m.put(m.marked()),
    "POP": lambda m, _: m.last(1),
    "POP_MARK": lambda m, _: m.marked(),
    "MEMOIZE": _memoize,
    "PUT": _remember,
    "BINPUT": _remember,
    "LONG_BINPUT": _remember,
    "GET": lambda m, arg: m.stack.append(m.memo[arg]),
    "BINGET": lambda m, arg: m.stack.append(m.memo[arg]),
    "LONG_BINGET": lambda m, arg: m.stack.append(m.memo[arg]),
}
"""What the opcodes do that data needs; those for persistent ids, instances and registered extensions are refused."""
