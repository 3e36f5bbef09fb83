"""One step of training, computed as the device at hand does it best: how parameters move, never what is learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from .devices import autocast, dropout_seed, reduced_precision
from .gpu import PLAIN, Engine, compile_network
from .parallel import ALONE, Processes


class Stepper:
    """Calls a loss, goes backward, clips, moves the parameters; in the device's precision, for all processes.

    `optimizers` share out the parameters of `network`. `example` is an (x, label) as steps will bring them, for the
    compiler. `seed` is dropout's, which draws for each process on its own.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        example: tuple[Tensor, Tensor | None],
        seed: int = 0,
        gradient_clip: float = 1.0,
        engine: Engine = PLAIN,
        processes: Processes = ALONE,
    ) -> None:
        self.network, self.optimizers, self.processes = network, optimizers, processes
        self.seed, self.gradient_clip = seed, gradient_clip
        self.device = example[0].device
        self.precision = engine.dtype(reduced_precision(self.device))
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision is torch.float16)
        forward = network
        if engine.compile:
            forward = compile_network(network, *example, engine.backend, partial(self.surroundings, 0))
        self.forward = processes.wrap(forward, self.device)

    def __call__(self, step: int, loss_of: Callable[[nn.Module], Tensor]) -> Tensor:
        """Take the `step`-th step (from 0) down `loss_of(network)`; returns the loss, (), a mean over processes."""
        with self.surroundings(step):
            loss = loss_of(self.forward)
        self.scaler.scale(loss).backward()
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_clip)
        # Clipping spreads an overflow in float16 to all gradients; the scaler has looked at each optimiser's alone.
        sound = not self.scaler.is_enabled() or bool(norm.isfinite())
        for optimizer in self.optimizers:
            if sound:
                self.scaler.step(optimizer)
            optimizer.zero_grad(set_to_none=True)
        self.scaler.update()
        return self.processes.mean(loss.detach())

    @contextmanager
    def surroundings(self, step: int) -> Iterator[None]:
        """What a forward pass needs around it: the precision, and a seed for dropout."""
        own = step_seed(self.seed, step + 1_000_000_007 * self.processes.rank)  # CPUs use the lower 32 bits of a seed
        with dropout_seed(self.network, self.device, own), autocast(self.device, self.precision):
            yield


def step_seed(seed: int, step: int) -> int:
    """The seed of everything random in one step: a resumed run needs no saved random state."""
    return (seed * 1_000_003 + step) % 2**32
