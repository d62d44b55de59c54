"""Devices: what a text names, what CUDA_VISIBLE_DEVICES means, and locks that hold exactly as long as a process."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from videval.errors import EnvironmentProblem, NoFreeDevice, UsageError
from videval.settings import Settings
from workers.device import Gpu, claim_device, is_free, lock_domain, parse_devices

GPUS = [Gpu(index=i, uuid=f"GPU-{i}{i}{i}{i}-abcd", name=f"H{i}", memory_gb=80.0) for i in range(4)]
MIG = "MIG-9a8b7c6d"


def parse(text: str, visible: str | None = None, gpus: list[Gpu] = GPUS) -> list:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    return parse_devices(text, environ=environ, gpus=gpus)


def labels(text: str, visible: str | None = None, gpus: list[Gpu] = GPUS) -> list[str]:
    return [d.label for d in parse(text, visible, gpus)]


def cpus(count: int) -> list:
    return parse(f"cpu*{count}")


def let_go(held) -> None:
    for fd in held.fds:
        os.close(fd)


@pytest.mark.parametrize("text", ["gpu0", "cuda:0", "cpu:x", "-1", "0-3", "cpu*", "1.5", "0+cpu:0", "+", "0+"])
def test_what_is_no_device_is_said_with_the_grammar(text):
    with pytest.raises(UsageError, match="is not a device") as raised:
        parse(text)
    assert "cpu*N" in raised.value.hint


@pytest.mark.parametrize("text", ["", " , ", "cpu*0"])
def test_a_text_that_names_nothing_is_refused(text):
    with pytest.raises(UsageError, match="names no device"):
        parse(text)


@pytest.mark.parametrize("text", ["0,0", "0,GPU-0000", "cpu,cpu:0", "cpu*2,cpu:1", "0+1,1", "0+0"])
def test_a_device_named_twice_is_refused(text):
    with pytest.raises(UsageError, match="names a device twice"):
        parse(text)


@pytest.mark.parametrize("text", ["4", "GPU-9999", "0,7"])
def test_a_gpu_that_is_not_there_is_named_with_those_that_are(text):
    with pytest.raises(NoFreeDevice, match=r"there is no GPU .* here \(visible: 0 = H0, 1 = H1"):
        parse(text)


def test_auto_is_every_gpu_or_the_cpu():
    assert labels("auto") == ["gpu0", "gpu1", "gpu2", "gpu3"]
    assert labels("auto", gpus=[]) == ["cpu0"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", ["gpu0"]),
        ("2,0", ["gpu2", "gpu0"]),
        ("GPU-111", ["gpu1"]),
        ("0+1,2+3", ["gpu0+1", "gpu2+3"]),
        ("cpu", ["cpu0"]),
        ("cpu:3", ["cpu3"]),
        ("cpu*3", ["cpu0", "cpu1", "cpu2"]),
        ("0, cpu:1", ["gpu0", "cpu1"]),
        (MIG, ["gpuMIG-9a8b7c6d"]),
    ],
)
def test_the_grammar(text, expected):
    assert labels(text) == expected


def test_numbers_count_within_the_gpus_that_the_user_made_visible():
    assert labels("auto", visible="3,1") == ["gpu0", "gpu1"]
    assert [d.visible for d in parse("0,1", visible="3,1")] == [GPUS[3].uuid, GPUS[1].uuid]
    with pytest.raises(NoFreeDevice):
        parse("2", visible="3,1")


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles"])
def test_a_user_who_hides_all_gpus_gets_the_cpu(hidden):
    assert labels("auto", visible=hidden) == ["cpu0"]


def test_what_follows_an_unknown_number_is_hidden_as_cuda_hides_it():
    assert [d.visible for d in parse("auto", visible="1,-1,2")] == [GPUS[1].uuid]


def test_visible_devices_may_be_uuids_short_ones_and_mig_slices():
    assert [d.visible for d in parse("auto", visible=f"GPU-2222,{MIG}")] == [GPUS[2].uuid, MIG]


def test_the_engine_sees_its_own_gpus_only_and_a_cpu_worker_none():
    (group,) = parse("1+2")
    assert group.visible == f"{GPUS[1].uuid},{GPUS[2].uuid}" and group.group_size == 2 and group.is_gpu
    (cpu,) = parse("cpu")
    assert cpu.visible == "" and not cpu.is_gpu


def test_each_claims_the_first_free_one_and_one_too_many_is_told_so(tmp_path):
    held = [claim_device(tmp_path, cpus(2)) for _ in range(2)]
    assert [h.device.label for h in held] == ["cpu0", "cpu1"]
    with pytest.raises(NoFreeDevice, match="no free device: cpu0, cpu1 are in use by other workers") as raised:
        claim_device(tmp_path, cpus(2), patience=0.0)
    assert "one worker per device" in raised.value.hint
    let_go(held[0])
    again = claim_device(tmp_path, cpus(2), patience=0.0)
    assert again.device.label == "cpu0"
    let_go(again)
    let_go(held[1])


def test_a_group_is_held_wholly_or_not_at_all(tmp_path):
    one = claim_device(tmp_path, parse("1"))
    with pytest.raises(NoFreeDevice):
        claim_device(tmp_path, parse("0+1"), patience=0.0)
    zero = claim_device(tmp_path, parse("0"), patience=0.0)
    let_go(one)
    let_go(zero)
    group = claim_device(tmp_path, parse("0+1"), patience=0.0)
    assert not is_free(tmp_path, GPUS[0].uuid) and not is_free(tmp_path, group.device.id)
    let_go(group)


def test_locks_are_by_uuid_so_that_two_numberings_of_one_gpu_exclude_each_other(tmp_path):
    held = claim_device(tmp_path, parse("0", visible="2"))
    with pytest.raises(NoFreeDevice):
        claim_device(tmp_path, parse("2"), patience=0.0)
    let_go(held)


def test_looking_whether_a_device_is_free_takes_it_from_nobody(tmp_path):
    assert is_free(tmp_path, "cpu:0")
    held = claim_device(tmp_path, cpus(1), patience=0.0)
    assert not is_free(tmp_path, "cpu:0")
    let_go(held)
    assert is_free(tmp_path, "cpu:0")


def test_a_folder_that_cannot_be_made_says_which_variable_to_set(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem) as raised:
        claim_device(tmp_path / "file" / "locks", cpus(1))
    assert raised.value.hint == "set VIDEVAL_LOCK_DIR"


def test_the_lock_domain_is_that_of_the_folder(tmp_path):
    assert lock_domain(tmp_path / "a") == lock_domain(tmp_path / "a") != lock_domain(tmp_path / "b")


def test_a_device_is_free_only_when_the_last_child_of_its_worker_is_gone(tmp_path: Path):
    code = (
        "import os, subprocess, sys; from pathlib import Path; from workers.device import claim_device, parse_devices\n"
        f"held = claim_device(Path({str(tmp_path)!r}), parse_devices('cpu', gpus=[]))\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], pass_fds=held.fds)\n"
        "print(child.pid, flush=True); input()"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None and worker.stdin is not None
    child = int(worker.stdout.readline())
    worker.kill()
    worker.wait()
    worker.stdin.close()
    worker.stdout.close()
    assert not is_free(tmp_path, "cpu:0"), "the child still has the device"
    os.kill(child, 9)
    deadline = time.monotonic() + 20
    while not is_free(tmp_path, "cpu:0"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_homes_of_one_machine_look_at_the_same_locks(tmp_path):
    assert (
        Settings(_env_file=None, home=tmp_path / "a").lock_path
        == Settings(_env_file=None, home=tmp_path / "b").lock_path
    )
