"""Recipes as files: those that come with videval, and what a file may not say."""

import json
import re
from pathlib import Path

import pytest

from tools.golden.recipes import VIDEOS, frames_of_recipes
from videval.benchmarks.catalog import find_benchmark, parse_variant
from videval.benchmarks.forms import form_of
from videval.errors import UnknownName, UsageError
from videval.metrics import GroupMean, Mean
from videval.models.catalog import model_spec
from videval.orders import order_of_recipe
from videval.recipes import Recipe, find_recipe, recipe_names, recipes
from videval.types import FrameSampling, LengthRule, Pixels

GOLDEN = Path(__file__).parents[1] / "golden" / "recipes.json"
RUNNABLE = [recipe for recipe in recipes() if not recipe.lacks]

GOOD = """
[mine]
source = "my notes"
date = "2026-11-26"
sampling = { policy = "rate", fps = 2.0, max_frames = 64, by_length = [{ up_to = 60, fps = 4 }] }
pixels = { max_pixels = 100352 }
generation = { temperature = 0.5, thinking = false, stop = ["\\n"] }

[[mine.recipes]]
name = "fake/videomme"
model = "fake"
variant = "Video-MME_2fps"
published = [{ value = 50.0, questions = 2700, source = "my notes", date = "2026-11-26" }]

[[mine.recipes]]
name = "fake/lvbench"
model = "fake"
variant = "LVBench_2fps"
generation = { temperature = 0.0 }
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file with two recipes that share a setting."""
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    return path


def changed(path: Path, old: str, new: str) -> str:
    """Have the file say `new` in place of `old`; its name as it is asked for."""
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    return f"{path}:fake/videomme@mine"


# files that are refused


@pytest.mark.parametrize(
    ("old", "new", "what", "right"),
    [
        ("source =", "sorce =", "[mine]: unknown key 'sorce'", 'source = "my notes"'),
        ("max_frames =", "max_frame =", "sampling: unknown key 'max_frame'", "max_frames = 64"),
        ("up_to", "upto", "by_length[0]: unknown key 'upto'", "up_to = 60"),
        ("variant =", "varaint =", "recipe 1: unknown key 'varaint'", 'variant = "Video-MME_2fps"'),
        ('"rate", fps', '"rates", fps', "unknown sampling policy 'rates'", 'policy = "rate"'),
        ("Video-MME_2fps", "mine.tsv", "variant 'mine.tsv' is a file of questions", "videval run mine.tsv --recipe"),
        ("value =", "score =", "published[0]: unknown key 'score'", ""),
        ("temperature = 0.5", "temprature = 0.5", "generation: unknown key 'temprature'", "temperature = 0.5"),
        ("fps = 2.0", 'fps = "two"', "sampling: fps must be a number, not 'two'", ""),
        ("max_pixels = 100352", "max_pixels = 1e5", "max_pixels must be a whole number, not 100000.0", ""),
        ("thinking = false", 'thinking = "no"', "thinking must be true or false, not 'no'", ""),
        ('stop = ["\\n"]', 'stop = "x"', "stop must be a list, not 'x'", ""),
        ("{ max_pixels = 100352 }", "100352", "pixels must be a table, not 100352", "{ min_pixels = ... }"),
        ('date = "2026-11-26"\nsampling', 'date = "lately"\nsampling', "'lately' is not a date", 'date = "2025-02-05"'),
        ('source = "my notes"\n', "", "source is missing", "source = ..."),
        ("[[mine.recipes]]", "[mine.recipes", "is not TOML", ""),
        ('name = "fake/lvbench"', 'name = "fake/videomme"', "two recipes fake/videomme@mine", "another name"),
        ("sampling = {", 'prompts = "theirs"\nsampling = {', "prompts must be 'paper' or 'vlmevalkit'", ""),
        ('"rate", fps', '"rate", times = "mine", fps', "times must be 'nominal' or 'real', not 'mine'", ""),
        ("temperature = 0.5", "temperature = -1.0", "generation: temperature cannot be -1.0", "0 or more"),
        ("temperature = 0.5", "top_p = nan", "generation: top_p cannot be nan", "0 to 1"),
        ("temperature = 0.5", "max_new_tokens = 0", "generation: max_new_tokens cannot be 0", "1 or more"),
        ("max_pixels = 100352", "total_pixels = -5", "pixels: total_pixels cannot be -5", "16 or more"),
        ("fps = 4 }", "pixels = { max_pixels = 1 } }", "pixels: max_pixels cannot be 1", "16 to 1,000,000,000"),
        ("{ max_pixels = 100352", "{ min_pixels = 99, max_pixels = 98", "min_pixels are more than max", "larger"),
        ("value = 50.0", "value = nan", "published: value nan", "of 100"),
        ("value = 50.0", "value = 453", "published: value 453", "of 100"),
        ("questions = 2700", "questions = 0", "published: 0 questions", "leave it out"),
        ('"2026-11-26"\nsampling', '2026-11-26\nsampling', "date must be a text", 'date = "2026-11-26"'),
        ("pixels", 'wording = { text = "{qestion}" }\npixels', "{qestion} stands for nothing", "{question}"),
        ("pixels", 'wording = { text = "?" }\nform = "0"\npixels', "and a prompt set", "leave prompts and form out"),
    ],
)  # fmt: skip
def test_what_a_file_may_not_say_is_refused_with_what_is_right(
    mine: Path, old: str, new: str, what: str, right: str
) -> None:
    with pytest.raises(UsageError) as refused:
        find_recipe(changed(mine, old, new))
    assert what in str(refused.value) and right in refused.value.hint


