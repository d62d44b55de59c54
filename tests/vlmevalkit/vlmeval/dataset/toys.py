"""A dataset in the shape of VideoBaseDataset's: four questions about two films below LMUData."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image


class Toys:
    MODALITY = "VIDEO"
    TYPE = "Video-MCQ"

    def __init__(self, dataset: str, nframe: int = 0, fps: float = -1, pack: bool = False) -> None:
        self.dataset_name = dataset
        self.nframe, self.fps, self.pack = nframe, fps, pack
        self.data_root = Path(os.environ["LMUData"]) / "films"  # noqa: SIM112 (its name)
        rows = [(i, f"v{i % 2}", f"question {i}?", "AB"[i % 2]) for i in range(4)]
        self.data = pd.DataFrame(rows, columns=["index", "video", "question", "answer"])
        self.videos = sorted(set(self.data["video"]))

    @classmethod
    def supported_datasets(cls) -> list[str]:
        return ["Toy-Films"]

    def save_video_frames(self, video: str, video_llm: bool = False) -> list[str]:
        if not (self.data_root / f"{video}.mp4").exists():
            raise FileNotFoundError(f"{video}.mp4")
        folder = self.data_root.parent / "images" / video
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"frame-{n}-of-{self.nframe}.png" for n in range(1, self.nframe + 1)]
        for number, path in enumerate(paths):
            draft = path.with_suffix(f".{os.getpid()}.png")
            Image.fromarray(np.full((8, 8, 3), number, dtype=np.uint8)).save(draft)
            draft.replace(path)
        return [str(path) for path in paths]

    def build_prompt(self, line: Any, video_llm: bool) -> list[dict[str, Any]]:
        if self.pack:
            asked = self.data[self.data["video"] == line]
            video, words = line, json.dumps(dict(zip(asked["index"].map(str), asked["question"], strict=True)))
        else:
            row = self.data.iloc[line] if isinstance(line, int) else line
            video, words = row["video"], row["question"]
        if video_llm:
            shown = [{"type": "video", "value": str(self.data_root / f"{video}.mp4")}]
        else:
            shown = [{"type": "image", "value": path} for path in self.save_video_frames(video)]
        return [*shown, {"type": "text", "value": f"Look closely. {words}"}]

    def load_pack_answers(self, data_raw: dict[str, str]) -> Any:
        raise NotImplementedError

    @classmethod
    def evaluate(cls, eval_file: str, **judge_kwargs: Any) -> dict[str, Any]:
        if judge_kwargs["model"] != "exact_matching":
            raise RuntimeError("OPENAI API is not working")
        data = pd.read_excel(eval_file)
        right = [str(p).strip()[:1] == a for p, a in zip(data["prediction"], data["answer"], strict=True)]
        return {"overall": {"acc": float(np.mean(right)), "n": len(data)}}


class Silent(Toys):
    """Its table has no videos."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data = self.data.drop(columns="video")

    @classmethod
    def supported_datasets(cls) -> list[str]:
        return ["Toy-Silent"]


class Pictured:
    """Of another modality."""

    MODALITY = "IMAGE"

    def __init__(self, dataset: str) -> None:
        self.dataset_name = dataset
        self.data = pd.DataFrame({"index": [1], "question": ["?"]})

    @classmethod
    def supported_datasets(cls) -> list[str]:
        return ["Toy-Pictures"]

    def build_prompt(self, line: Any) -> list[dict[str, Any]]:
        return []
