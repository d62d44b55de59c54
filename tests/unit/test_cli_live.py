"""What moves on the terminal: two lines that stay, everything else whole above them, one last line."""

import io
import logging
import re
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.cli import Call, terminal
from tests.seeding import settings_for
from tests.servers import free_port, wait_for
from videval.cli import busy, live, overview, progress
from videval.cli import console as consoles
from videval.cli.paced import Paced
from videval.db.records import RunInfo
from videval.db.runs import Counts
from videval.db.session import Database, open_database
from videval.errors import EnvironmentProblem
from videval.report import RunStatus, ScoreReport, run_status, score_report
from videval.runs import find
from workers.device import Device, parse_devices

SCORE = "score 61.0 % (55.2 % to 66.5 %)"


@pytest.fixture
def database(seeded: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copytree(seeded, tmp_path / "own")
    opened = open_database(settings_for(tmp_path / "own"))
    yield opened
    opened.close()


@pytest.fixture
def status(database: Database) -> RunStatus:
    """A run that goes on, with a very long name."""
    found = run_status(database, find(database, "longvideobench"))
    return replace(found, counts=Counts(done=97, failed=6, queued=197), rate_now=6.66, eta_s=178.0, live=2)


def lines_of(status: RunStatus, score: str, columns: int) -> list[str]:
    """The live lines as they stand on a terminal of so many columns."""
    there = Console(width=columns, record=True, file=io.StringIO())
    there.print(progress.live_lines(status, score, columns))
    return there.export_text().splitlines()


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("score", ["", SCORE])
def test_the_live_area_is_two_lines_at_any_width(score: str, columns: int, status: RunStatus) -> None:
    lines = lines_of(status, score, columns)
    assert len(lines) == 2 and max(map(len, lines)) <= columns
    assert status.run.name[:12] not in "".join(lines)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_bar_takes_what_the_numbers_leave(columns: int, status: RunStatus) -> None:
    bar, score = lines_of(status, SCORE, columns)
    assert len(bar.rstrip()) == columns
    assert bar.rstrip().endswith("  103/300  6 failed  6.7/s, 3 min left") and score.rstrip() == SCORE
    drawn = re.match(r"(█+)(░+)", bar)
    assert drawn and abs(len(drawn[1]) / len(drawn[0]) - 103 / 300) < 0.05


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"eta_s": 0.602}, "6.7/s, a few seconds left"),
        ({"rate_now": 0.0, "eta_s": 0.602}, "waiting for the next answer"),
        ({"rate_now": 0.0, "counts": Counts(queued=300)}, "waiting for the first answer"),
        ({"rate_now": 0.0, "counts": Counts(done=300)}, "finished"),
        ({"rate_now": 0.0, "live": 0, "counts": Counts(done=300)}, "finished"),
        ({"rate_now": 0.0, "live": 0, "eta_s": None}, "waiting for a worker"),
        ({"rate_now": 0.0, "loading_s": 12.3, "eta_s": None}, "loading the model, 12 s"),
        ({"eta_s": None}, "6.7/s"),
    ],
)
def test_nothing_is_guessed_without_a_rate(changed: dict[str, Any], said: str, status: RunStatus) -> None:
    bar, below = lines_of(replace(status, **changed), "", 80)
    assert bar.rstrip().endswith(f"  {said}") and below.rstrip() == "no score yet"


def test_the_plain_line_says_the_same(status: RunStatus) -> None:
    said = progress.plain_line(status, SCORE)
    assert said == f"{status.run.name}: 103/300 done, 6 failed, 6.7/s, 3 min left, {SCORE}"


