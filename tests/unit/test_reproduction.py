"""Whether a run reproduces a published number: the three things that can be said, and where they are said."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Call, caller
from tests.seeding import Seed, new_database, seed_run
from videval.db import runs as rows
from videval.db.session import Database
from videval.metrics import Estimate, Figure
from videval.report import Outcome, Reproduction, card_differences, score_report
from videval.report.page import run_page
from videval.report.published import reproductions
from videval.types import Published, RecipeUsed, Wording

NAME = "table_8frame--fake--1"


def figure(mean: float | None, reach: float = 0.02, n: int = 1549, top: float | None = None) -> Figure:
    ends = (None, None) if mean is None else (mean - reach, mean + reach)
    estimate = Estimate(mean=mean, low=ends[0], high=ends[1], n=n, clusters=n // 3)
    return Figure(name="score", about="", estimate=estimate, top=top)


def judged(found: Figure | None, published: Published, **values: Any) -> Reproduction:
    recipe = RecipeUsed(name="m/b@team", published=(published,), **values)
    counts = {"scored": 100, "scorable": 100}
    (said,) = reproductions(recipe, {"": found} if found else {}, **counts)
    return said


def number(value: float, **values: Any) -> Published:
    return Published(value=value, source="a paper", date="2025-02", **values)


# the rule


def test_a_number_outside_of_the_interval_is_not_reproduced() -> None:
    said = judged(figure(0.41), number(45.3))
    assert said.outcome == Outcome.NOT_REPRODUCED
    assert (
        said.said
        == "not reproduced: the published 45.3 % (a paper, 2025-02) lies outside of this run's 39.0 % to 43.0 %"
    )


def test_a_number_inside_a_narrow_interval_is_reproduced() -> None:
    said = judged(figure(0.44), number(45.3))
    assert said.outcome == Outcome.REPRODUCED and "lies inside this run's 42.0 % to 46.0 %" in said.said


def test_a_number_inside_a_wide_interval_proves_nothing_and_how_many_questions_would_is_said() -> None:
    said = judged(figure(0.44, reach=0.2, n=20), number(45.3))
    assert said.outcome == Outcome.UNKNOWN
    assert "20 questions leave too wide: about 400 would tell" in said.said


def test_a_number_outside_of_a_wide_interval_is_not_said_to_lie_in_it() -> None:
    said = judged(figure(0.2, reach=0.2, n=9), number(50.0, questions=9))
    assert said.outcome == Outcome.UNKNOWN
    assert "of only 9 questions may fit 0.0 % to 40.0 %, which 9 questions leave too wide" in said.said


def test_a_wide_interval_can_tell_all_the_same_that_a_number_is_not_reproduced() -> None:
    assert judged(figure(0.44, reach=0.2, n=20), number(80.0)).outcome == Outcome.NOT_REPRODUCED


def test_the_published_number_has_an_error_of_its_own_where_its_questions_are_known() -> None:
    assert judged(figure(0.43), number(45.3)).outcome == Outcome.NOT_REPRODUCED
    near = judged(figure(0.43), number(45.3, questions=1549))
    assert near.outcome == Outcome.REPRODUCED and "as its own 1,549 questions can tell" in near.said
    assert judged(figure(0.41), number(45.3, questions=1549)).outcome == Outcome.NOT_REPRODUCED
    assert judged(figure(0.476), number(45.3, questions=1549)).outcome == Outcome.REPRODUCED


@pytest.mark.parametrize("value", [0.0, 100.0])
def test_a_published_number_at_an_end_of_the_scale_can_be_compared(value: float) -> None:
    assert judged(figure(0.5), number(value, questions=10)).outcome == Outcome.NOT_REPRODUCED


def test_without_a_score_or_without_the_metric_it_cannot_be_told() -> None:
    assert "no answer is scored" in judged(figure(None), number(45.3)).said
    said = judged(None, number(45.3, metric="G-Avg"))
    assert said.outcome == Outcome.UNKNOWN and "does not have: G-Avg" in said.said and said.value is None


def test_a_rating_is_compared_on_its_own_scale() -> None:
    said = judged(figure(0.5, top=3.0), number(1.52))
    assert said.outcome == Outcome.REPRODUCED and "the published 1.52 of 3" in said.said


def test_a_run_that_deviates_or_is_not_complete_says_so() -> None:
    recipe = RecipeUsed(name="m/b@team", published=(number(45.3),), deviations=("dtype 'float16' in place of 'auto'",))
    (said,) = reproductions(recipe, {"": figure(0.44)}, scored=400, scorable=1549)
    assert said.outcome == Outcome.REPRODUCED
    assert said.caveats == (
        "so far, by 400 of 1,549 questions (25.8 %)", "not as the recipe says: dtype 'float16' in place of 'auto'",
    )  # fmt: skip


def test_two_numbers_of_one_recipe_are_judged_each_by_itself() -> None:
    recipe = RecipeUsed(name="m/b@team", published=(number(45.3), number(60.0, metric="M-Avg")))
    figures = {"": figure(0.44), "M-Avg": figure(0.5)}
    found = reproductions(recipe, figures, scored=1, scorable=1)
    assert [said.outcome for said in found] == [Outcome.REPRODUCED, Outcome.NOT_REPRODUCED]
    assert "the published M-Avg 60.0 %" in found[1].said


# where it is said


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A database with one run, whose 60 of 100 answers are 70 % right."""
    made = new_database(tmp_path)
    seed_run(made, Seed(done=60))
    return made


