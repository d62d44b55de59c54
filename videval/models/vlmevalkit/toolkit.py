"""The package `vlmeval`: whether it is here, and a child process that does what only it can do."""

import atexit
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from videval.errors import EnvironmentProblem, UsageError

__all__ = ["INSTALL", "PREFIX", "Toolkit", "ToolkitDied", "folder", "require", "toolkit", "version"]

PREFIX = "vlmevalkit:"
"""How names of VLMEvalKit's models and datasets begin here."""
INSTALL = "git clone https://github.com/open-compass/VLMEvalKit && pip install -e VLMEvalKit"
PATIENCE = 3600.0
"""Seconds for an answer: to build a dataset may fetch it, to evaluate may ask a judge thousands of times."""
_TAIL = 2000
"""Bytes of what a process that died said last."""
_VERSION = re.compile(r"""^__version__\s*=\s*["']([^"']+)["']""", re.MULTILINE)


def folder() -> Path | None:
    """Where the package lies, without importing it; None if it is not installed."""
    found = find_spec("vlmeval")
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) if places else None


def version() -> str:
    """The version of the package, without importing it; "of no version" if it says none."""
    own = (folder() or Path()) / "__init__.py"
    if own.is_file() and (said := _VERSION.search(own.read_text(encoding="utf-8", errors="replace"))):
        return said[1]
    try:
        return version_of("vlmeval")
    except PackageNotFoundError:
        return "of no version"


def require() -> Path:
    """Where the package lies. EnvironmentProblem, with the line that installs it, if it does not."""
    found = folder()
    if found is None:
        raise EnvironmentProblem("the package vlmeval is not installed here", hint=INSTALL)
    return found


class ToolkitDied(EnvironmentProblem):
    """The child died, or said nothing for too long and was ended; the next question starts another one."""


class Toolkit:
    """A child process that has imported vlmeval, started when it is first asked; one question at a time.

    It ends with this process, since it reads until the end of its standard input.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def ask(self, op: str, *, patience: float = PATIENCE, **values: Any) -> Any:
        """What `process` answers within so many seconds.

        UsageError as it says, EnvironmentProblem for what its libraries raise; ToolkitDied, with its last words.
        """
        require()
        with self._lock:
            try:
                reply = self._reply(json.dumps({"op": op, **values}).encode() + b"\n", patience)
            except BaseException:  # also Ctrl-C: its answer would be taken for that to the next question
                self.close()
                raise
        if "usage" in reply:
            raise UsageError(reply["usage"], hint=reply["hint"])
        if "error" in reply:
            raise EnvironmentProblem(f"VLMEvalKit: {reply['error']}", hint=reply["hint"])
        return reply["value"]

    def close(self) -> None:
        """End the child."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout, self._log):
                if pipe is not None:
                    pipe.close()

    def _reply(self, question: bytes, patience: float) -> dict[str, Any]:
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(question)
            process.stdin.flush()
            if not select.select([process.stdout], [], [], patience)[0]:
                raise self._dead(f"said nothing for {patience:.0f} s")
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line.endswith(b"\n"):
            raise self._dead("died")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the child)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "videval.models.vlmevalkit.process"],
                env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},  # it needs no GPU, and would hold memory there
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,
            )
        return self._process

    def _dead(self, how: str) -> "ToolkitDied":
        """What to say of a child that is of no use any more."""
        said = ""
        if self._log is not None:
            size = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, size - _TAIL))
            said = self._log.read().decode(errors="replace").strip()
        return ToolkitDied(f"the process of VLMEvalKit {how}" + (f":\n{said}" if said else ""))


@cache
def toolkit() -> Toolkit:
    """The one of this process."""
    made = Toolkit()
    atexit.register(made.close)
    return made
