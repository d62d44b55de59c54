"""The moving shapes: what is drawn is what is asked about, and order is what tells the answer."""

import random
from ast import literal_eval
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tools.demo_model.forms import after, before
from videval.benchmarks.base import Shown
from videval.benchmarks.mvbench_tasks import choice_prompt
from videval.benchmarks.pages.moving_shapes import MovingShapes
from videval.benchmarks.shapes.clips import demo_clips, demo_rows
from videval.benchmarks.shapes.questions import OPPOSITE, TASKS, Question, questions, user_text
from videval.benchmarks.shapes.scenes import (
    ACTIONS,
    BACKGROUNDS,
    COLOURS,
    DIRECTIONS,
    FPS,
    LENGTH,
    SAMPLED,
    SIDE,
    Change,
    Parade,
    Scene,
    random_change,
    random_parade,
    render,
)
from videval.types import Clip, Prompt, Sample

SCENES: list[Scene] = [make(random.Random(seed)) for seed in range(60) for make in (random_parade, random_change)]
PARADES = [s for s in SCENES if isinstance(s, Parade)]
CHANGES = [s for s in SCENES if isinstance(s, Change)]


def asked(scene: Scene) -> list[Question]:
    return questions(scene, random.Random(7))


def test_frames_are_square_uint8_and_the_same_each_time() -> None:
    frames = render(SCENES[0])
    assert frames.shape == (LENGTH, SIDE, SIDE, 3)
    assert frames.dtype == np.uint8
    assert (frames == render(SCENES[0])).all()


def test_a_parade_shows_each_figure_in_two_of_the_eight_frames_in_order() -> None:
    for scene in PARADES:
        seen = [scene.look(float(i)).figure for i in range(SAMPLED)]
        assert seen == [figure for figure in scene.figures for _ in range(2)]


@pytest.mark.parametrize("slip", [-1, 1])
def test_a_frame_number_off_by_one_shows_the_same_figure_background_and_colour(slip: int) -> None:
    for scene in SCENES:
        for i in range(SAMPLED):
            there, near = scene.look(float(i)), scene.look(max(0.0, i + slip * SAMPLED / LENGTH))
            assert there.background == near.background
            names = [look.figure.name if look.figure else None for look in (there, near)]
            assert names[0] == names[1]


def test_the_centre_of_a_figure_has_its_colour_and_the_corner_the_background() -> None:
    for scene in PARADES:
        frames = render(scene)
        for number, figure in enumerate(scene.figures):
            frame = frames[number * 8]
            y, x = int(figure.y * SIDE), int(figure.x * SIDE)
            assert tuple(frame[y, x]) == COLOURS[figure.colour]
            assert tuple(frame[0, 0]) == BACKGROUNDS[scene.background]


def test_directions_and_sizes_are_what_the_pixels_do() -> None:
    for scene in CHANGES:
        first, last = _ink(scene, 0), _ink(scene, 28)
        if scene.action in DIRECTIONS:
            dx, dy = DIRECTIONS[scene.action]
            moved = np.argwhere(last).mean(0) - np.argwhere(first).mean(0)
            assert moved[0] * dy + moved[1] * dx > SIDE / 3
        else:
            grown = {"grows": 1, "appears": 1, "shrinks": -1, "disappears": -1}[scene.action or ""]
            assert (int(last.sum()) - int(first.sum())) * grown > 50


