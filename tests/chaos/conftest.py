"""The chaos suite: one small seed by default, `--seeds N` for N full-size ones (make chaos SEEDS=N)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster, new_cluster
from tests.servers import BACKENDS


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=None, help="full-size chaos with this many seeds")
    parser.addoption("--first-seed", type=int, default=1, help="the first of them")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" not in metafunc.fixturenames:
        return
    count, first = metafunc.config.getoption("--seeds", default=None), metafunc.config.getoption("--first-seed", 1)
    metafunc.parametrize("seed", range(first, first + (count or 1)), scope="session")


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
