from videval.door import (
    LocalFleet,
    Options,
    Progress,
    Run,
    RunCancelled,
    TimedOut,
    enqueue,
    enqueue_async,
    fleet,
    list_runs,
    run,
)
from videval.errors import EnvironmentProblem, Incomplete, UnknownName, UsageError, VidevalError
from videval.settings import Settings

__all__ = [
    "EnvironmentProblem",
    "Incomplete",
    "LocalFleet",
    "Options",
    "Progress",
    "Run",
    "RunCancelled",
    "Settings",
    "TimedOut",
    "UnknownName",
    "UsageError",
    "VidevalError",
    "__version__",
    "enqueue",
    "enqueue_async",
    "fleet",
    "list_runs",
    "run",
]

__version__: str
