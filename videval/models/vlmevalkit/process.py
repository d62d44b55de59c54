"""VLMEvalKit in a process of its own: it lists names, reads datasets, words their questions and evaluates files.

One JSON object a line comes in on standard input, with an `op`; one goes out on standard output. What the toolkit
prints goes to standard error, so that it is no answer.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from filelock import FileLock

from videval.models.messages import worded
from videval.models.vlmevalkit.toolkit import version
from videval.plain import scalar

__all__ = ["main"]


class _Refused(Exception):
    """What was asked for cannot be, with the line that would be right."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def attribute(module: str, name: str) -> Any:
    """What a module of vlmeval has by this name. Raises _Refused, with its version, for one that has no such thing."""
    try:
        return getattr(import_module(module), name)
    except (AttributeError, ModuleNotFoundError) as error:
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("vlmeval"):
            raise
        raise _Refused(f"VLMEvalKit {version()} has no {module}.{name}", "another version of it") from error


def _lists() -> dict[str, Any]:
    """All models, with whether they take videos and whether they run elsewhere; all video datasets."""
    supported: Mapping[str, Any] = attribute("vlmeval.config", "supported_VLM")
    makers = {name: getattr(maker, "func", maker) for name, maker in supported.items()}
    kinds = {name: [_says(kind, "VIDEO_LLM"), _says(kind, "is_api")] for name, kind in makers.items()}
    return {"models": kinds, "datasets": _dataset_names()}


def _says(kind: Any, name: str) -> bool:
    return getattr(kind, name, False) is True


def _dataset_names() -> list[str]:
    """Of the settings of video datasets by name; of versions before there were such, all datasets."""
    try:
        return list(attribute("vlmeval.dataset.video_dataset_config", "supported_video_datasets"))
    except _Refused:
        return list(attribute("vlmeval.dataset", "SUPPORTED_DATASETS"))


@cache
def _dataset(name: str) -> Any:
    build = attribute("vlmeval.dataset", "build_dataset")
    with FileLock(Path(tempfile.gettempdir()) / f"videval-vlmevalkit-{os.getuid()}.lock"):  # it may fetch and unpack
        found = build(name)
    if found is None:
        raise _Refused(f"VLMEvalKit builds no dataset {name!r}")
    lacking = [needed for needed in ("data", "build_prompt") if not hasattr(found, needed)]
    if lacking:
        raise _Refused(f"the dataset {name} has no {', '.join(lacking)}")
    if (modality := getattr(found, "MODALITY", "VIDEO")) != "VIDEO":
        raise _Refused(f"{name} is of {modality}, not of videos")
    return found


def _read(name: str) -> dict[str, Any]:
    """What a dataset says of itself, and its questions."""
    found = _dataset(name)
    records = found.data.drop(columns="image", errors="ignore").to_dict("records")
    return {
        "dataset": getattr(found, "dataset_name", name),
        "type": str(getattr(found, "TYPE", "")),
        "nframe": _number(getattr(found, "nframe", 0)),
        "fps": _number(getattr(found, "fps", -1)),
        "pack": bool(getattr(found, "pack", False)),
        "rows": [{str(column): scalar(value) for column, value in record.items()} for record in records],
        "columns": [str(column) for column in found.data.columns if column != "image"],
    }


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) and value > 0 else 0


def _message(name: str, index: str, question: str | None, pack: bool, video_llm: bool) -> dict[str, Any]:
    """How a dataset words a question, or all questions about its video."""
    found = _dataset(name)
    place = next((n for n, own in enumerate(found.data["index"]) if str(own) == index), None)
    row = None if place is None else found.data.iloc[place]
    if row is None or (scalar(row["question"]) or "") != (question or ""):
        raise _Refused(f"{name} has another question {index!r} here, or none", "the same VLMEvalKit on each host")
    line = row["video"] if pack else place
    try:
        made = worded(found, line, video_llm=video_llm)
    except Exception as error:  # noqa: BLE001 - whatever it raises is this question's failure
        return {"failed": f"build_prompt: {type(error).__name__}: {error}"}
    return {"message": made, "dataset": scalar(row.get("SUB_DATASET")) or getattr(found, "dataset_name", name)}


def _evaluate(name: str, file: str, judge: str) -> Any:
    """What a dataset's own `evaluate` returns for a file of predictions."""
    return _told(_dataset(name).evaluate(file, model=judge, nproc=4))


def _told(value: Any) -> Any:
    """What an evaluation returns, as JSON values."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return _told(value.to_dict("records"))
    if isinstance(value, Mapping):
        return {str(key): _told(inner) for key, inner in value.items()}
    return [_told(inner) for inner in value] if isinstance(value, list | tuple) else scalar(value)


_OPS: Mapping[str, Callable[..., Any]] = {
    "lists": _lists,
    "read": _read,
    "message": _message,
    "evaluate": _evaluate,
}


def _reply(line: str) -> str:
    asked = json.loads(line)
    try:
        return json.dumps({"value": _OPS[asked.pop("op")](**asked)})
    except _Refused as refused:
        return json.dumps({"usage": str(refused), "hint": refused.hint})
    except Exception as error:  # noqa: BLE001 - whatever the toolkit raises is said to who asked
        return json.dumps({"error": f"{type(error).__name__}: {error}", "hint": getattr(error, "hint", "")})


def main() -> None:
    """Answer until the end of standard input."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            answers.write(_reply(line) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
