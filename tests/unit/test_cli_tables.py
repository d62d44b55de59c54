"""Tables fit: one line a run at any width, names never broken over lines, the same facts for scripts as JSON."""

import json
import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from tests.cli import Call, terminal
from tests.seeding import Seed, add_worker, new_database, seed_run
from tests.unit.test_docs import README, table_rows
from videval.benchmarks.catalog import benchmark_names
from videval.cli.console import explain
from videval.cli.table import Column, as_table
from videval.cli.words import duration, middle, percent, rate, time_left, when
from videval.words import plural

WIDTHS = (80, 100, 120)
RUNS = {
    "longvideobench-extended_1.5fps_subs--some-organisation/some-very-long-model-name-72b-instruct--4",
    "resting_8frame--fake--3",
    "going_8frame--fake--2",
    "short_8frame--fake--1",
}


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("words", [["list", "runs"], ["status"], ["status", "longvideobench"]], ids=" ".join)
def test_a_run_is_one_line_and_no_line_is_wider_than_the_terminal(
    words: list[str], columns: int, videval: Call
) -> None:
    said = videval(*words, columns=columns)
    assert said.code == 0
    assert max(map(len, said.lines)) <= columns
    runs = 1 if "longvideobench" in words else 4 if "list" in words else 3
    table = [line for line in said.lines if "->" not in line]
    assert len(table) == 1 + runs
    assert all(re.search(r"--\d+$", line) for line in table[1:])


def test_short_names_stand_whole_beside_long_ones_where_there_is_room(videval: Call) -> None:
    said = videval("list", "runs", columns=120)
    assert {"resting_8frame", "going_8frame", "short_8frame"} <= {line.split()[0] for line in said.lines}
    assert "…" in said.lines[1] and "--4" in said.lines[1]


def test_a_narrow_terminal_does_without_coverage_and_rate(videval: Call) -> None:
    heads = {columns: videval("status", columns=columns).lines[0].split() for columns in WIDTHS}
    assert {"rate", "coverage"}.isdisjoint(heads[80])
    assert {"rate", "coverage"} <= set(heads[100]) == set(heads[120])
    assert heads[80][:2] == ["benchmark", "model"] and heads[80][-1] == "run"


def test_in_a_pipe_every_name_is_whole(videval: Call) -> None:
    assert {line.split()[-1] for line in videval("list", "runs").lines[1:]} == RUNS


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("words", [["list", "benchmarks"], ["list", "models"], ["score", "short"], ["errors", "short"]])
def test_no_table_is_wider_than_the_terminal_and_no_word_is_broken(
    words: list[str], columns: int, videval: Call
) -> None:
    wide, narrow = videval(*words), videval(*words, columns=columns)
    table = [line for line in narrow.lines if "->" not in line and ": " not in line]
    assert max(map(len, table)) <= columns
    words_of_it = {word for word in " ".join(table).split() if "…" not in word}  # names are shortened in the middle
    assert words_of_it <= set(wide.out.split())


@pytest.mark.parametrize("columns", WIDTHS)
def test_benchmarks_are_a_line_each_with_a_variant_to_copy(columns: int, videval: Call) -> None:
    lines = videval("list", "benchmarks", columns=columns).lines
    found = {line.split()[0]: line for line in lines[1:-3]}
    assert list(found) == list(benchmark_names())
    assert max(map(len, lines)) <= columns
    assert re.search(r"\bLongVideoBench_8frame\b", found["LongVideoBench"])
    assert "choice" in found["MVBench"] and "judge*" in found["MMBench-Video"]


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("words", [["list", "benchmarks", "MLVU"], ["list", "models", "Video-LLaVA-tiny"]])
def test_sentences_break_between_words(words: list[str], columns: int, videval: Call) -> None:
    wide, narrow = videval(*words), videval(*words, columns=columns)
    assert narrow.out.split() == wide.out.split()
    assert max(map(len, narrow.lines)) <= columns


def test_a_path_that_is_wider_than_the_terminal_is_not_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    explain(f"  at {'x' * 30} and on-and-on-and-on it goes")
    assert capsys.readouterr().out.split() == ["at", "x" * 30, "and", "on-and-on-and-on", "it", "goes"]


