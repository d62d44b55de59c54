"""Devices: what a worker may use, and the machine-wide locks that keep two workers from sharing one.

`auto` (every GPU, else cpu:0) or a comma list of `N`, `GPU-uuid`, `MIG-uuid`, `a+b` (a group for one model),
`cpu:K`, `cpu` (cpu:0) and `cpu*N` (cpu:0 to cpu:N-1). Numbers index into CUDA_VISIBLE_DEVICES if the user set it.
A lock is a file by UUID that the kernel releases when the last process of its worker is gone.
"""

import errno
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from videval.db.queue import KeyWork
from videval.errors import EnvironmentProblem, NoFreeDevice, UsageError
from videval.models.catalog import concrete_dtype

__all__ = [
    "Device",
    "Gpu",
    "HeldDevice",
    "can_serve",
    "claim_device",
    "dtype_for",
    "is_free",
    "list_gpus",
    "lock_domain",
    "parse_devices",
]

GRAMMAR = "auto, or a comma list of N, GPU-uuid, MIG-uuid, a+b, cpu:K, cpu*N"
NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR})
"""Why another user's lock file cannot be opened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """A GPU as NVML lists it; memory in GiB."""

    index: int
    uuid: str
    name: str
    memory_gb: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """What one worker uses: `keys` are the lock names, `visible` its engine's CUDA_VISIBLE_DEVICES ("" for CPU)."""

    label: str
    keys: tuple[str, ...]
    visible: str
    name: str = ""

    @property
    def id(self) -> str:
        """The device in the workers table: its lock names."""
        return "+".join(self.keys)

    @property
    def is_gpu(self) -> bool:
        """Whether the engine runs on CUDA."""
        return bool(self.visible)

    @property
    def names(self) -> tuple[str, ...]:
        """Its devices as the engine process, which is shown no others, knows them."""
        return tuple(f"cuda:{n}" for n in range(self.group_size)) if self.is_gpu else ("cpu",)

    @property
    def group_size(self) -> int:
        """How many devices the model spans."""
        return len(self.keys)


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldDevice:
    """A device with its open locks; children inherit `fds`, so that it is free only when the last of them is gone."""

    device: Device
    fds: tuple[int, ...]


def list_gpus() -> list[Gpu]:
    """The GPUs of this machine, by NVML and without torch; empty if there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [_gpu(pynvml, i) for i in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()


def _gpu(nvml: object, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)  # type: ignore[attr-defined]
    texts = [nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle)]  # type: ignore[attr-defined]
    uuid, name = (t.decode() if isinstance(t, bytes) else t for t in texts)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle).total / 2**30  # type: ignore[attr-defined]
    return Gpu(index=index, uuid=uuid, name=name, memory_gb=memory)


def _visible_gpus(gpus: Sequence[Gpu], visible: str | None) -> list[Gpu]:
    """The GPUs that CUDA_VISIBLE_DEVICES names, in its order; a MIG slice counts as a GPU of its own.

    As CUDA reads it: the beginning of a UUID is enough, and what follows a name that is nobody's is not visible.
    """
    if visible is None:
        return list(gpus)
    chosen: list[Gpu] = []
    for name in filter(None, (part.strip() for part in visible.split(","))):
        found = [Gpu(index=-1, uuid=name, name="MIG", memory_gb=0.0)] if name.startswith("MIG-") else []
        found += [g for g in gpus if name == str(g.index) or (name.startswith("GPU-") and g.uuid.startswith(name))]
        if not found:
            break
        chosen.append(found[0])
    return chosen


def _single(text: str, gpus: Sequence[Gpu]) -> Gpu:
    if text.startswith("MIG-"):
        return Gpu(index=-1, uuid=text, name="MIG", memory_gb=0.0)
    if text.startswith("GPU-"):
        found = [g for g in gpus if g.uuid.startswith(text)]
    elif text.isdigit():
        found = list(gpus[int(text) : int(text) + 1])
    else:
        raise UsageError(f"{text!r} is not a device", hint=f"VIDEVAL_DEVICES is {GRAMMAR}")
    if not found:
        seen = ", ".join(f"{i} = {g.name}" for i, g in enumerate(gpus)) or "none"
        raise NoFreeDevice(f"there is no GPU {text} here (visible: {seen})", hint="nvidia-smi -L; or --devices cpu")
    return found[0]


def _gpu_device(text: str, gpus: Sequence[Gpu]) -> Device:
    members = [_single(part.strip(), gpus) for part in text.split("+")]
    positions = [str(gpus.index(g)) if g in gpus else g.uuid[:12] for g in members]
    return Device(
        label="gpu" + "+".join(positions),
        keys=tuple(g.uuid for g in members),
        visible=",".join(g.uuid for g in members),
        name=" + ".join(g.name for g in members),
    )


def _cpu_device(number: int) -> Device:
    return Device(label=f"cpu{number}", keys=(f"cpu:{number}",), visible="", name="CPU")


def parse_devices(
    text: str, *, environ: Mapping[str, str] | None = None, gpus: Sequence[Gpu] | None = None
) -> list[Device]:
    """The devices that a VIDEVAL_DEVICES text names, in its order. UsageError says what is not a device."""
    environ = os.environ if environ is None else environ
    visible = _visible_gpus(list_gpus() if gpus is None else gpus, environ.get("CUDA_VISIBLE_DEVICES"))
    if text.strip() == "auto":
        return [_gpu_device(str(i), visible) for i in range(len(visible))] or [_cpu_device(0)]
    devices: list[Device] = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        if cpu := re.fullmatch(r"cpu(?::(\d+)|\*(\d+))?", part):
            numbers = range(int(cpu[2])) if cpu[2] else [int(cpu[1] or 0)]
            devices.extend(_cpu_device(n) for n in numbers)
        else:
            devices.append(_gpu_device(part, visible))
    if not devices:
        raise UsageError(f"{text!r} names no device", hint=f"VIDEVAL_DEVICES is {GRAMMAR}")
    keys = [k for d in devices for k in d.keys]
    if len(set(keys)) != len(keys):
        raise UsageError(f"{text!r} names a device twice", hint="name each once")
    return devices


def _lock_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True)
        folder.chmod(0o1777)
    except FileExistsError:
        pass
    except OSError as error:
        raise EnvironmentProblem(f"cannot create {folder}: {error}", hint="set VIDEVAL_LOCK_DIR") from error
    if not folder.is_dir():
        raise EnvironmentProblem(f"{folder} is not a folder", hint="set VIDEVAL_LOCK_DIR")
    return folder


def lock_domain(folder: Path) -> str:
    """Names the folder and boot in which a free lock proves that its last holder is dead."""
    stat = _lock_folder(folder).stat()
    boot = Path("/proc/sys/kernel/random/boot_id")
    boot_id = boot.read_text().strip() if boot.exists() else ""
    return hashlib.sha256(f"{stat.st_dev}:{stat.st_ino}:{boot_id}".encode()).hexdigest()[:16]


class _NotOurs(Exception):
    """Another user's lock file, which this user may not open: its device counts as in use."""


