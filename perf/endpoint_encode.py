"""What a frame weighs and costs in each format, and the CPU seconds of a request when 64 are in flight.

Run: python -m perf.endpoint_encode [--requests N] [--frames N]. The endpoint is the stand-in of the tests, in a process
of its own, which answers after half a second; CPU seconds are those of the asking process alone.
"""

import argparse
import resource
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from perf.decode import real_clips
from tests.standin import Plan, stand_in
from videval.errors import VidevalError
from videval.models.endpoint_file import Endpoint, Limits
from videval.models.openai_api.addresses import addresses_of
from videval.models.openai_api.media import FORMATS, encoded_frames
from videval.models.openai_api.server import ApiServer
from videval.types import Answer, Ask, Clip, FrameSampling, GenerationSettings, Prompt, Remote, Stage, Text, Video
from videval.video.cache import FrameCache

PIXELS = 448 * 448
IN_FLIGHT = 64


class Heard:
    """A caller that only wants to know when it is over."""

    def __init__(self) -> None:
        self.over: Future[Answer] = Future()

    def entered(self, stage: Stage) -> None:
        """No matter."""

    def answered(self, answer: Answer) -> None:
        """It is over."""
        self.over.set_result(answer)

    def failed(self, error: VidevalError) -> None:
        """So it is."""
        self.over.set_exception(error)


def formats(clips: Sequence[Clip]) -> None:
    """Bytes and CPU of a frame in each format."""
    for image in FORMATS:
        for clip in clips:
            began = time.process_time()
            encoded = encoded_frames(clip, Remote(endpoint="perf", image=image))
            spent = 1000 * (time.process_time() - began) / clip.num_frames
            size = encoded.size * 3 / 4 / clip.num_frames
            pixels = clip.width * clip.height
            shape = f"{clip.width}x{clip.height}"
            print(f"{image:6} {shape:9} {size / 1000:8.0f} kB {size / pixels:6.2f} bytes a pixel {spent:7.1f} ms CPU")


@contextmanager
def driven(endpoint: Endpoint) -> Iterator[ApiServer]:
    """A server of the endpoint in a thread."""
    server = ApiServer(endpoint, addresses_of(endpoint), {})
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


def asked(server: ApiServer, clips: Sequence[Clip], requests: int) -> None:
    """Ask about the clips in turn, the questions of one clip one after another."""
    each = requests // len(clips)
    heard = []
    for number in range(requests):
        prompt = Prompt(parts=(Video(), Text(text=f"What is shown? {number}")), clips=(clips[number // each],))
        ask = Ask(id=number, prompt=prompt, settings=GenerationSettings(max_new_tokens=8))
        heard.append(Heard())
        server.ask(ask, heard[-1])
    wait([one.over for one in heard])
    for one in heard:
        one.over.result()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=256)
    parser.add_argument("--frames", type=int, default=16)
    given = parser.parse_args()
    sampling = FrameSampling(policy="uniform", num_frames=given.frames)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = FrameCache(folder / "frames", 4.0)
        formats([cache.clip(path, sampling, max_pixels=limit) for path in real_clips()[:2] for limit in (None, PIXELS)])
        for image in FORMATS:
            for each in (1, 4, 16):
                measure(folder, cache, given.requests, each, image, sampling)


def copies(clip: Clip, count: int, folder: Path) -> list[Clip]:
    """The same frames as so many clips."""
    paths = [folder / f"{uuid.uuid4().hex}.npy" for _ in range(count)]
    for path in paths:
        path.hardlink_to(clip.path)
    return [replace(clip, path=str(path)) for path in paths]


def measure(folder: Path, cache: FrameCache, requests: int, each: int, image: str, sampling: FrameSampling) -> None:
    """Ask so many questions about each clip, and print what a request cost."""
    clips = copies(cache.clip(real_clips()[0], sampling, max_pixels=PIXELS), requests // each, folder)
    with stand_in(folder, Plan(latency=0.5)) as server:
        entry = Endpoint(
            name="perf",
            model="stand-in",
            base_urls=(server.url,),
            remote=Remote(endpoint="perf", transport="video", image=image),
            limits=Limits(in_flight=IN_FLIGHT),
        )
        with driven(entry) as asking:
            began, spent = time.monotonic(), time.process_time()
            asked(asking, clips, requests)
            seconds, spent = time.monotonic() - began, time.process_time() - spent
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{image:6} {each:3} questions a clip: {1000 * spent / requests:7.1f} ms CPU a request, "
        f"{requests / seconds:6.1f} requests/s, at most {memory:.0f} MB"
    )


if __name__ == "__main__":
    main()
