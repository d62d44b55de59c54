"""The pages say what is true: links resolve, commands parse, tables equal the code.

Run as a module, it prints the README's tables of commands and settings: `python -m tests.unit.test_docs`.
"""

import ast
import inspect
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from typer.main import get_command

import videval.models
import videval.scorers
from videval import errors, registry
from videval.cli import commands
from videval.cli.app import app
from videval.errors import ErrorKind, ModelFailure, RequestFailure, UsageError, VidevalError
from videval.models import catalog
from videval.protocols import Model, Scorer
from videval.settings import Settings
from videval.types import POLICIES, Clip, ModelSpec, Prompt, Sample, Text, Verdict, Video
from videval.video.sampling import POLICY, Policy

ROOT = Path(__file__).parents[2]
NAMES = ("README", "ARCHITECTURE", "GLOSSARY", "CONTRIBUTING", "CHANGELOG", "SECURITY")
PAGES = [ROOT / f"{name}.md" for name in NAMES] + [ROOT / "perf" / "RESULTS.md", *sorted((ROOT / "docs").glob("*.md"))]
README = ROOT / "README.md"
TOP_PACKAGES = ("videval", "workers", "dashboard", "migrations")
WORDS = (
    *("Benchmark", "Variant", "Sample", "Request", "Response", "Prediction", "Run", "Worker", "Engine", "Attempt"),
    *("Clip", "Task", "Companion", "Mark", "Sidecar", "Draft", "Load key", "Lease", "Strike", "Turn", "Low water"),
    *("Seat", "Coverage", "Unparsed", "Claim", "Fence", "Reconcile", "Ring", "Chore", "Spool", "Snapshot", "Span"),
    *("Policy", "Pack", "Device", "Device lock", "Lock domain", "Fleet", "Run card", "Run key", "Stage", "Protocol"),
    *("Ask", "Caller", "Model", "Server", "Batcher", "Flight", "Guilt", "Company"),
)
EXAMPLE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = ("console", "sh", "bash")


def text_of(page: Path) -> str:
    """A page without its comments; nothing if it is not there."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def prose_of(page: Path) -> str:
    """A page without comments and examples."""
    return EXAMPLE.sub("", text_of(page))


def table_rows(page: Path, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, each as its cells; without the table's own two first lines."""
    after = text_of(page).split(f"\n{heading}\n", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert lines, f"no table below {heading!r}"
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[0].splitlines()[2:]]


# links


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are commonly made."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


def links() -> Iterator[tuple[Path, str]]:
    """Every page with each of its links that stays in the repository."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
            if not re.match(r"[a-z]+:", target):
                yield page, target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_page_is_there(page: Path) -> None:
    assert page.is_file() and page.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize(("page", "target"), [*links()], ids=lambda v: v.name if isinstance(v, Path) else v)
def test_every_relative_link_resolves(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    assert there.exists(), f"{page.name} links to {target}, which is not there"
    assert there.is_relative_to(ROOT)
    if anchor:
        assert anchor in anchors(there), f"{page.name} links to {target}; headings: {sorted(anchors(there))}"


# commands


def example_lines(page: Path) -> Iterator[str]:
    """Every command line of a page's shell examples, continued lines joined, prompts and comments taken off."""
    for kind, body in EXAMPLE.findall(text_of(page)):
        if kind in SHELLS:
            for line in body.replace("\\\n", " ").splitlines():
                said = line.strip()
                if kind != "console" or said.startswith("$ "):
                    yield said.removeprefix("$ ")


def said_commands(page: Path) -> Iterator[str]:
    """Every `videval ...` command of a page, from its examples and from its prose, where a name alone may stand."""
    inline = re.findall(r"`([^`\n]+)`", prose_of(page))
    for line in (*example_lines(page), *inline):
        for command in re.split(r"&&|\|\||[|;>]|\s#\s", line):
            words = re.sub(r"^\s*(?:[A-Z][A-Z_]*=\S*\s+)*", "", command)
            if re.match(r"videval\s+[a-z-]", words):
                yield words.strip()


