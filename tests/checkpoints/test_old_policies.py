"""Policies that pixelq 0.1 trained are read as what they were."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import pixelq
from pixelq.checkpoints.policy_file import FILE
from pixelq.networks import build_network
from pixelq.policy import Agent
from pixelq.recipes.values import overridden

pytestmark = pytest.mark.usefixtures("one_thread")
RESULTS = Path(__file__).parents[2] / "results"
OLD: dict[str, list[list[float]]] = json.loads(Path(__file__).with_name("old_policies.json").read_text())
"""By policy: Q-values of `states` as pixelq 0.1 computed them from that policy in float32, `(3, A)`."""


def states(agent: Agent) -> np.ndarray:
    space, generator = agent.observation_space, np.random.default_rng(0)
    if space.dtype == np.uint8:
        return generator.integers(0, 256, (3, *space.shape), np.uint8)
    return generator.normal(size=(3, *space.shape)).astype(np.float32)


def test_every_old_policy_of_the_results_is_compared() -> None:
    """Configurations of pixelq 0.1 call the torso network."""
    folders = [file.parent for file in RESULTS.rglob(FILE)]
    old = [folder for folder in folders if '\nnetwork = "' in (folder / "config.toml").read_text()]
    policies = sorted(str(folder.relative_to(RESULTS)) for folder in old)
    assert policies == sorted(OLD)
    assert len(policies) >= 11


@pytest.mark.parametrize("policy", OLD)
@pytest.mark.parametrize("way", ["fast", "modules"])
def test_an_old_policy_has_the_q_values_that_it_had(policy: str, way: str) -> None:
    agent = pixelq.load(RESULTS / policy)
    assert isinstance(agent, Agent)
    old, observed = np.array(OLD[policy], np.float32), states(agent)
    config = overridden(agent.config, {"precision": "float32"})
    network = build_network(config, agent.observation_space, agent.network.num_actions, None)
    network.load_state_dict(agent.network.state_dict())
    if way == "modules":
        assert network.fast is not None
        network.fast = None
    with torch.inference_mode():
        q = network.q_values(torch.from_numpy(observed)).numpy()
    np.testing.assert_allclose(q, old, atol=1e-5, rtol=1e-6)
    # In the precision it was trained in it says nearly the same: measured 0.024 of values that differ by 0.8.
    closeness = 1e-5 if agent.config.precision == "float32" else 0.03
    np.testing.assert_allclose(agent.q_values(observed), old, atol=closeness, rtol=1e-6)


def test_the_comparison_would_show_another_order_of_the_weights() -> None:
    for policy, values in OLD.items():
        q = np.array(values)
        assert np.ptp(q, axis=1).min() > 1e-3, policy
        assert np.ptp(q, axis=0).min() > 1e-4, policy


@pytest.mark.parametrize("policy", OLD)
def test_the_configuration_beside_it_is_read_in_todays_names(policy: str) -> None:
    text = (RESULTS / policy / "config.toml").read_text()
    config = pixelq.load(RESULTS / policy).config  # type: ignore[union-attr]
    assert f'network = "{config.torso}"' in text
    assert f'error = "{config.loss_options["error"]}"' in text
    assert ("trace_lambda" in config.loss_options) == (config.loss == "lambda_returns")
    if config.loss == "lambda_returns":
        assert f"trace_lambda = {config.loss_options['trace_lambda']}" in text
    assert (f"average_tau = {config.averaged_network_tau}" in text) == (config.averaged_network_tau != 0.0)
