"""A tiny VideoLLaMA3, which writes the time before each frame and drops what did not change since the last one."""

from pathlib import Path

from transformers import (
    VideoLlama3Config,
    VideoLlama3ForConditionalGeneration,
    VideoLlama3ImageProcessor,
    VideoLlama3Processor,
    VideoLlama3VideoProcessor,
)

from tests.tiny import _qwen as qwen

SYSTEM = (
    "You are VideoLLaMA3 created by Alibaba DAMO Academy, a helpful assistant to help people understand images and"
    " videos."
)
MARKS = ("", "\n", "<|image_pad|>", "<|video_pad|>")
IMAGE = {"shortest_edge": 28 * 28, "longest_edge": 4 * 28 * 28}
VIDEO = {"shortest_edge": 28 * 28, "longest_edge": 32 * 28 * 28}
"""The most pixels of a video are of all its frames together."""


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    words = qwen.tokenizer(MARKS[2:])
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    text = qwen.text(words, model_type="qwen2", rope_parameters=rope)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = VideoLlama3Config(
        text_config=text,
        vision_config=sizes | {"patch_size": 14, "initializer_range": qwen.WIDE},
        image_token_id=words.convert_tokens_to_ids(MARKS[2]),
        video_token_id=words.convert_tokens_to_ids(MARKS[3]),
    )
    processor = VideoLlama3Processor(
        image_processor=VideoLlama3ImageProcessor(size=IMAGE),
        video_processor=VideoLlama3VideoProcessor(size=VIDEO),
        tokenizer=words,
        chat_template=qwen.template(system=SYSTEM, marks=MARKS),
    )
    qwen.write(folder, VideoLlama3ForConditionalGeneration, config, processor)
