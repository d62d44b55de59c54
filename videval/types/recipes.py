"""What a run keeps of the recipe that it follows."""

from dataclasses import dataclass

__all__ = ["Published", "RecipeUsed", "Wording"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """How a question is put, in place of the benchmark's page: the clip, then `text`, in which these stand for
    themselves: {question}, {options}, {subtitles}, {duration} (seconds, two digits), {frames} (their count), {times}
    (of the frames, in seconds).

    `option`: how one option is written, with {letter} and {text}; `joined`: what stands between options; `system`:
    what is said before all, `prefix`: the answer's first words. `frame_mark`: stands before each frame that is shown
    as an image, with {n} (from 1) and {time} (seconds, two digits); what follows its {frame} stands behind the frame.

    {subtitles} is nothing where nothing is said, else `subtitled` with what is said in its {subtitles}: by the page's
    rule, or with `subtitles_once` each that is on the screen with a frame, once, in their order, with spaces between.
    """

    text: str
    system: str = ""
    prefix: str = ""
    option: str = "{letter}. {text}"
    joined: str = "\n"
    frame_mark: str = ""
    subtitled: str = "{subtitles}"
    subtitles_once: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A number that somebody published for a recipe: the metric as videval calls it (empty: the headline), its value
    as it is printed (45.3 of 100, or on the rating's own scale), of how many questions, where and when (ISO date)."""

    value: float
    source: str
    metric: str = ""
    questions: int | None = None
    date: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeUsed:
    """A recipe as a run was made by it; `deviations`: what the user asked for otherwise, in words. `made_with`: what
    else the published numbers were made with, in words, which sets nothing here."""

    name: str
    version: str = ""
    source: str = ""
    date: str = ""
    digest: str = ""
    wording: Wording | None = None
    published: tuple[Published, ...] = ()
    deviations: tuple[str, ...] = ()
    made_with: tuple[str, ...] = ()
