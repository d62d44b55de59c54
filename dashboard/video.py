"""The videos of a sample, the frames of them that the model saw, and its images and sounds."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import streamlit as st
from PIL import Image

from dashboard.backend import backend, is_whole_page
from dashboard.data import SampleView
from dashboard.frames import Seen, path_of
from dashboard.table import STATIC
from dashboard.words import count, plain, plural
from videval.benchmarks.catalog import find_benchmark
from videval.errors import VidevalError

__all__ = ["beside", "frames", "played_span", "video"]

PLAYED = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".mov": "video/mp4", ".mkv": "video/webm"}
PLAYED_CODECS = ("h264", "vp8", "vp9", "av1", "hevc", "theora")
"""What some browsers play; whether this one does, its player says (`static/watch.js`)."""
CALLED = {"h264": "H.264", "hevc": "HEVC (H.265)", "av1": "AV1", "mpeg4": "MPEG-4 Part 2", "mpeg2video": "MPEG-2"}
LARGEST_MB = 200
UNPLAYABLE = "unplayable"
LONGEST_S = 1e6
"""Seconds; a time beyond them is no time in a video."""


def video(view: SampleView) -> None:
    """Each video, if it lies below the data root; as a flip-book of frames where a browser cannot play it."""
    for number, ref in enumerate(view.stored.sample.shown):
        where = f", asked about {ref.start:g} s to {ref.end:g} s" if ref.span else ""
        if _shown("video", partial(_player, view=view, number=number), view, ref.video):
            st.text(f"{_called(view, number)}{ref.video}{where}")


def beside(view: SampleView) -> None:
    """The images and sounds that the question shows beside its clips, or that its prompt showed."""
    sample = view.stored.sample
    sent = [part["path"] for r in view.requests for part in r.prompt if part["type"] == "image"]
    for image in dict.fromkeys([*sample.images, *sent]):
        if _shown("image", _image, view, image):
            st.text(image)
    for sound in sample.sounds:
        if not sound.path:
            st.text(f"Its sound is heard: {sample.shown[sound.clip].video}")
        elif _shown("sound", st.audio, view, sound.path):
            st.text(sound.path)


def _shown(what: str, show: Callable[[Path], Any], view: SampleView, file: str) -> bool:
    """Whether a file of the sample could be shown; if not, why not was said."""
    try:
        path = path_of(view.config, file, allow_symlinks=backend().settings.allow_symlinks)
        if not path.exists():
            st.warning(f"The {what} is not on the dashboard's machine.", icon=":material/videocam_off:")
            st.text(str(path))
            return False
        show(path)
    except VidevalError as error:
        st.warning(plain(error), icon=":material/block:")
        return False
    except OSError as error:
        st.warning(f"The dashboard cannot read the {what}.", icon=":material/block:")
        st.text(str(error))
        return False
    return True


def _called(view: SampleView, number: int) -> str:
    """How one of several clips is told from the others; empty if there is only one."""
    several = len(view.stored.sample.shown) > 1
    return f"Clip {number + 1}: " if several else ""


def _player(path: Path, view: SampleView, number: int) -> None:
    kind, seen = PLAYED.get(path.suffix.lower(), ""), _seen(view, number)
    obstacle = _obstacle(path, seen.codec if seen else "")
    size_mb = path.stat().st_size / 1e6
    if path.suffix.lower() == ".gif":
        _image(path)
    elif obstacle:
        frames = seen.images if seen is not None else ()
        told = f"{obstacle} These are the frames that the model saw." if frames else obstacle
        st.info(plain(told), icon=":material/videocam_off:")
        if seen is not None and frames:
            _flip_book(seen, number)
    elif size_mb > LARGEST_MB and not st.button(f"Load the video ({size_mb:,.0f} MB)", key=f"load-{number}"):
        st.caption("It is large, so it is loaded when you ask for it.")
    else:
        with path.open("rb"):  # Streamlit's own error for a file that may not be read is no OSError
            start, end = played_span(view.stored.sample.shown[number].span)
        st.video(str(path), format=kind, start_time=start, end_time=end, muted=True)
        _watch(path, number)


def _obstacle(path: Path, codec: str) -> str:
    """Why the browser cannot play a video; empty if it can, or as long as nobody knows that it cannot."""
    called = CALLED.get(codec, codec)
    if path.is_dir():
        return "The video is a folder of images."
    if path.suffix.lower() not in PLAYED:
        return f"Browsers do not play {path.suffix} files."
    if codec and codec not in PLAYED_CODECS:
        return f"Browsers do not play {called}."
    if str(path) in st.session_state.get(UNPLAYABLE, ()):
        return f"This browser cannot play {called or 'this video'}."
    return ""


def _flip_book(seen: Seen, number: int) -> None:
    """One frame at a time, large; the arrow keys step through them."""
    captions = _captions(seen)
    at = st.select_slider(
        "Frame", range(len(seen.images)), format_func=lambda i: captions[i], key=f"flip-book-{number}"
    )
    st.image(seen.images[at], caption=captions[at], alt=captions[at], width="stretch")


@cache
def _watcher() -> Callable[..., Any]:
    script = (STATIC / "watch.js").read_text("utf-8")
    made: Callable[..., Any] = st.components.v2.component("videval.watch", js=script)
    return made


def _watch(path: Path, number: int) -> None:
    """Remember that this browser cannot play a video when its player says so, and show the page without the player."""
    key = f"watch-{number}-{path}"
    failed = _watcher()(key=key, data={"path": str(path)}, height=1, on_failed_change=lambda: None).failed
    if failed:
        st.session_state[UNPLAYABLE] = {*st.session_state.get(UNPLAYABLE, ()), str(failed)}
        st.rerun()


def _image(path: Path) -> None:
    """An image, maybe a moving one; Pillow says of what kind the file is, so that what is none is not sent as one."""
    try:
        with Image.open(path) as image:
            image.verify()
    except (SyntaxError, Image.DecompressionBombError) as error:
        raise OSError(f"{path}: {error}") from error
    st.image(path.read_bytes())


def played_span(span: tuple[float, float] | None) -> tuple[int, int | None]:
    """The whole seconds that the player shows of a span: all of it, never nothing, whatever the dataset says."""
    if span is None or not all(abs(second) < LONGEST_S for second in span):
        return 0, None
    start = max(0, math.floor(min(span)))
    return start, max(start + 1, math.ceil(max(span)))


@st.fragment(run_every=0.8)
def _wait_for_frames(view: SampleView, number: int) -> None:
    """Say that frames are being decoded, and show the page again when they are."""
    if not is_whole_page() and _is_seen(view, number):
        st.rerun()
    st.caption("Decoding the frames …")


def _is_seen(view: SampleView, number: int) -> bool:
    try:
        return _seen(view, number) is not None
    except (VidevalError, OSError):
        return True  # the whole page says why


def _seen(view: SampleView, number: int) -> Seen | None:
    """The frames of a sample's clip; None while they are being decoded. VideoFailure if it lies outside."""
    shared, config, ref = backend(), view.config, view.stored.sample.shown[number]
    path = path_of(config, ref.video, allow_symlinks=shared.settings.allow_symlinks)
    if not path.exists():
        return Seen()
    folder_fps = find_benchmark(config.benchmark).folder_fps
    return shared.frames.get(path, config, ref, folder_fps, wait_s=0.1)


