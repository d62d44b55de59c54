"""What a clip or an image is called in vLLM's caches: a name that holds all that its pixels and times depend on.

vLLM answers from whatever it saw first under a name, so that two samplings of one video must never share one.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videval.errors import VideoFailure
from videval.types import Clip

__all__ = ["clip_identity", "image_identity"]


def clip_identity(clip: Clip, told: Mapping[str, Any], position: int | None = None) -> str:
    """The name of a clip's frames, or of its frame at `position`, as a processor that is `told` this is shown them."""
    facts = {
        "file": _stamp(Path(clip.path)),
        "frames": clip.frame_numbers,
        "times": clip.timestamps,
        "source": [clip.total_frames, clip.span_frames, clip.fps],
        "size": [clip.width, clip.height],
        "decoder": [clip.decoder, clip.policy],
        "position": position,
        "told": {name: str(value) for name, value in told.items()},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def image_identity(path: str, told: Mapping[str, Any]) -> str:
    """The name of an image file. Raises VideoFailure if it cannot be read."""
    try:
        digest = hashlib.sha256(Path(path).read_bytes())
    except OSError as error:
        raise VideoFailure(f"{path}: the image cannot be read: {error}") from error
    digest.update(json.dumps({name: str(value) for name, value in told.items()}, sort_keys=True).encode())
    return digest.hexdigest()


def _stamp(path: Path) -> tuple[str, int, int]:
    """Which file it is and which version of it: the frame cache names one by its video, span and sampling."""
    try:
        found = path.stat()
    except OSError as error:
        raise VideoFailure(f"{path}: the frames cannot be read: {error}") from error
    return str(path), found.st_size, found.st_mtime_ns
