"""Models with VLMEvalKit's attributes and methods, which say what they were told."""

import os
from typing import Any

Message = list[dict[str, Any]]


class _Base:
    INTERLEAVE = False
    VIDEO_LLM = False

    def use_custom_prompt(self, dataset: str) -> bool:
        return False

    def generate(self, message: Message, dataset: str | None = None) -> Any:
        for item in message:
            assert item["type"] in ("text", "image", "video"), item
            assert item["type"] == "text" or os.path.exists(item["value"]), item  # noqa: PTH110 (as there)
        return self.generate_inner(message, dataset)

    def generate_inner(self, message: Message, dataset: str | None) -> Any:
        raise NotImplementedError


class Watcher(_Base):
    """Takes a video and reads it itself."""

    VIDEO_LLM = True

    def __init__(self, nframe: int) -> None:
        self.nframe, self.fps = nframe, 2.0

    def generate_inner(self, message: Message, dataset: str | None) -> str:
        kinds = ",".join(item["type"] for item in message)
        return f"{dataset}: {kinds}; {self.nframe} frames, {self.fps} fps"


class Pictures(_Base):
    """Takes texts and images in turn."""

    INTERLEAVE = True

    def __init__(self, model_path: str) -> None:
        self.model_path = model_path

    def generate_inner(self, message: Message, dataset: str | None) -> str:
        return f"{dataset}: {sum(item['type'] == 'image' for item in message)} images"


class Chatty(Pictures):
    """Words questions itself."""

    def use_custom_prompt(self, dataset: str) -> bool:
        return True

    def build_prompt(self, line: Any, dataset: Any = None, video_llm: bool = False) -> Message:
        images = [{"type": "image", "value": path} for path in dataset.save_video_frames(line["video"])]
        return [*images, {"type": "text", "value": f"in my own words: {line['question']}"}]

    def generate_inner(self, message: Message, dataset: str | None) -> str:
        return f"{message[-1]['value']} ({len(message) - 1} images)"


class Endpoint(_Base):
    """Runs elsewhere."""

    is_api = True
    fail_msg = "Failed to obtain answer via API."

    def __init__(self, retry: int) -> None:
        self.retry = retry

    def generate_inner(self, message: Message, dataset: str | None) -> str:
        said = " ".join(str(item["value"]) for item in message if item["type"] == "text")
        return self.fail_msg if "question 1" in said else "B"


class Faulty(_Base):
    """Answers nothing that is an answer."""

    def generate_inner(self, message: Message, dataset: str | None) -> Any:
        said = " ".join(str(item["value"]) for item in message if item["type"] == "text")
        if "question 0" in said:
            return None
        if "question 1" in said:
            return {"text": "A"}
        raise ValueError("a shape that does not fit")


class Headless(_Base):
    """Cannot be loaded."""

    def __init__(self) -> None:
        raise OSError("toy/headless is not in the cache")
