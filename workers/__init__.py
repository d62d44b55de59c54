"""The fleet: `celery -A workers worker`, once per device.

Importing this package opens, locks and starts nothing; `app` is made when it is first asked for, so that engine
and decoder processes, which live here too, never load Celery.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "app":
        from workers.tasks import app

        return app
    raise AttributeError(name)
