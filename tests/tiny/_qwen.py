"""What the tiny checkpoints of the Qwen families share: special tokens, chat templates and sizes.

The templates have the form of the published ones, without tools.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast, Qwen2VLImageProcessor, Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

from tests.tiny._parts import byte_tokenizer, save

VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
"""How the start and the end of something shown, an image and a video are written."""
ENDS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
THINKING = ("<think>", "</think>")
HELPFUL = "You are a helpful assistant."
WIDE = 0.4
"""Weights are drawn wide, so that two questions or two clips get two answers."""


def template(*, system: str = "", marks: Sequence[str] = VISION, start: str = "") -> str:
    """ChatML: `system` is said where the user says none, `start` is how the answer begins."""
    begin, end, image, video = marks
    silent = "{% if loop.first and message.role != 'system' %}<|im_start|>system\n" + system + "<|im_end|>\n{% endif %}"
    return (
        "{% for message in messages %}" + (silent if system else "") + "<|im_start|>{{ message.role }}\n"
        "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
        "{% if part.type == 'image' %}" + begin + image + end + "{% elif part.type == 'video' %}" + begin + video + end
        + "{% elif 'text' in part %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n" + start + "{% endif %}"
    )  # fmt: skip


THINKS = "<think>\n"
SWITCHED = (
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% else %}" + THINKS + "{% endif %}"
)
"""How an answer begins that is thought about unless the template is told not to."""


def tokenizer(more: Sequence[str] = (), *, thinking: bool = False, **named: Any) -> PreTrainedTokenizerFast:
    """Bytes and special tokens; the marks of thinking are tokens, but not special ones, as in Qwen's own."""
    made = byte_tokenizer([*ENDS, *(more or VISION)], eos="<|im_end|>", pad="<|endoftext|>", **named)
    if thinking:
        made.add_tokens(list(THINKING))
    return made


def write(folder: Path, model: Any, config: Any, processor: Any) -> None:
    """Write the checkpoint; an answer ends where a turn ends, or at the end of all text."""
    words = processor.tokenizer
    save(folder, model, config, processor, eos=[words.eos_token_id, words.pad_token_id], pad=words.pad_token_id)


def text(words: PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    """A language model of two layers; a token's position is one in time, height and width."""
    return {
        "vocab_size": len(words),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        "initializer_range": WIDE,
        "bos_token_id": None,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        "tie_word_embeddings": False,
    } | more


EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": True}
"""Of a language model that asks some of its experts."""


def vision(**more: Any) -> dict[str, Any]:
    """A vision tower of two layers."""
    return {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "initializer_range": WIDE} | more


WINDOWED = vision(out_hidden_size=64, fullatt_block_indexes=[1], window_size=56)
"""The vision tower of Qwen2.5, whose first layer looks at windows of 56 pixels."""
DEEP = vision(out_hidden_size=64, num_position_embeddings=64, patch_size=16, deepstack_visual_indexes=[0, 1])
"""The vision tower of Qwen3, whose layers are added to the first ones of the language model."""
PLAIN = vision(out_hidden_size=64, num_position_embeddings=64, patch_size=16)
"""The vision tower of Qwen3.5."""
LINEAR = {
    "layer_types": ["full_attention", "linear_attention"],
    "head_dim": 16,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [2, 1, 1],
        "mrope_interleaved": True,
        "partial_rotary_factor": 0.5,
    },
}
"""The language model of Qwen3.5: three of four layers attend linearly (here one of two, and last)."""


def ids(words: PreTrainedTokenizerFast, marks: Sequence[str] = VISION) -> dict[str, int]:
    """The numbers of the tokens in `marks`, as a config names them."""
    names = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
    return dict(zip(names, words.convert_tokens_to_ids(list(marks)), strict=True))


MEL = 16
HEARING = {
    "num_mel_bins": MEL,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "d_model": 32,
    "max_source_positions": 64,
    "output_dim": 64,
    "n_window": 8,
}
"""The audio tower of the omni models."""


def named(marks: Sequence[str], sound: Sequence[str]) -> dict[str, str]:
    """The tokens that an omni model's processor asks its tokenizer for; `sound`: start, end and audio itself."""
    names = ("vision_bos_token", "vision_eos_token", "image_token", "video_token")
    return dict(zip((*names, "audio_bos_token", "audio_eos_token", "audio_token"), (*marks, *sound), strict=True))


def omni_ids(words: PreTrainedTokenizerFast, marks: Sequence[str], sound: Sequence[str]) -> dict[str, int]:
    """The numbers of the tokens in `marks` and `sound`, as a thinker's config names them."""
    heard = dict(zip(("audio_start_token_id", "audio_end_token_id", "audio_token_id"), sound, strict=True))
    return ids(words, marks) | {name: words.convert_tokens_to_ids(token) for name, token in heard.items()}


def frames_of_28(most: int = 4) -> dict[str, Any]:
    """The processors of images and videos by patches of 14 pixels: 1 token to `most` for two frames."""
    size = {"shortest_edge": 28 * 28, "longest_edge": most * 28 * 28}
    return {"image_processor": Qwen2VLImageProcessor(size=size), "video_processor": Qwen2VLVideoProcessor(size=size)}


def frames_of_32() -> dict[str, Any]:
    """The processors by patches of 16 pixels: a video has at most 48 x 32 x 32 pixels in all, whatever its frames."""
    size = {"shortest_edge": 4 * 32 * 32, "longest_edge": 48 * 32 * 32}
    how: dict[str, Any] = {"size": size, "patch_size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return {"image_processor": Qwen2VLImageProcessor(**how), "video_processor": Qwen3VLVideoProcessor(**how)}
