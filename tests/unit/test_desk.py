"""One desk, two doors: what the command line does to a run and says of it, the dashboard does and says."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from dashboard import actions
from dashboard import backend as shared
from tests.cli import Call, Said, caller
from tests.seeding import Seed, new_database, seed_run, settings_for
from videval.db import queue
from videval.db.records import RunInfo
from videval.db.session import open_database
from videval.errors import UsageError, VidevalError
from videval.options import Asked
from videval.runs import find
from workers import desk

Click = Callable[..., str]
NOBODY = "redis://127.0.0.1:1/0"
RUNS = {
    "going": Seed(variant="going_8frame", questions=6, done=3, running=1),
    "paused": Seed(variant="paused_8frame", questions=6, done=2, failed=1, state="paused"),
    "cancelled": Seed(variant="cancelled_8frame", questions=6, done=2, state="cancelled"),
    "finished": Seed(variant="finished_8frame", questions=6, done=6),
    "failed": Seed(variant="failed_8frame", questions=6, done=4, failed=2),
    "creating": Seed(variant="creating_8frame", questions=6, done=0, state="creating"),
    "half": Seed(variant="half_8frame", questions=8, done=4, failed=4, pack=True),
}


@dataclass(frozen=True)
class Came:
    """What came of it: what was said, what was warned or refused, and what the run's rows say then."""

    said: str
    remark: str
    state: str
    waiting: int
    rung_for: int


@pytest.fixture(scope="module")
def seeded_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("runs")
    database = new_database(home)
    for seed in RUNS.values():
        seed_run(database, seed)
    database.close()
    return home


@pytest.fixture
def homes(seeded_runs: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two homes with the same runs, one for each door."""
    for name in ("typed", "clicked"):
        shutil.copytree(seeded_runs, tmp_path / name)
    return tmp_path / "typed", tmp_path / "clicked"


@pytest.fixture
def typed(homes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `videval WORDS` where no broker is."""
    call = caller(homes[0], monkeypatch, capsys)

    def type_(*words: str) -> Said:
        monkeypatch.setenv("VIDEVAL_HOME", str(homes[0]))
        monkeypatch.setenv("VIDEVAL_BROKER_URL", NOBODY)
        return call(*words)

    return type_


@pytest.fixture
def clicked(homes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Click]:
    """Does something as a button of the dashboard does, where no broker is."""

    def click(action: Callable[[], str], *, allowed: bool = True) -> str:
        monkeypatch.setenv("VIDEVAL_HOME", str(homes[1]))
        monkeypatch.setenv("VIDEVAL_BROKER_URL", NOBODY)
        monkeypatch.setenv("VIDEVAL_DASHBOARD_ALLOW_ACTIONS", str(int(allowed)))
        shared.the_settings.cache_clear()
        return action()

    yield click
    shared.the_settings.cache_clear()
    shared._backend.clear()


def run_of(home: Path, name: str) -> RunInfo:
    database = open_database(settings_for(home))
    try:
        return find(database, name)
    finally:
        database.close()


def came(home: Path, name: str, said: str, remark: str) -> Came:
    database = open_database(settings_for(home))
    run = find(database, name)
    of_run = f"FROM requests WHERE run_id = {run.run_id}"
    with database.read() as connection:
        counts = [
            int(connection.exec_driver_sql(f"SELECT count(*) {of_run} AND {what}").scalar_one())
            for what in ("status IN ('queued', 'running')", "published > 0")
        ]
    database.close()
    return Came(said=said, remark=remark, state=run.state, waiting=counts[0], rung_for=counts[1])


def by_command(typed: Call, home: Path, name: str, *words: str) -> Came:
    done = typed(*words)
    refused = done.err.removeprefix("error: ").replace("\n  -> ", " ")
    return came(home, name, done.out.strip(), refused.strip())


def by_button(clicked: Click, home: Path, name: str, action: Callable[[], str]) -> Came:
    try:
        said, _, remark = clicked(action).partition("; the rows stand")
        return came(home, name, said, f"the rows stand{remark}" if remark else "")
    except VidevalError as error:
        return came(home, name, "", f"{error} {error.hint}".strip())


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "retry"])
@pytest.mark.parametrize("state", list(RUNS))
def test_both_doors_have_one_rule(state: str, verb: str, homes: tuple[Path, Path], typed: Call, clicked: Click) -> None:
    typing = by_command(typed, homes[0], state, verb, state)
    run = run_of(homes[1], state)
    clicking = by_button(clicked, homes[1], state, lambda: actions.change(getattr(desk, verb), run))
    assert typing == clicking and typing.said + typing.remark


@dataclass(frozen=True)
class Narrowed:
    """What a retry is narrowed to."""

    state: str
    kinds: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    unanswered: bool = False

    @property
    def typed(self) -> list[str]:
        words = [w for kind in self.kinds for w in ("--kind", kind)] + [w for i in self.indexes for w in ("--index", i)]
        return ["retry", self.state, *words, *["--unanswered"] * self.unanswered]

    def clicked(self, run: RunInfo) -> str:
        verb = partial(desk.retry, kinds=self.kinds, indexes=self.indexes, unanswered=self.unanswered)
        return actions.change(verb, run)


