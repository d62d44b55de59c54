"""The table of policies: what each takes, and the constants that it fills in where a sampling leaves them open."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from videval.errors import UsageError
from videval.types import FrameSampling, LengthRule
from videval.video.sampling import authors, evenly
from videval.video.sampling.spans import Stretch

__all__ = ["POLICY", "Policy", "explicit", "known"]

Choose = Callable[[Stretch, float, FrameSampling], list[int]]
"""From what is shown, the video's frames per second and a sampling to frame numbers; none: it is too short."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """A way to choose frames: `limits` are what it takes beside an amount, `constants` what is so unless it is said.

    `by_author`: a span holds the frames that begin in it, as its library has it; else its ends are rounded.
    """

    choose: Choose
    about: str
    source: str
    limits: tuple[str, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    by_author: bool = True


_CAP = ("max_frames",)
_RANGE = ("min_frames", "max_frames")
_ALL = (*_RANGE, "multiple")
_VLMEVALKIT = "VLMEvalKit e8e78f0, VideoBaseDataset.save_video_frames"
_TRANSFORMERS = "transformers 5.24, {}VideoProcessor.sample_frames"
_GLM_RULES = (LengthRule(up_to=30, fps=6.0), LengthRule(up_to=300, fps=2.0), LengthRule(fps=1.0))

POLICY: Mapping[str, Policy] = {
    "interior": Policy(
        choose=evenly.interior,
        about="i*N/(n+1) for i = 1..n: neither the first frame nor the last",
        source=_VLMEVALKIT,
        limits=_CAP,
        by_author=False,
    ),
    "segment": Policy(
        choose=evenly.segment,
        about="midpoints of n equal segments, as MVBench has them",
        source="VLMEvalKit e8e78f0, MVBench.get_index",
        limits=_CAP,
        by_author=False,
    ),
    "uniform": Policy(
        choose=evenly.uniform,
        about="from the first frame to the last in equal steps, rounded down",
        source="numpy.linspace(0, N-1, n).astype(int)",
        limits=_CAP,
        by_author=False,
    ),
    "stride": Policy(
        choose=evenly.stride,
        about="i*N/n for i = 0..n-1",
        source="model card of Video-LLaVA-7B-hf",
        limits=_CAP,
        by_author=False,
    ),
    "rate": Policy(
        choose=evenly.rate,
        about="a frame every 1/fps seconds from the first on; thinned or filled up evenly to the limits",
        source=_VLMEVALKIT,
        limits=_ALL,
        by_author=False,
    ),
    "qwen2_vl": Policy(
        choose=authors.qwen2_vl,
        about="i*N/n, n within the limits and a multiple",
        source=_TRANSFORMERS.format("Qwen2VL"),
        limits=_ALL,
        constants={"min_frames": 4, "max_frames": 768, "multiple": 2},
    ),
    "qwen3_vl": Policy(
        choose=authors.qwen3_vl,
        about="from the first frame to the last, rounded",
        source=_TRANSFORMERS.format("Qwen3VL"),
        limits=_RANGE,
        constants={"fps": 2.0, "min_frames": 4, "max_frames": 768},
    ),
    "qwen_vl_utils": Policy(
        choose=authors.qwen_vl_utils,
        about="from the first frame to the last, rounded, n within the limits and a multiple",
        source="qwen-vl-utils 0.0.14, smart_nframes and _read_video_decord",
        limits=_ALL,
        constants={"fps": 2.0, "min_frames": 4, "max_frames": 768, "multiple": 2},
    ),
    "glm46v": Policy(
        choose=authors.glm46v,
        about="the first frame of each step of 1/fps seconds, each once, the last one repeated up to a multiple",
        source=_TRANSFORMERS.format("Glm46V"),
        limits=("max_frames", "multiple"),
        constants={"by_length": _GLM_RULES, "max_frames": 640, "multiple": 2},
    ),
    "glm4v": Policy(
        choose=authors.glm4v,
        about="the first frame of each step of 1/fps seconds, of more than 300 s as many as of 300; repeated as glm46v",
        source=_TRANSFORMERS.format("Glm4v"),
        limits=("max_frames", "multiple"),
        constants={"fps": 2.0, "multiple": 2},
    ),
    "minicpmv4_6": Policy(
        choose=authors.minicpmv4_6,
        about="a frame every 1/fps seconds; if these are more than max_frames, in equal steps of tenths of seconds",
        source=_TRANSFORMERS.format("MiniCPMV4_6"),
        limits=_CAP,
        constants={"fps": 1.0, "max_frames": 128},
    ),
    "molmo2": Policy(
        choose=authors.molmo2,
        about="by rate and the last frame; in equal steps if these are more than max_frames (uniform_last_frame)",
        source="vLLM 0.32, Molmo2ProcessingInfo._sample_frames; constants of the checkpoints Molmo2-4B and 8B",
        limits=_CAP,
        constants={"fps": 2.0, "max_frames": 384},
    ),
    "internvl": Policy(
        choose=authors.internvl,
        about="midpoints of n equal segments",
        source=_TRANSFORMERS.format("InternVL"),
        limits=_CAP,
    ),
    "smolvlm": Policy(
        choose=authors.smolvlm,
        about="in equal steps; a long video without its first and its last second",
        source=f"{_TRANSFORMERS.format('SmolVLM')}; constants of the checkpoints SmolVLM2",
        limits=_CAP,
        constants={"fps": 1.0, "max_frames": 64},
    ),
}


def known(name: str) -> Policy:
    """The policy of this name. UsageError if there is none."""
    if name not in POLICY:
        raise UsageError(f"unknown sampling policy {name!r}", hint=f"policies are {', '.join(POLICY)}")
    return POLICY[name]


def explicit(sampling: FrameSampling) -> FrameSampling:
    """The sampling with its policy's constants in place of what it leaves open, so that it says all that counts.

    A fewest of the policy's own gives way to a most that is asked for. UsageError for an unknown policy.
    """
    own = dict(known(sampling.policy).constants)
    if sampling.num_frames is not None or sampling.fps is not None:
        own = {name: value for name, value in own.items() if name not in ("fps", "by_length")}
    if sampling.num_frames is not None:
        own = {name: value for name, value in own.items() if name not in _RANGE}
    if "min_frames" in own and sampling.max_frames is not None:
        multiple = sampling.multiple or own.get("multiple", 1)
        own["min_frames"] = max(1, min(own["min_frames"], sampling.max_frames // multiple * multiple))
    return replace(sampling, **{name: own[name] for name in own if getattr(sampling, name) in (None, ())})
