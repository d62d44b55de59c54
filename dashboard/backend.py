"""What all sessions share: settings, one read-only database, one store. Made once per database."""

from dataclasses import dataclass

import streamlit as st

from dashboard.data import Data
from dashboard.downloads import Exports
from dashboard.frames import FrameShop
from dashboard.scorebook import ScoreBook
from dashboard.store import Store
from videval.db import schema
from videval.db.session import Database, open_database
from videval.settings import Settings

__all__ = ["Backend", "backend", "data"]


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Settings, and what reads for everybody."""

    settings: Settings
    database: Database
    store: Store
    book: ScoreBook
    frames: FrameShop
    exports: Exports


@st.cache_resource(show_spinner=False, max_entries=4)
def _backend(database_url: str, home: str) -> Backend:
    """One for each database (`home` for an embedded one)."""
    settings = Settings()
    database = open_database(settings, read_only=True, pool_size=6)
    schema.check(database)
    return Backend(
        settings=settings,
        database=database,
        store=Store(),
        book=ScoreBook(database),
        frames=FrameShop(),
        exports=Exports(database),
    )


def backend() -> Backend:
    """What this process shares. DatabaseUnavailable or SchemaMismatch if there is nothing to show."""
    settings = Settings()
    return _backend(settings.database, str(settings.home_path))


def data() -> Data:
    """A rendering's view of the database."""
    shared = backend()
    return Data(shared.settings, shared.database, shared.store, shared.book)
