"""The options that `enqueue` and `run` share, made of the fields of `Asked`; both are handed the record."""

import inspect
from collections.abc import Callable
from typing import Any, Concatenate

import typer

from videval.cli import complete
from videval.errors import UsageError
from videval.options import Asked, OptionField, options

__all__ = ["takes_asked"]

VARIANT = typer.Argument(
    None, help="a variant (MVBench_8frame) or a file (questions.tsv)", autocompletion=complete.variants
)
MODEL = typer.Argument(None, help="a model (Video-LLaVA-7B) or ADAPTER:PATH", autocompletion=complete.models)


def takes_asked(command: Callable[Concatenate[Asked, ...], None]) -> Callable[..., None]:
    """Have a command whose first parameter is an `Asked` take a variant, a model and every option of `Asked`; its
    other parameters stay as they are, behind them."""
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    shared = [_parameter("variant", str | None, VARIANT), _parameter("model", str | None, MODEL)]
    shared += [_option(field) for field in options()]

    def call(**given: Any) -> None:
        asked = _asked(**{p.name: given.pop(p.name) for p in shared})
        command(asked, **given)

    call.__doc__ = command.__doc__
    call.__annotations__ = {p.name: p.annotation for p in (*shared, *own)}
    call.__dict__["__signature__"] = inspect.Signature([*shared, *own])
    return call


def _parameter(name: str, kind: Any, told: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=told, annotation=kind)


def _option(field: OptionField) -> inspect.Parameter:
    told = field.told
    names = [f"--{field.name.replace('_', '-')}"] if told.is_switch else []
    shown = typer.Option(field.default, *names, min=told.least, max=told.most, help=told.help)
    return _parameter(field.name, field.type | None if field.default is None else field.type, shown)


def _asked(variant: str | None, model: str | None, **given: Any) -> Asked:
    """With --data the one positional argument is the model; a recipe names both."""
    if model is None and given["data"] is not None:
        variant, model = None, variant
    if model is None and given["recipe"] is None:
        raise UsageError("which model?", hint="it stands after the variant; see: videval list models")
    return Asked(what=variant, model=model, **given)
