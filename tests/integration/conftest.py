"""Fixtures of tests that need real servers."""

from tests.one_worker import settings, statements, worker
from tests.servers import database, database_settings
from tests.tiny import tiny

__all__ = ["database", "database_settings", "settings", "statements", "tiny", "worker"]
