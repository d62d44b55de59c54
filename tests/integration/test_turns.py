"""Whose turn it is: a bell means that there is work, and each run of a model gets its share of it."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.questions import answer, identity, key_of, make_run, request_ids, row_of, take
from videval.db import queue, requests, runs
from videval.db.records import Claim
from videval.db.session import Database, open_database
from videval.db.tables import RequestRow
from videval.types import RequestStatus, RunState


def hear(
    database: Database,
    bell: int,
    worker: str = "w1",
    *,
    model: str = "fake",
    dtype: str = "float32",
    after: int = 0,
    clips: Mapping[int, str] | None = None,
) -> Claim | None:
    """What a worker takes that hears the bell of a request, and has these clips."""
    me, key = identity(worker), key_of(model)
    taking = partial(requests.take, lease=60.0, load_key=key, dtype=dtype, after=after, most=1, clips=clips or {})
    return next(iter(database.write(taking, bell, me)), None)


def set_state(database: Database, run_id: int, state: RunState) -> None:
    database.write(lambda c: runs.set_state(c, run_id, state))


def ring(database: Database, run_id: int) -> list[int]:
    ids = request_ids(database, run_id)
    database.write(lambda c: queue.mark_published(c, ids))
    return ids


@pytest.fixture
def two(database: Database, tmp_path: Path) -> tuple[int, int]:
    """A run of forty and one of four, of one model."""
    made = [make_run(database, tmp_path / "data", n, max_pixels=n) for n in (40, 4)]
    return made[0], made[1]


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.CANCELLED, RunState.CREATING])
def test_the_bell_of_a_run_that_is_not_active_serves_another_one(database, two, state):
    big, small = two
    stale = ring(database, big)
    if state == RunState.CANCELLED:
        database.write(lambda c: runs.cancel(c, big))
    else:
        set_state(database, big, state)
    claims = [hear(database, bell) for bell in stale[:5]]
    assert [c and c.request_id for c in claims] == [*request_ids(database, small), None]


def test_the_bell_of_an_answered_request_and_one_that_is_nobody_s_serve_live_work(database, two):
    big, _ = two
    done, running, *_ = ring(database, big)
    answer(database, take(database, done))
    take(database, running)
    for bell in (done, running, 10**9, 0, -1):
        assert hear(database, bell) is not None


def test_a_small_run_behind_a_huge_one_gets_its_turn(database, two):
    big, small = two
    bells = ring(database, big) + ring(database, small)
    claims = [hear(database, bell) for bell in bells[:8]]
    assert Counter(c.run.run_id for c in claims) == {big: 4, small: 4}


def test_one_request_at_a_time_is_fair_as_well(database, two):
    served = []
    for bell in ring(database, two[0])[:6]:
        claim = hear(database, bell, after=served[-1] if served else 0)
        answer(database, claim)
        served.append(claim.run.run_id)
    assert served == [*two] * 3


def test_who_has_less_in_work_is_first(database, two):
    big, small = two
    for request_id in request_ids(database, small)[:2]:
        take(database, request_id, "w2")
    claims = [hear(database, 0).run.run_id for _ in range(3)]
    assert claims[:2] == [big, big]


def test_who_is_more_urgent_is_served_first_whatever_rings(database, two, tmp_path):
    urgent = make_run(database, tmp_path / "data", 3, max_pixels=99, priority=1)
    claims = [hear(database, bell).run.run_id for bell in ring(database, two[0])[:4]]
    assert claims[:3] == [urgent] * 3 and claims[3] in two


def test_while_one_run_has_work_its_bells_mean_their_own_requests(database, two):
    big, small = two
    set_state(database, small, RunState.PAUSED)
    bells = ring(database, big)
    heard = [hear(database, bell).request_id for bell in (bells[7], bells[13], bells[7])]
    assert heard == [bells[7], bells[13], bells[20]], "and at last the next that nobody has begun"


def test_runs_that_take_turns_keep_their_own_order_so_that_a_video_s_questions_stay_together(database, two):
    big, small = two
    bells = ring(database, big) + ring(database, small)
    claims = [hear(database, bell, clips=dict.fromkeys(two, "v0.mp4")) for bell in bells[:6]]
    for run_id in two:
        mine = [c.request_id for c in claims if c.run.run_id == run_id]
        assert mine == request_ids(database, run_id)[: len(mine)]


def test_a_run_that_is_being_rung_for_keeps_its_order_too(database, two):
    """Its first workers begin while its last messages are not sent yet."""
    asked = request_ids(database, two[0])
    database.write(lambda c: queue.mark_published(c, asked[:3]))
    claims = [hear(database, asked[0], clips={two[0]: "v0.mp4"}) for _ in range(8)]
    assert [c.request_id for c in claims if c.run.run_id == two[0]] == asked[:4]


def test_what_waits_for_its_time_is_passed_over_by_others_of_its_run(database, two):
    big, small = two
    set_state(database, small, RunState.PAUSED)
    first, second, *_ = ring(database, big)
    claim = take(database, first)
    database.write(lambda c: requests.release(c, [(claim.request_id, claim.attempt)], delay=3600.0))
    assert hear(database, first).request_id == second


def test_a_bell_that_served_a_request_without_one_is_rung_again_for_its_own(database, two, tmp_path):
    """Else its own would wait, when all other bells are used up, until that bell is presumed lost."""
    first, *_ = ring(database, two[0])
    urgent = make_run(database, tmp_path / "data", 1, max_pixels=99, priority=1)
    assert hear(database, first).run.run_id == urgent
    assert row_of(database, first).published_at is None


def test_another_model_s_work_and_another_dtype_s_are_left_to_others(database, two):
    big, small = two
    take(database, request_ids(database, small)[0], dtype="bfloat16")
    set_state(database, big, RunState.PAUSED)
    bell = request_ids(database, big)[0]
    assert hear(database, bell, dtype="float32") is None
    assert hear(database, bell, model="fake:other") is None
    assert hear(database, bell, dtype="bfloat16").run.run_id == small


def test_the_first_claim_by_turn_fixes_the_dtype_too(database, two):
    big, small = two
    assert {hear(database, 0, dtype="bfloat16").run.run_id for _ in range(2)} == {big, small}
    assert hear(database, 0, dtype="float32") is None


def test_there_is_work_exactly_when_a_bell_finds_some(database, two):
    def has_work(**other: str) -> bool:
        asked = {"load_key": key_of(), "dtype": "float32"} | other
        with database.read() as connection:
            return requests.has_work(connection, **asked)

    big, small = two
    assert has_work() and not has_work(load_key="another")
    set_state(database, big, RunState.PAUSED)
    while (claim := hear(database, 0)) is not None:
        assert claim.run.run_id == small
    assert not has_work()
    set_state(database, big, RunState.ACTIVE)
    assert has_work() and hear(database, 0) is not None


def test_many_that_hear_one_bell_at_once_take_different_requests(database, database_settings, two):
    bell = ring(database, two[0])[0]
    others = [open_database(database_settings) for _ in range(5)]
    try:
        with ThreadPoolExecutor(5) as pool:
            jobs = [pool.submit(hear, others[n % 5], bell, f"w{n % 5}") for n in range(44)]
            claims = [job.result(60) for job in jobs]
    finally:
        for opened in others:
            opened.close()
    found = [c.request_id for c in claims if c is not None]
    assert sorted(found) == sorted([*request_ids(database, two[0]), *request_ids(database, two[1])])
    assert all(row_of(database, i).attempt == 1 for i in found)


def test_a_claim_by_name_still_means_that_request_and_no_other(database, two):
    named = request_ids(database, two[0])[9]
    assert take(database, named).request_id == named
    assert take(database, named) is None


def test_waiting_thousands_are_not_sorted_to_find_the_next(database, two):
    """The order is an index's: the plan has no sort of requests on either back end."""
    from videval.db import claims

    with database.read() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_sort TO off")
        text = str(
            claims._next_of(select(1).scalar_subquery()).compile(
                dialect=connection.dialect, compile_kwargs={"literal_binds": True}
            )
        )
        how = "EXPLAIN" if database.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"{how} {text}"))
    assert "ix_requests_run_id_status_published_at" in plan
    assert "Sort" not in plan and "TEMP B-TREE" not in plan


