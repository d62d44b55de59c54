"""Who reads a video: chosen by a rule or set, and the same pixels from each."""

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from perf.choosing import spent
from tests.films import FILMS, FPS, Film, said, set_matrix
from videval.errors import EnvironmentProblem, UsageError, VideoFailure
from videval.types import FrameSampling
from videval.video import DECORD, PYAV, TORCHCODEC, WAITING, decord_reader, nvdec_reader, torchcodec_reader
from videval.video.choosing import Facts, facts_of, open_by, reader_for
from videval.video.clips import Reading
from videval.video.decode import decode, decode_into
from videval.video.decoded import InMemory, Shape
from videval.video.decord_reader import DecordReader
from videval.video.footage import Footage, examine
from videval.video.nvdec_reader import NvdecReader
from videval.video.pyav_reader import PyavReader
from videval.video.readers import READ_ERRORS, Frames, ReadError
from videval.video.trust import TRUSTED

FOUR = FrameSampling(policy="uniform", num_frames=4)
ONE = FrameSampling(policy="interior", num_frames=1)
BY_NAME = {film.name: film for film in FILMS}
OF_DECORD = {
    "h264.mp4", "h264_b.mp4", "h264_pyramid.mp4", "h264_baseline.mp4", "h264_long_group.mp4", "h264_short_groups.mp4",
    "h264_all_key.mp4", "h264_faststart.mp4", "h264_no_edits.mp4", "h264_uneven.mp4", "h264_one_frame.mp4",
    "h264_b.mov", "h264.3gp",
}  # fmt: skip
"""The films of whose packets it is proven that decord gives the right frames."""
INSTALLED = [name for name in (DECORD, TORCHCODEC) if importlib.util.find_spec(name)]


# the same pixels