def test_a_value_that_stands_outside_of_a_setting_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('source = "here"\n')
    with pytest.raises(UsageError, match="'source' stands outside of a setting"):
        find_recipe(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize("text", ["", '[mine]\nsource = "here"\n'])
def test_a_file_without_recipes_says_what_one_is(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UsageError, match="has no recipes") as refused:
        find_recipe(str(tmp_path / "mine.toml"))
    assert "[[mine.recipes]]" in refused.value.hint


def test_a_file_that_is_not_there_and_one_that_is_not_text_are_errors_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        find_recipe(str(tmp_path / "none.toml"))
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not TOML"):
        find_recipe(str(tmp_path / "mine.toml"))


def test_of_a_file_with_several_recipes_one_is_to_be_named(mine: Path) -> None:
    with pytest.raises(UsageError, match="has 2 recipes") as refused:
        find_recipe(str(mine))
    assert f"--recipe {mine}:fake/lvbench@mine" in refused.value.hint
    with pytest.raises(UsageError, match="has no recipe 'other'"):
        find_recipe(f"{mine}:other")


def test_a_name_that_nobody_published_is_refused_with_those_that_come_close() -> None:
    with pytest.raises(UnknownName) as refused:
        find_recipe("qwen2.5-vl-7b/lvbench")
    assert "qwen2.5-vl-7b/lvbench@team-2025-02" in refused.value.hint


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"fake"', '"fakee"', "unknown model 'fakee'"),
        ("Video-MME_2fps", "Video-MMM_2fps", "unknown benchmark 'Video-MMM'"),
        ('"rate"', '"ratte"', "unknown sampling policy 'ratte'"),
        ("\ngeneration", '\ndtype = "float99"\ngeneration', "unknown dtype 'float99'"),
        ("fps = 2.0", "fps = 3.0", "its sampling is not of the amount that Video-MME_2fps has"),
        ('"rate", fps = 2.0', '"uniform", num_frames = 8', "not of the amount that Video-MME_2fps has"),
    ],
)
def test_a_model_a_variant_and_a_policy_that_are_not_there_are_refused(
    mine: Path, old: str, new: str, what: str
) -> None:
    name = changed(mine, "pixels = { max_pixels = 100352 }", "")
    mine.write_text(mine.read_text().replace(old, new, 1))
    with pytest.raises(UsageError, match=what):
        order_of_recipe(find_recipe(name)).sampling()


# what a file says


def test_recipes_of_one_setting_share_it_and_say_what_is_their_own(mine: Path) -> None:
    one, other = (find_recipe(f"{mine}:fake/{name}@mine") for name in ("videomme", "lvbench"))
    rule = LengthRule(up_to=60, fps=4)
    assert one.sampling == FrameSampling(policy="rate", fps=2.0, max_frames=64, by_length=(rule,))
    assert other.sampling == one.sampling and one.pixels == Pixels(max_pixels=100352)
    assert one.generation.said() == {"temperature": 0.5, "thinking": False, "stop": ("\n",)}
    assert other.generation.said() == {"temperature": 0.0}


