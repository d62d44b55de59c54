"""The command line in this process: what it prints and how it ends."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.color import ColorSystem

from videval.cli import console, main

__all__ = ["Call", "Said", "caller", "terminal"]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output without blanks at their ends."""
        return [line.rstrip() for line in self.out.splitlines()]


Call = Callable[..., Said]


def caller(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `videval WORDS` with this VIDEVAL_HOME and no other setting."""
    for name in [n for n in os.environ if n.startswith("VIDEVAL_")] + ["LMUData", "COLUMNS"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VIDEVAL_HOME", str(home))

    def call(*words: str, columns: int | None = None) -> Said:
        for one in (console.console, console.errors):
            one._buffer.clear()  # what a test left there whose standard output failed
        if columns:
            monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "argv", ["videval", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Said(code=ended.value.code, out=out, err=err)

    return call


def terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Have the consoles believe in a terminal of so many columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    for one in (console.console, console.errors):
        monkeypatch.setattr(one, "_force_terminal", True)
        monkeypatch.setattr(one, "_color_system", ColorSystem.STANDARD)
