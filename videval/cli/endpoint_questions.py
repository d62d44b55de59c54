"""The questions of `videval endpoint check`: about a clip of moving shapes, shown in few and in many frames."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from videval.asking import rule_scorer
from videval.benchmarks.shapes.clips import demo_clips
from videval.benchmarks.shapes.questions import Question
from videval.benchmarks.shapes.scenes import FPS
from videval.errors import ApiFailure, ApiRefused
from videval.models.dialects import transport_of
from videval.models.endpoints import Endpoint
from videval.models.openai_api.addresses import addresses_of
from videval.models.openai_api.server import ApiServer
from videval.options import Asked
from videval.protocols import OpenGate, Permit
from videval.trying import answered, order_about
from videval.types import Allowance, Response, Sample, Verdict
from videval.video.encode import write_video
from workers.engine.here import EngineHere

__all__ = ["Answers", "ask_it"]

SILENTLY_KEPT = 32
"""Frames that vLLM keeps of a video of which it is not told how many it has (`num_frames` of its media loader)."""
MOST_IMAGES, SOME_IMAGES = 32, 16
"""Images of the question: as many as the entry says, up to the first; else the second."""
TASK = "Action Sequence"
"""Which shape is shown first? Only who sees several frames in their order can tell."""
MOST_THROTTLED = 3
Ask = Callable[[int], Response]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What was said to the same question with few frames and with many."""

    question: Question
    few_frames: int
    many_frames: int
    least: Response
    most: Response
    is_right: bool

    @property
    def right(self) -> str:
        """The right option, as the question has it."""
        letter = "ABCDEFGH"[self.question.options.index(self.question.answer)]
        return f"({letter}) {self.question.answer}"


class _Impatient(OpenGate):
    """Gives up on an endpoint that has too many requests: nobody waits for a check for hours."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name, self._throttled = name, 0

    async def enter(self, tokens: int, *, cost: float = 0.0, allowance: Allowance | None = None) -> Permit:
        if self._throttled >= MOST_THROTTLED:
            raise ApiFailure(
                f"{self._name} says again and again that it has too many requests (429)", hint="try again later"
            )
        return await super().enter(tokens, cost=cost, allowance=allowance)

    def throttled(self, retry_after: float | None = None) -> None:
        self._throttled += 1
        super().throttled(min(retry_after or self.PAUSE, 10.0))


def ask_it(name: str, endpoint: Endpoint) -> Answers:
    """Ask the model of this name, twice. Raises RequestFailure, EnvironmentProblem; of an endpoint that takes fewer
    frames, with how many it took."""
    few, many = _amounts(endpoint)
    with _asking(name, endpoint) as (question, ask):
        try:
            least = ask(few)
            most = least if many == few else ask(many)
        except ApiRefused as error:
            error.hint = _fewer(ask, few, endpoint) or error.hint
            raise
    is_right = _is_right(question, most)
    return Answers(question=question, few_frames=few, many_frames=many, least=least, most=most, is_right=is_right)


def _fewer(ask: Ask, refused: int, endpoint: Endpoint) -> str:
    """What mends it if fewer frames are taken, or not even one is; empty where frames travel as a video."""
    if transport_of(endpoint.remote).form != "frames":
        return ""
    frames = refused
    while frames := frames // 2:
        with suppress(ApiRefused):
            ask(frames)
            return (
                f"limits = {{ max_images = {frames} }} in [endpoints.{endpoint.name}]: {frames} are taken; or have the "
                "server take more (vLLM: --limit-mm-per-prompt)"
            )
    return "it takes no image at all: does this model see?"


@contextmanager
def _asking(name: str, endpoint: Endpoint) -> Iterator[tuple[Question, Ask]]:
    """The question, and what asks it about so many frames of its clip."""
    clip = next(c for c in demo_clips(clips=20, asked=60) if c.questions[0].task == TASK and c.codec == "h264")
    question = clip.questions[0]
    with TemporaryDirectory(prefix="videval-check-") as folder, _engine(endpoint) as engine:
        video = Path(folder) / "moving_shapes.mp4"
        write_video(video, clip.frames(), FPS)

        def ask(frames: int) -> Response:
            asked = Asked(what=None, model=name, frames=frames)
            order = order_about(asked, video, question.text, options=question.options, span=None)
            return answered(order, engine=engine)

        yield question, ask


def _amounts(endpoint: Endpoint) -> tuple[int, int]:
    """How many frames are shown at first, and then; where the server chooses, it is asked once."""
    limits, transport = endpoint.limits, transport_of(endpoint.remote)
    if not transport.exact:
        return 1, 1
    if transport.form == "frames":
        asked = min(limits.max_images or SOME_IMAGES, limits.max_frames or MOST_IMAGES, MOST_IMAGES)
        return max(1, asked // 2), asked
    asked = min(limits.max_frames or SILENTLY_KEPT + 8, SILENTLY_KEPT + 8)
    return SILENTLY_KEPT if asked > SILENTLY_KEPT else max(1, asked // 2), asked


def _is_right(question: Question, response: Response) -> bool:
    sample = Sample(id="0", video="", question=question.text, candidates=question.options, answer=question.answer)
    return rule_scorer("choice").score(sample, response.text).verdict == Verdict.RIGHT


@contextmanager
def _engine(endpoint: Endpoint) -> Iterator[EngineHere]:
    """What asks the endpoint, beside the budget that workers share: it is two questions."""
    server = ApiServer(endpoint, addresses_of(endpoint), {})
    server.gate = _Impatient(endpoint.name)
    engine = EngineHere(lambda: server)
    engine.loaded()
    try:
        yield engine
    finally:
        server.close()
