"""A person's own optimizer on trial: some steps, and the same step after its state was saved and taken back."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.learner.optimizer_state import check_moments, load_optimizer_state, optimizer_state
from pixelq.learner.optimizers import build_optimizer, parameter_groups, set_learning_rate

STEPS = 3
"""Before the state is saved: some optimizers keep more from the second step on."""


def try_optimizer(config: Config, network: nn.Module) -> None:
    """Try the recipe's optimizer of minibatches; `network` is changed.

    Raises:
        UserError: it keeps what a checkpoint cannot hold, or goes on otherwise after its state was saved and loaded.
    """
    optimizer = build_optimizer(config, parameter_groups(network))
    for number in range(STEPS):
        _step(optimizer, network, config, number)
    state = optimizer_state(optimizer, network)
    for name, weight in network.named_parameters():
        try:
            check_moments(name, weight, state[name])
        except UserError as error:
            raise UserError(
                f"{_named(config)}: {error}; a checkpoint has finite float32 tensors, of the weight's shape or with "
                "one number"
            ) from None
    restored = copy.deepcopy(network)
    again = build_optimizer(config, parameter_groups(restored))
    load_optimizer_state(again, restored, state)
    _step(optimizer, network, config, STEPS)
    _step(again, restored, config, STEPS)
    _hold_to_the_same(config, network, restored, "`state[weight]`")


def try_stream_optimizer(config: Config, network: nn.Module) -> None:
    """Try the recipe's optimizer of single transitions; `network` is changed.

    Raises:
        UserError: it has not a trace for each weight, or goes on otherwise after its traces were saved and loaded.
    """
    weights = list(network.parameters())
    optimizer = build_optimizer(config, weights)
    step: Callable[[int], None] = _stream_step(optimizer, weights, config)
    for number in range(STEPS):
        step(number)
    shapes = [weight.shape for weight in weights]
    if [getattr(trace, "shape", None) for trace in optimizer.traces] != shapes:
        raise UserError(f"{_named(config)}: its traces are not tensors of the weights' shapes, in their order")
    restored = copy.deepcopy(network)
    copies = list(restored.parameters())
    again = build_optimizer(config, copies)
    for trace, saved in zip(again.traces, optimizer.traces, strict=True):
        trace.copy_(saved)
    step(STEPS)
    _stream_step(again, copies, config)(STEPS)
    _hold_to_the_same(config, network, restored, "`traces`")
    optimizer.end_traces()


def _step(optimizer: Any, network: nn.Module, config: Config, number: int) -> None:
    optimizer.zero_grad(set_to_none=True)
    for weight, gradient in zip(network.parameters(), _gradients(list(network.parameters()), number), strict=True):
        weight.grad = gradient
    set_learning_rate(optimizer, config.learning_rate)
    optimizer.step()


def _stream_step(optimizer: Any, weights: list[nn.Parameter], config: Config) -> Callable[[int], None]:
    td_error = torch.full((), 0.5, device=weights[0].device)
    return lambda number: optimizer.step(td_error, _gradients([*weights], number), config.learning_rate)


def _gradients(weights: list[nn.Parameter], number: int) -> list[Tensor]:
    """Gradients of a number, in the weights' memory formats; torch's own generator begins anew, too."""
    torch.manual_seed(number)
    return [torch.empty_like(weight).normal_() for weight in weights]


def _hold_to_the_same(config: Config, network: nn.Module, restored: nn.Module, place: str) -> None:
    for (name, one), other in zip(network.named_parameters(), restored.parameters(), strict=True):
        if not torch.equal(one, other):
            raise UserError(
                f"{_named(config)}: after its state was saved and loaded it changes {name} otherwise, so a resumed run "
                f"would be another one; what lasts from step to step must stand in its {place}"
            )


def _named(config: Config) -> str:
    return f"optimizer {config.optimizer!r}"
