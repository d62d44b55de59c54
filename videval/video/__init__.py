"""Frames: which ones (sampling), how they are read (decode), where they are kept (cache)."""

DECORD, PYAV, PILLOW = "decord", "PyAV", "Pillow"
"""The readers by name."""