def _ink(scene: Change, frame: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Where a frame differs from its background."""
    ground = np.array(BACKGROUNDS[scene.look(frame / 4).background], np.int16)
    ink: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = np.abs(render(scene)[frame] - ground).sum(-1) > 60
    return ink


def test_options_hold_the_answer_once_and_the_reversed_answer_is_another_of_them() -> None:
    for scene in SCENES:
        for question in asked(scene):
            assert question.options.count(question.answer) == 1
            assert len(set(question.options)) == len(question.options)
            if question.reversed_answer is not None:
                assert question.reversed_answer in question.options
                assert question.reversed_answer != question.answer


def test_a_parade_run_backwards_is_asked_the_same_and_answers_with_the_reversed_option() -> None:
    for scene in PARADES:
        back = Parade(background=scene.background, figures=scene.figures[::-1])
        answers = {q.text: q.answer for q in asked(back)}
        for question in asked(scene):
            if question.reversed_answer is not None:
                assert answers[question.text] == question.reversed_answer


def test_answers_about_a_change_are_what_it_shows_first_and_last() -> None:
    for scene in CHANGES:
        first, last = scene.look(0.0), scene.look(7.0)
        for question in asked(scene):
            if question.task == "Scene Transition":
                assert question.answer == f"from {first.background} to {last.background}"
            elif question.task == "State Change":
                assert first.figure and last.figure
                assert question.answer == f"from {first.figure.colour} to {last.figure.colour}"


def test_actions_and_their_opposites_are_one_word_each() -> None:
    assert set(OPPOSITE) == {*ACTIONS, *DIRECTIONS}
    assert all(OPPOSITE[OPPOSITE[a]] == a for a in OPPOSITE)


def test_the_right_option_does_not_stand_out_among_the_options() -> None:
    """Each word of a from-to option is in two of them; the place of the answer is every place equally often."""
    places: Counter[int] = Counter()
    rng = random.Random(7)
    for scene in SCENES:
        for question in questions(scene, rng):
            if question.task in ("Scene Transition", "State Change"):
                words = Counter(w for o in question.options for w in o.split() if w not in ("from", "to"))
                assert set(words.values()) == {2}
            if len(question.options) == 4:
                places[question.options.index(question.answer)] += 1
    share = [n / places.total() for n in places.values()]
    assert len(share) == 4
    assert max(share) < 0.32


def test_every_task_that_ships_is_asked_and_no_other() -> None:
    assert {q.task for scene in SCENES for q in asked(scene)} == set(TASKS)


def test_the_demo_has_300_questions_over_100_clips_of_every_kind_of_file() -> None:
    clips = demo_clips()
    rows = demo_rows(clips, "clips/")
    assert (len(clips), len(rows)) == (100, 300)
    assert Counter(c.codec for c in clips) == {"h264": 88, "av1": 3, "vp9": 3, "gif": 3, "frames": 3}
    assert len({c.video for c in clips}) == 100
    assert {r.task_type for r in rows} == set(TASKS)
    assert min(Counter(r.task_type for r in rows).values()) >= 25
    assert [r.index for r in rows] == list(range(300))
    assert all(r.answer in literal_eval(r.candidates) for r in rows)
    assert clips == demo_clips()


def test_a_bounded_clip_shows_its_scene_between_start_and_end_only() -> None:
    clips = demo_clips(clips=12, asked=36, bounded=True)
    assert {len(c.before) for c in clips} == {0, 1, 2}
    for clip, frames in ((clip, clip.frames()) for clip in clips):
        assert clip.span is not None
        start, end = (round(t * FPS) for t in clip.span)
        assert len(frames) == 3 * LENGTH
        assert (frames[start:end] == render(clip.scene)).all()
        assert all(row.bound and row.start == clip.span[0] for row in demo_rows([clip], ""))


def test_the_model_was_trained_with_the_prompts_that_the_benchmarks_ask() -> None:
    """The Video-LLaVA adapter puts `USER: <video>`, a line feed, the user's text and ` ASSISTANT:`."""
    question = asked(CHANGES[0])[0]
    row = Sample(id="0", video="", question=question.text, candidates=question.options)
    clip = Clip(
        path="",
        frame_numbers=(),
        timestamps=(),
        total_frames=0,
        fps=FPS,
        width=SIDE,
        height=SIDE,
        decoder="",
        policy="stride",
    )
    words = Prompt(parts=MovingShapes().prompt(row, Shown(clip=clip, form="video", root=Path())))
    assert (words.text("system"), words.text("assistant")) == ("", "")
    assert (before("words"), after("words", question)) == ("USER: ", f"{words.text('user')} ASSISTANT:")
    letters = Prompt(parts=choice_prompt((), row))
    assert before("letters") == f"{letters.text('system').strip()} USER: "
    assert after("letters", question) == f"{letters.text('user')} ASSISTANT: {letters.text('assistant')}"


def test_the_prompt_lists_the_options_in_their_order() -> None:
    question = asked(CHANGES[0])[0]
    assert user_text(question.text, question.options) == f"{question.text}\nChoose one: {'; '.join(question.options)}."


def test_writing_the_demo_again_draws_what_is_missing_and_all_if_the_table_is_another(tmp_path: Path) -> None:
    benchmark = SmallDemo()
    said: list[str] = []
    benchmark.write(tmp_path, said.append)
    samples = benchmark.load(tmp_path, benchmark.variant(num_frames=8))
    assert (len(samples), len({s.video for s in samples})) == (6, 2)
    (tmp_path / samples[0].video).unlink()
    benchmark.write(tmp_path, said.append)
    (tmp_path / benchmark.table).write_text("index\tvideo\n")
    benchmark.write(tmp_path, said.append)
    assert said == ["drawing 2 clips", "drawing 1 clips", "drawing 2 clips"]
    assert all((tmp_path / s.video).is_file() for s in samples)


class SmallDemo(MovingShapes):
    """Two clips only."""

    questions = 6
    videos = 2
