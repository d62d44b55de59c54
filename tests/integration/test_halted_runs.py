"""A run of which nothing can be answered is paused once, with its reason, and costs its requests nothing."""

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from tests.one_worker import new_worker
from tests.questions import identity, key_of, make_run, request_ids, row_of
from videval import changes
from videval.db import claims
from videval.db import runs as rows
from videval.db.identity import database_id
from videval.db.records import Claim, RunInfo
from videval.db.session import Database, open_database
from videval.db.tables import ChoreRow, RunRow
from videval.db.usage import allowance_of, count_usage, set_limits
from videval.errors import RunHalted, UsageError
from videval.models.openai_api.failures import Asked, status_failure
from videval.report import run_status
from videval.report.used import halted_in_words, refuse_halted
from videval.settings import Settings
from videval.types import Allowance, Generation, RequestStatus, RunState

ENTRY = """
[endpoints.lab]
base_url = "{url}"
model = "stand-in"
prices = {{ prompt = 1.0, new = 1.0 }}
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model at an endpoint where nobody is."""
    (tmp_path / "endpoints.toml").write_text(ENTRY.format(url="http://127.0.0.1:9/v1"))
    monkeypatch.setenv("VIDEVAL_ENDPOINTS", str(tmp_path / "endpoints.toml"))
    return "endpoint:lab"


def run_of(database: Database, run_id: int) -> RunInfo:
    with database.read() as connection:
        return rows.get_run(connection, run_id)


def claimed(database: Database, request_id: int, model: str) -> Claim | None:
    key = key_of(model)
    return database.write(lambda c: claims.claim(c, request_id, identity(), lease=60.0, load_key=key, dtype="auto"))


def test_a_run_is_halted_once_with_its_reason(database: Database, tmp_path: Path) -> None:
    run_id = make_run(database, tmp_path / "data")
    assert database.write(rows.halt, run_id, "no key -> export LAB_KEY=...")
    assert not database.write(rows.halt, run_id, "another reason")
    run = run_of(database, run_id)
    assert (run.state, run.halted) == (RunState.PAUSED, "no key -> export LAB_KEY=...")


def test_resume_clears_what_a_run_was_halted_for(database: Database, tmp_path: Path) -> None:
    run_id = make_run(database, tmp_path / "data")
    database.write(rows.halt, run_id, "no key")
    assert changes.resume(database, run_of(database, run_id)).goes_on
    assert (run_of(database, run_id).state, run_of(database, run_id).halted) == (RunState.ACTIVE, None)


def test_whoever_waits_for_a_halted_run_hears_why_and_what_mends_it(database: Database, tmp_path: Path) -> None:
    run = run_of(database, make_run(database, tmp_path / "data"))
    refuse_halted(run_status(database, run))
    database.write(rows.halt, run.run_id, "no key -> export LAB_KEY=...")
    with pytest.raises(RunHalted, match="is halted: no key") as halted:
        refuse_halted(run_status(database, run))
    assert halted.value.hint == "export LAB_KEY=..."


def test_the_same_enqueue_goes_on_with_a_halted_run_and_sets_its_limit(
    database: Database, tmp_path: Path, lab: str
) -> None:
    run_id = make_run(database, tmp_path / "data", model=lab, max_tokens=100)
    database.write(rows.halt, run_id, "100 are used up")
    assert make_run(database, tmp_path / "data", model=lab, max_tokens=900) == run_id
    run = run_of(database, run_id)
    assert (run.state, run.halted, run.max_tokens) == (RunState.ACTIVE, None, 900)
    make_run(database, tmp_path / "data", model=lab)
    assert run_of(database, run_id).max_tokens == 900


def test_a_limit_that_was_raised_meanwhile_halts_nothing(database: Database, tmp_path: Path, lab: str) -> None:
    run_id = make_run(database, tmp_path / "data", model=lab, max_tokens=100)
    changes.resume(database, run_of(database, run_id), max_tokens=500)
    stale = Allowance(run="r", key="r", max_tokens=100)
    assert not database.write(rows.halt, run_id, "100 are used up", stale)
    assert database.write(rows.halt, run_id, "500 are used up", Allowance(run="r", key="r", max_tokens=500))


def test_a_claim_says_what_its_run_may_take_and_has_taken(database: Database, tmp_path: Path, lab: str) -> None:
    run_id = make_run(database, tmp_path / "data", 2, model=lab, max_tokens=900)
    first, second = request_ids(database, run_id)
    claim = claimed(database, first, lab)
    assert claim is not None and claim.run.allowance is not None
    key = claim.run.allowance.key
    assert claim.run.allowance == Allowance(run=claim.run.name, key=key, max_tokens=900)
    generation = Generation(text="A", prompt_tokens=90, new_tokens=10, cost=0.25)
    database.write(count_usage, run_id, generation)
    database.write(lambda c: set_limits(c, run_id, max_tokens=None, max_cost=2.0))
    later = claimed(database, second, lab)
    assert later is not None
    said = Allowance(run=claim.run.name, key=key, max_tokens=900, max_cost=2.0, tokens=100, cost=0.25)
    assert later.run.allowance == said


