"""One game of a run, played step by step with the run's newest policy, by the policy or by a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelq.action_masks import allowed_values, random_actions
from pixelq.envs import make_envs, resolve_game
from pixelq.envs.seeded_episodes import SeededEpisodes
from pixelq.errors import UserError
from pixelq.image_and_numbers import by_images, images_of
from pixelq.learner.learner import load_weights
from pixelq.networks import PARTS, Network, build_network
from pixelq.policy.acting import Acting, acting_with, forgotten
from pixelq.recipes.reading import read_config
from pixelq.viewing.colour_screen import EMULATOR_RATE, ColourAtari
from pixelq.viewing.distribution import histogram, predicted_returns
from pixelq.viewing.saliency import gradient_saliency, perturbation_saliency
from pixelq.viewing.video import Recordable, open_game
from pixelq.web.newest_policy import PolicyPlace, Which, policy_places, weights_at
from pixelq.web.pictures import frames_side_by_side, png, scaled_to_bytes

UNSEEN_PACE = 15.0
"""Agent steps per second of a game that has no rate of its own, because it draws nothing."""
GAMES_TOLD = 20
TRAIL = 64
"""Most agent steps told at once, where not each of them is shown."""


class LivePlayer:
    """Plays a run's game. `decide` looks at the state and chooses, `act` takes one agent step.

    Args:
        run: the run's folder; only read.
        seed: of the games and of random actions.

    Raises:
        UserError: the run's configuration is missing or damaged, or its game cannot be opened.
    """

    def __init__(self, run: Path, seed: int = 0) -> None:
        self._run = run
        self.config = read_config(run / "config.toml", known=PARTS)
        self.note = ""
        """Why there is no colour picture, if there is none."""
        self._shown: Recordable | None = None
        try:
            self._shown, self._envs = open_game(self.config, seed)
        except UserError as error:
            self.note = str(error)
            self._envs = make_envs(self.config, num_envs=1, seed=seed, threads=1)
        self._generator = np.random.default_rng(seed)
        self._network: Network | None = None
        self._acting: Acting | None = None
        """By the network; what it remembers of the game stays when newer weights come."""
        self.place: PolicyPlace | None = None
        """Where the weights come from; None: there are none yet, and actions are random."""
        self.trouble = ""
        """Why newer weights could not be read, if they could not."""
        self._refused: set[PolicyPlace] = set()
        self.which: Which = "newest"
        self.epsilon = 0.01
        self.held: int | None = None
        """The action that a person holds; None: the policy plays."""
        self._observations, _ = self._envs.reset()
        self._fresh = True
        self._score, self._steps = 0.0, 0
        self._games: list[dict[str, float]] = []
        self._trail: list[dict[str, Any]] = []
        self._q: np.ndarray | None = None
        self._output: Tensor | None = None
        self._action, self._reason = 0, "random"

    @property
    def envs(self) -> SeededEpisodes:
        """The game, one environment."""
        return self._envs

    @property
    def pace(self) -> float:
        """Agent steps per second in the game's own time."""
        if isinstance(self._shown, ColourAtari):
            return EMULATOR_RATE / self.config.frame_skip
        return float(self._shown.rate) if self._shown is not None else UNSEEN_PACE

    def introduction(self) -> dict[str, Any]:
        """What does not change while the run is played; JSON."""
        count = int(self._envs.single_action_space.n)
        names = self._envs.action_names or [f"ACTION {i}" for i in range(count)]
        shape = self._envs.single_observation_space.shape or ()
        return {
            "kind": "introduction",
            "title": resolve_game(self.config.game).title,
            "actions": names,
            "shape": list(shape),
            "images": len(shape) > 2,
            "atari": isinstance(self._shown, ColourAtari),
            "pace": round(self.pace, 3),
            "note": self.note,
        }

    def look_for_policy(self) -> bool:
        """Take over newer weights, if there are any; return whether the policy is another one now.

        Weights that cannot be read are told in `trouble`, and the next newest are tried.
        """
        self.trouble = ""
        for place in policy_places(self._run, self.which):
            if place == self.place:
                return False
            if place in self._refused:
                self.trouble = f"{place.path.name} cannot be read; playing with the policy before"
                continue
            try:
                weights = weights_at(place)
                network = self._network or self._new_network()
                load_weights(network, weights, where=str(place.path))
                if self._acting is None:
                    self._acting = acting_with(network, torch.device("cpu")).anew(1)
            except UserError as error:
                if not place.path.exists():
                    return False  # replaced by a newer one in this moment, which is found the next time
                self.trouble = str(error)
                self._refused.add(place)
                continue
            self._network, self.place = network, place
            return True
        return False

    def decide(self) -> None:
        """Look at the current state, and choose an action: the best one, with probability epsilon a random one."""
        count = int(self._envs.single_action_space.n)
        explore, masks = self._generator.random() < self.epsilon, self._envs.action_masks
        random_action = int(random_actions(self._generator, 1, count, masks)[0])
        self._q = self._output = None
        self._action, self._reason = random_action, "random"
        if self._acting is not None:
            network = self._acting.now
            with torch.inference_mode():
                self._output = network(self._state())
                self._q = network.head.values(self._output)[0].numpy()
            if not explore:
                self._action, self._reason = int(allowed_values(self._q[None], masks).argmax()), "greedy"
        self._obey()

    def act(self) -> None:
        """Take the action that was chosen, or the one that a person holds by now."""
        self._obey()
        if self._acting is not None:
            self._acting.remember(self._observations)
        self._observations, rewards, terminated, truncated, info = self._envs.step(np.array([self._action]))
        if self._acting is not None:
            ends = self.config.life_loss_ends_target
            self._acting.forget(forgotten(terminated | truncated, info["life_lost"], ends))
        taken = int(info["action"][0])
        if taken != self._action:
            self._reason = "opening"  # FIRE, which begins the game or the life
        q = None if self._q is None else [_short(value) for value in self._q.tolist()]
        self._trail = [*self._trail[1 - TRAIL :], {"q": q, "action": taken, "reason": self._reason}]
        self._score += float(rewards[0])
        self._steps += 1
        self._fresh = bool(terminated[0] | truncated[0])
        if self._fresh:
            game = {"score": _short(self._score), "steps": self._steps}
            self._games = [*self._games[1 - GAMES_TOLD :], game]
            self._score, self._steps = 0.0, 0

    def _obey(self) -> None:
        """Choose what a person holds, unless the game's action mask does not allow it."""
        masks = self._envs.action_masks
        if self.held is not None and (masks is None or masks[0, self.held]):
            self._action, self._reason = self.held, "person"

    def moment(self) -> tuple[dict[str, Any], list[bytes]]:
        """The current state, what the policy thinks of it, and what has happened since the last call.

        Returns:
            JSON, in which `parts` names the pictures; and these, as PNG.
        """
        observation = self._observations[0]
        header: dict[str, Any] = {
            "kind": "moment",
            "step": self._steps,
            "score": _short(self._score),
            "q": None if self._q is None else [_short(value) for value in self._q.tolist()],
            "action": self._action,
            "reason": self._reason,
            "trail": self._trail,
            "games": self._games,
            "policy": self._policy(),
            "trouble": self.trouble,
            "distribution": self._distribution(),
            "parts": [],
        }
        self._trail = []
        blobs = []
        if observation.ndim > 2:
            header["parts"].append("frames")
            blobs.append(png(frames_side_by_side(images_of(self._envs.single_observation_space, observation))))
        else:
            header["numbers"] = [[_short(value) for value in row] for row in observation.tolist()]
        if self._shown is not None:
            header["parts"].append("screen")
            # Many games draw a sprite only in every other frame. After a game's end, the next one's start is the state.
            screens = [self._shown.first_screen] if self._fresh else self._shown.screens[-2:]
            blobs.append(png(np.maximum.reduce(screens)))
        return header, blobs

    def saliency(self, kind: str, stride: int | None = None) -> tuple[dict[str, Any], list[bytes]]:
        """What the policy looks at in the current state.

        Args:
            kind: perturbation or gradient; only the latter for vectors.
            stride: as for `perturbation_saliency`.

        Returns:
            JSON, and for images one PNG with the largest value at 255.
        """
        header: dict[str, Any] = {"kind": "saliency", "method": kind, "step": self._steps, "parts": []}
        if self._acting is None:
            return header, []
        network = self._acting.now
        if self._observations.ndim <= 3:
            found = gradient_saliency(network.q_values, self._state())
            header["method"], header["numbers"] = "gradient", scaled_to_bytes(found).tolist()
            header["largest"] = _short(float(found.max()))
            return header, []
        values, state = by_images(self._envs.single_observation_space, network.q_values, self._state())
        found = gradient_saliency(values, state) if kind == "gradient" else perturbation_saliency(values, state, stride)
        header["largest"] = _short(float(found.max()))
        header["parts"].append("saliency")
        return header, [png(scaled_to_bytes(found))]

    def close(self) -> None:
        """Free the game."""
        self._envs.close()

    def _state(self) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self._observations))

    def _new_network(self) -> Network:
        space: Any = self._envs.single_observation_space
        network = build_network(self.config, space, int(self._envs.single_action_space.n), None)
        return network.eval().requires_grad_(False)

    def _policy(self) -> dict[str, Any] | None:
        if self.place is None:
            return None
        return {"from": self.place.kind, "agent_steps": self.place.agent_steps if self.place.agent_steps >= 0 else None}

    def _distribution(self) -> dict[str, Any] | None:
        """Probabilities of returns by action, where the head predicts them; JSON."""
        if self._network is None or self._output is None:
            return None
        predicted = predicted_returns(self._network.head, self._output)
        if predicted is None:
            return None
        found = histogram(*predicted)
        rows = [[round(value, 4) for value in row] for row in found.probabilities.tolist()]
        return {"low": _short(found.low), "high": _short(found.high), "probabilities": rows}


def _short(value: float) -> float:
    """Five significant digits; what is not finite, which JSON lacks, as 0."""
    return float(f"{value:.5g}") if np.isfinite(value) else 0.0
