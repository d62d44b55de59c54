"""pause, resume, cancel, retry."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from videval.cli import complete
from videval.cli.busy import busy
from videval.cli.console import opened_run, say, settings_with, warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from videval.db.records import RunInfo
    from videval.db.session import Database
    from videval.settings import Settings
    from workers.desk import Done

__all__ = ["cancel_command", "pause_command", "resume_command", "retry_command"]

Run = Annotated[str, typer.Argument(help="a run, or the beginning of its name", autocompletion=complete.runs)]
Kind = Annotated[
    str, typer.Option(help="only these kinds: video,model,context,api,oom,timeout,crash", autocompletion=complete.kinds)
]


def retry_command(
    run: Run,
    kind: Kind = "",
    index: Annotated[list[str] | None, typer.Option(help="only these samples; may be given several times")] = None,
    unanswered: Annotated[bool, typer.Option(help="ask alone what a pack's answer did not hold")] = False,
) -> None:
    """Try failed requests again, with no strikes."""
    from workers import desk

    kinds = [name for text in kind.split(",") if (name := text.strip())]
    _change(run, partial(desk.retry, kinds=kinds, indexes=index or (), unanswered=unanswered, busy=busy))


def pause_command(run: Run) -> None:
    """Hand out no more of a run's requests; what is being generated is finished."""
    from workers import desk

    _change(run, desk.pause)


def resume_command(
    run: Run,
    max_cost: Annotated[float | None, typer.Option(min=0.000001, help="all answers may cost so much")] = None,
    max_tokens_total: Annotated[int | None, typer.Option(min=1, help="they may take so many tokens")] = None,
) -> None:
    """Go on with a paused run, or with one that was halted: what it was halted for should be mended."""
    from workers import desk

    _change(run, partial(desk.resume, max_cost=max_cost, max_tokens=max_tokens_total, busy=busy))


def cancel_command(run: Run) -> None:
    """Give up what a run has not answered; answers stay."""
    from workers import desk

    _change(run, desk.cancel)


def _change(run: str, change: "Callable[[Settings, Database, RunInfo], Done]") -> None:
    settings = settings_with()
    with opened_run(run, settings) as (database, info):
        done = change(settings, database, info)
    say(done.said)
    if done.rung.away:
        warn(f"  {done.rung.said}")
