"""Fixtures of tests that need real servers."""

from tests.servers import database, database_settings

__all__ = ["database", "database_settings"]
