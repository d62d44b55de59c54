"""MovingShapes: the demo benchmark that videval draws itself, and Video-LLaVA-tiny really answers.

What is asked: seven of MVBench's tasks about coloured shapes that follow one another, move, grow, turn into another
colour, come and go; two to four options, one is right. Which one, only the right frames in the right order tell: black
frames and another clip's tell nothing, shuffled ones leave at least two options, reversed ones lead to the opposite
answer (Object Existence asks about no order).
What is shown: 8 frames of 4 seconds, number i being frame i*N/8. Clips are h264, a few AV1, VP9, GIF and folders of
images, so that every reader is used. `MovingShapesBounded` asks about 4 of 12 seconds, between `start` and `end`; the
rest shows scenes of the same kind.
How it is scored: the option whose words were said.

Pack mode asks all questions of a clip at once, for models that can answer so. Video-LLaVA-tiny cannot: it has learned
one question at a time, and what a pack of it shows is how requests, parsing and absent answers look.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

from videval.benchmarks.base import Shown
from videval.benchmarks.published import PublishedBenchmark, write_table
from videval.benchmarks.shapes.clips import DemoClip, demo_clips, demo_rows
from videval.benchmarks.shapes.questions import user_text
from videval.benchmarks.shapes.scenes import FPS
from videval.types import Part, Sample, Scalar, Text

__all__ = ["MovingShapes", "MovingShapesBounded"]

FOLDER = "clips/"


class MovingShapes(PublishedBenchmark):
    """300 questions about 100 drawn clips, options and answers in words."""

    name = "MovingShapes"
    title = "MovingShapes: drawn clips whose order tells the answer"
    license = "Apache-2.0"
    questions = 300
    videos = 100
    scorer = "words"
    groups = ("task_type",)
    frame_policy = "stride"
    supports_pack = True
    folder_fps = FPS
    published: ClassVar[tuple[str, ...]] = ("MovingShapes_8frame", "MovingShapes_8frame_pack")
    downloads = ()
    is_drawn = True
    bounded: ClassVar[bool] = False

    def clips(self) -> list[DemoClip]:
        """The clips with their questions, the same on every machine."""
        return demo_clips(clips=self.videos or 0, asked=self.questions or 0, bounded=self.bounded)

    def write(self, root: Path, progress: Callable[[str], None] = lambda _: None) -> None:
        """Draw and encode the clips and write the question table; all anew unless the table is this one already."""
        clips = self.clips()
        root.mkdir(parents=True, exist_ok=True)
        table, fresh = root / self.table, root / f"{self.table}.new"
        write_table(fresh, [asdict(row) for row in demo_rows(clips, FOLDER)])
        known = table.is_file() and table.read_bytes() == fresh.read_bytes()
        missing = [c for c in clips if not (known and (root / FOLDER / c.video).exists())]
        progress(f"drawing {len(missing)} clips")
        for clip in missing:
            _write_clip(root / FOLDER / clip.video, clip)
        fresh.replace(table)

    def video_path(self, row: Mapping[str, Scalar], root: Path) -> str:
        return f"{row['prefix']}{row['video']}"

    def bound(self, row: Mapping[str, Scalar]) -> tuple[float | None, float | None]:
        start, end = row.get("start"), row.get("end")
        return (None, None) if start is None or end is None else (float(start), float(end))

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        return (*self.frames_or_video(shown), Text(text=user_text(sample.question, sample.candidates)))

    def pack_prompt(self, samples: Sequence[Sample], shown: Shown) -> tuple[Part, ...]:
        asked = {s.id: user_text(s.question, s.candidates) for s in samples}
        text = (
            "Answer each of these questions about the video. Reply with one JSON object that has an answer, as "
            f"text, under each question's key, and nothing else.\nQuestions:\n{json.dumps(asked, indent=1)}\nAnswers:\n"
        )
        return (*self.frames_or_video(shown), Text(text=text))


class MovingShapesBounded(MovingShapes):
    """120 questions about 4 seconds each of 40 clips three times as long."""

    name = "MovingShapesBounded"
    questions = 120
    videos = 40
    published = ("MovingShapesBounded_8frame",)
    bounded = True


def _write_clip(path: Path, clip: DemoClip) -> None:
    from videval.video.encode import write_frame_folder, write_video  # imports PyAV, which a score does not need

    if clip.codec == "frames":
        write_frame_folder(path, clip.frames())
    else:
        write_video(path, clip.frames(), FPS, clip.codec)
