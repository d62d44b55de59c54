"""The words of videval as frozen records: what crosses a boundary is one of these, never a dict or a row."""

from videval.types.answers import (
    STAGES,
    Answer,
    Ask,
    Generation,
    Prediction,
    Reading,
    Response,
    Said,
    Score,
    Seen,
    Timings,
)
from videval.types.prompts import Clip, Frame, Image, Part, Prompt, PromptSet, Role, Text, Video
from videval.types.questions import POLICIES, ClipRef, FrameSampling, LengthRule, Pixels, Sample, Scalar, Sound
from videval.types.recipes import Published, RecipeUsed, Wording
from videval.types.specs import GenerationSettings, ModelSpec, Variant
from videval.types.states import AttemptOutcome, PredictionState, RequestStatus, RunState, Stage, Verdict, WorkerState

__all__ = [
    "POLICIES",
    "STAGES",
    "Answer",
    "Ask",
    "AttemptOutcome",
    "Clip",
    "ClipRef",
    "Frame",
    "FrameSampling",
    "Generation",
    "GenerationSettings",
    "Image",
    "LengthRule",
    "ModelSpec",
    "Part",
    "Pixels",
    "Prediction",
    "PredictionState",
    "Prompt",
    "PromptSet",
    "Published",
    "Reading",
    "RecipeUsed",
    "RequestStatus",
    "Response",
    "Role",
    "RunState",
    "Said",
    "Sample",
    "Scalar",
    "Score",
    "Seen",
    "Sound",
    "Stage",
    "Text",
    "Timings",
    "Variant",
    "Verdict",
    "Video",
    "Wording",
    "WorkerState",
]
