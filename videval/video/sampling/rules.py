"""What a sampling is for a video of some length, and which samplings cannot be."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

from videval.errors import UsageError
from videval.types import POLICIES, FrameSampling, LengthRule, Pixels
from videval.video.sampling.policies import explicit, known

__all__ = ["check_sampling", "fitting", "pixels_for", "pixels_of_any", "rule_for", "seconds_shown"]

_NAMES = {"num_frames": "frame count", "fps": "rate"}
_OTHER = {"num_frames": "frames per second, not a frame count", "fps": "a frame count, not a rate"}
_INSTEAD = {
    "num_frames": "--fps 1, or a variant such as ..._1fps",
    "fps": "--frames 8, or a variant such as ..._8frame",
}
_LIMITS = ("min_frames", "max_frames", "multiple")


def seconds_shown(total_frames: int, fps: float, span_frames: int | None = None) -> float:
    """How long what is shown of a video is, in seconds; `span_frames`: of a part, which has a frame at both ends."""
    return total_frames / fps if span_frames is None else (span_frames - 1) / fps


def rule_for(sampling: FrameSampling, seconds: float) -> LengthRule | None:
    """The rule that counts for a shown part of this length: the first that fits; None if none does."""
    rules = explicit(sampling).by_length
    return next((rule for rule in rules if rule.up_to is None or seconds <= rule.up_to), None)


def pixels_for(pixels: Pixels, sampling: FrameSampling, seconds: float) -> Pixels:
    """How large the frames of a shown part of this length may be: as its rule says, where it says something."""
    return _sized(pixels, rule_for(sampling, seconds))


def pixels_of_any(pixels: Pixels, sampling: FrameSampling) -> set[Pixels]:
    """How large the frames may be, for whatever length."""
    return {_sized(pixels, rule) for rule in (None, *explicit(sampling).by_length)}


def fitting(sampling: FrameSampling, seconds: float) -> FrameSampling:
    """The sampling for a shown part of this length: its constants said, its rule applied, no rules left."""
    return _applied(explicit(sampling), rule_for(sampling, seconds))


def check_sampling(sampling: FrameSampling) -> None:
    """Raise UsageError unless the policy is known, takes what is said, and can keep its limits and every rule."""
    wanted = explicit(sampling)
    for limit in _LIMITS:
        value = getattr(wanted, limit)
        if value is not None and limit not in known(sampling.policy).limits:
            raise UsageError(f"policy {sampling.policy} takes no {limit}", hint=f"leave {_option(limit)} out")
        if value is not None and value < 1:
            raise UsageError(f"{limit} must be at least 1, not {value}", hint=f"{_option(limit)} 1 or more")
    _check_order(sampling.by_length)
    _check_end(wanted)
    for fitted in _all_of(wanted):
        _check_amount(fitted)
        _check_limits(fitted)


def _all_of(wanted: FrameSampling) -> Iterator[FrameSampling]:
    """What the sampling is for each length: by each of its rules, and without one if no rule is for all lengths."""
    for rule in wanted.by_length:
        yield _applied(wanted, rule)
    if not wanted.by_length or wanted.by_length[-1].up_to is not None:
        yield _applied(wanted, None)


def _sized(pixels: Pixels, rule: LengthRule | None) -> Pixels:
    return rule.pixels.over(pixels) if rule and rule.pixels else pixels


def _applied(wanted: FrameSampling, rule: LengthRule | None) -> FrameSampling:
    ruled = replace(wanted, by_length=())
    if rule is None:
        return ruled
    if rule.num_frames is not None:
        ruled = replace(ruled, num_frames=rule.num_frames, fps=rule.fps, min_frames=None)
    elif rule.fps is not None:
        ruled = replace(ruled, num_frames=None, fps=rule.fps)
    return ruled if rule.max_frames is None else replace(ruled, max_frames=rule.max_frames)


def _check_order(rules: tuple[LengthRule, ...]) -> None:
    """Raise unless the rules go from short to long, each for a length of its own."""
    ends = [math.inf if rule.up_to is None else rule.up_to for rule in rules]
    if any(math.isnan(end) or end <= 0 for end in ends):
        raise UsageError("a rule by length is for up to some seconds above 0", hint="up_to = 60")
    for sooner, later in itertools.pairwise(ends):
        if later <= sooner:
            said = "all lengths" if math.isinf(sooner) else f"up to {sooner:g} s"
            raise UsageError(
                f"rules by length: one for {'all lengths' if math.isinf(later) else f'up to {later:g} s'} comes after "
                f"the one for {said}, so it would never count",
                hint="order them by up_to, the one without up_to last",
            )


def _check_end(wanted: FrameSampling) -> None:
    """Raise if the rules leave open how many frames are shown of what is longer than the last one says."""
    if wanted.by_length and wanted.num_frames is None and wanted.fps is None:
        end = wanted.by_length[-1].up_to
        if end is not None:
            raise UsageError(
                f"rules by length: none says how many frames are shown of more than {end:g} s",
                hint="a last rule without up_to, or fps beside the rules",
            )


def _check_amount(wanted: FrameSampling) -> None:
    takes = POLICIES[wanted.policy]
    given = [name for name in _NAMES if getattr(wanted, name) is not None]
    if len(given) > 1 and len(takes) > 1:
        raise UsageError("a frame count and a rate exclude each other", hint="leave num_frames or fps out")
    for name in given:
        if name not in takes:
            raise UsageError(f"policy {wanted.policy} takes {_OTHER[name]}", hint=_INSTEAD[name])
    if wanted.num_frames is not None:
        _check_count(wanted, wanted.num_frames)
    elif wanted.fps is not None:
        _check_rate(wanted, wanted.fps)
    else:
        what = " or ".join(f"a {_NAMES[name]}" for name in takes)
        raise UsageError(f"policy {wanted.policy} needs {what}", hint=f"give {' or '.join(takes)}")


def _check_rate(wanted: FrameSampling, fps: float) -> None:
    if not (math.isfinite(fps) and fps > 0):
        raise UsageError(f"policy {wanted.policy} needs frames per second above 0, not {fps}", hint="--fps 1")


def _check_count(wanted: FrameSampling, count: int) -> None:
    if count < 1:
        raise UsageError(f"policy {wanted.policy} needs at least 1 frame, not {count}", hint="--frames 8")
    if wanted.min_frames is not None:
        raise UsageError("min_frames is for a rate, and this is a frame count", hint="leave --min-frames out")
    if wanted.max_frames is not None and count > wanted.max_frames:
        raise UsageError(f"{count} frames are more than max_frames {wanted.max_frames}", hint=f"--max-frames {count}")
    if wanted.multiple is not None and not round(count / wanted.multiple):
        raise UsageError(
            f"{count} frame(s) cannot be rounded to a multiple of {wanted.multiple}", hint=f"--frames {wanted.multiple}"
        )


def _check_limits(wanted: FrameSampling) -> None:
    least, most = wanted.min_frames or 1, wanted.max_frames
    if most is None or wanted.num_frames is not None:
        return
    if most < 1:
        raise UsageError(f"max_frames must be at least 1, not {most}", hint="--max-frames 1 or more")
    if least > most:
        raise UsageError(f"min_frames {least} are more than max_frames {most}", hint=f"--max-frames {least}")
    multiple = wanted.multiple or 1
    if math.ceil(least / multiple) > most // multiple:
        raise UsageError(
            f"no multiple of {multiple} lies from min_frames {least} to max_frames {most}",
            hint=f"--max-frames {math.ceil(least / multiple) * multiple}",
        )


def _option(limit: str) -> str:
    return f"--{limit.replace('_', '-')}"