def test_a_request_that_is_back_from_a_worker_is_had_again_by_any_bell(database, two):
    big, small = two
    set_state(database, small, RunState.PAUSED)
    ids = ring(database, big)
    for request_id in ids:
        take(database, request_id, "dying")
    database.write(lambda c: c.execute(update(RequestRow).values(lease_expires_at=1.0)))
    database.write(requests.expire_leases)
    assert hear(database, ids[-1]).request_id == ids[-1]
    assert row_of(database, ids[0]).status == RequestStatus.QUEUED


def test_a_row_that_a_frozen_worker_is_taking_stops_nobody_who_hears_its_bell(
    database: Database, tmp_path: Path
) -> None:
    if database.dialect != "postgresql":
        pytest.skip("writers to a SQLite file take turns")
    before, first, second = request_ids(database, make_run(database, tmp_path / "data", 3))
    assert hear(database, before), "its dtype is fixed"
    taking = partial(requests.take, lease=60.0, load_key=key_of(), dtype="float32", after=0, most=1)
    with database.engine.connect() as frozen:
        frozen.begin()
        assert [claim.request_id for claim in taking(frozen, first, identity("frozen"))] == [first]
        with ThreadPoolExecutor(1) as pool:
            taken = pool.submit(database.write, taking, first, identity("awake"))
            wait([taken], 5)
            frozen.rollback()
            assert [claim.request_id for claim in taken.result()] == [second]