def parse(command: str) -> None:
    """Parse a `videval ...` command as typed and run nothing; a command's name alone only has to exist."""
    current: Any = get_command(app)
    words = shlex.split(command, comments=True)[1:]
    if words[:1] in (["--version"], ["--install-completion"]):
        return
    while hasattr(current, "list_commands"):
        assert words and words[0] in current.list_commands(None), f"{command!r}: no such command"
        current = current.get_command(None, words.pop(0))
    if not words:
        return
    try:
        current.make_context(command, words)
    except Exception as error:
        raise AssertionError(f"{command!r}: {type(error).__name__}: {error}") from error


COMMANDS = sorted({(p.name, c) for p in PAGES for c in said_commands(p)})


def test_a_command_that_does_not_exist_is_noticed() -> None:
    for wrong in ("videval nosuch", "videval export RUN --nosuch", "videval db nosuch", "videval fleet --devices"):
        with pytest.raises(AssertionError):
            parse(wrong)


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=lambda v: v)
def test_every_command_of_the_pages_parses_with_its_options(page: str, command: str) -> None:
    parse(command)


def command_rows() -> list[list[str]]:
    """The README's table of commands, as the code has it."""
    return [
        [f"`videval {c.name}`", c.summary, f"`{c.examples[-1]}`"] for group in commands.COMMANDS.values() for c in group
    ]


def test_the_table_of_commands_is_that_of_the_code() -> None:
    assert table_rows(README, "## Commands") == command_rows(), as_markdown(command_rows())


def test_the_readme_names_every_command() -> None:
    said = text_of(README)
    missing = [name for name in get_command(app).list_commands(None) if f"videval {name}" not in said]  # type: ignore[attr-defined]
    assert not missing


def test_every_make_target_of_the_pages_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    said = {m for page in PAGES for m in re.findall(r"(?:^|`|\$ )make ([a-z]+)", text_of(page), re.MULTILINE)}
    assert {"demo", "test", "lint"} <= said
    assert said <= targets


def test_the_worker_is_started_as_celery_wants_it() -> None:
    said = [line for page in PAGES for line in example_lines(page) if "celery " in line]
    assert said
    assert all(re.search(r"\bcelery -A workers worker\b", line) for line in said)


# "Add a model" and "Add a scorer", to the letter ("Add a benchmark" has a test file of its own)


def section_blocks(heading: str) -> list[str]:
    """The Python examples of a section of the contributors' page."""
    after = text_of(ROOT / "CONTRIBUTING.md").split(f"\n{heading}\n", 1)[1]
    return re.findall(r"^```python\n(.*?)^```", re.split(r"\n## ", after)[0], re.MULTILINE | re.DOTALL)


