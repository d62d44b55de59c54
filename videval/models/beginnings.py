"""What a processor made of a prompt up to its question, used again for the next question about the same.

A processor writes thousands of tokens for a clip into the text, and reads, counts and joins them for each question
anew. Of the next question only the text behind the clip is read. Its tokens are those that it has in the whole prompt:
a tokenizer parts a text at its added tokens before it does anything else, and the text is read from such a token on.
Whether that holds is looked at with each prompt that is begun on; where it does not, the whole is made each time.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from videval.models.batches import IDS, KINDS, MASK, ChatInputs
from videval.models.rendering import rendered
from videval.types import GenerationSettings

__all__ = ["Beginnings"]

Put = Sequence[Mapping[str, Any]]
"""What a processor put into a text, in order: `span` of what stood there, and its `replacement`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Begun:
    """A prompt that others may begin like: `said` is its text up to the end of its last placeholder, `lead` the last
    token of something shown that was put there and what was put behind it.

    `closed`: how many tokens there are up to that one; `rendered`: these as people see them; `shared`: those behind
    them that are of something shown too.
    """

    what: Hashable
    said: str
    lead: str
    closed: int
    rendered: str
    shared: Sequence[int]
    inputs: ChatInputs

    @property
    def ids(self) -> list[int]:
        """The tokens of the prompt."""
        found: list[int] = self.inputs.tensors[IDS][0].tolist()
        return found


class Beginnings:
    """The last prompt of one tokenizer; `marks`: the tokens in whose place something is shown."""

    def __init__(self, tokenizer: Any, marks: Sequence[int]) -> None:
        self._tokenizer, self._marks = tokenizer, frozenset(marks)
        self._last: _Begun | None = None

    def gone_on(self, what: Hashable, text: str, settings: GenerationSettings, *, opened: bool) -> ChatInputs | None:
        """The inputs of a prompt that shows what the last one showed and begins like it; None if it does not."""
        if self._last is not None and self._last.what != what:
            self._last = None  # its pixels are large, and others are made now
        last = self._last
        if last is None or not text.startswith(last.said):
            return None
        ids = self._read(last, text)
        shared, own = ids[: len(last.shared)], ids[len(last.shared) :]
        if not own or shared != last.shared or self._marks.intersection(ids):
            return None
        return replace(
            last.inputs,
            tensors=_longer(last.inputs, own),
            settings=settings,
            opened=opened,
            rendered=last.rendered + rendered(self._tokenizer, ids),
        )

    def learn(self, what: Hashable, text: str, inputs: ChatInputs, put: Put) -> None:
        """Take a prompt for the last one, if what follows what it shows can be read alone."""
        self._last = None
        begun = self._begun(what, text, inputs, put[-1]) if inputs.split and put and _is_plain(inputs) else None
        if begun is not None and self._read(begun, text) == begun.ids[begun.closed :]:
            self._last = begun

    def _begun(self, what: Hashable, text: str, inputs: ChatInputs, put: Mapping[str, Any]) -> _Begun | None:
        ids = inputs.tensors[IDS][0].tolist()
        last = next((place for place in range(len(ids) - 1, 0, -1) if ids[place] in self._marks), 0)
        token = self._tokenizer.added_tokens_decoder.get(ids[last])
        if not last or token is None or token.normalized or token.single_word or ids[last - 1] != ids[last]:
            return None
        return _Begun(
            what=what,
            said=text[: text.rfind(put["text"]) + len(put["text"])],
            lead=token.content + put["replacement"].rpartition(token.content)[2],
            closed=last + 1,
            rendered=rendered(self._tokenizer, ids[: last + 1]),
            shared=ids[last + 1 : inputs.split],
            inputs=inputs,
        )

    def _read(self, begun: _Begun, text: str) -> list[int]:
        """The tokens behind the last one of something shown; none if they cannot be read alone."""
        told = self._tokenizer(begun.lead + text[len(begun.said) :], add_special_tokens=False)
        first, *others = told["input_ids"] or [None]
        return list(others) if first == begun.ids[begun.closed - 1] else []


def _is_plain(inputs: ChatInputs) -> bool:
    """Whether all that there is for each token is known to go on with ones (the mask) or noughts (what is shown)."""
    return all(name in (IDS, MASK, *KINDS) for name in inputs.tensors if inputs.is_per_token(name))


def _longer(inputs: ChatInputs, behind: Sequence[int]) -> dict[str, torch.Tensor]:
    """The tensors of a prompt that has these tokens behind what is shown."""
    ids = inputs.tensors[IDS]
    new = {name: ids.new_zeros((1, len(behind))) for name in KINDS}
    new |= {IDS: ids.new_tensor([behind]), MASK: ids.new_ones((1, len(behind)))}
    return {
        name: torch.cat([value[:, : inputs.split], new[name].to(value.dtype)], 1)
        if inputs.is_per_token(name)
        else value
        for name, value in inputs.tensors.items()
    }