def _open_lock(path: Path) -> int:
    """The lock file, made if there is none.

    O_CREAT only for a file that is not there: with fs.protected_regular the kernel refuses it, whatever the mode, for
    another user's file in a shared folder.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise (_NotOurs(path) if error.errno in NOT_OURS else error) from error
        with suppress(FileExistsError):  # somebody was quicker
            return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)


def _try_lock(folder: Path, key: str) -> int | None:
    path = folder / f"{key.replace(':', '-').replace('/', '-')}.lock"
    try:
        fd = _open_lock(path)
    except OSError as error:
        raise EnvironmentProblem(f"cannot open the lock {path}: {error}", hint="set VIDEVAL_LOCK_DIR") from error
    if os.fstat(fd).st_uid == os.geteuid():
        os.fchmod(fd, 0o666)  # whatever the umask: other users of this machine lock the same devices
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def _try_device(folder: Path, device: Device) -> HeldDevice | None:
    fds: list[int] = []
    try:
        for key in sorted(device.keys):
            fd = _try_lock(folder, key)
            if fd is None:
                break
            fds.append(fd)
        else:
            return HeldDevice(device=device, fds=tuple(fds))
    except BaseException:
        _close(fds)
        raise
    _close(fds)
    return None


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def _no_free_device(devices: Sequence[Device], closed: Mapping[str, _NotOurs]) -> NoFreeDevice:
    """What to say when all are in use; `closed`: by label, those whose lock is another user's."""
    names = ", ".join(d.label for d in devices)
    message = f"no free device: {names} {'is' if len(devices) == 1 else 'are'} in use by other workers"
    if not closed:
        return NoFreeDevice(message, hint="start one worker per device; videval status shows who has them")
    files = ", ".join(sorted({str(error) for error in closed.values()}))
    message += f"; {', '.join(closed)} by another user, who alone may open {files}"
    return NoFreeDevice(message, hint=f"its owner can share it: chmod 666 {files.replace(',', '')}")


def claim_device(folder: Path, devices: Sequence[Device], *, patience: float = 1.0) -> HeldDevice:
    """Lock the first free device of the list; NoFreeDevice if all are in use for `patience` seconds.

    The patience is for others that only look whether a device is free.
    """
    folder = _lock_folder(folder)
    deadline = time.monotonic() + patience
    while True:
        closed: dict[str, _NotOurs] = {}
        for device in devices:
            try:
                held = _try_device(folder, device)
            except _NotOurs as error:
                closed[device.label] = error
                continue
            if held is not None:
                return held
        if time.monotonic() > deadline:
            raise _no_free_device(devices, closed)
        time.sleep(0.1)


def is_free(folder: Path, device_id: str) -> bool:
    """Whether nobody holds this device (by its id in the workers table); one that this user may not lock is held."""
    for key in device_id.split("+"):
        try:
            fd = _try_lock(_lock_folder(folder), key)
        except _NotOurs:
            return False
        if fd is None:
            return False
        os.close(fd)
    return True


def dtype_for(work: KeyWork, device_id: str) -> str:
    """What a device (by its id in the workers table) would load a model with."""
    return concrete_dtype(work.spec.dtype, "cpu" if device_id.startswith("cpu:") else "cuda:0")


def can_serve(work: KeyWork, device_id: str) -> bool:
    """Whether some run of this load key is open to the dtype of this device."""
    return any(fixed in (None, dtype_for(work, device_id)) for fixed in work.dtypes)
