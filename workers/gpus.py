"""GPUs: which ones this machine has, and which of them CUDA_VISIBLE_DEVICES shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Gpu", "list_gpus", "visible_gpus"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """A GPU as NVML lists it; memory in GiB."""

    index: int
    uuid: str
    name: str
    memory_gb: float


class _Memory(Protocol):
    total: int


class _Nvml(Protocol):
    """What is asked of pynvml, which has no types."""

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object: ...
    def nvmlDeviceGetUUID(self, handle: object) -> str | bytes: ...
    def nvmlDeviceGetName(self, handle: object) -> str | bytes: ...
    def nvmlDeviceGetMemoryInfo(self, handle: object) -> _Memory: ...


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


def _gpu(nvml: _Nvml, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    uuid, name = (_text(said) for said in (nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle)))
    return Gpu(index=index, uuid=uuid, name=name, memory_gb=nvml.nvmlDeviceGetMemoryInfo(handle).total / 2**30)


def _text(said: str | bytes) -> str:
    """Older drivers' wrappers give bytes."""
    return said.decode() if isinstance(said, bytes) else said


def visible_gpus(gpus: Sequence[Gpu], visible: str | None) -> list[Gpu]:
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