def test_one_benchmark_is_told_in_full_with_its_variants_alone_on_their_lines(videval: Call) -> None:
    lines = videval("list", "benchmarks", "MVBench").lines
    assert lines[0] == "MVBench" and "    MVBench_8frame" in lines
    assert any("videval prepare MVBench" in line for line in lines)


def test_status_says_what_goes_on_and_list_runs_what_was(videval: Call) -> None:
    going, was = videval("status"), videval("list", "runs")
    assert "short_8frame" not in going.out and "short_8frame" in was.out
    assert {"started", "took", "score", "questions"} <= set(was.lines[0].split())
    assert was.lines[1].startswith("LongVideoBench") and was.lines[-1].startswith("short_8frame")
    assert "waiting for a worker -> videval fleet" in going.out


def test_where_nobody_is_asked_nobody_is_waited_for(videval: Call) -> None:
    assert "waiting" not in videval("status", "resting").out
    assert "waiting" not in videval("status", "short").out


def test_a_run_of_objects_waits_for_its_program_and_for_no_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.cli import caller

    database = new_database(tmp_path)
    seed_run(database, Seed(questions=4, done=2, card={"objects": {"model": {"class": "mine.Mine"}}}))
    database.close()
    said = caller(tmp_path, monkeypatch, capsys)("status").out
    assert "waiting for the program that has the model" in said and "fleet" not in said


def test_runs_are_chosen_by_state_and_number(videval: Call) -> None:
    assert [line.split()[0] for line in videval("list", "runs", "--state", "paused").lines[1:]] == ["resting_8frame"]
    two = videval("list", "runs", "-n", "2")
    assert len(two.lines) == 4 and two.lines[-1] == "and 2 older -> videval list runs -n 4"
    assert videval("list", "runs", "--state", "cancelled").lines == ["no cancelled runs"]


def test_where_all_is_over_status_shows_the_newest_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.cli import caller

    database = new_database(tmp_path)
    for name in ("old_8frame", "new_8frame"):
        seed_run(database, Seed(variant=name, questions=4, done=4))
    database.close()
    said = caller(tmp_path, monkeypatch, capsys)("status")
    assert "nothing is going on" in said.lines[0]
    assert "new_8frame" in said.out and "old_8frame" not in said.out


def test_workers_stand_below_and_only_a_late_one_says_when_it_was_heard(videval: Call, tmp_path: Path) -> None:
    database = new_database(tmp_path / "home")
    add_worker(database, "gpu0@host", silent_s=9.0)
    add_worker(database, "gpu1@host", silent_s=95.0)
    database.close()
    lines = {line.split()[0]: line for line in videval("status").lines}
    assert " ok " in lines["gpu0@host"] and "2 min ago" in lines["gpu1@host"]
    assert "waiting for a worker" not in videval("status").out


def test_failures_name_their_samples_and_each_kind_its_retry_line(videval: Call) -> None:
    said = videval("errors", "short")
    assert said.lines[0].split() == ["failed", "kind", "message", "videos", "samples"]
    assert "to try kind video again: videval retry short_8frame--fake--1 --kind video" in said.lines
    assert "all about one of them: videval errors short_8frame--fake--1 --index q17" in said.lines
    one = videval("errors", "short", "--index", "q17")
    assert "kind video: clip" in one.out and "Traceback (most recent call last): <b>boom</b>" in one.out
    assert videval("errors", "short", "--index", "none").code == 2
    assert videval("errors", "going").out == "going_8frame--fake--2: no failures\n"


# colours


