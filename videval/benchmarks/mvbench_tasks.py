"""MVBench's twenty tasks and how their questions are asked: shared by the benchmarks that are made of them."""

from collections.abc import Mapping

from videval.benchmarks.prompts import bracketed
from videval.types import Part, Sample, Text

__all__ = ["SYSTEM", "TASKS", "choice_prompt", "task_file"]

SYSTEM = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
    "objects, and the action and pose of persons. Based on your observations, select the best option that "
    "accurately addresses the question.\n"
)

Task = tuple[str, str, bool]

TASKS: Mapping[str, Task] = {
    "Action Sequence": ("star/Charades_v1_480/", "video", True),
    "Action Prediction": ("star/Charades_v1_480/", "video", True),
    "Action Antonym": ("ssv2_video/", "video", False),
    "Fine-grained Action": ("Moments_in_Time_Raw/videos/", "video", False),
    "Unexpected Action": ("FunQA_test/test/", "video", False),
    "Object Existence": ("clevrer/video_validation/", "video", False),
    "Object Interaction": ("star/Charades_v1_480/", "video", True),
    "Object Shuffle": ("perception/videos/", "video", False),
    "Moving Direction": ("clevrer/video_validation/", "video", False),
    "Action Localization": ("sta/sta_video/", "video", True),
    "Scene Transition": ("scene_qa/video/", "video", False),
    "Action Count": ("perception/videos/", "video", False),
    "Moving Count": ("clevrer/video_validation/", "video", False),
    "Moving Attribute": ("clevrer/video_validation/", "video", False),
    "State Change": ("perception/videos/", "video", False),
    "Fine-grained Pose": ("nturgbd/", "video", False),
    "Character Order": ("perception/videos/", "video", False),
    "Egocentric Navigation": ("vlnqa/", "video", False),
    "Episodic Reasoning": ("tvqa/frames_fps3_hq/", "frame", True),
    "Counterfactual Inference": ("clevrer/video_validation/", "video", False),
}
"""Task -> its folder below `video/`, kind of media, and whether its questions have bounds."""


def task_file(task: str) -> str:
    """Where the questions of a task are published: json/action_sequence.json."""
    return f"json/{task.lower().replace(' ', '_').replace('-', '_')}.json"


def choice_prompt(clip: tuple[Part, ...], sample: Sample, system: str = SYSTEM) -> tuple[Part, ...]:
    """System text, clip, question with bracketed options, and the first words of the answer."""
    question = f"Question: {sample.question}\nOptions:\n{bracketed(sample.candidates)}".rstrip()
    return (
        Text(text=system, role="system"),
        *clip,
        Text(text=question),
        Text(text="\nOnly give the best option."),
        Text(text="Best option:(", role="assistant"),
    )
