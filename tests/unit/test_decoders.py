"""Decoder processes: a video that crashes, hangs or is broken costs one request, never the worker."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.servers import settings_for, wait_for
from tests.trees import clip as video_bytes
from videval.errors import DeadlineExceeded, ErrorKind, ProcessDied, VideoFailure
from videval.inference import Released
from videval.types import Clip, FrameSampling
from videval.video.clips import load_frames
from workers.decoders import DECORD_PATIENCE, Decoders, _Decoder

FOUR = FrameSampling(policy="uniform", num_frames=4)
TWO = FrameSampling(policy="uniform", num_frames=2)
FAULTS = Path(__file__).parents[1] / "chaos" / "faults"


def ignore() -> None:
    """Nobody wants to know when decoding begins."""


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.mp4", "segfault.mp4", "hang.mp4", "decord_crashes.mp4", "decord_hangs.mp4"):
        (tmp_path / name).write_bytes(video_bytes())
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    return tmp_path


@pytest.fixture
def decoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoders]:
    monkeypatch.setenv("PYTHONPATH", f"{FAULTS}{os.pathsep}{FAULTS.parents[2]}")
    monkeypatch.setenv("VV_TEST_VIDEOS", "1")
    made = Decoders(settings_for(tmp_path, decode_deadline=2.0, decoders=1))
    yield made
    made.close()


def ask(decoders: Decoders, path: Path, on_decode=ignore, sampling=FOUR) -> Clip:
    return decoders.clip(path, sampling, None, folder_fps=3.0, max_pixels=None, on_decode=on_decode)


def test_a_segmentation_fault_is_one_request_s_crash_and_the_next_one_gets_a_new_decoder(decoders, videos):
    with pytest.raises(ProcessDied, match=r"the decoder died of it \(signal SIGSEGV\)") as raised:
        ask(decoders, videos / "segfault.mp4")
    assert raised.value.kind == ErrorKind.CRASH
    assert ask(decoders, videos / "a.mp4").num_frames == 4


def test_a_decoder_that_hangs_is_ended_at_its_deadline(decoders, videos):
    with pytest.raises(DeadlineExceeded, match=r"longer than 2 s \(VIDEVAL_DECODE_DEADLINE"):
        ask(decoders, videos / "hang.mp4")
    assert ask(decoders, videos / "a.mp4").num_frames == 4
    assert len(decoders.pids()) == 1


@pytest.mark.parametrize("name", ["decord_crashes.mp4", "decord_hangs.mp4"])
def test_where_decord_crashes_or_hangs_pyav_reads_at_once_and_decord_is_not_asked_again(
    decoders, videos, name, caplog, monkeypatch
):
    monkeypatch.setattr("workers.decoders.DECORD_PATIENCE", 1.5)
    decoders._settings = decoders._settings.model_copy(update={"decode_deadline": 60.0})
    assert ask(decoders, videos / "a.mp4").decoder.startswith("decord")
    clip = ask(decoders, videos / name)
    assert clip.decoder.startswith("PyAV")
    assert np.array_equal(load_frames(clip), load_frames(ask(decoders, videos / "a.mp4")))
    (told,) = (record.getMessage() for record in caplog.records)
    assert name in told and "read by PyAV" in told
    before = decoders.pids()
    assert ask(decoders, videos / name, sampling=TWO).decoder.startswith("PyAV")
    assert decoders.pids() == before, "the second clip of it kills no decoder"


class ScriptedChild:
    """A decoder process that says what it is told to, and notes how long it was waited for each time."""

    def __init__(self, *said: dict[str, str]) -> None:
        self.said, self.waits = iter([{"ready": True}, *said]), []
        self.pid, self.connection = 1, self

    def send(self, message) -> None:
        pass

    def receive(self):
        return next(self.said)

    def poll(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return True


def test_decord_has_a_short_time_for_each_few_frames_and_pyav_the_whole_deadline(tmp_path, monkeypatch):
    child = ScriptedChild(*({"reader": name} for name in ("decord", "decord", "PyAV")), {"clip": "it"})
    monkeypatch.setattr("workers.decoders.Child", lambda *args, **more: child)
    decoder = _Decoder(settings_for(tmp_path, decode_deadline=1000.0), ())
    child.waits.clear()
    assert decoder.ask({"path": "a.mp4"}, deadline=1000.0) == {"clip": "it"}
    assert child.waits == [pytest.approx(seconds, abs=5) for seconds in (1000, DECORD_PATIENCE, DECORD_PATIENCE, 1000)]


@pytest.mark.parametrize("name", ["broken.mp4", "gone.mp4"])
def test_what_is_no_video_is_a_failure_with_its_path_and_the_decoder_lives_on(decoders, videos, name):
    ask(decoders, videos / "a.mp4")
    before = decoders.pids()
    with pytest.raises(VideoFailure, match=name):
        ask(decoders, videos / name)
    assert decoders.pids() == before


def test_a_decoder_that_was_killed_while_it_was_idle_is_nobody_s_fault(decoders, videos):
    ask(decoders, videos / "a.mp4")
    os.kill(decoders.pids()[0], signal.SIGKILL)
    dead = psutil.Process(decoders.pids()[0])
    wait_for("it to be dead", lambda: dead.status() == psutil.STATUS_ZOMBIE, 10)
    assert ask(decoders, videos / "b.mp4").num_frames == 4


def test_a_decoder_that_was_started_ahead_is_the_one_that_decodes(decoders, videos):
    decoders.prepare()
    (pid,) = decoders.pids()
    ask(decoders, videos / "a.mp4")
    assert decoders.pids() == [pid]


def test_after_the_end_none_is_started_ahead(decoders):
    decoders.close()
    decoders.prepare()
    assert decoders.pids() == []


def test_frames_come_by_mapped_file_and_are_right(decoders, videos):
    frames = load_frames(ask(decoders, videos / "a.mp4"))
    assert frames.shape == (4, 48, 64, 3) and not frames.flags.writeable
    assert frames[0].mean() < frames[-1].mean()


def test_decoding_is_told_only_when_a_decoder_is_free_for_it(decoders, videos):
    begun, order = threading.Event(), []
    with ThreadPoolExecutor(2) as pool:
        hanging = pool.submit(ask, decoders, videos / "hang.mp4", begun.set)
        assert begun.wait(30)
        waiting = pool.submit(ask, decoders, videos / "a.mp4", lambda: order.append("begun"))
        assert not order, "it waits: a death now is not its fault"
        assert isinstance(hanging.exception(30), DeadlineExceeded)
        assert waiting.result(30) and order == ["begun"]


def test_who_changes_its_mind_before_decoding_gives_the_decoder_back(decoders, videos):
    def leave() -> None:
        raise Released("draining")

    with pytest.raises(Released):
        ask(decoders, videos / "a.mp4", leave)
    assert ask(decoders, videos / "a.mp4").num_frames == 4


def test_closing_ends_every_decoder_and_starts_no_more(decoders, videos):
    ask(decoders, videos / "a.mp4")
    (pid,) = decoders.pids()
    decoders.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises((Released, ProcessDied)):
        ask(decoders, videos / "b.mp4")
    assert decoders.pids() == []


def test_a_sampling_that_cannot_be_is_this_request_s_and_says_so(decoders, videos):
    with pytest.raises(VideoFailure, match="policy"):
        decoders.clip(
            videos / "a.mp4",
            FrameSampling(policy="nonsense", num_frames=4),
            None,
            folder_fps=3.0,
            max_pixels=None,
            on_decode=ignore,
        )


def test_a_clip_that_is_in_the_cache_costs_no_decoder_and_is_not_said_to_be_decoded(decoders, videos):
    cold = ask(decoders, videos / "a.mp4")
    decoders.close()
    assert ask(decoders, videos / "a.mp4", on_decode=lambda: pytest.fail("it is there")) == cold


def test_siblings_that_want_one_clip_decode_it_once_and_keep_no_decoder_from_others(tmp_path, videos):
    decoders = Decoders(settings_for(tmp_path, decoders=2))
    begun, may_go, told = threading.Event(), threading.Event(), []

    def first() -> None:
        told.append("a.mp4")
        begun.set()
        assert may_go.wait(30)

    with ThreadPoolExecutor(4) as pool:
        clips = [pool.submit(ask, decoders, videos / "a.mp4", first) for _ in range(3)]
        assert begun.wait(30)
        assert pool.submit(ask, decoders, videos / "b.mp4").result(30).num_frames == 4
        may_go.set()
        assert len({clip.result(30).path for clip in clips}) == 1
    decoders.close()
    assert told == ["a.mp4"]


def test_a_worker_imports_no_decoder_and_no_model(tmp_path):
    code = "import sys, workers.worker; print([m for m in ('av', 'decord', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]"
