"""What `ps` shows of a process that was forked and is something else now."""

import ctypes
from pathlib import Path

__all__ = ["rename"]

ARG_START, ARG_END = 45, 46
"""Of the fields of /proc/self/stat after the process's name (proc(5): 48 and 49)."""


def rename(*words: str) -> None:
    """Show these words as this process's command line, cut to the room that the first one had. Where the kernel does
    not say where that stands, nothing happens."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        shown = Path("/proc/self/cmdline").read_bytes()
    except OSError:
        return
    start, room = int(fields[ARG_START]), int(fields[ARG_END]) - int(fields[ARG_START])
    if start and room == len(shown) and ctypes.string_at(start, room) == shown:
        text = b"\0".join(word.encode() for word in words)[: room - 1]
        ctypes.memmove(start, text.ljust(room, b"\0"), room)