def frames(view: SampleView) -> None:
    """The frames of each clip that the model saw, with their numbers and times."""
    stored: Sequence[Mapping[str, Any]] = next((r.clips for r in view.requests if r.clips), ())
    for number in range(len(view.stored.sample.shown)):
        if called := _called(view, number):
            st.caption(called.rstrip(": "))
        _frames(view, number, stored[number] if number < len(stored) else {})


def _frames(view: SampleView, number: int, clip: Mapping[str, Any]) -> None:
    try:
        seen = _seen(view, number)
    except (VidevalError, OSError) as error:
        _frame_numbers(clip)
        st.text(f"They cannot be decoded here: {error}")
        return
    if seen is None:
        _wait_for_frames(view, number)
    elif seen.error:
        st.warning("The frames cannot be decoded here.", icon=":material/broken_image:")
        st.text(seen.error)
    elif seen.images:
        _strip(seen, clip)
    else:
        _frame_numbers(clip)


def _strip(seen: Seen, clip: Mapping[str, Any]) -> None:
    stored = tuple(clip.get("frame_numbers", ()))
    if stored and stored != seen.numbers:
        st.warning("The file has changed since: the model saw other frames.", icon=":material/warning:")
        _frame_numbers(clip)
        return
    with st.container(horizontal=True, gap="small"):
        for image, caption in zip(seen.images, _captions(seen), strict=False):
            st.image(image, caption=caption, alt=caption, width=130)
    more = f"; the first {len(seen.images)} are shown" if len(seen.images) < len(seen.numbers) else ""
    told = "as the model saw them" if stored else "as the model is to see them"
    st.caption(f"{plural(len(seen.numbers), 'frame')} of {count(seen.total)}, {told}{more}")
    for note in clip.get("notes", ()):
        st.text(f"note: {note}")


def _captions(seen: Seen) -> list[str]:
    return [f"frame {n}, {t:.2f} s" for n, t in zip(seen.numbers, seen.times, strict=True)]


def _frame_numbers(clip: Mapping[str, Any]) -> None:
    numbers, times = clip.get("frame_numbers", ()), clip.get("timestamps", ())
    if numbers:
        st.text("frames " + ", ".join(f"{n} ({t:.2f} s)" for n, t in zip(numbers, times, strict=False)))
