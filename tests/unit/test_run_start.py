"""What `videval run` starts, before it knows what there is to do, and once it does."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import select

from tests.cli import Call, caller
from tests.seeding import settings_for
from videval.cli.run import _may_have_work
from videval.db.session import Database, open_database
from videval.db.tables import RunRow
from videval.options import Asked
from videval.order import Order
from videval.runs import find
from videval.suites.orders import Cell


@pytest.fixture
def database(seeded: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copytree(seeded, tmp_path / "own")
    opened = open_database(settings_for(tmp_path / "own"))
    yield opened
    opened.close()


def cell(database: Database, name: str, *, new: bool = False) -> Cell:
    """A cell whose run is the one of this name; "" for one that was never asked."""
    key = "never asked"
    if name:
        with database.read() as connection:
            key = connection.execute(select(RunRow.key).where(RunRow.id == find(database, name).run_id)).scalar_one()
    return Cell(asked=Asked(what=None, model=None, new=new), order=cast("Order", None), key=key)


@pytest.mark.parametrize(
    ("names", "new", "has_work"),
    [
        ([""], False, True),
        (["going"], False, True),
        (["short"], False, False),
        (["short"], True, True),
        (["short", "short"], False, False),
        (["short", "going"], False, True),
        (["short", ""], False, True),
    ],
)
def test_workers_are_started_ahead_only_for_what_is_not_answered_yet(
    database: Database, names: list[str], new: bool, has_work: bool
) -> None:
    assert _may_have_work(database, [cell(database, name, new=new) for name in names]) is has_work


class FakeTemplate:
    """Notes how many there are and were."""

    made, open = 0, 0

    def __enter__(self) -> "FakeTemplate":
        FakeTemplate.made += 1
        FakeTemplate.open += 1
        return self

    def __exit__(self, *_: object) -> None:
        FakeTemplate.open -= 1


@pytest.fixture
def templates(monkeypatch: pytest.MonkeyPatch) -> type[FakeTemplate]:
    FakeTemplate.made = FakeTemplate.open = 0
    monkeypatch.setattr("workers.template.Template", FakeTemplate)
    return FakeTemplate


@pytest.fixture
def videval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    (tmp_path / "a.tsv").write_text("index\tvideo\tquestion\n1\tv.mp4\tWhat?\n")
    monkeypatch.chdir(tmp_path)
    return caller(tmp_path / "home", monkeypatch, capsys)


def test_a_command_that_is_refused_ends_what_it_started_ahead(videval: Call, templates: type[FakeTemplate]) -> None:
    assert videval("run", "a.tsv", "no-such-model", "--frames", "8").code == 2
    assert (templates.made, templates.open) == (1, 0)


@pytest.mark.parametrize("option", [("--dry-run",), ("--mode", "eval")])
def test_where_nothing_will_be_asked_nothing_is_started_ahead(
    option: tuple[str, ...], videval: Call, templates: type[FakeTemplate]
) -> None:
    videval("run", "a.tsv", "fake", "--frames", "8", "--allow-missing", *option)
    assert templates.made == 0
