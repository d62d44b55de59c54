"""What `videval doctor MODEL` finds: whether a checkpoint could answer, its context, and the devices that it needs."""

from collections.abc import Iterator

from videval.cli.findings import Finding
from videval.errors import VidevalError
from videval.models.catalog import model_spec
from videval.models.context import context_of
from videval.models.memory import Memory, devices_needed, memory_of
from videval.models.troubles import troubles
from videval.settings import Settings
from videval.types import ModelSpec
from videval.words import plural
from workers.device import Device, no_room, parse_devices, wide_enough

__all__ = ["model_findings"]


def model_findings(settings: Settings, name: str) -> Iterator[Finding]:
    """Look at one model; UnknownName, or ModelUnavailable for a folder without a checkpoint."""
    spec = model_spec(name)
    found = troubles(spec)
    for trouble in found:
        yield Finding(what="checkpoint", ok=not trouble.fatal, says=trouble.says, mend=trouble.mend)
    if not found:
        yield Finding(what="checkpoint", ok=True, says=f"{spec.name}: {spec.checkpoint}")
    context = context_of(spec)
    if context:
        yield Finding(what="context", ok=True, says=f"{context:,} tokens")
    memory = memory_of(spec)
    if memory is not None and spec.needs_device:
        yield _room(spec, memory, settings)


def _room(spec: ModelSpec, memory: Memory, settings: Settings) -> Finding:
    """What it needs, and whether one of the devices has that."""
    try:
        devices = [device for device in parse_devices(settings.devices) if device.memory_gb]
    except VidevalError:  # said by the finding about devices
        devices = []
    says = f"{spec.name} needs {memory.in_words()}"
    if not devices:
        return Finding(what="memory", ok=True, says=says)
    cramped = [no_room(spec, device) for device in devices]
    if all(cramped):
        mend = f"--devices {wide_enough(spec, devices[0])}"
        return Finding(what="memory", ok=False, says=f"{spec.name} {cramped[0]}", mend=mend)
    return Finding(what="memory", ok=True, says=f"{says}: {_groups(memory, devices[0])}")


def _groups(memory: Memory, device: Device) -> str:
    """How many of such devices hold the weights, and the longest question with them."""
    each = device.memory_gb / device.group_size
    least, most = devices_needed(memory.weights, each), devices_needed(memory.weights + memory.cache, each)
    said = f"{plural(least, 'GPU')} of {each:.0f} GiB"
    return said if most == least else f"{said}, and {most} for questions as long as that"
