"""A command starts fast: nothing heavy is imported before it is known what is to be done."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest

from videval import report
from videval.cli import complete
from videval.cli.commands import COMMANDS, Command
from videval.db.names import run_names

HEAVY = (
    "alembic",
    "av",
    "celery",
    "kombu",
    "numpy",
    "openai",
    "pandas",
    "redis",
    "sqlalchemy",
    "streamlit",
    "torch",
    "transformers",
)
OURS = (
    "videval.benchmarks",
    "videval.metrics",
    "videval.models.catalog",
    "videval.order",
    "videval.scorers",
    "videval.video",
)
"""What of videval itself takes long to import."""
SCORED = {"numpy", "videval.benchmarks", "videval.metrics", "videval.scorers", "videval.video"}
"""What a score takes: the benchmark's metrics, and intervals."""
ALL = [c for group in COMMANDS.values() for c in group]

LOOK = """
import contextlib, io, json, sys
from videval.cli import main
import videval.cli.app
for words in {calls}:
    sys.argv = ["videval", *words]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main()
print(json.dumps([name for name in {heavy} if name in sys.modules]))
"""


def imported(calls: list[list[str]], heavy: Sequence[str] = HEAVY) -> list[str]:
    """Which of these packages a new process holds after these calls."""
    code = LOOK.format(calls=calls, heavy=heavy)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def test_version_and_help_of_everything_import_nothing_heavy() -> None:
    calls = [["--version"], ["--help"], ["list", "-h"], *([*c.words, "--help"] for c in ALL)]
    assert imported(calls) == []


def test_a_usage_error_imports_nothing_heavy() -> None:
    assert imported([["enqeue"], ["enqueue", "--frmes"], ["run", "x", "y", "--limit", "z"]]) == []


def test_an_import_that_is_heavy_is_noticed(seeded: Path) -> None:
    assert "sqlalchemy" in imported([["list", "runs"]])


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("stats short", set()),
        ("errors short", set()),
        ("card short", {"numpy", "videval.video"}),
        ("status", SCORED),
        ("list runs", SCORED),
        ("score short", SCORED),
    ],
)
def test_a_command_that_looks_imports_what_it_shows_and_not_what_answers(
    seeded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, needed: set[str]
) -> None:
    shutil.copytree(seeded, tmp_path / "home")
    monkeypatch.setenv("VIDEVAL_HOME", str(tmp_path / "home"))
    found = set(imported([words.split()], (*HEAVY, *OURS)))
    assert "sqlalchemy" in found and found <= {"sqlalchemy", *needed}


def test_the_report_offers_what_its_types_say() -> None:
    stub = ast.parse((Path(report.__file__).with_suffix(".pyi")).read_text())
    said = {
        alias.name: str(node.module) for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert sorted(said) == report.__all__
    assert all(getattr(report, name) is getattr(import_module(module), name) for name, module in said.items())
    with pytest.raises(AttributeError, match="no attribute 'scores_of'"):
        _ = report.scores_of  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", ALL, ids=lambda c: c.name)
def test_every_command_leads_to_its_function(command: Command) -> None:
    module, _, function = command.target.partition(":")
    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize("command", ALL, ids=lambda c: c.name)
def test_a_commands_file_is_named_as_it_is_or_says_it_first(command: Command) -> None:
    module = import_module(command.target.partition(":")[0])
    first = (module.__doc__ or "").partition("\n")[0]
    assert command.words[-1] in re.findall(r"\w+", first.partition(":")[0])


# what a TAB offers


def completed(words: str, home: Path) -> list[str]:
    """What bash is offered after these words, by the program itself."""
    environ = {"VIDEVAL_HOME": str(home), "_VIDEVAL_COMPLETE": "complete_bash", "COMP_WORDS": words}
    environ["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    code = "import sys; sys.argv = ['videval']; from videval.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True)
    return done.stdout.split()


def test_a_tab_completes_commands_and_runs(seeded: Path) -> None:
    assert completed("videval sc", seeded) == ["score"]
    assert completed("videval score go", seeded) == ["going_8frame--fake--2"]


def test_names_of_the_catalogues_and_of_the_database_are_offered(seeded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEVAL_HOME", str(seeded))
    assert complete.runs("re") == ["resting_8frame--fake--3"]
    assert complete.benchmarks("MVB") == ["MVBench", "MVBench_MP4"]
    assert "MVBench_8frame" in complete.variants("MVBench_8")
    assert complete.models("Video-LLaVA-t") == ["Video-LLaVA-tiny"]
    assert complete.kinds("video,o") == ["video,oom"]
    assert complete.formats("js") == ["json", "jsonl"]
    assert complete.states("fin") == ["finished"]


@pytest.mark.parametrize("url", ["", "postgresql+psycopg://u:p@127.0.0.1:1/none", "mysql://x", "nonsense"])
def test_a_tab_never_complains_and_makes_nothing(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEVAL_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("VIDEVAL_DATABASE_URL", url)
    assert complete.runs("") == []
    assert not (tmp_path / "none").exists()


def test_the_newest_run_is_offered_first(seeded: Path) -> None:
    assert run_names(f"sqlite:///{seeded}/videval.db")[0].startswith("longvideobench")
