"""What a user, a disk or a pipe did, as an error that says what is wrong and what would be right."""

import errno
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

from typer.exceptions import TyperException

from videval.cli.usage import as_usage_error
from videval.errors import EnvironmentProblem, VidevalError

__all__ = ["explained", "quiet_pipes", "tolerant_streams"]

REMEDIES = {
    errno.ENOSPC: "free some space there, or choose another disk",
    errno.EDQUOT: "free some space there, or choose another disk",
    errno.EFBIG: "the file system or `ulimit -f` allows no file of that size: choose another place",
    errno.EACCES: "choose a place that is yours to use, or ask for its permissions",
    errno.EPERM: "choose a place that is yours to use, or ask for its permissions",
    errno.EROFS: "choose a folder that can be written",
    errno.ENOTDIR: "a part of this path is a file: choose another path",
    errno.EISDIR: "this is a folder: name a file",
    errno.ENOENT: "is the path right, and does the folder exist?",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its symbolic links lead in a circle: mend them",
    errno.EIO: "the disk does not read or write there: look at the system's log",
    errno.EMFILE: "too many files are open: ulimit -n 4096",
    errno.ENOMEM: "free some memory",
}


def explained(error: Exception) -> VidevalError | None:
    """The error in our form; None for what nobody foresaw: its traceback is worth more."""
    if isinstance(error, VidevalError):
        return error
    if isinstance(error, TyperException):
        return as_usage_error(error)
    if isinstance(error, OSError):
        return _of_disk(error)
    if isinstance(error, UnicodeEncodeError):
        problem = f"{error.object[error.start : error.end]!r} cannot be written in {error.encoding}"
        return EnvironmentProblem(problem, hint="export PYTHONUTF8=1")
    return None


def _of_disk(error: OSError) -> EnvironmentProblem:
    reason = error.strerror or str(error) or type(error).__name__
    names = " -> ".join(os.fsdecode(n) for n in (error.filename, error.filename2) if isinstance(n, str | bytes))
    where = names or ("standard output" if _is_broken(sys.stdout) else "")
    remedy = REMEDIES.get(error.errno or 0, "look at the system's log; `videval doctor` says what this machine lacks")
    return EnvironmentProblem(f"{where}: {reason}" if where else reason, hint=remedy)


def _is_broken(stream: TextIO) -> bool:
    """Whether what was written cannot leave."""
    try:
        stream.flush()
    except (OSError, ValueError):
        return True
    return False


def tolerant_streams() -> None:
    """What a terminal cannot show becomes a question mark, and a stream that is closed takes what is said."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def quiet_pipes() -> None:
    """Nothing more is said of a stream that cannot be written, not by the interpreter's end either."""
    for stream in (sys.stdout, sys.stderr):
        if _is_broken(stream):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
