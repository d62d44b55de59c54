"""Every kind of file shows the frames that were asked for, at their times, whoever reads it."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.films import FILMS, Film, said
from videval.types import FrameSampling
from videval.video.decode import decode
from videval.video.footage import Footage, counted, examine
from videval.video.pyav_reader import PyavReader
from videval.video.readers import Reader

SAMPLINGS = [
    FrameSampling(policy="interior", num_frames=8),
    FrameSampling(policy="stride", num_frames=8),
    FrameSampling(policy="uniform", num_frames=32),
    FrameSampling(policy="rate", fps=5.0),
]


@pytest.fixture(params=FILMS, ids=lambda film: film.name)
def film(request: pytest.FixtureRequest) -> Film:
    found: Film = request.param
    return found


def numbers_of(reader: Reader, wanted: Sequence[int]) -> list[int]:
    return [said(pixels) for _, pixels in reader.read(wanted)]


def test_the_frames_asked_for_are_shown_and_their_times_are_true(film: Film, tmp_path: Path) -> None:
    path = film.write(tmp_path)
    count, times = len(film.times()), film.times()
    for sampling in SAMPLINGS:
        for span in (None, (0.5, 1.1), (1.2, 0.3)):
            shown = decode(path, sampling, span)
            assert shown.info.total_frames == count
            assert [said(pixels) for pixels in shown.frames] == list(shown.choice.indices)
            assert shown.timestamps == pytest.approx([times[n] for n in shown.choice.indices], abs=2e-3)
    readers_agree(examine(path), count)


def readers_agree(footage: Footage, count: int) -> None:
    """Every reader, by jumping and by decoding on, forwards and one after another anew, gives the same frames."""
    every = list(range(count))
    some = sorted(random.Random(count).sample(every, min(5, count)))
    readers: list[Reader] = [PyavReader(footage), PyavReader(counted(footage))]
    for reader in readers:
        assert numbers_of(reader, every) == every
        assert numbers_of(reader, some) == some
        assert [numbers_of(reader, [n])[0] for n in reversed(some)] == some[::-1]
    pixels = [dict(reader.read(some)) for reader in readers]
    assert all(np.array_equal(pixels[0][n], other[n]) for other in pixels[1:] for n in some)
