"""Stream Q(lambda) as whole runs: exact after a kill, new traces where they must begin, refusals; it learns."""

import contextlib
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import pixelq
from pixelq.checkpoints.store import CheckpointStore
from pixelq.config import Config
from pixelq.envs.seeded_episodes import NotReproducedError, SeededEpisodes
from pixelq.errors import UserError
from pixelq.learner.stream_learner import StreamLearner
from pixelq.recipes.choice import configure
from pixelq.recipes.validation import validate
from pixelq.recipes.values import overridden
from pixelq.runs.run import Run
from pixelq.runs.session import resume, start
from small_runs import Killed, at_agent_step, die, facts, small, terminate

ONE = {"batch_size": 1, "steps": 90, "checkpoint_every": 30, "eval_every": 0, "log_every": 45}
SMALL: dict[str, tuple[str, str, dict[str, Any]]] = {
    "breakout": ("stream-q", "breakout", {"channels": (4, 4), "kernels": (8, 4), "strides": (5, 3), "hidden": (8,)}),
    "minatar": ("stream-q-minatar", "MinAtar/Breakout-v1", {"screen_size": 0, "noop_max": 0}),
    "vectors": ("stream-q-minatar", "CartPole-v1", {"torso": "mlp", "hidden": (8,), "screen_size": 0, "noop_max": 0}),
}


def cut_down(case: str, **overrides: Any) -> Config:
    recipe, game, fields = SMALL[case]
    return small(recipe, game, **(ONE | fields | overrides))


