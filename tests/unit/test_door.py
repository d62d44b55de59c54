"""The Python door without a fleet: light to import, the options and records of the inside, errors with hints."""

import ast
import asyncio
import json
import pickle
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast, get_type_hints

import pytest

import videval
from tests.seeding import Seed, add_worker, new_database, seed_run, settings_for
from tests.trees import clip, tree
from videval import door
from videval.db.records import RunInfo
from videval.db.session import Database, open_database
from videval.door import handle, opened
from videval.door.options import AnyPath, Options, asked_of
from videval.errors import (
    DatabaseUnavailable,
    DataMissing,
    EnvironmentProblem,
    Incomplete,
    SchemaMismatch,
    UnknownName,
    UsageError,
    VidevalError,
)
from videval.options import TEXTS, Asked, options
from videval.report import RunStatus, ScoreReport
from videval.report.status import run_status
from videval.settings import Settings

ROOT = Path(__file__).parents[2]
NOBODY = "redis://127.0.0.1:1/0"
AWAY = "postgresql+psycopg://nobody@127.0.0.1:1/none"
HEAVY = (
    *("alembic", "av", "celery", "decord", "kombu", "numpy", "pandas", "pydantic", "redis", "sqlalchemy", "torch"),
    *("transformers", "typer", "rich", "videval.door", "workers"),
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home of its own, and no broker."""
    return settings_for(tmp_path / "home", broker_url=NOBODY)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Six questions about a real clip."""
    (tmp_path / "a.mp4").write_bytes(clip())
    rows = [{"index": str(i), "video": "a.mp4", "question": f"What is {i}?", "answer": "x"} for i in range(6)]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "asked.jsonl"


@pytest.fixture(scope="module")
def seeded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished run with failures and one that goes on."""
    home = tmp_path_factory.mktemp("door")
    database = new_database(home)
    seed_run(database, Seed(variant="over_8frame", questions=20, done=17, failed=3))
    seed_run(database, Seed(variant="going_8frame", questions=20, done=7, running=1))
    database.close()
    return home


@pytest.fixture
def seeded(seeded_home: Path, tmp_path: Path) -> Settings:
    """Settings of a copy of it."""
    shutil.copytree(seeded_home, tmp_path / "copy")
    return settings_for(tmp_path / "copy", broker_url=NOBODY)


# import


def python(code: str) -> str:
    """What a new process prints; nothing may come on standard error."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == ""
    return done.stdout


def test_import_videval_imports_nothing_but_itself() -> None:
    held = f"[name for name in {HEAVY} if name in sys.modules]"
    said = python(f"import sys, videval; dir(videval); print({held}); videval.enqueue; print({held})")
    before, after = (ast.literal_eval(line) for line in said.splitlines())
    assert before == [] and "sqlalchemy" in after
    assert not {"av", "celery", "decord", "pandas", "torch", "transformers", "typer"} & set(after)


def test_a_program_that_enqueues_is_not_made_to_import_torch_or_a_decoder(table: Path, tmp_path: Path) -> None:
    settings = {"home": str(tmp_path / "home"), "broker_url": NOBODY}
    call = f"videval.enqueue({str(table)!r}, 'Video-LLaVA-tiny', settings={settings}).score()"
    heavy = ("av", "celery", "decord", "pandas", "torch", "transformers")
    said = python(f"import sys, videval; {call}; print([n for n in {heavy} if n in sys.modules])")
    assert ast.literal_eval(said) == []


def test_every_public_name_is_there_and_the_types_have_the_same() -> None:
    assert all(getattr(videval, name) is not None for name in videval.__all__)
    assert set(videval.__all__) <= set(dir(videval))
    stub = ast.parse((ROOT / "videval" / "__init__.pyi").read_text())
    (said,) = [node.value for node in stub.body if isinstance(node, ast.Assign)]
    assert ast.literal_eval(said) == videval.__all__
    assert set(door.__all__) - {"SettingsLike"} <= set(videval.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'enqeue'"):
        _ = videval.enqeue  # type: ignore[attr-defined]


def test_no_public_name_hides_a_module() -> None:
    modules = {p.stem for p in (ROOT / "videval").iterdir()}
    assert not modules & set(videval.__all__)


# options


def test_the_options_are_those_of_the_command_line() -> None:
    asked, ours = get_type_hints(Asked), get_type_hints(Options)
    assert list(ours) == [field.name for field in options()]
    assert {f.name for f in fields(Asked)} == {"what", "model", *ours}
    for field in options():
        said = str(asked[field.name]).replace("pathlib.Path", str(AnyPath)).replace("tuple[str, ...]", SEQUENCE)
        assert said == str(ours[field.name]), field.name


SEQUENCE = "collections.abc.Sequence[str]"
GOOD: dict[Any, tuple[Any, Any]] = {
    bool: (True, True),
    int: (3, 3),
    float: (1, 1.0),
    str: ("a", "a"),
    Path: ("a/b", Path("a/b")),
    TEXTS: ("END", ("END",)),
}
BAD: dict[Any, tuple[Any, ...]] = {
    bool: (1, "yes"),
    int: (1.5, "3", True),
    float: ("1", True, float("nan")),
    str: (3, b"a"),
    Path: (3,),
    TEXTS: (3, [1]),
}


@pytest.mark.parametrize("field", options(), ids=lambda f: f.name)
def test_every_option_is_taken_as_its_type_and_refused_as_another(field: Any) -> None:
    given, taken = GOOD[field.type]
    if field.told.least is not None:
        given = taken = field.type(field.told.least)
    assert getattr(asked_of("what", "model", {field.name: given}), field.name) == taken
    assert getattr(asked_of("what", "model", {field.name: None}), field.name) == field.default
    for wrong in BAD[field.type]:
        with pytest.raises(UsageError, match=f"{field.name}="):
            asked_of("what", "model", {field.name: wrong})
    for beyond, bound in ((-1e12, field.told.least), (1e12, field.told.most)):
        if bound is not None:
            with pytest.raises(UsageError, match=f"must be at (least|most) {bound:,.10g}"):
                asked_of("what", "model", {field.name: int(beyond) if field.type is int else beyond})


def test_an_editor_and_mypy_know_the_options(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import videval\n"
        "run = videval.enqueue('MVBench_8frame', 'fake', limit=100, stop=['END'], settings={'home': 'x'})\n"
        "value: float | None = run.wait(timeout=3).score().value\n"
        "with videval.fleet('cpu') as fleet: alive: int = fleet.alive\n"
        "async def told() -> list[float]: return [s.rate async for s in run.progress()]\n"
        "videval.enqueue('MVBench_8frame', 'fake', limit='all')\n"
        "videval.enqueue('MVBench_8frame', 'fake', limt=3)\n"
        "run.score().vlaue\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    wrong = [line.split(":")[1] for line in done.stdout.splitlines() if ": error:" in line]
    assert wrong == ["6", "7", "8"], done.stdout


# errors


WRONG: dict[str, tuple[Callable[[Settings, Path], Any], type[VidevalError], str]] = {
    "variant": (lambda s, t: videval.enqueue("MVBnch_8frame", "fake", settings=s), UnknownName, "MVBench"),
    "model": (lambda s, t: videval.enqueue(t, "Video-LLaVA-7b", settings=s), UnknownName, "Video-LLaVA-7B"),
    "no model": (lambda s, t: videval.enqueue(t, settings=s), UsageError, "list models"),
    "nothing": (lambda s, t: videval.enqueue(settings=s), UsageError, "list models"),
    "option": (lambda s, t: videval.enqueue(t, "fake", settings=s, limt=3), UsageError, "limit"),  # type: ignore[call-arg]
    "run": (lambda s, t: videval.run("mvbench", settings=s), UnknownName, "list runs"),
    "setting": (lambda s, t: videval.list_runs(settings={"hom": "x"}), UsageError, "home"),
    "value": (lambda s, t: videval.list_runs(settings={"lease": -1}), EnvironmentProblem, "set it right"),
    "device": (lambda s, t: videval.fleet("gpu?", settings=s).start(), UsageError, "cpu"),
    "data": (lambda s, t: videval.enqueue("MVBench_8frame", "fake", settings=s), DataMissing, "prepare MVBench"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_an_error_with_its_hint(
    what: str, settings: Settings, table: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(table.parent))
    call, kind, hint = WRONG[what]
    with pytest.raises(kind) as raised:
        call(settings, table)
    assert hint in raised.value.hint
    assert traceback.format_exception_only(raised.value)[-1] == f"  -> {raised.value.hint}\n"
    assert capfd.readouterr() == ("", "")


def test_a_database_of_a_newer_videval_says_so(seeded: Settings) -> None:
    run = videval.run("over", settings=seeded)
    database = open_database(seeded)
    database.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    for call in (run.status, run.wait, run.score, lambda: videval.list_runs(settings=seeded)):
        with pytest.raises(SchemaMismatch, match="newer than this videval") as raised:
            call()
        assert "upgrade" in raised.value.hint


def test_a_database_server_that_stays_away_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(opened, "PATIENCE", 0.1)
    monkeypatch.setattr(opened, "PAUSE", 0.05)
    with pytest.raises(DatabaseUnavailable, match="database postgresql"):
        videval.list_runs(settings=settings_for(tmp_path, database_url=AWAY))


def test_without_a_broker_the_rows_stand_and_a_remark_says_so(settings: Settings, table: Path) -> None:
    run = videval.enqueue(table, "fake", settings=settings)
    assert "the broker is away" in run.remarks[-1] and run.status().counts.queued == 6


def test_a_fleet_without_a_broker_is_an_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door.local, "BROKER_PATIENCE", 0.0)
    with pytest.raises(EnvironmentProblem, match="redis"), videval.fleet("cpu", settings=settings):
        pytest.fail("it must not begin")


# runs


def test_the_same_again_is_the_same_run_and_new_is_another(settings: Settings, table: Path) -> None:
    first = videval.enqueue(table, "fake", limit=2, settings=settings)
    assert first.status().counts.total == 2
    assert videval.enqueue(table, "fake", settings=settings) == first and first.status().counts.total == 6
    other = videval.enqueue(str(table), "fake", new=True, settings=settings)
    assert other != first and [r.name for r in videval.list_runs(settings=settings)] == [other.name, first.name]
    assert videval.run(first.name, settings=settings) == first


def test_a_published_benchmark_is_found_by_the_settings(tmp_path: Path, settings: Settings) -> None:
    tree("MVBench", tmp_path / "MVBench")
    given = {"home": settings.home, "broker_url": NOBODY, "data_root": tmp_path}
    run = videval.enqueue("MVBench_8frame", "fake", settings=given)
    assert run.info().variant == "MVBench_8frame"


def test_a_run_gives_the_records_of_the_inside(seeded: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    run = videval.run("over", settings=seeded)
    status, score = run.status(), run.score()
    assert isinstance(status, RunStatus) and isinstance(score, ScoreReport) and isinstance(run.info(), RunInfo)
    assert (status.state, status.counts.done, status.counts.failed) == ("finished", 17, 3)
    assert score.value == score.overall.estimate.mean
    assert sum(group.count for group in run.failures()) == 3
    assert run.card()["run"] == run.name
    assert capfd.readouterr() == ("", "")


def test_a_run_as_a_data_frame_has_the_export_then_the_verdicts(seeded: Settings) -> None:
    found = videval.run("over", settings=seeded).to_pandas()
    assert list(found.columns[-4:]) == ["prediction", "verdict", "value", "failure"]
    assert len(found) == 20 and found["index"].is_unique
    assert found["prediction"].notna().sum() == 17 and found["failure"].notna().sum() == 3
    assert set(found["verdict"].dropna()) <= {"right", "wrong", "unparsed", "truncated"}
    mean = found["value"].dropna().astype(float).mean()
    assert mean == pytest.approx(videval.run("over", settings=seeded).score().value)


def test_an_export_goes_where_it_is_told(seeded: Settings, tmp_path: Path) -> None:
    run = videval.run("over", settings=seeded)
    assert run.export(tmp_path / "mine.tsv").format == "tsv"
    assert run.export(tmp_path / "folder", format="json").path.is_relative_to(tmp_path / "folder")
    with pytest.raises(UsageError, match="no format ends in") as raised:
        run.export(tmp_path / "mine.csv")
    assert ".xlsx" in raised.value.hint
    with pytest.raises(Incomplete, match="not answered yet"):
        videval.run("going", settings=seeded).export(tmp_path / "other.tsv")
    assert videval.run("going", settings=seeded).export(tmp_path / "other.tsv", partial=True).rows == 20


def test_an_export_that_cannot_be_is_an_error_with_its_hint(seeded: Settings, tmp_path: Path) -> None:
    run = videval.list_runs(settings=seeded)[0]
    with pytest.raises(UsageError, match="unknown format 'csv'"):
        run.export(tmp_path, format=cast(Any, "csv"), partial=True)
    with pytest.raises(EnvironmentProblem, match="cannot write /proc"):  # no folder in which files can be made
        run.export("/proc/a.xlsx", partial=True)


@pytest.mark.parametrize("period", [0, -1.0, float("nan")])
def test_looks_without_a_pause_are_refused(seeded: Settings, period: float) -> None:
    with pytest.raises(UsageError, match="must be more than 0"):
        videval.list_runs(settings=seeded)[0].progress(period=period)


def test_a_run_is_paused_resumed_cancelled_and_tried_again(seeded: Settings) -> None:
    run = videval.run("going", settings=seeded)
    assert run.pause().is_changed and run.status().state == "paused"
    assert not run.pause().is_changed
    assert run.resume().rung.away is not None and run.status().state == "active"
    assert run.cancel().is_changed and run.status().state == "cancelled"
    with pytest.raises(UsageError, match="is cancelled"):
        run.pause()
    assert run.retry().is_changed and run.status().state == "active"
    with pytest.raises(UsageError, match="not a kind of failure"):
        run.retry(kinds=["bad"])


def test_merge_reads_the_answers_again(seeded: Settings) -> None:
    assert videval.run("over", settings=seeded).merge().responses == 17


def test_a_run_that_its_database_does_not_have_is_an_unknown_name(seeded: Settings, tmp_path: Path) -> None:
    run = videval.run("over", settings=seeded)
    with pytest.raises(UnknownName, match=run.name):
        replace(run, settings=settings_for(tmp_path / "empty")).status()
    with pytest.raises(UnknownName, match=run.name):
        replace(run, run_id=2).wait()


def test_a_run_travels_to_other_processes(seeded: Settings) -> None:
    run = pickle.loads(pickle.dumps(videval.run("over", settings=seeded)))  # noqa: S301 (our own)
    assert run.status().counts.done == 17


# waiting


def test_a_finished_run_is_not_waited_for(seeded: Settings) -> None:
    run = videval.run("over", settings=seeded)
    assert run.wait(timeout=0) is run and run.wait() is run
    assert asyncio.run(run.wait_async()) is run


def test_a_timeout_keeps_the_run_and_says_what_keeps_it(seeded: Settings) -> None:
    run = videval.run("going", settings=seeded)
    with pytest.raises(TimeoutError) as raised:
        run.wait(timeout=0)
    error = raised.value
    assert isinstance(error, videval.TimedOut) and isinstance(error, VidevalError) and error.exit_code == 4
    assert error.run == run and "7 of 20" in str(error) and "no worker has its model" in str(error) and error.hint
    database = open_database(seeded)
    add_worker(database, "0@a", state="loading", load_key="other|other")
    add_worker(database, "1@a", load_key="other|other", message="no space left")
    database.close()
    with pytest.raises(TimeoutError, match="no worker has its model: 1@a: no space left; 1 worker loading"):
        run.wait(timeout=0)
    run.pause()
    with pytest.raises(videval.TimedOut, match="the run is paused"):
        asyncio.run(run.wait_async(timeout=0.01))


@pytest.mark.parametrize("kind", [videval.TimedOut, videval.RunCancelled])
def test_what_ends_a_wait_travels_to_other_processes(
    kind: type[videval.TimedOut | videval.RunCancelled], seeded: Settings
) -> None:
    error = kind("so", videval.run("over", settings=seeded))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own)
    assert (str(again), again.run, again.hint) == ("so", error.run, error.hint)


def test_a_run_that_is_cancelled_meanwhile_ends_the_wait(seeded: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle, "PERIOD", 0.02)
    run = videval.run("going", settings=seeded)
    cancel = threading.Timer(0.2, run.cancel)
    cancel.start()
    with pytest.raises(videval.RunCancelled) as raised:
        run.wait(timeout=60)
    cancel.join()
    assert raised.value.run == run and "retry" in raised.value.hint
    with pytest.raises(videval.RunCancelled):
        asyncio.run(run.wait_async())


def test_progress_is_told_again_and_again_also_in_a_running_event_loop(seeded: Settings) -> None:
    run = videval.run("going", settings=seeded)

    async def told() -> tuple[int, int]:
        seen, ticks = 0, 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        async for status in run.progress(period=0.05, timeout=60):
            assert status.counts.done == 7
            seen += 1
            if seen == 3:
                break
        ticking.cancel()
        assert run.status().counts.done == 7  # as in a cell of a notebook
        return seen, ticks

    seen, ticks = asyncio.run(told())
    assert seen == 3 and ticks > 3
    with pytest.raises(videval.TimedOut):
        for status in run.progress(period=0.01, timeout=0.05):
            assert status.run.name == run.name


def test_a_wait_outlasts_a_database_that_is_away(seeded: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    run, looks = videval.run("over", settings=seeded), list[float]()

    def look(database: Database, info: RunInfo) -> RunStatus:
        looks.append(time.monotonic())
        if len(looks) < 4:
            raise DatabaseUnavailable("away")
        return run_status(database, info)

    monkeypatch.setattr("videval.report.run_status", look)
    assert [status.counts.done for status in run.progress(period=0.01)] == [17] and len(looks) == 4
    looks.clear()
    monkeypatch.setattr(handle, "OUTAGE", 0.0)
    with pytest.raises(DatabaseUnavailable):
        run.wait()


def test_enqueueing_does_not_hold_up_an_event_loop(settings: Settings, table: Path) -> None:
    run = asyncio.run(videval.enqueue_async(table, "fake", settings=settings))
    assert run.status().counts.total == 6
