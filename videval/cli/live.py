"""An area of the terminal that is drawn again and again, with everything else above it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.live import Live

from videval.cli.console import console, errors, speaking_through

__all__ = ["live_area"]


@contextmanager
def live_area() -> Iterator[Live]:
    """Draw with `update`; what is warned or logged meanwhile stands above, whole. It is gone at the end."""
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        if not errors.is_terminal:
            yield live
            return
        with speaking_through(console), _logs_to_proxy():
            yield live


@contextmanager
def _logs_to_proxy() -> Iterator[None]:
    """The log goes to what rich has put in the place of standard error: it prints above the area."""
    handlers = [h for h in logging.getLogger().handlers if isinstance(h, logging.StreamHandler)]
    before = [h.setStream(sys.stderr) for h in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            if stream is not None:
                handler.setStream(stream)
