"""One update: batch -> loss -> gradients -> parameters -> target network."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.generators import load_generator
from pixelq.learner.compiled_update import CompiledUpdate, check_can_be_recorded
from pixelq.learner.graphed_update import GraphedUpdate
from pixelq.learner.means import NotFiniteError, check_finite, taken_means
from pixelq.learner.optimizer_state import load_optimizer_state, optimizer_state
from pixelq.learner.optimizers import build_optimizer, parameter_groups, set_learning_rate
from pixelq.losses import Loss, bound_loss
from pixelq.networks import PARTS, Network
from pixelq.networks.frame_normalisation import FrameNormalisation
from pixelq.own_code import told_as_own_code
from pixelq.replay.batch import Batch
from pixelq.variants import from_outside


class Learner:
    """Owns the network theta, the target network theta-, the averaged network if there is one, and the optimizer.

    Running statistics of frames belong to what was observed, not to weights: all these networks have the same.

    Args:
        network: Q(.; theta), on `device`.
        config: loss, optimizer, clipping and target choices.
        device: where updates are computed.
        noise: for noisy layers and sampled quantiles, on `device`; None: one with a seed of its own.

    Raises:
        UserError: the update is to be compiled for the CPU and cannot be.
    """

    def __init__(
        self, network: Network, config: Config, device: torch.device, noise: torch.Generator | None = None
    ) -> None:
        self.network = network
        # Without a target network the bootstrap comes from theta itself (Mnih et al. 2013, algorithm 1).
        self.target_network = network if config.target == "none" else _frozen_copy(network)
        self.averaged_network = network if config.averaged_network_tau == 0.0 else _frozen_copy(network)
        """What test games are played with and policies are saved of: theta, or its average over updates (Polyak and
        Juditsky 1992), which learning never looks at."""
        self.optimizer = build_optimizer(config, parameter_groups(network))
        self.device = device
        self.noise = torch.Generator(device).manual_seed(config.seed) if noise is None else noise
        self._config = config
        self._loss = bound_loss(config)
        self._parameters = list(network.parameters())
        # Sums since the last `take_means`, kept on the device so that the loop never waits for a number.
        self._sums = torch.zeros(2, dtype=torch.float64 if device.type == "cpu" else torch.float32, device=device)
        self._summed_updates = 0
        self._recorded: GraphedUpdate | CompiledUpdate | None = None
        # Exact resume needs one way of computing: an update is recorded some updates after a start, so none then.
        if device.type == "cuda" and not config.deterministic:
            self._recorded = GraphedUpdate(self._step_in_training, self.optimizer, device, self.noise)
        elif device.type == "cpu" and config.compile:
            with told_as_own_code(from_outside(config, ("loss", *PARTS))):
                check_can_be_recorded(self._loss, network, self.target_network, self.noise)
            self._recorded = CompiledUpdate(self._step, self.optimizer)
        self.changes = 0
        """How often the weights of the network (and of the averaged one) have changed."""
        self.last_batch: Batch | None = None
        """The batch of the last update, by reference, for a post-mortem."""

    def update(self, batch: Batch, learning_rate: float) -> Tensor:
        """One gradient step on theta, and the soft target average where the recipe asks for it.

        Args:
            batch: B transitions; moved to the device if they are elsewhere.
            learning_rate: step size of this update.

        Returns:
            how much there is to learn from each transition, float32 `(B,)`, on the device.

        Raises:
            NotFiniteError: on the CPU and not compiled, the loss is not finite; the weights are then as they were.
            UserError: the update cannot be recorded as a CUDA graph, or compiled.
        """
        self.last_batch = batch
        if isinstance(self._recorded, GraphedUpdate):  # to replay a graph no module is asked what mode it is in
            priority = self._recorded(batch, learning_rate)
        else:
            self.network.train()
            try:
                if self._recorded is not None:
                    priority = self._recorded(batch, learning_rate)
                else:
                    set_learning_rate(self.optimizer, learning_rate)
                    priority = self._step(batch.to(self.device))
            finally:
                self.network.eval()
        self.changes += 1
        self._summed_updates += 1
        return priority

    def _step(self, batch: Batch) -> Tensor:
        """The update of a batch on the device. What lasts is changed in place, for a recording repeats it blindly."""
        loss, priority, q = checked_loss(self._loss(self.network, self.target_network, batch, self.noise), batch)
        weighted = loss * batch.weight
        total = weighted.mean() if self._config.reduction == "mean" else weighted.sum()
        # On the CPU a look at the number is free. A GPU would have to be waited for, and a recording does not see
        # numbers: see `check_finite`.
        if self.device.type == "cpu" and self._recorded is None and not math.isfinite(total.item()):
            raise NotFiniteError(f"the loss is {total.item()}")
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        if self._summed_updates == 0:
            check_same_formats(self._parameters)
        self._clip_gradients()
        self.optimizer.step()
        if self._config.target == "soft":
            self._average_into(self.target_network, self._config.target_tau)
        if self.averaged_network is not self.network:
            self._average_into(self.averaged_network, self._config.averaged_network_tau)
        # A row of weight 0 is no transition (the last frame of an episode within a sequence).
        counted = (batch.weight > 0).to(q.dtype)
        self._sums += torch.stack([loss.detach() @ counted, q @ counted]) / counted.sum().clamp(min=1)
        return priority

    def _step_in_training(self, batch: Batch) -> Tensor:
        self.network.train()
        try:
            return self._step(batch)
        finally:
            self.network.eval()

    def copy_to_target(self) -> None:
        """theta- <- theta: the hard copy every C steps (Mnih et al. 2015, algorithm 1)."""
        if self._config.target == "hard":
            self._average_into(self.target_network, 1.0)

    def start_from(self, weights: dict[str, Tensor], where: str) -> None:
        """Take over a trained network's weights, everywhere, instead of fresh ones.

        Raises:
            UserError: they are not this network's; `where` says whose they are.
        """
        load_weights(self.network, weights, where)
        self.changes += 1
        for copied in (self.target_network, self.averaged_network):
            if copied is not self.network:
                self._average_into(copied, 1.0)

    def take_means(self) -> tuple[float, float]:
        """Mean loss and mean Q(s, a) over the transitions of the updates since the last call; NaN if there was none."""
        updates, self._summed_updates = self._summed_updates, 0
        return taken_means(self._sums, updates)

    def check_finite(self) -> None:
        """Look at the losses since the last `take_means` and at every weight (a millisecond; waits for the device).

        Raises:
            NotFiniteError: naming what is NaN or infinite.
        """
        check_finite(self._sums, self.network, "the loss")

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides future updates, as nested dictionaries of tensors and numbers (not copied)."""
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "optimizer": optimizer_state(self.optimizer, self.network),
            "sums": self._sums,
            "summed_updates": self._summed_updates,
            "noise": self.noise.get_state(),
        }
        if self.target_network is not self.network:
            state["target_network"] = self.target_network.state_dict()
        if self.averaged_network is not self.network:
            state["averaged_network"] = self.averaged_network.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state made by `state_dict` of a learner with the same recipe.

        Raises:
            UserError: a tensor is missing, of another shape, or not finite.
        """
        self.changes += 1
        if self.target_network is not self.network:
            load_weights(self.target_network, state["target_network"], where="target network")
        if self.averaged_network is not self.network:
            load_weights(self.averaged_network, state["averaged_network"], where="averaged network")
        # Last, for its statistics of frames are the newest: an older state has those of a target's last copy beside it.
        load_weights(self.network, state["network"], where="network")
        load_optimizer_state(self.optimizer, self.network, state["optimizer"])
        self._sums.copy_(state["sums"])
        self._summed_updates = int(state["summed_updates"])
        load_generator(self.noise, state["noise"])
        if self._recorded is not None:
            self._recorded.forget()  # it writes to the optimizer's old moments

    def _clip_gradients(self) -> None:
        if self._config.gradient_clip == "norm":
            nn.utils.clip_grad_norm_(self._parameters, self._config.gradient_clip_at)
        elif self._config.gradient_clip == "value":
            nn.utils.clip_grad_value_(self._parameters, self._config.gradient_clip_at)

    @torch.no_grad()
    def _average_into(self, network: Network, tau: float) -> None:
        """theta- <- (1 - tau) theta- + tau theta, for the weights theta- of `network`; buffers are copied."""
        target: list[Tensor] = list(network.parameters())
        online: list[Tensor] = [*self._parameters]
        if tau == 1.0:
            torch._foreach_copy_(target, online)
        else:
            torch._foreach_lerp_(target, online, tau)
        for copied, buffer in zip(network.buffers(), self.network.buffers(), strict=True):
            if copied is not buffer:  # statistics of frames belong to both networks
                copied.copy_(buffer)


def checked_loss(loss: Loss, batch: Batch) -> Loss:
    """Hold a loss to its shapes and dtypes (a look that no device is waited for); only `loss` keeps its gradient.

    Raises:
        UserError: a loss of one's own gives something else, which would be broadcast into another quantity.
    """
    if not isinstance(loss, Loss):
        raise UserError(f"the loss gives a {type(loss).__name__}, not a pixelq.losses.Loss")
    for name, value in loss._asdict().items():
        if not isinstance(value, Tensor) or value.shape != batch.action.shape or value.dtype != torch.float32:
            found = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise UserError(
                f"the loss's {name} is {found}, not float32 ({len(batch.action)},), one for each transition"
            )
    if not loss.loss.requires_grad:
        raise UserError("the loss carries no gradient: it was detached, or does not depend on the network")
    return Loss(loss.loss, loss.priority.detach(), loss.q.detach())


def check_same_formats(parameters: list[nn.Parameter]) -> None:
    """A fused optimizer reads parameter and gradient as flat memory: different formats would pair wrong elements.

    Raises:
        RuntimeError: a gradient lies in memory unlike its parameter.
    """
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is not None and _steps_in_memory(gradient) != _steps_in_memory(parameter):
            raise RuntimeError(f"gradient strides {gradient.stride()} differ from the parameter's {parameter.stride()}")


def _steps_in_memory(tensor: Tensor) -> list[int]:
    """Strides of the dimensions along which there is a step: that of a size of 1 leads nowhere, and may be anything."""
    return [stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]


def load_weights(network: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Copy `weights` into `network`, keeping the network's own memory format.

    Raises:
        UserError: names or shapes differ, or a weight is NaN or infinite; the network is then unchanged.
    """
    own, parameters = network.state_dict(), {name for name, _ in network.named_parameters(remove_duplicate=False)}
    for name in sorted(own.keys() ^ weights.keys()):
        raise UserError(f"{where}: weight {name} is {'missing' if name in own else 'unknown'}; not this network")
    for name, value in weights.items():
        if value.shape != own[name].shape:
            shapes = f"{tuple(value.shape)}, not {tuple(own[name].shape)}"
            raise UserError(f"{where}: weight {name} has shape {shapes}: another network, or a game of other actions")
        if value.dtype != own[name].dtype:
            raise UserError(f"{where}: weight {name} holds {value.dtype}, not {own[name].dtype}")
        if name in parameters and not torch.isfinite(value).all():
            raise UserError(f"{where}: weight {name} is not finite")
    with torch.no_grad():
        for name, value in weights.items():
            own[name].copy_(value)


def _frozen_copy(network: Network) -> Network:
    """A copy that does not learn, with the network's own running statistics of frames, not copies of them.

    Copies would be behind until the next hard copy, and before the first one of no frames at all: theta- would then
    read bytes of 0 to 255 where theta reads numbers of size 1.
    """
    shared: dict[int, Any] = {id(part): part for part in network.modules() if isinstance(part, FrameNormalisation)}
    return copy.deepcopy(network, shared).requires_grad_(False).eval()
