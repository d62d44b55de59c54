"""The real vLLM on a CPU (`make test-vllm`); where it is not installed there is nothing to collect here."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.acceptance.conftest import clips, home
from tests.tiny import tiny
from tests.tiny._shown import made_clip, made_image
from tests.vllm.wide import widen

__all__ = ["clips", "home", "made_clip", "made_image", "tiny"]

collect_ignore_glob = [] if find_spec("vllm") else ["test_*.py"]


@pytest.fixture(scope="session")
def wide(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny model with wider heads, made once."""
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp("wide") / family
            widen(tiny(family), made[family])
        return made[family]

    return folder
