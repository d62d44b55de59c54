"""The chaos suite: one small seed by default, `--seeds N` for N full-size ones (make chaos SEEDS=N)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster, new_cluster
from tests.servers import BACKENDS

QUICKLY = {
    "test_workers_join_and_leave_and_nothing_is_generated_twice": "postgresql",
    "test_sigterm_finishes_what_generates_and_releases_the_rest_unharmed": "sqlite",
    "test_a_second_signal_ends_a_worker_now_and_its_request_is_given_back": "sqlite",
    "test_pause_resume_and_cancel_act_within_seconds": "sqlite",
    "test_two_runs_of_two_models_cost_about_two_loads_per_worker": "postgresql",
    "test_one_that_works_alone_serves_both_runs_turn_by_turn": "sqlite",
    "test_a_killed_worker_s_requests_are_back_within_ten_seconds_although_leases_are_long": "sqlite",
    "test_the_children_of_a_killed_worker_die_with_it": "sqlite",
    "test_random_kills_of_servers_with_64_slots_lose_nothing_either": "sqlite",
    "test_celery_shows_as_many_tasks_as_are_in_hand_and_as_many_places_as_the_model_has": "sqlite",
    "test_workers_killed_in_the_middle_of_calls_lose_nothing_and_double_what_was_in_flight": "sqlite",
    "test_an_endpoint_at_its_worst_answers_all_once_within_the_budget": "sqlite",
    "test_redis_killed_in_the_middle_of_calls_holds_them_up_and_sends_nothing_twice": "postgresql",
    "test_flushing_redis_loses_no_request": "sqlite",
    "test_a_worker_that_slept_past_its_lease_is_refused_and_says_so": "postgresql",
    "test_the_same_message_five_times_at_once_is_one_generation": "sqlite",
    "test_forged_and_foreign_messages_harm_nobody": "sqlite",
    "test_workers_whose_clocks_are_an_hour_off_change_nothing": "postgresql",
    "test_a_server_s_poison_fails_with_its_reason_and_its_company_is_answered_without_a_strike": "sqlite",
}
"""Without --seeds, where these run on one back end only: what they break is not the database."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=None, help="full-size chaos with this many seeds")
    parser.addoption("--first-seed", type=int, default=1, help="the first of them")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" not in metafunc.fixturenames:
        return
    count, first = metafunc.config.getoption("--seeds", default=None), metafunc.config.getoption("--first-seed", 1)
    metafunc.parametrize("seed", range(first, first + (count or 1)), scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_quick = config.getoption("--seeds", default=None) is None
    left_out = [item for item in items if _backend(item) in _not_for(item, is_quick)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _backend(item: pytest.Item) -> str | None:
    return item.callspec.params.get("cluster") if hasattr(item, "callspec") else None


def _not_for(item: pytest.Item, is_quick: bool) -> set[str]:
    """The back ends that a test does not run on."""
    if "with_postgres" in getattr(item, "fixturenames", ()):
        return {"sqlite"}
    quickly = QUICKLY.get(getattr(item, "originalname", item.name)) if is_quick else None
    return set(BACKENDS) - {quickly} if quickly else set()


@pytest.fixture(scope="session")
def full_size(pytestconfig: pytest.Config) -> bool:
    """Whether the suite runs at the size of the issue, or small enough for every `make test`."""
    return pytestconfig.getoption("--seeds", default=None) is not None


@pytest.fixture(params=[pytest.param(b, marks=[pytest.mark.postgres] * (b == "postgresql")) for b in BACKENDS])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """SQLite and the embedded Redis, or PostgreSQL and a Redis on a port; nothing of it is left afterwards."""
    made = new_cluster(request.param, tmp_path)
    try:
        yield made
    finally:
        left = made.close()
    assert not left, f"processes outlived their fleet: {left}"
