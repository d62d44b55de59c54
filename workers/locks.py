"""The machine-wide locks that keep two workers from sharing a device.

A lock is a file by the device's UUID that the kernel releases when the last process of its worker is gone.
"""

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from videval.errors import EnvironmentProblem, NoFreeDevice
from workers.device import Device

__all__ = ["HeldDevice", "claim_device", "is_free", "lock_alone", "lock_domain", "release_device"]

NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR})
"""Why another user's lock file cannot be opened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldDevice:
    """A device with its open locks; children inherit `fds`, so that it is free only when the last of them is gone."""

    device: Device
    fds: tuple[int, ...]


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


def release_device(held: HeldDevice) -> None:
    """Free a device before this process ends."""
    _close(held.fds)


def lock_alone(folder: Path, name: str) -> int | None:
    """Lock something that one process of this machine may do at a time; None if another one does. It is free again
    when the returned descriptor is closed or its process gone."""
    try:
        return _try_lock(_lock_folder(folder), name)
    except _NotOurs:
        return None


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
