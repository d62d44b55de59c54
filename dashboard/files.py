"""Files of a run to download: the exports, and the report."""

from collections.abc import Sequence

import streamlit as st

from dashboard.backend import backend, data
from dashboard.downloads import FileFormat
from dashboard.show import fragment
from dashboard.words import count, plain, plural
from videval.db.records import RunInfo
from videval.report import RunStatus

__all__ = ["TABLES", "files"]

TABLES: tuple[FileFormat, ...] = ("xlsx", "tsv", "jsonl", "parquet", "json")


@fragment
def files(run: RunInfo, formats: Sequence[FileFormat]) -> None:
    """Buttons that build files of a run, and hand them over when they are built."""
    status = data().run(run).value
    if status is None or not status.counts.done:
        is_over = status is not None and status.counts.finished and status.counts.total
        st.caption("Nothing was answered." if is_over else "There is something to export from the first answer on.")
        return
    unanswered = status.counts.total - status.counts.done
    if unanswered:
        st.caption(f"{plural(unanswered, 'request')} without an answer: a file has empty predictions there.")
    with st.container(horizontal=True):
        for format in formats:
            _file(status, format)


def _file(status: RunStatus, format: FileFormat) -> None:
    exports, run = backend().exports, status.run

    def begin() -> None:
        exports.begin(status, format)

    if not exports.is_asked_for(run, format):
        st.button(f"Build {format}", key=f"build-{format}", on_click=begin)
        return
    ready = exports.ready(run, format)
    if ready is None:
        st.button(f"Building {format} …", key=f"building-{format}", disabled=True)
    elif ready.error:
        st.error(plain(ready.error))
        st.button(f"Build {format} again", key=f"retry-{format}", on_click=begin)
    else:
        answers = exports.answers_if_outdated(status, format)
        held = f"{count(ready.rows)} rows" if answers is None else f"as of {plural(answers, 'answer')}, outdated"
        st.download_button(
            f"Download {format} ({held})" if ready.rows or answers is not None else f"Download {format}",
            ready.content,
            file_name=ready.name,
            key=f"download-{format}",
            icon=":material/download:",
            on_click="ignore",
            type="primary" if answers is None else "secondary",
        )
        st.button("Build anew", key=f"again-{format}", type="tertiary", on_click=begin)
