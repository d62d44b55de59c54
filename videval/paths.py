"""Paths as people type them."""

import os
from pathlib import Path

__all__ = ["expanded"]


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with ~ as the home folder; that of a user who does not exist stays as it is, and is a file that is not
    there."""
    return Path(os.path.expanduser(path))  # noqa: PTH111, since Path.expanduser raises there
