"""videval points a fleet of GPUs at a video benchmark: every question becomes a message, every answer a row.

From Python: `run = videval.enqueue("MVBench_8frame", "Video-LLaVA-7B")`, then what `run` and this package offer;
docs/python.md. Nothing of that is imported before it is used; its types are in `__init__.pyi`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0.dev0"
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

_HOMES = {
    **dict.fromkeys(("EnvironmentProblem", "Incomplete", "UnknownName", "UsageError", "VidevalError"), "errors"),
    "Settings": "settings",
}
"""Where a name lives that is not the door's."""


def __getattr__(name: str) -> Any:
    """A public name, with its module imported now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'door')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
