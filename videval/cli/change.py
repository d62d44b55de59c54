"""retry, cancel, pause, resume."""

from typing import TYPE_CHECKING, Annotated

import typer

from videval.cli import complete
from videval.cli.console import opened_run, say, settings_with
from videval.cli.enqueue import ring_for
from videval.errors import BrokerUnavailable, ErrorKind, UsageError
from videval.words import plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from videval.changes import Changed
    from videval.db.records import RunInfo
    from videval.db.session import Database
    from videval.settings import Settings

__all__ = ["cancel_command", "pause_command", "resume_command", "retry_command"]

Run = Annotated[str, typer.Argument(help="a run, or the beginning of its name", autocompletion=complete.runs)]
Kind = Annotated[
    str, typer.Option(help="only these kinds: video,model,api,oom,timeout,crash", autocompletion=complete.kinds)
]


def retry_command(
    run: Run,
    kind: Kind = "",
    index: Annotated[list[str] | None, typer.Option(help="only these samples; may be given several times")] = None,
    unanswered: Annotated[bool, typer.Option(help="ask alone what a pack's answer did not hold")] = False,
) -> None:
    """Try failed requests again, with no strikes."""
    from videval.db import plans
    from videval.runs import ask_again

    settings, kinds, indexes = settings_with(), _kinds(kind), index or []
    with opened_run(run, settings) as (database, info):
        _refuse_unknown(database, info, indexes)
        if unanswered:
            count = ask_again(database, info)
        else:
            count = database.write(lambda c: plans.retry(c, info.run_id, kinds=kinds, indexes=indexes))
        if not count:
            say(f"{info.name}: nothing to try again, {_why_nothing(kinds, indexes, unanswered=unanswered)}")
            return
        say(f"{info.name}: {plural(count, 'request')} will be tried again")
        _ring(settings, database, info)


def _refuse_unknown(database: "Database", info: "RunInfo", indexes: list[str]) -> None:
    """UsageError for samples that the run's benchmark does not have."""
    from videval.db.snapshots import known_samples

    with database.read() as connection:
        known = known_samples(connection, info.snapshot_id, indexes)
    unknown = [f"{i!r}" for i in indexes if i not in known]
    if unknown:
        raise UsageError(f"{info.name} has no sample {', '.join(unknown)}", hint=f"videval errors {info.name}")


def _why_nothing(kinds: list[ErrorKind], indexes: list[str], *, unanswered: bool) -> str:
    if unanswered:
        return "no pack left a question without an answer"
    of_kind = f" of kind {' or '.join(kinds)}" if kinds else ""
    samples = f" of sample{'s' * (len(indexes) > 1)} {', '.join(indexes)}" if indexes else ""
    return f"no request{samples} failed{of_kind}"


def _kinds(text: str) -> list[ErrorKind]:
    known = [k.value for k in ErrorKind]
    asked = [k.strip() for k in text.split(",") if k.strip()]
    for name in asked:
        if name not in known:
            raise UsageError(f"{name!r} is not a kind of failure", hint=f"one of {', '.join(known)}")
    return [ErrorKind(name) for name in asked]


def _ring(settings: "Settings", database: "Database", info: "RunInfo") -> None:
    from workers.broker import using

    try:
        with using(settings):
            ring_for(settings, database, info.run_id)
    except BrokerUnavailable as error:
        say(f"  the broker is away ({error}); any worker sends the messages when it is back")


def _change(run: str, change: "Callable[[Database, RunInfo], Changed]") -> None:
    settings = settings_with()
    with opened_run(run, settings) as (database, info):
        changed = change(database, info)
        say(changed.said)
        if changed.goes_on:
            _ring(settings, database, info)


def pause_command(run: Run) -> None:
    """Hand out no more of a run's requests; what is being generated is finished."""
    from videval.changes import pause

    _change(run, pause)


def resume_command(run: Run) -> None:
    """Go on with a paused run."""
    from videval.changes import resume

    _change(run, resume)


def cancel_command(run: Run) -> None:
    """Give up what a run has not answered; answers stay."""
    from videval.changes import cancel

    _change(run, cancel)
