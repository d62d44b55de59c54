"""The fleet: `celery -A workers worker`, once per device.

Importing this package opens, locks and starts nothing; `app` is made when it is first asked for, so that engine
and decoder processes, which live here too, never load Celery.
"""

import sys
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "app":
        return _app()
    raise AttributeError(name)


def _app() -> Any:
    """Celery asks for it, and would show a mistake in VIDEVAL_* variables as a traceback."""
    from videval.errors import VidevalError

    try:
        from workers.tasks import app
    except VidevalError as error:
        sys.stderr.write(f"videval worker: {error}\n  -> {error.hint}\n")
        sys.exit(error.exit_code)
    return app
