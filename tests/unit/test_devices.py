"""Devices: what a text names, what CUDA_VISIBLE_DEVICES means, and locks that hold exactly as long as a process."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from videval.db.queue import KeyWork
from videval.errors import EnvironmentProblem, NoFreeDevice, UsageError
from videval.models.catalog import model_spec
from videval.settings import Settings
from workers import device
from workers.device import Kind, can_serve, devices_for, dtype_for, kind_of, parse_devices
from workers.gpus import Gpu
from workers.locks import claim_device, is_free, lock_alone, lock_domain

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
    assert group.visible == f"{GPUS[1].uuid},{GPUS[2].uuid}" and group.group_size == 2 and group.kind is Kind.GPU
    (cpu,) = parse("cpu")
    assert cpu.visible == "" and cpu.kind is Kind.CPU


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
        "import os, subprocess, sys; from pathlib import Path; from workers.device import parse_devices\n"
        "from workers.locks import claim_device\n"
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
    assert Settings(home=tmp_path / "a").lock_path == Settings(home=tmp_path / "b").lock_path


NOBODY = 65534


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder like /tmp/videval-locks, with a lock file of cpu:0 that another user has closed to all."""
    outside = Path(tempfile.mkdtemp(prefix="vv-"))
    outside.chmod(0o755)
    folder = outside / "locks"
    folder.mkdir()
    folder.chmod(0o1777)
    theirs = folder / "cpu-0.lock"
    theirs.touch()
    theirs.chmod(0o000)
    yield folder
    shutil.rmtree(outside)


