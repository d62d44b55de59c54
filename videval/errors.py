"""The error tree: every failure that videval knows, raised where the fact is known and caught at a boundary.

::

    VidevalError                    exit code 1
    ├── UsageError                  exit code 2   the user asked for something that cannot be
    │   ├── UnknownName             a benchmark, model, scorer or run that does not exist
    │   └── InvalidTable            malformed rows of a question table, all of them listed
    ├── EnvironmentProblem          exit code 3   the machine is not ready
    │   ├── DatabaseUnavailable
    │   ├── SchemaMismatch
    │   ├── BrokerUnavailable
    │   │   └── BrokerRefuses       Redis is there, and its set-up or VIDEVAL_BROKER_URL must be changed
    │   ├── NoFreeDevice
    │   ├── RunHalted               nothing of a run can be answered until somebody mends it: the run is paused
    │   ├── DataMissing             a benchmark's data or videos are not on this machine
    │   └── ModelUnavailable        a model that cannot be loaded here
    ├── NewerRun                    exit code 3   a run that a newer videval made, with what this one does not have
    ├── StatementRefused            exit code 3   the database refuses what is asked: tables changed by hand, or a bug
    ├── Incomplete                  exit code 4   a run has requests without an answer
    └── RequestFailure              never leaves a request: becomes a failed row with its kind
        ├── VideoFailure            kind video
        ├── ModelFailure            kind model
        ├── ContextExceeded         kind context
        ├── Unforeseen              kind model    an exception in videval or a plugin; tried again before it fails
        ├── ApiFailure              kind api
        │   ├── ApiRefused          the endpoint does not take this request
        │   └── GaveUp              the model itself has tried again, as often as it wanted to
        ├── OutOfMemory             kind oom
        ├── DeadlineExceeded        kind timeout
        └── ProcessDied             kind crash
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from enum import StrEnum
from typing import ClassVar

from videval.words import plural

__all__ = [
    "ApiFailure",
    "ApiRefused",
    "BrokerRefuses",
    "BrokerUnavailable",
    "ContextExceeded",
    "DataMissing",
    "DatabaseUnavailable",
    "DeadlineExceeded",
    "DiedInCompany",
    "EnvironmentProblem",
    "ErrorKind",
    "GaveUp",
    "Incomplete",
    "InvalidTable",
    "ModelFailure",
    "ModelUnavailable",
    "NewerRun",
    "NoFreeDevice",
    "OutOfMemory",
    "ProcessDied",
    "Released",
    "RequestFailure",
    "RunHalted",
    "SchemaMismatch",
    "StatementRefused",
    "Unforeseen",
    "UnknownName",
    "UsageError",
    "VideoFailure",
    "VidevalError",
    "as_failure",
]


class ErrorKind(StrEnum):
    """Why a request failed."""

    VIDEO = "video"
    MODEL = "model"
    CONTEXT = "context"
    API = "api"
    OOM = "oom"
    TIMEOUT = "timeout"
    CRASH = "crash"


class VidevalError(Exception):
    """Any failure that videval explains: `str()` says what is wrong and `hint` what would be right."""

    exit_code: ClassVar[int] = 1
    elsewhere: str = ""
    """The traceback in the child process that reported it; "" if it was raised in this one."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def hint(self) -> str:
        """The line that mends it, or "". A traceback has it below the message, for who did not catch the error."""
        return self._hint

    @hint.setter
    def hint(self, hint: str) -> None:
        self._hint = hint
        self.__notes__ = [f"  -> {hint}"] if hint else []


class UsageError(VidevalError):
    """What was asked for cannot be: a wrong option, name or table."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that is not registered; says what comes close."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = sorted(set(known))
        folded = {k.casefold(): k for k in known}
        close = [folded[c] for c in get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)]
        hint = f"did you mean {' or '.join(close)}?" if close else f"see: videval list {what}s"
        super().__init__(f"unknown {what} {name!r}", hint=hint)
        self.close_matches = close


class InvalidTable(UsageError):
    """A question table with malformed rows; `problems` has one line for each, with its line number."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        shown = "\n".join(f"  {p}" for p in problems)
        super().__init__(f"{source}: {plural(len(problems), 'problem')}, nothing was enqueued\n{shown}")
        self.problems = tuple(problems)


class EnvironmentProblem(VidevalError):
    """The machine is not ready; `hint` is the line that mends it."""

    exit_code = 3


class DatabaseUnavailable(EnvironmentProblem):
    """The results database cannot be reached or written, or not as it is set up."""


