"""What a model can be shown and told: whether clips, images and sounds are within its limits, and whether it thinks."""

from collections import Counter
from collections.abc import Sequence

from videval.errors import UsageError
from videval.models.dialects import reads_itself
from videval.models.families import FAMILIES, Family, family_of
from videval.types import FrameSampling, GenerationSettings, ModelSpec, Sample

__all__ = ["refuse_thinking", "refused"]


def refused(
    spec: ModelSpec, samples: Sequence[Sample], *, max_frames: int | None = None, sampling: FrameSampling | None = None
) -> list[str]:
    """Remarks on the questions that a model cannot be asked; UsageError if it can be asked none.

    `max_frames`: no clip of its own frames may have more; `sampling`: the frames of the other clips.
    """
    reasons = Counter(filter(None, (_reason(spec, sample, max_frames, sampling) for sample in samples)))
    if sum(reasons.values()) < len(samples) or not samples:
        said = [f"{n} of {len(samples)} question(s) show {why}: they cannot be answered" for why, n in reasons.items()]
        return _own(spec) + said
    raise UsageError(
        f"{spec.name} cannot be asked these questions, which show {' or '.join(reasons)}",
        hint="another model, see: videval list models",
    )


def refuse_thinking(spec: ModelSpec, generation: GenerationSettings) -> None:
    """Raise UsageError if a model that does not think is told to, one that is told not to think is given a budget for
    it, or one longer to think than to answer."""
    wanted, budget = bool(generation.thinking), generation.thinking_budget
    named = spec.family or spec.adapter
    cannot = (spec.family or named in FAMILIES) and (family_of(named) or Family()).thinking is None
    if cannot and (wanted or budget is not None):
        raise UsageError(f"{spec.name} does not think", hint="leave --thinking and --thinking-budget out")
    if budget is not None and generation.thinking is False:
        raise UsageError("a thinking budget means nothing without thinking", hint="leave one of them out")
    if budget is not None and budget >= generation.max_new_tokens:
        raise UsageError(
            f"a thinking budget of {budget} leaves nothing of {generation.max_new_tokens} new tokens for the answer",
            hint=f"--max-new-tokens {budget + 512}, or a smaller budget",
        )


def _own(spec: ModelSpec) -> list[str]:
    """What a model decides by itself."""
    said = ["reads videos by itself, so that which frames it sees is its own choice"] if reads_itself(spec) else []
    said += ["generates by its own settings"] if spec.told else []
    return [f"{spec.name} {', and '.join(said)}"] if said else []


def _reason(spec: ModelSpec, sample: Sample, max_frames: int | None, sampling: FrameSampling | None) -> str:
    """What a question shows that the model cannot be shown; empty if there is nothing."""
    if spec.clips is not None and len(sample.shown) > spec.clips:
        return f"several clips, and {spec.name} takes {spec.clips}"
    if any(ref.span for ref in sample.shown) and reads_itself(spec) and spec.remote:
        return f"a part of a video, and {spec.name} is sent whole files"
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
    return _of_family(spec, [count for ref in sample.shown for count in _counts(ref.sampling or sampling)])


def _of_family(spec: ModelSpec, counts: Sequence[int]) -> str:
    """What the processor of its family cannot be shown, of clips of so many frames, as far as these are known."""
    family = family_of(spec.family) or Family()
    few = next((count for count in counts if count < family.least_frames), None)
    if few is not None:
        return f"a clip of {few} frame(s), and {spec.name} takes {family.least_frames} or more"
    if family.even and len(set(counts)) > 1:
        said = " and ".join(map(str, sorted(set(counts))))
        return f"clips of {said} frames, and {spec.name} takes clips of one number of frames"
    return ""


def _counts(sampling: FrameSampling | None) -> list[int]:
    """How many frames a sampling gives of any video; empty if that depends on the video."""
    if sampling is None or sampling.num_frames is None or sampling.by_length:
        return []
    return [sampling.num_frames]
