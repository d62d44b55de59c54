"""What both trainings share: the steps still to do, the learning rate, and a checkpoint that a cut cannot spoil."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

SAVE_EVERY = 120.0


@dataclass(kw_only=True)
class Training:
    """Modules being trained and the file that they are kept in; `step` steps and `seconds` are behind them.

    Parameter groups carry their `share` of the learning rate `rate`.
    """

    path: Path
    parts: nn.Module
    optimizer: torch.optim.Optimizer
    rate: float
    step: int = 0
    seconds: float = 0.0
    saved: float = field(default_factory=time.monotonic)

    def resume(self) -> None:
        """Take up what the file holds, if there is one."""
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            self.parts.load_state_dict(state["parts"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]

    def save(self) -> None:
        """Write the file under another name first, so that a cut leaves the old one."""
        state = {"parts": self.parts.state_dict(), "optimizer": self.optimizer.state_dict()}
        part = self.path.with_suffix(".part")
        torch.save({**state, "step": self.step, "seconds": self.seconds}, part)
        part.replace(self.path)
        self.saved = time.monotonic()

    def steps(self, until: int) -> Iterator[int]:
        """Numbers of the steps to do; saves every two minutes and at the end."""
        while self.step < until:
            started = time.monotonic()
            yield self.step
            self.step += 1
            self.seconds += time.monotonic() - started
            if self.step == until or time.monotonic() - self.saved > SAVE_EVERY:
                self.save()

    def descend(self, loss: torch.Tensor, factor: float) -> None:
        """One optimizer step at `factor` times the learning rate, gradients clipped to norm 1."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * group["share"] * factor
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.parts.parameters(), 1.0)
        self.optimizer.step()


def adamw(*groups: tuple[nn.Module, float]) -> torch.optim.AdamW:
    """AdamW over modules with their shares of the learning rate."""
    parameters = [{"params": list(module.parameters()), "share": share} for module, share in groups]
    return torch.optim.AdamW(parameters, betas=(0.9, 0.98), weight_decay=0.05)


def warm(step: int, steps: int = 100) -> float:
    """Learning rate factor that rises to 1."""
    return min(1.0, (step + 1) / steps)


def cosine(step: int, steps: int) -> float:
    """Learning rate factor: warm-up, then half a cosine down to 2 %."""
    if step < 100:
        return warm(step)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - 100) / max(1, steps - 100)))


def shown(shares: dict[str, float]) -> str:
    """Shares for the log."""
    return " ".join(f"{name} {share:.2f}" for name, share in sorted(shares.items()))