class SchemaMismatch(EnvironmentProblem):
    """The database's schema is older or newer than this videval."""


class BrokerUnavailable(EnvironmentProblem):
    """Redis cannot be reached or started, or takes nothing for now."""


class BrokerRefuses(BrokerUnavailable):
    """Redis will not do what a worker needs (password, rights, a cluster), or its URL is none; waiting is no use."""


class NoFreeDevice(EnvironmentProblem):
    """Each device of this worker's list is in use or absent."""


class DataMissing(EnvironmentProblem):
    """A benchmark's questions or videos are not on this machine."""


class ModelUnavailable(EnvironmentProblem):
    """A model cannot be loaded on this machine: no weights, no device, not enough memory."""


class RunHalted(EnvironmentProblem):
    """Nothing of a run can be answered until somebody mends something: a key, a model's name, a spending limit.

    The run is paused with this as its reason, and what was in hand goes back at no cost."""


class StatementRefused(VidevalError):
    """The database refuses a statement itself; waiting mends nothing."""

    exit_code = 3


class NewerRun(VidevalError):
    """A run that a newer videval made, with something that this one does not have; left alone for those that do."""

    exit_code = 3

    def __init__(self, run: str, what: str) -> None:
        super().__init__(
            f"run {run} was made by a newer videval: this one does not know {what}",
            hint="pip install --upgrade videval on this host",
        )


class Incomplete(VidevalError):
    """A run still has requests without an answer."""

    exit_code = 4


class RequestFailure(VidevalError):
    """One request failed; stored as a failed row with `kind`. `permanent`: trying again gives the same."""

    kind: ClassVar[ErrorKind] = ErrorKind.MODEL
    permanent: ClassVar[bool] = True


class VideoFailure(RequestFailure):
    """The video is missing, unreadable or has no frames."""

    kind = ErrorKind.VIDEO


class ModelFailure(RequestFailure):
    """The model raised on this request, or cannot take it (wrong frame count, no such thinking switch)."""

    kind = ErrorKind.MODEL


class ContextExceeded(RequestFailure):
    """The prompt and the longest answer that is asked for are more tokens than the model takes."""

    kind = ErrorKind.CONTEXT

    @classmethod
    def of(cls, tokens: int, new: int, context: int) -> "ContextExceeded":
        """For a prompt of so many tokens, an answer of at most so many, and a model that takes so many in all."""
        return cls(
            f"the prompt is too long: {tokens} tokens + {new} new ones are more than the {context} of the model",
            hint="fewer frames, fewer pixels, or a lower --max-new-tokens",
        )


class Unforeseen(RequestFailure):
    """An exception that nobody foresaw, in videval or a plugin; tried again a few times, then failed with its
    traceback, so that it neither takes the worker down nor goes round for ever."""

    kind = ErrorKind.MODEL
    permanent = False


class ApiFailure(RequestFailure):
    """A model behind an API did not answer (429, 5xx, connection)."""

    kind = ErrorKind.API
    permanent = False
    status: int | None = None
    """The HTTP status; None: no whole response came."""
    is_sent: bool = True
    """Whether anything of the request may have arrived there."""


class ApiRefused(ApiFailure):
    """An endpoint does not take this request (4xx), and would not take it again."""

    permanent = True


class GaveUp(ApiFailure):
    """A model tried as often as it wanted to by itself and got no answer."""

    permanent = True


class OutOfMemory(RequestFailure):
    """The device had too little memory for this request."""

    kind = ErrorKind.OOM
    permanent = False


class DeadlineExceeded(RequestFailure):
    """A stage took longer than its deadline and its process was ended."""

    kind = ErrorKind.TIMEOUT
    permanent = False


class ProcessDied(RequestFailure):
    """The process that worked on this request died (signal, segmentation fault, kill)."""

    kind = ErrorKind.CRASH
    permanent = False


class Released(Exception):
    """No failure: the request was given back before it was generated, which costs it nothing."""


class DiedInCompany(Released):
    """No failure that is known to be this request's: the model's process died or hung while it generated it beside
    others. It goes back without a strike and is generated alone from now on."""


def as_failure(error: BaseException) -> RequestFailure | EnvironmentProblem:
    """What a model or a library raised on a request as one of ours; its own traceback is kept as the cause."""
    if isinstance(error, RequestFailure | EnvironmentProblem):
        return error
    failure: RequestFailure = ModelFailure(f"{type(error).__name__}: {error}")
    if isinstance(error, MemoryError):
        failure = OutOfMemory(f"the machine's memory is full: {error}".rstrip(": "))
    failure.__cause__ = error
    return failure
