"""Video-MME, WorldSense and LongVideoBench as VLMEvalKit scores and rates them: the first letter anywhere.

Source: its `videomme.py`, `worldsense.py` and `longvideobench.py`. A failed request (None) is scored by the text that
VLMEvalKit stores for it, which reads as A.
"""

from collections.abc import Mapping, Sequence

from videval.scorers.vlmevalkit.infer import can_infer, extract_characters_regex, options_in_question
from videval.scorers.vlmevalkit.tables import Row, means_by_duration
from videval.types import Sample
from videval.words import FAIL_MSG

__all__ = [
    "longvideobench_rating",
    "longvideobench_score",
    "videomme_rating",
    "videomme_score",
    "worldsense_rating",
]

VIDEOMME_DURATIONS = ("short", "medium", "long")
VIDEOMME_GROUPS: Mapping[str, tuple[str, ...]] = {
    "domain": (
        "Knowledge", "Film & Television", "Sports Competition", "Artistic Performance", "Life Record", "Multilingual",
    ),
    "sub_category": (
        "Humanity & History", "Literature & Art", "Biology & Medicine", "Finance & Commerce", "Astronomy",
        "Geography", "Law", "Life Tip", "Technology", "Animation", "Movie & TV Show", "Documentary", "News Report",
        "Esports", "Basketball", "Football", "Athletics", "Other Sports", "Stage Play", "Magic Show", "Variety Show",
        "Acrobatics", "Handicraft", "Food", "Fashion", "Daily Life", "Travel", "Pet & Animal", "Exercise",
        "Multilingual",
    ),
    "task_type": (
        "Temporal Perception", "Spatial Perception", "Attribute Perception", "Action Recognition",
        "Object Recognition", "OCR Problems", "Counting Problem", "Temporal Reasoning", "Spatial Reasoning",
        "Action Reasoning", "Object Reasoning", "Information Synopsis",
    ),
}  # fmt: skip
WORLDSENSE_DURATIONS = ("<1min", "1-2min", "2-4min", "4-6min", "6-8min", ">8min")
WORLDSENSE_GROUPS: Mapping[str, tuple[str, ...]] = {
    "domain": (
        "Tech & Science", "Culture & Politics", "Daily Life", "Film & TV", "Performance", "Games", "Sports", "Music",
    ),
    "sub_category": (
        "Academic Lectures", "Auto", "Software", "Physics", "Climate Change", "Space Missions", "Chemistry",
        "Engineering Projects", "Biology", "Science Explainers", "Artificial Intelligence", "Astronomy",
        "Tech Reviews", "Editorials", "Politics", "Historical Analysis", "Social Commentary", "Book Reviews",
        "Cultural Explainers", "Drawing Tutorials", "Celebrity Interviews", "Art Exhibitions", "Fashion", "Travel",
        "Daily Vlogs", "Cooking", "Pranks", "Camping", "Nutrition & Health", "Home Improvement",
        "Painting & Photography", "Unboxing Videos", "Family Vlogs", "DIY & Crafts", "Skincare & Makeup",
        "Documentaries", "Film Trailers", "Event Livestreams", "Short Films", "Documentary Profiles",
        "Movie Reviews", "World News", "Talks", "Parodies", "Storytime", "Stand-up", "Sketches", "FPS Game",
        "Casual Game", "Role Playing Game", "Sports Game", "Basketball", "Racing", "Football", "Bowling Ball",
        "Soccer", "Motorsport", "swimming", "Boxing", "Other Sports", "Fitness", "Fishing", "Hiking", "Covers",
        "Music Videos", "Remixes", "Walkthroughs",
    ),
    "task_domain": ("Recognition", "Understanding", "Reasoning"),
    "task_type": (
        "Anomaly Recognition", "Event Recognition", "Attribute Recognition", "Human Interaction",
        "Temporal Localization", "Video Emotions", "Event Sorting", "Hallucination",
        "Text and Diagram Understanding", "Attribute Reasoning", "Causal Reasoning", "Object Counting",
        "Action Counting", "Temporal Prediction", "Emotion Change", "Audio Counting", "Scene Recognition",
        "Human-object Interaction", "Human Emotions", "Object State Change", "Relation Reasoning",
        "Spatial Relation", "Audio Source Localization", "Audio Recognition", "Object Existence Recognition",
        "Audio Change",
    ),
    "audio_class": ("Speech", "Event", "Music"),
}  # fmt: skip
LONGVIDEOBENCH_DURATIONS = ("15", "60", "600", "3600")
LONGVIDEOBENCH_GROUPS: Mapping[str, tuple[str, ...]] = {
    "question_category": (
        "S2E", "S2O", "S2A", "E2O", "O2E", "T2E", "T2O", "T2A", "E3E", "O3O", "SSS", "SOS", "SAA", "T3E", "T3O",
        "TOS", "TAA",
    ),
}  # fmt: skip


def videomme_score(sample: Sample, text: str | None) -> int:
    """1 right, 0 wrong, by Video-MME's and WorldSense's rule."""
    return _score(sample, text, "ABCD")


def longvideobench_score(sample: Sample, text: str | None) -> int:
    """1 right, 0 wrong, by LongVideoBench's rule, which knows five letters."""
    return _score(sample, text, "ABCDE")


def _score(sample: Sample, text: str | None, letters: str) -> int:
    said = FAIL_MSG if text is None else text
    letter = extract_characters_regex(said, letters) or can_infer(said, options_in_question(sample.question))
    return int(letter == sample.answer)


def videomme_rating(rows: Sequence[Row]) -> dict[str, dict[str, object]]:
    """Video-MME's table by duration, domain, sub_category and task_type."""
    return means_by_duration(rows, "duration", VIDEOMME_DURATIONS, VIDEOMME_GROUPS)


def worldsense_rating(rows: Sequence[Row]) -> dict[str, dict[str, object]]:
    """WorldSense's table; a question counts in each of its audio classes."""
    return means_by_duration(rows, "duration", WORLDSENSE_DURATIONS, WORLDSENSE_GROUPS)


def longvideobench_rating(rows: Sequence[Row]) -> dict[str, dict[str, object]]:
    """LongVideoBench's table by duration group (seconds) and question category."""
    return means_by_duration(rows, "duration_group", LONGVIDEOBENCH_DURATIONS, LONGVIDEOBENCH_GROUPS)
