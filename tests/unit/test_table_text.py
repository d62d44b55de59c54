"""Question files as people have them: other encodings, separators, line ends and stray quotes; one list of problems."""

import gzip
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from tests.seeding import settings_for
from videval.benchmarks.table import read_table
from videval.benchmarks.table_file import LONGEST_CELL
from videval.errors import DataMissing, EnvironmentProblem, InvalidTable, UsageError, VidevalError
from videval.options import Asked
from videval.orders import make_order

QUESTIONS = "video,question,A,B,answer\nclip.mp4,Wo läuft der Hund?,im Park,zu Haus,A\n"


def write(folder: Path, content: str | bytes, name: str = "q.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def problems(path: Path, *, videos: Path | None = None) -> Sequence[str]:
    with pytest.raises(InvalidTable) as caught:
        read_table(path, videos=videos)
    return caught.value.problems


def refused(path: Path) -> VidevalError:
    with pytest.raises(UsageError) as caught:
        read_table(path)
    return caught.value


SEPARATED = [(",", "q.csv"), (";", "q.csv"), ("\t", "q.csv"), ("|", "q.csv"), (",", "q.tsv"), ("\t", "q.TSV")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("separator", "name"), SEPARATED)
def test_a_file_is_read_whatever_its_encoding_line_ends_and_separator(
    tmp_path: Path, encoding: str, ends: str, separator: str, name: str
) -> None:
    text = QUESTIONS.replace(",", separator).replace("\n", ends)
    (sample,) = read_table(write(tmp_path, text.encode(encoding), name))
    assert (sample.question, sample.candidates, sample.answer) == ("Wo läuft der Hund?", ("im Park", "zu Haus"), "A")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_json_lines_are_read_whatever_their_encoding_and_line_ends(tmp_path: Path, encoding: str, ends: str) -> None:
    lines = [f'{{"video": "a{i}", "question": "é\u2028"}}' for i in range(2)]
    assert len(read_table(write(tmp_path, ends.join([*lines, ""]).encode(encoding), "q.jsonl"))) == 2


def test_what_excel_says_of_the_separator_is_heard(tmp_path: Path) -> None:
    path = write(tmp_path, "sep=;\r\nvideo;question\r\na;b, c\r\n/x;q\r\n")
    assert problems(path) == ("line 4: video: '/x': path must be relative to the data root",)


def test_a_separator_of_the_suffix_counts_where_it_makes_a_header(tmp_path: Path) -> None:
    (sample,) = read_table(write(tmp_path, "video,question,a;b\nv,q;r,1;2\n"))
    assert (sample.question, sample.row["a;b"]) == ("q;r", "1;2")


def test_columns_that_nobody_expects_are_told_apart_by_the_separator_they_have(tmp_path: Path) -> None:
    assert problems(write(tmp_path, "clip;frage\na;b\n"))[0].endswith("no column 'video', only 'clip', 'frage'")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_another_encoding_is_named_with_the_line_that_mends_it(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, QUESTIONS.encode(encoding), "my questions.csv")
    (found,) = problems(path)
    assert found.startswith("line 2: not UTF-8 text") and "Wo läuft der Hund?" in found
    subprocess.run(["bash", "-c", found.partition(" -> ")[2]], check=True)
    assert read_table(tmp_path / "my questions-utf8.csv")[0].question == "Wo läuft der Hund?"


def test_an_encoding_that_cannot_be_guessed_is_the_users_to_name(tmp_path: Path) -> None:
    text = "video,question\n" + "clip.mp4,狗在哪里跑，它追什么东西呢？狗在哪里跑，它追什么东西呢？\n" * 3
    (found,) = problems(write(tmp_path, text.encode("gb18030")))
    assert "iconv -f GB18030" in found and "SHIFT_JIS" in found


def test_half_a_file_of_utf_16_is_no_traceback(tmp_path: Path) -> None:
    assert "UTF-16" in problems(write(tmp_path, QUESTIONS.encode("utf-16")[:-1]))[0]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("q.xlsx", b"PK\x03\x04", "CSV UTF-8"),
        ("q.parquet", b"PAR1", "read_parquet"),
        ("q.json", b"[]", "jq -c"),
        ("q.csv.gz", gzip.compress(b"video", mtime=0), "gunzip --keep"),
        ("q.txt", b"video", "mv "),
        ("q.docx", b"PK\x03\x04", "convert"),
        ("q.csv", b"PK\x03\x04\x00", "an Excel workbook"),
        ("q.tsv", gzip.compress(b"video", mtime=0), "a gzip archive"),
        ("q.jsonl", b"PAR1", "a parquet file"),
        ("q.csv", b"\x00\x00\x00\x20ftypisom", "a video"),
    ],
)
def test_a_file_of_another_kind_is_named_with_what_makes_it_one(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    error = refused(write(tmp_path, content, name))
    assert words in f"{error} -> {error.hint}"


def test_a_folder_is_not_a_question_file_but_may_hold_one(tmp_path: Path) -> None:
    write(tmp_path, QUESTIONS)
    error = refused(tmp_path)
    assert "a folder" in str(error) and "q.csv" in error.hint
    with pytest.raises(UsageError, match="a folder, not a question file"):
        make_order(Asked(what=str(tmp_path), model="fake"), settings_for(tmp_path))


def test_a_disk_that_cannot_be_read_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Path, *how: str, **named: str) -> IO[bytes]:
        raise OSError(5, "Input/output error")

    path = write(tmp_path, QUESTIONS)
    monkeypatch.setattr(Path, "open", broken)
    with pytest.raises(EnvironmentProblem, match="Input/output error"):
        read_table(path)


