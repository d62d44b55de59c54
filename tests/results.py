"""Result files as VLMEvalKit writes them by pandas (`dump` in vlmeval/smp/file.py), sample logs as lmms-eval does."""

import csv
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from videval.types import Sample

__all__ = ["frame_of", "write_as_vlmevalkit", "write_log"]


def frame_of(samples: Sequence[Sample], answers: Mapping[str, object]) -> pd.DataFrame:
    """The benchmark's columns with a prediction, as `infer_data_job_video` has it before it writes."""
    return pd.DataFrame([{**s.row, "prediction": answers.get(s.id)} for s in samples])


def write_as_vlmevalkit(frame: pd.DataFrame, path: Path) -> Path:
    """Write a result file as VLMEvalKit does for this ending."""
    if path.suffix == ".xlsx":
        options = {"options": {"strings_to_formulas": False}}
        with pd.ExcelWriter(path, engine="xlsxwriter", engine_kwargs=options) as writer:
            frame.to_excel(writer, index=False)
    elif path.suffix == ".tsv":
        frame.to_csv(path, sep="\t", index=False, encoding="utf-8", quoting=csv.QUOTE_ALL)
    elif path.suffix == ".json":
        path.write_text(json.dumps(frame.to_dict("records"), indent=4, ensure_ascii=False), encoding="utf-8")
    else:
        path.write_bytes(pickle.dumps(frame))
    return path


def write_log(path: Path, samples: Sequence[Sample], answers: Mapping[str, str]) -> Path:
    """Write a sample log as lmms-eval does with --log_samples: documents are counted in the task's own order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [_line(number, sample, answers[sample.id]) for number, sample in enumerate(samples)]
    path.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines), encoding="utf-8")
    return path


def _line(number: int, sample: Sample, answer: str) -> dict[str, Any]:
    options = "\n".join(f"{'ABCDEFGH'[i]}. {option}" for i, option in enumerate(sample.candidates))
    told = f"{sample.question}\n{options}\nAnswer with the option's letter from the given choices directly."
    return {
        "doc_id": number,
        "target": sample.answer or "",
        "filtered_resps": [answer],
        "doc_hash": "0",
        "mvbench_accuracy": {"pred_answer": answer},
        "input": told,
    }
