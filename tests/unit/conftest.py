"""A seeded home that the tests of the command line share, and the command line in this process."""

import shutil
from pathlib import Path

import pytest

from tests.cli import Call, caller
from tests.seeding import Seed, new_database, seed_run

LONG = Seed(
    questions=8,
    done=3,
    variant="LongVideoBench-Extended_1.5fps_subs",
    model="some-organisation/Some-Very-Long-Model-Name-72B-Instruct",
)


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with four runs, oldest first: finished with failures, going on, paused, one of very long names."""
    home = tmp_path_factory.mktemp("seeded")
    database = new_database(home)
    for seed in (
        Seed(variant="short_8frame", questions=20, done=17, failed=3),
        Seed(variant="going_8frame", questions=20, done=7, running=1),
        Seed(variant="resting_8frame", questions=20, done=7, state="paused"),
        LONG,
    ):
        seed_run(database, seed)
    database.close()
    return home


@pytest.fixture
def videval(seeded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `videval WORDS` in a copy of the seeded home, from an empty folder."""
    shutil.copytree(seeded, tmp_path / "home")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return caller(tmp_path / "home", monkeypatch, capsys)
