"""Files that were trimmed, cut, turned or mirrored are shown as players show them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from tests.films import FILMS, FPS, Film, drawn, said, set_edits, set_matrix
from videval.errors import VideoFailure
from videval.types import FrameSampling
from videval.video.decode import decode
from videval.video.decoded import InMemory
from videval.video.footage import _count as counting
from videval.video.footage import examine
from videval.video.pyav_reader import PyavReader

STEADY = {"x264-params": "scenecut=0:b-adapt=0"}
DELAY = {0: 0, 1: 1, 2: 2, 3: 2}
BY_NAME = {film.name: film for film in FILMS}


def shown_of(path: Path, policy: str = "uniform", count: int = 8) -> tuple[InMemory, list[int]]:
    shown = decode(path, FrameSampling(policy=policy, num_frames=count))
    return shown, [said(pixels) for pixels in shown.frames]


@pytest.mark.parametrize("b_frames", [0, 2, 3])
@pytest.mark.parametrize(
    "stretches",
    [
        [(7, 60)],
        [(0, 33)],
        [(7, 33)],
        [(12, 36)],
        [(0, 12), (24, 36)],
        [(3, 17), (29, 41)],
        [(2, 9), (20, 27), (40, 55)],
        [(30, 45), (5, 20)],
        [(12, 24), (12, 24)],
        [(2, 5), (8, 11)],
    ],
    ids=str,
)
def test_only_what_an_edit_list_keeps_is_shown_and_counted(
    tmp_path: Path, b_frames: int, stretches: list[tuple[int, int]]
) -> None:
    film = Film(name="a.mp4", frames=60, b_frames=b_frames, options=STEADY)
    path = set_edits(film.write(tmp_path), *stretches, b_delay=DELAY[b_frames])
    kept = [n for first, last in stretches for n in range(first, last)]
    for policy, count in (("interior", 8), ("stride", 8), ("uniform", 32), ("uniform", 1)):
        shown, numbers = shown_of(path, policy, count)
        assert shown.info.total_frames == len(kept)
        assert numbers == [kept[n] for n in shown.choice.indices]
        assert shown.info.decoder.startswith("PyAV")
    assert shown.timestamps[0] == 0.0


@pytest.mark.parametrize("stretch", [(7, 60), (0, 33), (7, 33)], ids=str)
def test_the_times_of_a_trimmed_video_begin_at_its_first_shown_frame(tmp_path: Path, stretch: tuple[int, int]) -> None:
    path = set_edits(Film(name="a.mp4", frames=60, b_frames=2, options=STEADY).write(tmp_path), stretch, b_delay=2)
    shown, _ = shown_of(path, count=5)
    assert shown.timestamps == pytest.approx([n / FPS for n in shown.choice.indices], abs=1e-3)


@pytest.mark.parametrize("name", ["h264_b.ts", "h264_open.ts", "hevc_open.ts", "mpeg2_b.ts"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_stream_that_was_cut_shows_what_follows_its_first_key_frame(tmp_path: Path, name: str, share: float) -> None:
    whole = BY_NAME[name].write(tmp_path)
    with av.open(str(whole)) as container:
        keys = [p.pos or 0 for p in container.demux(video=0) if p.is_keyframe and p.size]
    data, start = whole.read_bytes(), int(keys[1] + share * (keys[2] - keys[1])) // 188 * 188
    path = tmp_path / "cut.ts"
    path.write_bytes(data[:376] + data[start:])
    shown, numbers = shown_of(path, count=100)
    first = numbers[0]
    assert sorted(set(numbers)) == list(range(first, 40)), "each frame to the last, and none that is not whole"
    assert shown.info.total_frames == 40 - first
    assert first in (24, 25, 26, 30), "the key frame (or where it is shown first)"
    assert shown.timestamps[0] == 0.0


@pytest.mark.parametrize("name", ["h264_b.mkv", "hevc_open.mkv", "vp9.webm", "vp8.webm"])
def test_a_matroska_file_that_begins_in_a_group_shows_what_follows_its_first_key_frame(
    tmp_path: Path, name: str
) -> None:
    source, path = BY_NAME[name].write(tmp_path), tmp_path / f"cut.{name[-4:].strip('.')}"
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(video=0)):
            if number >= 5 and packet.size:
                packet.stream = stream
                out.mux(packet)
    shown, numbers = shown_of(path, count=100)
    assert sorted(set(numbers)) == list(range(numbers[0], 40))
    assert 5 < numbers[0] <= 16 and shown.info.total_frames == 40 - numbers[0]


def test_a_video_without_any_key_frame_is_a_failure(tmp_path: Path) -> None:
    source, path = BY_NAME["vp9.webm"].write(tmp_path), tmp_path / "a.webm"
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size and not packet.is_keyframe:
                packet.stream = stream
                out.mux(packet)
    with pytest.raises(VideoFailure, match=r"a\.webm: cannot be decoded .*no frames"):
        shown_of(path)


@pytest.mark.parametrize("turn", range(4), ids=lambda n: f"{90 * n}")
@pytest.mark.parametrize("mirrored", [False, True], ids=["plain", "mirrored"])
def test_turned_and_mirrored_videos_are_shown_upright_and_unmirrored(tmp_path: Path, turn: int, mirrored: bool) -> None:
    """Stored is what the matrix must undo: mirrored, then turned to the left."""

    def stored(number: int, width: int, height: int) -> Any:
        upright = drawn(number, *((width, height) if turn % 2 == 0 else (height, width)))
        return np.ascontiguousarray(np.rot90(upright[:, ::-1] if mirrored else upright, turn))

    a, b, c, d = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)][turn]
    film = Film(name="a.mp4", size=(64, 48) if turn % 2 == 0 else (48, 64))
    path = set_matrix(film.write(tmp_path, stored), *((-a, b, -c, d) if mirrored else (a, b, c, d)))
    shown, numbers = shown_of(path, count=9)
    assert numbers == list(shown.choice.indices)
    assert (shown.info.width, shown.info.height) == (64, 48)


def test_a_matrix_that_says_nothing_turns_nothing(tmp_path: Path) -> None:
    path = set_matrix(Film(name="a.mp4").write(tmp_path), 0, 0, 0, 0)
    shown, numbers = shown_of(path)
    assert numbers == list(shown.choice.indices)


@pytest.mark.parametrize("frames_off", [-14, -2, 3, 14])
@pytest.mark.parametrize("name", ["h264_b.mkv", "h264_no_key_table.mp4"])
def test_a_seek_that_ends_elsewhere_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, frames_off: int
) -> None:
    """It may end at another start, before or behind, or at a picture that only says that it is a key frame."""
    footage = examine(BY_NAME[name].write(tmp_path))
    seeks: list[int] = []

    def astray(self: PyavReader, container: Any, stream: Any, start: int) -> None:
        seeks.append(start)
        number = footage.timeline.next_from(start) + frames_off
        container.seek(footage.timeline.times[min(39, max(0, number))], stream=stream)

    monkeypatch.setattr(PyavReader, "_seek", astray)
    assert [said(pixels) for _, pixels in PyavReader(footage).read([5, 20, 38])] == [5, 20, 38]
    assert seeks


@pytest.mark.parametrize("default", [0, 1])
def test_of_several_videos_in_one_file_the_one_that_is_marked_is_shown(tmp_path: Path, default: int) -> None:
    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("libx264", rate=FPS, options={"preset": "veryfast"}) for _ in range(2)]
        for kind, (stream, size) in enumerate(zip(streams, ((32, 32), (64, 48)), strict=True)):
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.disposition = Disposition.default if kind == default else Disposition(0)
        for number in range(20):
            for kind, stream in enumerate(streams):
                pixels = drawn(number + 100 * kind, stream.width, stream.height)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        for stream in streams:
            out.mux(stream.encode(None))
    shown, numbers = shown_of(path)
    assert numbers == [100 * default + n for n in shown.choice.indices]
    assert shown.info.decoder.startswith("PyAV")


def test_a_video_that_changes_its_size_is_brought_to_its_first(tmp_path: Path) -> None:
    small, large = (Film(name=f"{w}.h264", format="h264", size=(w, w * 3 // 4)).write(tmp_path) for w in (64, 96))
    (tmp_path / "a.h264").write_bytes(small.read_bytes() + large.read_bytes())
    shown, numbers = shown_of(tmp_path / "a.h264", count=16)
    assert numbers == [n % 40 for n in shown.choice.indices]
    assert shown.frames.shape == (16, 48, 64, 3) and shown.info.total_frames == 80


def test_pictures_that_vp8_never_shows_are_not_counted(tmp_path: Path) -> None:
    source, path = BY_NAME["vp8.webm"].write(tmp_path), tmp_path / "hidden.webm"
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(p for p in given.demux(video=0) if p.size):
            data = bytearray(bytes(packet))
            data[0] &= ~0x10 if number in (5, 17) else 0xFF
            changed = av.Packet(bytes(data))
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.stream, changed.is_keyframe = stream, packet.is_keyframe
            out.mux(changed)
    kept = [n for n in range(40) if n not in (5, 17)]
    shown, numbers = shown_of(path, count=38)
    assert numbers == kept and shown.info.total_frames == 38
    assert not examine(path).timeline.is_counted
    assert shown.timestamps == pytest.approx([n / FPS for n in kept], abs=2e-3)


def test_what_a_reader_finds_elsewhere_is_left_to_the_next_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = BY_NAME["h264_b.mp4"].write(tmp_path)
    true = examine(path)
    times = list(true.timeline.times)
    del times[20]  # a picture that is shown although the packets deny it
    wrong = replace(true, timeline=replace(true.timeline, times=tuple(times)))
    monkeypatch.setattr("videval.video.decode.examine", lambda path: wrong)
    _, numbers = shown_of(path, count=40)
    assert numbers == list(range(40)), "PyAV meets another time, counting is right"
    monkeypatch.setattr("videval.video.decode.counted", lambda footage: wrong)
    with pytest.raises(VideoFailure, match=r"PyAV: frame 20 is not where.*; PyAV, count"):
        shown_of(path, count=40)


def test_another_file_under_the_same_name_is_looked_at_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []

    def looking(path: Path) -> Any:
        looks.append(path)
        return counting(path)

    monkeypatch.setattr("videval.video.footage._count", looking)
    path = BY_NAME["h264.ts"].write(tmp_path)
    assert shown_of(path)[0].info.total_frames == shown_of(path, "stride")[0].info.total_frames == 40
    assert len(looks) == 1, "a second span of the same file costs no second look"
    replace(BY_NAME["h264.ts"], frames=20).write(tmp_path)
    assert shown_of(path)[0].info.total_frames == 20
