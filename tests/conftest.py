"""What every test is spared: the settings of whoever runs it, in the environment and in a `.env` beside the code, and
the size of a terminal that it is not in."""

import os
from collections.abc import Iterator

import pytest

from videval.settings import Settings

SPARED = ("VIDEVAL_", "CELERY_", "HF_")
SPARED_ALSO = ("LMUData", "CUDA_VISIBLE_DEVICES", "COLUMNS", "LINES")
for name in [n for n in os.environ if n.startswith(SPARED) or n in SPARED_ALSO]:
    del os.environ[name]
Settings.model_config["env_file"] = None


@pytest.fixture(scope="session", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests, and the processes that they start, run in an empty folder: no `.env` of the user's lies there."""
    here = os.getcwd()  # noqa: PTH109 (a path may be gone by the end, a name is enough)
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(here)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On CI's busy machines a test gets a second try, and the run says so; where the fleet is broken on purpose, and
    where a user's whole way is gone, a test that fails once has failed."""
    if os.environ.get("CI"):
        for item in items:
            if not {"chaos", "acceptance"} & set(item.path.parts):
                item.add_marker(pytest.mark.flaky(reruns=1))
