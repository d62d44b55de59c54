"""Requests that kill, hang or fill what touches them: each a failed row with its kind, all others answered."""

import shutil
from pathlib import Path

from tests.chaos.cluster import Cluster, questions
from tests.trees import clip

BROKEN = [
    "empty.mp4",
    "random.mp4",
    "truncated.mp4",
    "text.mp4",
    "audio.mp4",
    "zeros.mp4",
    "gone.mp4",
    "folder.mp4",
    "outside.mp4",
    "loop.mp4",
]
DEADLY = {"segfault.mp4": "crash", "hang.mp4": "timeout"}
FAULTS = {"crash": "crash", "hang": "timeout", "memory": "oom", "oom": "oom", "error": "model"}


def break_videos(data: Path) -> None:
    """Ten files that are no videos, each in its own way; they looked fine when the run was enqueued."""
    whole = clip()
    (data / "empty.mp4").write_bytes(b"")
    (data / "random.mp4").write_bytes(bytes((i * 7919) % 251 for i in range(20000)))
    (data / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (data / "text.mp4").write_text("404 not found\n" * 50)
    (data / "audio.mp4").write_bytes(b"RIFF\x24\x08\x00\x00WAVEfmt " + b"\x10\0\0\0\1\0\1\0\x44\xac\0\0" + b"\0" * 2100)
    (data / "zeros.mp4").write_bytes(b"\0" * 4096)
    for name in ("gone.mp4", "folder.mp4", "outside.mp4", "loop.mp4"):
        (data / name).unlink()
    (data / "folder.mp4").mkdir()
    shutil.copy(data / "v0.mp4", data.parent / "secret.mp4")
    (data / "outside.mp4").symlink_to(data.parent / "secret.mp4")
    (data / "loop.mp4").symlink_to(data / "loop.mp4")


def test_every_kind_of_poison_fails_alone_with_its_reason(cluster: Cluster, full_size: bool):
    count = 300 if full_size else 100
    videos = [*BROKEN, *DEADLY]
    rows = {f"r{3 * i}": {"video": name} for i, name in enumerate(videos)}
    rows |= {f"r{50 + 7 * i}": {"fake_fault": fault} for i, fault in enumerate(FAULTS)}
    expected = {str(3 * i): DEADLY.get(name, "video") for i, name in enumerate(videos)}
    expected |= {str(50 + 7 * i): kind for i, kind in enumerate(FAULTS.values())}
    run_id = cluster.enqueue(questions(count, latency_ms=(10, 60), **rows), max_attempts=2)
    break_videos(cluster.folder / "data")
    cluster.environ |= {
        "VIDEVAL_DECODE_DEADLINE": "12",
        "VIDEVAL_GENERATE_DEADLINE": "12",
        "VV_TEST_VIDEOS": "1",
        "VV_TEST_ENGINE_BYTES": str(2 * 2**30),
    }
    for _ in range(3):
        cluster.start_worker()
    cluster.wait_done(run_id, 240)
    assert cluster.failed(run_id) == expected
    assert cluster.counts(run_id).done == count - len(expected)
    cluster.assert_single(run_id)
    messages = cluster.rows("SELECT error FROM requests WHERE status = 'failed'")
    assert all(row.error for row in messages)
    assert cluster.command("errors", next(iter(cluster.runs()))).count("video") >= 1
