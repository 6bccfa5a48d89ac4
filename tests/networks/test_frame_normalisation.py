"""Running statistics of frames held to numpy's over the whole stream, and kept with the network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pixelq.checkpoints.policy_file import load_agent, save_policy
from pixelq.config import Config
from pixelq.networks import build_network
from pixelq.networks.frame_normalisation import FrameNormalisation
from pixelq.recipes.choice import configure
from small_networks import images, network, states

BYTES = arrays(np.uint8, (7, 2, 3))


@given(BYTES, st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_mean_and_variance_are_those_of_all_frames_however_they_come(frames, sizes):
    one, seen = FrameNormalisation((2, 3)), 0
    for size in [*sizes, 7]:
        one.observe(torch.from_numpy(frames[seen : seen + size])) if seen < 7 else None
        seen = min(7, seen + size)
        so_far = frames[:seen].astype(np.float64)
        np.testing.assert_allclose(one.mean, so_far.mean(axis=0), rtol=1e-12, atol=1e-12)
        wanted = so_far.var(axis=0, ddof=1) if seen > 1 else np.ones((2, 3))
        np.testing.assert_allclose(one.variance, wanted, rtol=1e-9, atol=1e-9)
        assert one.count == seen


def test_a_long_stream_far_from_zero_loses_nothing():
    numbers = 1e4 + np.random.default_rng(0).normal(size=(3000, 5))
    one = FrameNormalisation((5,))
    for frame in numbers:
        one.observe(torch.from_numpy(frame[None]))
    np.testing.assert_allclose(one.mean, numbers.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(one.variance, numbers.var(axis=0, ddof=1), rtol=1e-8)


def test_states_are_normalised_element_by_element_but_frames_before_the_start_are_average_ones():
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (20, 4, 5)).astype(np.uint8)
    one = FrameNormalisation((4, 5))
    one.observe(torch.from_numpy(frames))
    state = np.stack([np.zeros((4, 5), np.uint8), frames[3], np.zeros((4, 5), np.uint8)])[None]
    found = one(torch.from_numpy(state)).numpy()[0]
    mean, deviation = frames.mean(axis=0), np.sqrt(frames.var(axis=0, ddof=1) + 1e-8)
    assert not found[0].any()
    np.testing.assert_allclose(found[1], (frames[3] - mean) / deviation, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[2], -mean / deviation, rtol=1e-5)  # the newest is a frame, black or not


def normalising(**fields):
    return network("minatar", images(1, 10, 10, 4), normalise_observations=True, **fields)


def test_looking_at_states_changes_no_statistics_and_observing_does():
    net, space = normalising(), images(1, 10, 10, 4)
    before = net.q_values(states(space, 3))
    assert net.normalisation.count == 0
    assert torch.equal(net.q_values(states(space, 3)), before)
    net.observe(states(space, 5, seed=2).numpy())
    assert net.normalisation.count == 5
    assert not torch.equal(net.q_values(states(space, 3)), before)


def test_a_policy_file_has_the_statistics(tmp_path: Path):
    space, config = images(1, 10, 10, 4), configure("MinAtar/Breakout-v1", "stream-q-minatar", {})
    net = build_network(config, space, 3, torch.Generator().manual_seed(0))
    net.observe(states(space, 9, seed=2).numpy())
    save_policy(tmp_path, net, config)
    agent = load_agent(tmp_path)
    assert agent.network.normalisation.count == 9
    some = states(space, 4)
    np.testing.assert_array_equal(agent.q_values(some.numpy()), net.q_values(some).detach().numpy())


@pytest.mark.parametrize(
    ("game", "recipe", "shape", "actions", "weights"),
    [
        ("breakout", "stream-q", (4, 84, 84), 4, 144_804),
        ("MinAtar/Breakout-v1", "stream-q-minatar", (1, 10, 10, 4), 3, 132_179),
    ],
)
def test_the_recipes_networks_have_as_many_weights_as_the_sources(game, recipe, shape, actions, weights):
    """Convolutions, 256 or 128 hidden units and the output, each with biases, counted from the layers in its code."""
    net = build_network(configure(game, recipe, {}), images(*shape), actions, None)
    assert sum(parameter.numel() for parameter in net.parameters()) == weights
    assert net.fast is None


def test_without_it_a_network_has_no_statistics():
    assert network("minatar", images(1, 10, 10, 4)).normalisation is None
    assert Config().normalise_observations is False
