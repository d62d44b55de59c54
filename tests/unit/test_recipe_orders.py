"""What a recipe makes of an order: what it sets, what the user sets otherwise, and when two orders are the same run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.seeding import new_database, settings_for
from tests.trees import tree
from videval.db import runs as rows
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import UsageError
from videval.models import catalog
from videval.options import Asked
from videval.order import Order
from videval.orders import make_order
from videval.report import run_card
from videval.runs import enqueue
from videval.settings import Settings
from videval.types import FrameSampling, LengthRule, ModelSpec, Pixels, PromptSet, Wording

RECIPE = """
[team]
source = "their page"
date = "2026-02"
sampling = { policy = "qwen_vl_utils", fps = 2.0, max_frames = 32 }
generation = { temperature = 0.7, top_p = 0.8 }
dtype = "bfloat16"
wording = { text = "{question}\\n{options}" }

[[team.recipes]]
name = "resizes/mvbench"
model = "resizes"
variant = "MVBench_MP4_2fps"
pixels = { min_pixels = 1000, max_pixels = 2000 }
published = [{ value = 45.3, source = "their page" }]

[[team.recipes]]
name = "fixed/mvbench"
model = "fixed"
variant = "MVBench_MP4_2fps"

[[team.recipes]]
name = "fixed"
model = "fixed"
variant = ""

[[team.recipes]]
name = "cannot/mvbench"
model = "nobody/has-it"
variant = "MVBench_MP4_2fps"
lacks = "an adapter"
"""
RESIZES = ModelSpec(
    name="resizes", adapter="fake", checkpoint="fake", steered=True, resizes=True, max_frames=16, policy="stride",
    pixels=Pixels(max_pixels=9, total_pixels=5000),
)  # fmt: skip
FIXED = replace(RESIZES, name="fixed", resizes=False, max_frames=None, pixels=Pixels())


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A folder with a recipe file, a table of questions and a benchmark, and two models: one that resizes, one not."""
    (tmp_path / "team.toml").write_text(RECIPE)
    (tmp_path / "asked.jsonl").write_text('{"index": 1, "video": "a.mp4", "question": "What?", "answer": "x"}\n')
    (tmp_path / "a.mp4").write_bytes(b"")
    tree("MVBench_MP4", tmp_path / "data" / "MVBench_MP4")
    monkeypatch.setattr(catalog, "MODELS", {**catalog.MODELS, "resizes": RESIZES, "fixed": FIXED})
    monkeypatch.chdir(tmp_path)
    return settings_for(tmp_path / "home", data_root=tmp_path / "data")


def order(settings: Settings, name: str = "resizes/mvbench", **values: Any) -> Order:
    """The order of a recipe, and of what is asked beside it."""
    asked: dict[str, Any] = {"what": None, "model": None} | values
    return make_order(Asked(recipe=f"team.toml:{name}@team", **asked), settings)


def deviations(settings: Settings, name: str = "resizes/mvbench", **values: Any) -> tuple[str, ...]:
    recipe = order(settings, name, **values).recipe
    assert recipe is not None
    return recipe.deviations


# what is refused


def test_a_recipe_that_lacks_something_is_refused_with_what_it_lacks(settings: Settings) -> None:
    with pytest.raises(UsageError, match="cannot be run here: an adapter"):
        order(settings, "cannot/mvbench")


def test_limits_of_pixels_are_refused_where_the_processor_takes_none(settings: Settings) -> None:
    with pytest.raises(UsageError, match="the processor of fixed takes no limits of pixels") as refused:
        order(settings, model="fixed")
    assert "--max-pixels alone" in refused.value.hint
    with pytest.raises(UsageError, match="--min-pixels and --total-pixels"):
        make_order(Asked(what="asked.jsonl", model="fixed", min_pixels=64), settings)


def test_rules_with_pixels_are_limits_of_pixels_too(settings: Settings) -> None:
    text = RECIPE.replace("max_frames = 32", "by_length = [{ up_to = 9, pixels = { max_pixels = 64 } }]")
    Path("team.toml").write_text(text)
    with pytest.raises(UsageError, match="takes no limits of pixels"):
        order(settings, "fixed/mvbench")


def test_words_that_the_page_no_longer_has_are_refused_with_those_that_it_has(settings: Settings) -> None:
    text = RECIPE.replace('wording = { text = "{question}\\n{options}" }', 'form = "0123456789abcdef"')
    Path("team.toml").write_text(text)
    with pytest.raises(UsageError, match="written for other words") as refused:
        order(settings)
    assert "form = '09bb023708342267'" in refused.value.hint


def test_the_words_of_another_benchmark_are_none_of_its_business(settings: Settings) -> None:
    text = RECIPE.replace('wording = { text = "{question}\\n{options}" }', 'form = "09bb023708342267"')
    Path("team.toml").write_text(text)
    assert order(settings, what="asked.jsonl").benchmark.name == "table"


