"""What each reader takes for the same frames of the same film, and whom the rule chooses: is that the cheapest?

Run: python -m perf.choosing [--repeat N] [--size 640 360] [--threads N]. Writes films of real content that differ in
what the rule depends on and prints, for each and so many frames, each reader's CPU milliseconds (of all threads, the
least of N turns: what others use of the machine only adds), the reader that `videval.video.choosing.reader_for` names,
and what that takes of the cheapest. What all have in common is not counted: the proof from the packets, the cache.
torchcodec is one of them where it is installed. Says so if a reader gives other pixels.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from perf.decode import film
from perf.readers import remuxed
from videval.types import FrameSampling
from videval.video import DECORD, PYAV, TORCHCODEC, cores
from videval.video.choosing import facts_of, open_by, reader_for
from videval.video.footage import Footage, examine
from videval.video.readers import READ_ERRORS, Frames
from videval.video.sampling import frame_indices

GROUPS = {"group of 250, B": (250, 3), "group of 250": (250, 0), "group of 25": (25, 0), "all key frames": (1, 0)}
"""How a film is coded: pictures of a group, and those between that none or few others refer to."""
MINUTE = 6
"""Times ten seconds."""


def films(folder: Path, size: tuple[int, int]) -> Iterator[tuple[str, Path]]:
    """Each kind of ten seconds, and a minute of those without spare pictures."""
    for name, (group, between) in GROUPS.items():
        path = film(folder / f"{group}-{between}.mp4", group=group, between=between, size=size)
        yield f"10 s, {name}", path
        if not between:
            yield f"60 s, {name}", remuxed(path, folder / f"60-{path.name}", MINUTE)


def read(name: str, footage: Footage, numbers: Sequence[int]) -> tuple[float, list[Frames]]:
    """CPU milliseconds, and the frames."""
    began = time.process_time()
    frames = [pixels for _, pixels in open_by(name, footage).read(numbers)]
    return 1000 * (time.process_time() - began), frames


def spent(footage: Footage, numbers: Sequence[int], repeat: int) -> dict[str, float]:
    """The least that each reader takes, by name; one that cannot read it is left out."""
    least: dict[str, float] = {}
    names = [name for name in (PYAV, DECORD, TORCHCODEC) if name == PYAV or name in facts_of(footage, 1).trusted]
    for turn in range(repeat):
        right: list[Frames] = []
        for name in names:
            try:
                took, frames = read(name, footage, numbers)
            except READ_ERRORS as error:
                print(f"{name}: {error}") if not turn else None
                continue
            right = right or frames
            if not all(np.array_equal(a, b) for a, b in zip(right, frames, strict=True)):
                print(f"{name}: other pixels")
            least[name] = min(took, least.get(name, took))
    return least


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=2, default=[640, 360])
    parser.add_argument("--frames", type=int, nargs="+", default=[4, 8, 64])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    cores.MOST_THREADS = given.threads
    names = (PYAV, DECORD, TORCHCODEC)
    print(f"| film | frames | {' | '.join(names)} | chosen | of the cheapest |")
    with tempfile.TemporaryDirectory() as folder:
        for kind, path in films(Path(folder), tuple(given.size)):
            footage = examine(path)
            for count in given.frames:
                sampling = FrameSampling(policy="stride", num_frames=count)
                numbers = sorted(set(frame_indices(len(footage.timeline.times), footage.fps, sampling)))
                took, chosen = spent(footage, numbers, given.repeat), reader_for(facts_of(footage, len(numbers)))
                cells = " | ".join(f"{took[name]:.0f}" if name in took else "-" for name in names)
                ratio = took[chosen] / min(took.values())
                print(f"| {kind} | {len(numbers)} | {cells} | {chosen} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
