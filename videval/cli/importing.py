"""import: result files of other tools, and exports, become runs."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videval.cli.asked import takes_files
from videval.cli.busy import busy
from videval.cli.console import explain, opened, say, say_json, settings_with, warn
from videval.options import TEXTS, Asked, options
from videval.paths import expanded
from videval.words import plural

if TYPE_CHECKING:
    from videval.db.records import RunInfo
    from videval.imports import Found, Stored
    from videval.settings import Settings

__all__ = ["import_command"]

FILES = typer.Argument(help="xlsx, tsv, json, jsonl, pkl; of ours parquet too")
SHOWN = 10
"""How many rows are named that are of no question, or repeat one."""


@takes_files
def import_command(
    asked: Asked,
    *,
    files: list[Path] = FILES,
    unknown_model: Annotated[
        bool, typer.Option("--unknown-model", help="a model that is not known here: to compare, not to go on with")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, and write nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for scripts")] = False,
) -> None:
    """Make runs of other tools' result files, scored by our rules.

    Result files of VLMEvalKit (its pickles too, which are read and never run), sample logs of lmms-eval, and our own
    exports. The same order afterwards asks only what is missing. Exit code 1 if rows are of no question. Keys of
    --json: README, "For scripts".
    """
    from videval.imports import gather

    settings = settings_with()
    with busy("reading and matching"):
        found = gather([expanded(file) for file in files], asked, settings, unknown_model=unknown_model)
    if not as_json:
        for each in found:
            _explain(each)
    names = (_rehearsed if dry_run else _stored)(found, settings, new=asked.new, quiet=as_json)
    if as_json:
        say_json([_as_json(each, name) for each, name in zip(found, names, strict=True)])
    if any(each.matched.unmatched for each in found):
        raise typer.Exit(1)


def _explain(found: "Found") -> None:
    """What the files are, and whose answers their rows are."""
    matched, order = found.matched, found.order
    tools = dict.fromkeys(file.tool for file in found.files)
    say(f"{', '.join(file.name for file in found.files)} ({', '.join(tools)})")
    failed = sum(matched.failed.values())
    explain(f"  {order.variant.name}, {order.spec.name}: {_answers(found)} of {plural(len(order.samples), 'question')}")
    if matched.by_index_alone:
        warn(f"  matched by index alone, as these files have no questions: {matched.by_index_alone:,}")
    if failed:
        said = ", ".join(f"{why} {count:,}" for why, count in sorted(matched.failed.items()))
        warn(f"  {plural(failed, 'row')} without an answer, left to be asked: {said}")
    _list("there twice with the same answer, taken once", matched.twice)
    _list("of no question, not imported", matched.unmatched)


def _answers(found: "Found") -> str:
    packs = len(found.matched.packs)
    return plural(len(found.matched.answers), "answer") + (f", and {plural(packs, 'pack')}" if packs else "")


def _list(what: str, rows: list[str]) -> None:
    if rows:
        warn(f"  {plural(len(rows), 'row')} {what}:")
        for row in rows[:SHOWN]:
            warn(f"    {row}")
        if len(rows) > SHOWN:
            warn(f"    ... and {len(rows) - SHOWN:,} more")


def _rehearsed(found: list["Found"], settings: "Settings", *, new: bool, quiet: bool) -> list[str | None]:
    """Say into which runs the answers would go, and how to go on; returns the names of those that are there."""
    runs = [_run_there(each, settings, new=new) for each in found]
    if not quiet:
        for each, run in zip(found, runs, strict=True):
            where = f"run {run.name}" if run else "a new run"
            say(f"  {plural(len(each.said), 'request')} would be stored in {where}")
            explain(f"  {_rest(each)}")
        say("nothing was written")
    return [run.name if run else None for run in runs]


def _run_there(found: "Found", settings: "Settings", *, new: bool) -> "RunInfo | None":
    from videval.db.schema import check
    from videval.db.session import open_database
    from videval.imports import run_for

    if settings.is_embedded_database and not (settings.home_path / "videval.db").exists():
        return None
    database = open_database(settings, read_only=True)
    try:
        check(database)
        return run_for(database, found.order, found.files, new=new)
    finally:
        database.close()


def _stored(found: list["Found"], settings: "Settings", *, new: bool, quiet: bool) -> list[str | None]:
    """Store the answers and say into which runs; returns their names."""
    from videval.cli.results import show_score
    from videval.imports import run_for, store

    names: list[str | None] = []
    with opened(settings) as database:
        for each in found:
            run_for(database, each.order, each.files, new=new)  # what is refused is refused before anything is written
        for each in found:
            with busy("storing answers") as tell:
                done = store(database, each.order, each.files, each.said, new=new, on_progress=tell)
            names.append(done.run.name)
            if not quiet:
                _say_stored(each, done)
                show_score(database, done.run)
    return names


def _say_stored(found: "Found", done: "Stored") -> None:
    verb = "new run" if done.created else "goes on with run"
    known = f", {done.known:,} were there" if done.known else ""
    say(f"{verb} {done.run.name}: {plural(done.stored, 'answer')} imported{known}")
    if done.known and not done.again:
        warn("  what was there stays as it is, from whichever file; --new imports into a run beside it")
    explain(f"  {_rest(found)}")


def _rest(found: "Found") -> str:
    """How the rest of the same order is asked, or why it is not."""
    from videval.imports import is_elsewhere

    if is_elsewhere(found.order.spec):
        return f"{found.order.spec.name} is not known here: what is missing cannot be asked"
    asked = found.asked
    words = ["videval", "enqueue", *([] if asked.data else [asked.what or ""]), asked.model or ""]
    for field in options():
        value = getattr(asked, field.name)
        if value != field.default and value is not None and field.name != "new":
            words += _words(f"--{field.name.replace('_', '-')}", value, is_many=field.type == TEXTS)
    return f"what is missing is asked by: {shlex.join(words)}"


def _words(option: str, value: object, *, is_many: bool) -> list[str]:
    if isinstance(value, bool):
        return [option if value else f"--no-{option[2:]}"]
    if is_many and isinstance(value, tuple):
        return [word for one in value for word in (option, str(one))]
    return [option, str(value)]


def _as_json(found: "Found", run: str | None) -> dict[str, Any]:
    """What the files are and what became of them; the README says what each key means."""
    matched, order = found.matched, found.order
    return {
        "run": run,
        "files": [{"name": file.name, "tool": file.tool, "sha256": file.sha256} for file in found.files],
        "variant": order.variant.name,
        "model": order.spec.name,
        "questions": len(order.samples),
        "answers": len(matched.answers),
        "packs": len(matched.packs),
        "requests": len(found.said),
        "failed": dict(matched.failed),
        "twice": matched.twice,
        "unmatched": matched.unmatched,
    }
