"""Fixtures of tests that need real servers."""

from tests.one_worker import settings, statements, worker
from tests.servers import database, database_settings
from tests.tiny import tiny
from tests.tiny._shown import chat_model, made_clip, made_image

__all__ = [
    "chat_model",
    "database",
    "database_settings",
    "made_clip",
    "made_image",
    "settings",
    "statements",
    "tiny",
    "worker",
]
