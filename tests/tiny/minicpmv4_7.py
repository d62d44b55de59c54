"""A tiny MiniCPM-V 4.7: 4.6 with positions on a canvas in time, height and width, and no number before a video."""

from pathlib import Path

from transformers import (
    MiniCPMV4_6ImageProcessor,
    MiniCPMV4_6VideoProcessor,
    MiniCPMV4_7Config,
    MiniCPMV4_7ForConditionalGeneration,
    MiniCPMV4_7Processor,
)

from tests.tiny import minicpmv4_6 as older
from tests.tiny._parts import save

MARKS = ("image_start", "image_end", "slice_start", "slice_end")
STRAIGHT = older.STRAIGHT


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = older.minicpm_tokenizer()
    processor = MiniCPMV4_7Processor(
        image_processor=MiniCPMV4_6ImageProcessor(**older.SIZES),
        video_processor=MiniCPMV4_6VideoProcessor(**older.SIZES),
        tokenizer=tokenizer,
        chat_template=older.TEMPLATE,
    )
    ids = tokenizer.convert_tokens_to_ids
    marks = {f"{part}_id": ids(older.NAMED[f"{part}_token"]) for part in MARKS}
    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0, "mrope_section": [2, 3, 3]}
    config = MiniCPMV4_7Config(
        **older.sizes(tokenizer, rope_parameters=rope), **marks, newline_id=tokenizer("\n")["input_ids"][0]
    )
    save(folder, MiniCPMV4_7ForConditionalGeneration, config, processor, **older.ends(tokenizer))
