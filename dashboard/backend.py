"""What all sessions share: settings, one read-only database, one store. Made once per database."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import streamlit as st

from dashboard.busy import BusyMeter
from dashboard.data import PATIENCE_S, Data
from dashboard.downloads import Exports
from dashboard.frames import FrameShop
from dashboard.store import Store
from videval.db import schema
from videval.db.session import Database, open_database
from videval.report import ScoreBook
from videval.settings import Settings

__all__ = ["Backend", "backend", "data", "is_whole_page", "one_rendering", "the_settings"]


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Settings, and what reads for everybody."""

    settings: Settings
    database: Database
    store: Store
    book: ScoreBook
    meter: BusyMeter
    frames: FrameShop
    exports: Exports

    def close(self) -> None:
        """End all threads and connections."""
        self.store.close()
        self.frames.close()
        self.exports.close()
        self.database.close()


@st.cache_resource(show_spinner=False, max_entries=4)
def _backend(database_url: str, home: str) -> Backend:
    """One for each database (`home` for an embedded one)."""
    settings = the_settings()
    database = open_database(settings, read_only=True, pool_size=6)
    schema.check(database)
    return Backend(
        settings=settings,
        database=database,
        store=Store(),
        book=ScoreBook(database),
        meter=BusyMeter(),
        frames=FrameShop(),
        exports=Exports(database),
    )


@cache
def the_settings() -> Settings:
    """The settings as they were when this process began: reading them takes longer than to draw a chart."""
    return Settings()


def backend() -> Backend:
    """What this process shares. DatabaseUnavailable or SchemaMismatch if there is nothing to show."""
    settings = the_settings()
    return _backend(settings.database, str(settings.home_path))


@contextmanager
def one_rendering() -> Iterator[None]:
    """While a whole page is rendered, all of its parts together wait for the database as long as one may."""
    st.session_state["rendering-until"] = time.monotonic() + PATIENCE_S
    try:
        yield
    finally:
        st.session_state.pop("rendering-until", None)


def is_whole_page() -> bool:
    """Whether a whole page is being rendered, not a part of it that refreshes on its own."""
    return "rendering-until" in st.session_state


def data() -> Data:
    """A rendering's view of the database: a whole page's, or that of a part that refreshes on its own."""
    shared = backend()
    until: float | None = st.session_state.get("rendering-until")
    patience = PATIENCE_S if until is None else max(0.0, until - time.monotonic())
    return Data(shared.settings, shared.database, shared.store, shared.book, meter=shared.meter, patience_s=patience)
