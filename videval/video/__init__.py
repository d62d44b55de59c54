"""Frames: which ones (sampling), how they are read (decode), where they are kept (cache)."""

PYAV, DECORD, TORCHCODEC, NVDEC, PILLOW = "PyAV", "decord", "torchcodec", "NVDEC", "Pillow"
"""The readers by name."""
WAITING = "waiting"
"""In a reader's place: nobody reads, another process decodes the same clip, or there is no room for this one yet."""
