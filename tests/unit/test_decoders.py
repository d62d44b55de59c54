"""Decoder processes: a video that crashes, hangs or is broken costs one request, never the worker."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from tests.servers import settings_for, wait_for
from tests.trees import clip as video_bytes
from videval.errors import DeadlineExceeded, ErrorKind, ProcessDied, VideoFailure
from videval.inference import Released
from videval.types import Clip, Fit, FrameSampling
from videval.video import WAITING
from videval.video.clips import Wanted, load_frames
from videval.video.eviction import evict
from workers import decoder_process
from workers.decoders import PATIENCE, Decoders, _Decoder

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
    with decoders.hold(Wanted(path=path, sampling=sampling), on_decode=on_decode) as fetched:
        return fetched.clip


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


@pytest.mark.parametrize(("name", "how"), [("decord_crashes.mp4", "crashed"), ("decord_hangs.mp4", "hung")])
def test_where_decord_crashes_or_hangs_pyav_reads_at_once_and_decord_is_not_asked_again(
    decoders, videos, name, how, caplog, monkeypatch
):
    decoders._settings = decoders._settings.model_copy(update={"decode_deadline": 240.0, "reader": "decord"})
    healthy = ask(decoders, videos / "a.mp4")
    assert healthy.decoder.startswith("decord")
    if how == "hung":
        monkeypatch.setattr("workers.decoders.PATIENCE", 1.5)
    clip = ask(decoders, videos / name)
    assert clip.decoder.startswith("PyAV")
    assert f"decord {how} on it: read by PyAV" in clip.notes
    assert np.array_equal(load_frames(clip), load_frames(healthy))
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


def test_a_reader_that_may_hang_has_a_short_time_for_each_few_frames_and_pyav_the_whole_deadline(tmp_path, monkeypatch):
    said = [{"reader": name, "seconds": 0.0} for name in ("decord", "torchcodec", "PyAV")]
    child = ScriptedChild(*said, {"clip": "it"})
    monkeypatch.setattr("workers.decoders.Child", lambda *args, **more: child)
    decoder = _Decoder(settings_for(tmp_path, decode_deadline=1000.0), ())
    child.waits.clear()
    assert decoder.ask({"path": "a.mp4"}, deadline=1000.0) == {"clip": "it"}
    assert child.waits == [pytest.approx(seconds, abs=5) for seconds in (1000, PATIENCE, PATIENCE, 1000)]


def test_a_decoder_says_at_once_who_is_at_work_and_the_same_again_now_and_then(monkeypatch):
    sent, now = [], [100.0]
    monkeypatch.setattr(decoder_process, "send", lambda connection, message: sent.append(tuple(message.values())))
    monkeypatch.setattr(decoder_process.time, "monotonic", lambda: now[0])
    tell = decoder_process._Teller(None)
    for name, seconds in (("PyAV", 0.0), ("PyAV", 9.0), ("PyAV", 9.0), ("decord", 9.0), ("decord", 9.0)):
        tell(name, seconds)
    assert sent == [("PyAV", 0.0), ("PyAV", 9.0), ("decord", 9.0)]
    now[0] += decoder_process.SIGN_OF_LIFE
    tell("decord", 9.0)
    assert sent[3:] == [("decord", 9.0)]


def test_a_long_video_has_more_time_and_waiting_for_others_costs_none_of_it(tmp_path, monkeypatch):
    said = [("PyAV", 500.0), (WAITING, 0.0), ("PyAV", 3600.0)]
    child = ScriptedChild(*({"reader": name, "seconds": seconds} for name, seconds in said), {"clip": "it"})
    monkeypatch.setattr("workers.decoders.Child", lambda *args, **more: child)
    now = iter(range(0, 10_000, 250))
    decoder = _Decoder(settings_for(tmp_path, decode_deadline=300.0), ())
    child.waits.clear()
    monkeypatch.setattr("workers.decoders.time", SimpleNamespace(monotonic=lambda: next(now)))
    assert decoder.ask({"path": "a.mp4"}, deadline=300.0) == {"clip": "it"}
    # asked at 0, waits from 250 and 500 on, hears at 750 that it waited for others, and goes on at 1000 and 1250
    assert child.waits == [300 - 250, 800 - 500, 750 + 300 - 1000, 750 + 3900 - 1250]


def test_a_clip_is_held_before_its_decoder_is_given_to_the_next(decoders, videos, monkeypatch):
    give_back = decoders._give_back

    def thrown_out_meanwhile(decoder):
        give_back(decoder)
        monkeypatch.setattr(decoders, "_give_back", give_back)
        ask(decoders, videos / "b.mp4")
        evict(decoders._settings.frame_cache_path, 0)

    monkeypatch.setattr(decoders, "_give_back", thrown_out_meanwhile)
    with decoders.hold(Wanted(path=videos / "a.mp4", sampling=FOUR), on_decode=ignore) as fetched:
        assert load_frames(fetched.clip).shape[0] == 4 and fetched.decoded


def test_an_idle_decoder_holds_no_clip(decoders, videos):
    ask(decoders, videos / "a.mp4")
    wait_for("the clip to be let go of", lambda: evict(decoders._settings.frame_cache_path, 0) == 0, 30)
    assert len(decoders.pids()) == 1


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
        ask(decoders, videos / "a.mp4", sampling=FrameSampling(policy="nonsense", num_frames=4))


def test_a_clip_that_is_in_the_cache_costs_no_decoder_and_is_not_said_to_be_decoded(decoders, videos):
    cold = ask(decoders, videos / "a.mp4")
    decoders.close()
    assert ask(decoders, videos / "a.mp4", on_decode=lambda: pytest.fail("it is there")) == cold


@pytest.mark.parametrize(
    ("machine", "idle", "most"), [(2, 2, 1), (4, 4, 3), (64, 50, 4), (64, 0, 1)], ids=["small", "four", "large", "busy"]
)
def test_another_decoder_is_started_while_all_are_busy_and_a_core_is_idle(
    tmp_path, videos, monkeypatch, machine, idle, most
):
    monkeypatch.setattr("workers.decoders.cores", lambda: machine)
    monkeypatch.setattr("workers.decoders.idle_cores", lambda: idle)
    decoders, lent = Decoders(settings_for(tmp_path)), []
    monkeypatch.setattr(decoders, "_start", lambda: object())
    with ThreadPoolExecutor(6) as pool:
        for _ in range(6):
            pool.submit(lambda: lent.append(decoders._borrow()))
        wait_for("all places to be taken", lambda: len(lent) == most and decoders._idle.empty(), 30)
        assert decoders._places == most
        for _ in range(6 - most):
            decoders._idle.put(None)


def test_as_many_decoders_as_are_set_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr("workers.decoders.idle_cores", lambda: 64)
    decoders = Decoders(settings_for(tmp_path, decoders=1))
    monkeypatch.setattr(decoders, "_start", lambda: object())
    decoders._borrow()
    decoders._make_place()
    assert decoders._idle.empty()


@pytest.mark.parametrize(("reader", "seen"), [("auto", ""), ("decord", ""), ("nvdec", "GPU-1")])
def test_a_decoder_sees_the_worker_s_gpu_only_where_it_is_set_to_use_it(tmp_path, monkeypatch, reader, seen):
    environs = []

    def child(module, *, environ, keep_fds):
        environs.append(environ)
        return ScriptedChild({"ready": True})

    monkeypatch.setattr("workers.decoders.Child", child)
    Decoders(settings_for(tmp_path, reader=reader), gpus="GPU-1").prepare()
    assert environs[0]["CUDA_VISIBLE_DEVICES"] == seen


def test_frames_are_kept_whole_where_the_setting_says_so(decoders, videos):
    whole = ask(decoders, videos / "a.mp4")
    wanted = Wanted(path=videos / "a.mp4", sampling=FOUR, fit=Fit(model_type="qwen2_vl", settings={}))
    decoders._settings = decoders._settings.model_copy(update={"fit_frames": False})
    with decoders.hold(wanted, on_decode=ignore) as fetched:
        assert fetched.clip == whole and not fetched.decoded


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


def test_of_two_workers_that_want_one_clip_one_decodes_it_and_both_say_so(tmp_path, videos):
    workers = [Decoders(settings_for(tmp_path, decoders=1)) for _ in range(2)]

    def decoded(worker: Decoders) -> bool:
        with worker.hold(Wanted(path=videos / "a.mp4", sampling=FOUR), on_decode=ignore) as fetched:
            return fetched.decoded

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(decoded, workers)) == [False, True]
    for worker in workers:
        worker.close()


def test_a_worker_imports_no_decoder_and_no_model(tmp_path):
    code = "import sys, workers.worker; print([m for m in ('av', 'decord', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]"
