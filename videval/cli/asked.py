"""The options that `enqueue` and `run` share, made of the fields of `Asked`; both are handed the runs as a suite, be
it of one, of lists, or of a file."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Concatenate, TypeVar

import typer
from typer.models import ArgumentInfo

from videval.cli import complete
from videval.errors import UsageError
from videval.options import TEXTS, Asked, OptionField, Suite, options
from videval.paths import expanded

__all__ = ["takes_files", "takes_setting", "takes_suite"]

T = TypeVar("T")
OF_A_RUN = frozenset(
    ("data", "data_root", "pack", "priority", "limit", "in_order", "race_tail", "max_attempts", "allow_missing", "new")
)
"""Options that mean nothing for one question without a run."""

OF_REQUESTS = frozenset(("limit", "max_attempts", "in_order", "race_tail"))
"""Options that mean nothing where answers are there already."""

VARIANT = typer.Argument(
    None,
    help="a variant (MVBench_8frame), a file (questions.tsv) or a suite (suite.toml)",
    autocompletion=complete.variants,
)
BENCHMARK = typer.Option(
    None, "--benchmark", help="of which variant they are (MVBench_8frame)", autocompletion=complete.variants
)
OF_MODEL = typer.Option(None, "--model", help="of which model they are", autocompletion=complete.models)
MODEL = typer.Argument(None, help="a model (Video-LLaVA-7B) or ADAPTER:PATH", autocompletion=complete.models)

LISTS = ("--data", "--model")
"""Options that take all the words behind them, where both are there: run.py's manner of VLMEvalKit."""
MODELS = typer.Option(
    None, "--model", help="models; each is asked all tables and variants of --data", autocompletion=complete.models
)


def takes_suite(command: Callable[Concatenate[Suite, ...], None]) -> Callable[..., None]:
    """Have a command whose first parameter is a `Suite` take a variant, a model and every option of `Asked`, `--data`
    and `--model` as lists; its other parameters stay as they are, behind them."""
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    shared = [_parameter("variant", str | None, VARIANT), _parameter("model", str | None, MODEL)]
    shared += [_parameter("models", list[str] | None, MODELS)]
    shared += [_option(replace(f, type=TEXTS) if f.name == "data" else f) for f in options()]
    call = _handing(command, _suite, shared, [*shared, *own])
    call.__dict__["lists"] = LISTS
    return call


def takes_setting(command: Callable[Concatenate[Asked, ...], None]) -> Callable[..., None]:
    """Have a command whose first parameter is an `Asked` take what it has as arguments, then a model, then its own
    options and every option of `Asked` that says how a question is asked."""
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    shared = [_parameter("model", str | None, MODEL)]
    shared += [_option(field) for field in options() if field.name not in OF_A_RUN]
    before = [p for p in own if isinstance(p.default, ArgumentInfo)]
    behind = [p for p in own if p not in before]
    return _handing(command, _setting, shared, [*before, *shared, *behind])


def takes_files(command: Callable[Concatenate[Asked, ...], None]) -> Callable[..., None]:
    """Have a command whose first parameter is an `Asked` take files, and as options what these are answers to."""
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    shared = [_parameter("variant", str | None, BENCHMARK), _parameter("model", str | None, OF_MODEL)]
    shared += [_option(field) for field in options() if field.name not in OF_REQUESTS]
    before = [p for p in own if isinstance(p.default, ArgumentInfo)]
    behind = [p for p in own if p not in before]
    return _handing(command, _of_files, shared, [*before, *shared, *behind])


def _handing(
    command: Callable[Concatenate[T, ...], None],
    make: Callable[..., T],
    shared: Sequence[inspect.Parameter],
    taken: Sequence[inspect.Parameter],
) -> Callable[..., None]:
    """The command as typer sees it: it takes all of `taken`, and is handed what `make` makes of the shared ones."""

    def call(**given: Any) -> None:
        made = make(**{p.name: _said(given.pop(p.name)) for p in shared})
        command(made, **given)

    call.__doc__ = command.__doc__
    call.__annotations__ = {p.name: p.annotation for p in taken}
    call.__dict__["__signature__"] = inspect.Signature(taken)
    return call


def _said(value: Any) -> Any:
    """As `Asked` has it: what may be given several times and was not is None."""
    return (tuple(value) or None) if isinstance(value, list) else value


def _parameter(name: str, kind: Any, told: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=told, annotation=kind)


def _option(field: OptionField) -> inspect.Parameter:
    told = field.told
    names = [f"--{field.name.replace('_', '-')}"] if told.is_switch else []
    shown = typer.Option(field.default, *names, min=told.least, max=told.most, help=told.help)
    kind = list[str] if field.type == TEXTS else field.type
    return _parameter(field.name, kind | None if field.default is None else kind, shown)


def _suite(
    variant: str | None, model: str | None, models: tuple[str, ...] | None, data: tuple[str, ...] | None, **given: Any
) -> Suite:
    """The runs that are asked for. With --data and without --model the one positional argument is the model; a recipe
    names both, a suite's file all."""
    from videval.suites.crossing import crossed, one, over, source
    from videval.suites.files import names_a_suite, read_suite

    shared = Asked(what=None, model=None, **given)
    if names_a_suite(variant):
        if model or models or data:
            raise UsageError(f"{variant} names its models and variants itself", hint=f"videval run {variant}")
        return over(read_suite(expanded(variant or "")), shared)
    if data and variant and not model and not models:
        variant, model = None, variant
    if model and models:
        raise UsageError("models stand behind --model or after the variant, not both", hint="--model X Y")
    if not model and not models and shared.recipe is None:
        raise UsageError("which model?", hint="it stands after the variant; see: videval list models")
    found: dict[str, Any] = source(data[0]) if data else {"what": variant, "data": None}
    is_one = len(data or ()) < 2 and not models
    if data and variant and not (is_one and found["data"]):  # a table beside a variant is for the order to refuse
        raise UsageError("questions stand behind --data or come first, not both", hint="--data A B --model X Y")
    if is_one:
        return one(replace(shared, model=model, what=variant or found["what"], data=found["data"]))
    return crossed(shared, what=data or ((variant,) if variant else ()), models=models or (model,))


def _setting(model: str | None, **given: Any) -> Asked:
    """How one question is asked; a recipe names the model."""
    if model is None and given["recipe"] is None:
        raise UsageError("which model?", hint="it stands after the question; see: videval list models")
    return Asked(what=None, model=model, **given)


def _of_files(variant: str | None, model: str | None, **given: Any) -> Asked:
    """What files are answers to; what is not said, they say."""
    return Asked(what=variant, model=model, **given)