@pytest.mark.parametrize("case", SMALL)
def test_a_killed_and_resumed_run_ends_as_an_unbroken_one(
    case: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = cut_down(case)
    start(config, Path("unbroken"))
    with at_agent_step(monkeypatch, 77, die), contextlib.suppress(Killed):
        start(config, Path("broken"))
    resume(Path("broken"))
    unbroken = facts(Path("unbroken"))
    assert facts(Path("broken")) == unbroken
    assert {"optimizer", "reward scale", "network"} <= unbroken.keys()
    assert "replay" not in unbroken
    network = pixelq.load("unbroken").network
    assert network.normalisation.count > 90
    assert network.normalisation.variance.max() > 0


def test_every_agent_step_is_an_update_and_traces_end_where_they_must(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an action that was not greedy, or an episode's last one; the state is the one that was acted on."""
    given: list[tuple[bool, bool, bool]] = []
    update = StreamLearner.update

    def seen(learner: StreamLearner, transition: Any, alpha: float, traces_end: bool) -> torch.Tensor:
        q = learner.network.q_values(transition.state)[0]
        given.append((traces_end, bool(q.argmax() != transition.action), bool(transition.discount_n == 0)))
        assert len(transition.action) == 1
        priority = update(learner, transition, alpha, traces_end)
        traces = [state["trace"] for state in learner.state_dict()["optimizer"].values()]
        assert traces_end == all(not trace.any() for trace in traces)
        return priority

    monkeypatch.setattr(StreamLearner, "update", seen)
    start(cut_down("vectors", steps=200, eval_every=0, max_frames_per_episode=30, epsilon_options={}), Path("r"))
    assert len(given) == 200
    cut = [i for i, (ends, other, over) in enumerate(given) if ends and not other and not over]
    assert all(ends for ends, other, over in given if other or over)
    assert len(cut) < 200 / 30 + 1, "only games that were cut end the traces for another reason"
    assert 20 < sum(other for _, other, _ in given) < 180
    assert sum(over for _, _, over in given) > 0


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"num_envs": 2}, "num_envs = 2 is out of range: it must be 1 in the stream loop"),
        ({"batch_size": 4}, "batch_size = 4 is out of range: it must be 1 in the stream loop"),
        (
            {"optimizer": "adam"},
            "optimizer = adam is out of range: it must be one for the stream loop (obgd)",
        ),
        ({"target": "hard"}, "target = hard is out of range: it must be none in the stream loop"),
        ({"n_step": 3}, "--trace-lambda"),
        ({"loss": "dqn"}, "loss = dqn is out of range: it must be one for the stream loop"),
        ({"trace_lambda": 1.5}, "trace_lambda = 1.5 must be between 0 and 1"),
        ({"kappa": 0.5}, "kappa = 0.5 must be between 1 and a million"),
        (
            {"loop": "replay", "loss": "dqn"},
            "one for the replay loop (adadelta, adam, adamw, radam, rmsprop); fix it with --optimizer",
        ),
        ({"loop": "replay"}, "it must be one for the replay loop, which gives transitions (td_error takes stream)"),
        ({"compile": True}, "use --no-compile"),
    ],
)
def test_what_a_stream_cannot_have_is_refused_in_one_line(fields: dict[str, Any], part: str) -> None:
    config = configure("breakout", "stream-q", {})
    with pytest.raises(UserError) as caught:
        validate(overridden(config, fields))
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("recipe", ["nature2015", "default"])
def test_other_loops_normalise_and_scale_too_and_resume_exactly(
    recipe: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields: dict[str, Any] = {"normalise_observations": True, "scale_reward": True, "eval_every": 0, "steps": 120}
    config = small(recipe, "breakout", **fields)
    start(config, Path("unbroken"))
    with at_agent_step(monkeypatch, 113, die), contextlib.suppress(Killed):
        start(config, Path("broken"))
    resume(Path("broken"))
    assert facts(Path("broken")) == facts(Path("unbroken"))
    assert pixelq.load("unbroken").network.normalisation.count > 100


@pytest.mark.parametrize("played_again", [True, False])
def test_new_episodes_of_a_resumed_run_have_no_traces_and_sums_of_those_that_were_left(
    played_again: bool, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with at_agent_step(monkeypatch, 77, terminate):
        start(cut_down("vectors", epsilon_start=0.0, epsilon_end=0.0), Path("r"))

    def cannot_go_on(envs: SeededEpisodes, state: dict[str, Any]) -> None:
        raise NotReproducedError("another emulator", state["last_frames"], None)

    if not played_again:
        monkeypatch.setattr(SeededEpisodes, "load_state_dict", cannot_go_on)
    before = CheckpointStore(Path("r/checkpoints")).load().state["learner"]["network"]
    first_observations, looks = Run.first_observations, []

    def look(run: Run) -> np.ndarray:
        observations, learner, statistics = first_observations(run), run.parts.learner, run.parts.reward_scale
        count, mean = (before[f"normalisation.{name}"] for name in ("count", "mean"))
        if not played_again:
            count = count + 1
            mean = mean + (torch.from_numpy(observations[0, -1]) - mean) / count
        torch.testing.assert_close(learner.network.normalisation.mean, mean)
        assert learner.network.normalisation.count == count
        assert statistics is not None
        looks.append(
            (
                statistics.state_dict()["sums"].any(),
                any(one["trace"].any() for one in learner.state_dict()["optimizer"].values()),
            )
        )
        return observations

    monkeypatch.setattr(Run, "first_observations", look)
    resume(Path("r"))
    assert looks == [(played_again, played_again)]


class Cue(gymnasium.Env[np.ndarray, int]):
    """A cue; the action that fits it; a blank; any action; then 1 if the first action did fit, else 0."""

    observation_space = gymnasium.spaces.Box(0, 1, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._cue, self._first = int(self.np_random.integers(2)), True
        return np.eye(3, dtype=np.float32)[self._cue], {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if not self._first:
            return np.eye(3, dtype=np.float32)[2], float(self._fits), True, False, {}
        self._fits, self._first = action == self._cue, False
        return np.eye(3, dtype=np.float32)[2], 0.0, False, False, {}


@pytest.mark.parametrize("trace_lambda", [0.8, 0.0])
def test_it_learns_what_only_traces_can_tell(trace_lambda: float, in_folder: Path) -> None:
    """The blank looks the same whether the action fitted: without traces its value tells nothing to the cue before."""
    gymnasium.register("StreamCue-v0", entry_point=Cue)
    try:
        fields: dict[str, Any] = ONE | SMALL["vectors"][2] | {"steps": 500, "checkpoint_every": 0, "hidden": (32,)}
        fields |= {"frame_stack": 1, "epsilon_start": 0.2, "epsilon_end": 0.2, "gamma": 0.9}
        result = start(small("stream-q-minatar", "StreamCue-v0", **fields, trace_lambda=trace_lambda), Path("r"))
        q = pixelq.load("r").q_values(np.eye(3, dtype=np.float32)[:, None])
    finally:
        gymnasium.registry.pop("StreamCue-v0")
    if trace_lambda:  # five seeds: 0.88 to 0.96 of the last 100 games, a tenth being lost to exploration
        assert result.mean_score > 0.8
        assert q[:2].argmax(axis=1).tolist() == [0, 1]
    else:  # 0.48 to 0.70; chance is 0.5
        assert result.mean_score < 0.75