@pytest.mark.parametrize(
    ("counts", "answered", "seconds", "said"),
    [
        (Counts(done=60), 60, 9.0, "60 in 9 s, 6.7/s"),
        (Counts(done=57, failed=3), 60, 9.0, "60 in 9 s, 6.7/s, 3 failed"),
        (Counts(done=300), 20, 100.0, "20 in 100 s, 0.2/s"),
        (Counts(done=60), 0, 0.4, "all 60 were answered before"),
        (Counts(done=97, failed=6, queued=197), 3, 9.0, "103/300 done, stopped"),
    ],
)
def test_the_last_line_says_how_many_in_what_time(counts: Counts, answered: int, seconds: float, said: str) -> None:
    assert progress.final_line(counts, answered, seconds) == said


@dataclass
class FakeFleet:
    """A fleet that is stopped at its second tick."""

    stop: threading.Event = field(default_factory=threading.Event)
    hopeless: str = ""
    ticks: int = 0
    devices: tuple[Device, ...] = tuple(parse_devices("cpu"))

    def tick(self) -> None:
        """The second one is when somebody presses Ctrl-C."""
        self.ticks += 1
        if self.ticks > 1 and not self.hopeless:
            self.stop.set()


@pytest.mark.parametrize("on_terminal", [True, False])
def test_when_it_is_stopped_one_line_stays(
    on_terminal: bool, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if on_terminal:
        terminal(monkeypatch, 80)
    fleet = FakeFleet()
    (counts,) = progress.watch(database, [find(database, "going")], fleet, fleet.stop)  # type: ignore[arg-type]
    assert not counts.finished
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out)
    assert plain.splitlines()[-1] == "7/20 done, stopped" and plain.count("done, stopped") == 1


@pytest.mark.parametrize("on_terminal", [True, False])
def test_of_several_runs_each_has_a_line_of_its_own_at_the_end(
    on_terminal: bool, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if on_terminal:
        terminal(monkeypatch, 80)
    fleet, names = FakeFleet(), ("going", "longvideobench")
    runs = [find(database, name) for name in names]
    counts = progress.watch(database, runs, fleet, fleet.stop, named=True)  # type: ignore[arg-type]
    assert [count.total for count in counts] == [20, 8]
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out)
    assert [line.partition(": ")[0] for line in plain.splitlines()[-2:]] == [run.name for run in runs]