@pytest.mark.parametrize(
    "narrowed",
    [
        Narrowed("failed", kinds=("video",)),
        Narrowed("failed", kinds=("oom",)),
        Narrowed("failed", kinds=("vidoe",)),
        Narrowed("failed", indexes=("q4",)),
        Narrowed("failed", indexes=("q0",)),
        Narrowed("failed", indexes=("q99",)),
        Narrowed("finished", unanswered=True),
        Narrowed("half", unanswered=True),
        Narrowed("half", unanswered=True, kinds=("video",)),
    ],
)
def test_both_doors_narrow_and_refuse_a_retry_alike(
    narrowed: Narrowed, homes: tuple[Path, Path], typed: Call, clicked: Click
) -> None:
    typing = by_command(typed, homes[0], narrowed.state, *narrowed.typed)
    run = run_of(homes[1], narrowed.state)
    clicking = by_button(clicked, homes[1], narrowed.state, lambda: narrowed.clicked(run))
    assert typing == clicking and typing.said + typing.remark


def test_both_doors_enqueue_alike_and_the_rows_stand_while_the_broker_is_away(
    homes: tuple[Path, Path], typed: Call, clicked: Click, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    table = tmp_path / "asked.jsonl"
    table.write_text('{"index": 1, "video": "a.mp4", "question": "What?"}\n')
    for verb in ("new run", "goes on with run"):
        typing = typed("enqueue", str(table), "fake")
        clicking = clicked(lambda: actions.place(Asked(what=str(table), model="fake")))
        assert typing.code == 3 and typing.lines[0] == clicking.partition(";")[0] and typing.lines[0].startswith(verb)
        away = clicking.partition("; ")[2]
        assert away.startswith("the rows stand, but the broker is away") and away in typing.err
    assert came(homes[0], "asked", "", "") == came(homes[1], "asked", "", "") == Came("", "", "active", 1, 0)


def test_the_same_order_again_needs_no_broker_when_everybody_was_rung_for(
    homes: tuple[Path, Path], typed: Call, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    table = tmp_path / "asked.jsonl"
    table.write_text('{"index": 1, "video": "a.mp4", "question": "What?"}\n')
    assert typed("enqueue", str(table), "fake").code == 3
    database = open_database(settings_for(homes[0]))
    run = find(database, "asked")
    with database.read() as connection:
        rings = queue.pending_of_run(connection, run.run_id, after=0, limit=10)
    database.write(queue.mark_published, [r.request_id for r in rings])
    database.close()
    again = typed("enqueue", str(table), "fake")
    assert (again.code, again.err) == (0, "") and "  0 messages sent" in again.out


def test_both_doors_refuse_an_order_alike(homes: tuple[Path, Path], typed: Call, clicked: Click) -> None:
    for what in ("MVBench_8frme", "none.tsv", "MVBench_8frame"):
        typing = typed("enqueue", what, "fake")
        with pytest.raises(VidevalError) as refused:
            clicked(lambda what=what: actions.place(Asked(what=what, model="fake")))
        assert typing.code in (2, 3) and typing.err.splitlines() == [
            f"error: {refused.value}",
            f"  -> {refused.value.hint}",
        ]


def test_a_run_that_was_cancelled_in_another_window_is_resumed_through_neither_door(
    homes: tuple[Path, Path], typed: Call, clicked: Click
) -> None:
    shown = run_of(homes[1], "paused")
    assert "cancelled" in clicked(lambda: actions.change(desk.cancel, shown))
    with pytest.raises(UsageError, match="is cancelled") as refused:
        clicked(lambda: actions.change(desk.resume, shown))
    assert typed("cancel", "paused").code == 0
    said = typed("resume", "paused")
    assert said.code == 2 and said.err == f"error: {refused.value}\n  -> {refused.value.hint}\n"


def test_a_dashboard_that_only_looks_changes_nothing(
    homes: tuple[Path, Path], clicked: Click, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(homes[1], "going")
    with pytest.raises(UsageError, match="only looks"):
        clicked(lambda: actions.change(desk.pause, run), allowed=False)
    assert run_of(homes[1], "going").state == "active"


def test_of_two_who_try_again_at_once_one_has_done_it(homes: tuple[Path, Path]) -> None:
    settings = settings_for(homes[0], broker_url=NOBODY)
    databases = [open_database(settings) for _ in range(2)]
    run = find(databases[0], "failed")
    try:
        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(lambda database: desk.retry(settings, database, run), databases))
    finally:
        for database in databases:
            database.close()
    assert sorted(d.is_changed for d in done) == [False, True]
    assert sorted(d.said.partition(": ")[2] for d in done) == [
        "2 requests will be tried again",
        "nothing to try again, no request failed",
    ]
