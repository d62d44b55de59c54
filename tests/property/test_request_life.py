"""The request state machine under random interleavings: never loses or doubles a response, attempts only grow."""

import contextlib
import tempfile
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import func, select, update

from tests.questions import answer, identity, key_of, make_run, request_ids, samples, take
from tests.servers import settings_for
from videval.db import plans, requests, runs, sums
from videval.db.records import Claim
from videval.db.schema import ensure_schema
from videval.db.session import open_database
from videval.db.tables import AttemptRow, PredictionRow, RequestRow, ResponseRow, RunRow
from videval.errors import ApiFailure, OutOfMemory, ProcessDied, VideoFailure
from videval.types import RunState, Stage

WORKERS = st.sampled_from(["w1", "w2", "w3"])
NUMBER = st.integers(0, 3)
PICK = st.integers(0, 1000)
FINAL = {"done", "failed", "cancelled"}


class RequestLife(RuleBasedStateMachine):
    """Several workers with claims old and new, an operator, a clock that runs out, against four requests."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.database = open_database(settings_for(folder))
        self.stack.callback(self.database.close)
        ensure_schema(self.database)
        self.run_id = make_run(self.database, folder / "data", samples(4, videos=2), max_attempts=2)
        self.ids = request_ids(self.database, self.run_id)
        self.claims: list[Claim] = []
        self.attempts = dict.fromkeys(self.ids, 0)
        self.texts: dict[int, str] = {}

    def teardown(self) -> None:
        self.stack.close()

    def pick(self, number: int) -> Claim:
        return self.claims[number % len(self.claims)]

    def status(self, request_id: int) -> str:
        with self.database.read() as connection:
            return connection.execute(select(RequestRow.status).where(RequestRow.id == request_id)).scalar_one()

    def is_active(self) -> bool:
        with self.database.read() as connection:
            return connection.execute(select(RunRow.state)).scalar_one() == RunState.ACTIVE

    def is_current(self, claim: Claim) -> bool:
        with self.database.read() as connection:
            query = select(RequestRow.status, RequestRow.attempt).where(RequestRow.id == claim.request_id)
            row = connection.execute(query).one()
        return row.status == "running" and row.attempt == claim.attempt

    @rule(worker=WORKERS, number=NUMBER)
    def claim(self, worker: str, number: int) -> None:
        request_id = self.ids[number]
        self.expire()
        before = self.status(request_id)
        claim = take(self.database, request_id, worker)
        if claim is not None:
            assert before == "queued" and claim.attempt == self.attempts[request_id] + 1
            self.attempts[request_id] = claim.attempt
            self.claims.append(claim)

    @rule(worker=WORKERS, number=NUMBER, most=st.integers(1, 3))
    def hear_a_bell(self, worker: str, number: int, most: int) -> None:
        waiting = [i for i in self.ids if self.status(i) == "queued"]
        me, key = identity(worker), key_of()
        of = {"lease": 60.0, "load_key": key, "dtype": "float32", "after": 0, "most": most}
        claims = self.database.write(partial(requests.take, **of), self.ids[number], me)
        assert {c.request_id for c in claims} <= set(waiting) and len(claims) <= most
        assert bool(claims) == (bool(waiting) and self.is_active()), "no bell is wasted while there is work"
        assert len(claims) < 2 or not any(c.alone for c in claims), "what runs alone is taken alone"
        for claim in claims:
            assert claim.attempt == self.attempts[claim.request_id] + 1
            self.attempts[claim.request_id] = claim.attempt
            self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(number=PICK, stage=st.sampled_from(list(Stage)))
    def work(self, number: int, stage: Stage) -> None:
        claim = self.pick(number)
        pair = claim.request_id, claim.attempt
        self.database.write(lambda c: requests.enter_stage(c, [pair], stage))

    @precondition(lambda self: self.claims)
    @rule(number=PICK)
    def complete(self, number: int) -> None:
        claim = self.pick(number)
        text = f"{claim.request_id}/{claim.attempt}"
        fits = self.is_current(claim) or self.texts.get(claim.request_id) == text
        stored = answer(self.database, claim, text)
        assert stored == fits, "who holds the request is heard, and nobody else"
        if stored:
            self.texts[claim.request_id] = text

    @precondition(lambda self: self.claims)
    @rule(number=PICK, error=st.sampled_from([VideoFailure("v"), ApiFailure("a"), OutOfMemory("o")]))
    def fail(self, number: int, error) -> None:
        claim = self.pick(number)
        fits = self.is_current(claim)
        pair = claim.request_id, claim.attempt
        status = self.database.write(lambda c: requests.fail(c, *pair, error, delay=0.0, max_retries=2))
        assert (status is not None) == fits

    @precondition(lambda self: self.claims)
    @rule(number=PICK)
    def strike(self, number: int) -> None:
        claim = self.pick(number)
        fits = self.is_current(claim)
        pair = claim.request_id, claim.attempt
        status = self.database.write(lambda c: requests.strike(c, *pair, ProcessDied("died")))
        assert (status is not None) == fits

    @precondition(lambda self: self.claims)
    @rule(number=PICK, alone=st.booleans())
    def release(self, number: int, alone: bool) -> None:
        claim = self.pick(number)
        fits = self.is_current(claim)
        pair = claim.request_id, claim.attempt
        assert self.database.write(lambda c: requests.release(c, [pair], alone=alone)) == fits

    @precondition(lambda self: self.claims)
    @rule(number=PICK)
    def renew(self, number: int) -> None:
        claim = self.pick(number)
        pair = claim.request_id, claim.attempt
        lost = self.database.write(lambda c: requests.renew(c, [pair], 60.0))
        assert (pair not in lost) == self.is_current(claim)

    @rule(number=NUMBER)
    def lease_runs_out(self, number: int) -> None:
        running = (RequestRow.id == self.ids[number]) & (RequestRow.status == "running")
        past = update(RequestRow).where(running).values(lease_expires_at=1.0)
        self.database.write(lambda c: c.execute(past))

    @rule()
    def expire(self) -> None:
        self.database.write(requests.expire_leases)

    @rule(worker=WORKERS)
    def worker_dies(self, worker: str) -> None:
        self.database.write(lambda c: requests.expire_workers(c, [identity(worker).id]))

    @rule(number=NUMBER, everything=st.booleans())
    def retry(self, number: int, everything: bool) -> None:
        indexes = [] if everything else [str(number)]
        self.database.write(lambda c: plans.retry(c, self.run_id, indexes=indexes))

    @rule()
    def fold(self) -> None:
        self.database.write(sums.fold)

    @rule()
    def cancel(self) -> None:
        self.database.write(lambda c: runs.cancel(c, self.run_id))

    @rule(state=st.sampled_from([RunState.PAUSED, RunState.ACTIVE]))
    def pause_or_resume(self, state: RunState) -> None:
        self.database.write(lambda c: runs.set_state(c, self.run_id, state))

    @invariant()
    def the_tables_agree(self) -> None:
        with self.database.read() as connection:
            rows = connection.execute(select(*RequestRow.__table__.c)).all()
            said = dict(connection.execute(select(ResponseRow.request_id, ResponseRow.text)).all())
            predicted = connection.execute(select(func.count()).select_from(PredictionRow)).scalar_one()
            open_ = connection.execute(select(AttemptRow.request_id).where(AttemptRow.outcome == "running")).scalars()
            in_work = sorted(open_)
            state = connection.execute(select(RunRow.state)).scalar_one()
            counted = runs.counts(connection, self.run_id)
        assert Counter(asdict(counted)) == Counter(r.status for r in rows), "what is summed is what the rows say"
        ids = {status: {r.id for r in rows if r.status == status} for status in ("done", "running")}
        assert {r.id: r.attempt for r in rows} == self.attempts, "attempts only grow"
        assert said == self.texts and set(said) == ids["done"] and predicted == len(said), (
            "answers neither lost nor two"
        )
        assert in_work == sorted(ids["running"]) == sorted(r.id for r in rows if r.lease_expires_at is not None)
        for row in rows:
            assert row.strikes < 2 or row.status in FINAL, "who was struck too often has failed"
            assert not row.strikes or row.alone, "from its first strike it runs alone"
        assert state != RunState.CANCELLED or {r.status for r in rows} <= FINAL, "a cancelled run asks for nothing"


TestRequestLife = RequestLife.TestCase
TestRequestLife.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