def test_a_recipe_for_any_benchmark_needs_one(settings: Settings) -> None:
    with pytest.raises(UsageError, match="name either a variant or a file") as refused:
        order(settings, "fixed")
    assert refused.value.hint.startswith("videval run MVBench_8frame --recipe ") and "MODEL" not in refused.value.hint


def test_a_pack_cannot_be_put_by_a_recipe(settings: Settings) -> None:
    with pytest.raises(UsageError, match="a recipe words single questions"):
        order(settings, "fixed", data=Path("asked.jsonl"), fps=2.0, pack=True)


def test_without_recipe_and_model_it_is_asked_which(settings: Settings) -> None:
    with pytest.raises(UsageError, match="which model"):
        make_order(Asked(what="MVBench_MP4_2fps", model=None), settings)


# what a recipe sets


def test_a_recipe_alone_names_questions_and_model_and_sets_all_that_it_says(settings: Settings) -> None:
    made = order(settings)
    assert (made.variant.name, made.spec.name, made.dtype) == ("MVBench_MP4_2fps", "resizes", "bfloat16")
    assert (made.generation.temperature, made.generation.top_p, made.generation.max_new_tokens) == (0.7, 0.8, 512)
    assert made.recipe is not None and made.recipe.wording == Wording(text="{question}\n{options}")
    assert made.recipe.deviations == () and made.recipe.published[0].value == 45.3
    assert made.samples


def test_its_frames_are_those_of_its_policy_and_not_the_models_own(settings: Settings) -> None:
    assert order(settings).sampling() == FrameSampling(
        policy="qwen_vl_utils", fps=2.0, min_frames=4, max_frames=32, multiple=2
    )


def test_its_pixels_count_over_the_models_and_the_users_over_both(settings: Settings) -> None:
    assert order(settings).spec.pixels == Pixels(min_pixels=1000, max_pixels=2000, total_pixels=5000)
    asked = order(settings, max_pixels=1500, total_pixels=4000)
    assert asked.spec.pixels == Pixels(min_pixels=1000, max_pixels=1500, total_pixels=4000)
    assert asked.max_pixels is None, "nothing is scaled when it is decoded"


def test_a_limit_of_pixels_gives_way_to_the_one_that_is_asked_for(settings: Settings) -> None:
    assert order(settings, max_pixels=500).spec.pixels == Pixels(min_pixels=500, max_pixels=500, total_pixels=5000)
    assert order(settings, min_pixels=3000).spec.pixels == Pixels(min_pixels=3000, max_pixels=3000, total_pixels=5000)
    with pytest.raises(UsageError, match="min_pixels 64 are more than max_pixels 32"):
        order(settings, min_pixels=64, max_pixels=32)


def test_what_a_model_cannot_be_shown_of_a_table_is_said_by_its_option(settings: Settings) -> None:
    with pytest.raises(UsageError, match="Video-LLaVA-tiny takes exactly 8 frames") as refused:
        make_order(Asked(what="asked.jsonl", model="Video-LLaVA-tiny", frames=4), settings)
    assert refused.value.hint == "--frames 8"
    with pytest.raises(UsageError, match="resizes takes at most 16 frames, not 17") as refused:
        make_order(Asked(what="asked.jsonl", model="resizes", frames=17), settings)
    assert refused.value.hint == "--frames 16"
    with pytest.raises(UsageError, match="--frames and --fps exclude each other"):
        make_order(Asked(what="asked.jsonl", model="fake", frames=4, fps=1.0), settings)


def test_the_most_pixels_are_for_decoding_where_the_model_does_not_resize(settings: Settings) -> None:
    made = order(settings, "fixed/mvbench", max_pixels=1500)
    assert made.max_pixels == 1500 and made.spec.pixels == Pixels()
    assert made.recipe and made.recipe.deviations == ("pixels.max_pixels 1500 in place of nothing",)


def test_a_recipe_for_any_benchmark_is_run_on_the_users_own_questions(settings: Settings) -> None:
    made = order(settings, "fixed", data=Path("asked.jsonl"), fps=2.0)
    assert made.benchmark.name == "table" and made.sampling().policy == "qwen_vl_utils"
    assert made.recipe and made.recipe.deviations == ()


# deviations


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"temperature": 0.0}, ["generation.temperature 0.0 in place of 0.7"]),
        ({"max_new_tokens": 9}, ["generation.max_new_tokens 9 in place of 512"]),
        ({"seed": 3}, ["generation.seed 3 in place of 0"]),
        ({"dtype": "float16"}, ["dtype 'float16' in place of 'bfloat16'"]),
        ({"max_frames": 16}, ["frames.max_frames 16 in place of 32"]),
        ({"min_pixels": 64}, ["pixels.min_pixels 64 in place of 1000"]),
        ({"attention": "eager"}, ["attention 'eager' in place of nothing"]),
        ({"trust_remote_code": True}, ["trust_remote_code True in place of False"]),
        ({"prompts": "vlmevalkit"}, ["prompts 'vlmevalkit' in place of 'paper'"]),
        ({"temperature": 0.7, "max_frames": 99, "dtype": "bfloat16", "max_pixels": 2000}, []),
        ({"limit": 1, "priority": 2, "in_order": True, "max_attempts": 7}, []),
    ],
)
def test_what_is_asked_otherwise_is_said_in_words(settings: Settings, values: dict[str, Any], said: list[str]) -> None:
    found = [line for line in deviations(settings, **values) if not line.startswith("wording")]
    assert found == said


