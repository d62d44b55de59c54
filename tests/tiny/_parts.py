"""What the tiny models share: a tokenizer of bytes, and the plain script that videval's answers are compared with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    PreTrainedTokenizerFast,
)
from transformers.video_utils import VideoMetadata

__all__ = ["byte_tokenizer", "save", "small_text", "straight", "with_start"]


def byte_tokenizer(
    special_tokens: Sequence[str], *, eos: str, pad: str, cls: Any = None, **named: Any
) -> PreTrainedTokenizerFast:
    """One token a byte, and one for each special token; `named`: further arguments, such as `image_token`.

    `special_tokens` get the first numbers, in order; `cls`: the family's own tokenizer class, if its processor asks.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special_tokens, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return (cls or PreTrainedTokenizerFast)(
        tokenizer_object=tokenizer,
        eos_token=eos,
        pad_token=pad,
        additional_special_tokens=[t for t in special_tokens if t not in (eos, pad)],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        **named,
    )


def with_start(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The tokenizer, with its first token in front of every text that it is given, as Llama's has it."""
    start = tokenizer.bos_token
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A", pair=f"{start} $A $B", special_tokens=[(start, tokenizer.bos_token_id)]
    )
    return tokenizer


def small_text(model_type: str, tokenizer: PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    """The config of a small language model of 2 layers for `tokenizer`; `more`: what is otherwise."""
    usual = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return {"model_type": model_type, **usual, **more}


def save(folder: Path, model_class: Any, config: Any, processor: Any, *, eos: Sequence[int], pad: int) -> None:
    """Write a model with random weights, the same each time, its processor and how it generates."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = model_class(config).eval()
        for weights in model.parameters():
            if weights.ndim > 1:
                torch.nn.init.normal_(weights, std=0.4)  # as drawn by default, frames would hardly matter
    model.generation_config = GenerationConfig(eos_token_id=list(eos), pad_token_id=pad)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def straight(
    folder: Path,
    frames: npt.NDArray[np.uint8],
    question: str,
    *,
    numbers: Sequence[int] = (),
    fps: float = 1.0,
    total: int = 0,
    as_images: bool = False,
    marks: Sequence[str] = (),
    new_tokens: int = 12,
    processing: Mapping[str, Any] | None = None,
    template: Mapping[str, Any] | None = None,
    model_class: Any = AutoModelForImageTextToText,
    tells_rate: bool = False,
) -> list[int]:
    """The new tokens of a plain script of transformers on the frames [n, height, width, 3]: no code of videval.

    The frames are shown as a video with their `numbers` at the source's `fps`, or one by one as images, each behind
    its text of `marks`. `processing` and `template`: what is told to the processor and to the chat template;
    `tells_rate`: a processor that reads no metadata is told how many frames a second are shown.
    """
    processor = AutoProcessor.from_pretrained(folder)
    model = model_class.from_pretrained(folder, dtype=torch.float32).eval()
    content: list[dict[str, Any]] = [] if as_images else [{"type": "video", "video": frames}]
    for place in range(len(frames) if as_images else 0):
        content += [{"type": "text", "text": marks[place]}] if marks else []
        content += [{"type": "image", "image": frames[place]}]
    told: dict[str, Any] = {**(processing or {})}
    if not as_images:
        told |= {"do_sample_frames": False, "video_metadata": [[_metadata(frames, numbers, fps, total)]]}
    if tells_rate:
        told["fps"] = len(frames) / total * fps
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": [*content, {"type": "text", "text": question}]}],
        add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt", processor_kwargs=told,
        **(template or {}),
    )  # fmt: skip
    with torch.inference_mode():
        out = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
    return [int(token) for token in out[0, inputs["input_ids"].shape[1] :]]


def _metadata(frames: npt.NDArray[np.uint8], numbers: Sequence[int], fps: float, total: int) -> VideoMetadata:
    count, height, width = frames.shape[:3]
    return VideoMetadata(
        total_num_frames=total or count,
        fps=fps,
        width=width,
        height=height,
        duration=(total or count) / fps,
        frames_indices=list(numbers) or list(range(count)),
    )
