"""Commands that are imported when they are used: a name, a summary and a place are enough for help and completion."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from typer import Exit, Typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from videval.cli.commands import SUMMARIES, Command, Groups, beginning_with
from videval.cli.console import errors
from videval.errors import UnknownName, UsageError

__all__ = ["HELP_OPTIONS", "LazyCommand", "LazyGroup"]

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


class LazyCommand(TyperCommand):
    """A command whose help ends in examples."""

    examples: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse; an error knows the command that it is about."""
        try:
            return super().parse_args(ctx, _spread(args, self.lists))
        except TyperException as error:
            error.ctx = getattr(error, "ctx", None) or ctx  # type: ignore[attr-defined]
            raise

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, each on a line of its own."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{' ' * formatter.current_indent}{example}\n")


def _spread(args: list[str], lists: tuple[str, ...]) -> list[str]:
    """`--data A B --model X Y` with its option before each word; where the last of these options is not there, words
    stand for what they always did."""
    if not lists or not any(arg.partition("=")[0] == lists[-1] for arg in args):
        return args
    spread, option = list[str](), ""
    for arg in args:
        if arg.startswith("-"):
            name = arg.partition("=")[0]
            option = name if name in lists else ""
        elif option and spread[-1] != option:
            spread.append(option)
        spread.append(arg)
    return spread


class LazyGroup(TyperGroup):
    """The commands that begin with `words`; only the one that is used is imported."""

    words: tuple[str, ...] = ()

    @property
    def known(self) -> Groups:
        """The commands of this group."""
        return beginning_with(self.words)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse; nothing at all is answered with the help."""
        if not args and not ctx.resilient_parsing:
            errors.print(ctx.get_help(), markup=False, soft_wrap=True)
            raise Exit(2)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """The next word of every command."""
        return list(dict.fromkeys(name for _, name, _ in self._lines()))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and build a command; None if there is none of this name."""
        words = (*self.words, cmd_name)
        found = [c for group in beginning_with(words).values() for c in group]
        if not found:
            return None
        return _built(found[0]) if found[0].words == words else _group(words)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that was typed; UsageError with close matches if there is none."""
        if ctx.resilient_parsing or args[0].startswith("-") or args[0] in self.list_commands(ctx):
            return super().resolve_command(ctx, args)
        error = UnknownName("command", args[0], self.list_commands(ctx))
        here = " ".join(("videval", *self.words))
        raise error if error.close_matches else UsageError(str(error), hint=f"{here} --help lists the commands")

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write names and summaries by group; nothing is imported."""
        width = max(len(name) for _, name, _ in self._lines())
        for title in self.known:
            lines = [(name.ljust(width), summary) for t, name, summary in self._lines() if t == title]
            with formatter.section("Commands" if self.words else title):
                formatter.write_dl(list(dict.fromkeys(lines)))

    def _lines(self) -> Iterator[tuple[str, str, str]]:
        """(group, next word, summary) of every command; those with more words to come are one line."""
        depth = len(self.words)
        for title, group in self.known.items():
            for c in group:
                is_last = len(c.words) == depth + 1
                yield title, c.words[depth], c.summary if is_last else SUMMARIES[c.words[depth]]


def _group(words: tuple[str, ...]) -> LazyGroup:
    group = LazyGroup(
        name=words[-1],
        help=SUMMARIES[words[-1]],
        rich_markup_mode=None,
        context_settings=HELP_OPTIONS,
    )
    group.words = words
    return group


def _built(command: Command) -> LazyCommand:
    module, _, function = command.target.partition(":")
    app = Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    target = getattr(import_module(module), function)
    app.command(command.words[-1], cls=LazyCommand, context_settings=HELP_OPTIONS)(target)
    built = get_command(app)
    assert isinstance(built, LazyCommand)
    built.examples = command.examples
    built.lists = getattr(target, "lists", ())
    return built
