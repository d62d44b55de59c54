"""A prompt's tokens as the text that is stored and shown to people."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

__all__ = ["rendered"]


def rendered(tokenizer: Any, ids: Sequence[int]) -> str:
    """The prompt as text, special tokens and all; one that is repeated is written once, with how often."""
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    pieces: list[str] = []
    words: list[int] = []
    for token, run in groupby(ids):
        count = sum(1 for _ in run)
        if count > 1 and token in special:
            pieces += [_decoded(tokenizer, words), f"{_decoded(tokenizer, [token])}×{count}"]
            words = []
        else:
            words += [token] * count
    return "".join([*pieces, _decoded(tokenizer, words)])


def _decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)) if ids else ""
