"""A run's generation settings as transformers takes them: penalties, ends, and who is generated together."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from transformers import RepetitionPenaltyLogitsProcessor

from videval.models.batches import padded
from videval.models.generating import Ends, StopTexts, generation_config, penalties, read_answer, together
from videval.types import GenerationSettings

GREEDY = GenerationSettings()
HOT = GenerationSettings(temperature=0.7)


class Letters:
    """A tokenizer of letters: token 0 is the end, 1 is a, 2 is b, ..."""

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False, **_: object) -> str:
        return "".join(chr(96 + i) if i else "" if skip_special_tokens else "<end>" for i in ids)


def test_a_greedy_run_samples_nothing_whatever_else_it_says() -> None:
    config = generation_config(replace(GREEDY, top_p=0.5, top_k=7, min_p=0.1), pad=0, eos=[1, 2])
    assert (config.do_sample, config.eos_token_id, config.max_new_tokens) == (False, [1, 2], 512)


def test_sampling_is_as_the_run_says_and_not_as_transformers_has_it_by_default() -> None:
    config = generation_config(HOT, pad=0, eos=[1])
    assert (config.do_sample, config.temperature, config.top_p, config.top_k, config.min_p) == (True, 0.7, 1.0, 0, None)
    config = generation_config(replace(HOT, top_p=0.8, top_k=20, min_p=0.05), pad=0, eos=[1])
    assert (config.top_p, config.top_k, config.min_p) == (0.8, 20, 0.05)


def test_without_penalties_there_is_nothing_to_do() -> None:
    assert len(penalties(GREEDY, torch.ones(1, 3))) == 0


def test_the_repetition_penalty_is_transformers_own_and_counts_the_prompt() -> None:
    ids, scores = torch.tensor([[3, 4, 4]]), torch.tensor([[0.5, -1.0, 2.0, 3.0, -4.0, 1.0]])
    (own,) = penalties(replace(GREEDY, repetition_penalty=2.0), torch.ones(1, 2))
    expected = RepetitionPenaltyLogitsProcessor(2.0)(ids, scores.clone())
    assert torch.equal(own(ids, scores.clone()), expected)
    assert expected.tolist() == [[0.5, -1.0, 2.0, 1.5, -8.0, 1.0]]


def test_pads_are_no_part_of_a_prompt_and_are_not_penalised() -> None:
    scores = torch.tensor([[8.0, 1.0, 2.0, 4.0]])
    (own,) = penalties(replace(GREEDY, repetition_penalty=2.0), torch.tensor([[0, 0, 1]]))
    assert own(torch.tensor([[0, 0, 3]]), scores.clone()).tolist() == [[8.0, 1.0, 2.0, 2.0]]


def test_the_presence_penalty_is_taken_once_from_what_the_answer_has_and_not_the_prompt() -> None:
    (own,) = penalties(replace(GREEDY, presence_penalty=1.5), torch.ones(1, 2))
    made = own(torch.tensor([[1, 2, 3, 3, 3]]), torch.zeros(1, 5))
    assert made.tolist() == [[0.0, 0.0, 0.0, -1.5, 0.0]]


def test_rows_are_padded_in_front() -> None:
    values, mask = padded([torch.tensor([[7]]), torch.tensor([[8, 9]])], 5)
    assert (values.tolist(), mask.tolist()) == ([[5, 7], [8, 9]], [[0, 1], [1, 1]])


def test_rows_that_begin_alike_are_padded_behind_their_beginning() -> None:
    rows = [torch.tensor([[1, 2, 3]]), torch.tensor([[1, 2, 4, 6]])]
    values, mask = padded(rows, 5, at=2)
    assert (values.tolist(), mask.tolist()) == ([[1, 2, 5, 3], [1, 2, 4, 6]], [[1, 1, 0, 1], [1, 1, 1, 1]])
    axes, _ = padded([torch.stack([row, row * 10]) for row in rows], 0, at=2)
    assert axes[1].tolist() == [[10, 20, 0, 30], [10, 20, 40, 60]]


def test_what_is_sampled_or_has_other_settings_or_sizes_is_generated_apart() -> None:
    long = replace(GREEDY, max_new_tokens=9)
    settings = [GREEDY, long, GREEDY, HOT, HOT, GREEDY]
    assert together(settings, ["a", "a", "a", "a", "a", "b"]) == [[0, 2], [1], [3], [4], [5]]


@pytest.mark.parametrize(
    ("new", "stopped", "text", "count", "truncated"),
    [
        ([1, 2, 0, 3], None, "ab", 3, False),
        ([1, 2, 3], None, "abc", 3, True),
        ([1, 2, 4, 5, 0, 0], 4, "ab", 4, False),
        ([0], None, "", 1, False),
        ([], None, "", 0, True),
        ([4, 5], 2, "", 2, False),
    ],
)
def test_an_answer_ends_at_an_end_token_or_before_a_stop_text(
    new: list[int], stopped: int | None, text: str, count: int, truncated: bool
) -> None:
    read = read_answer(Letters(), new, Ends(eos=(0,), stop=("de",)), prompt_tokens=3, stopped=stopped)
    assert (read.text, read.new_tokens, read.truncated) == (text, count, truncated)


def test_a_stop_text_in_several_tokens_ends_its_row_and_no_other() -> None:
    stops = StopTexts(Letters(), ("de", "x"), prompt=2)
    ids = torch.tensor([[4, 5, 4], [4, 5, 1]])
    assert stops(ids, None).tolist() == [False, False], "the prompt's text is no answer"
    ids = torch.cat([ids, torch.tensor([[5], [1]])], dim=1)
    assert stops(ids, None).tolist() == [True, False]
    ids = torch.cat([ids, torch.tensor([[0], [24]])], dim=1)
    assert stops(ids, None).tolist() == [True, True]
    assert stops.after == {0: 2, 1: 3}


def test_without_stop_texts_nothing_is_decoded_on_the_way() -> None:
    assert len(StopTexts(Letters(), (), 3).criteria()) == 0
