"""The benchmark from one file: what is wrong is all said at once; what is right travels through unchanged."""

from pathlib import Path
from typing import Any

import pytest

from videval.benchmarks.base import Shown
from videval.benchmarks.catalog import find_benchmark
from videval.benchmarks.table import TableBenchmark, read_table, table_variant
from videval.errors import InvalidTable, UsageError
from videval.types import Clip, Frame, Sample, Text, Video


def write(folder: Path, text: str | bytes, name: str = "questions.tsv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(InvalidTable) as caught:
        read_table(path)
    return list(caught.value.problems)


def shown(form: str = "video") -> Shown:
    clip = Clip(
        path="c.npy", frame_numbers=(0, 5), timestamps=(0.0, 0.2), total_frames=10, fps=25.0,
        width=8, height=8, decoder="test", policy="interior",
    )  # fmt: skip
    return Shown(clips=(clip,), form="video" if form == "video" else "frames", root=Path())


def test_every_malformed_row_is_listed_with_its_line_number(tmp_path: Path) -> None:
    found = problems(
        write(
            tmp_path,
            "index\tvideo\tquestion\tanswer\tcandidates\tstart\tend\n"
            "1\t/etc/passwd\tq\tx\t\t\t\n"
            "1\t../up.mp4\tq\tx\t\t\t\n"
            "3\ta.mp4\t\tx\t\t\t\n"
            "4\ta.mp4\tq\tZ\t['x', 'y']\t\t\n"
            "5\ta.mp4\tq\tx\t{'x': 1}\t\t\n"
            "6\ta.mp4\tq\tx\t\t3\t2\n"
            "7\ta.mp4\tq\tx\t\tlater\t2\n"
            "8\ta.mp4\tq\n"
            "9\ta.mp4\tq\tx\t\t3\t\n"
            "\ta.mp4\tq\tx\t\t\t\n",
        )
    )
    expected = {
        2: "must be relative", 3: "must not contain '..'", 4: "question is empty", 5: "none of the candidates",
        6: "not a list", 7: "not before end", 8: "'later' is not a number of seconds", 9: "3 cells, the header has 7",
        10: "together or not at all", 11: "index is empty",
    }  # fmt: skip
    for number, words in expected.items():
        assert any(p.startswith(f"line {number}:") and words in p for p in found), (number, found)
    assert any(p.startswith("line 3:") and "also that of line 2" in p for p in found)
    numbers = [int(p.split(":")[0].removeprefix("line ")) for p in found]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("q.tsv", "", "line 1: the file is empty"),
        ("q.tsv", " \n", "line 1: the file is empty"),
        ("q.tsv", "video\tquestion\n", "columns and no questions"),
        ("q.tsv", "video\tasked\na\tb\n", "no column 'question', only 'video', 'asked'"),
        ("q.tsv", "video\tquestion\tvideo\na\tb\tc\n", "column 'video' is there twice"),
        ("q.tsv", "video\tquestion\t\na\tb\tc\n", "column number 3 has no name"),
        ("q.tsv", "video\tquestion\tprediction\na\tb\tc\n", "'prediction' is what videval writes"),
        ("q.tsv", "video\tquestion\tA\tB\tcandidates\na\tb\tc\td\te\n", "keep one of them"),
        ("q.tsv", "video\tquestion\tA\tB\tC\na\tb\tc\t\te\n", "option B is empty"),
        ("q.csv", 'video,question\na,"b\n', "is a quote not closed"),
        ("q.tsv", b"video\tquestion\na\t\xff\n", "line 2: not UTF-8"),
        ("q.tsv", "video\tquestion\na\tb\x00\n", "column 'question' holds '\\x00'"),
        ("q.tsv", "video\tquestion\nC:\\a.mp4\tb\n", "without a drive"),
        ("q.tsv", "video\tquestion\ndir\\a.mp4\tb\n", 'folders are separated by "/"'),
        ("q.tsv", "video\tquestion\ndir/../../a.mp4\tb\n", "must not contain"),
        ("q.jsonl", '{"video": "a", "question": "b"\n', "line 1: "),
        ("q.jsonl", '[1]\n', "a list, not an object"),
        ("q.jsonl", '{"video": "a", "question": "b", "answer": ["x"]}\n', "answer is not text: '[\"x\"]'"),
        ("q.jsonl", '{"video": {"path": "a"}, "question": "b"}\n', "video is not text"),
        ("q.jsonl", '[\n {"video": "a", "question": "b"}\n]\n', "the whole file is a list"),
        ("q.jsonl", '{\n "video": "a",\n "question": "b"\n}\n', "one object stands on one line"),
        ("q.csv", ",,\n,,\n", "the file is empty"),
        ("q.csv", ",video,question\n0,a,b\n", "name it index"),
        ("q.jsonl", '{"video": "a", "question": "b", "n": NaN}\n', "NaN is not JSON"),
        ("q.jsonl", '{"video": "a", "question": "b", "n": 1e999}\n', "too large"),
        ("q.jsonl", '{"video": "a", "video": "b", "question": "b"}\n', "'video' is there twice"),
        ("q.jsonl", '{"video": true, "question": "b"}\n', "video is not text"),
        ("q.jsonl", '{"video": "a", "question": "\\ud800"}\n', "which is not text"),
        ("q.jsonl", '{"index": 1.5, "video": "a", "question": "b"}\n', "neither text nor a whole number"),
        ("q.jsonl", '{"video": "a", "question": "b", "candidates": "x"}\n', "candidates are not a list: 'x'"),
        ("q.jsonl", '{"video": "a", "question": "b", "candidates": ["x", null]}\n', "candidates hold None"),
        ("q.jsonl", '{"video": "a", "question": "b", "candidates": [["x"]]}\n', "candidates hold ['x']"),
        ("q.jsonl", '{"video": "a", "question": "b", "start": -1, "end": 2}\n', "start -1 is not a number"),
    ],
)  # fmt: skip
def test_each_kind_of_bad_table_is_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    assert any(words in p for p in problems(write(tmp_path, text, name)))


