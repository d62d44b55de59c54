"""An engine process with a model on vLLM, asked as a worker's request threads ask it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.servers import settings_for
from videval.models.catalog import model_spec
from videval.types import Answer, GenerationSettings, Prompt, Stage
from workers.device import Device, parse_devices
from workers.engine import Engine, Loaded

__all__ = ["PAIR", "SEAT", "Asker", "on_vllm"]

SEAT = parse_devices("cpu:0", gpus=[])[0]


class _Pair(Device):
    """Two seats as a group, which only GPUs can be outside of tests."""

    @property
    def names(self) -> tuple[str, ...]:
        return ("cpu", "cpu")


PAIR = _Pair(kind=SEAT.kind, label="two seats", keys=("cpu0", "cpu1"), visible="")


class Asker:
    """Request threads around an engine on `device`."""

    def __init__(self, folder: Path, model: Path, device: Device) -> None:
        settings = settings_for(folder, generate_deadline=120)
        self.engine = Engine(settings, device)
        self._pool = ThreadPoolExecutor(32)
        self.loaded: Loaded = self.engine.load(model_spec(f"vllm:{model}"), "k", "float32")

    def ask(
        self, prompt: Prompt, settings: GenerationSettings, *, alone: bool = False, stages: list[Stage] | None = None
    ) -> Future[Answer]:
        """Ask; its clips name what it may share."""
        heard = [] if stages is None else stages
        together = "\n".join(clip.path for clip in prompt.clips)
        how = {"alone": alone, "together": together, "load_key": "k", "on_stage": heard.append}
        return self._pool.submit(self.engine.ask, prompt, settings, **how)  # type: ignore[arg-type]

    def answers(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> list[Answer]:
        """The answers to prompts that are asked all at once."""
        return [asked.result(120) for asked in [self.ask(prompt, settings) for prompt in prompts]]

    def close(self) -> None:
        """End the process."""
        self.engine.close()
        self._pool.shutdown()


@contextmanager
def on_vllm(folder: Path, model: Path, device: Device = SEAT) -> Iterator[Asker]:
    """An engine with this model until the end of the block."""
    asker = Asker(folder, model, device)
    try:
        yield asker
    finally:
        asker.close()
