"""Videos that we write are whole, repeatable and what they say they are."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from videval.errors import UsageError
from videval.types import FrameSampling
from videval.video.decode import decode, probe, read_image
from videval.video.encode import CODECS, write_frame_folder, write_video
from videval.video.integrity import check_file

NAMES = {"h264": "a.mp4", "vp9": "a.webm", "av1": "a.mp4", "gif": "a.gif"}


def counting(n: int, height: int = 48, width: int = 64) -> Any:
    """Frames that tell their number by their brightness, and left from right."""
    frames = np.zeros((n, height, width, 3), np.uint8)
    frames[:, :, : width // 2] = (np.arange(n) * 255 // n).astype(np.uint8)[:, None, None, None]
    return frames


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((0, 48, 64, 3), np.uint8),
        np.zeros((2, 48, 64), np.uint8),
        np.zeros((2, 48, 64, 4), np.uint8),
        np.zeros((2, 48, 64, 3), np.float32),
    ],
)
def test_what_is_not_frames_is_refused_and_nothing_is_written(tmp_path: Path, frames: Any) -> None:
    with pytest.raises(UsageError, match="uint8"):
        write_video(tmp_path / "a.mp4", frames, 8)
    with pytest.raises(UsageError, match="uint8"):
        write_frame_folder(tmp_path / "a", frames)
    assert not list(tmp_path.iterdir())


def test_an_unknown_codec_an_odd_size_and_an_unknown_image_type_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="codec 'xvid'"):
        write_video(tmp_path / "a.mp4", counting(2), 8, "xvid")
    with pytest.raises(UsageError, match="even width and height, not 63x48"):
        write_video(tmp_path / "a.mp4", counting(2, width=63), 8)
    with pytest.raises(UsageError, match=r"\.jpg or \.png"):
        write_frame_folder(tmp_path / "a", counting(2), suffix=".tiff")
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, counting(4), 8)
    before = path.read_bytes()

    def break_off(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("videval.video.encode._encode", break_off)
    with pytest.raises(OSError, match="disk full"):
        write_video(path, counting(9), 8)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("codec", CODECS)
def test_each_codec_keeps_count_rate_size_and_order(tmp_path: Path, codec: str) -> None:
    frames, path = counting(40), tmp_path / NAMES[codec]
    write_video(path, frames, 12.5, codec)
    check_file(path)
    info = probe(path)
    assert (info.total_frames, info.width, info.height) == (40, 64, 48)
    assert info.fps == pytest.approx(12.5)
    shown = decode(path, FrameSampling(policy="uniform", num_frames=40))
    assert np.abs(shown.frames.astype(int) - frames).mean() < (12 if codec == "gif" else 3)
    assert shown.timestamps == pytest.approx([i / 12.5 for i in range(40)], abs=1e-3)


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, codec: str) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / name, counting(10), 30000 / 1001, codec)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_gif_takes_odd_sizes(tmp_path: Path) -> None:
    write_video(tmp_path / "a.gif", counting(3, 33, 51), 10, "gif")
    assert (probe(tmp_path / "a.gif").width, probe(tmp_path / "a.gif").height) == (51, 33)


def test_a_folder_is_numbered_from_one_and_replaced_as_a_whole(tmp_path: Path) -> None:
    write_frame_folder(tmp_path / "clip", counting(12))
    write_frame_folder(tmp_path / "clip", counting(3), suffix=".png")
    assert sorted(p.name for p in (tmp_path / "clip").iterdir()) == ["00001.png", "00002.png", "00003.png"]
    assert np.array_equal(read_image(tmp_path / "clip" / "00002.png"), counting(3)[1])
    assert [p.name for p in tmp_path.iterdir()] == ["clip"]


@pytest.mark.skipif(sys.platform != "linux", reason="scheduling by thread is Linux's")
@pytest.mark.parametrize("codec", CODECS)
def test_writing_a_video_leaves_the_scheduling_of_its_thread_alone(tmp_path: Path, codec: str) -> None:
    """For root, SVT-AV1 made its caller realtime for ever, and so every worker started after it."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # whatever an earlier writer left
    write_video(tmp_path / NAMES[codec], counting(4), 8, codec)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
