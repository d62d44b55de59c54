"""A tiny Gemma 4: video frames as soft tokens behind their time as mm:ss, thinking in a channel of its own."""

from pathlib import Path
from typing import Any

from transformers import (
    Gemma4AudioFeatureExtractor,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
    Gemma4ImageProcessor,
    Gemma4Processor,
    Gemma4VideoProcessor,
    PreTrainedTokenizerBase,
)

from tests.tiny._parts import byte_tokenizer, save

NAMED = {
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
}
SPECIAL = ("<pad>", "<eos>", "<bos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|think|>", "<|video|>")
TEMPLATE = """\
{{ bos_token }}
{%- set said = messages[0]['role'] == 'system' -%}
{%- if said or enable_thinking|default(false) -%}
<|turn>system{{ '\\n' }}
{%- if enable_thinking|default(false) -%}<|think|>{{ '\\n' }}{%- endif -%}
{%- if said -%}
{%- if messages[0]['content'] is string -%}{{ messages[0]['content'] | trim }}
{%- else -%}{%- for part in messages[0]['content'] -%}{{ part['text'] | trim }}{%- endfor -%}{%- endif -%}
{%- endif -%}
<turn|>{{ '\\n' }}
{%- endif -%}
{%- for message in messages if message['role'] != 'system' -%}
<|turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}{{ '\\n' }}
{%- if message['content'] is string -%}{{ message['content'] | trim }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}<|image|>
{%- elif part['type'] == 'video' -%}<|video|>
{%- elif part['type'] == 'text' -%}{{ part['text'] | trim }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
<turn|>{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<|turn>model{{ '\\n' }}{%- endif -%}
"""
SIZES = {"patch_size": 4, "pooling_kernel_size": 3, "max_soft_tokens": 70}


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = gemma_tokenizer()
    processor = Gemma4Processor(
        feature_extractor=Gemma4AudioFeatureExtractor(),
        image_processor=Gemma4ImageProcessor(**SIZES),
        tokenizer=tokenizer,
        video_processor=Gemma4VideoProcessor(**SIZES),
        chat_template=TEMPLATE,
    )
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "patch_size": SIZES["patch_size"],
        "pooling_kernel_size": SIZES["pooling_kernel_size"],
        "position_embedding_size": 128,
    }
    layers = {"vocab_size_per_layer_input": len(tokenizer), "hidden_size_per_layer_input": 8}
    config = Gemma4Config(
        text_config=text_sizes(tokenizer) | layers, vision_config=vision, audio_config=None, **marks(tokenizer)
    )
    save(folder, Gemma4ForConditionalGeneration, config, processor, **ends(tokenizer))


def gemma_tokenizer() -> PreTrainedTokenizerBase:
    """Bytes and the marks of the family."""
    special = (*SPECIAL, *NAMED.values())
    return byte_tokenizer(special, eos="<eos>", pad="<pad>", bos_token="<bos>", extra_special_tokens=NAMED)


def ends(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The tokens that end an answer, and the pad."""
    return {"eos": tokenizer.convert_tokens_to_ids(["<eos>", "<turn|>"]), "pad": tokenizer.pad_token_id}


def text_sizes(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The sizes of the language model."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "global_head_dim": 16,
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 64,
        "max_position_embeddings": 8192,
        "use_bidirectional_attention": "vision",
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": False,
    }


def marks(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The token numbers that the config names, and that what is said is not weighed by what is read."""
    ids = tokenizer.convert_tokens_to_ids
    named = {f"{name}_id": ids(token) for name, token in NAMED.items() if name != "eoa_token"}
    others = {"eoa_token_index": ids(NAMED["eoa_token"]), "video_token_id": ids("<|video|>")}
    return named | others | {"tie_word_embeddings": False}