def test_where_others_come_after_it_is_enough_that_nothing_waits(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    run = find(database, "going")
    database.write(lambda c: c.exec_driver_sql("UPDATE requests SET status = 'running' WHERE status = 'queued'"))
    fleet = FakeFleet()
    (counts,) = progress.watch(database, [run], fleet, fleet.stop, is_last=False, named=True)  # type: ignore[arg-type]
    assert (fleet.ticks, counts.finished, counts.queued) == (1, False, 0)
    assert capsys.readouterr().out == "", "it is looked at again with those that come after it"


def test_for_a_run_that_is_finished_no_worker_is_started(database: Database) -> None:
    fleet = FakeFleet()
    (counts,) = progress.watch(database, [find(database, "short")], fleet, fleet.stop)  # type: ignore[arg-type]
    assert counts.finished and fleet.ticks == 0


def test_what_is_looked_at_often_is_read_now_and_then() -> None:
    now, took, read = [0.0], [0.0], list[float]()

    def look(at: float) -> float:
        read.append(at)
        now[0] += took[0]
        return at

    paced = Paced(look, period=2.0, clock=lambda: now[0])
    for moment in (0.0, 1.0, 1.9, 2.0, 3.0):
        now[0] = moment
        paced(moment)
    assert read == [0.0, 2.0]
    now[0], took[0] = 4.0, 0.6
    assert paced(4.0) == 4.0
    for moment in (6.1, 16.0, 16.5):
        now[0] = moment
        assert paced(moment) == 4.0, "a slow look costs a twentieth of the time at most"
    now[0] = 16.7
    assert paced(16.7) == 16.7


def test_while_answers_come_the_score_is_not_made_anew_with_every_look(
    database: Database, status: RunStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[RunInfo] = []

    def counted(database: Database, run: RunInfo, *rest: Any, **named: Any) -> ScoreReport:
        made.append(run)
        return score_report(database, run, *rest, **named)

    monkeypatch.setattr("videval.report.book.score_report", counted)
    scores = overview.Scores(database)
    for answered in range(50):
        assert scores.of(replace(status, answered=answered)).run == status.run
    assert len(made) == 1


def test_a_fleet_that_can_never_start_is_an_error(database: Database) -> None:
    fleet = FakeFleet(hopeless="cpu0: no such model")
    with pytest.raises(EnvironmentProblem, match="no such model"):
        progress.watch(database, [find(database, "going")], fleet, fleet.stop)  # type: ignore[arg-type]


# above the live area


def test_what_is_warned_and_logged_stands_whole_above_the_live_area(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(monkeypatch, 60)
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(handler)
    words = "database postgresql+psycopg://postgres@/videval: the server closed the connection; waiting for it"
    try:
        with live.live_area() as area:
            area.update("the table")
            consoles.warn(words)
            logging.getLogger("workers.fleet").warning("the worker on cpu0 ended after 12 s")
        consoles.warn("afterwards")
    finally:
        logging.getLogger().removeHandler(handler)
    out, err = capsys.readouterr()
    plain = " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", " ", out).split())
    assert words in plain and "the worker on cpu0 ended after 12 s" in plain
    assert "afterwards" in err and "afterwards" not in out


def test_a_log_file_keeps_its_warnings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal(monkeypatch, 60)
    monkeypatch.setattr(consoles.errors, "_force_terminal", False)
    with live.live_area() as area:
        area.update("the table")
        consoles.warn("for the log")
    out, err = capsys.readouterr()
    assert "for the log" in err and "for the log" not in out


# long silence


def test_what_takes_long_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(busy, "SILENCE", 0.05)
    monkeypatch.setattr(busy, "PERIOD", 0.05)
    said: list[str] = []

    def lines() -> list[str]:
        said.append(capsys.readouterr().err)
        return "".join(said).splitlines()

    with busy.busy("writing requests") as tell:
        tell(3000, 20000)
        wait_for("it to be said again", lambda: len(lines()) >= 2)
    assert lines()[0].startswith("writing requests: 3,000 of 20,000, ")


def test_what_is_over_soon_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with busy.busy("writing requests") as tell:
        tell(1, 0)
    assert capsys.readouterr() == ("", "")


def test_an_error_ends_the_sign_of_life(capsys: pytest.CaptureFixture[str]) -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), busy.busy("writing requests"):
        raise KeyError
    assert threading.active_count() == before


def test_a_terminal_without_unicode_gets_a_plain_spinner_and_bar(
    status: RunStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert consoles.spinner() == "dots"
    monkeypatch.setattr("videval.cli.console._Console.encoding", "ascii")
    assert consoles.spinner() == "line"
    assert lines_of(status, "", 80)[0].isascii()


def test_watching_in_a_pipe_is_plain_lines(
    videval: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("videval.cli.status.PERIOD", 0.01)
    looks = iter([True, True, False])
    monkeypatch.setattr("videval.cli.overview.is_going", lambda status: next(looks, False))
    said = videval("status", "going", "--watch")
    assert said.code == 0
    plain = [line for line in said.lines if line.startswith("going_8frame--fake--2: 7/20 done, 0 failed")]
    assert len(plain) == 3 and said.lines[-1] == "waiting for a worker -> videval fleet"


# the dashboard's port


def test_a_port_that_is_taken_is_said_before_anything_else_with_the_next_one(videval: Call) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        said = videval("dashboard", "--port", str(port))
    assert (said.code, said.out) == (3, "")
    assert said.err.splitlines() == [f"error: port {port} of 127.0.0.1 is taken", f"  -> --port {port + 1}"]


def test_a_host_that_is_not_here_is_said_too(videval: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEVAL_DASHBOARD_PASSWORD", "secret")
    said = videval("dashboard", "--host", "192.0.2.1")
    assert said.code == 3 and "192.0.2.1" in said.err and said.out == ""
