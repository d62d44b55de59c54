"""VLMEvalKit's own video datasets: `vlmevalkit:Video-MME_8frame`, with its prompts, its frames and its evaluation.

What is asked and shown is what the dataset of that name says, on each host that answers: the package `vlmeval` must be
there. How it is scored: by rule where the answer is a letter; by the dataset itself with `evaluate`.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videval.benchmarks.base import Benchmark, Shown
from videval.benchmarks.object_rows import samples_of_rows
from videval.benchmarks.option_columns import LONE_LETTER
from videval.errors import EnvironmentProblem, ProcessDied, UsageError, VideoFailure
from videval.models.vlmevalkit.names import dataset_name
from videval.models.vlmevalkit.toolkit import PREFIX, ToolkitDied, toolkit
from videval.types import Part, PromptSet, Sample, Variant

if TYPE_CHECKING:
    from videval.models.messages import Message

__all__ = ["ToolkitBenchmark", "evaluated", "toolkit_benchmark", "toolkit_variant"]

MESSAGE_PATIENCE = 600.0
"""Seconds in which a dataset words a question, its frames written; the first time it is built too."""


class ToolkitBenchmark(Benchmark):
    """A dataset that VLMEvalKit builds by a name; nothing of it is here until it is asked for."""

    name = "vlmevalkit"
    title = "A dataset of VLMEvalKit's"
    scorer = "choice"
    needs = "its own evaluate, for all that is not a letter -> videval score RUN --protocol vlmevalkit"
    prompt_sets = (PromptSet.VLMEVALKIT,)
    supports_pack = True
    supports_subtitles = True
    is_foreign = True

    def load(self, root: Path, variant: Variant) -> list[Sample]:
        said = _read(variant.benchmark)
        return list(samples_of_rows(variant.benchmark, said["columns"], said["rows"]))

    def scorer_for(self, sample: Sample) -> str | None:
        return "choice" if LONE_LETTER.fullmatch(sample.answer or "") else None

    def message(self, samples: Sequence[Sample], *, pack: bool, video_llm: bool) -> tuple["Message", str]:
        from videval.models.messages import checked

        name = self.name.removeprefix(PREFIX)
        try:
            said = toolkit().ask(
                "message",
                patience=MESSAGE_PATIENCE,
                name=name,
                index=samples[0].id,
                question=samples[0].question,
                pack=pack,
                video_llm=video_llm,
            )
        except ToolkitDied as error:  # of this question, if it does so again
            raise ProcessDied(str(error)) from error
        except UsageError as error:  # this host's VLMEvalKit has not what the run asks
            raise EnvironmentProblem(str(error), hint=error.hint) from error
        if "failed" in said:
            raise VideoFailure(f"{name}: {said['failed']}")
        return checked(said["message"], f"{name}.build_prompt"), str(said["dataset"])

    def prompt(self, sample: Sample, shown: Shown) -> tuple[Part, ...]:
        raise UsageError(_ITSELF)

    def pack_prompt(self, samples: Sequence[Sample], shown: Shown) -> tuple[Part, ...]:
        raise UsageError(_ITSELF)


_ITSELF = "a dataset of VLMEvalKit's words its questions itself"


@cache
def _named(name: str) -> type[ToolkitBenchmark]:
    facts = {"name": name, "title": f"{name.removeprefix(PREFIX)} of VLMEvalKit", "published": (name,)}
    return type("ToolkitBenchmark", (ToolkitBenchmark,), facts)


def toolkit_benchmark(name: str) -> ToolkitBenchmark:
    """The dataset of this name, which begins with the prefix; whether there is such a one is seen when it is read."""
    return _named(name)()


def toolkit_variant(text: str) -> Variant:
    """The dataset as a variant: its frames and options are what its name says in VLMEvalKit.

    Raises UnknownName, with close matches; UsageError for one without frames; EnvironmentProblem if it cannot be read.
    """
    name = PREFIX + dataset_name(text.removeprefix(PREFIX))
    said = _read(name)
    frames, fps = said["nframe"], said["fps"]
    if not frames and not fps:
        raise UsageError(f"{name} does not say how many frames", hint=f"a name with its frames: {name}_8frame")
    return Variant(
        name=name,
        benchmark=name,
        num_frames=int(frames) or None,
        fps=None if frames else float(fps),
        pack=bool(said["pack"]),
    )


def evaluated(name: str, file: Path, judge: str) -> Any:
    """What the dataset's own `evaluate` returns for a file of predictions, as JSON values.

    `judge`: the model that it asks where its rules do not do; `exact_matching` is none. EnvironmentProblem with what
    it raises.
    """
    try:
        return toolkit().ask("evaluate", name=name.removeprefix(PREFIX), file=str(file), judge=judge)
    except EnvironmentProblem as error:
        if not error.hint:
            error.hint = "does it need a judge? --judge gpt-4o-mini, with OPENAI_API_KEY set for VLMEvalKit"
        raise


@cache
def _read(name: str) -> dict[str, Any]:
    said: dict[str, Any] = toolkit().ask("read", name=name.removeprefix(PREFIX))
    return said
