"""Video paths from a question table stay inside the data root."""

from pathlib import Path

import pytest

from videval.errors import VideoFailure
from videval.video.paths import path_problem, resolve_video


@pytest.mark.parametrize(
    "relative", ["/etc/passwd", "../secret.mp4", "a/../../secret.mp4", "..", "", ".", "a\0.mp4", "a/.."]
)
def test_a_path_that_leaves_the_root_is_refused(tmp_path: Path, relative: str) -> None:
    assert path_problem(relative)
    with pytest.raises(VideoFailure, match="path"):
        resolve_video(tmp_path, relative, allow_symlinks=True)


def test_a_symlink_out_of_the_root_is_refused_unless_allowed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "link").symlink_to(outside)
    with pytest.raises(VideoFailure, match="symlink") as caught:
        resolve_video(root, "link/a.mp4", allow_symlinks=False)
    assert "VIDEVAL_ALLOW_SYMLINKS" in caught.value.hint
    assert resolve_video(root, "link/a.mp4", allow_symlinks=True) == root / "link" / "a.mp4"


def test_a_symlink_inside_the_root_and_a_root_that_is_one_are_fine(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "a.mp4").write_bytes(b"x")
    (real / "b.mp4").symlink_to("a.mp4")
    (tmp_path / "root").symlink_to(real)
    assert resolve_video(tmp_path / "root", "b.mp4", allow_symlinks=False) == tmp_path / "root" / "b.mp4"


def test_a_symlink_that_points_at_itself_is_refused_when_read(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert resolve_video(tmp_path, "loop", allow_symlinks=False) == tmp_path / "loop"


@pytest.mark.parametrize("relative", ["a.mp4", "sub/a b.mp4", "über/ü.mp4", "./a.mp4", "a..b/c.mp4", "http:/x"])
def test_a_path_below_the_root_is_joined_to_it(tmp_path: Path, relative: str) -> None:
    assert path_problem(relative) is None
    assert resolve_video(tmp_path, relative, allow_symlinks=False) == tmp_path / relative