Follow = Callable[..., None]


@pytest.fixture
def follow(database: Database) -> Follow:
    """Have the run be by a recipe with this published number."""

    def by(value: float, **values: Any) -> None:
        recipe = RecipeUsed(name="m/b@team", source="a paper", date="2025-02", published=(number(value),), **values)
        database.write(partial(rows.set_recipe, run_id=1, recipe=recipe))

    return by


@pytest.fixture
def say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: Database
) -> Call:
    return caller(tmp_path, monkeypatch, capsys)


def test_the_score_ends_with_the_published_number_its_source_and_what_can_be_said(follow: Follow, say: Call) -> None:
    follow(5.0, deviations=("dtype 'float16' in place of 'auto'",))
    said = say("score", NAME)
    assert said.code == 0
    assert "recipe m/b@team" in said.lines
    assert "not reproduced: the published 5.0 % (a paper, 2025-02) lies outside" in said.out
    assert "so far, by 60 of 100 questions" in said.out + said.err
    assert "not as the recipe says: dtype 'float16' in place of 'auto'" in said.out + said.err


def test_scripts_read_the_same(follow: Follow, say: Call) -> None:
    follow(70.0)
    (found,) = json.loads(say("score", NAME, "--json").out)["published"]
    assert (found["recipe"], found["outcome"], found["value"]) == ("m/b@team", "cannot tell", 0.7)
    assert found["published"]["source"] == "a paper" and found["caveats"]


def test_a_run_without_a_recipe_says_nothing_of_one(say: Call) -> None:
    assert "recipe" not in say("score", NAME).out
    assert json.loads(say("score", NAME, "--json").out)["published"] == []


def test_runs_are_listed_with_their_recipe_and_what_deviates_from_it(follow: Follow, say: Call) -> None:
    follow(70.0, deviations=("dtype 'float16' in place of 'auto'",))
    line = f"{NAME}: by recipe m/b@team, but dtype 'float16' in place of 'auto'"
    assert line in say("list", "runs").lines and line in say("status").lines
    (found,) = json.loads(say("status", "--json").out)
    assert found["recipe"] == {"name": "m/b@team", "digest": "", "deviations": ["dtype 'float16' in place of 'auto'"]}


def test_the_page_of_a_run_says_the_same(follow: Follow, database: Database) -> None:
    follow(5.0)
    with database.read() as connection:
        run = rows.get_run(connection, 1)
    (found,) = score_report(database, run).published
    assert found.said.replace("'", "&#x27;") in run_page(database, run)


def test_a_recipe_that_only_a_newer_videval_reads_does_not_hide_its_run(database: Database) -> None:
    later = json.dumps({"name": "m/b@team", "later": 1})
    database.write(lambda c: c.exec_driver_sql("UPDATE runs SET recipe = ?", (later,)))
    with database.read() as connection:
        assert rows.get_run(connection, 1).recipe is None


def test_two_runs_that_differ_in_their_words_only_are_told_apart(database: Database, follow: Follow) -> None:
    seed_run(database, Seed(done=60), snapshot=1)
    follow(70.0, wording=Wording(text="{question}?"))
    with database.read() as connection:
        one, other = (rows.get_run(connection, run_id) for run_id in (1, 2))
    said = {d.what: (d.a, d.b) for d in card_differences(one, other)}
    assert said["recipe.wording.text"] == ("{question}?", "-") and said["recipe.name"] == ("m/b@team", "-")
    assert not any("published" in what for what in said)