def test_a_group_of_recipes_shares_what_it_says_and_what_stands_nearer_counts(tmp_path: Path) -> None:
    text = """
[mine]
source = "s"
date = "2026"
dtype = "float16"

[[mine.recipes]]
variant = "LVBench_2fps"
dtype = "float32"

[[mine.recipes.recipes]]
name = "one"
model = "a"

[[mine.recipes.recipes]]
name = "two"
model = "b"
dtype = "bfloat16"
"""
    (tmp_path / "mine.toml").write_text(text)
    found = [find_recipe(f"{tmp_path}/mine.toml:{name}@mine") for name in ("one", "two")]
    assert [(r.model, r.variant, r.dtype) for r in found] == [
        ("a", "LVBench_2fps", "float32"), ("b", "LVBench_2fps", "bfloat16"),
    ]  # fmt: skip


def test_a_digest_is_of_what_is_set_and_not_of_what_is_said_about_it(mine: Path) -> None:
    digest = find_recipe(f"{mine}:fake/videomme@mine").digest
    assert re.fullmatch("[0-9a-f]{16}", digest)
    for old, new in (("my notes", "a paper"), ("50.0", "51.0"), ("2700", "2701")):
        assert find_recipe(changed(mine, old, new)).digest == digest
    for old, new in (("fps = 2.0", "fps = 1.0"), ("0.5", "0.6"), ("100352", "100353"), ('"fake"', '"fake:b"')):
        assert find_recipe(changed(mine, old, new)).digest != digest


# those that come with videval


def test_every_recipe_is_named_once_and_names_its_source_and_date() -> None:
    assert len(set(recipe_names())) == len(recipes()) >= 50
    for recipe in recipes():
        assert recipe.source and re.fullmatch(r"20\d\d(-\d\d(-\d\d)?)?", recipe.date), recipe.name
        assert re.fullmatch(r"[a-z0-9.-]+(/[a-z0-9.-]+)?@[a-z0-9.-]+", recipe.name)
        for published in recipe.published:
            assert published.source and 0 < published.value <= 100, recipe.name


@pytest.mark.parametrize("recipe", RUNNABLE, ids=lambda r: r.name)
def test_every_recipe_that_lacks_nothing_can_be_run(recipe: Recipe) -> None:
    if not recipe.variant:
        assert model_spec(recipe.model)
        return
    order = order_of_recipe(recipe)
    assert order.recipe is not None and (order.recipe.source, order.recipe.date) == (recipe.source, recipe.date)
    amount = recipe.sampling and (recipe.sampling.num_frames, recipe.sampling.fps)
    assert amount in (None, (order.variant.num_frames, order.variant.fps)), "its frames count for its variant"
    limits = recipe.sampling and recipe.sampling.max_frames
    assert limits is None or order.sampling().max_frames == limits, "no limit of the model's entry cuts them"


@pytest.mark.parametrize("recipe", [r for r in recipes() if r.form], ids=lambda r: r.name)
def test_the_words_that_a_recipe_was_written_for_are_those_of_the_page(recipe: Recipe) -> None:
    bench = find_benchmark(parse_variant(recipe.variant).benchmark)
    assert recipe.form == form_of(bench, bench.prompt_set(recipe.prompts))


def test_a_recipe_words_its_questions_itself_or_says_for_which_words_it_is() -> None:
    assert [r.name for r in recipes() if r.variant and not r.wording and not r.form] == []


@pytest.mark.parametrize("recipe", [r for r in recipes() if r.published], ids=lambda r: r.name)
def test_a_published_number_is_of_a_metric_that_its_benchmark_makes(recipe: Recipe) -> None:
    bench = find_benchmark(parse_variant(recipe.variant).benchmark)
    known = {m.name for m in bench.metrics if isinstance(m, Mean | GroupMean)} | {""}
    for published in recipe.published:
        assert published.metric in known
        assert published.questions in (None, bench.questions)


def test_the_frames_of_every_recipe_are_those_that_are_recorded() -> None:
    """Made by `python -m tools.golden.recipes tests/golden/recipes.json`; a change here is a change of a recipe."""
    recorded = json.loads(GOLDEN.read_text())
    found = frames_of_recipes()
    assert list(found) == list(recorded)
    assert {name for name in found if set(found[name]) != set(VIDEOS)} == set()
    for name, frames in found.items():
        assert frames == recorded[name], name
