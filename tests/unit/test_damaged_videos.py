"""What is damaged or unknown in a video is said in a note of the row."""

from pathlib import Path

import av

from tests.films import Film
from tests.unit.test_decode import BIKES, EIGHT
from videval.video.decode import decode
from videval.video.footage import examine
from videval.video.pyav_reader import PyavReader


def with_a_damaged_frame(path: Path) -> int:
    """Overwrite the middle of its largest frame that is no key frame; that frame's time in ticks."""
    with av.open(str(path)) as container:
        big = max((p for p in container.demux(video=0) if p.size and not p.is_keyframe), key=lambda p: p.size)
    data, middle = bytearray(path.read_bytes()), (big.pos or 0) + big.size // 2
    data[middle : middle + 20] = b"\xaa" * 20
    path.write_bytes(data)
    return big.pts or 0


def test_frames_that_pyav_repaired_are_counted_in_a_note(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(BIKES.read_bytes())
    with_a_damaged_frame(path)
    reader = PyavReader(examine(path))
    list(reader.read(range(reader.info.total_frames)))
    assert any("frames are damaged" in note for note in reader.notes())


def test_so_are_those_that_are_made_from_a_damaged_one_up_to_the_next_key_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(BIKES.read_bytes())
    damaged_at = with_a_damaged_frame(path)
    timeline = examine(path).timeline
    first = timeline.next_from(damaged_at)
    key = next(timeline.next_from(start) for start in timeline.starts if start > damaged_at)
    assert not read_alone(path, first - 5).notes()
    assert not read_alone(path, key).notes()
    assert all("1 frames are damaged" in read_alone(path, n).notes()[0] for n in (first, first + 5, key - 1))


def read_alone(path: Path, number: int) -> PyavReader:
    reader = PyavReader(examine(path))
    list(reader.read([number]))
    return reader


def test_packets_that_the_container_calls_damaged_are_counted_in_a_note(tmp_path: Path) -> None:
    path = Film(name="a.ts", format="mpegts").write(tmp_path)
    assert not decode(path, EIGHT).notes
    data = path.read_bytes()
    cut = len(data) // 2 // 188 * 188
    path.write_bytes(data[:cut] + data[cut + 3 * 188 :])
    assert any("packets are damaged, or others are missing" in note for note in decode(path, EIGHT).notes)


def test_where_no_times_are_known_a_note_says_at_what_rate_frames_are_counted(tmp_path: Path) -> None:
    path = Film(name="a.h264", format="h264").write(tmp_path)
    assert "they are counted at 25 per second" in " ".join(decode(path, EIGHT).notes)
