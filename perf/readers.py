"""What it costs to know which frames a file shows: the proof from its packets, then its frames.

Run: python perf/readers.py [--repeat N] [--minutes M] [--kinds mp4 mkv ts]. Writes a 640x360 film of M minutes (moving
texture, H.264 with B-frames, a key frame every ten seconds) and prints a line per file and reader, medians in ms.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np

from videval.types import FrameSampling
from videval.video.footage import Footage, examine
from videval.video.pyav_reader import PyavReader
from videval.video.sampling import frame_indices

EIGHT = FrameSampling(policy="interior", num_frames=8)
FPS, SIZE = 25, (640, 360)


def film(path: Path, seconds: int) -> Path:
    """Some seconds of moving texture; they are repeated later, which costs a decoder as much and us less."""
    texture = np.random.default_rng(0).integers(0, 255, (45, 80, 3)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.gop_size = 10 * FPS
        for number in range(seconds * FPS):
            at = number % 250
            pixels = np.ascontiguousarray(texture[at : at + SIZE[1], 2 * at : 2 * at + SIZE[0]])
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def remuxed(source: Path, path: Path, times: int) -> Path:
    """The same packets `times` over, in the container that the name says."""
    with av.open(str(path), "w") as out:
        stream = None
        for turn in range(times):
            with av.open(str(source)) as given:
                stream = stream or out.add_stream_from_template(given.streams.video[0])
                length = given.streams.video[0].duration or 0
                for packet in given.demux(video=0):
                    if packet.dts is not None and packet.pts is not None:
                        packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length
                        packet.stream = stream
                        out.mux(packet)
    return path


def look_anew(path: Path) -> None:
    """Look at a file that is not remembered."""
    path.touch()
    examine(path)


def read_all(footage: Footage) -> None:
    """Open a video whose packets are known and read eight frames."""
    for _ in PyavReader(footage).read(frame_indices(len(footage.timeline.times), footage.fps, EIGHT)):
        pass


def milliseconds(work: Callable[[], object], repeat: int) -> str:
    """The median time of some work, on the clock and of all cores."""
    times, cpu = [], []
    for _ in range(repeat):
        start, busy = time.perf_counter(), time.process_time()
        work()
        times.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    return f"{1000 * statistics.median(times):8.0f} {1000 * statistics.median(cpu):8.0f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--kinds", nargs="+", default=["mp4", "mkv"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = film(Path(folder) / "base.mp4", 10)
        print(f"{'file':10} {'MB':>5} {'':8} {'ms':>8} {'CPU ms':>8}   for 8 frames")
        for kind in given.kinds:
            path = remuxed(base, Path(folder) / f"film.{kind}", given.minutes * 6)
            footage, size = examine(path), path.stat().st_size // 1_000_000
            print(f"{kind:10} {size:5} {'proof':8} {milliseconds(partial(look_anew, path), given.repeat)}")
            print(f"{'':16} {'frames':8} {milliseconds(partial(read_all, footage), given.repeat)}")


if __name__ == "__main__":
    main()
