"""A tiny Gemma 4: video frames as soft tokens behind their time as mm:ss, thinking in a channel of its own."""

from collections.abc import Callable
from pathlib import Path

from transformers import (
    Gemma4AudioFeatureExtractor,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
    Gemma4ImageProcessor,
    Gemma4Processor,
    Gemma4VideoProcessor,
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
<|turn>system
{{ '\\n' }}
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
PATCH, POOL = 4, 3


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = byte_tokenizer(
        (*SPECIAL, *NAMED.values()), eos="<eos>", pad="<pad>", bos_token="<bos>", extra_special_tokens=NAMED
    )
    sizes = {"patch_size": PATCH, "pooling_kernel_size": POOL, "max_soft_tokens": 70}
    processor = Gemma4Processor(
        feature_extractor=Gemma4AudioFeatureExtractor(),
        image_processor=Gemma4ImageProcessor(**sizes),
        tokenizer=tokenizer,
        video_processor=Gemma4VideoProcessor(**sizes),
        chat_template=TEMPLATE,
    )
    ids = tokenizer.convert_tokens_to_ids
    ends = [ids("<eos>"), ids("<turn|>")]
    save(folder, Gemma4ForConditionalGeneration, _config(ids, len(tokenizer)), processor, eos=ends, pad=ids("<pad>"))


def _config(ids: Callable[[str], int], vocabulary: int) -> Gemma4Config:
    text = {
        "vocab_size": vocabulary,
        "vocab_size_per_layer_input": vocabulary,
        "hidden_size": 64,
        "hidden_size_per_layer_input": 8,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "global_head_dim": 16,
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 64,
        "max_position_embeddings": 4096,
        "use_bidirectional_attention": "vision",
        "pad_token_id": ids("<pad>"),
        "bos_token_id": ids("<bos>"),
        "eos_token_id": ids("<eos>"),
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "patch_size": PATCH,
        "pooling_kernel_size": POOL,
        "position_embedding_size": 64,
    }
    return Gemma4Config(
        text_config=text,
        vision_config=vision,
        audio_config=None,
        boi_token_id=ids("<|image>"),
        eoi_token_id=ids("<image|>"),
        image_token_id=ids("<|image|>"),
        video_token_id=ids("<|video|>"),
        boa_token_id=ids("<|audio>"),
        eoa_token_index=ids("<audio|>"),
        audio_token_id=ids("<|audio|>"),
    )