def test_states_and_failures_have_their_colours_and_zeros_are_dim(
    videval: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(monkeypatch, 120)
    said = videval("list", "runs").out
    for state, code in (("finished", "32"), ("paused", "33")):
        assert f"\x1b[{code}m{state}" in said
    assert "\x1b[31m" in videval("status", "short").out
    assert "\x1b[2m" in videval("status", "going").out


def test_no_color_is_respected(videval: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, 120)
    monkeypatch.setattr("videval.cli.console.console.no_color", True)
    assert not re.search(r"\x1b\[3[0-9]m", videval("status", "short").out)


# for scripts


def keys_said(command: str) -> set[str]:
    """The keys that the README names for a command."""
    for row in table_rows(README, "### For scripts"):
        if f"`videval {command}" in row[0]:
            return set(re.findall(r"`(\w+)`", row[1].split("with `--index")[0]))
    raise AssertionError(command)


@pytest.mark.parametrize(
    "words",
    [
        "status --json",
        "list runs --json",
        "list benchmarks --json",
        "list models --json",
        "score short --json",
        "errors short --json",
        "merge short --json",
    ],
)
def test_json_has_the_keys_of_the_readme(words: str, videval: Call) -> None:
    said = videval(*words.split())
    assert said.code == 0
    found = json.loads(said.out)
    first = found[0] if isinstance(found, list) else found
    assert set(first) == keys_said(words.replace("short", "RUN"))


def test_the_json_of_a_run_has_times_failures_by_kind_and_workers(videval: Call, tmp_path: Path) -> None:
    database = new_database(tmp_path / "home")
    add_worker(database, "gpu0@host")
    database.close()
    (found,) = json.loads(videval("status", "short", "--json").out)
    assert found["failures"] == {"video": 3} and found["state"] == "finished"
    assert found["first_at"] < found["last_at"] and found["took_s"] > 0
    assert [w["name"] for w in found["workers"]] == ["gpu0@host"]
    assert len(json.loads(videval("list", "runs", "--json", "-n", "2").out)) == 2


def test_the_json_of_a_sample_has_its_attempts_and_the_card_is_json_anyway(videval: Call) -> None:
    (request,) = json.loads(videval("errors", "short", "--index", "q17", "--json").out)
    assert request["status"] == "failed" and "boom" in request["attempts"][0]["traceback"]
    assert json.loads(videval("card", "short").out)["run"] == "short_8frame--fake--1"


# fitting


def printed(columns: list[Column], rows: list[list[str | Text]], room: int) -> list[str]:
    """A table's lines on a terminal of so many columns."""
    console = Console(width=room, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(as_table(columns, rows, room))
    console.file.close()
    return console.export_text().splitlines()


@pytest.mark.parametrize("room", [80, 100, 120])
@pytest.mark.parametrize("size", [1, 9, 40, 90, 300])
def test_names_of_any_length_leave_numbers_alone(size: int, room: int) -> None:
    columns = [Column(title="name", kind="name"), Column(title="n", kind="number"), Column(title="run", kind="name")]
    lines = printed(columns, [["x" * size, "1,234,567", f"run{'y' * size}--12"]], room)
    assert len(lines) == 2 and len(lines[1]) <= room
    assert "1,234,567" in lines[1] and "--12" in lines[1]


def test_words_wrap_at_their_ends() -> None:
    columns = [Column(title="kind"), Column(title="message", kind="words")]
    text = "the quick brown fox jumps over the lazy dog and then over one more of its kind in the field"
    lines = printed(columns, [["video", text]], 60)
    assert max(map(len, lines)) <= 60 and len(lines) > 2
    assert " ".join(" ".join(lines[1:]).replace("video", "").split()) == text


@pytest.mark.parametrize("width", range(1, 12))
def test_a_shortened_name_keeps_both_its_ends(width: int) -> None:
    short = middle("movingshapes", width)
    assert len(short) == width
    if width > 2:
        assert short[0] == "m" and short[-1] == "s" and "…" in short
    assert middle("abc", 3) == "abc"


def test_numbers_are_said_as_people_say_them() -> None:
    assert [plural(n, "request") for n in (0, 1, 2, 20_000)] == [
        "0 requests", "1 request", "2 requests", "20,000 requests",
    ]  # fmt: skip
    assert [duration(s) for s in (None, 0.6, 89, 90, 5_400, 9_000, 300_000)] == [
        "-", "1 s", "89 s", "2 min", "1 h 30 min", "2 h 30 min", "3 d 11 h",
    ]  # fmt: skip
    assert [time_left(s) for s in (None, 0.602, 9.9, 10, 120)] == [
        "-", "a few seconds", "a few seconds", "10 s", "2 min",
    ]  # fmt: skip
    assert [rate(r) for r in (0, 0.01, 0.5, 6.66)] == ["-", "0.6/min", "0.5/s", "6.7/s"]
    assert [percent(v) for v in (None, 1, 0.954)] == ["-", "100.0 %", "95.4 %"]
    assert when(None) == "-" and when(0).endswith("1970")
