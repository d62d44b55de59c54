"""Which frames are shown: pure arithmetic from a frame count, a frame rate, a span and a sampling to frame numbers.

`spans` knows which part of a video is shown, `evenly` has the policies of benchmarks, `authors` those of models'
libraries, `policies` the table of all with their constants, `rules` what else is so for long videos and what cannot
be, and `choice` puts them together.
"""

from videval.video.sampling.choice import FrameChoice, choose_frames, frame_indices
from videval.video.sampling.policies import POLICY, Policy, explicit
from videval.video.sampling.rules import check_sampling, fitting, pixels_for, pixels_of_any, rule_for, seconds_shown
from videval.video.sampling.spans import Clock, Span, Stretch

__all__ = [
    "POLICY",
    "Clock",
    "FrameChoice",
    "Policy",
    "Span",
    "Stretch",
    "check_sampling",
    "choose_frames",
    "explicit",
    "fitting",
    "frame_indices",
    "pixels_for",
    "pixels_of_any",
    "rule_for",
    "seconds_shown",
]
