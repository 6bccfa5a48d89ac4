"""One update of a stream: transition -> TD error -> traces -> parameters. Nothing is kept but network and traces."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.generators import load_generator
from pixelq.learner.learner import load_weights
from pixelq.learner.means import NotFiniteError, check_finite, taken_means
from pixelq.learner.optimizers import build_optimizer
from pixelq.losses import bound_loss
from pixelq.networks import Network
from pixelq.replay.batch import Batch


class StreamLearner:
    """Owns the network w and the eligibility traces z, a number for each weight; has what `Learner` has for reports.

    Args:
        network: q(.; w), on `device`.
        config: loss, optimizer, gamma, and the loop's options `trace_lambda` and `kappa`.
        device: where updates are computed.
        noise: for noisy layers, on `device`; None: one with a seed of its own.
    """

    def __init__(
        self, network: Network, config: Config, device: torch.device, noise: torch.Generator | None = None
    ) -> None:
        self.network = self.averaged_network = network
        """There is neither a target network nor an average."""
        self.device = device
        self.noise = torch.Generator(device).manual_seed(config.seed) if noise is None else noise
        self._loss = bound_loss(config)
        self._parameters = list(network.parameters())
        self._optimizer = build_optimizer(config, self._parameters)
        # Sums since the last `take_means`, kept on the device so that the loop never waits for a number.
        self._sums = torch.zeros(2, dtype=torch.float64 if device.type == "cpu" else torch.float32, device=device)
        self._summed_updates = 0
        self.changes = 0
        """How often the weights of the network have changed."""
        self.last_batch: Batch | None = None
        """The transition of the last update, for a post-mortem."""

    def update(self, transition: Batch, learning_rate: float, traces_end: bool = False) -> Tensor:
        """z <- gamma lambda z + grad q(s, a; w); w <- w + step size times delta z.

        Args:
            transition: a batch of one; moved to the device if it is elsewhere.
            learning_rate: alpha, the largest step size.
            traces_end: begin new traces after this update.

        Returns:
            |delta| before the update, float32 `(1,)`, on the device.

        Raises:
            NotFiniteError: on the CPU, delta is not finite; the weights are then as they were.
        """
        self.last_batch = transition
        self.network.train()
        try:
            td_error, priority, q = self._loss(self.network, self.network, transition.to(self.device), self.noise)
            if self.device.type == "cpu" and not math.isfinite(td_error.item()):
                raise NotFiniteError(f"the TD error is {td_error.item()}")
            # The target carries no gradient: that of -delta is that of q(s, a; w). Weights it does not reach have none.
            gradients = torch.autograd.grad(
                -td_error.sum(), self._parameters, allow_unused=True, materialize_grads=True
            )
        finally:
            self.network.eval()
        td_error = td_error.detach()
        self._optimizer.step(td_error[0], gradients, learning_rate)
        if traces_end:
            self.leave_episodes()
        self.changes += 1
        self._summed_updates += 1
        self._sums += torch.stack([td_error[0].square(), q[0]])
        return priority

    def leave_episodes(self) -> None:
        """z = 0: what comes is not of the episode that the traces are of."""
        self._optimizer.end_traces()

    def start_from(self, weights: dict[str, Tensor], where: str) -> None:
        """Take over a trained network's weights and statistics instead of fresh ones.

        Raises:
            UserError: they are not this network's; `where` says whose they are.
        """
        load_weights(self.network, weights, where)
        self.changes += 1

    def take_means(self) -> tuple[float, float]:
        """Mean delta^2 and mean q(s, a) of the updates since the last call; NaN if there was none."""
        updates, self._summed_updates = self._summed_updates, 0
        return taken_means(self._sums, updates)

    def check_finite(self) -> None:
        """Look at the TD errors since the last `take_means` and at every weight (waits for the device).

        Raises:
            NotFiniteError: naming what is NaN or infinite.
        """
        check_finite(self._sums, self.network, "the TD error")

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides future updates, as nested dictionaries of tensors and numbers (not copied)."""
        names = [name for name, _ in self.network.named_parameters()]
        return {
            "network": self.network.state_dict(),
            "optimizer": {name: {"trace": trace} for name, trace in zip(names, self._optimizer.traces, strict=True)},
            "sums": self._sums,
            "summed_updates": self._summed_updates,
            "noise": self.noise.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state made by `state_dict` of a learner with the same recipe.

        Raises:
            UserError: a tensor is missing, of another shape, or not finite.
        """
        self.changes += 1
        load_weights(self.network, state["network"], where="network")
        for (name, _), trace in zip(self.network.named_parameters(), self._optimizer.traces, strict=True):
            saved = state["optimizer"][name]["trace"]
            if saved.shape != trace.shape or saved.dtype != trace.dtype or not torch.isfinite(saved).all():
                raise UserError(f"trace of {name} is not finite float32 numbers of shape {tuple(trace.shape)}")
            trace.copy_(saved)
        self._sums.copy_(state["sums"])
        self._summed_updates = int(state["summed_updates"])
        load_generator(self.noise, state["noise"])
