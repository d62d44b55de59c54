"""Devices: what a worker may use, and which models it can serve with it.

`auto` (every GPU, else cpu:0) or a comma list of `N`, `GPU-uuid`, `MIG-uuid`, `a+b` (a group for one model),
`cpu:K`, `cpu` (cpu:0) and `cpu*N` (cpu:0 to cpu:N-1), and the same with `api`: a seat for models that run elsewhere and
need no device. Numbers index into CUDA_VISIBLE_DEVICES if the user set it.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from videval.db.queue import KeyWork
from videval.errors import ModelUnavailable, NoFreeDevice, UsageError
from videval.models.catalog import DTYPES, concrete_dtype
from videval.models.memory import Memory, devices_needed, memory_of
from videval.types import ModelSpec
from workers.gpus import Gpu, list_gpus, visible_gpus

__all__ = [
    "Device",
    "Kind",
    "can_serve",
    "devices_for",
    "dtype_for",
    "here_seats",
    "kind_of",
    "no_room",
    "parse_devices",
    "wide_enough",
]

GRAMMAR = "auto, or a comma list of N, GPU-uuid, MIG-uuid, a+b, cpu:K, cpu*N, api:K, api*N"
SEAT = re.compile(r"(cpu|api)(?::(\d+)|\*(\d+))?")
HERE = re.compile(r"here:\d+")
HERE_SEATS = 1024
"""Processes of one machine that answer with their own objects at the same time, at most."""


class Kind(StrEnum):
    """What a device is; an API seat is the place of a worker whose models run elsewhere, HERE that of a process that
    answers with objects of its own."""

    GPU = "gpu"
    CPU = "cpu"
    API = "api"
    HERE = "here"


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """What one worker uses: `keys` are the lock names, `visible` its engine's CUDA_VISIBLE_DEVICES ("" for none).

    `memory_gb`: of all its GPUs together, in GiB; 0 if that is not known, as of a MIG slice.
    """

    kind: Kind
    label: str
    keys: tuple[str, ...]
    visible: str
    name: str = ""
    memory_gb: float = 0.0

    @property
    def id(self) -> str:
        """The device in the workers table: its lock names."""
        return "+".join(self.keys)

    @property
    def names(self) -> tuple[str, ...]:
        """The devices as an engine process sees them, which is shown no others; none if models run elsewhere."""
        if self.kind is Kind.GPU:
            return tuple(f"cuda:{n}" for n in range(self.group_size))
        return ("cpu",) if self.kind is Kind.CPU else ()

    @property
    def group_size(self) -> int:
        """How many devices the model spans."""
        return len(self.keys)


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
        kind=Kind.GPU,
        label="gpu" + "+".join(positions),
        keys=tuple(g.uuid for g in members),
        visible=",".join(g.uuid for g in members),
        name=" + ".join(g.name for g in members),
        memory_gb=sum(g.memory_gb for g in members) if all(g.memory_gb for g in members) else 0.0,
    )


def _seat(kind: Kind, number: int) -> Device:
    return Device(kind=kind, label=f"{kind}{number}", keys=(f"{kind}:{number}",), visible="", name=kind.upper())


def here_seats() -> list[Device]:
    """The places of processes that answer with objects of their own; each takes the first that is free."""
    return [_seat(Kind.HERE, number) for number in range(HERE_SEATS)]


def kind_of(device_id: str) -> Kind:
    """What a device is, by its id in the workers table."""
    if HERE.fullmatch(device_id):
        return Kind.HERE
    seat = SEAT.fullmatch(device_id)
    return Kind(seat[1]) if seat else Kind.GPU


def parse_devices(
    text: str, *, environ: Mapping[str, str] | None = None, gpus: Sequence[Gpu] | None = None
) -> list[Device]:
    """The devices that a VIDEVAL_DEVICES text names, in its order. UsageError says what is not a device."""
    parts = [part for part in (p.strip() for p in text.split(",")) if part]
    visible: Sequence[Gpu] = ()
    if not all(SEAT.fullmatch(part) for part in parts):  # else no driver is asked
        environ = os.environ if environ is None else environ
        visible = visible_gpus(list_gpus() if gpus is None else gpus, environ.get("CUDA_VISIBLE_DEVICES"))
    if parts == ["auto"]:
        return [_gpu_device(str(i), visible) for i in range(len(visible))] or [_seat(Kind.CPU, 0)]
    devices = [device for part in parts for device in _named(part, visible)]
    if not devices:
        raise UsageError(f"{text!r} names no device", hint=f"VIDEVAL_DEVICES is {GRAMMAR}")
    keys = [k for d in devices for k in d.keys]
    if len(set(keys)) != len(keys):
        raise UsageError(f"{text!r} names a device twice", hint="name each once")
    return devices


def _named(part: str, visible: Sequence[Gpu]) -> list[Device]:
    seat = SEAT.fullmatch(part)
    if seat is None:
        return [_gpu_device(part, visible)]
    numbers = range(int(seat[3])) if seat[3] else [int(seat[2] or 0)]
    return [_seat(Kind(seat[1]), n) for n in numbers]


def devices_for(spec: ModelSpec, text: str) -> list[Device]:
    """The devices of a fleet that is started for one model: with `auto` a seat of its kind. UsageError if none of those
    that are named can serve it, ModelUnavailable if it fits on none of them."""
    if text.strip() == "auto" and not spec.needs_device:
        return [_seat(Kind.API, 0)]
    devices = parse_devices(text)
    fit = [d for d in devices if _fits(spec, d.kind)]
    if not fit:
        what, use = ("needs a device", "auto") if spec.needs_device else ("runs elsewhere and needs an api seat", "api")
        raise UsageError(f"{spec.name} {what}: none of {text} serves it", hint=f"--devices {use}")
    if all(no_room(spec, d) for d in fit):
        raise ModelUnavailable(f"{spec.name} {no_room(spec, fit[0])}", hint=f"--devices {wide_enough(spec, fit[0])}")
    return devices


def no_room(spec: ModelSpec, device: Device) -> str:
    """Why a model cannot be on a device: its weights alone are more than that holds. Empty if it can, or if too little
    is known to tell."""
    memory = memory_of(spec) if device.memory_gb else None
    if memory is None or devices_needed(memory.weights, device.memory_gb) == 1:
        return ""
    return (
        f"needs {memory.in_words()}, and {device.label} has {device.memory_gb:.0f} GiB: "
        f"a group of {_group_for(memory, device)} such GPUs holds its weights"
    )


def wide_enough(spec: ModelSpec, device: Device) -> str:
    """How to write the least group of such GPUs that holds a model's weights: 0+1+2."""
    memory = memory_of(spec)
    return "+".join(map(str, range(_group_for(memory, device) if memory else 2)))


def _group_for(memory: Memory, device: Device) -> int:
    return devices_needed(memory.weights, device.memory_gb / device.group_size)


def _fits(spec: ModelSpec, kind: Kind) -> bool:
    """A device is for models that need one, no GPU waits for an endpoint, and objects are where they are."""
    if spec.here or kind is Kind.HERE:
        return bool(spec.here) and kind is Kind.HERE
    return spec.needs_device is (kind is not Kind.API)


def dtype_for(work: KeyWork, device_id: str) -> str:
    """What a device (by its id in the workers table) would load a model with; as asked for where no worker loads it."""
    kind = kind_of(device_id)
    return work.spec.dtype if kind in (Kind.API, Kind.HERE) else concrete_dtype(work.spec.dtype, kind)


def can_serve(work: KeyWork, device_id: str) -> bool:
    """Whether this load key is for such a device, and some run of it open to its dtype; one that this videval does not
    know is for others to load."""
    kind = kind_of(device_id)
    if kind is not Kind.API and work.spec.dtype not in DTYPES:
        return False
    is_open = any(fixed in (None, dtype_for(work, device_id)) for fixed in work.dtypes)
    return is_open and _fits(work.spec, kind)
