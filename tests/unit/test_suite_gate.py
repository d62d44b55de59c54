"""`videval gate`: which baseline a run is judged against, and what is said of all runs together."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.questions import order
from tests.seeding import Seed, new_database, seed_run, snapshot_of
from videval.benchmarks.table import table_variant
from videval.db import runs
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import UsageError
from videval.options import Asked
from videval.suites.gate import Gate, gated
from videval.suites.orders import Cell
from videval.suites.verdict import Opinion, Rule

GOOD, BAD = 80, 40


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = new_database(tmp_path)
    yield made
    made.close()


class Runs:
    """Runs of a database on one set of questions for each variant."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database, self._folder = database, folder
        self._snapshots: dict[str, int] = {}

    def add(self, variant: str, model: str, right: int, done: int = 400) -> RunInfo:
        """A run of this model."""
        seed = Seed(questions=400, done=done, right=right, variant=f"{variant}_4frame", model=model)
        run_id = seed_run(self._database, seed, snapshot=self._snapshots.get(variant))
        self._snapshots.setdefault(variant, snapshot_of(self._database, run_id))
        with self._database.read() as connection:
            return runs.get_run(connection, run_id)

    def cell(self, variant: str, model: str = "fake") -> Cell:
        """The cell of a suite."""
        variant_of = table_variant(Path(f"{variant}.tsv"), num_frames=4)
        made = replace(order(self._folder / "data", 1, model=model), variant=variant_of)
        return Cell(asked=Asked(what=f"{variant}.tsv", model=model), order=made, key=f"{variant} {model}")

    def gate(self, cells: list[Cell], found: list[RunInfo | None], baselines: list[RunInfo]) -> Gate:
        """The gate of these."""
        return gated(self._database, cells, found, baselines, Rule())


@pytest.fixture
def made(database: Database, tmp_path: Path) -> Runs:
    return Runs(database, tmp_path)


def test_all_as_good_is_a_go(made: Runs) -> None:
    old = [made.add("a", "old", BAD), made.add("b", "old", GOOD)]
    new = [made.add("a", "new", GOOD), made.add("b", "new", GOOD)]
    gate = made.gate([made.cell("a"), made.cell("b")], [*new], old)
    assert [g.judgement.opinion for g in gate.found] == [Opinion.BETTER, Opinion.EQUAL]
    assert [g.baseline.name for g in gate.found] == [run.name for run in old]
    assert (gate.decision, gate.opinion.exit_code) == ("GO", 0)


def test_one_that_is_worse_is_a_no_go_whatever_the_others_are(made: Runs) -> None:
    old = [made.add("a", "old", GOOD), made.add("b", "old", BAD)]
    new = [made.add("a", "new", BAD), made.add("b", "new", GOOD)]
    gate = made.gate([made.cell("a"), made.cell("b")], [*new], old)
    assert (gate.decision, gate.opinion.exit_code) == ("NO-GO", 1)


@pytest.mark.parametrize("done", [0, 200])
def test_one_that_is_not_finished_leaves_it_open(made: Runs, done: int) -> None:
    old = [made.add("a", "old", BAD), made.add("b", "old", BAD)]
    new = [made.add("a", "new", GOOD), made.add("b", "new", GOOD, done=done)]
    gate = made.gate([made.cell("a"), made.cell("b")], [*new], old)
    assert (gate.decision, gate.opinion.exit_code) == ("cannot tell", 4)


def test_a_run_that_was_never_asked_leaves_it_open_and_says_so(made: Runs) -> None:
    gate = made.gate([made.cell("a")], [None], [made.add("a", "old", GOOD)])
    assert gate.decision == "cannot tell"
    assert "it was not asked yet" in gate.found[0].judgement.why


def test_of_several_baselines_that_of_the_same_model_counts(made: Runs) -> None:
    old = [made.add("a", "fake", GOOD), made.add("a", "other", BAD)]
    gate = made.gate([made.cell("a", "fake")], [made.add("a", "fake", GOOD)], old)
    assert gate.found[0].baseline.name == old[0].name


def test_a_run_that_is_a_baseline_itself_is_left_out(made: Runs) -> None:
    old, new = made.add("a", "old", GOOD), made.add("a", "new", GOOD)
    gate = made.gate([made.cell("a", "fake"), made.cell("a", "fake_server:4")], [old, new], [old])
    assert [g.pair and g.pair.a.name for g in gate.found] == [new.name]
    with pytest.raises(UsageError, match="every run of the suite is a baseline itself"):
        made.gate([made.cell("a")], [old], [old])


def test_a_baseline_that_is_named_twice_is_one(made: Runs) -> None:
    old, new = made.add("cars", "old", GOOD), made.add("cars", "fake", GOOD)
    assert made.gate([made.cell("cars")], [new], [old, old]).opinion == Opinion.EQUAL


def test_two_baselines_that_could_both_be_meant_are_refused(made: Runs) -> None:
    old = [made.add("a", "x", GOOD), made.add("a", "y", BAD)]
    with pytest.raises(UsageError, match=r"has 2 baselines; there are:\n  a_4frame--x--1\n  a_4frame--y--2"):
        made.gate([made.cell("a")], [None], old)


def test_a_suite_without_any_baseline_is_refused(made: Runs) -> None:
    with pytest.raises(UsageError, match=r"a\.tsv fake has no baseline"):
        made.gate([made.cell("a")], [None], [])


def test_a_baseline_on_other_questions_is_refused_with_what_differs(made: Runs) -> None:
    old, new = made.add("a", "old", GOOD), made.add("b", "new", GOOD)
    with pytest.raises(UsageError, match="cannot be compared; what differs"):
        made.gate([made.cell("b")], [new], [old])
