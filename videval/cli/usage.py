"""Usage errors in one style, whoever found them: what is wrong, then a line that is right."""

import re
from typing import Any

from videval.errors import UnknownName, UsageError
from videval.words import in_our_words, what_is_right

__all__ = ["as_usage_error"]


def as_usage_error(error: Any) -> UsageError:
    """What the parser of the command line found, in our words; the hint is a line that is right."""
    told = UsageError(_what(error), hint=f"{_path(error)} --help")
    name = type(error).__name__
    if name == "NoSuchOption":
        return _unknown_option(error, told)
    if name == "MissingParameter" and (examples := getattr(error.ctx.command, "examples", ())):
        told.hint = f"for example: {examples[0]}"
    return told


def _path(error: Any) -> str:
    path = error.ctx.command_path if getattr(error, "ctx", None) is not None else ""
    return str(path) or "videval"


def _what(error: Any) -> str:
    name = type(error).__name__
    if name == "MissingParameter":
        return f"{_called(error.param)} is missing"
    if name == "BadParameter" and error.param is not None:
        return _bad_value(error)
    if match := re.match(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)$", error.message):
        return f"nothing is to be done with {match[1]!r}"
    if match := re.match(r"Option '(.+)' requires an argument", error.message):
        return f"{match[1]} needs a value"
    if match := re.match(r"Option '(.+)' does not take a value", error.message):
        return f"{match[1]} takes no value"
    return in_our_words(error.format_message())


def _called(param: Any) -> str:
    """An option as it is typed, an argument as the help names it."""
    return str(max(param.opts, key=len)) if param.param_type_name == "option" else str(param.name).upper()


def _bad_value(error: Any) -> str:
    found = getattr(error.__cause__, "errors", None)
    if found is None:
        return f"{_called(error.param)}: {in_our_words(error.message)}"
    problem = found()[0]
    return f"{_called(error.param)} is {what_is_right(problem)}, not {str(problem['input'])!r}"


def _unknown_option(error: Any, told: UsageError) -> UsageError:
    known = [o for p in error.ctx.command.get_params(error.ctx) for o in (*p.opts, *p.secondary_opts) if o[0] == "-"]
    unknown = UnknownName("option", error.option_name, known)
    message = f"unknown option {error.option_name}"
    return UsageError(message, hint=unknown.hint if unknown.close_matches else told.hint)
