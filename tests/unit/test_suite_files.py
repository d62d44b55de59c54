"""Lists that are crossed and suite files: what they mean, and what is refused before anything is written."""

import json
from pathlib import Path

import pytest
from typer import Typer
from typer.main import get_command

from tests.cli import Call, caller
from videval.cli.asked import takes_suite
from videval.cli.lazy import LazyCommand
from videval.errors import UsageError
from videval.options import Asked, Suite
from videval.suites.crossing import crossed, source
from videval.suites.files import read_suite

NOTHING = Asked(what=None, model=None)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two tables, in which commands are typed."""
    for name in ("a.tsv", "b.tsv"):
        (tmp_path / name).write_text("index\tvideo\tquestion\n1\tv.mp4\tWhat?\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(*words: str) -> list[tuple[str | None, str | None, str | None]]:
    """What a command line asks for: (variant, table, model) of each run."""
    found: list[Suite] = []
    commands = Typer(add_completion=False)
    commands.command(cls=LazyCommand)(takes_suite(found.append))
    built = get_command(commands)
    assert isinstance(built, LazyCommand)
    built.lists = ("--data", "--model")
    built.main([*words], standalone_mode=False)
    return [(c.what, str(c.data) if c.data else None, c.model) for c in found[0].cells]


def suite(here: Path, text: str) -> Suite:
    """A suite file of this text."""
    (here / "suite.toml").write_text(text)
    return read_suite(Path("suite.toml"))


# lists on the command line


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        (["a.tsv", "fake"], [("a.tsv", None, "fake")]),
        (["--data", "a.tsv", "fake"], [(None, "a.tsv", "fake")]),
        (["fake", "--data", "a.tsv"], [(None, "a.tsv", "fake")]),
        (["--data", "MVBench_8frame", "fake"], [("MVBench_8frame", None, "fake")]),
        (["a.tsv", "--model", "x", "y"], [(None, "a.tsv", "x"), (None, "a.tsv", "y")]),
        (["--data", "a.tsv", "--data", "b.tsv", "x"], [(None, "a.tsv", "x"), (None, "b.tsv", "x")]),
        (["--data=a.tsv", "--model=x", "y"], [(None, "a.tsv", "x"), (None, "a.tsv", "y")]),
        (["--data", "a.tsv", "--limit", "3", "--model", "x"], [(None, "a.tsv", "x")]),
    ],
)
def test_what_is_typed_is_what_is_asked(here: Path, words: list[str], runs: list[object]) -> None:
    assert typed(*words) == runs


def test_lists_are_crossed_as_run_py_does(here: Path) -> None:
    assert typed("--data", "a.tsv", "MVBench_8frame", "--model", "x", "y") == [
        (None, "a.tsv", "x"),
        (None, "a.tsv", "y"),
        ("MVBench_8frame", None, "x"),
        ("MVBench_8frame", None, "y"),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.tsv"], "which model?"),
        (["--data", "a.tsv", "b.tsv", "--model", "x", "x"], "a.tsv x is asked for twice"),
        (["a.tsv", "x", "--model", "y"], "models stand behind --model or after the variant, not both"),
        (["a.tsv", "--data", "b.tsv", "--model", "y"], "questions stand behind --data or come first, not both"),
        (["--model", "x"], "the list of what is asked is empty"),
        (["nosuch.toml", "--model", "x"], "nosuch.toml names its models and variants itself"),
    ],
)
def test_what_cannot_be_crossed_is_refused(here: Path, words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        typed(*words)


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(UsageError, match="the list of models is empty"):
        crossed(NOTHING, what=["a.tsv"], models=[])


def test_a_name_that_is_a_variant_is_one_although_a_folder_is_called_so(here: Path) -> None:
    (here / "MVBench_8frame").mkdir()
    (here / "questions").mkdir()
    assert source("MVBench_8frame") == {"what": "MVBench_8frame", "data": None}
    assert source("questions") == {"what": None, "data": Path("questions")}


# suite files


def test_lists_settings_and_exceptions_make_the_runs(here: Path) -> None:
    found = suite(
        here,
        """
        models = ["x", "y"]
        variants = ["MVBench_8frame", "a.tsv"]
        [settings]
        max_new_tokens = 64
        stop = ["END"]
        temperature = 1
        [[except]]
        variant = "a.tsv"
        frames = 4
        [[except]]
        model = "y"
        variant = "a.tsv"
        frames = 2
        [[except]]
        model = "y"
        variant = "MVBench_8frame"
        skip = true
        """,
    )
    facts = [(c.what or str(c.data), c.model, c.frames, c.max_new_tokens, c.stop) for c in found.cells]
    assert facts == [
        ("MVBench_8frame", "x", None, 64, ("END",)),
        ("a.tsv", "x", 4, 64, ("END",)),
        ("a.tsv", "y", 2, 64, ("END",)),
    ]
    assert found.name == "suite" and repr(found.cells[0].temperature) == "1.0"


def test_recipes_name_models_and_variants_themselves(here: Path) -> None:
    found = suite(here, 'recipes = ["qwen2.5-vl-7b/lvbench@team-2025-02"]')
    assert [(c.what, c.model, c.recipe) for c in found.cells] == [(None, None, "qwen2.5-vl-7b/lvbench@team-2025-02")]


def test_paths_are_relative_to_the_file(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (here / "suite.toml").write_text(
        'models = ["hf_chat:./weights"]\nvariants = ["a.tsv"]\nsettings = { data_root = "videos" }\n'
    )
    found = read_suite(here / "suite.toml").cells[0]
    assert (found.data, found.data_root) == (here / "a.tsv", here / "videos")
    assert found.model == f"hf_chat:{here / 'weights'}"


LISTS = 'models = ["x"]\nvariants = ["a.tsv"]\n'


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("models = [", "is not TOML", ""),
        ("", "has no models", "models = "),
        ('models = ["x"]', "has no variants", "variants = "),
        ('models = []\nvariants = ["a.tsv"]', "models must be a list of names", ""),
        ('models = "x"\nvariants = ["a.tsv"]', "models must be a list of names", ""),
        ('models = ["x", "x"]\nvariants = ["a.tsv"]', "models names x twice", ""),
        ('models = ["x"]\nvariants = ["a.tsv", "./a.tsv"]', "a.tsv x is asked for twice", ""),
        ('modles = ["x"]\nvariants = ["a.tsv"]', "unknown key 'modles'", 'models = ["x"]'),
        (f"{LISTS}[settings]\nmax_new_token = 3", "unknown key 'max_new_token'", "max_new_tokens = 3"),
        (f"{LISTS}[settings]\nmax_new_tokens = 0", "max_new_tokens is at least 1, not 0", ""),
        (f"{LISTS}[settings]\npriority = 9", "priority is at most 3, not 9", ""),
        (f'{LISTS}[settings]\nmax_new_tokens = "3"', "must be a whole number, not '3'", ""),
        (f"{LISTS}[settings]\nmax_new_tokens = true", "must be a whole number, not True", ""),
        (f"{LISTS}[settings]\ntemperature = nan", "must be a finite number", ""),
        (f'{LISTS}[settings]\nstop = "END"', "must be a list of texts", ""),
        (f"{LISTS}[settings]\nnew = true", "unknown key 'new'", ""),
        (f"{LISTS}settings = 3", "must be a table", ""),
        (f"{LISTS}except = 3", "except must be tables", ""),
        (f"{LISTS}[[except]]\nframes = 3", "does not say for which runs", ""),
        (f'{LISTS}[[except]]\nvariant = "b.tsv"\nframes = 3', "variants has no 'b.tsv'", "variant = 'a.tsv'"),
        (f'{LISTS}[[except]]\nmodel = "x"\nframe = 3', "unknown key 'frame'", "frames = 3"),
        (f'{LISTS}[[except]]\nmodel = "x"\nskip = "yes"', "skip must be true or false", ""),
        (f'{LISTS}[[except]]\nmodel = "x"\nskip = true', "every run is skipped", ""),
        (f"name = 3\n{LISTS}", "name must be a text", ""),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_what_is_right(here: Path, text: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        suite(here, text)
    assert said in str(refused.value)
    assert hint in refused.value.hint


def test_a_file_that_is_not_there_or_no_text_is_refused(here: Path) -> None:
    with pytest.raises(UsageError, match=r"gone.toml: No such file"):
        read_suite(here / "gone.toml")
    (here / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not TOML"):
        read_suite(here / "bytes.toml")


def test_the_same_run_in_other_words_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call: Call = caller(here / "home", monkeypatch, capsys)
    (here / "c.tsv").write_text((here / "a.tsv").read_text())
    (here / "sub").mkdir()
    (here / "sub" / "a.tsv").write_text((here / "a.tsv").read_text())
    found = call("enqueue", "--data", "a.tsv", "sub/a.tsv", "--model", "fake")
    assert found.code == 2
    assert "a.tsv fake and sub/a.tsv fake are the same run" in found.err


def test_an_unknown_mode_is_refused_with_those_that_there_are(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call: Call = caller(here / "home", monkeypatch, capsys)
    found = call("run", "a.tsv", "fake", "--mode", "both")
    assert (found.code, found.out) == (2, "")
    assert "unknown mode 'both'" in found.err and "-> one of all, infer, eval" in found.err


def test_what_was_never_asked_is_not_evaluated(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call: Call = caller(here / "home", monkeypatch, capsys)
    found = call("run", "a.tsv", "fake", "--mode", "eval")
    assert found.code == 2
    assert "nothing was asked yet of a.tsv fake" in found.err


def test_the_scores_of_a_suite_that_was_never_asked_say_so(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call: Call = caller(here / "home", monkeypatch, capsys)
    (here / "suite.toml").write_text(LISTS.replace('"x"', '"fake", "fake_server:2"'))
    table = call("score", "suite.toml")
    assert table.code == 0
    assert [line.split() for line in table.lines[:3]] == [
        ["model", "a_8frame"],
        ["fake", "not", "begun*"],
        ["fake_server-2", "not", "begun*"],
    ]
    found = json.loads(call("score", "suite.toml", "--json").out)
    assert [(f["model"], f["run"], f["finished"]) for f in found] == [
        ("fake", None, False),
        ("fake_server-2", None, False),
    ]


def test_options_of_the_command_line_count_before_the_file(here: Path) -> None:
    (here / "suite.toml").write_text(f"{LISTS}[settings]\nlimit = 9\nframes = 2\n")
    found: list[Suite] = []
    commands = Typer(add_completion=False)
    commands.command()(takes_suite(found.append))
    get_command(commands).main(["suite.toml", "--limit", "3"], standalone_mode=False)
    assert [(c.limit, c.frames) for c in found[0].cells] == [(3, 2)]


@pytest.mark.parametrize(
    "words",
    [
        ("run", "~nobody-here/suite.toml", "--dry-run"),
        ("run", "of_table.toml", "--dry-run"),
        ("run", "of_root.toml", "--dry-run"),
        ("enqueue", "--data", "~nobody-here/a.tsv", "fake", "--frames", "4"),
        ("import", "~nobody-here/a.tsv"),
    ],
)
def test_the_home_of_nobody_is_a_path_that_is_not_there(
    words: tuple[str, ...], here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = 'models = ["fake"]\nvariants = ["{}"]\n'
    (here / "of_table.toml").write_text(lists.format("~nobody-here/a.tsv"))
    settings = '[settings]\nframes = 4\ndata_root = "~nobody-here/videos"\n'
    (here / "of_root.toml").write_text(lists.format("a.tsv") + settings)
    said = caller(here / "home", monkeypatch, capsys)(*words)
    assert said.code in (2, 3) and "~nobody-here" in said.err  # 3: data that is not there


def test_a_number_that_no_column_holds_is_refused(here: Path) -> None:
    with pytest.raises(UsageError, match="limit is at most 1,000,000,000"):
        suite(here, 'models = ["fake"]\nvariants = ["a.tsv"]\n[settings]\nlimit = 99999999999999999999\n')
