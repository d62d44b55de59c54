"""What packets prove of a video, without decoding one: display order, places to start, and whether decord may read."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videval.video.bitstream import is_hidden, is_start
from videval.video.timeline import Packet, Unproven, by_decoding, by_packets, objection_to_decord


def packets(*groups: Sequence[int], step: int = 10, delay: int = 2) -> list[Packet]:
    """Groups of pictures, coded in the order given and shown in that of their numbers: [0, 3, 1, 2]."""
    made: list[Packet] = []
    first = 0
    for group in groups:
        for place in group:
            starts, dts = place == group[0], (len(made) - delay) * step
            shown = (first + place) * step
            made.append(Packet(pts=shown, dts=dts, duration=step, is_key=starts, is_start=starts))
        first += len(group)
    return made


CLOSED = packets([0, 3, 1, 2], [0, 3, 1, 2], [0, 1])
OPEN = packets([0, 1], [2, 0, 1], [2, 0, 1])


# what is not proven


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ([], "not every packet has a display time"),
        ([replace(CLOSED[0], pts=None), *CLOSED[1:]], "not every packet has a display time"),
        ([*CLOSED, replace(CLOSED[-1], dts=99)], "two packets have the same display time"),
        (CLOSED[1:], "does not begin with a picture that stands alone"),
        ([replace(CLOSED[0], is_start=False), *CLOSED[1:]], "does not begin with a picture that stands alone"),
        (OPEN[2:], "shown before the one that is decoded first"),
        ([replace(p, is_discard=True) for p in CLOSED], "no picture is shown"),
        ([replace(p, is_discard=p.pts == 40) for p in CLOSED], "several stretches"),
    ],
)
def test_what_packets_do_not_prove_says_why(broken: list[Packet], reason: str) -> None:
    with pytest.raises(Unproven, match=reason):
        by_packets(broken)


def changed(at: int, **how: Any) -> list[Packet]:
    return [replace(p, **how) if n == at else p for n, p in enumerate(CLOSED)]


@pytest.mark.parametrize(
    ("known", "objection"),
    [
        (CLOSED, ""),
        (OPEN, "shown before a key frame"),
        (changed(4, is_start=False), "a key frame is no place to begin"),
        (changed(9, is_discard=True), "not all of its pictures are shown"),
        (changed(9, is_hidden=True), "not all of its pictures are shown"),
        (changed(5, dts=None), "decoding times do not ascend"),
        (changed(5, dts=20), "decoding times do not ascend"),
        (changed(4, dts=25), "not decoded equally long before they are shown"),
        (packets([0, 1], [0, 1], delay=2), "decoded before the one before it is shown"),
        (packets([0, 1, 2], [0, 1], delay=2), ""),
    ],
    ids=str,
)
def test_decord_reads_closed_groups_that_every_seek_finds(known: list[Packet], objection: str) -> None:
    assert objection in objection_to_decord(known)
    assert bool(objection) == bool(objection_to_decord(known))


# what is proven


def test_frames_are_in_order_of_display_and_the_last_one_ends() -> None:
    found = by_packets(CLOSED)
    assert found.times == tuple(range(0, 100, 10))
    assert found.end == 100 and not found.is_counted
    assert found.starts == (0, 40, 80)
    assert [found.start_for(n) for n in (0, 3, 4, 9)] == [0, 0, 40, 80]


def test_pictures_shown_before_an_open_groups_key_frame_are_decoded_from_the_group_before() -> None:
    found = by_packets(OPEN)
    assert found.starts == (0, 40, 70)
    assert [found.start_for(n) for n in (2, 3, 4, 5, 6, 7)] == [0, 0, 40, 40, 40, 70]


def test_a_key_frame_that_a_later_picture_is_decoded_before_is_no_start() -> None:
    late = [*CLOSED[:4], replace(CLOSED[5], dts=19), replace(CLOSED[4], dts=20, pts=41), *CLOSED[6:]]
    assert by_packets(late).starts == (0, 80)


@pytest.mark.parametrize("kept", [(30, 70), (0, 60), (40, 90), (50, 50)])
def test_one_stretch_of_an_edit_list_is_shown_and_decoded_from_what_lies_before(kept: tuple[int, ...]) -> None:
    edited = [replace(p, is_discard=not kept[0] <= (p.pts or 0) <= kept[1]) for p in CLOSED]
    found = by_packets(edited)
    assert found.times == tuple(range(kept[0], kept[1] + 10, 10))
    assert found.end == kept[1] + 10
    assert found.start_for(0) == max(s for s in (0, 40, 80) if s <= kept[0])


def test_hidden_pictures_are_not_counted() -> None:
    assert len(by_packets(changed(9, is_hidden=True)).times) == 9


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.booleans())
def test_whatever_the_groups_no_frame_is_lost_and_none_is_started_from_behind_it(
    sizes: list[int], reverse: bool
) -> None:
    groups = [[0, *(range(n - 1, 0, -1) if reverse else range(1, n))] for n in sizes]
    found = by_packets(packets(*groups, delay=9))
    assert found.times == tuple(range(0, sum(sizes) * 10, 10))
    for number, time in enumerate(found.times):
        start = found.start_for(number)
        assert start is not None and start <= time


# counted by decoding


def test_decoded_frames_have_their_own_times_if_these_ascend() -> None:
    found = by_decoding(3, [5, 10, 15], [0, 5, 10], 3)
    assert (found.times, found.end, found.clock, found.is_counted) == ((5, 10, 15), 18, "shown", True)
    assert by_decoding(3, [5, 10, 15], [], 0).end == 20


@pytest.mark.parametrize("shown", [[1, 4, 3], [1, 1, 2], [None, 2, 3], []])
def test_else_they_are_shown_at_the_container_s_decoding_times_or_numbered(shown: list[int | None]) -> None:
    found = by_decoding(3, shown, [0, 5, 10], 5)
    assert (found.times, found.end, found.clock) == ((0, 5, 10), 15, "decoded")
    for decoded in ([0, 5], [0, 5, None], [0, 0, 5]):
        found = by_decoding(3, shown, decoded, 5)
        assert (found.times, found.end, found.clock) == ((0, 1, 2), 3, "number")
        assert found.is_counted and found.start_for(0) is None


# bitstreams: the first bytes of coded pictures

AVCC, HVCC = b"\1d\0\n\xff", b"\1" + bytes(20) + b"\xff"


def by_length(*units: bytes) -> bytes:
    return b"".join(len(u).to_bytes(4, "big") + u for u in units)


def by_start_code(*units: bytes) -> bytes:
    return b"".join(b"\0\0\0\1" + u for u in units)


@pytest.mark.parametrize(("framed", "extradata"), [(by_length, True), (by_start_code, False)])
@pytest.mark.parametrize(
    ("codec", "units", "starts"),
    [
        ("h264", [b"\x67sps", b"\x68pps", b"\x06sei", b"\x65idr"], True),
        ("h264", [b"\x06recovery point", b"\x41slice"], False),
        ("h264", [b"\x41slice"], False),
        ("h264", [b"\x67sps"], False),
        ("hevc", [b"\x40\1vps", b"\x26\1idr"], True),
        ("hevc", [b"\x4e\1sei", b"\x2a\1cra"], True),
        ("hevc", [b"\x20\1bla"], False),
        ("hevc", [b"\x02\1trail"], False),
    ],
)
def test_units_of_h264_and_hevc_say_where_decoding_may_begin(
    codec: str, units: list[bytes], starts: bool, framed: Callable[..., bytes], extradata: bool
) -> None:
    record = {"h264": AVCC, "hevc": HVCC}[codec] if extradata else b""
    assert is_start(codec, framed(*units), record) == starts


@pytest.mark.parametrize(
    ("codec", "data", "starts"),
    [
        ("vp8", b"\xb0\4\0", True),
        ("vp8", b"\xb1\4\0", False),
        ("vp9", b"\x82\x49\x83", True),
        ("vp9", b"\x86\0", False),
        ("vp9", b"\x88\0", False),
        ("vp9", b"\xb0\0", True),
        ("vp9", b"\xb2\0", False),
        ("av1", b"\x12\0\x0a\1\0\x32\1\x10", True),
        ("av1", b"\x12\0\x32\1\x30", False),
        ("av1", b"\x12\0\x1a\1\x90", False),
        ("av1", b"\x12\0", False),
        ("mpeg4", b"\0\0\1\xb0", False),
    ],
)
def test_first_bytes_of_other_codecs_say_so_too(codec: str, data: bytes, starts: bool) -> None:
    assert is_start(codec, data, b"") == starts


@given(st.sampled_from(["h264", "hevc", "vp8", "vp9", "av1"]), st.binary(max_size=40), st.sampled_from([b"", AVCC]))
def test_no_bytes_are_too_broken_to_be_looked_at(codec: str, data: bytes, extradata: bytes) -> None:
    assert is_start(codec, data, extradata) in (True, False)
    assert is_hidden(codec, data) in (True, False)


def test_only_vp8_hides_pictures() -> None:
    assert is_hidden("vp8", b"\xa1") and not is_hidden("vp8", b"\xb1") and not is_hidden("vp9", b"\xa1")
