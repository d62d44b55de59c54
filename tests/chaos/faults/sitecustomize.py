"""Faults preloaded into every process of a test's cluster; which, the environment and files of the cluster say."""

import ctypes
import os
import resource
import sqlite3.dbapi2
import sys
import threading
import time
from pathlib import Path

FOLDER = Path(os.environ.get("VV_TEST_FOLDER", "/nonexistent"))


def shift_clock(seconds: float) -> None:
    """A host whose clock is wrong."""
    real = time.time
    time.time = lambda: real() + seconds


def shift_sqlite_clock() -> None:
    """A database whose clock jumps by what the file `database_clock` says, in seconds."""
    connect = sqlite3.dbapi2.connect

    def julianday(_: str) -> float:
        try:
            jump = float((FOLDER / "database_clock").read_text() or 0)
        except (OSError, ValueError):
            jump = 0.0
        return 2440587.5 + (time.time() + jump) / 86400

    def shifted(*args, **kw):
        connection = connect(*args, **kw)
        connection.create_function("julianday", 1, julianday)
        return connection

    sqlite3.dbapi2.connect = shifted


def break_decoder() -> None:
    """Videos whose name says what they do to a decoder, whoever reads, or to decord only."""
    from videval.video.cache import FrameCache
    from videval.video.decord_reader import DecordReader

    read = DecordReader.read

    def faulty_read(self, numbers):
        if self.footage.path.name == "decord_crashes.mp4":
            ctypes.string_at(0)
        if self.footage.path.name == "decord_hangs.mp4":
            threading.Event().wait()
        return read(self, numbers)

    DecordReader.read = faulty_read
    decode = FrameCache.__init__.__kwdefaults__["decoder"]

    def faulty(path, *args, **kw):
        if path.name == "segfault.mp4":
            ctypes.string_at(0)
        if path.name == "hang.mp4":
            threading.Event().wait()
        return decode(path, *args, **kw)

    FrameCache.__init__.__kwdefaults__["decoder"] = faulty


if shift := os.environ.get("VV_TEST_CLOCK"):
    shift_clock(float(shift))
if os.environ.get("VV_TEST_DATABASE_CLOCK"):
    shift_sqlite_clock()
if "workers.decoder_process" in sys.orig_argv and os.environ.get("VV_TEST_VIDEOS"):
    break_decoder()
if "workers.engine.process" in sys.orig_argv and (limit := os.environ.get("VV_TEST_ENGINE_BYTES")):
    resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))
