"""Where a video lies: a path from a question table, kept inside its data root."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from videval.errors import VideoFailure

__all__ = ["absent", "is_there", "path_problem", "resolve_video"]


def path_problem(relative: str) -> str | None:
    """Say what is wrong with a path from a question table, without looking at the disk; None if nothing is."""
    if "\0" in relative:
        return "path contains a null byte"
    path = PurePosixPath(relative)
    if path.is_absolute():
        return f"{relative!r}: path must be relative to the data root"
    if ".." in path.parts:
        return f"{relative!r}: path must not contain '..'"
    if not path.parts:
        return "path is empty"
    return None


def resolve_video(root: Path, relative: str, *, allow_symlinks: bool) -> Path:
    """The absolute path of a video (or image) below `root`.

    Raises VideoFailure for a path that leaves the root: absolute, with `..`, or by a symlink, unless
    `allow_symlinks`. Whether the file is there is not looked at; decoding says that.
    """
    problem = path_problem(relative)
    if problem:
        raise VideoFailure(problem)
    path = root.absolute() / relative
    if not allow_symlinks and not _is_below(path, root):
        raise VideoFailure(
            f"{relative!r}: a symlink that leaves the data root",
            hint="set VIDEVAL_ALLOW_SYMLINKS=true if the data root holds symlinks on purpose",
        )
    return path


def _is_below(path: Path, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(_allowed(root)))


def _allowed(root: Path) -> Path:
    """The root, or for a snapshot in the Hugging Face cache its repository: snapshots link to blobs beside them."""
    root = root.absolute()
    in_hub_cache = root.parent.name == "snapshots" and root.parents[1].name.startswith("datasets--")
    return root.parents[1] if in_hub_cache else root


def is_there(path: Path) -> bool:
    """Whether there is a video: a file, or a folder of images."""
    try:
        return path.is_file() or (path.is_dir() and any(path.iterdir()))
    except OSError:  # a name too long for the file system, a folder that may not be entered
        return False


def absent(videos: Iterable[str], root: Path) -> list[str]:
    """Those that are not below root, each once, in their order."""
    return [video for video in dict.fromkeys(videos) if not is_there(root / video)]