@pytest.mark.parametrize("film", FILMS, ids=lambda film: film.name)
def test_every_reader_that_is_trusted_with_a_film_gives_the_pixels_that_pyav_does(
    film: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (decord_reader, torchcodec_reader):
        monkeypatch.setattr(module, "threads_to_use", lambda: 4)
    footage = examine(film.write(tmp_path))
    assert (DECORD not in footage.objections) == (film.name in OF_DECORD)
    every = list(range(len(footage.timeline.times)))
    wanted = dict(PyavReader(footage).read(every))
    for name in INSTALLED:
        for numbers in (every, every[1::7], every[-1:]):
            if name not in footage.objections:
                assert_same(name, wanted, lambda: open_by(name, footage).read(numbers))  # noqa: B023 - called at once


def assert_same(name: str, wanted: dict[int, Any], read: Callable[[], Iterator[tuple[int, Any]]]) -> None:
    """torchcodec compares each frame's time as PyAV does, so it may give way; none may show another frame."""
    try:
        found = dict(read())
    except READ_ERRORS:
        assert name == TORCHCODEC, "decord is asked only where it is proven that it can"
        return
    assert all(np.array_equal(wanted[number], pixels) for number, pixels in found.items())


def growing(path: Path) -> Path:
    """A film whose pictures grow half-way, which its header does not say."""
    options = {"x264-params": "repeat-headers=1:scenecut=0"}
    small, large = (Film(name=f"{n}.mp4", frames=20, size=(n, n * 3 // 4), options=options) for n in (64, 96))
    with (
        av.open(str(small.write(path.parent, noise))) as first,
        av.open(str(large.write(path.parent, noise))) as second,
        av.open(str(path), "w") as out,
    ):
        to = out.add_stream_from_template(first.streams.video[0])
        for part, start in ((first, 0), (second, 20)):
            for packet in part.demux(part.streams.video[0]):
                if packet.pts is not None and packet.dts is not None and packet.time_base is not None:
                    packet.pts += round(start / FPS / packet.time_base)
                    packet.dts += round(start / FPS / packet.time_base)
                    packet.stream = to
                    out.mux(packet)
    return path


COLOURS = ["colormatrix=bt709", "fullrange=on", "fullrange=on:colormatrix=bt709", "colormatrix=bt2020nc", "sar=4/3"]


@pytest.mark.parametrize(
    "film",
    [
        *(Film(name="a.mp4", frames=8, size=size) for size in ((70, 46), (98, 50), (322, 182))),
        *(Film(name="a.mp4", frames=8, options={"x264-params": parameters}) for parameters in COLOURS),
        *(Film(name="a.mp4", frames=8, pixels=pixels) for pixels in ("yuv422p", "yuv444p", "yuvj420p")),
    ],
    ids=lambda film: f"{film.size} {film.options} {film.pixels}",
)
def test_odd_sizes_and_all_kinds_of_colours_are_the_same_whoever_reads(film: Film, tmp_path: Path) -> None:
    footage = examine(film.write(tmp_path, noise))
    wanted = dict(PyavReader(footage).read(range(8)))
    assert DECORD not in footage.objections
    for name in INSTALLED:
        found = dict(open_by(name, footage).read(range(8)))
        assert all(np.array_equal(wanted[number], found[number]) for number in range(8))


def noise(number: int, width: int, height: int) -> Any:
    """Colours of all kinds, moving."""
    cells = np.random.default_rng(0).integers(0, 255, (height // 2, width // 2, 3)).astype(np.uint8)
    return np.ascontiguousarray(np.roll(cells.repeat(2, 0).repeat(2, 1), number, 1))


def test_torchcodec_is_trusted_only_with_kinds_of_files_that_films_were_compared_of(tmp_path: Path) -> None:
    proven = (film for film in FILMS if Path(film.name).suffix in (".mp4", ".mkv", ".webm", ".mov", ".flv"))
    footages = [examine(film.write(tmp_path)) for film in proven]
    kinds = {footage.kind.split()[0] for footage in footages if TORCHCODEC not in footage.objections}
    assert kinds == {codec for _, codec in TRUSTED[TORCHCODEC]}


# who is chosen


def facts(**known: Any) -> Facts:
    trusted = frozenset({DECORD, TORCHCODEC})
    return replace(Facts(frames=8, pictures=250, groups=1, has_spare=False, trusted=trusted), **known)


@pytest.mark.parametrize(
    ("known", "reader"),
    [
        (facts(has_spare=True), PYAV),
        (facts(has_spare=True, frames=64), PYAV),
        (facts(frames=0), PYAV),
        (facts(frames=4), DECORD),
        (facts(frames=64), TORCHCODEC),
        (facts(frames=64, trusted=frozenset({DECORD})), PYAV),
        (facts(frames=8), PYAV),
        (facts(pictures=400), DECORD),
        (facts(pictures=400, groups=16), PYAV),
        (facts(pictures=15_000), PYAV),
        (facts(pictures=15_000, frames=64), TORCHCODEC),
        (facts(trusted=frozenset()), PYAV),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_reader_that_costs_least_is_chosen(known: Facts, reader: str) -> None:
    assert reader_for(known) == reader


def test_the_facts_are_those_of_the_film(tmp_path: Path) -> None:
    plain, reordered = (examine(BY_NAME[name].write(tmp_path)) for name in ("h264_baseline.mp4", "h264_b.mp4"))
    assert facts_of(plain, 1) == Facts(frames=1, pictures=40, groups=8, has_spare=False, trusted=frozenset(INSTALLED))
    assert facts_of(reordered, 1).has_spare


ONE_GROUP = Film(name="a.mp4", frames=60, gop=250, options={"x264-params": "scenecut=0"})


def test_by_the_rule_decord_reads_one_frame_of_a_film_in_which_nothing_can_be_left_out(tmp_path: Path) -> None:
    path = ONE_GROUP.write(tmp_path)
    assert decode(path, ONE).info.decoder.startswith("decord ")
    assert decode(path, FOUR).info.decoder.startswith("PyAV ")
    assert decode(path, FrameSampling(policy="rate", fps=0.3)).info.decoder.startswith("decord ")
    assert decode(path, FrameSampling(policy="rate", fps=5.0)).info.decoder.startswith("PyAV ")


@pytest.mark.parametrize("span", [(float("nan"), 1.0), (0.0, float("inf"))])
def test_who_reads_is_known_before_a_span_that_cannot_be_is_refused(span: tuple[float, float], tmp_path: Path) -> None:
    path = BY_NAME["h264.mp4"].write(tmp_path)
    for sampling in (FOUR, FrameSampling(policy="rate", fps=2.0)):
        with pytest.raises(UsageError, match="a span is two times in seconds"):
            decode(path, sampling, span)


def test_who_reads_is_said_anew_after_room_was_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    read = DecordReader.read

    def reads(self: DecordReader, numbers: Sequence[int]) -> Iterator[tuple[int, Frames]]:
        heard.append("reads")
        return read(self, numbers)

    def waits(shape: Shape) -> Frames:
        heard.append(WAITING)
        return np.empty(shape, np.uint8)

    monkeypatch.setattr(DecordReader, "read", reads)
    path, by_decord = BY_NAME["h264.mp4"].write(tmp_path), Reading(reader="decord")
    decode_into(path, FOUR, allocate=waits, reading=by_decord, watch=lambda name, seconds: heard.append(name))
    assert heard[heard.index(WAITING) :][:3] == [WAITING, DECORD, "reads"]


@pytest.mark.parametrize(("reader", "said_of"), [("decord", "decord 0"), ("pyav", "PyAV ")])
def test_a_reader_that_is_set_reads_and_the_clip_says_so(reader: Any, said_of: str, tmp_path: Path) -> None:
    shown = decode(BY_NAME["h264_b.mp4"].write(tmp_path), FOUR, reading=Reading(reader=reader))
    assert shown.info.decoder.startswith(said_of) and shown.notes == ()
    assert [said(pixels) for pixels in shown.frames] == list(shown.choice.indices)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("h264_b.mkv", "h264 in matroska"),
        ("hevc_open.mp4", "hevc in mov"),
        ("h264_10_bits.mp4", "its colours are not of 8 bits"),
        ("h264_open.mp4", "a key frame is no place to begin"),
        ("h264.ts", "its packets do not prove which frames are shown"),
    ],
)
def test_pyav_reads_what_the_reader_that_is_set_is_not_trusted_with_and_the_clip_says_why(
    name: str, why: str, tmp_path: Path
) -> None:
    shown = decode(BY_NAME[name].write(tmp_path), FOUR, reading=Reading(reader="decord"))
    assert shown.info.decoder.startswith("PyAV ")
    assert [said(pixels) for pixels in shown.frames] == list(shown.choice.indices)
    (told,) = (note for note in shown.notes if note.startswith("decord"))
    assert told.startswith(f"decord: not trusted with it: {why}")


def test_a_film_whose_pictures_change_their_size_is_pyav_s(tmp_path: Path) -> None:
    path = growing(tmp_path / "a.mp4")
    by_pyav, by_decord = (decode(path, FOUR, reading=Reading(reader=name)) for name in ("pyav", "decord"))
    assert by_decord.notes == ("decord: not trusted with it: its pictures may change their size",)
    assert np.array_equal(by_pyav.frames, by_decord.frames) and by_pyav.frames.shape == (4, 48, 64, 3)


def test_a_turned_film_is_pyav_s(tmp_path: Path) -> None:
    path = set_matrix(BY_NAME["h264.mp4"].write(tmp_path), 0, 1, -1, 0)
    assert set(examine(path).objections.values()) == {"it is turned or mirrored for display"}


def test_a_video_on_which_another_reader_gives_up_is_read_by_pyav(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gives_up(self: object, numbers: object) -> None:
        raise RuntimeError("cannot find video stream")

    monkeypatch.setattr(DecordReader, "read", gives_up)
    shown = decode(BY_NAME["h264_b.mp4"].write(tmp_path), FOUR, reading=Reading(reader="decord"))
    assert shown.info.decoder.startswith("PyAV ")
    assert shown.notes == ("decord: cannot find video stream",)


def test_what_no_reader_can_read_has_every_reader_s_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = BY_NAME["h264_b.mp4"].write(tmp_path)
    wrong = examine(BY_NAME["h264_one_frame.mp4"].write(tmp_path))
    monkeypatch.setattr("videval.video.decode.examine", lambda _: wrong)
    monkeypatch.setattr("videval.video.decode.counted", lambda _: wrong)
    wrong.path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(VideoFailure, match=r"decord: .*; PyAV: .*; PyAV, counting: "):
        decode(path, ONE, reading=Reading(reader="decord"))


def test_a_reader_that_is_set_and_not_installed_is_an_error_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videval.video.choosing._is_installed", lambda name: False)
    with pytest.raises(EnvironmentProblem, match="VIDEVAL_READER=torchcodec: torchcodec is not installed") as caught:
        decode(BY_NAME["h264.mp4"].write(tmp_path), FOUR, reading=Reading(reader="torchcodec"))
    assert caught.value.hint is not None and "pip install" in caught.value.hint


def test_pyav_reads_where_decord_is_not_installed_or_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ONE_GROUP.write(tmp_path)
    monkeypatch.setitem(sys.modules, "videval.video.decord_reader", None)
    shown = decode(path, ONE)
    assert shown.info.decoder.startswith("PyAV ")
    assert len(shown.notes) == 1 and shown.notes[0].startswith("decord: cannot be loaded: ")
    monkeypatch.setattr("videval.video.choosing._is_installed", lambda name: False)
    assert decode(path, ONE).notes == ()


def test_decord_says_when_it_counts_other_frames_or_has_them_elsewhere(tmp_path: Path) -> None:
    footage = examine(BY_NAME["h264.mp4"].write(tmp_path))
    with pytest.raises(ReadError, match="counts 40 frames, the packets are 39"):
        DecordReader(with_times(footage, footage.timeline.times[:-1]))
    moved = (*footage.timeline.times[:20], footage.timeline.times[20] + 100, *footage.timeline.times[21:])
    with pytest.raises(ReadError, match="it has frame 20 at"):
        list(DecordReader(with_times(footage, moved)).read([20]))


def with_times(footage: Footage, times: tuple[int, ...]) -> Footage:
    return replace(footage, timeline=replace(footage.timeline, times=times))


# torchcodec, by a library of that shape: it need not be installed


class FakeDecoder:
    """What torchcodec gives of a film, by PyAV; `late`: its frames say that they are shown so many seconds later."""

    late = 0.0
    missing = 0

    def __init__(self, path: str, **how: Any) -> None:
        self._reader = PyavReader(examine(Path(path)))
        self.metadata = SimpleNamespace(begin_stream_seconds=5.0)

    def __len__(self) -> int:
        return self._reader.info.total_frames - self.missing

    def get_frames_at(self, numbers: list[int]) -> SimpleNamespace:
        found = dict(self._reader.read(numbers))
        times = np.array([5.0 + self._reader.seconds(n) + self.late for n in numbers])
        pixels = np.stack([found[n] for n in numbers])
        return SimpleNamespace(pts_seconds=times, data=SimpleNamespace(numpy=lambda: pixels))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeDecoder]:
    class Fake(FakeDecoder):
        """One for each test."""

    library = SimpleNamespace(__version__="0", decoders=SimpleNamespace(VideoDecoder=Fake))
    monkeypatch.setattr(torchcodec_reader, "_loaded", lambda: (library, ""))
    monkeypatch.setattr("videval.video.choosing._is_installed", lambda name: True)
    return Fake


def test_torchcodec_reads_where_it_is_set_or_chosen(fake: type[FakeDecoder], tmp_path: Path) -> None:
    path = BY_NAME["h264_baseline.mp4"].write(tmp_path)
    for reading, sampling in (
        (Reading(reader="torchcodec"), FOUR),
        (Reading(), FrameSampling(policy="rate", fps=25.0)),
    ):
        shown = decode(path, sampling, reading=reading)
        assert shown.info.decoder == "torchcodec 0"
        assert [said(pixels) for pixels in shown.frames] == list(shown.choice.indices)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [({"late": 0.04}, "it has frame 0 at 0.04 s, the packets at 0 s"), ({"missing": 1}, "it counts 39 frames")],
)
def test_a_frame_of_torchcodec_that_is_not_where_the_packets_say_is_never_shown(
    wrong: dict[str, float], why: str, fake: type[FakeDecoder], tmp_path: Path
) -> None:
    for name, value in wrong.items():
        setattr(fake, name, value)
    shown = decode(BY_NAME["h264.mp4"].write(tmp_path), FOUR, reading=Reading(reader="torchcodec"))
    assert shown.info.decoder.startswith("PyAV ")
    assert why in shown.notes[0]


def test_a_torchcodec_that_cannot_be_loaded_is_said_and_pyav_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videval.video.choosing._is_installed", lambda name: True)
    monkeypatch.setattr(torchcodec_reader, "_loaded", lambda: (None, "cannot be loaded: no FFmpeg"))
    shown = decode(BY_NAME["h264.mp4"].write(tmp_path), FOUR, reading=Reading(reader="torchcodec"))
    assert shown.info.decoder.startswith("PyAV ")
    assert shown.notes == ("torchcodec: cannot be loaded: no FFmpeg",)


# NVDEC: without a GPU what it does is shown by the CPU's decoder in its place


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setattr(nvdec_reader, "_on_gpu", lambda: None)
    monkeypatch.setattr(nvdec_reader, "_alike", {})
    yield monkeypatch


def by_gpu(path: Path) -> InMemory:
    return decode(path, FOUR, reading=Reading(reader="nvdec"))


def test_without_a_gpu_the_cpu_reads_and_the_clip_says_so(tmp_path: Path) -> None:
    shown = by_gpu(BY_NAME["h264_b.mp4"].write(tmp_path))
    assert shown.info.decoder.startswith("PyAV ")
    assert shown.notes[0].startswith("NVDEC: the GPU cannot decode h264 yuv420p")


def test_the_gpu_s_first_clip_of_each_kind_is_compared_with_the_cpu_s(gpu: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paths = [BY_NAME[name].write(tmp_path) for name in ("h264_b.mp4", "h264.mp4", "hevc_closed.mp4")]
    read: list[str] = []
    given = PyavReader.read

    def reads(self: PyavReader, numbers: Sequence[int]) -> Iterator[tuple[int, Frames]]:
        read.append(self.info.decoder)
        return given(self, numbers)

    gpu.setattr(PyavReader, "read", reads)
    assert all(by_gpu(path).info.decoder.startswith("NVDEC, PyAV ") for path in paths)
    assert [name.split(",")[0].split()[0] for name in read] == ["NVDEC", "PyAV", "NVDEC", "NVDEC", "PyAV"]


def test_other_pixels_than_the_cpu_s_refuse_the_gpu_for_that_kind_of_video(
    gpu: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.setattr(NvdecReader, "_shown", lambda self, frame: 255 - PyavReader._shown(self, frame))
    for name in ("h264_b.mp4", "h264.mp4"):
        shown = by_gpu(BY_NAME[name].write(tmp_path))
        assert shown.info.decoder.startswith("PyAV ")
        assert shown.notes[0].startswith("NVDEC: its pixels of h264 yuv420p are not the CPU's")
        assert [said(pixels) for pixels in shown.frames] == list(shown.choice.indices)
    (told,) = (record.getMessage() for record in caplog.records)
    assert "such videos are read by the CPU" in told


def test_the_gpu_s_interleaved_planes_lose_nothing_when_they_are_taken_apart(tmp_path: Path) -> None:
    footage = examine(BY_NAME["h264.mp4"].write(tmp_path))
    with av.open(str(footage.path)) as container:
        frame = next(container.decode(video=0))
    plain = PyavReader(footage)._shown(frame)
    assert np.array_equal(NvdecReader(footage)._shown(frame.reformat(format="nv12")), plain)


# what they cost


def test_what_the_readers_cost_is_measured_of_those_that_are_trusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, other = (examine(BY_NAME[name].write(tmp_path)) for name in ("h264.mp4", "h264.ts"))
    assert set(spent(plain, [0, 20], 1)) == {PYAV, *INSTALLED}
    assert set(spent(other, [0, 20], 1)) == {PYAV}
    assert capsys.readouterr().out == "", "all gave the same pixels"


def test_of_pictures_that_all_stand_alone_only_the_wanted_ones_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps: list[int] = []
    seek = PyavReader._seek

    def seeks(self: PyavReader, container: Any, stream: Any, start: int) -> None:
        jumps.append(start)
        seek(self, container, stream, start)

    monkeypatch.setattr(PyavReader, "_seek", seeks)
    reader = PyavReader(examine(BY_NAME["h264_all_key.mp4"].write(tmp_path)), threads=4)
    assert reader._threads == 1
    assert [said(pixels) for _, pixels in reader.read([0, 1, 3, 9])] == [0, 1, 3, 9]
    assert len(jumps) == 2
