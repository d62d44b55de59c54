"""One sample: the video beside the frames that the model saw, what it was asked, what it said, how it was read."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st
from PIL import Image

from dashboard import actions
from dashboard.backend import backend, is_whole_page
from dashboard.data import SampleView
from dashboard.frames import Seen, video_path
from dashboard.words import count, duration, plain, plural, shortened, when
from videval.benchmarks.catalog import benchmark as find_benchmark
from videval.db.browse import AttemptInfo, RequestDetail
from videval.db.records import RunInfo
from videval.errors import VidevalError

__all__ = ["COLOURS", "played_span", "show_sample"]

PLAYED = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".mov": "video/mp4", ".mkv": "video/webm"}
LARGEST_MB = 200
LONGEST_S = 1e6
"""Seconds; a time beyond them is no time in a video."""
COLOURS: Mapping[str, Any] = {
    "right": "green",
    "wrong": "red",
    "unparsed": "orange",
    "failed": "red",
    "waiting": "blue",
    "unanswered": "orange",
}
EXPLAINED = {
    "right": "right",
    "wrong": "wrong",
    "unparsed": "unparsed: no answer could be read from what was said",
    "unscored": "answered, but no rule can score it",
    "unanswered": "the pack's response did not hold this answer",
    "failed": "failed: the model never answered",
    "waiting": "waiting for its answer",
    "cancelled": "cancelled",
    "not asked": "not asked in this run",
}


def _video(view: SampleView) -> None:
    """The video, if it lies below the data root and a browser can play it."""
    shared = backend()
    sample = view.stored.sample
    try:
        path = video_path(view.config, sample, None, allow_symlinks=shared.settings.allow_symlinks)
        if path.is_dir():
            st.caption("The video is a folder of images: what the model saw of it is beside.")
            return
        if not path.is_file():
            st.warning("The video is not on the dashboard's machine.", icon=":material/videocam_off:")
            st.text(str(path))
            return
        _player(path, sample.span)
    except VidevalError as error:
        st.warning(plain(error), icon=":material/block:")
        return
    except OSError as error:
        st.warning("The dashboard cannot read the video.", icon=":material/block:")
        st.text(str(error))
        return
    where = f", asked about {sample.start:g} s to {sample.end:g} s" if sample.span else ""
    st.text(f"{sample.video}{where}")


def _player(path: Path, span: tuple[float, float] | None) -> None:
    size_mb = path.stat().st_size / 1e6
    kind = PLAYED.get(path.suffix.lower())
    if path.suffix.lower() == ".gif":
        _moving_image(path)
    elif kind is None:
        st.caption(f"Browsers do not play {plain(path.suffix)} files.")
    elif size_mb > LARGEST_MB and not st.button(f"Load the video ({size_mb:,.0f} MB)"):
        st.caption("It is large, so it is loaded when you ask for it.")
    else:
        with path.open("rb"):  # Streamlit's own error for a file that may not be read is no OSError
            start, end = played_span(span)
        st.video(str(path), format=kind, start_time=start, end_time=end, muted=True)


def _moving_image(path: Path) -> None:
    """A gif; Pillow says of what kind the file is, so that what is no image is not sent as one."""
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
def _wait_for_frames(view: SampleView) -> None:
    """Say that frames are being decoded, and show the page again when they are."""
    if not is_whole_page() and _is_seen(view):
        st.rerun()
    st.caption("Decoding the frames …")


def _is_seen(view: SampleView) -> bool:
    try:
        return _seen(view) is not None
    except (VidevalError, OSError):
        return True  # the whole page says why


def _seen(view: SampleView) -> Seen | None:
    """The frames of a sample's clip; None while they are being decoded. VideoFailure if it lies outside."""
    shared, config, sample = backend(), view.config, view.stored.sample
    path = video_path(config, sample, None, allow_symlinks=shared.settings.allow_symlinks)
    if not path.exists():
        return Seen()
    folder_fps = find_benchmark(config.benchmark).folder_fps
    return shared.frames.get(path, config, sample, folder_fps, wait_s=0.1)


def _frames(view: SampleView) -> None:
    """The frames that the model saw, with their numbers and times."""
    clip = next((r.clip for r in view.requests if r.clip), {})
    try:
        seen = _seen(view)
    except (VidevalError, OSError) as error:
        _frame_numbers(clip)
        st.text(f"They cannot be decoded here: {error}")
        return
    if seen is None:
        _wait_for_frames(view)
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
    captions = [f"frame {n}, {t:.2f} s" for n, t in zip(seen.numbers, seen.times, strict=True)]
    with st.container(horizontal=True, gap="small"):
        for image, caption in zip(seen.images, captions, strict=False):
            st.image(image, caption=caption, width=130)
    more = f"; the first {len(seen.images)} are shown" if len(seen.images) < len(seen.numbers) else ""
    told = "as the model saw them" if stored else "as the model is to see them"
    st.caption(f"{plural(len(seen.numbers), 'frame')} of {count(seen.total)}, {told}{more}")
    for note in clip.get("notes", ()):
        st.text(f"note: {note}")


