"""What a disk or a pipe does ends in a message with its name and what would be right, never in a traceback."""

import builtins
import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Call
from videval.cli.trouble import REMEDIES, explained

USUAL = {n: os.strerror(n) for n in (
    errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EIO, errno.ENAMETOOLONG, errno.EDQUOT,
)}  # fmt: skip
NAMES = {n: errno.errorcode[n] for n in USUAL}
PRINTING = (
    ["--version"], ["--help"], ["run", "--help"], ["help", "run"], ["status"], ["status", "--json"], ["list", "runs"],
    ["list", "runs", "--json"], ["list", "benchmarks"], ["list", "models", "--json"], ["score", "short"],
    ["score", "short", "--json"], ["errors", "short"], ["errors", "short", "--index", "q17"], ["card", "short"],
    ["merge", "short"], ["retry", "short", "--kind", "oom"], ["pause", "going"], ["cancel", "going"], ["db", "status"],
    ["db", "upgrade"], ["broker", "status"],
)  # fmt: skip


def sick(folder: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked of a file or folder below `folder` fails."""

    def failing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **named: Any) -> Any:
            if isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(str(folder)):
                raise OSError(number, os.strerror(number), os.fsdecode(path))
            return function(path, *rest, **named)

        return call

    for owner, name in ((builtins, "open"), (io, "open"), (os, "open"), (os, "mkdir"), (os, "replace"), (os, "rename")):
        monkeypatch.setattr(owner, name, failing(getattr(owner, name)))


def is_told(said: Any, place: str) -> None:
    """Whether a command said, in our form and nothing else, what is wrong with this place."""
    assert said.code == 3, said.err
    first, *rest = [line for line in said.err.splitlines() if not line.endswith(" so far")]
    assert first.startswith("error: ") and place in said.err
    assert rest[-1].startswith("  -> ") and len(rest[-1]) > 8
    assert "Traceback" not in said.err


@pytest.mark.parametrize("number", USUAL, ids=NAMES.get)
@pytest.mark.parametrize("format", ["xlsx", "tsv", "json", "jsonl", "parquet"])
def test_an_export_names_the_folder_that_cannot_be_written(
    format: str, number: int, videval: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick(tmp_path / "out", number, monkeypatch)
    said = videval("export", "going", "--partial", "--format", format, "-o", str(tmp_path / "out"))
    is_told(said, str(tmp_path / "out"))


@pytest.mark.parametrize("number", USUAL, ids=NAMES.get)
def test_a_report_names_the_file_that_cannot_be_written(
    number: int, videval: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick(tmp_path / "out", number, monkeypatch)
    is_told(videval("report", "short", "-o", str(tmp_path / "out" / "r.html")), str(tmp_path / "out" / "r.html"))


@pytest.mark.parametrize("number", USUAL, ids=NAMES.get)
@pytest.mark.parametrize("name", ["MovingShapes", "MovingShapesBounded"])
def test_prepare_names_the_folder_that_cannot_be_written(
    name: str, number: int, videval: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEVAL_DATA_ROOT", str(tmp_path / "data"))
    sick(tmp_path / "data", number, monkeypatch)
    is_told(videval("prepare", name), str(tmp_path / "data"))


@pytest.mark.parametrize("number", USUAL, ids=NAMES.get)
@pytest.mark.parametrize("command", ["enqueue", "run"])
@pytest.mark.parametrize("suffix", ["tsv", "csv", "jsonl"])
def test_a_question_file_that_cannot_be_read_is_named(
    suffix: str, command: str, number: int, videval: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / f"questions.{suffix}"
    file.write_text("video\tquestion\na.mp4\tWhat?\n")
    sick(file, number, monkeypatch)
    is_told(videval(command, str(file), "fake"), str(file))


@pytest.mark.parametrize("number", USUAL, ids=NAMES.get)
def test_a_home_that_cannot_hold_the_workers_logs_is_named(
    number: int, videval: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick(tmp_path / "home" / "logs", number, monkeypatch)
    is_told(videval("fleet", "--devices", "cpu:0"), str(tmp_path / "home" / "logs"))


@pytest.mark.parametrize(
    "words", [["export", "going", "--partial", "-o", "{}/file/out"], ["report", "short", "-o", "{}/file/r.html"],
              ["report", "short", "-o", "{}/folder"], ["report", "short", "-o", "/proc/nowhere/r.html"],
              ["export", "going", "--partial", "-o", "/proc/nowhere"],
              ["export", "going", "--partial", "-o", f"{{}}/{'long' * 80}"],
              ["report", "short", "-o", f"{{}}/{'long' * 80}"]],
)  # fmt: skip
def test_real_places_that_take_no_file_are_named(words: list[str], videval: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    *_, place = asked = [w.format(tmp_path) for w in words]
    is_told(videval(*asked), place)
    assert not list(tmp_path.glob("**/.*writing"))


def test_a_question_file_whose_name_is_too_long_is_named(videval: Call) -> None:
    said = videval("enqueue", f"{'long' * 80}.tsv", "fake")
    assert said.code in (2, 3) and "longlong" in said.err and "Traceback" not in said.err


# standard output


class Full(io.TextIOBase):
    """A stream that takes nothing."""

    encoding = "utf-8"

    def __init__(self, number: int) -> None:
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))

    def flush(self) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT], ids=errno.errorcode.get)
@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_a_standard_output_that_takes_nothing_is_named(
    words: list[str], number: int, videval: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Full(number))
    is_told(videval(*words), "standard output")


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_a_reader_that_has_seen_enough_is_no_failure(
    words: list[str], videval: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Full(errno.EPIPE))
    said = videval(*words)
    assert said.code == 0 and said.err == ""


PROGRAM = [sys.executable, "-c", "from videval.cli import main; main()"]


def shell(line: str, home: Path, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """A line as a shell runs it; `$V` is the program."""
    known = {"PATH": os.environ["PATH"], "VIDEVAL_HOME": str(home), "V": " ".join(PROGRAM[:1])}
    program = f"""V() {{ "{sys.executable}" -c "{PROGRAM[-1]}" "$@"; }}; """
    return subprocess.run(["bash", "-c", program + line], env=known | environ, capture_output=True)


def test_a_full_device_behind_standard_output_is_exit_3_and_nothing_is_said_twice(seeded: Path) -> None:
    done = shell("V card short > /dev/full", seeded)
    assert done.returncode == 3
    assert done.stderr.decode().splitlines()[0] == "error: standard output: No space left on device"
    assert len(done.stderr.splitlines()) == 2


def test_a_pipe_that_closes_and_a_standard_output_that_is_closed_are_quiet(seeded: Path) -> None:
    done = shell("V card short | true; V card short >&-", seeded)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_terminal_that_knows_only_ascii_gets_question_marks(seeded: Path) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "80"}
    done = shell("V list runs && V list runs --json", seeded, **ascii_only)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"?" in done.stdout and b"--4" in done.stdout


# the boundary


@pytest.mark.parametrize("number", sorted(REMEDIES), ids=lambda n: errno.errorcode[n])
def test_every_usual_error_has_a_remedy_of_its_own_words(number: int) -> None:
    error = explained(OSError(number, os.strerror(number), "/data/x"))
    assert error is not None and error.exit_code == 3
    assert str(error) == f"/data/x: {os.strerror(number)}" and error.hint == REMEDIES[number]


def test_both_names_of_a_rename_are_told_and_an_error_without_a_name_still_says_what_is_wrong() -> None:
    both = explained(OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b"))
    assert both is not None and str(both).startswith("a -> b: ") and both.hint
    assert str(explained(OSError("something"))) == "something"


def test_what_nobody_foresaw_keeps_its_traceback() -> None:
    assert explained(KeyError("x")) is None and explained(ValueError("x")) is None
