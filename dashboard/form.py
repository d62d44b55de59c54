"""The form that makes a run: a box for each option that `videval enqueue` has."""

from collections.abc import Iterator
from typing import Any

import streamlit as st

from dashboard.actions import attempt, is_allowed, place
from dashboard.words import plain
from videval.options import TEXTS, Asked, OptionField, options

__all__ = ["enqueue_form"]

COLUMNS = 4
_ANSWERS = {"as the model has it": None, "yes": True, "no": False}


def enqueue_form() -> None:
    """Ask for a benchmark, a model and options, and make the run."""
    if not is_allowed():
        return
    with st.expander("Enqueue a run", icon=":material/add:"), st.form("enqueue", border=False):
        what = st.text_input("Variant or file of questions", placeholder="MVBench_8frame or /data/questions.tsv")
        model = st.text_input("Model", placeholder="Video-LLaVA-7B")
        given = {field.name: _box(column, field) for field, column in zip(options(), _grid(), strict=False)}
        if st.form_submit_button("Enqueue", type="primary") and (model.strip() or given["recipe"]):
            asked = Asked(what=what.strip() or None, model=model.strip() or None, **given)
            attempt(lambda: place(asked))


def _grid() -> Iterator[Any]:
    """Places for boxes, row by row."""
    while True:
        yield from st.columns(COLUMNS, vertical_alignment="bottom")


def _box(column: Any, field: OptionField) -> Any:
    """A box for an option, and what was put in; the default if nothing was."""
    told, label = field.told, field.name.replace("_", " ").capitalize()
    key, about = f"enqueue-{field.name}", plain(told.help)
    if field.type is bool and field.default is None:
        return _ANSWERS[column.selectbox(label, _ANSWERS, help=about, key=key)]
    if field.type is bool:
        return column.checkbox(label, value=field.default, help=about, key=key)
    if field.type in (int, float):
        kind, step = field.type, 1 if field.type is int else 0.1
        least, most = (None if bound is None else kind(bound) for bound in (told.least, told.most))
        return column.number_input(label, least, most, field.default, step, help=about, key=key)
    if field.type == TEXTS:
        lines = column.text_area(label, help=f"{about}, one in a line", key=key).splitlines()
        return tuple(filter(None, lines)) or field.default
    text = column.text_input(label, field.default or "", help=about, key=key).strip()
    return field.type(text) if text else field.default
