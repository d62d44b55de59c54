"""`python -P -m workers worker`: the same as `celery -A workers worker`, whatever modules lie in the current folder.

A worker leaves out Celery's other commands, whose import takes a twelfth of its start.
"""

import gc
import sys

__all__ = ["main"]


def main() -> None:
    """Be a worker, or another command of Celery's."""
    if sys.argv[1:2] == ["worker"]:
        _work(sys.argv[2:])
    else:
        _do_else()


def _work(options: list[str]) -> None:
    gc.disable()  # who imports throws nothing away: looking for it again and again takes an eighth of a start
    from celery.bin.base import CLIContext
    from celery.bin.worker import worker

    from workers import app

    gc.freeze()
    gc.enable()
    worker.main(options, prog_name="workers worker", obj=CLIContext(app=app, no_color=False, workdir=None))


def _do_else() -> None:
    from celery.__main__ import main as celery

    sys.argv[1:1] = ["-A", "workers"]  # this package is loaded already: Celery does not look for it in the folder
    celery()


if __name__ == "__main__":
    main()
