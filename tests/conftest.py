"""For all tests: on a shared CI machine a test that fails is tried once more, and pytest counts and names it."""

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In CI only: a second try."""
    for item in items:
        if os.environ.get("CI") and not item.get_closest_marker("flaky"):
            item.add_marker(pytest.mark.flaky(reruns=1))
