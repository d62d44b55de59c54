"""stats: where the time of a run went, and what held it up most."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from videval.cli import complete
from videval.cli.console import explain, opened_run, say, say_json
from videval.cli.table import Column, show_table
from videval.cli.words import percent
from videval.words import plural, took

if TYPE_CHECKING:
    from videval.report.spent import Spent

__all__ = ["stats_command"]


def stats_command(
    run: Annotated[str, typer.Argument(help="a run, or the beginning of its name", autocompletion=complete.runs)],
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    """Say where a run's time went, and what held it up.

    By stage and by worker: how long devices generated, what they waited for, and the limit that this leaves. Keys of
    --json: README, "For scripts".
    """
    from videval.report.spent import spent_of_run

    with opened_run(run) as (database, info):
        spent = spent_of_run(database, info)
    if as_json:
        say_json({"run": info.name, **_as_json(spent)})
    else:
        say(f"{info.name}: {plural(spent.answers, 'answer')} in {took(spent.elapsed_s)}")
        _show(spent)


def _show(spent: "Spent") -> None:
    what, helps = spent.in_words
    if spent.answers:
        stages = [[stage, took(s), f"{s / spent.answers:.3f} s"] for stage, s in spent.seconds.items()]
        show_table(
            [Column(title="stage"), Column(title="in all", kind="number"), Column(title="an answer", kind="number")],
            stages,
        )
        _show_workers(spent)
        for said in _counts(spent):
            explain(said)
        say(f"limit: {took(spent.limit_s)}, if no device had waited; it took {took(spent.elapsed_s)}")
    say(what)
    if helps:
        explain(f"  -> {helps}")
    if spent.answers and spent.held_up:
        say(f"now: {spent.held_up}")


def _show_workers(spent: "Spent") -> None:
    causes = [cause for cause, share in spent.lost.items() if share >= 0.001]
    names = ("worker", "answers", "busy", *causes)
    columns = [Column(title=str(name), kind="name" if name == "worker" else "number") for name in names]
    whole = spent.elapsed_s or 1.0
    show_table(
        columns,
        [
            [w.worker, f"{w.answers:,}", percent(w.busy_s / whole), *(percent(w.gaps[c] / whole) for c in causes)]
            for w in spent.workers
        ],
    )


def _counts(spent: "Spent") -> list[str]:
    said = []
    if spent.decoded is not None:
        said.append(f"clips: {spent.decoded:,} decoded, {spent.clips - spent.decoded:,} found in the frame cache")
    if spent.reused is not None:
        said.append(f"prefix reused {percent(spent.reused, 0)}")
    if spent.in_vain:
        tries = ", ".join(f"{count:,} {outcome}" for outcome, count in spent.in_vain.items())
        said.append(f"tries without an answer: {tries}")
    return said


def _as_json(spent: "Spent") -> dict[str, Any]:
    what, helps = spent.in_words
    return {
        "answers": spent.answers,
        "elapsed_s": spent.elapsed_s,
        "limit_s": spent.limit_s,
        "busy": spent.busy,
        "stages": dict(spent.seconds),
        "lost": dict(spent.lost),
        "workers": [
            {"worker": w.worker, "answers": w.answers, "busy_s": w.busy_s, "gaps": dict(w.gaps)} for w in spent.workers
        ],
        "clips": spent.clips,
        "decoded": spent.decoded,
        "prefix_reused": spent.reused,
        "in_vain": dict(spent.in_vain),
        "held_up_by": what,
        "hint": helps,
        "now": spent.held_up or None,
    }
