"""A policy as one function from states to Q-values, for other runtimes, and how far two of them may differ."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from pixelq.action_masks import allowed_values, random_actions
from pixelq.envs import make_envs
from pixelq.errors import UserError
from pixelq.image_and_numbers import ImageAndNumbers
from pixelq.networks import build_network
from pixelq.policy import Agent

STATES = 256
"""Played in the game, on which a program is held to its policy."""
ENVIRONMENTS = 8
EPSILON = 0.1
"""While they are played: a policy that is good at a game sees little of it."""
BATCHES = (1, 3)
"""Numbers of states, beside all of them, that a program is asked at once."""
BOUND = 1e-4
"""Largest difference of two Q-values, as a share of 1 + the largest Q-value: the rounding of float32 in another order.
Of the programs in docs/share.md the largest is 0.02 of it."""


class Program(nn.Module):
    """Q(s, .), float32 `(B, A)`, of states `(B, *observation_space.shape)` in the space's dtype, all in float32.

    The policy's own weights, through the modules that are the fast torso's reference; noisy layers and sampled
    quantiles by their means, as in test games.

    Raises:
        UserError: the policy has a memory, so that its Q-values are no function of a state.
    """

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        if agent.acting.remembers:
            raise UserError(
                f"this policy has a memory ({agent.config.memory}): its Q-values are no function of one state, so it "
                "cannot be written as a program; leave out --onnx, --torch-export and --torchscript, "
                "pixelq.load plays what is exported without them"
            )
        config = dataclasses.replace(agent.config, precision="float32")
        network = build_network(config, agent.observation_space, agent.network.num_actions, None)
        network.load_state_dict(agent.network.state_dict())
        network.fast = None
        for module in network.modules():
            if is_parametrized(module):  # spectral norms: the weight is computed once
                for name in list(cast(nn.ModuleDict, module.parametrizations)):
                    remove_parametrizations(module, name)
        self.network = network.cpu().requires_grad_(False)
        self.space = agent.observation_space
        self.eval()

    def forward(self, observations: Tensor) -> Tensor:
        """Q-values."""
        return self.network.q_values(observations)

    def example(self) -> Tensor:
        """Two states of nothing, to trace with: with one, tracing takes the number for a constant."""
        return torch.from_numpy(np.zeros((2, *self.space.shape), self.space.dtype))


@dataclass(frozen=True)
class Check:
    """How a program compares with its policy on states that were played."""

    kind: str
    """ONNX, torch.export or TorchScript."""
    states: int
    largest: float
    """Largest difference from the policy's Q-values, computed in float32."""
    bound: float
    """That it may have."""
    as_acting: float
    """Largest difference from the Q-values that the policy acts by, which may be computed in bfloat16."""
    same_actions: int
    """States in which the program's greedy action is the policy's."""

    def __str__(self) -> str:
        text = f"{self.kind}: largest difference of a Q-value {self.largest:.2g} (at most {self.bound:.2g})"
        if self.as_acting > self.bound:
            text += f", {self.as_acting:.2g} from the policy in bfloat16"
        return f"{text}, {self.same_actions} of {self.states} actions equal, on states of the game"


def check_reads_bytes(kind: str, program: Program) -> None:
    """Refuse states that this kind of program cannot take apart.

    Raises:
        UserError: they are an image and numbers in one array of bytes.
    """
    if isinstance(program.space, ImageAndNumbers):
        raise UserError(
            f"this policy cannot be exported as {kind}: its states are an image and numbers in one array of bytes, "
            f"which {kind} cannot take apart; --torch-export can"
        )


def played_states(agent: Agent, seed: int, number: int = STATES) -> np.ndarray:
    """States of the game as the policy plays it, `(number, *observation_space.shape)`.

    Raises:
        UserError: the game is not there, or not the one that the policy was trained on.
        EnvironmentFailedError: an environment raised an exception.
    """
    generator = np.random.default_rng(seed)
    envs = make_envs(agent.config, num_envs=ENVIRONMENTS, seed=seed, threads=1)
    try:
        agent.check_plays(envs.single_observation_space, envs.single_action_space)
        observations, _ = envs.reset()
        seen = [observations.copy()]
        while len(seen) * ENVIRONMENTS < number:
            for _ in range(4):  # the frames of a stack are new in the next state that is kept
                masks = envs.action_masks
                greedy = allowed_values(agent.q_values(observations), masks).argmax(axis=1)
                explore = generator.random(ENVIRONMENTS) < EPSILON
                drawn = random_actions(generator, ENVIRONMENTS, agent.network.num_actions, masks)
                actions = np.where(explore, drawn, greedy)
                observations, *_ = envs.step(actions)
            seen.append(observations.copy())
    finally:
        envs.close()
    return np.concatenate(seen)[:number]


def batches(states: np.ndarray) -> list[np.ndarray]:
    """The states all at once, and the first few of them."""
    return [states, *(states[:size] for size in BATCHES)]


def compared(kind: str, agent: Agent, program: Program, answers: list[np.ndarray], states: np.ndarray) -> Check:
    """Hold a program's answers to `batches(states)` to the policy.

    Raises:
        UserError: one differs by more than rounding, or is of another shape or dtype.
    """
    with torch.inference_mode():
        expected = program(torch.from_numpy(states)).numpy()
    bound = BOUND * (1.0 + float(np.abs(expected).max()))
    differences = []
    for asked, answer in zip(batches(states), answers, strict=True):
        if answer.shape != (len(asked), expected.shape[1]) or answer.dtype != np.float32:
            raise UserError(
                f"this policy cannot be exported as {kind}: of {len(asked)} states the program gives {answer.dtype} "
                f"{answer.shape} instead of float32 {(len(asked), expected.shape[1])}"
            )
        differences.append(np.abs(answer - expected[: len(asked)]).max())
    largest = float(np.max(differences))  # of which NaN is one
    if not largest <= bound:
        raise UserError(
            f"this policy cannot be exported as {kind}: on states of the game the program's Q-values differ from the "
            f"policy's by up to {largest:.3g}, where {bound:.2g} would be rounding"
        )
    acting = agent.q_values(states)
    same = int((answers[0].argmax(axis=1) == acting.argmax(axis=1)).sum())
    return Check(kind, len(states), largest, bound, float(np.abs(answers[0] - acting).max()), same)
