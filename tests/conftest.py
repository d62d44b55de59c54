"""What every test is spared: the settings of whoever runs it, in the environment and in a `.env` beside the code, and
the size of a terminal that it is not in."""

import os

import pytest

from videval.settings import Settings

for name in [n for n in os.environ if n.startswith(("VIDEVAL_", "CELERY_")) or n in ("COLUMNS", "LINES")]:
    del os.environ[name]
Settings.model_config["env_file"] = None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On CI's busy machines a test gets a second try, and the run says so; where the fleet is broken on purpose, and
    where a user's whole way is gone, a test that fails once has failed."""
    if os.environ.get("CI"):
        for item in items:
            if not {"chaos", "acceptance"} & set(item.path.parts):
                item.add_marker(pytest.mark.flaky(reruns=1))
