"""What a worker asks of an engine: one in a process of its own, or one over a server in this process."""

from collections.abc import Callable
from typing import Protocol

from videval.types import Allowance, Answer, GenerationSettings, ModelSpec, Prompt, Stage
from workers.engine.keeper import Loaded

__all__ = ["AnyEngine"]


class AnyEngine(Protocol):
    """An engine as a worker sees it; `Engine` says what each of these means."""

    @property
    def loads(self) -> int:
        """How often a process was started to load a model."""

    @property
    def loaded(self) -> Loaded | None:
        """The model that it holds now."""

    @property
    def is_loading(self) -> bool:
        """Whether a model is being loaded."""

    @property
    def slots(self) -> int:
        """How many requests the loaded model wants in hand."""

    @property
    def busy_s(self) -> float:
        """Seconds in which something was being generated."""

    @property
    def pid(self) -> int | None:
        """The engine process's id, None if there is none."""

    def load(self, spec: ModelSpec, load_key: str, dtype: str) -> Loaded:
        """Make this the engine's model. Raises ModelUnavailable."""

    def ready(self) -> Loaded | None:
        """The model to claim requests for, None if there is none."""

    def ask(
        self,
        prompt: Prompt,
        settings: GenerationSettings,
        *,
        alone: bool,
        together: str,
        load_key: str,
        on_stage: Callable[[Stage], None],
        allowance: Allowance | None = None,
    ) -> Answer:
        """Answer one prompt; blocks."""

    def give_back(self, most: int | None = None) -> int:
        """Let go of the newest requests that are not being generated; returns how many there were."""

    def drain(self) -> None:
        """Take nothing more, let go of what waits."""

    def close(self) -> None:
        """Be of no more use."""
