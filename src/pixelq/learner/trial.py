"""Parts on trial: what a person's own ones do wrong, or what lacks a deterministic kernel, is said before a run writes
anything.

A loss runs for the first time when the replay has its first transitions, hours after the start of a long run perhaps,
and so does a sampler.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pixelq.config import Config
from pixelq.envs.global_random import kept_global_random
from pixelq.errors import UserError
from pixelq.image_and_numbers import ImageAndNumbers
from pixelq.learner.learner import check_same_formats, checked_loss
from pixelq.learner.optimizer_trial import try_optimizer, try_stream_optimizer
from pixelq.loops import gives, has_replay
from pixelq.losses import BoundLoss, Loss, Played, bound_loss
from pixelq.named_objects import innermost
from pixelq.networks import PARTS, Network
from pixelq.networks.recurrent_network import RecurrentNetwork
from pixelq.own_code import told_as_own_code
from pixelq.replay.batch import Batch
from pixelq.replay.sampler_trial import try_sampler
from pixelq.schedules import epsilon_schedule
from pixelq.variants import KINDS, from_outside


def try_parts(config: Config, network: Network, device: torch.device, masked: bool) -> None:
    """Try the variants from outside that take part (epsilon's schedule, the sampler, what makes an update), and whether
    an update has deterministic kernels if the run is to have no others.

    A run is the same with and without it: the run's own sampler takes no part, and every generator of Python's, NumPy's
    and torch's is as it was. A loop of one's own that builds the replay may build another, so no sampler is tried then.

    Args:
        config: of the run.
        network: Q(.; theta), on `device`.
        device: where updates are computed.
        masked: whether the game has action masks.

    Raises:
        UserError: one fails, or gives something of another shape or dtype than its kind says; as `try_sampler`; or an
            operation has no deterministic kernel.
    """
    cuda = [device] if device.type == "cuda" else []
    with kept_global_random(), torch.random.fork_rng(devices=cuda):
        if from_outside(config, ("epsilon_schedule",)):
            _try_epsilon(config)
        builds_replay = hasattr(KINDS["loop"].find(config.loop), "build_replay") and from_outside(config, ("loop",))
        if from_outside(config, ("sampler",)) and has_replay(config) and not builds_replay:
            try_sampler(config)
        _try_first_update(config, network, device, masked)


def _try_epsilon(config: Config) -> None:
    """Ask the schedule for epsilon at the beginning and the end of the run."""
    variants = from_outside(config, ("epsilon_schedule",))
    with told_as_own_code(variants):
        schedule = epsilon_schedule(config)
        for agent_steps in (0, config.steps):
            value: Any = schedule(agent_steps)
            found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
            if not isinstance(value, np.ndarray) or value.shape != (config.num_envs,) or value.dtype.kind not in "fiu":
                line = f"not an array of numbers ({config.num_envs},), one for each environment"
                raise UserError(f"{variants[0]}: at agent step {agent_steps:,} it gives {found}, {line}")
            if not np.isfinite(value).all():
                raise UserError(f"{variants[0]}: at agent step {agent_steps:,} it gives numbers that are not finite")


def _try_first_update(config: Config, network: Network, device: torch.device, masked: bool) -> None:
    """Act and make an update once, on copies and drawn states, where variants from outside take part, or where an
    operation may have no deterministic kernel, which depends on the device.

    Weights and running statistics are as before. A loop of one's own may hand over other batches, so nothing is tried
    for it.
    """
    variants = from_outside(config, ("loss", "optimizer", *PARTS))
    if not (variants or config.deterministic) or not KINDS["loop"].is_own(config.loop):
        return
    try:
        copied = copy.deepcopy(network)
        target = copied if config.target == "none" else copy.deepcopy(network).requires_grad_(False)
    except Exception:  # what holds something that cannot be copied cannot be tried; it may be trained
        return
    noise = torch.Generator(device).manual_seed(config.seed)
    with told_as_own_code(variants), _deterministic_kernels(device):
        generator = np.random.default_rng(config.seed)
        _act(config, copied, noise, generator)
        loss = bound_loss(config)
        batch = _batch(config, copied, loss, masked, generator).to(device)
        copied.train()
        found = _checked(config, loss(copied, target, batch, noise), batch)
        found.loss.mean().backward()
        of_stream = gives(config.loop) == "stream"
        if not of_stream:  # its learner reads weights and gradients as tensors
            check_same_formats(list(copied.parameters()))
        if from_outside(config, ("optimizer",)):
            (try_stream_optimizer if of_stream else try_optimizer)(config, copied)


@contextmanager
def _deterministic_kernels(device: torch.device) -> Iterator[None]:
    """Around what torch may refuse for the lack of one.

    Raises:
        UserError: it did.
    """
    try:
        yield
    except RuntimeError as error:
        operation, refused, _ = str(error).partition(" does not have a deterministic implementation")
        if not refused:
            raise
        raise UserError(
            f"deterministic = True: torch has no deterministic kernel of {operation} on {device.type}, which an update "
            "of this recipe needs; leave --deterministic out, or use another --device"
        ) from None


def _checked(config: Config, loss: Any, batch: Batch) -> Loss:
    try:
        found = checked_loss(loss, batch)
    except UserError as error:
        raise UserError(f"loss {config.loss!r}: {error}") from None
    wrong = int((~torch.isfinite(found.loss)).sum())
    if wrong:
        raise UserError(
            f"loss {config.loss!r}: it is NaN or infinite for {wrong} of {len(found.loss)} transitions of drawn "
            "states, tried before the run: look for a logarithm, a root or a division"
        )
    return found


@torch.no_grad()
def _act(config: Config, network: Network, noise: torch.Generator, generator: np.random.Generator) -> None:
    """Q-values of as many states as there are environments.

    Raises:
        UserError: they, or what a memory remembers, have another shape, or a layer's noise is left out.
    """
    n, device = config.num_envs, noise.device
    states = _states(n, network, generator).to(device)
    with _noise_is_handed_on(config, network):
        if isinstance(network, RecurrentNetwork):
            remembered = torch.zeros((n, network.recurrent_size), device=device)
            q, remembered = network.step(states, remembered, noise)
            _hold_to_shape(remembered, (n, network.recurrent_size), f"memory = {config.memory} remembers")
        else:
            q = network.q_values(states, noise)
    _hold_to_shape(q, (n, network.num_actions), f"head = {config.head} gives Q-values")


def _hold_to_shape(value: Any, shape: tuple[int, ...], what: str) -> None:
    if not isinstance(value, Tensor) or value.shape != shape:
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise UserError(f"{what} {found}, not {shape}")


def _states(n: int, network: Network, generator: np.random.Generator) -> Tensor:
    """States of the observation space, all different; numbers without bounds are of -1 to 1."""
    space: Any = network.observation_space
    shape = (n, *space.shape)
    if isinstance(space, ImageAndNumbers):  # whose bytes hold numbers, too: any bytes may be NaN
        stack = space.shape[0]
        images = generator.integers(0, 256, (n, stack, *space.image_shape), np.uint8)
        numbers = generator.uniform(-1, 1, (n, stack, space.numbers)).astype(np.float32)
        frames = [
            [space.joined(*one) for one in zip(*state, strict=True)] for state in zip(images, numbers, strict=True)
        ]
        return torch.from_numpy(np.array(frames))
    if space.dtype == np.uint8:
        return torch.from_numpy(generator.integers(0, 256, shape, np.uint8))
    low, high = (np.where(np.isfinite(end), end, usual) for end, usual in ((space.low, -1.0), (space.high, 1.0)))
    return torch.from_numpy((low + (high - low) * generator.random(shape)).astype(np.float32))


def _batch(config: Config, network: Network, loss: BoundLoss, masked: bool, generator: np.random.Generator) -> Batch:
    """A minibatch as the recipe's loop hands it over, on the CPU: a loss may need states and returns that differ, and
    an end."""
    b = config.batch_size
    state, action = _states(b, network, generator), torch.zeros(b, dtype=torch.int64)
    returns, discounts, next_state = (
        torch.linspace(0, 1, b),
        torch.full((b,), config.gamma),
        _states(b, network, generator),
    )
    discounts[:: max(2, b // 4)] = 0.0
    if loss.returns is not None and not has_replay(config):
        returns = _returns_of_a_rollout(config, loss, loss.returns).flatten()[:b]
        discounts, next_state = torch.zeros(b), state
    mask = torch.ones((b, network.num_actions), dtype=torch.bool) if masked else None
    batch = Batch.unweighted(state, action, returns, discounts, next_state, mask, mask)
    if not isinstance(network, RecurrentNetwork):
        return batch
    sequences = b // 2 if b % 2 == 0 else b
    starts = torch.zeros(b, dtype=torch.bool)
    starts[0] = True
    return dataclasses.replace(batch, recurrent_state=torch.zeros((sequences, network.recurrent_size)), starts=starts)


def _returns_of_a_rollout(config: Config, loss: BoundLoss, returns: Callable[[Played, Any], Tensor]) -> Tensor:
    """What the loss makes of a rollout of zeros.

    Raises:
        UserError: it has another shape or dtype than its rewards.
    """
    shape = (config.rollout_length, config.num_envs)
    nothing = torch.zeros(shape)
    found = returns(Played(nothing, torch.full(shape, config.gamma), nothing.clone(), nothing.clone()), loss.options)
    if isinstance(found, Tensor) and found.dtype != torch.float32:
        raise UserError(f"loss = {config.loss}: its returns are {found.dtype}, not float32")
    _hold_to_shape(found, shape, f"loss = {config.loss}: its returns are of shape")
    return found


@contextmanager
def _noise_is_handed_on(config: Config, network: Network) -> Iterator[None]:
    """Inside, look whether layers of the recipe's linear kind that draw noise are given a generator.

    Raises:
        UserError: one is not, and would give its mean alone for the whole run.
    """
    kind = innermost(KINDS["linear"].find(config.linear).Linear)
    layers = [*network.named_modules()] if isinstance(kind, type) else []
    looks = [
        layer.register_forward_pre_hook(partial(_look_for_noise, config, name), with_kwargs=True)
        for name, layer in layers
        if isinstance(layer, kind)
    ]
    try:
        yield
    finally:
        for look in looks:
            look.remove()


def _look_for_noise(config: Config, name: str, layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    if not given or any(isinstance(value, torch.Generator) for value in (*given, *named.values())):
        return
    probe = torch.Generator(given[0].device).manual_seed(config.seed)
    before = probe.get_state()
    layer.forward(given[0], probe)
    if not torch.equal(probe.get_state(), before):
        raise UserError(
            f"layer {name} of linear = {config.linear} is called without noise, so it would only ever give its mean: "
            "call it as layer(x, noise), with the noise that a torso's or head's `forward(self, x, noise=None)` is "
            "given, or make it as nn.Linear, with its weights from layers.initialise"
        )
