"""The tokenizer: a byte-level BPE built from the questions themselves, so that every word of them is one token."""

from __future__ import annotations

import random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tools.demo_model.forms import Form, after, before, reply
from videval.benchmarks.shapes.questions import questions
from videval.benchmarks.shapes.scenes import random_change, random_parade

SPECIAL = ("<pad>", "<s>", "</s>", "<image>", "<video>")
FORMS: tuple[Form, ...] = ("words", "letters")
LETTERS = "(A (B (C (D) (E) A) B) C) D) E) A. B. C. D. E."


def build_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """Train the tokenizer on a few hundred clips' questions; `<s>` starts every text, as Llama's tokenizer does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        min_frequency=1,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(seed), trainer)
    start = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", start)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=["<image>", "<video>"],
        padding_side="left",
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )


def _corpus(seed: int) -> list[str]:
    rng = random.Random(seed)
    texts = [LETTERS]
    for number in range(400):
        scene = random_parade(rng) if number % 2 else random_change(rng)
        for question in questions(scene, rng):
            texts += [before(f) + "\n" + after(f, question) + reply(f, question, question.answer) for f in FORMS]
    return texts
