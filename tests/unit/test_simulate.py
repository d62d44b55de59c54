"""The simulation of a fleet loses no request, beats no limit, and its page shows what its commands print."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import simpy

from perf import simulate
from perf.costs import COMMON, DATABASES, Cost, free
from perf.servers import Disk, Server
from perf.simulate import outcome
from perf.simulated import Fleet
from perf.work import Plan

SCALE = Path(__file__).parents[2] / "perf" / "scale.md"
SMALL = Plan(workers=8, questions=400, median_ms=50.0, decode_ms=50.0)
BACKENDS = ("sqlite", "postgresql")


@pytest.mark.parametrize("database", BACKENDS)
@pytest.mark.parametrize("workers", [1, 3, 8, 60])
@pytest.mark.parametrize("slots", [1, 4])
def test_every_request_is_answered_once_and_none_is_left(database: str, workers: int, slots: int) -> None:
    fleet = Fleet.of(replace(SMALL, database=database, workers=workers, slots=slots))
    found = outcome(fleet)
    assert set(fleet.work.answers) == {1}
    assert not fleet.work.waiting and not any(worker.held for worker in fleet.workers)
    assert found.makespan_s >= max(found.ideal_s, *fleet.latencies)
    assert all(0.0 <= share <= 1.0 for share in found.shares.values())


@pytest.mark.parametrize("clustered", [False, True])
def test_more_workers_are_never_slower_when_the_database_is_free(clustered: bool) -> None:
    costs = free(DATABASES["sqlite"])
    plans = [replace(SMALL, workers=workers, clustered=clustered) for workers in (1, 2, 4, 8, 16)]
    spans = [outcome(Fleet(plan=plan, costs=costs)).makespan_s for plan in plans]
    assert spans == sorted(spans, reverse=True)


def test_a_saturated_sqlite_is_the_fullest_part_and_more_workers_help_no_more() -> None:
    few, many = (outcome(Fleet.of(replace(SMALL, workers=n, median_ms=5.0, decode_ms=0.0))) for n in (20, 40))
    assert few.fullest == many.fullest == "database"
    assert many.shares["database"] > 0.9
    assert many.makespan_s > 0.9 * few.makespan_s


def test_a_postgresql_with_few_connections_is_held_up_by_them() -> None:
    plan = replace(SMALL, database="postgresql", workers=40, median_ms=5.0, decode_ms=0.0)
    few, enough = outcome(Fleet.of(replace(plan, connections=2))), outcome(Fleet.of(plan))
    assert few.fullest == "connections"
    assert few.makespan_s > enough.makespan_s


def test_what_is_given_back_at_the_tail_is_answered_once_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(SMALL, workers=8, questions=40, median_ms=500.0, decode_ms=0.0, each=1)
    fleet = Fleet.of(plan)
    given: list[int] = []
    back = fleet.work.give_back

    def noted(requests: Sequence[int]) -> None:
        given.extend(requests)
        back(requests)

    monkeypatch.setattr(fleet.work, "give_back", noted)
    outcome(fleet)
    assert given and set(fleet.work.answers) == {1}


def test_a_clip_is_decoded_once_on_a_machine() -> None:
    assert outcome(Fleet.of(SMALL)).decodes == 1.0


def test_a_clip_s_questions_stay_on_one_machine_however_many_there_are() -> None:
    """But for the last ones, which idle workers take from others."""
    assert outcome(Fleet.of(replace(SMALL, workers=64, questions=4_000, median_ms=1_000.0))).decodes < 1.2


def test_the_same_plan_gives_the_same_outcome() -> None:
    assert outcome(Fleet.of(SMALL)) == outcome(Fleet.of(SMALL))


def test_who_comes_while_another_one_is_served_waits_for_it() -> None:
    server = Server(simpy.Environment(), 2)
    assert [server.delay(1.0) for _ in range(4)] == [1.0, 1.0, 2.0, 2.0]


def test_commits_that_come_during_a_flush_share_the_next_one() -> None:
    env = simpy.Environment()
    disk = Disk(env, 1.0)
    assert disk.delay() == 1.0
    env.run(0.5)
    assert [disk.delay(), disk.delay()] == [1.5, 1.5]
    env.run(1.25)
    assert disk.delay() == pytest.approx(1.75)


def test_each_cost_says_where_it_comes_from() -> None:
    for costs in (asdict(COMMON), *map(asdict, DATABASES.values())):
        assert all(cost.source for cost in costs.values() if isinstance(cost, Cost))


def commands() -> list[str]:
    """The commands of the page whose tables are small enough to be made again here."""
    said = re.findall(r"^python -m perf\.simulate (.*)$", SCALE.read_text(encoding="utf-8"), re.MULTILINE)
    return [words for words in said if re.search(r"--questions \d{1,4}\b(?!\d)", words)]


def test_the_small_tables_of_the_page_are_what_their_commands_print() -> None:
    page = SCALE.read_text(encoding="utf-8")
    assert commands()
    for words in commands():
        for line in simulate.lines(shlex.split(words)):
            assert line in page
