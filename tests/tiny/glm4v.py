"""A tiny GLM-4.1V: pairs of frames as images behind their second, thinking between marks of text.

`parts` is what its later relatives share: tokens, template, sizes.
"""

from pathlib import Path
from typing import Any

from transformers import (
    Glm4vConfig,
    Glm4vForConditionalGeneration,
    Glm4vImageProcessor,
    Glm4vProcessor,
    Glm4vTextConfig,
    Glm4vVideoProcessor,
    Glm4vVisionConfig,
    PreTrainedTokenizerBase,
)

from tests.tiny._parts import byte_tokenizer, save

SPECIAL = (
    "<|endoftext|>",
    "[gMASK]",
    "<sop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
    "<|image|>",
    "<|video|>",
)
TEMPLATE = """\
[gMASK]<sop>
{%- for message in messages -%}
<|{{ message['role'] }}|>{{ '\\n' }}
{%- if message['content'] is string -%}{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'video' -%}<|begin_of_video|><|video|><|end_of_video|>
{%- elif part['type'] == 'image' -%}<|begin_of_image|><|image|><|end_of_image|>
{%- elif part['type'] == 'text' -%}{{ part['text'] }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
SWITCH
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{{ '\\n' }}EMPTY{%- endif -%}
"""
ALWAYS_THINKS = TEMPLATE.replace("SWITCH\n", "").replace("EMPTY", "")
"""The template of GLM-4.1V-Thinking, which has no switch."""
SWITCHED = TEMPLATE.replace(
    "SWITCH", "{%- if message['role'] == 'user' and not enable_thinking|default(true) -%}/nothink{%- endif -%}"
).replace("EMPTY", "{%- if not enable_thinking|default(true) -%}<think></think>{{ '\\n' }}{%- endif -%}")
"""The template of GLM-4.5V and 4.6V, which think unless they are told not to."""
PATCH = 4
VIDEO_SIZE = {"shortest_edge": 8 * 8, "longest_edge": 8 * 8 * 2 * 200}


VISION = {
    "depth": 2,
    "hidden_size": 32,
    "num_heads": 2,
    "image_size": 32,
    "patch_size": PATCH,
    "out_hidden_size": 32,
    "intermediate_size": 64,
}


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = glm_tokenizer()
    config = Glm4vConfig(
        text_config=Glm4vTextConfig(**text_sizes(tokenizer)),
        vision_config=Glm4vVisionConfig(**VISION),
        **marks(tokenizer),
    )
    processor = Glm4vProcessor(
        image_processor=Glm4vImageProcessor(patch_size=PATCH, size=VIDEO_SIZE),
        tokenizer=tokenizer,
        video_processor=Glm4vVideoProcessor(patch_size=PATCH, size=VIDEO_SIZE),
        chat_template=ALWAYS_THINKS,
    )
    save(folder, Glm4vForConditionalGeneration, config, processor, eos=ends(tokenizer), pad=tokenizer.pad_token_id)


def glm_tokenizer() -> PreTrainedTokenizerBase:
    """Bytes and the marks of the family; the thinking marks are words to it, as in the published vocabulary."""
    return byte_tokenizer(SPECIAL, eos="<|endoftext|>", pad="<|endoftext|>")


def text_sizes(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The sizes of the language model."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": 4096,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5,
            "mrope_section": [1, 1, 2],
        },
        "pad_token_id": tokenizer.pad_token_id,
    }


def marks(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The token numbers that the config names."""
    names = {"image": "<|image|>", "video": "<|video|>"}
    for kind in ("image", "video"):
        names |= {f"{kind}_start": f"<|begin_of_{kind}|>", f"{kind}_end": f"<|end_of_{kind}|>"}
    return {f"{name}_token_id": tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}


def ends(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that end an answer."""
    return [tokenizer.convert_tokens_to_ids(token) for token in ("<|endoftext|>", "<|user|>")]
