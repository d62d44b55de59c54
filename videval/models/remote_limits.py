"""What can be known at enqueue of a model at an endpoint: which settings cannot be told, what it will not take."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from videval.errors import UsageError, VideoFailure
from videval.models.context import Asking, largest_videos, looked_at
from videval.models.dialects import reads_itself, settings_of, transport_of, untold
from videval.models.endpoints import endpoint_of
from videval.types import ClipRef, GenerationSettings, ModelSpec, Remote, Sample
from videval.video.sampling import choose_frames

__all__ = ["remarks_on_remote"]

MEGA = 1_000_000
BASE64 = 4 / 3
BYTES_PER_PIXEL: Mapping[str, tuple[float, float]] = {"png": (0.3, 1.6), "webp": (0.2, 1.1), "jpeg": (0.05, 0.4)}
"""The least, and what is usual, of frames of films (perf/RESULTS.md)."""


def remarks_on_remote(
    spec: ModelSpec, generation: GenerationSettings, asking: Asking, *, max_pixels: int | None
) -> list[str]:
    """What is to be known of asking a model at its endpoint; nothing for one that runs here. UsageError for settings
    that its server cannot be told, and for bodies that are larger than it takes, whatever is in them."""
    if spec.remote is None:
        return []
    _refuse_untold(spec, spec.remote, generation)
    return [*_omitted(spec, spec.remote, generation), *_too_large(spec, spec.remote, asking, max_pixels)]


def _refuse_untold(spec: ModelSpec, remote: Remote, generation: GenerationSettings) -> None:
    names = untold(generation, remote)
    if names:
        server = remote.server or transport_of(remote).servers[0]
        options = ", ".join(f"--{name.replace('_', '-')}" for name in names)
        right = f'leave it out, or say what server it is in [endpoints.{remote.endpoint}]: server = "vllm"'
        raise UsageError(f"{spec.name}: a server of {server} cannot be told {options}", hint=right)


def _omitted(spec: ModelSpec, remote: Remote, generation: GenerationSettings) -> Iterator[str]:
    """What would be sent if the entry did not say otherwise."""
    would = settings_of(generation, replace(remote, omit=()))
    left_out = [name for name in would if name in remote.omit]
    if left_out:
        yield f"{spec.name} is not told {', '.join(left_out)}, as its entry says: there it generates as it likes"


def _too_large(spec: ModelSpec, remote: Remote, asking: Asking, max_pixels: int | None) -> Iterator[str]:
    limit = endpoint_of(spec).limits.max_body_mb
    if limit is None or reads_itself(spec):
        return
    found = list(_pixels(asking, max_pixels))
    least, usual = (factor * BASE64 / MEGA for factor in BYTES_PER_PIXEL[remote.image])
    over = [pixels for _, pixels in found if pixels * usual > limit]
    if not over:
        return
    worst, most = max(found, key=lambda one: one[1])
    said = f"{worst.video} is about {most * usual:.0f} MB as {remote.image}, and {spec.name} takes {limit:g}"
    right = 'fewer frames, --max-pixels, or image = "jpeg" in the endpoint\'s entry'
    if all(pixels * least > limit for _, pixels in found):
        raise UsageError(f"{spec.name} cannot be asked these questions: {said}", hint=right)
    yield f"{len(over)} of {len(found)} questions about the largest videos may be too large: {said} -> {right}"


def _pixels(asking: Asking, max_pixels: int | None) -> Iterator[tuple[Sample, float]]:
    """The questions about the largest videos, with the pixels of all frames that they show."""
    largest = largest_videos(asking)
    for sample in asking.samples:
        if not {ref.video for ref in sample.shown} <= largest:
            continue
        counts = [_pixels_of(asking, ref, max_pixels) for ref in sample.shown]
        if None not in counts and counts:
            yield sample, sum(count for count in counts if count is not None)


def _pixels_of(asking: Asking, ref: ClipRef, max_pixels: int | None) -> int | None:
    """None for a video that cannot be read or shown: its own requests will say so."""
    info = looked_at(asking.root / ref.video)
    if info is None:
        return None
    try:
        chosen = choose_frames(info.total_frames, info.fps, ref.sampling or asking.sampling, ref.span)
    except VideoFailure:
        return None
    return len(chosen.indices) * min(info.width * info.height, max_pixels or info.width * info.height)
