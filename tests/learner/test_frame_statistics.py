"""Running statistics of frames are one for all networks of a learner: from the first frame on, and after a restart."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from pixelq.image_and_numbers import ImageAndNumbers
from pixelq.learner.learner import Learner
from pixelq.replay import Batch
from small_learners import learner
from small_networks import images, same_weights, states, vectors

SPACES: dict[str, Box] = {
    "pixels": images(2, 36, 36),
    "vectors": vectors(1, 3),
    "both": ImageAndNumbers(2, (36, 36), 3),
}
CONVOLUTIONS = {"torso": "plain", "channels": (4,), "kernels": (8,), "strides": (8,)}


def observed(space: Box, n: int, seed: int) -> torch.Tensor:
    """States whose numbers are far from mean 0 and variance 1, as bytes are."""
    if not isinstance(space, ImageAndNumbers):
        found = states(space, n, seed)
        return found if space.dtype == np.uint8 else 50.0 + 90.0 * found
    r = np.random.default_rng(seed)
    image = r.integers(0, 256, (n, space.shape[0], *space.image_shape), np.uint8)
    numbers = r.normal(50, 90, (n, space.shape[0], space.numbers)).astype(np.float32)
    joined = [[space.joined(image[i, k], numbers[i, k]) for k in range(space.shape[0])] for i in range(n)]
    return torch.from_numpy(np.array(joined))


def normalising(case: str, seed: int = 1, **fields: Any) -> Learner:
    torso = {"torso": "mlp"} if case == "vectors" else CONVOLUTIONS
    fields = {"averaged_network_tau": 0.1, "hidden": (8,)} | torso | fields
    return learner(seed, SPACES[case], normalise_observations=True, **fields)


def update(one: Learner, seed: int) -> None:
    space: Any = one.network.observation_space
    state, following = observed(space, 6, seed), observed(space, 6, seed + 1000)
    action, number = torch.arange(6) % 4, torch.ones(6)
    one.update(Batch.unweighted(state, action, number, 0.9 * number, following), 1e-3)


def observe(one: Learner, seed: int) -> None:
    one.network.observe(observed(one.network.observation_space, 5, seed).numpy())


def statistics(network: Any) -> list[torch.Tensor]:
    return [*network.buffers()]


def assert_all_have_those_of_the_network(one: Learner, frames: int) -> None:
    for network in (one.network, one.target_network, one.averaged_network):
        found = statistics(network)
        counts = [buffer for buffer in found if buffer.dtype == torch.int64]
        assert counts
        assert all(int(count) == frames for count in counts)
        for ours, its in zip(statistics(one.network), found, strict=True):
            assert torch.equal(ours, its)


@pytest.mark.parametrize("target", ["none", "hard", "soft"])
@pytest.mark.parametrize("case", SPACES)
def test_every_network_normalises_by_all_frames_so_far_whenever_it_was_copied_last(case: str, target: str) -> None:
    one = normalising(case, target=target)
    observe(one, 0)
    some = observed(SPACES[case], 3, 7)
    q = one.network.q_values(some)
    for copied in (
        one.target_network,
        one.averaged_network,
    ):  # before the first update they are theta, with its numbers
        assert torch.equal(copied.q_values(some), q)
    for seed in range(1, 4):
        update(one, seed)
        observe(one, seed)
        assert_all_have_those_of_the_network(one, 5 + 5 * seed)
    one.copy_to_target()
    assert_all_have_those_of_the_network(one, 20)


def test_weights_are_not_shared_and_do_not_move_with_the_networks() -> None:
    one = normalising("pixels", target="hard")
    before = copy.deepcopy(one.target_network)
    observe(one, 0)
    update(one, 1)
    assert same_weights(one.target_network, before)
    assert not same_weights(one.target_network, one.network)
    assert not same_weights(one.averaged_network, one.network)
    assert all(not parameter.requires_grad for parameter in one.target_network.parameters())
    assert all(parameter.requires_grad for parameter in one.network.parameters())


@pytest.mark.parametrize("case", SPACES)
def test_a_learner_that_is_restored_has_one_set_of_statistics_again_and_goes_on_identically(case: str) -> None:
    one, other = normalising(case, target="hard"), normalising(case, seed=9, target="hard")
    observe(one, 0)
    update(one, 1)
    observe(other, 5)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    assert_all_have_those_of_the_network(other, 5)
    for learning in (one, other):
        observe(learning, 2)
        update(learning, 3)
        learning.copy_to_target()
    assert_all_have_those_of_the_network(other, 10)
    for name in ("network", "target_network", "averaged_network"):
        assert same_weights(getattr(one, name), getattr(other, name))


def test_an_older_state_whose_target_had_statistics_of_its_own_is_taken_over_with_the_networks() -> None:
    """Until its first copy a target network had counted no frame, and its average those before the last update."""
    one, other = normalising("pixels", target="hard"), normalising("pixels", seed=9, target="hard")
    observe(one, 0)
    update(one, 1)
    state = {name: copy.deepcopy(part) for name, part in one.state_dict().items()}  # each by itself, as from a file
    for part in ("target_network", "averaged_network"):
        for name in ("count", "mean", "squares"):
            state[part][f"normalisation.{name}"].zero_()
    other.load_state_dict(state)
    assert_all_have_those_of_the_network(other, 5)
    assert same_weights(other.target_network, one.target_network)
    assert same_weights(other.averaged_network, one.averaged_network)


def test_trained_weights_that_are_taken_over_bring_their_statistics_to_all_networks() -> None:
    trained, one = normalising("pixels", seed=5), normalising("pixels", target="hard")
    observe(trained, 0)
    one.start_from(trained.network.state_dict(), where="elsewhere")
    assert_all_have_those_of_the_network(one, 5)
    observe(one, 1)
    assert_all_have_those_of_the_network(one, 10)
