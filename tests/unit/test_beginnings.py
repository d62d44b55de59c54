"""Only the text behind a clip is read again: with each kind of tokenizer its tokens are those of the whole prompt, and
where they might not be, or are not, nothing is gone on from."""

import gc
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from weakref import ref

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from videval.models.batches import IDS, MASK, ChatInputs, split_behind
from videval.models.beginnings import Beginnings
from videval.models.rendering import rendered
from videval.types import GenerationSettings

SETTINGS = GenerationSettings()
QUESTIONS = ("ab", " ab", "\nab?", "a", "", "ba ab", "  b")
EACH = 5
Spelt = tuple[Any, Any, Any]

BYTES: Spelt = (None, pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel())
SPACED: Spelt = (None, pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel())
FIRST: Spelt = (None, pre_tokenizers.Metaspace(prepend_scheme="first"), decoders.Metaspace(prepend_scheme="first"))
ALWAYS: Spelt = (None, pre_tokenizers.Metaspace(prepend_scheme="always"), decoders.Metaspace(prepend_scheme="always"))
LEGACY: Spelt = (
    normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
    None,
    decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
)
KINDS = {"bytes": BYTES, "bytes, spaced": SPACED, "first": FIRST, "always": ALWAYS, "legacy": LEGACY}


def tokenizer(spelt: Spelt, mark: AddedToken | None) -> PreTrainedTokenizerFast:
    """One that joins `ab`, `>a` and a blank with what follows it; without a `mark`, `<v>` is three signs."""
    letters = sorted({*pre_tokenizers.ByteLevel.alphabet(), "▁"})
    merges = [("a", "b"), (">", "a"), ("Ġ", "ab"), ("▁", "ab"), ("▁", "a"), ("Ċ", "ab")]
    vocabulary = {text: number for number, text in enumerate([*letters, *("".join(pair) for pair in merges)])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    normalizer, before, decoder = spelt
    if normalizer is not None:
        made.normalizer = normalizer
    if before is not None:
        made.pre_tokenizer = before
    made.decoder = decoder
    if mark is not None:
        made.add_special_tokens([mark, AddedToken("</v>", normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=made, clean_up_tokenization_spaces=False)


class Asked:
    """Prompts that show one thing, before which and behind which something is said."""

    def __init__(self, words: PreTrainedTokenizerFast, *, behind: str = "", spelt: str = "<v>") -> None:
        self.words, self.put = words, spelt * EACH + behind
        self.mark = int(words.convert_tokens_to_ids("<v>") or 0)
        self.beginnings = Beginnings(words, [self.mark])

    def text(self, question: str) -> str:
        return f"See: <v>{question} Say:"

    def whole(self, question: str) -> ChatInputs:
        """As a processor makes it."""
        ids = torch.tensor([self.words(self.text(question).replace("<v>", self.put))["input_ids"]])
        tensors = {IDS: ids, MASK: torch.ones_like(ids)}
        return ChatInputs(
            tensors=tensors,
            settings=SETTINGS,
            rendered=rendered(self.words, ids[0].tolist()),
            split=split_behind(tensors, [self.mark]),
        )

    def learn(self, question: str) -> None:
        put: Mapping[str, Any] = {"text": "<v>", "replacement": self.put}
        self.beginnings.learn("it", self.text(question), self.whole(question), [put])

    def gone_on(self, question: str) -> ChatInputs | None:
        return self.beginnings.gone_on("it", self.text(question), SETTINGS, opened=False)


@pytest.mark.parametrize("behind", ["", "</v>", "a"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_question_has_the_tokens_that_it_has_in_the_whole_prompt(kind: str, behind: str) -> None:
    asked = Asked(tokenizer(KINDS[kind], AddedToken("<v>", normalized=False)), behind=behind)
    for first in QUESTIONS:
        asked.learn(first)
        for question in QUESTIONS:
            found, whole = asked.gone_on(question), asked.whole(question)
            assert found is not None
            assert found.tensors.keys() == whole.tensors.keys()
            assert all(torch.equal(found.tensors[name], whole.tensors[name]) for name in whole.tensors)
            assert (found.rendered, found.split) == (whole.rendered, whole.split)


def test_a_mark_that_takes_the_blanks_behind_it_takes_them_here_too() -> None:
    asked = Asked(tokenizer(BYTES, AddedToken("<v>", normalized=False, rstrip=True)))
    asked.learn("a")
    found = asked.gone_on("  b")
    assert found is not None and torch.equal(found.tensors[IDS], asked.whole("  b").tensors[IDS])


@pytest.mark.parametrize(
    "mark", [AddedToken("<v>", normalized=True), AddedToken("<v>", normalized=False, single_word=True)]
)
def test_a_mark_that_depends_on_what_stands_beside_it_is_not_gone_on_from(mark: AddedToken) -> None:
    asked = Asked(tokenizer(BYTES, mark), spelt="<v> ")
    asked.learn("a")
    assert asked.gone_on("b") is None


def test_a_mark_that_is_no_token_of_its_own_may_grow_into_the_question_and_is_not_gone_on_from() -> None:
    asked = Asked(tokenizer(BYTES, None))
    asked.mark = int(asked.words.convert_tokens_to_ids(">"))
    asked.beginnings = Beginnings(asked.words, [asked.mark])
    asked.learn(" ")
    assert asked.gone_on("ab") is None


def test_a_prompt_that_the_processor_changed_is_not_gone_on_from() -> None:
    asked = Asked(tokenizer(BYTES, AddedToken("<v>", normalized=False)))
    put = {"text": "<v>", "replacement": asked.put}
    asked.beginnings.learn("it", asked.text("b"), asked.whole("a"), [put])
    assert asked.gone_on("b") is None


def test_a_question_that_shows_something_itself_is_made_whole() -> None:
    asked = Asked(tokenizer(BYTES, AddedToken("<v>", normalized=False)))
    asked.learn("a")
    assert asked.gone_on("a<v>") is None


def test_a_question_that_grows_together_with_what_is_shown_is_made_whole() -> None:
    asked = Asked(tokenizer(BYTES, AddedToken("<v>", normalized=False)), behind="a")
    whole = asked.whole("c")
    kinds = torch.zeros_like(whole.tensors[IDS])
    kinds[0, : whole.split + 1] = 1
    typed = replace(whole, tensors={**whole.tensors, "mm_token_type_ids": kinds}, split=whole.split + 1)
    asked.beginnings.learn("it", asked.text("c"), typed, [{"text": "<v>", "replacement": asked.put}])
    assert asked.gone_on("b") is None
    found = asked.gone_on("ca")
    assert found is not None and torch.equal(found.tensors[IDS], asked.whole("ca").tensors[IDS])


def test_nothing_is_kept_of_what_was_shown_while_something_else_is_made() -> None:
    asked = Asked(tokenizer(BYTES, AddedToken("<v>", normalized=False)))
    whole = asked.whole("a")
    asked.beginnings.learn("it", asked.text("a"), whole, [{"text": "<v>", "replacement": asked.put}])
    pixels = ref(whole.tensors[IDS])
    del whole
    assert asked.beginnings.gone_on("another", asked.text("b"), SETTINGS, opened=False) is None
    gc.collect()
    assert pixels() is None


def test_inputs_that_nobody_knows_how_to_make_longer_are_made_whole() -> None:
    asked = Asked(tokenizer(BYTES, AddedToken("<v>", normalized=False)))
    whole = asked.whole("a")
    strange = ChatInputs(
        tensors={**whole.tensors, "weights_of_tokens": torch.ones(1, whole.tokens)},
        settings=SETTINGS,
        split=whole.split,
    )
    asked.beginnings.learn("it", asked.text("a"), strange, [{"text": "<v>", "replacement": asked.put}])
    assert asked.gone_on("b") is None
