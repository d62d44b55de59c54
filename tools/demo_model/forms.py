"""How a question is put to the model: in words, or by letters in MVBench's own wording."""

from __future__ import annotations

from typing import Literal

from videval.benchmarks.prompts import LETTERS, bracketed
from videval.benchmarks.shapes.questions import Question, user_text

Form = Literal["words", "letters"]

SYSTEM = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
    "objects, and the action and pose of persons. Based on your observations, select the best option that accurately "
    "addresses the question."
)


def before(form: Form) -> str:
    """The prompt's text before the video."""
    return "USER: " if form == "words" else f"{SYSTEM} USER: "


def after(form: Form, question: Question) -> str:
    """The prompt's text after the video and its line feed."""
    if form == "words":
        return f"{user_text(question.text, question.options)} ASSISTANT:"
    options = bracketed(question.options)
    return f"Question: {question.text}\nOptions:\n{options}\nOnly give the best option. ASSISTANT: Best option:("


def reply(form: Form, question: Question, answer: str) -> str:
    """What the model should say, as it follows `after`."""
    return f" {answer}" if form == "words" else LETTERS[question.options.index(answer)]
