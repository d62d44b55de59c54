"""Models and datasets as VLMEvalKit's users write them: objects, none of videval's classes."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tests.trees import clip

__all__ = ["Clips", "Endpoint", "Packs", "Speaker"]


class Speaker:
    """A model that says what it is told to, and remembers what it was shown."""

    def __init__(self, says: Callable[[list[dict[str, Any]]], Any] = lambda message: "A", **attributes: Any) -> None:
        self.says = says
        self.heard: list[tuple[list[dict[str, Any]], str | None]] = []
        for name, value in attributes.items():
            setattr(self, name, value)

    def generate(self, message: list[dict[str, Any]], dataset: str | None = None) -> Any:
        self.heard.append(([dict(item) for item in message], dataset))
        return self.says(message)


class Endpoint(Speaker):
    """An API model: several messages at once; `most` is how many it was asked at the same time."""

    is_api = True
    fail_msg = "Failed to obtain answer via API."

    def __init__(self, says: Callable[[list[dict[str, Any]]], Any] = lambda message: "A", together: int = 1) -> None:
        super().__init__(says)
        self.together = threading.Barrier(together)

    def generate(self, message: list[dict[str, Any]], dataset: str | None = None) -> Any:
        self.together.wait(20.0)  # nobody is answered before so many ask
        return super().generate(message, dataset)


class Clips:
    """A dataset of questions about clips in a folder, as VLMEvalKit's VideoBaseDataset."""

    MODALITY, TYPE = "VIDEO", "Video-MCQ"

    def __init__(self, folder: Path, count: int = 6, *, videos: int = 2, nframe: int = 4, **columns: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.dataset_name, self.nframe, self.fps, self.pack = "MyClips", nframe, -1, False
        self.folder = folder
        names = [f"v{n % videos}" for n in range(count)]
        for name in set(names):
            (folder / f"{name}.mp4").write_bytes(clip())
        asked = {"index": range(count), "video": names, "question": [f"What is {n}?" for n in range(count)]}
        self.data = pd.DataFrame(asked | columns)

    @property
    def videos(self) -> list[str]:
        return sorted(set(self.data["video"]))

    def build_prompt(self, line: int | str, video_llm: bool) -> list[dict[str, Any]]:
        assert not isinstance(line, str)
        row = self.data.iloc[line]
        path = str(self.folder / f"{row['video']}.mp4")
        shown = [{"type": "video", "value": path}] if video_llm else self.frames(row["video"])
        return [
            {"type": "text", "value": "Look.", "role": "system"},
            *shown,
            {"type": "text", "value": row["question"]},
        ]

    def frames(self, video: str) -> list[dict[str, Any]]:
        return [{"type": "image", "value": str(self.folder / f"{video}-{n}.jpg")} for n in range(self.nframe)]


class Packs(Clips):
    """The same, all questions of a video at once."""

    def __init__(self, folder: Path, count: int = 6) -> None:
        super().__init__(folder, count)
        self.pack = True

    def build_prompt(self, line: int | str, video_llm: bool) -> list[dict[str, Any]]:
        assert isinstance(line, str)
        asked = self.data[self.data["video"] == line]
        return [*self.frames(line), {"type": "text", "value": ", ".join(map(str, asked["index"]))}]

    def load_pack_answers(self, raw: dict[str, str]) -> tuple[pd.DataFrame, dict[str, int]]:
        meta = self.data.copy()
        meta["prediction"] = [f"{raw[str(row['video'])]}/{row['index']}" for _, row in meta.iterrows()]
        return meta, {"VALIDQ": len(meta)}


def texts(message: Sequence[dict[str, Any]]) -> list[str]:
    """What a message says."""
    return [item["value"] for item in message if item["type"] == "text"]
