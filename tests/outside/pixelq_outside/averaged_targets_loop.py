"""DQN's loop with several target networks, whose mean is the target: Averaged-DQN (Anschel et al. 2017, 1611.01929)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pixelq.config import Config
from pixelq.generators import load_generator
from pixelq.learner.learner import load_weights
from pixelq.learner.means import check_finite, taken_means
from pixelq.learner.optimizers import build_optimizer, parameter_groups, set_learning_rate
from pixelq.loops import Require, replay_loop
from pixelq.loops.replay_loop import GIVES, HAS_REPLAY, kept_bytes, learns_from, updates_per_step
from pixelq.losses import bound_loss
from pixelq.networks import Network
from pixelq.replay.batch import Batch
from pixelq.variants import KINDS

if TYPE_CHECKING:
    from pixelq.runs.run import Run

__all__ = ["GIVES", "HAS_REPLAY", "kept_bytes", "learns_from", "updates_per_step"]

OWN_FIELDS = {
    name: nothing
    for name, nothing in replay_loop.OWN_FIELDS.items()
    if name not in ("gradient_clip", "averaged_network_tau", "compile")
}


@dataclass(frozen=True)
class Options:
    """Options of the loop."""

    targets: int = 2
    """Copies of the network that the target is the mean of (K), made one after the other."""

    def __post_init__(self) -> None:
        if not 1 <= self.targets <= 100:
            raise ValueError(f"targets = {self.targets} must be between 1 and 100")


def loop(run: Run) -> None:
    """As DQN's (algorithm 2 of the paper): what differs is in the learner."""
    replay_loop.loop(run)


def check(config: Config, require: Require) -> None:
    """What DQN's loop asks for, a loss that asks for Q-values alone, and copies.

    Raises:
        UserError: naming the field that does not fit.
    """
    replay_loop.check(config, require)
    require(config.target == "hard", "target", "hard in this loop, whose targets are copies")
    q_values_alone = getattr(KINDS["loss"].find(config.loss), "HEADS", None) is None
    require(q_values_alone, "loss", "one of Q-values in this loop, which takes their mean")
    require(not config.normalise_observations, "normalise_observations", "off in this loop")


class MeanOfNetworks:
    """What a loss on Q-values asks of a target network: Q(s, .) is the mean of some networks'."""

    def __init__(self, networks: list[Network]) -> None:
        self._networks = networks
        self.head: nn.Module = networks[0].head

    def q_values(self, state: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """States `(B, stack, ...)` -> float32 `(B, A)`."""
        return torch.stack([network.q_values(state, noise) for network in self._networks]).mean(dim=0)


class Learner:
    """Owns theta and the K target networks; see `pixelq.learner.Learning`, and `update` and `copy_to_target` below."""

    def __init__(self, network: Network, config: Config, device: torch.device, noise: torch.Generator) -> None:
        self.network = self.averaged_network = network
        self.changes = 0
        options: Options = KINDS["loop"].read_options(config.loop, config.loop_options)
        self._targets = [copy.deepcopy(network).requires_grad_(False).eval() for _ in range(options.targets)]
        self._oldest = 0
        self._optimizer = build_optimizer(config, parameter_groups(network))
        self._loss, self._mean = bound_loss(config), config.reduction == "mean"
        self._device, self._noise = device, noise
        self._sums, self._updates = torch.zeros(2, dtype=torch.float32, device=device), 0

    def update(self, batch: Batch, learning_rate: float) -> Tensor:
        """One gradient step on theta; returns how much there is to learn from each transition, float32 `(B,)`."""
        batch = batch.to(self._device)
        target: Any = MeanOfNetworks(self._targets)
        self.network.train()
        loss, priority, q = self._loss(self.network, target, batch, self._noise)
        weighted = loss * batch.weight
        self._optimizer.zero_grad()
        (weighted.mean() if self._mean else weighted.sum()).backward()
        set_learning_rate(self._optimizer, learning_rate)
        self._optimizer.step()
        self.network.eval()
        self.changes += 1
        self._updates += 1
        self._sums += torch.stack([loss.detach().mean(), q.mean()])
        return priority

    def copy_to_target(self) -> None:
        """The oldest copy becomes one of theta."""
        self._targets[self._oldest].load_state_dict(self.network.state_dict())
        self._oldest = (self._oldest + 1) % len(self._targets)

    def take_means(self) -> tuple[float, float]:
        """Mean loss and mean Q(s, a) of the updates since the last call."""
        updates, self._updates = self._updates, 0
        return taken_means(self._sums, updates)

    def check_finite(self) -> None:
        """Look at the losses and weights."""
        check_finite(self._sums, self.network, "the loss")

    def state_dict(self) -> dict[str, Any]:
        """Its own names, but for `network`."""
        return {
            "network": self.network.state_dict(),
            "targets": [network.state_dict() for network in self._targets],
            "oldest": self._oldest,
            "moments": [dict(self._optimizer.state[parameter]) for parameter in self.network.parameters()],
            "means": {"sums": self._sums, "updates": self._updates},
            "generator": self._noise.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over such a state."""
        self.changes += 1
        load_weights(self.network, state["network"], where="network")
        for i, (network, weights) in enumerate(zip(self._targets, state["targets"], strict=True)):
            load_weights(network, weights, where=f"target network {i}")
        self._oldest = int(state["oldest"])
        for parameter, moments in zip(self.network.parameters(), state["moments"], strict=True):
            self._optimizer.state[parameter] = {
                name: value.to(self._device) if value.dim() else value for name, value in moments.items()
            }
        self._sums.copy_(state["means"]["sums"])
        self._updates = int(state["means"]["updates"])
        load_generator(self._noise, state["generator"])
