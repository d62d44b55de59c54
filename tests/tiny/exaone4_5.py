"""A tiny EXAONE 4.5: Qwen2-VL's eyes and frames in pairs, an EXAONE 4 language model, no word of time."""

from pathlib import Path

from transformers import (
    Exaone4_5_Config,
    Exaone4_5_ForConditionalGeneration,
    Exaone4_5_Processor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from tests.tiny._parts import byte_tokenizer, save

SPECIAL = ("[PAD]", "<|endofturn|>", "<|system|>", "<|user|>", "<|assistant|>", "<vision>", "</vision>",
           "<|image_pad|>", "<|video_pad|>")  # fmt: skip
TEMPLATE = """\
{%- for message in messages -%}
<|{{ message['role'] }}|>{{ '\\n' }}
{%- if message['content'] is string -%}{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}<vision><|image_pad|></vision>
{%- elif part['type'] == 'video' -%}<vision><|video_pad|></vision>
{%- elif part['type'] == 'text' -%}{{ part['text'] }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
<|endofturn|>{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{{ '\\n<think>\\n' }}
{%- if not enable_thinking|default(true) -%}{{ '\\n</think>\\n\\n' }}{%- endif -%}
{%- endif -%}
"""
PIXELS = {"min_pixels": 28 * 28, "max_pixels": 56 * 56}


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = byte_tokenizer(SPECIAL, eos="<|endofturn|>", pad="[PAD]")
    processor = Exaone4_5_Processor(
        image_processor=Qwen2VLImageProcessor(**PIXELS),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**PIXELS),
        chat_template=TEMPLATE,
    )
    save(folder, Exaone4_5_ForConditionalGeneration, _config(len(tokenizer)), processor, eos=[1], pad=0)


def _config(vocabulary: int) -> Exaone4_5_Config:
    text = {
        "model_type": "exaone4",
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 64,
        "bos_token_id": None,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "num_key_value_heads": 1,
        "out_hidden_size": 64,
        "fullatt_block_indexes": [1],
        "window_size": 56,
    }
    return Exaone4_5_Config(
        text_config=text,
        vision_config=vision,
        image_token_id=SPECIAL.index("<|image_pad|>"),
        video_token_id=SPECIAL.index("<|video_pad|>"),
    )
