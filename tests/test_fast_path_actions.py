"""Trained agents act in bf16 as they do in float32, on states of their own play."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pixelq.checkpoints.policy_file import load_agent
from pixelq.envs import make_envs
from pixelq.networks import Network, build_network

pytestmark = pytest.mark.usefixtures("one_thread")
RESULTS = Path(__file__).parents[1] / "results"


def in_both_precisions(result: str) -> tuple[Network, Network, np.ndarray]:
    """A trained policy in bf16 and float32, and 2,400 states of its play with epsilon 0.01."""
    agent = load_agent(RESULTS / result)
    networks = []
    for precision in ("bf16", "float32"):
        config = dataclasses.replace(agent.config, precision=precision, initialisation="torch")  # type: ignore[arg-type]
        network = build_network(config, agent.observation_space, agent.network.num_actions, torch.Generator())
        network.load_state_dict(agent.network.state_dict())
        networks.append(network)
    envs = make_envs(agent.config, num_envs=8, seed=5)
    observations, _ = envs.reset()
    states = []
    for _ in range(300):
        observations, *_ = envs.step(agent.act(observations, 0.01))
        states.append(observations)
    envs.close()
    return networks[0], networks[1], np.concatenate(states)


def q_values(network: Network, states: np.ndarray) -> Tensor:
    with torch.inference_mode():
        return torch.cat([network(torch.from_numpy(part)) for part in np.array_split(states, 32)])


@pytest.mark.parametrize(
    ("result", "agreeing"),
    [
        ("breakout-dopamine", 0.99),  # measured: 99.1% (99.0% to 99.4% over four seeds)
        ("pong-clock/default-2", 0.99),  # measured: 99.6%, and 99.0% and 99.5% for the two other seeds
        # Measured: 98.6% to 99.0%. An earlier recipe's agent, which tells actions apart by less than 0.001 while the
        # ball flies away.
        ("pong-default", 0.98),
    ],
)
def test_a_trained_agent_acts_alike_in_bf16_and_float32(result: str, agreeing: float) -> None:
    bf16, float32, states = in_both_precisions(result)
    assert len(states) >= 2000
    fast, plain_q = q_values(bf16, states), q_values(float32, states)
    chosen = fast.argmax(1)
    assert (chosen == plain_q.argmax(1)).float().mean() >= agreeing
    # Where they differ, float32 too holds the actions for nearly the same: points given up by the other choice.
    given_up = plain_q.max(1).values - plain_q.gather(1, chosen[:, None])[:, 0]
    assert (given_up <= 1e-3).float().mean() >= 0.99  # measured: 100% and 99.4%
    assert given_up.max() < 0.02  # measured: 0.0003 and 0.007, of scores that move by 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_trained_agent_acts_alike_on_a_gpu_in_bf16() -> None:
    bf16, float32, states = in_both_precisions("breakout-dopamine")
    on_gpu = bf16.to("cuda")
    with torch.inference_mode():
        fast = torch.cat([on_gpu(torch.from_numpy(part).cuda()).cpu() for part in np.array_split(states, 32)])
    assert fast.dtype == torch.float32
    assert (fast.argmax(1) == q_values(float32, states).argmax(1)).float().mean() >= 0.99
