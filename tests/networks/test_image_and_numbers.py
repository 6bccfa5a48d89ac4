"""An image through the torso, numbers beside its features: exact on the way there, in gradients and in files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pixelq.checkpoints.policy_file import load_agent, save_policy
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.image_and_numbers import ImageAndNumbers, by_images, images_of
from pixelq.networks import Network, network_sizes
from pixelq.recipes.values import overridden
from pixelq.viewing.saliency import gradient_saliency, perturbation_saliency
from small_networks import network

SHAPES = st.sampled_from([(36, 36), (10, 12, 3), (7, 5, 4), (3, 3), (36, 40, 1)])
SPACE = ImageAndNumbers(2, (10, 10, 4), 7)


def states(space: ImageAndNumbers, n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States, and the images and numbers they are made of."""
    r = np.random.default_rng(seed)
    images = r.integers(0, 256, (n, space.shape[0], *space.image_shape), np.uint8)
    numbers = r.normal(size=(n, space.shape[0], space.numbers)).astype(np.float32)
    joined = [[space.joined(images[i, k], numbers[i, k]) for k in range(space.shape[0])] for i in range(n)]
    return torch.from_numpy(np.array(joined)), torch.from_numpy(images), torch.from_numpy(numbers)


def small(torso: str = "minatar", space: ImageAndNumbers = SPACE, **fields: Any) -> Network:
    return network(torso, space, hidden=(8,), **fields)


@settings(max_examples=40, deadline=None)
@given(SHAPES, arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32)), st.integers(1, 3))
def test_image_and_numbers_come_back_to_the_bit(shape: tuple[int, ...], numbers: np.ndarray, stack: int) -> None:
    space = ImageAndNumbers(stack, shape, len(numbers))
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    frame = space.joined(image, numbers)
    assert frame.nbytes - image.nbytes < 4 * len(numbers) + np.prod(shape[1:])
    assert np.array_equal(space.numbers_in(np.stack([frame, frame * 0]))[0], numbers, equal_nan=True)
    state = torch.from_numpy(np.stack([frame] * stack)[None])
    for given_as in (state, state.float()):
        images, found = space.split(given_as)
        assert np.array_equal(images[0, -1].numpy(), image)
        assert np.array_equal(found[0, 0].numpy().view(np.int32), numbers.view(np.int32))
    assert np.array_equal(images_of(space, state.numpy())[0, 0], image)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_torso_sees_the_image_and_the_hidden_layer_its_features_and_the_numbers(precision: str) -> None:
    net = small(precision=precision)
    state, images, numbers = states(SPACE, 3)
    with torch.no_grad():
        x = images.permute(0, 1, 4, 2, 3).flatten(1, 2).float() / 255
        features = torch.cat([net.torso(x), numbers.flatten(1)], dim=1)
        wanted = net.head(net.hidden(features))
        found = net.q_values(state)
    assert net.hidden.linears[0].weight.shape[1] == net.torso.features + 14
    torch.testing.assert_close(found, wanted, rtol=1e-5 if precision == "float32" else 0.05, atol=1e-5)


def test_q_values_depend_on_every_number_and_weights_get_gradients_from_both() -> None:
    net = small()
    state, _, numbers = states(SPACE, 1)
    before = net.q_values(state)
    for frame in range(2):
        for i in range(7):
            changed = state.clone()
            row = numbers[0, frame].numpy().copy()
            row[i] += 1.0
            changed[0, frame] = torch.from_numpy(SPACE.joined(state[0, frame, :10].numpy(), row))
            assert not torch.equal(net.q_values(changed), before)
    net.q_values(state).sum().backward()
    gradient = net.hidden.linears[0].weight.grad
    assert gradient is not None
    assert gradient[:, -14:].abs().sum() > 0
    assert gradient[:, :-14].abs().sum() > 0


@pytest.mark.parametrize("fields", [{"streams": "dueling"}, {"linear": "noisy"}, {"head": "quantile", "loss": "qr"}])
def test_it_goes_with_other_layers_and_heads(fields: dict[str, Any]) -> None:
    net = small(**fields)
    assert net.q_values(states(SPACE, 3)[0]).shape == (3, 4)