def add_file(block: str, package: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the file of an example into a package of ours, for one test."""
    path = re.match(r"# ([\w/]+)/(\w+)\.py\n", block)
    assert path, "the block begins with the file's path"
    assert path[1] == package.__name__.replace(".", "/")
    (folder / f"{path[2]}.py").write_text(block, encoding="utf-8")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])


def filled_clip(path: Path, level: int) -> Clip:
    """A clip of two frames in one grey."""
    np.save(path, np.full((2, 4, 6, 3), level, dtype=np.uint8))
    return Clip(
        path=str(path), frame_numbers=(0, 1), timestamps=(0.0, 0.1), total_frames=2, fps=10.0, width=6, height=4,
        decoder="test", policy="interior",
    )  # fmt: skip


def test_the_model_of_the_contributors_page_loads_and_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, line = section_blocks("## Add a model")
    add_file(file, videval.models, tmp_path, monkeypatch)
    spec = eval(line, {"ModelSpec": ModelSpec})
    monkeypatch.setattr(catalog, "MODELS", {**catalog.MODELS, spec.name: spec})
    model = catalog.load_model(catalog.model_spec(spec.name), devices=["cpu"])
    assert isinstance(model, Model)
    assert model.describe()["dtype"] == "float32"
    with pytest.raises(ModelFailure, match="clip"):
        model.prepare(Prompt(parts=(Text(text="?"),)), spec.generation)
    for level, said in ((200, "bright"), (20, "dark")):
        prompt = Prompt(parts=(Text(text="?"), Video()), clips=(filled_clip(tmp_path / f"{said}.npy", level),))
        (answer,) = model.generate([model.prepare(prompt, spec.generation)])
        assert answer.text == said
    sys.modules.pop("videval.models.brightness", None)


def test_the_scorer_of_the_contributors_page_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, line = section_blocks("## Add a scorer")
    add_file(file, videval.scorers, tmp_path, monkeypatch)
    ((name, target),) = ast.literal_eval(f"{{{line}}}").items()
    scorer = registry.resolve(target)()
    assert isinstance(scorer, Scorer) and scorer.name == name
    sample = Sample(id="7", video="a.mp4", question="?", answer="A red")
    assert [scorer.score(sample, text).verdict for text in ("a red car", "a car", "...")] == [
        Verdict.RIGHT,
        Verdict.WRONG,
        Verdict.UNPARSED,
    ]
    with pytest.raises(UsageError, match="sample 7"):
        scorer.score(Sample(id="7", video="a.mp4", question="?"), "a")
    sys.modules.pop("videval.scorers.prefix", None)


# settings


def default_of(field: FieldInfo) -> str:
    """A default as the table shows it."""
    value = "~/.local/share/videval" if field.default_factory else field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


UNDESCRIBED = {
    "load_deadline": "seconds that loading a model may take",
    "decode_deadline": "seconds that decoding one clip may take",
    "generate_deadline": "seconds that generating one batch may take",
    "dashboard_password": "asked for by the dashboard; needed to listen on other addresses than 127.0.0.1",
    "dashboard_allow_actions": "let the dashboard change runs (set by --allow-actions)",
}
"""What the table says of a field that has no description of its own."""


def settings_rows() -> list[list[str]]:
    """The README's table of settings, as the code has it."""
    return [
        [f"`VIDEVAL_{name.upper()}`", default_of(field), field.description or UNDESCRIBED[name]]
        for name, field in Settings.model_fields.items()
    ]


def as_markdown(rows: list[list[str]], head: Sequence[str] = ("variable", "default", "what it is")) -> str:
    """A table as it stands in the README."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def test_the_table_of_settings_is_that_of_the_code() -> None:
    assert table_rows(README, "## Settings") == settings_rows(), as_markdown(settings_rows())


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    known = {f"VIDEVAL_{name.upper()}" for name in Settings.model_fields}
    elsewhere = (ROOT / "videval" / "models" / "fake.py", ROOT / "docker-compose.yml")
    others = {name for file in elsewhere for name in re.findall(r"VIDEVAL_[A-Z_]+", file.read_text(encoding="utf-8"))}
    said = {name for page in PAGES for name in re.findall(r"\bVIDEVAL_[A-Z][A-Z_]*[A-Z]\b", text_of(page))}
    assert said <= known | others


# the table of policies


def policy_rows() -> list[list[str]]:
    """The README's rows: a policy, its amounts, which frames it shows, its constants, its source."""
    amounts = {"num_frames": "count", "fps": "rate"}
    return [
        [f"`{name}`", " or ".join(amounts[a] for a in POLICIES[name]), row.about, constants_of(row), row.source]
        for name, row in POLICY.items()
    ]


def constants_of(row: Policy) -> str:
    rules = [
        f"fps {rule.fps:g} {f'up to {rule.up_to:g} s' if rule.up_to else 'beyond'}"
        for rule in row.constants.get("by_length", ())
    ]
    said = [f"{name} {value:g}" for name, value in row.constants.items() if name != "by_length"]
    return ", ".join([*rules, *said]) or "none"


def test_the_table_of_policies_is_that_of_the_code() -> None:
    assert table_rows(README, "### Which frames") == policy_rows(), as_markdown(policy_rows())


# what happens when


def is_a_test(name: str) -> bool:
    """Whether `FILE::FUNCTION`, below tests/, names a test that exists."""
    path, _, function = name.partition("::")
    file = ROOT / "tests" / path
    tree = ast.parse(file.read_text(encoding="utf-8") if file.is_file() else "")
    return function.startswith("test_") and any(
        isinstance(node, ast.FunctionDef) and node.name == function for node in ast.walk(tree)
    )


def test_every_row_of_what_happens_when_names_a_test_that_exists() -> None:
    rows = table_rows(README, "## What happens when ...")
    assert rows
    assert not [row[-1] for row in rows if not is_a_test(row[-1].strip("`"))]


# words, files and figures


@pytest.mark.parametrize("word", WORDS)
def test_the_glossary_has_every_word_of_the_design(word: str) -> None:
    known = re.findall(r"^\| \*\*(.+?)\*\* \|", text_of(ROOT / "GLOSSARY.md"), re.MULTILINE)
    assert known.count(word) == 1


def test_every_module_that_the_pages_name_exists() -> None:
    said = {
        (page.name, path)
        for page in PAGES
        if page.name in ("ARCHITECTURE.md", "GLOSSARY.md", "SECURITY.md")
        for path in re.findall(r"`((?:videval|workers|dashboard|migrations|tests|tools|perf)/[\w/.]*)`", text_of(page))
    }
    assert said
    assert not [pair for pair in said if not (ROOT / pair[1]).exists()]


def test_every_perf_script_has_a_section_in_the_results() -> None:
    said = text_of(ROOT / "perf" / "RESULTS.md")
    scripts = [p.name for p in (ROOT / "perf").glob("*.py") if "__main__" in text_of(p)]
    assert scripts
    assert not [name for name in scripts if f"## `perf/{name}`" not in said]


def test_the_pages_name_no_place_of_one_machine() -> None:
    for page in PAGES:
        assert not re.search(r"/(?:work|home|root)/\w|/Users/", text_of(page)), page.name


# errors


def drawn_tree() -> dict[str, tuple[str, str]]:
    """Error class -> its parent and what is said beside it, as the module's docstring draws it."""
    found: dict[str, tuple[str, str]] = {}
    above: list[str] = []
    for line in inspect.getdoc(errors).split("::", 1)[1].splitlines():  # type: ignore[union-attr]
        match = re.match(r"( *(?:[│ ] {3})*(?:[├└]── )?)(\w+)(.*)", line)
        if match:
            depth = len(match[1].removeprefix("    ")) // 4
            above = [*above[:depth], match[2]]
            found[match[2]] = (above[-2] if depth else "Exception", match[3])
    return found


def error_classes() -> dict[str, type[VidevalError]]:
    """Every error class of the module."""
    return {n: c for n, c in vars(errors).items() if inspect.isclass(c) and issubclass(c, VidevalError)}


def test_the_error_tree_is_drawn_as_it_is() -> None:
    assert {name: parent for name, (parent, _) in drawn_tree().items()} == {
        name: cls.__bases__[0].__name__ for name, cls in error_classes().items()
    }


def test_the_error_tree_says_the_right_exit_codes_and_kinds() -> None:
    known = error_classes()
    for name, (_, said) in drawn_tree().items():
        if code := re.search(r"exit code (\d)", said):
            assert known[name].exit_code == int(code[1])
        if kind := re.search(r"kind (\w+)", said):
            cls = known[name]
            assert issubclass(cls, RequestFailure)
            assert cls.kind == kind[1]
    assert {k.value for k in ErrorKind} == {m for _, s in drawn_tree().values() for m in re.findall(r"kind (\w+)", s)}


def test_all_error_classes_are_public() -> None:
    assert set(errors.__all__) == {*error_classes(), "ErrorKind", "Released", "DiedInCompany", "as_failure"}
    assert errors.__all__ == sorted(errors.__all__)


def test_the_readme_says_the_exit_codes_of_the_error_tree() -> None:
    said = {int(row[0].strip("`")) for row in table_rows(README, "## Exit codes")}
    assert {cls.exit_code for cls in error_classes().values()} | {0} <= said


# the compose file and the unit


COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def test_the_compose_file_has_its_services() -> None:
    services = COMPOSE["services"]
    assert {"redis", "postgres", "dashboard"} <= set(services)
    gpus = [s for name, s in services.items() if name.startswith("gpu")]
    assert gpus
    for service in gpus:
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"] and len(device["device_ids"]) == 1


def test_the_commands_of_the_compose_file_parse() -> None:
    commands = [c for s in COMPOSE["services"].values() if (c := s.get("command", "")).startswith("videval ")]
    assert len(commands) >= 2
    for command in commands:
        parse(command)


def test_the_compose_file_sets_only_settings_that_exist() -> None:
    known = {f"VIDEVAL_{name.upper()}" for name in Settings.model_fields}
    for service in COMPOSE["services"].values():
        environment = service.get("environment", {})
        assert {name for name in environment if name.startswith("VIDEVAL_")} <= known


def test_the_services_of_the_compose_file_wait_for_services_that_say_when_they_are_well() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        for name in service.get("depends_on", {}):
            assert "healthcheck" in services[name]


def test_the_unit_file_starts_a_fleet_and_stops_it_gently() -> None:
    unit = (ROOT / "docs" / "videval-fleet.service").read_text(encoding="utf-8")
    command = re.search(r"^ExecStart=\S*/(videval .*)$", unit, re.MULTILINE)
    assert command
    parse(command[1])
    assert "KillMode=mixed" in unit
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert stop and int(stop[1]) > Settings.model_fields["generate_deadline"].default


# the wheel


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def files_of(top: str) -> set[Path]:
    """Every file of a package that is not made by running it."""
    return {p for p in (ROOT / top).rglob("*") if p.is_file() and "__pycache__" not in p.parts}


def carried(top: str) -> set[Path]:
    """The files of a package that setuptools puts into the wheel: modules of packages, and package data."""
    patterns = PROJECT["tool"]["setuptools"]["package-data"].get(top, [])
    data = {p for pattern in patterns for p in (ROOT / top).glob(pattern)}
    return data | {p for p in files_of(top) if p.suffix == ".py" and (p.parent / "__init__.py").is_file()}


@pytest.mark.parametrize("top", TOP_PACKAGES)
def test_the_wheel_carries_every_file_of_its_packages(top: str) -> None:
    assert f"{top}*" in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    left_out = sorted(str(p.relative_to(ROOT)) for p in files_of(top) - carried(top))
    assert not left_out


def test_the_wheel_carries_the_migrations() -> None:
    names = {p.name for p in carried("migrations")}
    assert {"env.py", "script.py.mako"} <= names
    assert any(name.startswith("0001_") for name in names)


def test_the_readme_is_the_packages_description_and_says_its_python() -> None:
    assert PROJECT["project"]["readme"] == "README.md"
    assert f"Python {PROJECT['project']['requires-python'].removeprefix('>=')}" in text_of(README)


if __name__ == "__main__":
    sys.stdout.write(as_markdown(command_rows(), ("command", "what it does", "for example")) + "\n")
    sys.stdout.write(as_markdown(settings_rows()) + "\n")
    sys.stdout.write(as_markdown(policy_rows(), ("policy", "takes", "which frames", "constants", "source")))
