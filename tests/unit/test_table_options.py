"""Options that are there are shown, or the file is refused: no letter is scored against nothing."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from videval.asking import rule_scorer
from videval.benchmarks.option_cells import read_options
from videval.benchmarks.table import TableBenchmark, read_table
from videval.errors import InvalidTable
from videval.types import Sample, Verdict


def csv_file(folder: Path, header: str, *rows: str) -> Path:
    path = folder / "q.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def problems(path: Path) -> Sequence[str]:
    with pytest.raises(InvalidTable) as caught:
        read_table(path)
    return caught.value.problems


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ('["a ball", "a cat"]', ("a ball", "a cat")),
        ("['a ball', 'a cat']", ("a ball", "a cat")),
        ("['a ball', \"it's\",]", ("a ball", "it's")),
        ("('a', 'b')", ("a", "b")),
        ("[u'a', u'b']", ("a", "b")),
        ("['a ball' 'a cat' 'a leaf']", ("a ball", "a cat", "a leaf")),
        ("['a ball'\n 'a cat'\n 'a leaf']", ("a ball", "a cat", "a leaf")),
        ("[\"it's\" 'a, b' 'say \"x\"']", ("it's", "a, b", 'say "x"')),
        ('["a" "b"]', ("a", "b")),
        ("array(['a', 'b'], dtype=object)", ("a", "b")),
        ("np.array(['a' 'b'])", ("a", "b")),
        ("array(['a', 'b'],\n      dtype='<U6')", ("a", "b")),
        ("[np.str_('a'), np.str_('b')]", ("a", "b")),
        ("[1.50, 2.00]", ("1.50", "2.00")),
        ("[1.5 2.  3.5]", ("1.5", "2.", "3.5")),
        ('{"A": "x", "B": "y"}', ("x", "y")),
        ("{'B': 'y', 'A': 'x'}", ("x", "y")),
        ('{"0": 1.50, "1": 2}', ("1.50", "2")),
        (json.dumps({str(i): f"o{i}" for i in range(1, 12)}), tuple(f"o{i}" for i in range(1, 12))),
        (r"['it\'s', 'a\\b', 'two\nlines']", ("it's", "a\\b", "two\nlines")),
        (r'["caf\u00e9 \ud83d\ude00", "a\/b"]', ("café 😀", "a/b")),
        (r'["\d", "b"]', (r"\d", "b")),
        (" [ 'a' , 'b' ] ", ("a", "b")),
        ("[]", ()),
    ],
)
def test_a_list_is_read_however_it_was_written(cell: str, options: tuple[str, ...]) -> None:
    assert read_options(cell) == options


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("['a' 'b', 'c']", "lack a comma between 'a' and 'b'"),
        ("['a', 'b' 'c']", "lack a comma between 'b' and 'c'"),
        ("['it''s' 'b']", "lack a comma between 'it' and 's'"),
        ("('a' 'b')", "not a list"),
        ("['a' 'b' ... 'z']", "what stood at '...' is lost"),
        ("['a', None]", "hold None"),
        ("['a', ['b']]", "hold ['b']"),
        ("['a', '']", "hold ''"),
        ("[True, False]", "hold True"),
        ("{'a', 'b'}", "keys are not A, B, C"),
        ('{"text": "a", "label": "b"}', "keys are not A, B, C"),
        ('{"A": "a", "C": "c"}', "keys are not A, B, C"),
        ('{"A": "a", "A": "b"}', "keys are not A, B, C"),
        ('{"text": ["a"], "label": ["A"]}', "not a list"),
        ("['a' : 'b']", "lack a comma"),
        ("['it's', 'b']", "not a list"),
        ("[a ball, a cat]", "not a list"),
        ("a ball; a cat", "not a list"),
        ("['a' + 'b', 'c']", "not a list"),
        ("__import__('os').listdir()", "not a list"),
        ("['a'", "not a list"),
        ("[" * 3000, "not a list"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(cell: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^(are|hold|lack)") as caught:
        read_options(cell)
    assert words in str(caught.value)


@pytest.mark.parametrize("column", ["candidates", "options", "choices", "Options", "answer_choices", " CANDIDATES "])
def test_a_column_of_lists_is_known_by_several_names(tmp_path: Path, column: str) -> None:
    path = csv_file(tmp_path, f"video,question,{column},answer", "a,q,\"['A. a ball' 'B. a cat']\",B")
    (sample,) = read_table(path)
    assert (sample.candidates, sample.answer) == (("a ball", "a cat"), "B")
    assert sample.row[column.strip()] == "['A. a ball' 'B. a cat']"


@pytest.mark.parametrize(
    "columns",
    [
        *("A,B,C", "a,b,c", "A,b,C", "(A),(B),(C)", "a0,a1,a2", "opt1,opt2,opt3", "option1,option2,option3"),
        *("option_a,option_b,option_c", "Option A,Option B,Option C", "optionA,optionB,optionC"),
        *("option 0,option 1,option 2", "choice_a,choice_b,choice_c", "candidate-1,candidate-2,candidate-3"),
        "answer_option_a,answer_option_b,answer_option_c",
    ],
)
def test_columns_in_a_row_are_options_in_the_order_of_their_labels(tmp_path: Path, columns: str) -> None:
    first, second, third = columns.split(",")
    path = csv_file(tmp_path, f"video,question,{third},{first},{second},answer", "a,q,leaf,ball,cat,B", "a,q,,x,y,x")
    assert [s.candidates for s in read_table(path)] == [("ball", "cat", "leaf"), ("x", "y")]


@pytest.mark.parametrize(
    ("columns", "cells", "words"),
    [
        ("A,B,D", "x,y,z", "'A', 'B', 'D'"),
        ("option_b,option_c", "x,y", "'option_b', 'option_c'"),
        ("choice_a,note", "x,y", "'choice_a'"),
        ("option1,option2,option4", "x,y,z", "'option4'"),
        ("A,a,b", "x,y,z", "'A' and 'a' are the same option"),
        ("A,B,options", "x,y,\"['x', 'y']\"", "keep one of them"),
        ("candidates,options", "\"['x', 'y']\",\"['x', 'y']\"", "keep one of them"),
        ("A,B,option_1,option_2", "x,y,x,y", "keep one of them"),
        ("options,n", "a ball; a cat,1", "options are not a list"),
        ("options,n", '"{""text"": [""x""]}",1', "options are not a list"),
    ],
)
def test_options_that_cannot_be_read_are_named(tmp_path: Path, columns: str, cells: str, words: str) -> None:
    found = problems(csv_file(tmp_path, f"video,question,{columns},answer", f"a,q,{cells},A"))
    assert len(found) == 1 and words in found[0]


@pytest.mark.parametrize(
    ("columns", "cells", "answers"),
    [
        ("ans_a,ans_b,ans_c", "ball,cat,leaf", ("B", "a", "(C)")),
        ("A_text,B_text,C_text", "ball,cat,leaf", ("B", "A", "C.")),
        ("选项A,选项B,选项C", "ball,cat,leaf", ("B", "A", "C")),
        ("sel1,sel2,sel3", "ball,cat,leaf", ("cat", "leaf", "ball")),
        ("1,2,3", "ball,cat,leaf", ("B", "A", "C")),
        ("1,2,3", "ball,cat,leaf", ("2", "1", "3")),
        ("b,c,d", "ball,cat,leaf", ("B", "D", "C")),
        ("mc_list,n", '"[""ball"", ""cat""]",1', ("B", "A", "A")),
        ("mc_list,n", "['ball' 'cat'],1", ("ball", "cat", "cat")),
        ("mc_options,n", "ball / cat / leaf,1", ("B", "A", "C")),
        ("mc_options,n", "['ball' 'cat' 'leaf'],1", ("1", "0", "2")),
        ("distractors,n", '"[""cat"", ""leaf""]",1', ("a ball", "the ball", "ball")),
        ("wrong_answer_1,wrong_answer_2", "cat,leaf", ("a ball", "the ball", "ball")),
        ("distractors_and_answer,n", "ball|cat|leaf,1", ("ball", "cat", "leaf")),
    ],
)
def test_columns_that_look_like_options_under_another_name_are_refused(
    tmp_path: Path, columns: str, cells: str, answers: Sequence[str]
) -> None:
    path = csv_file(tmp_path, f"video,question,{columns},answer", *(f"a,q,{cells},{answer}" for answer in answers))
    (found,) = problems(path)
    assert repr(columns.split(",")[0]) in found
    assert "candidates" in found and "A, B, C" in found


@pytest.mark.parametrize(
    ("columns", "cells", "answer"),
    [
        ("tags", '"[""x"", ""y""]"', "a cat"),
        ("time_reference", '"[2.0, 5.0]"', "B"),
        ("x,y,w,h", "1,2,3,4", "B"),
        ("x,y,w,h", "1,2,3,4", "a cat"),
        ("box_1,box_2,box_3", "10,20,30", "B"),
        ("option_score_1,option_score_2", "10,20", "a cat"),
        ("a4,b2", "x,y", "a cat"),
        ("source", "videos/park/a.mp4", "B"),
        ("num_options,question_type", "4,multiple choice", "B"),
        ("optional,choice_type", "yes,single", "B"),
    ],
)
def test_other_columns_are_no_options(tmp_path: Path, columns: str, cells: str, answer: str) -> None:
    (sample,) = read_table(csv_file(tmp_path, f"video,question,{columns},answer", f"a,q,{cells},{answer}"))
    assert sample.candidates == ()


def test_too_many_options_are_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    many = [f"option {i}" for i in range(27)]
    path.write_text(json.dumps({"video": "a", "question": "q", "candidates": many, "answer": "option 3"}) + "\n")
    assert problems(path) == ("line 1: 27 candidates, there are 26 letters",)


@pytest.mark.parametrize(
    ("question", "answer", "said", "verdict"),
    [
        ("Where? A. in B. out", "B", "B. out", Verdict.RIGHT),
        ("Who? A. he B. she", "A", "The answer is (A).", Verdict.RIGHT),
        ("Who? A. he B. she", "A", "B", Verdict.WRONG),
        ("Who? A. he B. she", "A", "Nobody.", Verdict.UNPARSED),
        ("Who?\n(A) he\n(B) she", "B. she", "(B)", Verdict.RIGHT),
        ("Who?\n(A) he\n(B) she", "(b)", "B", Verdict.RIGHT),
        ("Who? a) he b) she", "B. she", "b)", Verdict.RIGHT),
        ("Which letter is on the door?", "B", "It is B.", Verdict.RIGHT),
        ("Who is it?", "B. Obama", "B. Clinton", Verdict.WRONG),
        ("Which one is K?", "K", "k", Verdict.RIGHT),
        ("What?", "a cat", "A cat.", Verdict.RIGHT),
    ],
)
def test_an_answer_that_is_a_letter_is_looked_for_as_a_letter(
    question: str, answer: str, said: str, verdict: Verdict
) -> None:
    sample = Sample(id="1", video="a", question=question, answer=answer)
    scorer = TableBenchmark().scorer_for(sample)
    assert rule_scorer(str(scorer)).score(sample, said).verdict is verdict


def test_letters_without_options_are_remarked_on(tmp_path: Path) -> None:
    rows = ("a,Where? A. in B. out,B", "a,What?,a cat", "a,Which?,(c)", "a,Describe it.,")
    samples = read_table(csv_file(tmp_path, "video,question,answer", *rows))
    (remark,) = TableBenchmark().remarks(samples)
    assert remark.startswith("2 of 3 question(s) without options have a letter as their answer (index 0)")
    assert list(TableBenchmark().remarks(samples[1:2])) == []
    with_options = read_table(csv_file(tmp_path, "video,question,A,B,answer", "a,q,x,y,B"))
    assert list(TableBenchmark().remarks(with_options)) == []


@pytest.mark.parametrize("answer", ["0", "2", "3"])
def test_an_answer_that_is_the_number_of_an_option_is_refused_with_what_to_write(tmp_path: Path, answer: str) -> None:
    (problem,) = problems(csv_file(tmp_path, "video,question,A,B,C,answer", f"a,q,x,y,z,{answer}"))
    assert problem.startswith(f"line 2: answer '{answer}' is none of the candidates ['x', 'y', 'z']")
    assert problem.endswith("numbers are not places: write A for the first one")