def test_an_hour_of_subtitles_is_a_cell(tmp_path: Path) -> None:
    text = "word " * 60_000
    (sample,) = read_table(write(tmp_path, f"video\tquestion\ttext\na\tq\t{text}\n", "q.tsv"))
    assert sample.row["text"] == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.tsv", 'video\tquestion\na\t"{}\nb\t\n'),
        ("q.csv", "video,question\na,{}\nb,\n"),
        ("q.jsonl", '{{"video": "a", "question": "{}"}}\n{{"video": "b", "question": ""}}\n'),
    ],
)
def test_a_cell_without_end_is_named_with_what_follows_it(
    tmp_path: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videval.benchmarks.table_file.LONGEST_CELL", 1000)
    found = problems(write(tmp_path, text.format("x" * 1001), name))
    assert "characters" in found[0] and found[-1].endswith("question is empty")
    assert LONGEST_CELL > 2**20


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ('video\tquestion\tstart\tend\na\t"Halt!" he said. Who?\t1\t2\na\tWho?\t5\t2\na\t\t1\t2\n', [2, 3, 4]),
        ('video\tquestion\tstart\tend\na\t"never closed\t1\t2\na\tWho?\t5\t2\na\t\t1\t2\n', [2, 3, 4]),
        ('video\tquestion\tstart\tend\na\t"one\t1\t2\na\t"two" x\t1\t2\na\t\t1\t2\na\t"three"y\t1\t2\n', [2, 3, 4, 5]),
        ('video\tquestion\tstart\tend\na\t"two\nlines"\t5\t2\na\t"Halt!" x\t1\t2\n\na\t\t1\t2\n', [2, 4, 6]),
    ],
)
def test_a_stray_quote_hides_no_other_problem(tmp_path: Path, text: str, numbers: list[int]) -> None:
    found = problems(write(tmp_path, text, "q.tsv"))
    assert [int(p.removeprefix("line ").partition(":")[0]) for p in found] == numbers
    assert any("is a quote not closed?" in p for p in found)


def test_the_cell_with_the_stray_quote_is_shown(tmp_path: Path) -> None:
    (found,) = problems(write(tmp_path, 'video,question,a\n"v","say ""x"" now","Halt!" he\n'))
    assert found.startswith("line 2: a cell begins '\"Halt!\" he';")


def test_behind_a_broken_header_no_row_is_taken_for_one(tmp_path: Path) -> None:
    (found,) = problems(write(tmp_path, 'video,"quest"ion\na,b\nc,d\n'))
    assert found.startswith("line 1: ")


def test_quotes_inside_a_cell_are_no_stray_ones(tmp_path: Path) -> None:
    (sample,) = read_table(write(tmp_path, 'video\tquestion\na\tWho says "Halt!"?\n', "q.tsv"))
    assert sample.question == 'Who says "Halt!"?'