def test_another_variant_brings_its_own_frames_and_both_are_said(settings: Settings) -> None:
    found = deviations(settings, what="MVBench_MP4_8frame")
    assert "variant 'MVBench_MP4_8frame' in place of 'MVBench_MP4_2fps'" in found
    assert "frames.policy 'stride' in place of 'qwen_vl_utils'" in found
    assert "frames.fps nothing in place of 2.0" in found


def test_another_model_is_a_deviation_and_keeps_to_its_own_limit(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(RESIZES, name="other")
    monkeypatch.setattr(catalog, "MODELS", {**catalog.MODELS, "other": other})
    made = order(settings, model="other")
    assert made.recipe and "model 'other' in place of 'resizes'" in made.recipe.deviations
    assert made.sampling().max_frames == 16 and order(settings).sampling().max_frames == 32


def test_the_pages_words_in_place_of_the_recipes_are_a_deviation(settings: Settings) -> None:
    made = order(settings, prompts=PromptSet.PAPER)
    assert made.recipe and made.recipe.wording is None
    assert made.recipe.deviations == (r"wording.text nothing in place of '{question}\n{options}'",)


# the same run


def key(made: Order) -> str:
    return made.run_key("c" * 64)


def test_whatever_changes_an_answer_makes_another_run(settings: Settings) -> None:
    others: list[dict[str, Any]] = [
        {}, {"temperature": 0.0}, {"max_pixels": 1999}, {"prompts": "paper"}, {"max_frames": 16}, {"dtype": "float16"},
    ]  # fmt: skip
    assert len({key(order(settings, **values)) for values in others}) == len(others)


def test_the_same_setting_without_its_recipe_is_the_same_run(settings: Settings) -> None:
    """So that a run is not done again since somebody learns that its setting has a name."""
    made = order(settings)
    assert made.recipe is not None
    assert key(made) == key(replace(made, recipe=replace(made.recipe, name="other", source="", published=())))
    plain = make_order(Asked(what="asked.jsonl", model="fixed"), settings)
    assert key(plain) == key(replace(plain, recipe=replace(made.recipe, wording=None)))


@pytest.fixture
def database(settings: Settings) -> Database:
    return new_database(settings.home)


def stored(database: Database, made: Order) -> RunInfo:
    with database.read() as connection:
        return rows.get_run(connection, enqueue(database, made).run.run_id)


def test_a_run_keeps_its_recipe_and_its_card_shows_it(settings: Settings, database: Database) -> None:
    made = order(settings, temperature=0.0, allow_missing=True)
    run = stored(database, made)
    assert run.recipe == made.recipe
    card = run_card(database, run)["recipe"]
    assert (card["name"], card["source"], card["date"]) == ("resizes/mvbench@team", "their page", "2026-02")
    assert card["deviations"] == ["generation.temperature 0.0 in place of 0.7"] and len(card["digest"]) == 16


def test_a_run_that_was_made_without_its_recipe_is_gone_on_with_by_it(settings: Settings, database: Database) -> None:
    asked = Asked(what="asked.jsonl", model="fixed", fps=2.0)
    text = '[mine]\nsource = "s"\ndate = "2026"\n[[mine.recipes]]\nname = "any"\nmodel = "fixed"\nvariant = ""\n'
    Path("mine.toml").write_text(text)
    before = stored(database, make_order(asked, settings))
    after = stored(database, make_order(replace(asked, model=None, recipe="mine.toml"), settings))
    assert before.recipe is None and after.run_id == before.run_id
    assert after.recipe is not None and after.recipe.name == "any@mine"


def test_a_run_is_by_the_recipe_that_was_asked_for_last(settings: Settings, database: Database) -> None:
    """So that a number mended in a file, or another's of the same setting, is what the run is compared with."""
    before = stored(database, order(settings, allow_missing=True))
    Path("team.toml").write_text(RECIPE.replace("value = 45.3", "value = 43.5"))
    after = stored(database, order(settings, allow_missing=True))
    assert after.run_id == before.run_id
    assert after.recipe is not None and after.recipe.published[0].value == 43.5


def test_rules_by_length_and_their_pixels_are_the_runs_sampling(settings: Settings) -> None:
    text = RECIPE.replace("max_frames = 32", "by_length = [{ up_to = 9, fps = 4, pixels = { max_pixels = 64 } }]")
    Path("team.toml").write_text(text)
    rule = LengthRule(up_to=9, fps=4, pixels=Pixels(max_pixels=64))
    assert order(settings).sampling().by_length == (rule,)
