"""A tiny MiniCPM-V 4.6: each frame an image with slices, no word of time, a Qwen3.5 language model."""

from pathlib import Path
from typing import Any

from transformers import (
    MiniCPMV4_6Config,
    MiniCPMV4_6ForConditionalGeneration,
    MiniCPMV4_6ImageProcessor,
    MiniCPMV4_6Processor,
    MiniCPMV4_6VideoProcessor,
    PreTrainedTokenizerBase,
)

from tests.tiny._parts import byte_tokenizer, save

NAMED = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "image_start_token": "<image>",
    "image_end_token": "</image>",
    "slice_start_token": "<slice>",
    "slice_end_token": "</slice>",
    "image_id_start_token": "<image_id>",
    "image_id_end_token": "</image_id>",
}
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message['role'] }}{{ '\\n' }}
{%- if message['content'] is string -%}{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}<|image_pad|>{{ '\\n' }}
{%- elif part['type'] == 'video' -%}<|video_pad|>{{ '\\n' }}
{%- elif part['type'] == 'text' -%}{{ part['text'] }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
<|im_end|>{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant{{ '\\n<think>\\n\\n</think>\\n\\n' }}{%- endif -%}
"""
PATCH, SLICE = 4, 32
SIZES = {"patch_size": PATCH, "scale_resolution": SLICE}
STRAIGHT = {"processing": {"videos_kwargs": {"max_slice_nums": 1}, "use_image_id": False}}
"""How the README of MiniCPM-V 4.6 has a video shown."""


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = minicpm_tokenizer()
    processor = MiniCPMV4_6Processor(
        image_processor=MiniCPMV4_6ImageProcessor(**SIZES),
        video_processor=MiniCPMV4_6VideoProcessor(**SIZES),
        tokenizer=tokenizer,
        chat_template=TEMPLATE,
    )
    config = MiniCPMV4_6Config(**sizes(tokenizer))
    save(folder, MiniCPMV4_6ForConditionalGeneration, config, processor, **ends(tokenizer))


def minicpm_tokenizer() -> PreTrainedTokenizerBase:
    """Bytes and the marks of the family."""
    special = (*SPECIAL, *NAMED.values())
    return byte_tokenizer(special, eos="<|im_end|>", pad="<|endoftext|>", extra_special_tokens=NAMED)


def ends(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The tokens that end an answer, and the pad."""
    end, pad = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    return {"eos": [end, pad], "pad": pad}


def sizes(tokenizer: PreTrainedTokenizerBase, **text: Any) -> dict[str, Any]:
    """The fields of the config; `text`: what is otherwise in the language model's."""
    ids = tokenizer.convert_tokens_to_ids
    language = {
        "model_type": "qwen3_5_text",
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "max_position_embeddings": 4096,
        "pad_token_id": tokenizer.pad_token_id,
        **text,
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SLICE,
        "patch_size": PATCH,
    }
    return {
        "text_config": language,
        "vision_config": vision,
        "insert_layer_id": 0,
        "image_size": SLICE,
        "image_token_id": ids("<|image_pad|>"),
        "video_token_id": ids("<|video_pad|>"),
    }
