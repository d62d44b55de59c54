"""The frames that a model saw, decoded again in a process of their own: a broken video cannot harm the page.

`python -m dashboard.frames` is that process: a JSON job on its standard input, JPEGs below a folder.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.priority import step_back
from videval.db.records import RunConfig
from videval.plain import restored
from videval.types import ClipRef, FrameSampling
from videval.video.paths import resolve_video

__all__ = ["FrameShop", "Seen", "path_of"]

PATIENCE_S = 120.0
WIDEST = 480
KEPT = 40
MOST_FRAMES = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """Frames as JPEG files with their numbers and times (seconds), or why there are none; `codec`: FFmpeg's name."""

    images: tuple[bytes, ...] = ()
    numbers: tuple[int, ...] = ()
    times: tuple[float, ...] = ()
    total: int = 0
    codec: str = ""
    error: str = ""


def path_of(config: RunConfig, file: str, *, allow_symlinks: bool) -> Path:
    """Where a sample's video, image or sound lies, below the run's data root; VideoFailure if it leaves it."""
    return resolve_video(Path(config.data_root), file, allow_symlinks=allow_symlinks)


class FrameShop:
    """Decodes clips in the background and keeps the `KEPT` last ones."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="dashboard-frames", initializer=step_back)
        self._jobs: OrderedDict[str, Future[Seen]] = OrderedDict()

    def get(self, path: Path, config: RunConfig, ref: ClipRef, folder_fps: float, *, wait_s: float) -> Seen | None:
        """The frames of a clip as this run samples it; None while they are being decoded."""
        job = {
            "path": str(path),
            "sampling": config.sampling_of(ref).to_json(),
            "span": ref.span,
            "folder_fps": folder_fps,
            "max_pixels": config.max_pixels,
        }
        key = json.dumps(job, sort_keys=True) + str(path.stat().st_mtime_ns)
        if key not in self._jobs:
            self._jobs[key] = self._pool.submit(_decoded, job)
            while len(self._jobs) > KEPT:
                self._jobs.popitem(last=False)
        future = self._jobs[key]
        wait([future], timeout=wait_s)
        if not future.done():
            return None
        try:
            return future.result()
        except (OSError, ValueError) as error:  # no room for its images, or no answer that can be read: not for good
            self._jobs.pop(key, None)
            return Seen(error=str(error))

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(cancel_futures=True)


def _decoded(job: dict[str, Any]) -> Seen:
    with tempfile.TemporaryDirectory(prefix="videval-frames-") as folder:
        command = [sys.executable, "-P", "-m", "dashboard.frames", folder]
        path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
        try:
            done = subprocess.run(
                command,
                input=json.dumps(job),
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
                env=os.environ | {"PYTHONPATH": path},
            )
        except subprocess.TimeoutExpired:
            return Seen(error=f"the video could not be decoded within {PATIENCE_S:.0f} s")
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            return Seen(error=lines[-1] if lines else f"the decoder died (exit {done.returncode})")
        said = json.loads(done.stdout)
        images = tuple((Path(folder) / f"{i}.jpg").read_bytes() for i in range(said["shown"]))
    return Seen(
        images=images,
        numbers=tuple(said["numbers"]),
        times=tuple(said["times"]),
        total=said["total"],
        codec=said["codec"],
    )


def _write(frames: Any, folder: Path) -> int:
    from PIL import Image

    shown = min(len(frames), MOST_FRAMES)
    for i in range(shown):
        image = Image.fromarray(frames[i])
        image.thumbnail((WIDEST, WIDEST))
        image.save(folder / f"{i}.jpg", quality=88)
    return shown


def _codec(path: Path) -> str:
    """How the picture is coded; empty if the container does not say."""
    import av

    if not path.is_file():
        return ""
    try:
        with av.open(str(path)) as container:
            streams = container.streams.video
            return str(streams[0].codec_context.name) if streams else ""
    except (av.error.FFmpegError, OSError):
        return ""


def main(arguments: Sequence[str]) -> int:
    """The process: decode one clip and write its frames."""
    from videval.errors import VidevalError
    from videval.video.decode import decode

    job = json.load(sys.stdin)
    try:
        found = decode(
            Path(job["path"]),
            restored(FrameSampling, job["sampling"]),
            tuple(job["span"]) if job["span"] else None,
            folder_fps=job["folder_fps"],
            max_pixels=job["max_pixels"],
        )
    except VidevalError as error:
        sys.stderr.write(str(error).replace("\n", " "))
        return 1
    shown = _write(found.frames, Path(arguments[0]))
    said = {"numbers": found.choice.indices, "times": found.timestamps, "total": found.info.total_frames}
    sys.stdout.write(json.dumps(said | {"shown": shown, "codec": _codec(Path(job["path"]))}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