def test_what_a_spreadsheet_leaves_behind_the_last_column_and_row_is_nothing(tmp_path: Path) -> None:
    text = "video,question,A,B,answer,,\na,q,x,y,A,,\n\n,,,,,,\na,q,x,y,B\na,q,x,y,A,,,, \n"
    samples = read_table(write(tmp_path, text))
    assert [s.answer for s in samples] == ["A", "B", "A"]
    assert list(samples[0].row) == ["index", "video", "question", "A", "B", "answer"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("video,question,\na,b,c\n", "column number 3 has no name"),
        ("video,question\na,b,c\n", "3 cells, the header has 2"),
        ("video,question,answer\na,b\n", "2 cells, the header has 3"),
        ("video,Video,question\na,b,c\n", "the column 'video' is there twice"),
        ("video,question, question \na,b,c\n", "column 'question' is there twice"),
    ],
)
def test_ragged_rows_and_columns_that_are_there_twice_are_named(tmp_path: Path, text: str, words: str) -> None:
    assert words in " ".join(problems(write(tmp_path, text)))


def test_an_option_that_is_there_twice_under_one_name_is_said_once(tmp_path: Path) -> None:
    found = problems(write(tmp_path, "video,question,A,B,B,answer\na,q,x,y,z,A\n"))
    assert list(found) == ["line 1: column 'B' is there twice"]


def test_names_that_videval_knows_count_without_case_and_blanks_around_them(tmp_path: Path) -> None:
    text = " Video ,QUESTION,Answer,Task_Type, Camera \na,q,x,t,north\n"
    (sample,) = read_table(write(tmp_path, text))
    assert list(sample.row) == ["index", "video", "question", "answer", "task_type", "Camera"]
    (sample,) = read_table(write(tmp_path, '{" Video": "a", "Question": "q", "Index": 7}\n', "q.jsonl"))
    assert (sample.id, sample.video, sample.question) == ("7", "a", "q")


BAD = "video,question,A,B,answer,start,end\nhere.mp4,,x,y,A,,\ngone.mp4,q,x,y,Z,,\nhere.mp4,q,x,y,A,5,2\nhere.mp4,q,x\n"


def test_bad_rows_and_missing_videos_are_one_list(tmp_path: Path) -> None:
    write(tmp_path, b"", "here.mp4")
    path = write(tmp_path, BAD + "lost.mp4,q,x,y,A,,\nlost.mp4,q,x,y,A,,\n")
    with pytest.raises(InvalidTable) as caught:
        make_order(Asked(what=str(path), model="fake"), settings_for(tmp_path))
    found = caught.value.problems
    assert [int(p.removeprefix("line ").partition(":")[0]) for p in found] == [2, 3, 3, 4, 5, 6]
    assert [p for p in found if "gone.mp4" in p] and found[-1].endswith("(1 more line(s) ask about it)")


def test_missing_videos_that_are_allowed_are_no_problem(tmp_path: Path) -> None:
    write(tmp_path, b"", "here.mp4")
    asked = Asked(what=str(write(tmp_path, BAD)), model="fake", allow_missing=True)
    with pytest.raises(InvalidTable) as caught:
        make_order(asked, settings_for(tmp_path))
    assert len(caught.value.problems) == 4 and "not below" not in str(caught.value)


def test_a_wrong_folder_does_not_bury_the_bad_row(tmp_path: Path) -> None:
    lines = "".join(f"v{i}.mp4,q\n" for i in range(100))
    found = problems(write(tmp_path, f"video,question\nx.mp4,\n{lines}"), videos=tmp_path)
    assert len(found) == 22 and "81 more video(s)" in found[-1]


def test_missing_videos_alone_stay_a_matter_of_the_data(tmp_path: Path) -> None:
    order = make_order(Asked(what=str(write(tmp_path, QUESTIONS)), model="fake"), settings_for(tmp_path))
    assert order.missing_files() == ["clip.mp4"]
    assert DataMissing.exit_code == 3 and InvalidTable.exit_code == 2


@pytest.mark.parametrize("name", ["q.CSV", "q.xlsx", "q.parquet"])
def test_a_word_that_names_a_question_file_is_never_taken_for_a_benchmark(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, b"PK\x03\x04", name)
    with pytest.raises(UsageError) as caught:
        make_order(Asked(what=str(path), model="fake"), settings_for(tmp_path))
    assert str(path) in str(caught.value) and "benchmark" not in str(caught.value)


def test_the_line_that_mends_it_can_be_pasted(tmp_path: Path) -> None:
    folder = tmp_path / "it's mine"
    folder.mkdir()
    hint = refused(write(folder, b"[]", "q.json")).hint
    assert shlex.split(hint)[-1] == str(folder / "q.jsonl")