def test_code_in_candidates_is_never_run(tmp_path: Path) -> None:
    path = write(tmp_path, "video\tquestion\tcandidates\na\tb\t__import__('os').getcwd()\n")
    assert "not a list" in problems(path)[0]


def test_a_file_that_is_no_table_or_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a question table is"):
        read_table(write(tmp_path, "x", "questions.xlsx"))
    with pytest.raises(UsageError, match="there is no such file"):
        read_table(tmp_path / "none.tsv")


def test_line_numbers_count_the_lines_inside_quoted_cells(tmp_path: Path) -> None:
    path = write(tmp_path, 'video,question\na,"two\nlines"\n/b,q\n', "q.csv")
    assert problems(path) == ["line 4: video: '/b': path must be relative to the data root"]


def test_candidates_are_read_from_json_from_python_and_from_letter_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "video\tquestion\tanswer\tcandidates\n"
        'a\tq\tit\'s right\t["left", "it\'s right"]\n'
        "a\tq\tB\t['left', \"it's right\"]\n"
        "a\tq\t(B)\t['A. left', \"B. it's right\"]\n"
        "a\tq\tB. it's right\t['A. left', \"B. it's right\"]\n",
    )
    samples = read_table(path)
    assert {s.candidates for s in samples} == {("left", "it's right")}
    assert samples[2].row["candidates"] == "['A. left', \"B. it's right\"]"
    lettered = write(tmp_path, "video,question,A,B,C,answer\na,q,x,7,,B\n", "q.csv")
    assert read_table(lettered)[0].candidates == ("x", "7")


def test_bounds_become_the_span_of_the_sample(tmp_path: Path) -> None:
    (sample,) = read_table(write(tmp_path, "video,question,start,end\na,q,0.5,2\n", "q.csv"))
    assert sample.span == (0.5, 2.0)


def test_what_is_scored_and_how_depends_on_the_row() -> None:
    table = TableBenchmark()
    base: dict[str, Any] = {"id": "1", "video": "a", "question": "q"}
    assert table.scorer_for(Sample(**base, answer="A", candidates=("x", "y"))) == "choice"
    assert table.scorer_for(Sample(**base, answer="x")) == "exact"
    assert table.scorer_for(Sample(**base, candidates=("x", "y"))) is None


def test_prompts_need_the_samples_only() -> None:
    table = find_benchmark("table")
    sample = Sample(id="7", video="a", question="Which?", answer="B", candidates=("x", "y"))
    text = "Question: Which?\nOptions:\n(A) x\n(B) y\nAnswer with the option's letter only."
    assert table.prompt(sample, shown()) == (Video(), Text(text=text))
    assert table.prompt(sample, shown("frames"))[:2] == (Frame(position=0), Frame(position=1))
    open_one = Sample(id="8", video="a", question="Describe it.")
    assert table.prompt(open_one, shown())[-1] == Text(text="Describe it.")
    (_, packed) = table.pack_prompt([sample, open_one], shown())
    assert isinstance(packed, Text)
    assert '"7": "Question: Which?' in packed.text
    assert '"8": "Describe it."' in packed.text


def test_a_table_is_named_after_its_file() -> None:
    variant = table_variant(Path("my questions!.tsv"), num_frames=8, pack=True)
    assert (variant.name, variant.benchmark, variant.num_frames) == ("my-questions_8frame_pack", "table", 8)
    assert table_variant(Path("q.csv"), fps=0.5).name == "q_0.5fps"
    for frames, fps in [(None, None), (8, 1.0), (0, None), (None, -1.0)]:
        with pytest.raises(UsageError):
            table_variant(Path("q.csv"), num_frames=frames, fps=fps)


def test_a_table_cannot_be_loaded_without_its_file(tmp_path: Path) -> None:
    variant = table_variant(Path("q.csv"), num_frames=8)
    with pytest.raises(UsageError, match="read from its file"):
        TableBenchmark().load(tmp_path, variant)
    path = write(tmp_path, "video,question\na,q\n", "q.csv")
    assert len(TableBenchmark(path).load(tmp_path, variant)) == 1