def _frame_numbers(clip: Mapping[str, Any]) -> None:
    numbers, times = clip.get("frame_numbers", ()), clip.get("timestamps", ())
    if numbers:
        st.text("frames " + ", ".join(f"{n} ({t:.2f} s)" for n, t in zip(numbers, times, strict=False)))


def _verdict(view: SampleView) -> None:
    line, sample = view.line, view.stored.sample
    st.subheader("Question")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    options = [f"({letter}) {text}" for letter, text in zip(letters, sample.candidates, strict=False)]
    st.text("\n".join([sample.question, *options]))
    left, right = st.columns(2)
    with left:
        st.caption("Right answer")
        st.text(line.answer if line.answer is not None else "none is known")
    with right:
        st.caption("Prediction" + (f", read as {plain(line.read)}" if line.read not in (None, line.prediction) else ""))
        st.text(shortened(line.prediction, 400) if line.prediction is not None else "–")
    st.badge(EXPLAINED.get(line.outcome, line.outcome), color=COLOURS.get(line.outcome, "gray"))


def _prompt(request: RequestDetail) -> str:
    """The prompt as sent: text to the character, and where the clip stood."""
    shown = {"video": "[the clip]", "image": "[image {path}]", "frame": "[frame {position}]"}
    pieces = []
    for part in request.prompt:
        if part["type"] == "text":
            pieces.append(f"{part['role']}: {part['text']}")
        else:
            pieces.append(shown.get(part["type"], part["type"]).format_map({"path": "", "position": "", **part}))
    return "\n".join(pieces)


def _request(request: RequestDetail) -> None:
    if request.response is not None:
        st.caption("Response, to the character" + (" (cut at the token limit)" if request.truncated else ""))
        st.code(request.response or "(the model said nothing)", language=None, wrap_lines=True)
        spent = ", ".join(f"{name} {duration(s)}" for name, s in request.seconds.items())
        st.text(f"{spent}; {request.prompt_tokens or '?'} tokens in, {request.new_tokens or '?'} out")
        with st.expander("Prompt as sent"):
            st.code(_prompt(request), language=None, wrap_lines=True)
    elif request.error:
        st.error(f"{plain(request.error_kind)} failure", icon=":material/error:")
        st.text(request.error)
    else:
        st.caption(f"This request is {plain(request.status)}.")
    _attempts(request.attempts)


def _attempts(attempts: Sequence[AttemptInfo]) -> None:
    if not attempts:
        return
    bad = any(a.traceback or a.error for a in attempts)
    with st.expander(plural(len(attempts), "attempt"), expanded=bad):
        rows = [
            {
                "attempt": a.attempt,
                "worker": a.worker,
                "began": when(a.started_at),
                "took": duration(a.finished_at - a.started_at) if a.finished_at else "",
                "ended": a.outcome + (" (held against it)" if a.struck else ""),
                "stage": a.stage,
                "error": shortened(a.error, 200),
            }
            for a in attempts
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True)
        for a in attempts:
            if a.traceback:
                st.caption(f"Traceback of attempt {a.attempt}")
                st.code(a.traceback, language=None)


def _pack(view: SampleView) -> None:
    """What was taken out of a pack's response, beside it."""
    st.subheader(f"The pack: {plural(len(view.siblings), 'question')} asked at once")
    rows = [
        {"sample": s.key, "taken": s.prediction, "answer": s.answer, "result": s.outcome, "question": s.question}
        for s in view.siblings
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)


def show_sample(run: RunInfo, view: SampleView) -> None:
    """All that is known of a sample in a run."""
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Video")
        _video(view)
    with right:
        st.subheader("What the model saw")
        _frames(view)
    left, right = st.columns(2, gap="large")
    with left:
        _verdict(view)
        if actions.is_allowed() and view.line.outcome == "failed":
            st.button(
                "Retry this sample",
                icon=":material/refresh:",
                key="retry-sample",
                on_click=lambda: actions.attempt(lambda: actions.retry(run, (), (view.line.key,))),
            )
        with st.expander("The benchmark's own columns"):
            st.json(dict(view.stored.sample.row))
    with right:
        st.subheader("Response")
        for request in view.requests:
            _request(request)
        if not view.requests:
            st.text("This run does not ask this question (--limit, or its video was missing).")
    if view.siblings:
        _pack(view)