@contextmanager
def without_privileges() -> Iterator[None]:
    """As a user for whom modes count; root is not one."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


@contextmanager
def masked(umask: int) -> Iterator[None]:
    was = os.umask(umask)
    try:
        yield
    finally:
        os.umask(was)


def test_a_device_whose_lock_another_user_has_closed_is_in_use_and_the_next_is_taken(shared):
    with without_privileges():
        assert not is_free(shared, "cpu:0") and is_free(shared, "cpu:1")
        held = claim_device(shared, cpus(2), patience=0.0)
    assert held.device.label == "cpu1"
    let_go(held)


def test_a_group_with_a_lock_of_another_user_leaves_the_rest_free(shared):
    (shared / f"{GPUS[1].uuid}.lock").touch(mode=0o000)
    with without_privileges():
        with pytest.raises(NoFreeDevice):
            claim_device(shared, parse("0+1"), patience=0.0)
        assert is_free(shared, GPUS[0].uuid) and not is_free(shared, f"{GPUS[0].uuid}+{GPUS[1].uuid}")


def test_with_none_but_another_user_s_devices_the_file_is_named_with_what_would_share_it(shared):
    with without_privileges(), pytest.raises(NoFreeDevice, match="cpu0 by another user") as raised:
        claim_device(shared, cpus(1), patience=0.0)
    assert str(shared / "cpu-0.lock") in str(raised.value) and "chmod 666" in raised.value.hint


@pytest.mark.parametrize("trap", ["a link to nothing", "a folder"])
def test_what_another_user_put_in_a_lock_s_place_is_in_use(tmp_path, trap):
    if trap == "a folder":
        (tmp_path / "cpu-0.lock").mkdir()
    else:
        (tmp_path / "cpu-0.lock").symlink_to(tmp_path / "nothing")
    assert not is_free(tmp_path, "cpu:0")
    assert not (tmp_path / "nothing").exists()


def test_a_lock_that_is_there_is_opened_without_asking_to_make_it(tmp_path, monkeypatch):
    """As fs.protected_regular has it: O_CREAT on another user's file of a shared folder is refused."""
    (tmp_path / "cpu-0.lock").touch()
    really = os.open

    def protected(path, flags, *args, **kwargs):
        if flags & os.O_CREAT and not flags & os.O_EXCL and Path(path).exists():
            raise PermissionError(13, "Permission denied", str(path))
        return really(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", protected)
    assert is_free(tmp_path, "cpu:0")
    let_go(claim_device(tmp_path, cpus(1), patience=0.0))


def test_a_lock_that_another_makes_at_the_same_moment_is_shared_with_it(tmp_path, monkeypatch):
    really = os.open

    def overtaken(path, flags, *args, **kwargs):
        if flags & os.O_CREAT:
            os.close(really(path, os.O_WRONLY | os.O_CREAT, 0o666))
        return really(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", overtaken)
    let_go(claim_device(tmp_path, cpus(1), patience=0.0))


def test_a_folder_in_which_nothing_can_be_made_says_which_variable_to_set(shared):
    shared.chmod(0o555)
    with without_privileges(), pytest.raises(EnvironmentProblem, match="cannot open the lock") as raised:
        claim_device(shared, cpus(2), patience=0.0)
    assert raised.value.hint == "set VIDEVAL_LOCK_DIR"


def test_folder_and_locks_are_open_to_all_users_whatever_the_umask(tmp_path):
    folder = tmp_path / "locks"
    with masked(0o077):
        let_go(claim_device(folder, cpus(1), patience=0.0))
        assert is_free(folder, "cpu:1")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert [stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()] == [0o666, 0o666]


def test_a_folder_that_another_user_makes_at_the_same_moment_is_taken_as_it_is(tmp_path, monkeypatch):
    folder = tmp_path / "locks"
    folder.mkdir(mode=0o777)
    monkeypatch.setattr(Path, "exists", lambda self: False)
    monkeypatch.setattr(Path, "chmod", lambda self, mode: pytest.fail("it is not ours to change"))
    assert is_free(folder, "cpu:0")


# seats of models that run elsewhere


def test_an_api_seat_stands_beside_gpus_and_cpus() -> None:
    assert labels("0,api,api:3,cpu") == ["gpu0", "api0", "api3", "cpu0"]
    assert labels("api*2") == ["api0", "api1"]
    (seat,) = parse("api")
    assert (seat.kind, seat.id, seat.visible, seat.names) == (Kind.API, "api:0", "", ())


def test_no_driver_is_asked_for_seats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "list_gpus", lambda: pytest.fail("no GPU was named"))
    assert [d.label for d in parse_devices("api,cpu*2")] == ["api0", "cpu0", "cpu1"]


def test_a_kind_is_known_by_the_id_that_the_workers_table_has() -> None:
    ids = [d.id for d in parse("0,1+2,cpu:4,api:0")] + [MIG]
    assert [kind_of(i) for i in ids] == [Kind.GPU, Kind.GPU, Kind.CPU, Kind.API, Kind.GPU]


def work_of(name: str, *dtypes: str | None) -> KeyWork:
    spec = model_spec(name)
    return KeyWork(load_key=name, spec=spec, dtypes=dtypes or (None,), waiting=1, running=0, priority=0)


@pytest.mark.parametrize(
    ("model", "device_id", "can"),
    [
        ("fake", "cpu:0", True),
        ("fake", MIG, True),
        ("fake", "api:0", False),
        ("fake_api:8", "api:0", True),
        ("fake_api:8", "cpu:0", False),
        ("fake_api:8", MIG, False),
    ],
)
def test_api_seats_serve_what_needs_no_device_and_nobody_else_does(model: str, device_id: str, can: bool) -> None:
    assert can_serve(work_of(model), device_id) is can


@pytest.mark.parametrize("device_id", ["cpu:0", MIG])
def test_a_dtype_that_only_a_newer_videval_knows_is_left_to_its_workers(device_id: str) -> None:
    work = work_of("fake")
    assert not can_serve(replace(work, spec=replace(work.spec, dtype="float8")), device_id)


def test_an_endpoint_s_dtype_is_the_one_asked_for() -> None:
    asked = work_of("fake_api:8", "auto")
    assert dtype_for(asked, "api:0") == "auto" and can_serve(asked, "api:0")
    assert (dtype_for(work_of("fake"), "cpu:0"), dtype_for(work_of("fake"), MIG)) == ("float32", "bfloat16")


def test_a_fleet_for_one_model_has_a_seat_that_serves_it() -> None:
    endpoint, local = model_spec("fake_api:8"), model_spec("fake")
    assert [d.label for d in devices_for(endpoint, "auto")] == ["api0"]
    assert [d.label for d in devices_for(endpoint, "cpu,api")] == ["cpu0", "api0"]
    assert [d.label for d in devices_for(local, "cpu*2")] == ["cpu0", "cpu1"]
    with pytest.raises(UsageError, match="runs elsewhere and needs an api seat: none of cpu\\*2") as raised:
        devices_for(endpoint, "cpu*2")
    assert raised.value.hint == "--devices api"
    with pytest.raises(UsageError, match="fake needs a device: none of api serves it"):
        devices_for(local, "api")


def test_the_lock_of_a_chore_is_held_by_one_process_and_free_when_it_is_closed(tmp_path: Path) -> None:
    held = lock_alone(tmp_path / "locks", "a chore")
    assert held is not None and lock_alone(tmp_path / "locks", "a chore") is None
    os.close(held)
    again = lock_alone(tmp_path / "locks", "a chore")
    assert again is not None
    os.close(again)
