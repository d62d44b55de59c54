"""Questions about one video are taken together, and what a death costs those who were in company."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.questions import answer, identity, key_of, make_run, request_ids, row_of, samples
from videval.db import requests, runs
from videval.db.records import Claim
from videval.db.session import Connection, Database, db_now
from videval.db.tables import RequestRow, RunRow
from videval.types import RequestStatus, RunState, Stage


def take(
    database: Database,
    bell: int,
    worker: str = "w1",
    *,
    most: int = 10,
    dtype: str = "float32",
    after: int = 0,
    clips: Mapping[int, str] | None = None,
) -> list[Claim]:
    taking = partial(
        requests.take, lease=60.0, load_key=key_of(), dtype=dtype, after=after, most=most, clips=clips or {}
    )
    return database.write(taking, bell, identity(worker))


def ids_of(claims: Sequence[Claim]) -> list[int]:
    return [claim.request_id for claim in claims]


@pytest.fixture
def asked(database: Database, tmp_path: Path) -> list[int]:
    """Twelve requests about three videos, four each, one video after the other."""
    return request_ids(database, make_run(database, tmp_path / "data", samples(12, videos=3)))


def test_what_waits_for_the_same_video_comes_along_in_order(database: Database, asked: list[int]) -> None:
    claims = take(database, asked[3])
    assert ids_of(claims) == [asked[n] for n in (3, 0, 1, 2)], "the one that rang first"
    assert {c.samples[0].video for c in claims} == {"v0.mp4"}
    assert [c.samples[0].id for c in claims] == ["9", "0", "3", "6"]
    assert {(row_of(database, i).status, row_of(database, i).worker_id) for i in ids_of(claims)} == {("running", "w1")}
    assert all(answer(database, claim) for claim in claims)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_are_taken_than_there_is_room_for(database: Database, asked: list[int], most: int) -> None:
    assert len(take(database, asked[0], most=most)) == most


def test_a_message_of_a_sibling_that_was_taken_serves_another_video(database: Database, asked: list[int]) -> None:
    taken = ids_of(take(database, asked[0], most=4))
    more = take(database, asked[3], most=4)
    assert not set(ids_of(more)) & set(taken) and len(more) == 4
    assert len(take(database, asked[3])) == 4 and take(database, asked[3]) == []


def videos_of(claims: Sequence[Claim]) -> list[str]:
    return [claim.samples[0].video for claim in claims]


def test_a_worker_goes_on_with_its_own_clip_whatever_rings(database: Database, asked: list[int]) -> None:
    run_id = row_of(database, asked[0]).run_id
    first = take(database, asked[0], most=1)
    more = [take(database, bell, most=1, clips={run_id: "v0.mp4"}) for bell in (asked[4], asked[8], asked[9])]
    assert [ids_of(claims) for claims in (first, *more)] == [[asked[n]] for n in range(4)]


def test_others_take_clips_that_nobody_has_begun_and_what_is_begun_at_last(
    database: Database, asked: list[int]
) -> None:
    """Three workers with one free place each: three clips, and none of them decoded twice."""
    first = [take(database, bell, f"w{n}", most=1) for n, bell in enumerate(asked[:3])]
    assert [videos_of(claims) for claims in first] == [["v0.mp4"], ["v1.mp4"], ["v2.mp4"]]
    late = take(database, asked[11], "w4", most=1)
    assert videos_of(late) == ["v0.mp4"], "rather that than nothing"


def test_what_rang_is_taken_unless_its_clip_is_begun(database: Database, asked: list[int]) -> None:
    take(database, asked[4], most=2)
    assert ids_of(take(database, asked[9], "w2", most=1)) == [asked[9]]
    assert ids_of(take(database, asked[6], "w3", most=1)) == [asked[0]], "the other two of its clip are the first one's"


def test_a_clip_that_was_claimed_whole_leaves_nothing_begun(database: Database, asked: list[int]) -> None:
    take(database, asked[0], most=4)
    assert not any(row_of(database, i).begun for i in asked)
    take(database, asked[4], most=3)
    assert [row_of(database, i).begun for i in asked[4:8]] == [False, False, False, True]


def test_of_a_clip_with_very_many_questions_as_many_as_are_noted_at_once_are_left_to_who_began_it(
    database: Database, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videval.db.claims.MOST_NOTED", 2)
    run_id = row_of(database, asked[0]).run_id
    take(database, asked[0], most=1)
    assert [row_of(database, i).begun for i in asked[:4]] == [False, True, True, False]
    more = [take(database, asked[0], most=1, clips={run_id: "v0.mp4"}) for _ in range(3)]
    assert [ids_of(claimed) for claimed in more] == [[i] for i in asked[1:4]]


def test_what_a_dead_worker_had_begun_is_found_by_the_next_one(database: Database, asked: list[int]) -> None:
    run_id = row_of(database, asked[0]).run_id
    take(database, asked[0], most=1)
    database.write(requests.expire_workers, ["w1"])
    again = take(database, asked[0], "w2", most=1)
    rest = take(database, asked[0], "w2", most=9, clips={run_id: "v0.mp4"})
    assert sorted(ids_of([*again, *rest])) == asked[:4]


def test_who_runs_alone_is_neither_taken_along_nor_takes_others_along(database: Database, asked: list[int]) -> None:
    claim = take(database, asked[3], most=1)[0]
    pair = (claim.request_id, claim.attempt)
    assert database.write(partial(requests.release, alone=True), [pair]) == 1
    assert (row_of(database, asked[3]).alone, row_of(database, asked[3]).strikes) == (True, 0)
    has = {row_of(database, asked[0]).run_id: "v0.mp4"}
    assert ids_of(take(database, asked[0], clips=has)) == [asked[n] for n in (0, 1, 2)]
    (alone,) = take(database, asked[3])
    assert alone.request_id == asked[3] and alone.alone


def test_who_is_not_yet_due_or_of_another_run_is_left_alone(
    database: Database, asked: list[int], tmp_path: Path
) -> None:
    other = make_run(database, tmp_path / "data", samples(12, videos=3), max_pixels=100)
    late = update(RequestRow).where(RequestRow.id == asked[2]).values(available_at=db_now() + 3600)
    database.write(lambda c: c.execute(late))
    claims = take(database, asked[0], after=other)
    assert {c.run.run_id for c in claims} == {row_of(database, asked[0]).run_id}
    assert asked[2] not in ids_of(claims)


def test_siblings_of_a_paused_run_stay(database: Database, asked: list[int]) -> None:
    database.write(runs.set_state, row_of(database, asked[0]).run_id, RunState.PAUSED)
    assert take(database, asked[0]) == []


def test_two_that_take_at_once_share_without_doubles(database: Database, asked: list[int]) -> None:
    first, second = take(database, asked[0], "w1", most=2), take(database, asked[0], "w2", most=2)
    assert len({*ids_of(first), *ids_of(second)}) == 4


def test_a_first_claim_that_is_taken_back_has_fixed_no_dtype(database: Database, asked: list[int]) -> None:
    def half(connection: Connection) -> None:
        taking = partial(requests.take, lease=60.0, load_key=key_of(), dtype="float16", after=0, most=2)
        assert taking(connection, asked[0], identity())
        assert taking(connection, asked[1], identity())
        raise ValueError("another work of this transaction")

    with pytest.raises(ValueError, match="another work"):
        database.write(half)
    assert take(database, asked[0], "w2", dtype="float32", most=1)
    assert take(database, asked[1], dtype="float16") == [], "what was read in a transaction that failed is not trusted"
    with database.read() as connection:
        assert connection.execute(select(RunRow.dtype)).scalar_one() == "float32"


def test_waiting_siblings_are_found_by_an_index(database: Database) -> None:
    from videval.db.claims import SIBLINGS

    with database.read() as connection:
        compiled = select(SIBLINGS.c.id).compile(dialect=connection.dialect)
        values = {"run": 1, "clip": "v", "more": 3}
        how = "EXPLAIN" if database.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
        if database.dialect == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan TO off")
        params = compiled.construct_params(values)
        given = params if database.dialect == "postgresql" else tuple(params[n] for n in compiled.positiontup or ())
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"{how} {compiled}", given))
    assert "ix_requests_waiting_by_video" in plan


# what a death costs


def die(database: Database, worker: str) -> dict[int, requests.ExpiredRequest]:
    return {e.request_id: e for e in database.write(requests.expire_workers, [worker])}


def enter(database: Database, claims: Sequence[Claim], stage: Stage) -> None:
    database.write(requests.enter_stage, [(c.request_id, c.attempt) for c in claims], stage)


def test_a_company_that_died_is_not_struck_and_each_of_it_runs_alone_next(database: Database, asked: list[int]) -> None:
    claims = take(database, asked[0], most=4)
    enter(database, claims[:3], Stage.GENERATE)
    expired = die(database, "w1")
    assert not any(e.struck for e in expired.values())
    found = [row_of(database, i) for i in ids_of(claims)]
    assert [(r.status, r.strikes, r.alone) for r in found] == [("queued", 0, True)] * 3 + [("queued", 0, False)]


def test_who_was_generated_alone_is_struck_beside_those_who_waited(database: Database, asked: list[int]) -> None:
    one, *waiting = take(database, asked[0], most=4)
    enter(database, [one], Stage.GENERATE)
    enter(database, waiting[:1], Stage.PREPARE)
    expired = die(database, "w1")
    assert [e.struck for e in expired.values()].count(True) == 1 and expired[one.request_id].struck
    assert (row_of(database, one.request_id).strikes, row_of(database, one.request_id).alone) == (1, True)


def test_companies_of_two_workers_that_died_are_not_one(database: Database, asked: list[int]) -> None:
    mine, theirs = take(database, asked[0], "w1", most=2), take(database, asked[4], "w2", most=1)
    enter(database, [*mine, *theirs], Stage.GENERATE)
    expired = {e.request_id: e.struck for e in database.write(requests.expire_workers, ["w1", "w2"])}
    assert expired == dict.fromkeys(ids_of(mine), False) | dict.fromkeys(ids_of(theirs), True)


def test_who_was_decoded_when_its_worker_died_is_struck_in_company_too(database: Database, asked: list[int]) -> None:
    claims = take(database, asked[0], most=4)
    enter(database, claims[:2], Stage.GENERATE)
    enter(database, claims[2:3], Stage.DECODE)
    assert [e.request_id for e in die(database, "w1").values() if e.struck] == ids_of(claims)[2:3]


def test_a_lease_of_one_of_a_company_that_ran_out_is_judged_by_what_ran_out_with_it(
    database: Database, asked: list[int]
) -> None:
    claims = take(database, asked[0], most=2)
    enter(database, claims, Stage.GENERATE)
    past = update(RequestRow).where(RequestRow.status == RequestStatus.RUNNING).values(lease_expires_at=1.0)
    database.write(lambda c: c.execute(past))
    assert [e.struck for e in database.write(requests.expire_leases)] == [False, False]


def test_a_company_whose_leases_run_out_one_after_the_other_is_judged_together(
    database: Database, asked: list[int]
) -> None:
    """What was claimed after the last heartbeat has the later lease."""
    mine, theirs = take(database, asked[0], most=2), take(database, asked[2], "w2", most=1)
    enter(database, [*mine, *theirs], Stage.GENERATE)
    ran_out = update(RequestRow).where(RequestRow.id.in_([mine[0].request_id, theirs[0].request_id]))
    database.write(lambda c: c.execute(ran_out.values(lease_expires_at=1.0)))
    soon = update(RequestRow).where(RequestRow.id == mine[1].request_id).values(lease_expires_at=db_now() + 15)
    database.write(lambda c: c.execute(soon))
    expired = {e.request_id: e.struck for e in database.write(partial(requests.expire_leases, lease=60.0))}
    assert expired == dict.fromkeys(ids_of(mine), False) | dict.fromkeys(ids_of(theirs), True)


def test_a_lease_that_was_renewed_is_not_given_up_with_one_that_ran_out(database: Database, asked: list[int]) -> None:
    stray, held = take(database, asked[0], most=2)
    ran_out = update(RequestRow).where(RequestRow.id == stray.request_id).values(lease_expires_at=1.0)
    database.write(lambda c: c.execute(ran_out))
    expired = database.write(partial(requests.expire_leases, lease=60.0))
    assert [e.request_id for e in expired] == [stray.request_id] and answer(database, held)
