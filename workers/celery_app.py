"""The Celery application, and a bell as a worker hears it."""

import json
import logging
import os
from typing import Any

from celery import Celery
from celery.worker.request import Request

from workers import config

__all__ = ["Bell", "app"]

log = logging.getLogger(__name__)
HEEDED = ("lang", "task", "id", "root_id", "parent_id", "origin")
"""The headers of a message that mean something here."""


def _forget_celery_variables() -> None:
    """VIDEVAL_* variables say it all: Celery would prefer CELERY_BROKER_URL and its like to its configuration, and
    take options of its commands from CELERY_WORKER_*; messages would go where nobody reads them."""
    asked = os.environ.get("CELERY_BROKER_URL")
    if asked is not None and asked != config.broker_url:
        log.warning("CELERY_BROKER_URL (or celery --broker) is not heeded: VIDEVAL_BROKER_URL says where Redis is")
    for name in [n for n in os.environ if n.startswith("CELERY_")]:
        del os.environ[name]


for chatty in ("celery.worker.strategy", "celery.app.trace"):  # two lines of ids for each message
    logging.getLogger(chatty).setLevel(logging.WARNING)
_forget_celery_variables()
app = Celery("videval", loader="celery.loaders.app:AppLoader")
app.config_from_object(config)


class Bell(Request):
    """A message as a worker hears it: a request id. Delays, expiries, limits, callbacks and chains that somebody put
    into it are not there."""

    def __init__(self, message: Any, *, body: Any = None, headers: Any = None, **more: Any) -> None:
        heard = message.headers if headers is None else headers
        super().__init__(
            message,
            body=_arguments_only(message.body if body is None else body),
            headers={name: heard.get(name) for name in HEEDED},
            **more,
        )


def _arguments_only(body: Any) -> Any:
    """A message's body without what Celery would do besides; one that is not understood stays (it is rejected)."""
    try:
        arguments = json.loads(body)[0]
    except (ValueError, TypeError, LookupError):
        return body
    return json.dumps([arguments, {}, {}])
