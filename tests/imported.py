"""A scratch home with three benchmarks and no runs, and result files about them."""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli import Call, caller
from tests.results import frame_of, write_as_vlmevalkit
from tests.trees import tree
from videval.benchmarks.catalog import find_benchmark, parse_variant
from videval.db import runs as run_rows
from videval.db.records import RunInfo
from videval.db.session import Database, open_database
from videval.settings import Settings
from videval.types import Sample

__all__ = [
    "AWKWARD",
    "MODEL",
    "NAME",
    "VARIANT",
    "Answers",
    "all_answered",
    "counts",
    "data",
    "database",
    "pickled",
    "questions",
    "results",
    "settings",
    "the_run",
    "videval",
]

MODEL, VARIANT = "Video-LLaVA-7B", "MVBench_8frame"
NAME = f"{MODEL}_{VARIANT}"
AWKWARD = (
    "A",
    '(B) it\'s a "cup"',
    " leading and trailing ",
    "two\nlines\tand a tab",
    "=1+2",
    "NA",
    "3",
    "007",
    "1.50",
    "True",
    "üñí 漢字 😀",
    "http://example.org/a",
    '"quoted"',
    "a_x0041_b",
    "control \x07 sign",
)
Answers = Mapping[str, object]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with three benchmarks in their published layouts."""
    root = tmp_path_factory.mktemp("data")
    for name in ("MVBench", "Video-MME", "MMBench-Video"):
        tree(name, root / name)
    return root


@pytest.fixture
def settings(tmp_path: Path, data: Path) -> Settings:
    """Settings of a scratch home that finds the data."""
    return Settings(home=tmp_path / "home", data_root=data)


@pytest.fixture
def videval(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `videval WORDS` in a scratch home that finds the data."""
    call = caller(tmp_path / "home", monkeypatch, capsys)
    monkeypatch.setenv("VIDEVAL_DATA_ROOT", str(data))
    monkeypatch.chdir(tmp_path)
    return call


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The scratch home's database, once a command has made it."""
    found = open_database(settings)
    yield found
    found.close()


def questions(data: Path, variant: str = VARIANT) -> list[Sample]:
    asked = parse_variant(variant)
    return list(find_benchmark(asked.benchmark).load(data / asked.benchmark, asked))


def all_answered(samples: list[Sample]) -> dict[str, object]:
    return {s.id: AWKWARD[i % len(AWKWARD)] for i, s in enumerate(samples)}


def results(tmp_path: Path, data: Path, answers: Answers | None = None, name: str = f"{NAME}.xlsx") -> Path:
    """A result file of VLMEvalKit's."""
    samples = questions(data)
    frame = frame_of(samples, all_answered(samples) if answers is None else answers)
    return write_as_vlmevalkit(frame, tmp_path / name)


def pickled(value: object, path: Path) -> None:
    """What VLMEvalKit keeps beside a result file while it is not whole."""
    path.write_bytes(pickle.dumps(value))


def the_run(database: Database) -> RunInfo:
    with database.read() as connection:
        (run,) = run_rows.list_runs(connection)
    return run


def counts(database: Database) -> run_rows.Counts:
    with database.read() as connection:
        return run_rows.counts(connection, the_run(database).run_id)
