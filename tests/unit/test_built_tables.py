"""Built question tables are written as pandas writes them, so that their MD5 can be the published one."""

import json
from hashlib import md5
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.trees import put_json, tree
from videval.benchmarks.built import as_row, as_text, table_md5, write_table
from videval.benchmarks.catalog import find_benchmark
from videval.benchmarks.mvbench_tasks import task_file
from videval.benchmarks.published import PublishedBenchmark

COLUMNS: dict[str, list[Any]] = {
    "whole": [1, 2, 3, 4],
    "with a fraction": [3, 2.5, 0, -7],
    "with a gap": [3, None, 10**9, 0],
    "fractions": [3.0, 0.1, 1e-7, 33.36666666666667],
    "fractions and a gap": [3.0, None, 1e20, 2.25],
    "nothing": [None, None, None, None],
    "texts": ["a", "", "tab\t", 'quote "'],
    "text and numbers": ["a", 3, 2.5, None],
    "truth": [True, False, True, False],
    "truth and a gap": [True, None, False, True],
    "lists": [[1, "x"], ["it's"], [], [2.0]],
    "lists and a gap": [["a"], None, ["b"], None],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_written_as_pandas_writes_it(name: str) -> None:
    rows = [{"before": "x", name: value} for value in COLUMNS[name]]
    there = pd.DataFrame(rows).assign(index=range(len(rows))).to_csv(sep="\t", index=False)
    assert as_text([as_row(i, row) for i, row in enumerate(rows)]) == there


def test_a_key_that_some_records_lack_is_a_gap() -> None:
    rows: list[dict[str, Any]] = [{"a": 1, "b": 2}, {"a": 3}, {"a": 4, "c": 5}]
    there = pd.DataFrame(rows).to_csv(sep="\t", index=False)
    assert as_text([{**row} for row in rows]) == there == "a\tb\tc\n1\t2.0\t\n3\t\t\n4\t\t5.0\n"


def built(name: str, root: Path) -> list[dict[str, Any]]:
    """The rows of a table that is written, and read again."""
    found = find_benchmark(name)
    assert isinstance(found, PublishedBenchmark)
    write_table(root / found.table, found.build(root))
    return [dict(row) for row in found.rows(root)]


def test_bounds_and_numbers_of_built_tables_stay_3_0(tmp_path: Path) -> None:
    root = tree("MVTamperBench", tmp_path / "tamper")
    asked = {"video": "v.mp4", "question": "q", "tamper_type": "masking", "answer": "x", "candidates": ["x", "y"]}
    put_json(root, task_file("Action Sequence"), [{**asked, "start": 3, "end": 4.5}, {**asked, "start": 0, "end": 10}])
    rows = built("MVTamperBench", root)
    assert "\tFalse\t3.0\t4.5\t" in (root / "MVTamperBench.tsv").read_text()
    assert (str(rows[1]["start"]), str(rows[1]["end"]), rows[2]["start"]) == ("0.0", "10.0", None)
    long = tree("LongVideoBench", tmp_path / "long")
    published = json.loads((long / "lvb_val.json").read_text())
    put_json(long, "lvb_val.json", [published[0], {**published[1], "view_count": None, "duration": 2.5}])
    rows = built("LongVideoBench", long)
    assert [str(row["view_count"]) for row in rows] == ["7.0", "None"]
    assert [str(row["duration"]) for row in rows] == ["3.0", "2.5"]
    assert [str(row["correct_choice"]) for row in rows] == ["0", "1"]


@pytest.mark.parametrize("answer", ["1.50", "2.0", "007", "3", "1e5"])
def test_an_answer_stays_as_it_is_published_though_its_column_holds_numbers_only(tmp_path: Path, answer: str) -> None:
    row = f"Action Count\tvideo/perception/videos/\tvideo\tFalse\tv.mp4\tq\t{answer}\t['{answer}', 'x']\t0\n"
    header = "task_type\tprefix\tdata_type\tbound\tvideo\tquestion\tanswer\tcandidates\tindex\n"
    (tmp_path / "MVBench.tsv").write_text(header + row)
    found = find_benchmark("MVBench")
    assert [s.answer for s in found.load(tmp_path, found.variant(num_frames=8))] == [answer]


def test_an_answer_that_is_not_public_leaves_the_others_readable(tmp_path: Path) -> None:
    root = tree("LongVideoBench", tmp_path)
    published = json.loads((root / "lvb_val.json").read_text())
    put_json(root, "lvb_val.json", [{**published[0], "correct_choice": None}, published[1]])
    found = find_benchmark("LongVideoBench")
    assert [s.answer for s in found.load(root, found.variant(num_frames=8))] == [None, "B"]


@pytest.mark.parametrize(("name", "parts"), [("MLVU", 2), ("TempCompass", 3)])
def test_each_part_of_a_merged_table_has_the_md5_of_the_table_that_vlmevalkit_makes(
    name: str, parts: int, tmp_path: Path
) -> None:
    root = tree(name, tmp_path)
    found = find_benchmark(name)
    assert isinstance(found, PublishedBenchmark)
    rows = found.rows(root)
    assert len(found.part_md5) == parts
    for part in found.part_md5:
        there = THERE[name](part, root).to_csv(sep="\t", index=False)
        assert as_text(found.part(part, rows)) == there
        assert table_md5(found.part(part, rows)) == md5(there.encode(), usedforsecurity=False).hexdigest()


def _mlvu(part: str, root: Path) -> pd.DataFrame:
    """What VLMEvalKit makes of MLVU's files, by its columns."""
    free = part == "MLVU_OpenEnded"
    names = ("8_sub_scene", "9_summary") if free else (
        "1_plotQA", "2_needle", "3_ego", "4_count", "5_order", "6_anomaly_reco", "7_topic_reasoning"
    )  # fmt: skip
    columns = ("duration", "video", "question", "answer", "scoring_points" if free else "candidates")
    rows = [
        {"task_type": name[2:], "prefix": f"./MLVU/video/{name}", **{column: record[column] for column in columns}}
        for name in names
        for record in json.loads((root / f"MLVU/json/{name}.json").read_text())
    ]
    return pd.DataFrame(rows).assign(index=range(len(rows)))


def _tempcompass(part: str, root: Path) -> pd.DataFrame:
    tasks = {
        "TempCompass_MCQ": ("multi-choice", "caption_matching"), "TempCompass_Captioning": ("captioning",),
        "TempCompass_YorN": ("yes_no",),
    }[part]  # fmt: skip
    rows = []
    for task in tasks:
        for record in pd.read_parquet(root / task / "test-00000-of-00001.parquet").to_dict("records"):
            first, *options = record["question"].split("\n")
            question = record["question"] if task == "captioning" else first
            more = {"candidates": options} if part == "TempCompass_MCQ" else {}
            more |= {key: record[key] for key in ("mc_question", "mc_answer") if task == "captioning"}
            rows.append({
                "task_type": task, "prefix": "./videos", "suffix": ".mp4", "video": record["video_id"],
                "question": question, "answer": record["answer"], "dim": record["dim"], **more,
            })  # fmt: skip
    return pd.DataFrame(rows).assign(index=range(len(rows)))


THERE = {"MLVU": _mlvu, "TempCompass": _tempcompass}


def test_the_md5_of_mvbench_mp4_is_todays() -> None:
    found = find_benchmark("MVBench_MP4")
    assert isinstance(found, PublishedBenchmark)
    assert found.md5 == "5c8c6f8b7972c2de65a629590f7c42f5"
