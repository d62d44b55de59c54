"""What a model can be shown: whether a question's clips, images and sounds are within its limits."""

from collections import Counter
from collections.abc import Sequence

from videval.errors import UsageError
from videval.types import ModelSpec, Sample

__all__ = ["refused"]


def refused(spec: ModelSpec, samples: Sequence[Sample], *, max_frames: int | None = None) -> list[str]:
    """Remarks on the questions that a model cannot be asked; UsageError if it can be asked none.

    `max_frames`: no clip of its own frames may have more.
    """
    reasons = Counter(filter(None, (_reason(spec, sample, max_frames) for sample in samples)))
    if sum(reasons.values()) < len(samples) or not samples:
        said = [f"{n} of {len(samples)} question(s) show {why}: they cannot be answered" for why, n in reasons.items()]
        return _own(spec) + said
    raise UsageError(
        f"{spec.name} cannot be asked these questions, which show {' or '.join(reasons)}",
        hint="another model, see: videval list models",
    )


def _own(spec: ModelSpec) -> list[str]:
    """What a model that is told messages decides by itself."""
    frames = (
        "reads videos by itself, so that which frames it sees is its own choice, and " if spec.form == "video" else ""
    )
    return [f"{spec.name} {frames}generates by its own settings"] if spec.told else []


def _reason(spec: ModelSpec, sample: Sample, max_frames: int | None) -> str:
    """What a question shows that the model cannot be shown; empty if there is nothing."""
    if spec.clips is not None and len(sample.shown) > spec.clips:
        return f"several clips, and {spec.name} takes {spec.clips}"
    if sample.images and not spec.images:
        return f"images, and {spec.name} takes none"
    if sample.sounds and not spec.sound:
        return f"sound, which {spec.name} cannot hear"
    cap = min((c for c in (max_frames, spec.max_frames) if c), default=None)
    for own in (ref.sampling for ref in sample.shown if ref.sampling):
        if spec.frame_counts and own.num_frames not in spec.frame_counts:
            return f"a clip of its own frames, and {spec.name} takes {' or '.join(map(str, spec.frame_counts))}"
        if cap is not None and (own.num_frames or 0) > cap:
            return f"a clip of {own.num_frames} frames, and at most {cap} are allowed"
    return ""
