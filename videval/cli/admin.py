"""db, broker, prepare, verify, dashboard."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from videval.benchmarks.catalog import benchmark as find_benchmark
from videval.benchmarks.data import Report, prepare, verify
from videval.cli.console import opened, say, warn
from videval.db import schema
from videval.errors import DataMissing, UsageError
from videval.settings import Settings
from workers import broker

__all__ = ["add_to"]

db_app = typer.Typer(help="The database's schema.", no_args_is_help=True)


@db_app.command("upgrade")
def db_upgrade() -> None:
    """Bring the schema to this version."""
    with opened(Settings(), create=False) as database:
        before = schema.current(database)
        schema.upgrade(database)
        now = schema.current(database)
        say(f"{database.url}: " + (f"already at {now}" if now == before else f"schema {before or 'none'} -> {now}"))


@db_app.command("status")
def db_status() -> None:
    """Say which schema the database has; exit 3 if it is not this version's."""
    with opened(Settings(), create=False) as database:
        say(f"{database.url}: schema {schema.current(database) or 'none'}, this videval: {schema.head()}")
        schema.check(database)


@db_app.command("downgrade")
def db_downgrade(
    revision: Annotated[str, typer.Argument(help="a schema version, or base")],
    yes: Annotated[bool, typer.Option("--yes", help="really: rows may be lost")] = False,
) -> None:
    """Take the schema back; asks for --yes, since rows may be lost."""
    if not yes:
        raise UsageError("this may drop rows", hint="videval db downgrade REVISION --yes")
    with opened(Settings(), create=False) as database:
        schema.downgrade(database, revision)
        say(f"{database.url}: schema {schema.current(database) or 'none'}")


broker_app = typer.Typer(help="The broker (Redis).", no_args_is_help=True)


@broker_app.command("start")
def broker_start(
    keep: Annotated[bool, typer.Option("--keep", help="also when nobody uses it")] = False,
) -> None:
    """Start the embedded Redis, if it does not run."""
    settings = Settings()
    broker.ensure(settings)
    if keep and settings.is_embedded_broker:
        broker.pin(settings)
    _say_broker(settings)


@broker_app.command("status")
def broker_status() -> None:
    """Say whether the broker answers; exit 3 if not."""
    settings = Settings()
    if not broker.ping(settings):
        say("no broker answers" + ("; it is started when needed" if settings.is_embedded_broker else ""))
        raise typer.Exit(3)
    _say_broker(settings)


def _say_broker(settings: Settings) -> None:
    if settings.is_embedded_broker:
        pinned = ", stays when nobody uses it" if broker.is_pinned(settings) else ", ends when nobody uses it"
        say(f"embedded Redis answers at {settings.broker_socket}{pinned}")
    else:
        say(f"Redis answers at {settings.broker.rsplit('@', 1)[-1]}")


@broker_app.command("stop")
def broker_stop() -> None:
    """Stop the embedded Redis; what it held is in the rows too."""
    settings = Settings()
    if not settings.is_embedded_broker:
        raise UsageError("this broker is not ours to stop", hint="it is the one of VIDEVAL_BROKER_URL")
    say("stopped" if broker.stop(settings) else "none ran")


def _show(report: Report) -> None:
    say(f"{report.benchmark}: {report.questions} questions, {report.videos} videos at {report.root}")
    for name, lines in (("problem", report.problems), ("missing", report.missing), ("broken", report.broken)):
        for line in lines[:20]:
            warn(f"  {name}: {line}")
        if len(lines) > 20:
            warn(f"  {name}: ... and {len(lines) - 20} more")
    for note in report.notes:
        say(f"  note: {note}")
    if not report.is_complete:
        raise typer.Exit(3)
    say("  complete")


def prepare_command(name: Annotated[str, typer.Argument(help="a benchmark (MVBench)")]) -> None:
    """Find or fetch a benchmark's data, unpack it, build its question table, and check it."""
    prepared = prepare(find_benchmark(name), Settings(), progress=say)
    _show(prepared.report)


def verify_command(name: Annotated[str, typer.Argument(help="a benchmark (MVBench)")]) -> None:
    """Check a benchmark's data again: counts, hashes, and that every video opens."""
    from videval.benchmarks.data import locate

    bench, settings = find_benchmark(name), Settings()
    root = locate(bench, settings)
    if root is None:
        raise DataMissing(f"the data of {name} is not on this machine", hint=f"videval prepare {name}")
    _show(verify(bench, root))


def dashboard_command(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="port to listen on")] = 8501,
    allow_actions: Annotated[bool, typer.Option(help="let the page enqueue, pause, resume, cancel and retry")] = False,
) -> None:
    """Open the dashboard in the browser."""
    settings = Settings()
    local = host in ("127.0.0.1", "localhost", "::1")
    if not local and not settings.dashboard_password.get_secret_value():
        raise UsageError(
            f"a dashboard on {host} is open to others, and has no password",
            hint="export VIDEVAL_DASHBOARD_PASSWORD=...   (or listen on 127.0.0.1)",
        )
    app = Path(__file__).parents[2] / "dashboard" / "app.py"
    environ = dict(os.environ)
    if allow_actions:
        environ["VIDEVAL_DASHBOARD_ALLOW_ACTIONS"] = "1"
    command = [sys.executable, "-P", "-m", "streamlit", "run", str(app)]
    command += ["--server.address", host, "--server.port", str(port)]
    command += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
    say(f"dashboard at http://{host}:{port}   (Ctrl-C ends it; runs go on)")
    sys.stdout.flush()
    os.execve(sys.executable, command, environ)  # in this process's place: what ends the one ends the other


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(db_app, name="db")
    app.add_typer(broker_app, name="broker")
    app.command("prepare")(prepare_command)
    app.command("verify")(verify_command)
    app.command("dashboard")(dashboard_command)
