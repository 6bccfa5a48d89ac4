"""The R2D2 recipe, held to the numbers of its sources by what it builds and does."""

import numpy as np
import pytest
import torch

from pixelq import loops
from pixelq.networks import build_network
from pixelq.recipes.reading import read_recipe
from pixelq.recipes.validation import validate
from pixelq.replay import Replay
from pixelq.replay.samplers.prioritized import Options, Sampler
from pixelq.replay.sequence_replay import SequenceReplay
from pixelq.schedules import epsilon_schedule, learning_rate_schedule
from small_networks import images

CONFIG = read_recipe("r2d2")


def test_the_network_has_the_weights_of_the_papers() -> None:
    """DQN's convolutions, an LSTM of 512 on their 3,136 features, two streams of 512."""
    validate(CONFIG)
    network = build_network(CONFIG, images(4, 84, 84), 18, torch.Generator().manual_seed(1))
    convolutions = (4 * 64 + 1) * 32 + (32 * 16 + 1) * 64 + (64 * 9 + 1) * 64
    lstm = 4 * 512 * (3_136 + 512) + 2 * 4 * 512  # both linear layers have a bias, as torch's; Sonnet's has one
    streams = 2 * (512 + 1) * 512 + (512 + 1) * (1 + 18)
    assert sum(p.numel() for p in network.parameters()) == convolutions + lstm + streams
    assert network.recurrent_size == 1_024  # type: ignore[attr-defined]


@pytest.mark.parametrize("t", [256, 1_000_000, 40_000_000])
def test_each_environment_keeps_the_epsilon_of_an_actor(t: int) -> None:
    actors = 0.4 ** (1 + 7 * np.arange(256) / 255)
    np.testing.assert_allclose(epsilon_schedule(CONFIG)(t), actors, rtol=1e-9)
    assert learning_rate_schedule(CONFIG)(t) == 1e-4


def test_a_sequence_is_learned_from_four_times_and_the_target_copied_every_2500_updates() -> None:
    drawn_sequences_of_a_step = loops.updates_per_step(CONFIG) * CONFIG.batch_size / 80
    assert drawn_sequences_of_a_step * 40 == pytest.approx(4)  # one sequence is added every 40 agent steps
    assert CONFIG.target_every * loops.updates_per_step(CONFIG) == pytest.approx(2_500)


def test_the_replay_holds_100_000_sequences_of_80_after_40_with_five_step_returns() -> None:
    made: list[tuple[int, int, int]] = []

    def sampler(num_envs: int, size: int, every: int) -> Sampler:
        made.append((num_envs, size, every))
        return Sampler(num_envs, 1, Options())

    sizes = {
        "capacity": CONFIG.replay_capacity, "num_envs": CONFIG.num_envs, "frame_shape": (1, 1), "stack": 4,
        "n_step": CONFIG.n_step, "gamma": CONFIG.gamma,
    }  # fmt: skip
    network = build_network(CONFIG, images(4, 84, 84), 18, None)
    replay = loops.KINDS["loop"].find("recurrent_replay").build_replay(CONFIG, network, sampler, sizes)
    assert isinstance(replay, SequenceReplay)
    assert replay.sequencing == (80, 40, 40, True, 0.9)
    assert (replay.n_step, replay.window) == (5, 125)
    num_envs, size, every = made[0]
    assert every == 40
    assert num_envs * (size - 2) == pytest.approx(100_000, rel=0.01)
    assert replay.nbytes - Replay(*sizes.values()).nbytes == num_envs * size * 4 * 1_024


def test_adams_step_for_a_mean_of_squares_is_that_of_the_sources_for_half_their_sum_over_80_steps() -> None:
    """m / (sqrt v + eps) is the same for gradients and eps that are smaller by one factor, which is 2 / 80 here."""
    gradients = torch.randn((20, 7), generator=torch.Generator().manual_seed(1)) * 0.01

    def after(scale: float, eps: float) -> torch.Tensor:
        weight = torch.nn.Parameter(torch.zeros(7))
        optimizer = torch.optim.Adam([weight], CONFIG.learning_rate, (CONFIG.adam_beta1, CONFIG.adam_beta2), eps)
        for gradient in gradients:
            weight.grad = gradient * scale
            optimizer.step()
        return weight.detach()

    torch.testing.assert_close(after(2 / 80, CONFIG.optimizer_eps), after(1.0, 1e-3), rtol=1e-4, atol=1e-9)
    assert not torch.allclose(after(2 / 80, 1e-3), after(1.0, 1e-3), rtol=1e-2)
