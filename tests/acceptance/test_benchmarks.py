"""Published benchmarks from their true layout to the exported table and the score, through the front door."""

from collections import Counter

import pandas as pd

from tests.acceptance.conftest import Home
from tests.tiny_model import build_tiny_model
from tests.trees import clip, put_tsv, tree
from videval.export import read_export

MALFORMED = {
    "json": '{"0": "red", "1": "two", "2": "no"}',
    "fenced": '```json\n{"0": "red", "1": "two", "2": "no"}\n```',
    "single quotes": "{'0': 'red', '1': 'two', '2': 'no'}",
    "I keys": "{'I1': 'red', 'I2': 'two', 'I3': 'no'}",
    "trailing comma": '{"0": "red", "1": "two", "2": "no",}',
    "prose around": 'Sure! Here it is: {"0": "red", "1": "two", "2": "no"} Hope that helps.',
    "two objects": '{"0": "red"}\n{"1": "two", "2": "no"}',
    "apostrophe": "{'0': 'red', '1': 'two', '2': 'it's no'}",
    "lines": "0: red\n1: two\n2: no",
    "list": '["red", "two", "no"]',
    "nested": '{"answers": {"0": "red", "1": "two", "2": "no"}}',
    "thinking": '<think>{maybe}</think>{"0": "red", "1": "two", "2": "no"}',
    "numbers": '{"0": "red", "1": 2, "2": false}',
    "one missing": '{"0": "red", "2": "no"}',
    "truncated": '{"0": "red", "1": "two", "2": "n',
    "truncated early": '{"0": "red", "1": "tw',
    "colon inside": "{'0': 'red', '1': 'at time: 3pm', '2': 'no'}",
    "failure text": '{"0": "Failed to obtain answer via API.", "1": "two", "2": "no"}',
    "prose only": "I cannot see the video.",
    "empty": "",
}


def test_mvbench_goes_from_its_published_layout_to_a_table_and_a_score_by_task(home: Home) -> None:
    root = tree("MVBench", home.folder / "benchmarks" / "MVBench", packed=True)
    home.environ["VIDEVAL_DATA_ROOT"] = str(root.parent)
    checkpoint = build_tiny_model(home.folder / "tiny-llava", context=1024)
    assert "complete" in home.run("prepare", "MVBench").stdout
    assert "complete" in home.run("verify", "MVBench").stdout
    said = home.run("enqueue", "MVBench_8frame", f"video_llava:{checkpoint}", "--max-new-tokens", "4").stdout
    assert "the model's own, in place of 'segment'" in said
    home.worker()
    counts = home.wait(timeout=240)
    assert counts["failed"] == 0, home.run("errors", "mvbench").stdout
    table = home.run("score", "mvbench").stdout
    assert "Action Antonym" in table and "mean of the task_type scores" in table
    home.run("export", "mvbench")
    sheet = pd.read_excel(next(home.folder.glob("outputs/*/*MVBench_8frame.xlsx")))
    assert sheet["task_type"].nunique() == 20
    assert {"index", "video", "question", "candidates", "answer", "prediction"} <= set(sheet.columns)
    assert "overall" in home.run("score", "mvbench", "--protocol", "vlmevalkit").stdout


def test_mvbench_by_rate_is_refused_with_the_variant_that_does_it(home: Home) -> None:
    done = home.run("enqueue", "MVBench_1fps", "fake", expect=2)
    assert "MVBench_MP4" in done.stderr


def test_a_benchmark_that_is_not_here_says_how_to_get_it(home: Home) -> None:
    assert "videval prepare Video-MME" in home.run("enqueue", "Video-MME_8frame", "fake", expect=3).stderr
    assert "Video-MME" in home.run("list", "benchmarks").stdout


def test_packs_malformed_in_twenty_ways_are_read_as_a_person_would(home: Home) -> None:
    root = home.folder / "benchmarks" / "MMBench-Video"
    rows = [
        {
            "index": 3 * v + q,
            "video": f"v{v}_processed",
            "video_type": "News",
            "question": f"Question {q}?",
            "answer": ("red", "two", "no")[q],
            "dimensions": "['OCR']",
            "video_path": f"./video/v{v}_processed.mp4",
            "fake_answer": MALFORMED[name].replace('"0"', f'"{3 * v}"')
            .replace('"1"', f'"{3 * v + 1}"')
            .replace('"2"', f'"{3 * v + 2}"'),
        }
        for v, name in enumerate(MALFORMED)
        for q in range(3)
    ]  # fmt: skip
    put_tsv(root, "MMBench-Video.tsv", rows)
    (root / "video").mkdir()
    for v in range(len(MALFORMED)):
        (root / "video" / f"v{v}_processed.mp4").write_bytes(clip())
    home.environ["VIDEVAL_DATA_ROOT"] = str(root.parent)
    home.run("run", "MMBench_Video_8frame_pack", "fake", "--devices", "cpu:0", timeout=240)
    read = read_export(next(home.folder.glob("outputs/fake/*_pack.xlsx")))
    found = {name: [r["prediction"] for r in read[3 * v : 3 * v + 3]] for v, name in enumerate(MALFORMED)}
    whole = ["red", "two", "no"]
    for name in (
        "json",
        "fenced",
        "trailing comma",
        "prose around",
        "two objects",
        "list",
        "nested",
        "thinking",
        "I keys",
    ):
        assert found[name] == whole, name
    assert found["one missing"] == ["red", None, "no"]
    assert found["truncated"] == ["red", "two", None]
    assert found["truncated early"] == ["red", None, None]
    assert found["failure text"][0] is None
    assert found["prose only"] == [None] * 3 and found["empty"] == [None] * 3
    merged = home.run("merge", "mmbench").stdout
    assert "20 responses, 60 predictions" in merged
    statistics = Counter(
        {w[1]: int(w[0]) for line in merged.splitlines() if "VLMEvalKit" in line and (w := line.split())}
    )
    assert statistics["VALIDQ"] + statistics["INVALIDQ"] == 60
    assert statistics["GEN_FAIL"] == 1


def test_mmbench_video_without_packs_asks_each_question_alone_and_says_that_it_needs_a_judge(home: Home) -> None:
    root = tree("MMBench-Video", home.folder / "benchmarks" / "MMBench-Video")
    home.environ["VIDEVAL_DATA_ROOT"] = str(root.parent)
    done = home.run("run", "MMBench_Video_8frame_nopack", "fake", "--devices", "cpu:0")
    assert "judge" in done.stderr
    assert len(read_export(next(home.folder.glob("outputs/fake/*.xlsx")))) == 6
