"""What a processor made of a clip is used for all questions about it, and for nothing else."""

from typing import Any

from transformers import BatchFeature

from videval.models.hf_chat.remembered import Remembered


class Counting:
    """A processor of videos that counts how often it is called."""

    size = 7

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, shown: str, **_: Any) -> BatchFeature:
        self.calls += 1
        if shown == "broken":
            raise ValueError(shown)
        return BatchFeature({"pixels": [shown], "video_metadata": [[1]]})


def test_the_same_again_is_not_made_again() -> None:
    processor = Counting()
    remembered = Remembered(processor)
    assert [(remembered.show("a"), remembered("a").pixels) for _ in range(3)] == [
        (False, ["a"]), (True, ["a"]), (True, ["a"])]  # fmt: skip
    assert processor.calls == 1 and remembered.size == 7


def test_something_else_is_made_and_what_was_before_is_forgotten() -> None:
    remembered = Remembered(Counting())
    for shown in ("a", "b", "a"):
        assert not remembered.show(shown) and remembered(shown).pixels == [shown]


def test_a_processor_that_is_called_for_each_image_makes_each_of_them() -> None:
    processor = Counting()
    remembered = Remembered(processor)
    for _ in range(2):
        remembered.show(("a", "b"))
        assert [remembered(shown).pixels for shown in "ab"] == [["a"], ["b"]]
    assert processor.calls == 2


def test_what_nobody_announced_is_never_taken_for_what_was_shown_before() -> None:
    remembered = Remembered(Counting())
    remembered.show("an image")
    remembered("an image")
    for shown in ("a frame", "another"):
        assert not remembered.show(None) and remembered(shown).pixels == [shown]


def test_what_failed_is_not_remembered() -> None:
    remembered = Remembered(Counting())
    remembered.show("a")
    for _ in range(2):
        try:
            remembered("broken")
        except ValueError:
            pass
        assert not remembered.show("a")
    assert remembered("a").pixels == ["a"]


def test_metadata_that_a_caller_extends_is_its_own_copy() -> None:
    remembered = Remembered(Counting())
    for _ in range(2):
        remembered.show("a")
        made = remembered("a")
        made.video_metadata[0].append(2)
        assert made.video_metadata == [[1, 2]]
