"""Help: short summaries that no terminal cuts, in groups, each command with examples that are right."""

import re
from typing import Any

import pytest
from typer.main import get_command

from tests.cli import Call
from tests.unit.test_docs import parse
from videval.cli.app import app
from videval.cli.commands import COMMANDS, MOST_SUMMARY, Command

ALL = [c for group in COMMANDS.values() for c in group]
GROUPS = ["Run", "Look", "Act", "Data", "Machine"]


def found(words: tuple[str, ...]) -> Any:
    """The command of these words."""
    command: Any = get_command(app)
    for word in words:
        command = command.get_command(None, word)
    return command


@pytest.mark.parametrize("command", ALL, ids=lambda c: c.name)
def test_a_summary_is_short_and_the_first_words_of_the_commands_own_help(command: Command) -> None:
    assert len(command.summary) <= MOST_SUMMARY and command.summary.endswith(".")
    assert found(command.words).help.startswith(command.summary.rstrip("."))


@pytest.mark.parametrize("example", [e for c in ALL for e in c.examples])
def test_every_example_parses(example: str) -> None:
    parse(re.sub(r"^VIDEVAL_\w+=\S+ ", "", example.partition(" > ")[0]))


@pytest.mark.parametrize("command", ALL, ids=lambda c: c.name)
def test_every_help_shows_two_examples_of_that_command(command: Command, videval: Call) -> None:
    said = videval(*command.words, "-h", columns=80)
    assert said.code == 0 and len(command.examples) >= 2
    assert said.lines[-len(command.examples) :] == [f"  {e}" for e in command.examples]
    assert all(f"videval {command.name}" in e for e in command.examples)


@pytest.mark.parametrize("command", ["enqueue", "run"])
def test_help_breaks_no_prompt_set_at_its_hyphen(command: str, videval: Call) -> None:
    assert "wording of paper, vlmevalkit or lmms-eval\n" in videval(command, "-h", columns=80).out


def test_at_80_columns_every_command_is_one_line_in_its_group_and_nothing_is_cut(videval: Call) -> None:
    said = videval("--help", columns=80)
    assert [line.rstrip(":") for line in said.lines if line.rstrip(":") in GROUPS] == GROUPS
    assert "..." not in said.out.partition("Run:")[2]
    for command in ALL:
        if len(command.words) == 1:
            assert any(line.split() == [command.name, *command.summary.split()] for line in said.lines)
    assert max(map(len, said.lines)) <= 80


@pytest.mark.parametrize("words", [("run",), ("list",), ("list", "runs"), ("db", "upgrade")])
def test_help_of_a_command_is_what_its_own_option_says(words: tuple[str, ...], videval: Call) -> None:
    helped, short, long = videval("help", *words), videval(*words, "-h"), videval(*words, "--help")
    assert helped.code == short.code == long.code == 0
    assert helped.out == short.out == long.out != ""


def test_help_alone_is_the_help_of_the_program(videval: Call) -> None:
    assert videval("help").out == videval("-h").out
    assert videval().err.splitlines() == videval("-h").out.splitlines()
