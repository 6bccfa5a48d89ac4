"""How large a network is, before it is made: also one of a person's own layers, which give what they like."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from own_variants import as_it_was, refused
from pixelq.config import Config
from pixelq.networks import NetworkSizes, build_network, network_sizes
from pixelq.networks.observations import likely_observations
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.recipes.values import overridden
from pixelq.variants import register
from small_networks import SPACES

__all__ = ["as_it_was"]

pytestmark = pytest.mark.usefixtures("as_it_was")
S = 5


class WholeSequence(nn.Module):
    """A memory of torch's GRU or LSTM, which gives its outputs and its last states."""

    size = S

    def __init__(self, features: int, options: Any, layers: Any, kind: Any = nn.GRU) -> None:
        super().__init__()
        self.features, self.cells = S, kind(features, S)

    def forward(self, features: Tensor, recurrent_state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        before = recurrent_state.masked_fill(starts[0, :, None], 0.0)[None]
        given = before if isinstance(self.cells, nn.GRU) else (before, torch.zeros_like(before))
        output, _ = self.cells(features.float(), given)
        return output, output


class StepByStep(nn.Module):
    """A memory of torch's LSTM cell, which gives two tensors for each state."""

    def __init__(self, features: int, options: Any, layers: Any) -> None:
        super().__init__()
        self.features, self.size, self.cell = S, 2 * S, nn.LSTMCell(features, S)

    def forward(self, features: Tensor, recurrent_state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        after = []
        for given, start in zip(features.float(), starts, strict=True):
            h, c = self.cell(given, recurrent_state.masked_fill(start[:, None], 0.0).chunk(2, dim=1))
            recurrent_state = torch.cat([h, c], dim=1)
            after.append(recurrent_state)
        return torch.stack(after)[..., :S], torch.stack(after)


class BareParameters(nn.Module):
    """A memory without layers: a running mean of the features, whose weight is learned."""

    def __init__(self, features: int, options: Any, layers: Any) -> None:
        super().__init__()
        self.features = self.size = features
        self.share = nn.Parameter(torch.full((features,), 0.5))

    def forward(self, features: Tensor, recurrent_state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        after = []
        for given, start in zip(features.float(), starts, strict=True):
            recurrent_state = recurrent_state.masked_fill(start[:, None], 0.0)
            recurrent_state = torch.lerp(given, recurrent_state, self.share)
            after.append(recurrent_state)
        return torch.stack(after), torch.stack(after)


class Lstm(WholeSequence):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given, kind=nn.LSTM)


def sizes(observations: Box = SPACES["mlp"], **fields: Any) -> NetworkSizes:
    return network_sizes(overridden(Config(torso="mlp"), {"hidden": (7,), **fields}), observations, 3)


MEMORIES = {
    # Weights, and numbers of what torch's modules give for one state: outputs, and last states beside them.
    "gru": (WholeSequence, 3 * S * (7 + S + 2), S + S, S),
    "lstm": (Lstm, 4 * S * (7 + S + 2), S + S + S, S),
    "lstm cell": (StepByStep, 4 * S * (7 + S + 2), S + S, 2 * S),
    "bare parameters": (BareParameters, 7, 7 + 7, 7),
}


@pytest.mark.parametrize("case", MEMORIES)
def test_a_memory_of_torchs_recurrent_layers_or_of_none_is_measured(case: str) -> None:
    memory, weights, activations, size = MEMORIES[case]
    register("memory", "mine", Memory=memory)
    found, without = sizes(memory="mine"), sizes()
    assert (found.remembering, found.recurrent_size) == (weights, size)
    of_the_head = 3 * (1 + (7 if case == "bare parameters" else S))
    assert found.parameters == without.parameters - 3 * (7 + 1) + weights + of_the_head
    assert found.activations == without.activations + activations
    config = overridden(Config(torso="mlp"), {"hidden": (7,), "memory": "mine"})
    made = build_network(config, SPACES["mlp"], 3, torch.Generator().manual_seed(1))
    assert sum(p.numel() for p in made.parameters()) == found.parameters


class NeedsNumbers(nn.Module):
    """A torso that reads numbers of tensors while it is made, and while it answers, as stochastic depth does."""

    hidden = ()

    def __init__(self, space: Box, options: Any, layers: Any) -> None:
        super().__init__()
        self.rates = [x.item() for x in torch.linspace(0, 0.1, 3)]
        self.scale = torch.from_numpy(np.ones(space.shape[1], np.float32))
        self.layer = nn.Linear(int(np.prod(space.shape)), 4)
        self.features = 4

    @staticmethod
    def reads_images(options: Any) -> bool:
        return False

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(1, (-1, len(self.scale))) * self.scale
        return self.layer(x.flatten(1)) * max(self.rates) if float(x.sum()) > -1 else self.layer(x.flatten(1))


class NeedsNone(NeedsNumbers):
    def __init__(self, space: Box, options: Any, layers: Any) -> None:
        nn.Module.__init__(self)
        self.layer = nn.Linear(int(np.prod(space.shape)), 4)
        self.features = 4

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def test_a_torso_that_needs_numbers_is_measured_where_there_are_some_and_no_generator_moves() -> None:
    register("torso", "numbers", Torso=NeedsNumbers)
    register("torso", "none", Torso=NeedsNone)
    before = torch.get_rng_state()
    observations = SPACES["mlp"]
    config = Config(torso="numbers")
    found = network_sizes(config, observations, 3)
    assert found == network_sizes(Config(torso="none"), observations, 3)
    assert torch.equal(torch.get_rng_state(), before)
    network = build_network(config, observations, 3, torch.Generator().manual_seed(1))
    assert found.parameters == sum(p.numel() for p in network.parameters())


class Fails(NeedsNone):
    def forward(self, x: Tensor) -> Tensor:
        raise ValueError(f"on {x.device.type}")


def test_what_fails_everywhere_is_refused_with_the_reason_that_a_run_would_have() -> None:
    register("torso", "fails", Torso=Fails)
    assert "(ValueError: on cpu)" in refused(network_sizes, Config(torso="fails"), SPACES["mlp"], 3)


@pytest.mark.parametrize("recipe", recipe_names())
def test_a_network_is_as_large_in_memory_as_where_shapes_alone_are_followed(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = read_recipe(recipe)
    observations = likely_observations(config)
    before = torch.get_rng_state()
    in_memory = network_sizes(config, observations, 3)
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr("pixelq.networks.SMALL", 0)
    assert network_sizes(config, observations, 3) == in_memory
    assert in_memory.parameters > 0
    assert in_memory.activations > 0


def test_a_large_network_is_not_made_in_memory() -> None:
    config = overridden(Config(torso="mlp"), {"hidden": (10_000_000, 10_000_000)})
    assert network_sizes(config, SPACES["mlp"], 3).parameters > 10**14