def test_the_impala_torso_takes_it_too() -> None:
    space = ImageAndNumbers(1, (36, 36, 3), 5)
    assert small("impala", space, channels=(4,)).q_values(states(space, 2)[0]).shape == (2, 4)


def test_sizes_are_counted_without_making_it() -> None:
    config = overridden(Config(torso="minatar"), {"hidden": (8,)})
    sizes = network_sizes(config, SPACE, 4)
    assert sizes.parameters == sum(p.numel() for p in small().parameters())


def test_a_torso_for_vectors_is_refused() -> None:
    with pytest.raises(UserError, match="reads vectors, and this game shows images of 10x10"):
        network("mlp", SPACE)


def test_both_are_normalised_by_statistics_of_their_own() -> None:
    net = small(normalise_observations=True)
    state, images, numbers = states(SPACE, 9)
    net.observe(state.numpy())
    assert net.normalisation is not None
    assert net.numbers_normalisation is not None
    np.testing.assert_allclose(net.normalisation.mean, images[:, -1].double().mean(dim=0))
    np.testing.assert_allclose(net.numbers_normalisation.mean, numbers[:, -1].double().mean(dim=0), rtol=1e-6)
    before = net.q_values(state)
    net.numbers_normalisation.mean += 1.0
    assert not torch.equal(net.q_values(state), before)


@pytest.mark.parametrize("normalise", [False, True])
def test_a_policy_file_gives_the_same_policy_back(normalise: bool, tmp_path: Path) -> None:
    config = overridden(Config(torso="minatar"), {"hidden": (8,), "normalise_observations": normalise})
    net = small(normalise_observations=normalise)
    state = states(SPACE, 5)[0]
    net.observe(state.numpy())
    save_policy(tmp_path, net, config)
    agent = load_agent(tmp_path)
    assert isinstance(agent.observation_space, ImageAndNumbers)
    assert np.array_equal(agent.q_values(state.numpy()), net.q_values(state).detach().numpy())
    with pytest.raises(UserError, match=r"\(an image \(10, 10, 4\) and 7 numbers\)"):
        agent.check_plays(ImageAndNumbers(2, (10, 10, 4), 6), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said",
    [
        {"image_shape": [10, 10, 4], "numbers": 70},
        {"image_shape": [10, 10, 4], "numbers": 10**9},
        {"image_shape": [10, 10, 4]},
        {"numbers": 7},
        {"image_shape": [10, 10], "numbers": 7},
        {"image_shape": [10**9, 10**9, 10**9], "numbers": 7},
        {"image_shape": "x", "numbers": 7},
        {"image_shape": [10, 10, 4], "numbers": True},
    ],
)
def test_a_file_that_contradicts_itself_is_damaged(said: dict[str, Any], tmp_path: Path) -> None:
    save_policy(tmp_path, small(), overridden(Config(torso="minatar"), {"hidden": (8,)}))
    file = tmp_path / "policy.safetensors"
    weights = safetensors.torch.load_file(file)
    facts = {"format": "pixelq policy 3", "num_actions": 4, "observation": {"shape": [2, 11, 10, 4], "dtype": "uint8"}}
    facts["observation"] |= said  # type: ignore[operator]
    safetensors.torch.save_file(weights, file, {"pixelq": json.dumps(facts)})
    with pytest.raises(UserError, match="no image with numbers; it is damaged"):
        load_agent(file)


def test_saliency_is_of_the_image_alone_and_the_numbers_stay_as_they_are() -> None:
    net, state = small(), states(SPACE, 1)[0]
    values, images = by_images(SPACE, net.q_values, state)
    assert torch.equal(values(images), net.q_values(state))
    torch.testing.assert_close(values(images.expand(3, *images.shape[1:]))[2], values(images)[0])
    for found in (gradient_saliency(values, images), perturbation_saliency(values, images)):
        assert found.shape == (10, 10)
        assert np.isfinite(found).all()
        assert found.max() > 0
