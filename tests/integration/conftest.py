"""Fixtures of tests that need real servers."""

from tests.one_worker import settings, statements, worker
from tests.servers import database, database_settings
from tests.tiny import tiny
from tests.tiny._shown import clip_at, loaded

__all__ = ["clip_at", "database", "database_settings", "loaded", "settings", "statements", "tiny", "worker"]
