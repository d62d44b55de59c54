"""Frames: which ones (sampling), how they are read (decode), where they are kept (cache)."""
