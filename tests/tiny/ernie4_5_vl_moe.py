"""A tiny ERNIE 4.5 VL: times drawn into the frames, pairs of frames, experts for text and others for what is seen."""

from collections.abc import Callable
from pathlib import Path

from PIL import ImageFont
from transformers import (
    Ernie4_5_VLMoeConfig,
    Ernie4_5_VLMoeForConditionalGeneration,
    Ernie4_5_VLMoeImageProcessor,
    Ernie4_5_VLMoeProcessor,
    Ernie4_5_VLMoeTextConfig,
    Ernie4_5_VLMoeVideoProcessor,
    Ernie4_5_VLMoeVisionConfig,
)

from tests.tiny._parts import byte_tokenizer, save

NAMED = {
    "image_token": "<|IMAGE_PLACEHOLDER|>",
    "image_start_token": "<|IMAGE_START|>",
    "image_end_token": "<|IMAGE_END|>",
    "video_token": "<|VIDEO_PLACEHOLDER|>",
    "video_start_token": "<|VIDEO_START|>",
    "video_end_token": "<|VIDEO_END|>",
}
SPECIAL = ("<unk>", "<s>", "</s>", "<|begin_of_sentence|>", "<|end_of_sentence|>")
TEMPLATE = """\
<|begin_of_sentence|>
{%- for message in messages -%}
{%- if message['role'] == 'user' -%}User: {{''}}
{%- elif message['role'] == 'assistant' -%}Assistant: {{''}}
{%- endif -%}
{%- if message['content'] is string -%}{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}Picture {{ loop.index }}:<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>
{%- elif part['type'] == 'video' -%}Video {{ loop.index }}:<|VIDEO_START|><|VIDEO_PLACEHOLDER|><|VIDEO_END|>
{%- elif part['type'] == 'text' -%}{{ part['text'] }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{ '<|end_of_sentence|>' if message['role'] == 'assistant' else '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}Assistant: {{''}}
{%- if enable_thinking|default(true) -%}{{ '\\n<think>\\n' }}
{%- else -%}{{ '\\n<think>\\n\\n</think>\\n' }}
{%- endif -%}
{%- endif -%}
"""
PATCH = 4
SIZES = {"patch_size": PATCH, "size": {"shortest_edge": 8 * 8, "longest_edge": 8 * 8 * 200}}


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = byte_tokenizer(
        (*SPECIAL, *NAMED.values()),
        eos="</s>",
        pad="<unk>",
        unk_token="<unk>",
        bos_token="<s>",
        extra_special_tokens=NAMED,
    )
    processor = Ernie4_5_VLMoeProcessor(
        image_processor=Ernie4_5_VLMoeImageProcessor(**SIZES),
        tokenizer=tokenizer,
        video_processor=Ernie4_5_VLMoeVideoProcessor(font=str(_font(folder)), **SIZES),
        chat_template=TEMPLATE,
    )
    ids = tokenizer.convert_tokens_to_ids
    config = _config(ids, len(tokenizer))
    save(folder, Ernie4_5_VLMoeForConditionalGeneration, config, processor, eos=[ids("</s>")], pad=ids("<unk>"))


def _font(folder: Path) -> Path:
    """The font that times are drawn in: Pillow's own, under the published name."""
    path = folder / "Roboto-Regular.ttf"
    font = ImageFont.load_default(10)
    assert isinstance(font, ImageFont.FreeTypeFont)
    path.write_bytes(font.font_bytes)
    return path


def _config(ids: Callable[[str], int], vocabulary: int) -> Ernie4_5_VLMoeConfig:
    text = Ernie4_5_VLMoeTextConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [3, 3, 2]},
        moe_intermediate_size=[16, 8],
        moe_k=2,
        moe_num_experts=4,
        moe_num_shared_experts=1,
        pad_token_id=ids("<unk>"),
        bos_token_id=ids("<s>"),
        eos_token_id=ids("</s>"),
    )
    vision = Ernie4_5_VLMoeVisionConfig(depth=2, hidden_size=32, num_heads=2, patch_size=PATCH, intermediate_size=64)
    return Ernie4_5_VLMoeConfig(
        text_config=text,
        vision_config=vision,
        image_start_token_id=ids("<|IMAGE_START|>"),
        image_end_token_id=ids("<|IMAGE_END|>"),
        image_token_id=ids("<|IMAGE_PLACEHOLDER|>"),
        video_start_token_id=ids("<|VIDEO_START|>"),
        video_end_token_id=ids("<|VIDEO_END|>"),
        video_token_id=ids("<|VIDEO_PLACEHOLDER|>"),
        tie_word_embeddings=False,
    )