def test_a_run_that_was_deleted_and_made_again_and_one_of_another_database_are_other_runs_to_the_budget(
    database: Database, tmp_path: Path, lab: str
) -> None:
    run_id = make_run(database, tmp_path / "data", model=lab, max_tokens=900)
    claim = claimed(database, request_ids(database, run_id)[0], lab)
    assert claim is not None and database_id(database)

    def key() -> str:
        with database.read() as connection:
            allowance = allowance_of(connection, claim.run)
        assert allowance is not None
        return allowance.key

    keys = [key(), key()]
    database.write(lambda c: c.execute(update(RunRow).values(created_at=1.5)))
    keys.append(key())
    database.write(lambda c: c.execute(update(ChoreRow).values(done_at=9.0)))
    keys.append(key())
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_a_run_without_limits_has_no_allowance(database: Database, tmp_path: Path, lab: str) -> None:
    claim = claimed(database, request_ids(database, make_run(database, tmp_path / "data", model=lab))[0], lab)
    assert claim is not None and claim.run.allowance is None
    with database.read() as connection:
        assert allowance_of(connection, claim.run) is None


@pytest.mark.parametrize(
    ("given", "why"), [({"max_tokens": 9}, "no model at an endpoint"), ({"max_cost": 1.0}, "no prices")]
)
def test_resume_refuses_a_limit_that_nobody_counts_against(
    given: dict[str, Any], why: str, database: Database, tmp_path: Path
) -> None:
    run = run_of(database, make_run(database, tmp_path / "data"))
    with pytest.raises(UsageError, match=why):
        changes.resume(database, run, **given)


def test_what_a_halted_run_had_in_hand_goes_back_at_no_cost(
    database: Database, settings: Settings, tmp_path: Path, lab: str
) -> None:
    """Four requests at once, and each hears that the key is wrong."""
    run_id = make_run(database, tmp_path / "data", 4, model=lab)
    ids = request_ids(database, run_id)
    taken = [claim for i in ids if (claim := claimed(database, i, lab))]
    worker = new_worker(open_database(settings), settings)

    def infer(*args: object, **more: object) -> Any:
        raise RunHalted("lab does not accept the key (401)", hint="export LAB_KEY=..., then videval resume RUN")

    worker.answerer._infer = infer
    threads = [threading.Thread(target=worker.answerer.answer, args=(claim,)) for claim in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    worker.close()
    found = [row_of(database, i) for i in ids]
    assert [(r.status, r.retries, r.strikes) for r in found] == [(RequestStatus.QUEUED, 0, 0)] * 4
    run = run_of(database, run_id)
    assert run.state == RunState.PAUSED
    said = f"lab does not accept the key (401) -> export LAB_KEY=..., then videval resume {run.name}"
    assert run.halted == said


def test_a_run_whose_model_is_not_there_is_told_to_be_made_anew_and_not_to_go_on(
    database: Database, settings: Settings, tmp_path: Path, lab: str
) -> None:
    """With another model it is another run."""
    run_id = make_run(database, tmp_path / "data", model=lab)
    claim = claimed(database, request_ids(database, run_id)[0], lab)
    worker = new_worker(open_database(settings), settings)

    def infer(*args: object, **more: object) -> Any:
        asked = Asked(endpoint="lab", url="http://gpu1/v1", model="m")
        failure = status_failure(404, b"the model does not exist", {}, asked)
        assert isinstance(failure, RunHalted)
        raise failure

    worker.answerer._infer = infer
    assert claim is not None
    worker.answerer.answer(claim)
    worker.close()
    run = run_of(database, run_id)
    said = halted_in_words(run_status(database, run))
    assert said.endswith(f"then enqueue again, as a new run; this one: videval cancel {run.name}")


OF_COST = "--max-cost 1.00: 0.75 is spent, the next request may cost 0.50 -> videval resume r --max-cost 2.50"


def test_resume_says_that_a_limit_stands_which_halted_the_run(database: Database, tmp_path: Path, lab: str) -> None:
    run_id = make_run(database, tmp_path / "data", model=lab, max_cost=1.0)
    run = run_of(database, run_id)
    for given, stands in (({}, True), ({"max_tokens": 10_000}, True), ({"max_cost": 2.5}, False)):
        database.write(rows.halt, run_id, OF_COST)
        changed = changes.resume(database, run, **given)
        assert changed.goes_on and changed.said.endswith(OF_COST) is stands, changed.said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_tokens": 100}, "tokens of --max-tokens-total 100 are used -> videval resume {} --max-tokens-total 200"),
        ({"max_cost": 0.2}, "0.25 USD of --max-cost 0.20 is spent -> videval resume {} --max-cost 0.50"),
        ({"max_cost": 0.3, "max_tokens": 101}, ""),
    ],
)  # fmt: skip
def test_resume_says_that_a_limit_is_used_up_already(
    given: dict[str, Any], said: str, database: Database, tmp_path: Path, lab: str
) -> None:
    run_id = make_run(database, tmp_path / "data", model=lab)
    database.write(count_usage, run_id, Generation(text="A", prompt_tokens=90, new_tokens=10, cost=0.25))
    run = run_of(database, run_id)
    changes.pause(database, run)
    assert changes.resume(database, run, **given).said.endswith(said.format(run.name) if said else " goes on")
